"""Callbacks: what they hear, when they act, what they write; and what they refuse."""

import copy
import csv
import math
import os
import signal
import sys
import types

import numpy as np
import pytest

import elman
from elman import layers, schedules
from elman.errors import DivergedError, Interrupted, SaveError, UsageError
from elman.training.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TensorBoard,
    TerminateOnNaN,
)
from elman.training.callbacks.monitor import Monitor
from elman.training.optimizers import SGD, Adam


def make(optimizer=None, metrics=None):
    model = elman.Sequential([layers.GRU(3), layers.Dense(1)], dtype="float64")
    model.compile(optimizer or SGD(0.05), "mse", metrics)
    return model


@pytest.fixture
def data(rng):
    x = rng.normal(size=(24, 5, 2))
    return x, x[:, :, :1].sum(1)


class Play(Callback):
    """Puts figures from a list into the logs before other callbacks see them."""

    def __init__(self, figures, name="val_loss"):
        self.figures, self.name = figures, name

    def on_epoch_end(self, epoch, logs):
        logs[self.name] = self.figures[epoch]


class Weights(Callback):
    """Takes down the parameters after every epoch."""

    def __init__(self):
        self.kept = []

    def on_epoch_end(self, epoch, logs):
        self.kept.append(self.model.parameters.flat.copy())


def play(model, data, figures, *callbacks, name="val_loss", **options):
    """Fit as many epochs as there are figures to play."""
    listeners = [Play(figures, name), *callbacks]
    return model.fit(*data, epochs=len(figures), callbacks=listeners, verbose=0, rng=0, **options)


class TestHooks:
    def test_all_are_heard_in_order_under_both_names(self, data):
        heard = []

        def hear(name):
            return lambda self, *arguments: heard.append((name, *arguments[:-1]))

        names = ["train_begin", "epoch_begin", "batch_begin", "train_batch_begin", "batch_end", "train_batch_end"]
        names = [f"on_{name}" for name in [*names, "epoch_end", "train_end"]]
        listener = type("Everything", (Callback,), {name: hear(name) for name in names})()
        model = make()
        model.fit(*data, epochs=2, batch_size=12, callbacks=[listener], verbose=0)
        epoch = [
            (name, batch)
            for batch in (0, 1)
            for name in ("on_batch_begin", "on_train_batch_begin", "on_batch_end", "on_train_batch_end")
        ]
        assert heard == [
            ("on_train_begin",),
            *[step for e in (0, 1) for step in [("on_epoch_begin", e), *epoch, ("on_epoch_end", e)]],
            ("on_train_end",),
        ]
        assert listener.model is model
        assert listener.params == {"epochs": 2, "steps": 2, "clip": None}

    def test_a_hook_that_is_not_overridden_is_not_called(self, data, monkeypatch):
        def never(self, *_):
            raise AssertionError

        listener = LambdaCallback(on_epoch_end=lambda epoch, logs: None)
        for name in ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end"):
            monkeypatch.setattr(Callback, name, never)
        make().fit(*data, callbacks=[listener], verbose=0)

    def test_stop_training_ends_after_the_epoch_and_is_forgotten(self, data):
        def stop(batch, logs):
            model.stop_training = True

        ended = []
        model = make()
        listener = LambdaCallback(on_batch_end=stop, on_train_end=lambda logs: ended.append(dict(logs)))
        history = model.fit(*data, epochs=5, batch_size=4, callbacks=[listener], verbose=0)
        assert history.epoch == [0] and len(history.batches) == 6
        assert ended == [{"loss": history.history["loss"][0]}]
        assert model.stop_training
        assert len(model.fit(*data, epochs=3, verbose=0).epoch) == 3

    def test_an_exception_keeps_the_work_and_comes_out_as_it_is(self, data, tmp_path):
        def guilty(epoch, logs):
            if epoch == 1:
                raise KeyError("mine")

        model = make()
        saving = ModelCheckpoint(tmp_path / "{epoch}.elman")
        with pytest.raises(KeyError, match="mine") as caught:
            model.fit(*data, epochs=3, callbacks=[LambdaCallback(on_epoch_end=guilty), saving], verbose=0)
        assert caught.traceback[-1].name == "guilty" and caught.value.__cause__ is None
        # Epoch 2 was interrupted before the checkpoint heard of its end.
        assert sorted(os.listdir(tmp_path)) == ["1.elman", "2.elman"]
        kept = elman.load(tmp_path / "2.elman")
        np.testing.assert_array_equal(kept.parameters.flat, model.parameters.flat)


