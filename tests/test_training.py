"""The loop and what surrounds it: figures of an epoch, divergence, callbacks, progress, seeds."""

import errno
import io
import math
import pickle
import re
import sys
import time
import traceback

import numpy as np
import pytest

from elman.errors import DivergedError, UsageError
from elman.ops.losses import CrossEntropy
from elman.ragged import Ragged
from elman.training import loop, metrics, progress
from elman.training import run as run_module
from elman.training.batches import Batch, SequenceBatches
from elman.training.callbacks import Callback
from elman.training.history import History
from elman.training.optimizers import SGD, Adam
from elman.training.seeds import spawn


class Parameters:
    """The part of Parameters that the loop sees."""

    def __init__(self, values):
        self.flat = np.array(values, float)
        self.grads = np.zeros_like(self.flat)
        self.clock = type("Clock", (), {"ticks": 0})()


class Engine:
    """Plays losses, weights and gradients from a list and takes down how it is called."""

    def __init__(self, losses, weights=None, grads=None):
        self.parameters = Parameters([1.0, 2.0])
        self.losses, self.weights, self.grads = losses, weights or [1.0] * len(losses), grads
        self.states, self.rngs, self.n = [], [], 0

    def loss_and_gradients(self, batch, *, state=None, rng=None, observe=None, want_state=True):
        number, self.n = self.n, self.n + 1
        self.states.append(state)
        self.rngs.append(rng)
        self.parameters.grads[:] = 0.5 if self.grads is None else self.grads[number]
        if observe is not None:
            observe(np.array([[0.0, 1.0]]), np.array([number % 2]), None)
        return self.losses[number], self.weights[number], number if want_state else None

    def loss_only(self, batch, *, state=None, observe=None, want_state=True):
        loss, weight, after = self.loss_and_gradients(batch, state=state, observe=observe, want_state=want_state)
        return loss, weight, after


class Batches:
    """Any number of batches that carry state, or do not."""

    carries_state, unit = True, "steps"

    def __init__(self, resets):
        self.resets, self.n_items = resets, 10 * len(resets)

    def __len__(self):
        return len(self.resets)

    def __iter__(self):
        for reset in self.resets:
            yield Batch(None, None, None, reset)


def test_epoch_figures_are_means_over_targets_not_over_batches():
    losses, weights = [4.0, 1.0, 2.0, 3.0], [1.0, 7.0, 0.5, 0.0]
    history = loop.fit(Engine(losses, weights), Batches([True, False]), SGD(0.1), epochs=2)
    assert history.history == {"loss": [pytest.approx((4 + 7) / 8), pytest.approx(2.0)]}
    assert history.epoch == [0, 1]
    np.testing.assert_array_equal(history.batches, np.float32(losses))


def test_state_is_carried_and_reset_where_batches_say_so():
    engine = Engine([1.0] * 6)
    loop.fit(engine, Batches([True, False, True]), SGD(0.1), epochs=2)
    assert engine.states == [None, 0, None, None, 3, None]
    engine = Engine([1.0] * 4, [1.0, 2.0, 3.0, 4.0])
    assert loop.evaluate(engine, Batches([True, False, False, True])) == {"loss": 1.0, "weight": 10.0}
    assert engine.states == [None, 0, 1, None]


def test_evaluation_stops_where_asked():
    engine = Engine([1.0, 5.0, 9.0])
    asked = iter([False, True])
    assert loop.evaluate(engine, Batches([True] * 3), stopped=lambda: next(asked))["loss"] == 3.0
    assert engine.n == 2


def test_without_clip_no_norm_is_computed_and_with_it_every_batch_is(monkeypatch):
    norms = []
    monkeypatch.setattr(run_module, "clip_global_norm", lambda parameters, clip: norms.append(clip) or 1.0)
    loop.fit(Engine([1.0] * 3), Batches([True] * 3), SGD(0.1))
    assert norms == []
    loop.fit(Engine([1.0] * 3), Batches([True] * 3), SGD(0.1), clip=2.5)
    assert norms == [2.5] * 3


