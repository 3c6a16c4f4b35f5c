"""What fit does with schedules, carried state, batches of many shapes, and numbers that are not finite."""

import io
import math
import warnings

import numpy as np
import pytest
from test_training import Batches, Engine

import elman
from elman import files, layers, schedules
from elman.errors import DataError, DivergedError, ModelFileError, ResourceError, UsageError
from elman.metrics import F1
from elman.ragged import Ragged
from elman.training import loop, progress
from elman.training.batches import SequenceBatches
from elman.training.optimizers import OPTIMIZERS, SGD, Adam
from elman.training.run import MAX_ROLLBACKS


def make(*stack, optimizer=None, loss="mse", dtype="float64", **compiled):
    model = elman.Sequential(stack or [layers.GRU(3), layers.Dense(1)], dtype=dtype)
    model.compile(optimizer or SGD(0.05), loss, **compiled)
    return model


def twins(build, *stacks, **options):
    models = [make(*stack, **options) for stack in stacks]
    for model in models:
        model.build(build, rng=4)
    return models


@pytest.fixture
def data(rng):
    x = rng.normal(size=(24, 5, 2))
    return x, x[:, :, :1].sum(1)


class TestSchedules:
    def test_every_batch_takes_its_rate_and_the_history_says_the_next(self, data):
        x, y = data
        rate = schedules.Exponential(0.2, 1, 0.5)
        one, two = twins(2, [], [], optimizer=None)
        one.compile(SGD(rate), "mse")
        history = one.fit(x, y, batch_size=12, epochs=2, shuffle=False, verbose=0)
        assert history.history["learning_rate"] == [0.05, 0.0125]
        for step in range(4):
            part = slice(0, 12) if step % 2 == 0 else slice(12, 24)
            _, gradients, _ = two.gradients(x[part], y[part])
            weights = two.named_weights()
            two.set_weights({name: w - 0.2 * 0.5**step * gradients[name] for name, w in weights.items()})
        np.testing.assert_allclose(one.parameters.flat, two.parameters.flat, rtol=1e-12, atol=1e-15)

    def test_without_a_schedule_there_is_no_column(self, data):
        assert set(make().fit(*data, verbose=0).history) == {"loss"}

    @pytest.mark.parametrize("name", OPTIMIZERS)
    def test_a_file_remembers_optimizer_and_schedule(self, data, name, tmp_path):
        rate = schedules.Warmup(3, then=schedules.OneCycle(0.01, 40, 0.25))
        model = make(optimizer=OPTIMIZERS[name](rate))
        model.fit(*data, verbose=0)
        model.save(tmp_path / "m.elman")
        again = elman.load(tmp_path / "m.elman")
        assert type(again.optimizer) is OPTIMIZERS[name] and again.optimizer.schedule == rate
        assert again.optimizer.config() == model.optimizer.config()
        assert again.history.history["learning_rate"] == pytest.approx(model.history.history["learning_rate"])

    @pytest.mark.parametrize("name", OPTIMIZERS)
    def test_a_loaded_model_goes_on_in_its_schedule(self, data, name, tmp_path):
        """The count comes back and the moments do not: the first step is that of a new optimizer of this rate."""
        model = make(optimizer=OPTIMIZERS[name](schedules.Step(0.1, decay_steps=2, decay_rate=0.5)))
        for _ in range(5):
            model.train_on_batch(*data)
        assert model.optimizer.learning_rate == 0.025
        model.save(tmp_path / "m.elman")
        again, new = elman.load(tmp_path / "m.elman"), elman.load(tmp_path / "m.elman")
        assert (again.optimizer.steps, again.optimizer.learning_rate) == (5, 0.025)
        new.compile(OPTIMIZERS[name](0.025), "mse")
        for step, rate in ((6, 0.0125), (7, 0.0125)):
            again.train_on_batch(*data)
            new.train_on_batch(*data)
            assert (again.optimizer.steps, again.optimizer.learning_rate) == (step, rate)
            np.testing.assert_allclose(again.parameters.flat, new.parameters.flat, rtol=1e-12)
            new.optimizer.learning_rate = 0.0125
        again.save(tmp_path / "m.elman")
        assert elman.load(tmp_path / "m.elman").optimizer.steps == 7
        assert elman.Sequential.from_config(again.config()).optimizer.steps == 0  # a model that has not begun

    @pytest.mark.parametrize("steps", [-1, 2**60, 1.5, True, "9", None])
    def test_a_forged_count_of_steps_in_a_file_is_refused(self, data, steps, tmp_path):
        model = make()
        model.build(2)
        meta = files.Meta(version="1", task="model", config=model.config(), training={"steps": steps})
        files.save(tmp_path / "m.elman", model.named_weights(), meta)
        with pytest.raises(ModelFileError, match=r"its training is not accepted \(steps is no count"):
            elman.load(tmp_path / "m.elman")

    def test_a_forged_schedule_in_a_file_is_refused(self, data):
        model = make(optimizer=SGD(schedules.Cosine(0.01, 40)))
        config = model.config()
        config["compile"]["optimizer"]["learning_rate"]["decay_steps"] = -3
        with pytest.raises(UsageError, match="decay_steps: this is no count"):
            elman.Sequential.from_config(config)

    @pytest.mark.parametrize("bar", [False, True])
    def test_progress_shows_the_rate_only_where_it_changes(self, data, bar, monkeypatch):
        class Terminal(io.StringIO):
            def isatty(self):
                return bar

        def shown(optimizer):
            stream = Terminal()
            monkeypatch.setattr("sys.stderr", stream)
            monkeypatch.setattr(progress.Bar, "interval", 0.0)
            make(optimizer=optimizer).fit(*data, epochs=2, batch_size=4, verbose=1)
            return stream.getvalue()

        assert "learning_rate" not in shown(SGD(1e-5))
        assert "learning_rate 1e-05" in shown(SGD(schedules.Step(1e-5, 1000)))