class TestMonitor:
    @pytest.mark.parametrize(
        "kind", [EarlyStopping, ReduceLROnPlateau, lambda n: ModelCheckpoint("x", n, save_best_only=True)]
    )
    def test_a_figure_that_is_not_there_is_said_after_the_first_epoch(self, data, kind):
        model = make(metrics=["mae"])
        message = r"there is no figure 'val_loss' to watch, expected one of .*'loss', 'mae'\]. Give fit validation_data"
        with pytest.raises(UsageError, match=message):
            model.fit(*data, epochs=9, callbacks=[kind("val_loss")], verbose=0)
        assert len(model.history.epoch) == 1
        with pytest.raises(UsageError, match=r"no figure 'mse' to watch, expected one of .*'loss', 'val_loss'.*\]\.$"):
            make().fit(*data, callbacks=[kind("mse")], verbose=0, validation_split=0.5)

    def test_which_is_better(self):
        for name in ("val_accuracy", "acc", "val_f1", "top_5_accuracy"):
            assert Monitor(name).mode == "max"
        for name in ("loss", "val_loss", "mae", "val_perplexity", "label_error_rate"):
            assert Monitor(name).mode == "min"
        assert Monitor("loss", mode="max").mode == "max" and Monitor("accuracy", mode="min").mode == "min"
        low, high = Monitor("loss", min_delta=0.5), Monitor("accuracy", min_delta=-0.5)
        assert low.better(1.4, 2.0) and not low.better(1.5, 2.0) and not low.better(2.6, 2.0)
        assert high.better(2.6, 2.0) and not high.better(2.5, 2.0) and not high.better(1.4, 2.0)
        for never in (math.nan, math.inf, -math.inf):
            assert not low.better(never, math.inf) and not high.better(never, -math.inf)


class TestEarlyStopping:
    @pytest.mark.parametrize(
        ("figures", "options", "epochs", "best"),
        [
            ([3, 2, 1, 1.5, 0.5], {}, 4, 2),
            ([3, 2, 2.5, 1, 1.5, 1.5, 0.5], {"patience": 2}, 6, 3),
            ([3, 2, 1.9, 1.8, 1.7], {"min_delta": 0.5}, 3, 1),
            ([1, 2, 3, 2.5], {"mode": "max"}, 4, 2),
            # Keras: what gets better goes on, above the baseline too; there, one epoch that does not ends it.
            ([3, 2.9, 2.8, 2.7, 2.6], {"baseline": 2.0, "patience": 2}, 5, 4),
            ([3, 2.9, 2.95, 1.0], {"baseline": 2.0, "patience": 2}, 3, 1),
            ([3, 1.9, 1.8, 2.7, 2.6, 5], {"baseline": 2.0, "patience": 2}, 5, 2),
            ([1, 9, 8, 7, 8, 8], {"start_from_epoch": 2}, 5, 3),
            ([math.nan, 2, math.nan, 1, 3, 3], {"patience": 2}, 6, 3),
            ([5, 4, 3], {}, 3, 2),
        ],
    )
    def test_when_it_ends_and_what_was_best(self, data, figures, options, epochs, best):
        model, kept = make(), Weights()
        stopping = EarlyStopping(**options)
        history = play(model, data, figures, stopping, kept)
        assert len(history.epoch) == epochs and stopping.best_epoch == best and stopping.best == figures[best]
        better_to_the_end = best == len(figures) - 1
        assert stopping.stopped_epoch == (None if better_to_the_end else epochs - 1)
        np.testing.assert_array_equal(model.parameters.flat, kept.kept[best])

    def test_the_last_weights_stay_if_asked(self, data):
        model, kept = make(), Weights()
        play(model, data, [1, 2, 3], EarlyStopping(patience=1, restore_best_weights=False), kept)
        assert len(kept.kept) == 2
        np.testing.assert_array_equal(model.parameters.flat, kept.kept[-1])

    def test_restored_weights_are_those_that_answer(self, data):
        model = make(SGD(0.2))
        answers = []
        asking = LambdaCallback(on_epoch_end=lambda epoch, logs: answers.append(model.predict(data[0])))
        play(model, data, [1, 2, 3, 4], EarlyStopping(patience=2), asking)
        assert not np.array_equal(answers[0], answers[-1])
        np.testing.assert_array_equal(model.predict(data[0]), answers[0])

    def test_a_second_run_begins_anew(self, data):
        model, stopping = make(), EarlyStopping()
        play(model, data, [1, 2, 3], stopping)
        assert len(play(model, data, [9, 8, 7, 8], stopping).epoch) == 4 and stopping.best == 7

    def test_an_interruption_leaves_the_last_weights(self, data):
        def interrupt(epoch, logs):
            if epoch == 2:
                signal.raise_signal(signal.SIGINT)

        model, kept = make(), Weights()
        listeners = [Play([1, 2, 3]), EarlyStopping(patience=9), kept, LambdaCallback(on_epoch_end=interrupt)]
        with pytest.raises(Interrupted):
            model.fit(*data, epochs=3, callbacks=listeners, verbose=0)
        np.testing.assert_array_equal(model.parameters.flat, kept.kept[2])

    def test_it_says_so_on_stderr(self, data, capsys):
        play(make(), data, [1, 2], EarlyStopping(verbose=1))
        expected = "EarlyStopping: training ended after epoch 2; the best was epoch 1, val_loss 1.\n"
        assert capsys.readouterr().err == expected