def test_metrics_are_gathered_over_the_epoch():
    measures = metrics.get("accuracy", CrossEntropy())
    history = loop.fit(Engine([1.0] * 5), Batches([True] * 5), SGD(0.1), metrics=measures)
    assert history.history["accuracy"] == [pytest.approx(2 / 5)]


class TestDivergence:
    """Rows of faults: the parameters of the last finite epoch come back, and the message says all."""

    def run(self, engine, *, n=2, epochs=3, optimizer=None, clip=None, callbacks=()):
        with pytest.raises(DivergedError) as caught:
            loop.fit(engine, Batches([True] * n), optimizer or SGD(0.1), epochs=epochs, clip=clip, callbacks=callbacks)
        return caught.value

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    def test_a_loss_that_is_not_finite(self, bad):
        engine = Engine([4.0, 3.0, 2.0, bad])
        error = self.run(engine)
        # After the two steps of epoch 1, each 0.1 * 0.5; the step of epoch 2 is undone.
        np.testing.assert_allclose(engine.parameters.flat, [0.9, 1.9], rtol=1e-15)
        assert engine.parameters.clock.ticks == 4  # three steps and the way back
        message = str(error)
        assert f"the loss became {bad} at step 4 (epoch 2)" in message
        assert "the last finite loss was 2" in message
        assert "after epoch 1" in message and "Lower learning_rate (it is 0.1) or give clip=1.0" in message
        assert isinstance(error, FloatingPointError) and error.exit_code == 5 and error.step == 4

    def test_in_the_first_epoch_the_first_parameters_come_back(self):
        engine = Engine([4.0, math.nan])
        assert "those before training" in str(self.run(engine))
        np.testing.assert_array_equal(engine.parameters.flat, [1.0, 2.0])

    def test_a_gradient_norm_that_is_not_finite_is_seen_before_the_step(self):
        engine = Engine([4.0, 3.0, 2.0], grads=[0.5, 0.5, math.nan])
        error = self.run(engine, clip=100.0)
        assert "the gradient norm became nan at step 3 (epoch 2)" in str(error)
        assert "or clip (it is 100)" in str(error) and math.isnan(error.norm)
        np.testing.assert_allclose(engine.parameters.flat, [0.9, 1.9], rtol=1e-15)

    def test_parameters_poisoned_by_the_last_batch_are_never_kept(self):
        saved = []

        class Save(Callback):
            def on_epoch_end(self, epoch, logs):
                saved.append(engine.parameters.flat.copy())

        engine = Engine([4.0, 3.0, 2.0, 1.0], grads=[0.5, 0.5, 0.5, math.inf])
        assert "a parameter became infinite or NaN" in str(self.run(engine, callbacks=[Save()]))
        np.testing.assert_allclose(engine.parameters.flat, [0.9, 1.9], rtol=1e-15)
        assert len(saved) == 1 and np.isfinite(saved).all()

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_a_validation_loss_that_is_not_finite(self, bad):
        engine, log = Engine([4.0, 3.0, 2.0, 1.0]), Log()
        figures = iter([{"val_loss": 5.0}, {"val_loss": bad}])
        with pytest.raises(DivergedError, match=rf"the validation loss became {bad} at step 4 \(epoch 2\)") as caught:
            loop.fit(
                engine,
                Batches([True] * 2),
                SGD(0.1),
                epochs=2,
                callbacks=[log],
                validate=lambda stopped: next(figures),
            )
        np.testing.assert_allclose(engine.parameters.flat, [0.9, 1.9], rtol=1e-15)
        assert "after epoch 1" in str(caught.value) and caught.value.step == 4
        assert [heard for heard in log.heard if heard[0] == "epoch"] == [("epoch", 0, {"loss": 3.5, "val_loss": 5.0})]

    def test_an_accuracy_of_nothing_is_no_divergence(self):
        validate = lambda stopped: {"val_loss": 0.0, "val_accuracy": math.nan}  # noqa: E731
        history = loop.fit(Engine([1.0]), Batches([True]), SGD(0.1), validate=validate)
        assert math.isnan(history.history["val_accuracy"][0])

    def test_the_optimizer_forgets_what_was_poisoned(self):
        optimizer = Adam(0.1)
        engine = Engine([4.0, 3.0, math.nan], grads=[0.5, math.nan, 0.5])
        self.run(engine, optimizer=optimizer, n=3)
        assert optimizer.steps == 0
        engine.parameters.grads[:] = 0.25
        optimizer.step(engine.parameters)
        assert np.isfinite(engine.parameters.flat).all()

    def test_on_interrupt_is_not_called(self):
        class Keep(Callback):
            def on_interrupt(self, signum):
                raise AssertionError("the last epoch's file must stay as it is")

        self.run(Engine([math.nan]), callbacks=[Keep()])