class TestCarriedState:
    def cut(self, rng, n_streams=3, windows=4, steps=5):
        """Give long sequences, and the same cut into windows: batch k holds window k of every sequence."""
        x = rng.normal(size=(n_streams, windows * steps, 2))
        y = np.cumsum(x[:, :, :1], axis=1)
        cut = lambda a: a.reshape(n_streams, windows, steps, -1).swapaxes(0, 1).reshape(-1, steps, a.shape[-1])  # noqa: E731
        return cut(x), cut(y)

    @pytest.mark.parametrize("kind", [layers.RNN, layers.LSTM, layers.GRU])
    def test_it_is_the_loop_by_hand(self, rng, kind):
        x, y = self.cut(rng)
        held_x, held_y = self.cut(rng, windows=2)
        stack = lambda: [kind(4, return_sequences=True), kind(3, return_sequences=True), layers.Dense(1)]  # noqa: E731
        one, two = twins(2, stack(), stack(), optimizer=SGD(0.1))
        options = {"validation_data": (held_x, held_y), "verbose": 0}
        history = one.fit(x, y, batch_size=3, epochs=2, carry_state=True, **options)
        losses, held = [], []
        for _ in range(2):
            state = None
            for k in range(0, 12, 3):
                loss, gradients, state = two.gradients(x[k : k + 3], y[k : k + 3], state=state)
                losses.append(loss)
                weights = two.named_weights()
                two.set_weights({name: w - 0.1 * gradients[name] for name, w in weights.items()})
            first, state = two.predict(held_x[:3], return_state=True)
            second = two.predict(held_x[3:], state=state)
            held.append(((np.concatenate([first, second]) - held_y) ** 2).mean())
        np.testing.assert_allclose(history.batches, np.float32(losses), rtol=1e-7)
        np.testing.assert_allclose(one.parameters.flat, two.parameters.flat, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(history.history["val_loss"], held, rtol=1e-12)
        np.testing.assert_allclose(history.history["loss"], np.reshape(losses, (2, 4)).mean(1), rtol=1e-12)

    def test_it_is_not_what_comes_without_it(self, rng):
        x, y = self.cut(rng)
        stack = lambda: [layers.GRU(4, return_sequences=True), layers.Dense(1)]  # noqa: E731
        one, two = twins(2, stack(), stack())
        carried = one.fit(x, y, batch_size=3, carry_state=True, verbose=0, shuffle=True).batches
        plain = two.fit(x, y, batch_size=3, shuffle=False, verbose=0).batches
        assert carried[0] == plain[0] and not np.isclose(carried[1:], plain[1:], rtol=1e-3).any()

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"batch_size": 5}, DataError, "12 sequences do not divide into batches of 5 that carry their state"),
            ({"token_budget": 10}, UsageError, "carry_state does not go with token_budget"),
            ({"bucket_by_length": True, "batch_size": 3}, UsageError, "carry_state does not go with bucket_by_length"),
            ({"batch_size": 3, "validation_split": 1 / 6}, DataError, "10 sequences do not divide into batches of 3"),
            (
                {"batch_size": 5, "validation_split": 1 / 6},
                DataError,
                r"fit, validation: 2 sequences do not fill a batch of 5 that carries its state, "
                r"expected whole batches, got 2 sequences\. Take batch_size=2, or a smaller one that divides it\.",
            ),
            (
                {"batch_size": 5, "validation_split": 0.58},
                DataError,
                r"fit, validation: 7 sequences do not divide into batches of 5 .* Leave out 2 of them",
            ),
            (
                {},
                DataError,
                r"fit: 12 sequences do not fill a batch of 32 that carries its state, expected whole batches, "
                r"got 12 sequences\. Take batch_size=12, or a smaller one that divides it\.",
            ),
            ({"batch_size": 4, "validation_split": 0.25, "carry_state": "yes"}, UsageError, "neither True nor False"),
        ],
    )
    def test_what_does_not_divide_or_keep_its_order_is_refused(self, rng, options, error, message):
        model = make(layers.GRU(4, return_sequences=True), layers.Dense(1))
        with pytest.raises(error, match=message):
            model.fit(*self.cut(rng), **{"carry_state": True, "verbose": 0, **options})
        assert not model.built

    def test_layers_that_look_ahead_are_named(self, rng):
        both = layers.Bidirectional(layers.GRU(4, return_sequences=True), name="both")
        model = make(both, layers.Dense(1))
        with pytest.raises(UsageError, match=r"fit, carry_state: Bidirectional 'both' .* so no state can be carried"):
            model.fit(*self.cut(rng), batch_size=3, carry_state=True, verbose=0)