class TestModelCheckpoint:
    def test_every_epoch_has_its_file(self, data, tmp_path):
        model, kept = make(Adam(0.1)), Weights()
        saving = ModelCheckpoint(tmp_path / "m-{epoch:02d}-{val_loss:.1f}.elman")
        play(model, data, [3.25, 1.0], saving, kept)
        names = sorted(os.listdir(tmp_path))
        assert names == ["m-01-3.2.elman", "m-02-1.0.elman"] and saving.last_path == str(tmp_path / names[1])
        for name, flat in zip(names, kept.kept, strict=True):
            again = elman.load(tmp_path / name)
            np.testing.assert_array_equal(again.parameters.flat, flat)
        assert len(again.history.epoch) == 2  # the epoch is in its own file

    def test_only_the_best_are_saved(self, data, tmp_path):
        saving = ModelCheckpoint(tmp_path / "{epoch}.elman", save_best_only=True)
        play(make(), data, [3, 4, 2, math.nan, 2, 1], saving)
        assert sorted(os.listdir(tmp_path)) == ["1.elman", "3.elman", "6.elman"] and saving.best == 1
        saving = ModelCheckpoint(tmp_path / "max", "x", save_best_only=True, mode="max", initial_value_threshold=5)
        play(make(), data, [3, 4], saving, name="x")
        assert saving.last_path is None
        play(make(), data, [6], saving, name="x")
        assert saving.last_path == str(tmp_path / "max")

    def test_after_so_many_batches(self, data, tmp_path):
        saving = ModelCheckpoint(tmp_path / "{epoch}-{batch}-{loss:.0e}", save_freq=4)
        history = make().fit(*data, epochs=2, batch_size=4, callbacks=[saving], verbose=0)
        losses = history.batches
        assert sorted(os.listdir(tmp_path)) == [f"1-4-{losses[3]:.0e}", f"2-2-{losses[7]:.0e}", f"2-6-{losses[11]:.0e}"]

    @pytest.mark.parametrize(("best_only", "files"), [(False, ["1.elman", "2.elman"]), (True, ["1.elman"])])
    def test_a_signal_saves_the_unfinished_epoch(self, data, tmp_path, best_only, files):
        def interrupt(epoch, logs):
            if epoch == 1:
                signal.raise_signal(signal.SIGTERM)

        model = make()
        saving = ModelCheckpoint(tmp_path / "{epoch}.elman", "loss", save_best_only=best_only)
        with pytest.raises(Interrupted):
            model.fit(*data, epochs=3, callbacks=[LambdaCallback(on_epoch_begin=interrupt), saving], verbose=0)
        assert sorted(os.listdir(tmp_path)) == files
        same = np.array_equal(elman.load(tmp_path / files[-1]).parameters.flat, model.parameters.flat)
        assert same != best_only  # one batch of the second epoch was finished

    @pytest.mark.parametrize("built", [False, True])
    @pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_batch_begin"])
    def test_a_run_without_a_step_leaves_the_file_as_it_was(self, data, tmp_path, hook, built):
        def guilty(*_):
            raise KeyError("mine")

        path = tmp_path / "m.elman"
        path.write_bytes(b"the work of weeks")
        model = make()
        if built:
            model.build(2)
        listeners = [ModelCheckpoint(path), LambdaCallback(**{hook: guilty})]
        with pytest.raises(KeyError, match="mine"):
            model.fit(*data, callbacks=listeners, verbose=0)
        assert path.read_bytes() == b"the work of weeks"
        with pytest.raises(UsageError, match="follows a schedule"):
            make(SGD(schedules.Step(0.1, 9))).fit(
                *data, callbacks=[ModelCheckpoint(path, "loss"), ReduceLROnPlateau("loss")], verbose=0
            )
        assert path.read_bytes() == b"the work of weeks"
        listeners = [ModelCheckpoint(path), LambdaCallback(on_batch_end=guilty)]
        with pytest.raises(KeyError, match="mine"):
            model.fit(*data, callbacks=listeners, verbose=0)
        np.testing.assert_array_equal(elman.load(path).parameters.flat, model.parameters.flat)

    def test_a_second_run_has_figures_of_its_own(self, data, tmp_path):
        def guilty(batch, logs):
            if batch == 1 and saving.params["epochs"] == 7:
                raise KeyError("mine")

        saving = ModelCheckpoint(tmp_path / "{epoch}-{loss:.4f}.elman")
        model = make()
        model.fit(*data, epochs=2, callbacks=[saving], verbose=0)
        files = sorted(os.listdir(tmp_path))
        with pytest.raises(KeyError, match="mine"):
            model.fit(*data, epochs=7, batch_size=4, callbacks=[saving, LambdaCallback(on_batch_end=guilty)], verbose=0)
        assert sorted(os.listdir(tmp_path)) == files  # no file of this epoch under the loss of another
        counting = ModelCheckpoint(tmp_path / "every-{epoch}-{batch}", save_freq=4)
        for _ in range(2):
            model.fit(*data, batch_size=8, epochs=2, callbacks=[counting], verbose=0)
        assert [name for name in os.listdir(tmp_path) if name.startswith("every")] == ["every-2-1"]

    def test_a_copy_counts_for_itself(self, data, tmp_path):
        saving = ModelCheckpoint(tmp_path / "{epoch}-{batch}", save_freq=1)
        again = copy.copy(saving)
        make().fit(*data, callbacks=[again], verbose=0)
        assert os.listdir(tmp_path) == ["1-1"] and again.last_path is not None and saving.last_path is None

    def test_spoilt_parameters_are_not_saved(self, data, tmp_path):
        model = make()

        def spoil(batch, logs):
            model.parameters.flat[:] = np.nan

        saving = ModelCheckpoint(tmp_path / "{epoch}", save_freq=1)
        with pytest.raises(DivergedError):
            model.fit(*data, batch_size=24, callbacks=[LambdaCallback(on_batch_end=spoil), saving], verbose=0)
        assert os.listdir(tmp_path) == []

    def test_an_unknown_figure_in_the_name(self, data, tmp_path):
        saving = ModelCheckpoint(tmp_path / "{val_accuracy}.elman")
        with pytest.raises(UsageError, match=r"cannot be filled in \(KeyError: 'val_accuracy'\), .*'epoch', 'loss'"):
            make().fit(*data, callbacks=[saving], verbose=0)

    def test_a_folder_that_is_not_there(self, data, tmp_path):
        with pytest.raises(SaveError):
            make().fit(*data, callbacks=[ModelCheckpoint(tmp_path / "no" / "m.elman")], verbose=0)