class Log(Callback):
    """Takes down everything it hears."""

    def __init__(self):
        self.heard = []

    def on_train_begin(self, logs):
        self.heard.append(("begin", dict(logs)))

    def on_batch_end(self, batch, logs):
        self.heard.append(("batch", batch, logs["loss"]))

    def on_epoch_end(self, epoch, logs):
        self.heard.append(("epoch", epoch, dict(logs)))

    def on_train_end(self, logs):
        self.heard.append(("end", dict(logs)))

    def on_interrupt(self, signum):
        self.heard.append(("interrupt", signum))


def test_callbacks_hear_everything_in_order():
    log = Log()
    loop.fit(
        Engine([4.0, 2.0, 1.0, 3.0]),
        Batches([True, True]),
        SGD(0.1),
        epochs=2,
        callbacks=[log],
        validate=lambda stopped: {"val_loss": 7.0},
    )
    assert log.heard == [
        ("begin", {}),
        ("batch", 0, 4.0),
        ("batch", 1, 2.0),
        ("epoch", 0, {"loss": 3.0, "val_loss": 7.0}),
        ("batch", 0, 1.0),
        ("batch", 1, 3.0),
        ("epoch", 1, {"loss": 2.0, "val_loss": 7.0}),
        ("end", {"loss": 2.0, "val_loss": 7.0}),
    ]


@pytest.mark.parametrize("hook", ["on_train_begin", "on_batch_end", "on_epoch_end", "on_train_end"])
def test_an_exception_in_a_callback_comes_out_with_its_traceback(hook):
    def guilty(*_):
        raise RuntimeError("my own fault")

    bad = type("Bad", (Callback,), {hook: guilty})()
    log = Log()
    with pytest.raises(RuntimeError, match="my own fault") as caught:
        loop.fit(Engine([1.0] * 2), Batches([True] * 2), SGD(0.1), callbacks=[bad, log])
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "guilty"
    assert caught.value.__cause__ is None
    # Before the first step there is nothing to keep.
    assert (log.heard[-1:] == [("interrupt", None)]) == (hook != "on_train_begin")


def test_an_exception_in_a_generator_comes_out_after_the_work_is_kept():
    class Broken(Batches):
        def __iter__(self):
            yield Batch(None, None, None, True)
            raise OSError("the disk of the data is gone")

    engine, log = Engine([1.0] * 3), Log()
    with pytest.raises(OSError, match="the disk of the data is gone"):
        loop.fit(engine, Broken([True] * 3), SGD(0.1), callbacks=[log])
    assert engine.n == 1 and log.heard[-1] == ("interrupt", None)