class TestValidation:
    @pytest.mark.parametrize("steps", [False, True], ids=["rows", "steps of its own"])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_class_weights_are_for_training_alone(self, rng, steps, weighted):
        """As in Keras: the same sequences give the same figures, whichever way they are kept apart."""
        x = rng.normal(size=(10, 5, 2))
        y, w = rng.integers(0, 3, (10, 2) if steps else 10), rng.uniform(0.5, 2, 10) if weighted else None
        stack = lambda: [layers.GRU(3), *([layers.RepeatVector(2)] if steps else []), layers.Dense(3)]  # noqa: E731
        one, two = twins(2, stack(), stack(), loss="cross_entropy", metrics=["accuracy"])
        options = {"class_weight": {0: 1, 1: 9}, "verbose": 0, "rng": 0, "epochs": 2}
        split = one.fit(x, y, validation_split=0.4, sample_weight=w, **options)
        held = (x[6:], y[6:]) if w is None else (x[6:], y[6:], w[6:])
        apart = two.fit(x[:6], y[:6], validation_data=held, sample_weight=None if w is None else w[:6], **options)
        for name, figures in apart.history.items():
            assert split.history[name] == pytest.approx(figures, rel=1e-12)
        plain = one.evaluate(x[6:], y[6:], sample_weight=None if w is None else w[6:])
        assert split.history["val_loss"][-1] == pytest.approx(plain[0], rel=1e-12)