class TestRates:
    def test_a_plateau_lowers_the_rate(self, data, capsys):
        model = make(SGD(0.08))
        reducing = ReduceLROnPlateau(factor=0.5, patience=2, verbose=1)
        history = play(model, data, [3, 2, 2, 2, 2, 2, 1, 1], reducing)
        # Keras: the rate of an epoch is the one that it was trained with.
        assert history.history["learning_rate"] == [0.08, 0.08, 0.08, 0.08, 0.04, 0.04, 0.02, 0.02]
        assert capsys.readouterr().err.startswith("ReduceLROnPlateau: learning rate 0.04 after epoch 4\n")

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"patience": 1, "cooldown": 2}, [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125]),  # as Keras counts
            ({"patience": 1, "min_lr": 0.02}, [1, 1, 0.5, 0.25, 0.25, 0.25, 0.25]),
            ({"patience": 0}, [1, 1, 0.5, 0.25, 0.125, 0.0625, 0.03125]),
            ({"patience": 1, "min_delta": 5.0}, [1, 1, 0.5, 0.25, 0.125, 0.0625, 0.03125]),
            ({"patience": 1, "mode": "max"}, [1, 1, 0.5, 0.25, 0.125, 0.0625, 0.03125]),
        ],
    )
    def test_how_far_and_how_often(self, data, options, expected):
        history = play(make(SGD(0.08)), data, [2.0] * 7, ReduceLROnPlateau(**{"factor": 0.5, **options}))
        assert history.history["learning_rate"] == pytest.approx([0.08 * share for share in expected])

    def test_a_function_sets_the_rate_of_every_epoch(self, data, capsys):
        model = make(SGD(0.08))
        halving = LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate, verbose=1)
        assert model.fit(*data, epochs=3, callbacks=[halving], verbose=0).history["learning_rate"] == [0.08, 0.04, 0.02]
        assert "epoch 3 learns with 0.02" in capsys.readouterr().err
        plain = LearningRateScheduler(lambda epoch: 0.5 / (epoch + 1))
        assert model.fit(*data, epochs=2, callbacks=[plain], verbose=0).history["learning_rate"] == [0.5, 0.25]
        assert model.optimizer.learning_rate == 0.25 == model.config()["compile"]["optimizer"]["learning_rate"]

    def test_a_lowered_rate_moves_the_parameters_less(self, data):
        one, two = make(SGD(0.08)), make(SGD(0.08))
        one.fit(*data, epochs=1, batch_size=24, verbose=0, rng=0)
        two.fit(*data, epochs=1, batch_size=24, verbose=0, rng=0, callbacks=[LearningRateScheduler(lambda e: 0.04)])
        start = make()
        start.build(2, rng=0)
        moved = [model.parameters.flat - start.parameters.flat for model in (one, two)]
        np.testing.assert_allclose(moved[0], 2 * moved[1], rtol=1e-12, atol=1e-15)

    @pytest.mark.parametrize("callback", [ReduceLROnPlateau("loss"), LearningRateScheduler(lambda epoch: 0.1)])
    def test_a_schedule_beside_them_is_refused_before_anything_is_learned(self, data, callback):
        model = make(SGD(schedules.Cosine(0.1, 10)))
        with pytest.raises(UsageError, match=r"learning rate follows a schedule, .*got Cosine\(.* Take one"):
            model.fit(*data, callbacks=[callback], verbose=0)
        assert len(model.history.batches) == 0