def test_a_failure_to_keep_the_work_never_hides_the_first_error():
    class Bad(Callback):
        def on_batch_end(self, batch, logs):
            raise RuntimeError("first")

        def on_interrupt(self, signum):
            raise OSError("second")

    with pytest.raises(RuntimeError, match="first") as caught:
        loop.fit(Engine([1.0]), Batches([True]), SGD(0.1), callbacks=[Bad()])
    assert any("OSError: second" in note for note in caught.value.__notes__)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs: this is no count, expected an integer >= 1, got 0"),
        ({"clip": 0}, "fit: clip is out of range, expected a number above 0, or None, got 0"),
        ({"clip": math.nan}, "clip is out of range"),
        ({"clip": True}, "clip is out of range"),
        ({"callbacks": [print]}, r"callbacks\[0\] is no callback"),
        ({"callbacks": Log()}, r"Write callbacks=\[callback\]"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    engine = Engine([1.0])
    with pytest.raises(UsageError, match=message):
        loop.fit(engine, Batches([True]), SGD(0.1), **options)
    assert engine.n == 0


def test_a_batch_of_one_short_sequence_costs_little_python():
    class Instant(Engine):
        def loss_and_gradients(self, batch, *, state=None, rng=None, observe=None, want_state=True):
            return 0.5, 8.0, None

    n = 2000
    x = Ragged.from_dense(np.zeros((n, 8, 2), np.float32))
    batches = SequenceBatches(x, np.zeros((n * 8, 1), np.float32), batch_size=1, per_step=True)
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        loop.fit(Instant([]), batches, SGD(0.1), progress=progress.Lines(io.StringIO()))
        seconds.append((time.perf_counter() - began) / n)
    # Measured 2 to 3 µs, the step of the optimizer included; the bound is that of the adder.
    assert min(seconds) < 15e-6


class TestHistory:
    def test_columns_stay_equally_long(self):
        history = History()
        history.add_epoch({"loss": 2.0})
        history.add_epoch({"loss": 1.0, "val_loss": 3.0})
        history.add_epoch({"val_loss": 2.5})
        assert history.epoch == [0, 1, 2]
        np.testing.assert_array_equal(history.history["val_loss"], [math.nan, 3.0, 2.5])
        np.testing.assert_array_equal(history.history["loss"], [2.0, 1.0, math.nan])

    @pytest.mark.parametrize("way", ["pickle", "tensors"])
    def test_it_comes_back(self, rng, way):
        history = History()
        for value in rng.random(5).astype(np.float32).tolist():
            history.record_batch(value)
            history.add_epoch({"loss": value, "val_loss": 2 * value})
        again = pickle.loads(pickle.dumps(history)) if way == "pickle" else History.from_tensors(history.tensors())
        assert again.history == history.history and again.epoch == history.epoch
        np.testing.assert_array_equal(again.batches, history.batches)
        again.record_batch(1.0)
        assert len(again.batches) == 6 and len(history.batches) == 5

    def test_a_second_fit_can_go_on(self):
        history = loop.fit(Engine([2.0]), Batches([True]), SGD(0.1))
        assert loop.fit(Engine([1.0]), Batches([True]), SGD(0.1), history=history) is history
        assert history.history["loss"] == [2.0, 1.0] and history.epoch == [0, 1]


class Terminal(io.StringIO):
    def isatty(self):
        return True


class TestProgress:
    def train(self, verbose, *, epochs=2, slow=0.0):
        class Slow(Engine):
            def loss_and_gradients(self, *args, **options):
                time.sleep(slow)
                return super().loss_and_gradients(*args, **options)

        shown = progress.make(verbose)
        loop.fit(
            Slow([4.0, 2.0, 1.0, 3.0] * epochs),
            Batches([True] * 4),
            SGD(0.1),
            epochs=epochs,
            progress=shown,
            validate=lambda stopped: {"val_loss": 0.125},
        )

    def test_silence(self, capsys):
        self.train(0)
        assert capsys.readouterr() == ("", "")

    @pytest.mark.parametrize("verbose", ["auto", 1, 2])
    def test_lines_where_there_is_no_terminal(self, capsys, verbose):
        self.train(verbose)
        captured = capsys.readouterr()
        assert captured.out == ""  # standard output belongs to data
        lines = captured.err.splitlines()
        assert lines[0].startswith("epoch 1/2  loss 2.5000  val_loss 0.1250  ")
        assert lines[-1].startswith("epoch 2/2  loss 2.5000") and "steps/s" in lines[-1]
        assert len(lines) == 2 and "\x1b" not in captured.err

    def test_a_line_now_and_then_within_an_epoch(self):
        stream = io.StringIO()
        lines = progress.Lines(stream, interval=0.0)
        loop.fit(Engine([4.0, 2.0, 1.0, 3.0]), Batches([True] * 4), SGD(0.1), progress=lines)
        shown = stream.getvalue().splitlines()
        assert len(shown) == 5
        assert re.match(r"epoch 1/1   50 %  loss 3\.0000  [\d,.]+ steps/s  .+ left$", shown[1])

    def test_many_short_epochs_do_not_flood_a_log(self, capsys):
        self.train("auto", epochs=300)
        assert len(capsys.readouterr().err.splitlines()) < 20

    @pytest.mark.parametrize("no_color", [False, True])
    def test_a_bar_on_a_terminal(self, monkeypatch, no_color):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", "120")
        monkeypatch.delenv("NO_COLOR", raising=False)
        if no_color:
            monkeypatch.setenv("NO_COLOR", "1")
        self.train("auto", slow=0.06)
        text = terminal.getvalue()
        assert "epoch 1/2  loss 2.5000  val_loss 0.1250" in text
        assert "━" in text and " left" in text and " 100 %" in text
        assert bool(re.search(r"\x1b\[[0-9;]*3[0-9]m", text)) != no_color  # a colour
        assert text.rstrip("\n").endswith(("\x1b[?25h", "\x1b[2K"))  # the cursor is back, the bar is gone

    def test_the_terminal_is_put_right_after_an_error(self, monkeypatch):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        with pytest.raises(DivergedError):
            loop.fit(Engine([math.nan]), Batches([True]), SGD(0.1), progress=progress.make("auto"))
        assert "\x1b[?25h" in terminal.getvalue()[terminal.getvalue().index("\x1b[?25l") :]

    @pytest.mark.parametrize("verbose", [3, "loud", None, -1])
    def test_other_values_are_named(self, verbose):
        with pytest.raises(UsageError, match="verbose is out of range"):
            progress.make(verbose)

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (0.0042, "4.2 ms"),
            (0.5, "500 ms"),
            (5.04, "5.0 s"),
            (59.97, "1:00"),
            (75, "1:15"),
            (5000, "1:23:20"),
            (math.inf, "?"),
        ],
    )
    def test_times_are_said_as_people_say_them(self, seconds, words):
        assert progress.duration(seconds) == words