class TestShapesOfBatches:
    def ragged(self, rng, n=40):
        x = [rng.normal(size=(length, 2)) for length in rng.integers(0, 30, n)]
        return x, np.array([a.sum() for a in x])[:, None]

    @pytest.mark.parametrize("options", [{"bucket_by_length": True, "batch_size": 7}, {"token_budget": 64}])
    def test_one_seed_gives_the_same_training_and_another_another(self, rng, options):
        x, y = self.ragged(rng)

        def train(seed, **more):
            model = make()
            return model.fit(x, y, epochs=3, verbose=0, rng=seed, **options, **more).batches

        np.testing.assert_array_equal(train(3), train(3))
        assert not np.array_equal(train(3)[:5], train(4)[:5])
        assert not np.array_equal(train(3)[:5], train(3, shuffle=False)[:5])

    def test_epoch_losses_are_those_of_all_sequences(self, rng):
        x, y = self.ragged(rng)
        for options in ({"bucket_by_length": True}, {"token_budget": 50}, {"token_budget": 50, "batch_size": 2}):
            model = make(optimizer=SGD(1e-300))
            history = model.fit(x, y, verbose=0, rng=0, **options)
            assert history.history["loss"][0] == pytest.approx(model.evaluate(x, y), rel=1e-12)

    def test_a_budget_without_a_batch_size_has_no_other_bound(self, rng):
        x, y = self.ragged(rng)
        total = sum(map(len, x))
        assert len(make().fit(x, y, token_budget=total, verbose=0).batches) == 1
        assert len(make().fit(x, y, token_budget=total, batch_size=32, verbose=0).batches) == 2
        assert len(make().fit(x, y, verbose=0).batches) == 2  # 32, as in Keras

    def test_a_sequence_above_the_budget_is_named(self, rng):
        x, y = self.ragged(rng)
        longest = int(np.argmax([len(a) for a in x]))
        model = make()
        with pytest.raises(DataError, match=f"fit: sequence {longest} alone is longer than token_budget, .*, got 2"):
            model.fit(x, y, token_budget=20, verbose=0)
        assert not model.built

    def test_memory_is_counted_within_the_budget(self, rng, monkeypatch):
        asked = []
        monkeypatch.setattr(
            "elman.model.sequential.check_memory", lambda *_, **given: asked.append(given["batch_size"])
        )
        x = Ragged(rng.normal(size=(60, 2)), [10, 20, 30])
        for options, most in (
            ({"token_budget": 50}, 2),
            ({"token_budget": 30}, 1),
            ({"token_budget": 600}, 3),
            ({}, 32),
        ):
            make().fit(x, np.zeros((3, 1)), verbose=0, **options)
            assert asked.pop() == most

    def test_memory_of_a_batch_of_many_short_sequences_is_counted(self, rng, monkeypatch):
        """RepeatVector makes as many steps of a short sequence as of a long one."""
        limit = 40_000_000
        monkeypatch.setattr("elman.model.memory.machine_bytes", lambda: limit)
        x = [np.ones((1, 2))] * 1000 + [np.ones((1000, 2))]
        stack = lambda: (layers.GRU(2), layers.RepeatVector(500), layers.GRU(4, return_sequences=True), layers.Dense(1))  # noqa: E731
        model = make(*stack())
        with pytest.raises(ResourceError, match=r"fit: a batch of 1,000 steps needs 0\.\d GB"):
            model.fit(x, np.zeros((1001, 500, 1)), token_budget=1000, verbose=0)
        assert not model.built
        model.fit(x[:3], np.zeros((3, 500, 1)), token_budget=1000, verbose=0)