class TestCSVLogger:
    def read(self, path, separator=","):
        with open(path, newline="", encoding="utf-8") as file:
            return list(csv.reader(file, delimiter=separator))

    def test_a_line_per_epoch(self, data, tmp_path):
        path = tmp_path / "log.csv"
        history = make(metrics=["mae"]).fit(
            *data, epochs=2, validation_split=0.5, callbacks=[CSVLogger(path)], verbose=0
        )
        header, *rows = self.read(path)
        assert header == ["epoch", "loss", "mae", "val_loss", "val_mae"]
        for epoch, row in enumerate(rows):
            assert row[0] == str(epoch)
            assert [float(figure) for figure in row[1:]] == [history.history[name][epoch] for name in header[1:]]

    def test_a_file_is_replaced_or_continued(self, data, tmp_path):
        path = tmp_path / "log.csv"
        model = make()
        model.fit(*data, epochs=2, callbacks=[CSVLogger(path, separator=";")], verbose=0, validation_split=0.5)
        model.fit(*data, callbacks=[CSVLogger(path, separator=";", append=True)], verbose=0)
        rows = self.read(path, ";")
        assert [row[0] for row in rows] == ["epoch", "0", "1", "0"] and rows[-1][2] == "NA"
        model.fit(*data, callbacks=[CSVLogger(path)], verbose=0)
        assert [row[0] for row in self.read(path)] == ["epoch", "0"]
        other = tmp_path / "new.csv"
        model.fit(*data, callbacks=[CSVLogger(other, append=True)], verbose=0)
        assert self.read(other)[0] == ["epoch", "loss"]

    def test_what_was_written_is_there_after_an_error(self, data, tmp_path):
        path = tmp_path / "log.csv"

        def guilty(epoch, logs):
            raise RuntimeError(len(self.read(path)))

        with pytest.raises(RuntimeError, match="2"):
            make().fit(*data, callbacks=[CSVLogger(path), LambdaCallback(on_epoch_end=guilty)], verbose=0)

    def test_a_folder_that_is_not_there(self, data, tmp_path):
        with pytest.raises(SaveError, match=r"log\.csv' cannot be written"):
            make().fit(*data, callbacks=[CSVLogger(tmp_path / "no" / "log.csv")], verbose=0)