class TestSeeds:
    KINDS = ("init", "shuffle", "dropout", "sampling")

    def draw(self, seeds):
        return [getattr(seeds, kind).integers(2**62, size=3).tolist() for kind in self.KINDS]

    def test_one_seed_gives_fixed_and_different_children(self):
        first = self.draw(spawn(7))
        assert first == self.draw(spawn(7)) == self.draw(spawn(np.int64(7)))
        assert len({tuple(numbers) for numbers in first}) == len(self.KINDS)
        assert first != self.draw(spawn(8)) and self.draw(spawn(None)) != self.draw(spawn(None))

    def test_drawing_from_one_child_changes_no_other(self):
        seeds = spawn(7)
        seeds.init.random(1000)
        assert self.draw(seeds)[1:] == self.draw(spawn(7))[1:]

    def test_a_sequence_or_generator_gives_new_children_each_time(self):
        for make in (np.random.SeedSequence, np.random.default_rng):
            source, other = make(3), make(3)
            first = self.draw(spawn(source))
            assert first == self.draw(spawn(other)) != self.draw(spawn(source))

    @pytest.mark.parametrize("bad", [-1, 1.5, "7", True, [1]])
    def test_what_is_no_seed_is_named(self, bad):
        with pytest.raises(UsageError, match="random_state: this is no seed"):
            spawn(bad, where="random_state")


def test_what_takes_long_says_how_far_it_is(capsys, monkeypatch):
    ticks = iter(range(0, 100, 3))  # every look at the clock is three seconds later
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(ticks))
    assert list(progress.watch("abcd", total=4, what="predict")) == list("abcd")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["predict    0 %  12.0 s left", "predict   50 %  9.0 s left"]
    assert list(progress.watch("abcd", total=4, what="predict", verbose=0)) == list("abcd")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("terminal", [False, True])
def test_a_reader_that_has_left_loses_no_work(monkeypatch, terminal):
    class Gone(io.StringIO):
        tried = 0

        def isatty(self):
            return terminal

        def write(self, text):
            Gone.tried += 1
            # What a terminal that is gone answers, and a pipe.
            raise OSError(errno.EIO, "gone") if terminal else BrokenPipeError

    ticks = iter(range(0, 100, 3))
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(ticks))
    monkeypatch.setattr("sys.stderr", Gone())
    assert list(progress.watch("abcd", total=4, what="predict")) == list("abcd")
    assert Gone.tried