class TestNonfinite:
    def fit(self, engine, n=2, optimizer=None, **options):
        return loop.fit(engine, Batches([True] * n), optimizer or SGD(0.1), epochs=len(engine.losses) // n, **options)

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_a_skipped_batch_takes_no_step_and_is_counted(self, bad):
        engine = Engine([4.0, bad, bad, 3.0, 2.0, 1.0])
        with pytest.warns(RuntimeWarning, match=f"batch 2 of epoch 1 is left out, its loss is {bad}") as warned:
            history = self.fit(engine, on_nonfinite="skip")
        assert len(warned) == 1
        assert history.history == {"loss": [4.0, 3.0, 1.5], "skipped": [1.0, 1.0, 0.0]}
        np.testing.assert_array_equal(history.batches, np.float32([4, 3, 2, 1]))
        np.testing.assert_allclose(engine.parameters.flat, [1 - 4 * 0.05, 2 - 4 * 0.05], rtol=1e-15)

    @pytest.mark.parametrize("clip", [None, 10.0])
    def test_a_gradient_that_is_not_finite_is_skipped_too(self, clip):
        engine = Engine([4.0, 3.0], grads=[math.nan, 0.5])
        with pytest.warns(RuntimeWarning, match="its gradient norm is nan"):
            history = self.fit(engine, on_nonfinite="skip", clip=clip)
        assert history.history["skipped"] == [1.0] and np.isfinite(engine.parameters.flat).all()

    def test_a_skipped_batch_counts_in_no_metric_and_its_state_ends(self, rng):
        engine = Engine([1.0, math.nan, 1.0, 1.0])
        with pytest.warns(RuntimeWarning):
            loop.fit(engine, Batches([True, False, False, False]), SGD(0.1), on_nonfinite="skip")
        assert engine.states == [None, 0, None, 2]
        x, y = rng.normal(size=(4, 3, 2)), rng.normal(size=(4, 1))
        model = make(optimizer=SGD(1e-300), metrics=["mae"])
        model.build(2, rng=0)
        expected = model.evaluate(x[:3], y[:3], return_dict=True)
        y[3] = 1e200  # its square is infinite
        with pytest.warns(RuntimeWarning):
            history = model.fit(x, y, batch_size=1, on_nonfinite="skip", verbose=0).history
        assert history["mae"][0] == pytest.approx(expected["mae"]) and history["loss"][0] == pytest.approx(
            expected["loss"]
        )

    def test_an_epoch_of_nothing_but_skipped_batches_raises(self):
        engine = Engine([4.0, 3.0, math.nan, math.nan])
        with (
            pytest.warns(RuntimeWarning),
            pytest.raises(DivergedError, match="no batch had a finite loss and gradient"),
        ):
            self.fit(engine, on_nonfinite="skip")
        np.testing.assert_allclose(engine.parameters.flat, [0.9, 1.9], rtol=1e-15)

    def test_a_rollback_begins_the_epoch_again_with_half_the_rate(self):
        engine = Engine([4.0, 3.0, 2.0, math.nan, 2.0, 1.0])
        optimizer = SGD(0.1)
        with pytest.warns(RuntimeWarning, match=r"step 4 \(epoch 2\).* half the learning rate, 0.05 \(1 of 3 times\)"):
            history = loop.fit(engine, Batches([True] * 2), optimizer, epochs=2, on_nonfinite="rollback")
        assert history.history == {"loss": [3.5, 1.5], "rollbacks": [0.0, 1.0], "learning_rate": [0.1, 0.05]}
        # Two steps of 0.1 · 0.5, one that was undone, two of half the rate.
        np.testing.assert_allclose(engine.parameters.flat, [0.9 - 0.05, 1.9 - 0.05], rtol=1e-15)
        assert optimizer.learning_rate == 0.05

    def test_a_validation_loss_that_is_not_finite_rolls_back(self):
        engine = Engine([4.0, 3.0, 3.0, 2.0])
        figures = iter([{"val_loss": math.inf}, {"val_loss": 1.0}])
        with pytest.warns(RuntimeWarning, match="validation loss became inf"):
            history = loop.fit(
                engine, Batches([True] * 2), Adam(0.1), validate=lambda stopped: next(figures), on_nonfinite="rollback"
            )
        assert history.history["val_loss"] == [1.0] and history.history["rollbacks"] == [1.0]

    def test_it_gives_up(self):
        engine = Engine([math.nan] * 9)
        optimizer = SGD(0.8)
        with warnings.catch_warnings(record=True) as warned, pytest.raises(DivergedError):
            warnings.simplefilter("always")
            loop.fit(engine, Batches([True]), optimizer, on_nonfinite="rollback")
        assert len(warned) == MAX_ROLLBACKS == engine.n - 1 and optimizer.learning_rate == 0.1
        np.testing.assert_array_equal(engine.parameters.flat, [1.0, 2.0])

    def test_a_rate_that_is_far_too_high_is_brought_down(self, rng):
        x = rng.normal(size=(256, 6, 2))
        y = 3 * x.sum((1, 2))[:, None]
        model = make(layers.RNN(8, activation="relu"), layers.Dense(1), optimizer=SGD(0.02), dtype="float32")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            history = model.fit(x, y, epochs=4, on_nonfinite="rollback", verbose=0, rng=0, batch_size=2)
        assert history.history["rollbacks"][0] >= 1 and np.isfinite(history.history["loss"]).all()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"on_nonfinite": "ignore"}, "on_nonfinite is not accepted, expected one of 'raise', 'skip', 'rollback'"),
            ({"on_nonfinite": None}, "on_nonfinite is not accepted"),
            ({"on_nonfinite": "rollback"}, r"halves the learning rate, which follows a schedule, got Cosine\("),
        ],
    )
    def test_wrong_ways_are_named_before_anything_is_built(self, data, options, message):
        model = make(optimizer=SGD(schedules.Cosine(0.1, 10)))
        with pytest.raises(UsageError, match=message):
            model.fit(*data, verbose=0, **options)
        assert not model.built