class TestTerminateOnNaN:
    def test_training_ends_in_good_order_with_the_last_finite_parameters(self, data):
        x, y = data
        model, kept, ended = make(), Weights(), []

        def spoil(epoch, logs):
            if epoch == 2:
                model.parameters.flat[:] = 1e300

        terminating = TerminateOnNaN()
        listeners = [
            terminating,
            kept,
            LambdaCallback(on_epoch_begin=spoil, on_train_end=lambda logs: ended.append(dict(logs))),
        ]
        with pytest.warns(RuntimeWarning, match="parameters are again those after epoch 2"):
            history = model.fit(x, y, epochs=5, callbacks=listeners, verbose=0)
        assert history.epoch == [0, 1] and isinstance(terminating.error, DivergedError)
        np.testing.assert_array_equal(model.parameters.flat, kept.kept[1])
        assert ended == [{"loss": history.history["loss"][1]}]

    def test_a_good_run_is_left_alone(self, data):
        terminating = TerminateOnNaN()
        assert len(make().fit(*data, epochs=2, callbacks=[terminating], verbose=0).epoch) == 2
        assert terminating.error is None


class TestTensorBoard:
    def test_without_tensorboardx_the_cure_is_said_before_anything_is_learned(self, data, monkeypatch, tmp_path):
        monkeypatch.setitem(sys.modules, "tensorboardX", None)
        model = make()
        with pytest.raises(UsageError, match=r"is not installed. Install it: pip install 'elman\[track\]'"):
            model.fit(*data, callbacks=[TensorBoard(tmp_path)], verbose=0)
        assert len(model.history.batches) == 0

    def test_figures_weights_and_batches_go_where_keras_puts_them(self, data, monkeypatch, tmp_path):
        written, closed = [], []

        class SummaryWriter:
            def __init__(self, folder):
                self.part = os.path.relpath(folder, tmp_path)

            def add_scalar(self, name, value, step):
                written.append((self.part, name, value, step))

            def add_histogram(self, name, values, step):
                written.append((self.part, name, np.shape(values), step))

            def flush(self):
                pass

            def close(self):
                closed.append(self.part)

        monkeypatch.setitem(sys.modules, "tensorboardX", types.SimpleNamespace(SummaryWriter=SummaryWriter))
        model = make(SGD(schedules.Step(0.1, 100)))
        board = TensorBoard(tmp_path, histogram_freq=2, update_freq=2)
        history = model.fit(*data, epochs=3, batch_size=6, validation_split=0.25, callbacks=[board], verbose=0, rng=0)
        figures = history.history
        for epoch in range(3):
            assert ("train", "epoch_loss", figures["loss"][epoch], epoch) in written
            assert ("train", "epoch_learning_rate", 0.1, epoch) in written
            assert ("validation", "epoch_loss", figures["val_loss"][epoch], epoch) in written
        batches = [(step, value) for part, name, value, step in written if name == "batch_loss"]
        assert batches == [(step, pytest.approx(history.batches[step])) for step in (0, 2, 4, 6, 8)]
        assert {(name, shape, step) for _, name, shape, step in written if name == "dense/weight"} == {
            ("dense/weight", (1, 3), 0),
            ("dense/weight", (1, 3), 2),
        }
        assert sorted(closed) == ["train", "validation"]

    def test_a_copy_writes_by_itself_and_a_refused_run_writes_nothing(self, data, monkeypatch, tmp_path):
        made = []

        class SummaryWriter:
            def __init__(self, folder):
                made.append(folder)

            def add_scalar(self, name, value, step):
                pass

            flush = close = lambda self: None

        monkeypatch.setitem(sys.modules, "tensorboardX", types.SimpleNamespace(SummaryWriter=SummaryWriter))
        board = TensorBoard(tmp_path, update_freq="batch")
        with pytest.raises(UsageError, match="follows a schedule"):
            make(SGD(schedules.Step(0.1, 9))).fit(*data, callbacks=[board, ReduceLROnPlateau("loss")], verbose=0)
        assert made == []
        again = copy.copy(board)
        again._batches = 5
        make().fit(*data, batch_size=12, callbacks=[again], verbose=0)
        assert again._batches == 7 and board._batches == 0 and len(made) == 1

    def test_the_real_writer_writes_event_files(self, data, tmp_path):
        pytest.importorskip("tensorboardX", reason="tensorboardX is not installed (the extra 'track')")
        board = TensorBoard(tmp_path, histogram_freq=1, update_freq="batch")
        make().fit(*data, epochs=2, validation_split=0.25, callbacks=[board], verbose=0)
        for part in ("train", "validation"):
            (file,) = (tmp_path / part).iterdir()
            assert file.stat().st_size > 100


@pytest.mark.parametrize(
    ("make_one", "message"),
    [
        (lambda: EarlyStopping(mode="best"), "EarlyStopping: mode is not accepted, expected 'auto', 'min' or 'max'"),
        (lambda: EarlyStopping(3), "monitor is no name, expected such as 'val_loss', got 3"),
        (lambda: EarlyStopping(patience=-1), "EarlyStopping, patience: this is no count"),
        (lambda: EarlyStopping(start_from_epoch=1.5), "start_from_epoch: this is no count"),
        (lambda: EarlyStopping(min_delta=math.nan), "min_delta is out of range"),
        (lambda: EarlyStopping(baseline="low"), "baseline is out of range"),
        (lambda: EarlyStopping(restore_best_weights=None), "restore_best_weights is neither True nor False"),
        (lambda: ModelCheckpoint("x", save_freq=0), "ModelCheckpoint, save_freq: this is no count"),
        (lambda: ModelCheckpoint("x", save_freq=3, save_best_only=True), "save_best_only needs the figures of whole"),
        (lambda: ModelCheckpoint("x", save_best_only="yes"), "save_best_only is neither True nor False"),
        (lambda: ReduceLROnPlateau(factor=1.0), r"factor is out of range, expected a number in \(0, 1\), got 1.0"),
        (lambda: ReduceLROnPlateau(min_lr=-1), "min_lr is out of range"),
        (lambda: ReduceLROnPlateau(cooldown=-1), "cooldown: this is no count"),
        (lambda: LearningRateScheduler(0.1), "schedule is no function, .*got 0.1"),
        (lambda: CSVLogger("x", separator="--"), "separator is not accepted, expected one character, got '--'"),
        (lambda: LambdaCallback(on_epoch=print), r"there is no hook 'on_epoch', expected some of \['on_batch_begin',"),
        (lambda: LambdaCallback(on_epoch_end=3), "on_epoch_end is no function, got 3"),
        (lambda: TensorBoard("x", histogram_freq=-1), "histogram_freq: this is no count"),
        (lambda: TensorBoard("x", update_freq="step"), "update_freq: this is no count"),
    ],
)
def test_wrong_options_are_named(make_one, message):
    with pytest.raises(UsageError, match=message):
        make_one()


def test_a_rate_that_is_none_is_named_when_the_epoch_begins(data):
    with pytest.raises(UsageError, match=r"LearningRateScheduler: the learning rate is out of range, .*got None"):
        make().fit(*data, callbacks=[LearningRateScheduler(lambda epoch: None)], verbose=0)
    model = make()
    with pytest.raises(UsageError, match=r"the learning rate is out of range, .*got Step\("):
        model.fit(*data, callbacks=[LearningRateScheduler(lambda epoch: schedules.Step(0.1, 5))], verbose=0)
    assert model.optimizer.schedule is None


def test_a_rate_set_in_every_epoch_does_not_go_with_a_rollback(data):
    model = make()
    with pytest.raises(
        UsageError, match=r"which a callback sets anew in every epoch, got LearningRateScheduler\. Take"
    ):
        model.fit(*data, callbacks=[LearningRateScheduler(lambda e: 0.1)], on_nonfinite="rollback", verbose=0)
    assert not model.built
    model.fit(*data, callbacks=[ReduceLROnPlateau("loss")], on_nonfinite="rollback", verbose=0)