def test_fit_batches_names_an_argument_it_does_not_know(data):
    model = make()
    model.fit(*data, verbose=0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'epoch'"):
        model.fit_batches(Batches([True]), epoch=3)


def test_fit_batches_refuses_validation_that_is_no_batches_before_it_trains(data):
    model = make()
    model.fit(*data, verbose=0)
    before = model.parameters.flat.copy()
    with pytest.raises(UsageError, match=r"fit_batches: these are no batches, .*got tuple"):
        model.fit_batches(
            SequenceBatches(Ragged.from_dense(data[0]), data[1], batch_size=8, per_step=False),
            validation=data,
            verbose=0,
        )
    np.testing.assert_array_equal(model.parameters.flat, before)


ON_IDS = {
    "layer": lambda: layers.LSTM(4, dropout=0.2, name="encoder"),
    "both ways": lambda: layers.Bidirectional(layers.LSTM(4, dropout=0.2, name="encoder")),
    "the way back": lambda: layers.Bidirectional(
        layers.GRU(4), backward_layer=layers.LSTM(4, dropout=0.2, name="encoder")
    ),
}


@pytest.mark.parametrize("call", ["fit", "train_on_batch"])
@pytest.mark.parametrize("stack", ON_IDS)
def test_dropout_of_token_ids_is_refused_before_anything_is_built(rng, stack, call):
    model = make(ON_IDS[stack](), layers.Dense(3), loss="cross_entropy")
    x, y = rng.integers(0, 7, (6, 5)), rng.integers(0, 3, 6)
    words = r"LSTM 'encoder': dropout takes numbers, not token ids, got 0\.2\. Put Embedding before it"
    with pytest.raises(UsageError, match=words):
        getattr(model, call)(x, y)
    assert not model.built and model.history is None
    model.build(7)  # what is dropped in training does not keep anybody from asking
    assert model.predict(x).shape == (6, 3) and model.evaluate(x, y) > 0


@pytest.mark.parametrize(
    ("metric", "error", "words"),
    [
        ("top_k_accuracy", DataError, r"metric 'top_k_accuracy': all of 3 outputs .*, expected k <= 3, got 5"),
        (F1("binary"), UsageError, "metric 'f1_binary': there are not two classes, expected two, got 3 classes"),
    ],
)
def test_a_metric_that_the_outputs_are_too_few_or_many_for_is_refused_before_anything_is_built(
    rng, metric, error, words
):
    model = make(layers.GRU(4), layers.Dense(3), loss="cross_entropy", metrics=[metric])
    with pytest.raises(error, match=words):
        model.fit(rng.normal(size=(6, 5, 2)), rng.integers(0, 3, 6), verbose=0)
    assert not model.built and model.history is None
