"""Batches in segments of time: the same losses, gradients, states and draws as at once, in bounded memory."""

from __future__ import annotations

import copy
import signal
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from elman import Sequential, layers
from elman.engines.native import Engine
from elman.engines.plans import Plan, borders_of, count_over_time, steps_ahead
from elman.engines.segments import Segmented
from elman.errors import Interrupted, ResourceError, UsageError
from elman.layers import GRU, LSTM, RNN, Dense, Dropout, Embedding, LayerNorm, Pooling, RepeatVector, Residual
from elman.model.budget import Budget, read_bytes
from elman.ops.noise import WindowDraws, coins, step_coins
from elman.ragged import Ragged
from elman.tasks import LanguageModel
from elman.training import callbacks, progress
from elman.training.batches import Batch

# float64: sums in another order; float32: as everywhere, of the norm.
TOLERANCES = {"float64": 1e-12, "float32": 1e-5}

RAGGED = [9, 0, 23, 1, 23, 4]
NOISE = dict(dropout=0.2, recurrent_dropout=0.3, zoneout=0.2, weight_drop=0.3)


def cells(**options: Any) -> dict[str, layers.Layer]:
    """Every cell with every option that changes what is carried or drawn, over H = 5."""
    more = dict(units=5, return_sequences=True, **options)
    return {
        "rnn": RNN(**more),
        "rnn relu": RNN(**more, activation="relu"),
        "rnn norm": RNN(**more, layer_norm=True),
        "lstm": LSTM(**more),
        "lstm peephole": LSTM(**more, peephole=True),
        "lstm coupled": LSTM(**more, coupled=True),
        "lstm projection": LSTM(**more, projection=3),
        "lstm norm": LSTM(**more, layer_norm=True),
        "gru": GRU(**more),
        "gru before": GRU(**more, reset_after=False),
        "gru norm": GRU(**more, layer_norm=True),
    }


#: name -> the stack, and whether there is a target for every step.
STACKS: dict[str, tuple[Callable[[], list[layers.Layer]], bool]] = {
    **{
        f"{name}{suffix}": (lambda name=name, options=options: [cells(**options)[name], Dense(2)], True)
        for suffix, options in ((", learned", dict(initial_state="learned")), (", noise", NOISE))
        for name in cells()
    },
    "zoneout of both": (lambda: [LSTM(5, return_sequences=True, zoneout=0.3, zoneout_cell=0.2), Dense(2)], True),
    "dropouts": (
        lambda: [Dropout(0.2), GRU(4, return_sequences=True), Dropout(0.3, per_sequence=True), Dense(2)],
        True,
    ),
    "residual stack": (
        lambda: [
            Dense(4, activation="tanh"),
            Residual(LSTM(4, return_sequences=True, **NOISE)),
            LayerNorm(),
            Residual(GRU(4, return_sequences=True, initial_state="learned")),
            Dropout(0.4),
            Dense(2),
        ],
        True,
    ),
    "last step": (
        lambda: [LSTM(5, return_sequences=True), Dropout(0.2), GRU(4, **NOISE), Dropout(0.2), Dense(2)],
        False,
    ),
    "last step, learned": (lambda: [RNN(5, initial_state="learned"), LayerNorm(), Dense(2)], False),
    "last step alone": (lambda: [LSTM(2)], False),
    "pooling last": (lambda: [GRU(5, return_sequences=True), Dropout(0.3), Pooling("last"), Dense(2)], False),
    "encoder": (lambda: [GRU(4), Dropout(0.3), RepeatVector(3), LSTM(3), Dense(2)], False),
    "no state": (lambda: [Dense(4, activation="tanh"), Dropout(0.3), Dense(2)], True),
}
STACKS |= {"pooling first": (lambda: [Pooling("last"), Dropout(0.2), Dense(2)], False)}


def make(name: str, dtype: str = "float64", loss: str = "mse") -> tuple[Sequential, Batch]:
    """Build a stack with random weights, biases and initial states too, and a ragged batch for it."""
    rng = np.random.default_rng(sum(map(ord, name)))
    stack, per_step = STACKS[name]
    model = Sequential(stack(), dtype=dtype)
    model.compile("sgd", loss, ["mae"])
    model.build(3, rng=1)
    model.set_weights({n: w + 0.2 * rng.standard_normal(w.shape) for n, w in model.named_weights().items()})
    x = Ragged(rng.standard_normal((sum(RAGGED), 3)).astype(dtype), RAGGED)
    rows = x.n_steps if per_step else len(x)
    return model, Batch(x, rng.standard_normal((rows, 2)).astype(dtype), rng.uniform(0.2, 2, rows), True)


def both(model: Sequential, batch: Batch, plan: Plan, *, state: Any = None, seed: int | None = 3) -> None:
    """Run a batch at once and in segments, and compare all that comes out."""
    engine = model._engine
    assert engine is not None
    results = []
    for runner in (engine, Segmented(engine, lambda _: plan)):
        rng = None if seed is None else np.random.default_rng(seed)
        if rng is not None:
            rng.random(dtype=np.float32)  # leaves half a word behind, which the pass must leave alone
        loss, weight, last = runner.loss_and_gradients(batch, state=state, rng=rng)
        drawn = None if rng is None else rng.bit_generator.state
        results.append((loss, weight, last, model.parameters.grads.copy(), drawn))
    (loss, weight, last, grads, drawn), (loss_2, weight_2, last_2, grads_2, drawn_2) = results
    tolerance = TOLERANCES[str(model.dtype)]
    assert loss_2 == pytest.approx(loss, rel=tolerance) and weight_2 == pytest.approx(weight, rel=1e-14)
    assert np.linalg.norm(grads_2 - grads) <= tolerance * np.linalg.norm(grads)
    for name, view in model.parameters.named_grads().items():  # a whole array that is wrong may be a small one
        part = grads[_place(model, view)].reshape(view.shape)
        assert np.linalg.norm(view - part) <= 10 * tolerance * (np.linalg.norm(part) + 1e-3 * np.linalg.norm(grads)), (
            name
        )
    for parts, parts_2 in zip(last, last_2, strict=True):
        for part, part_2 in zip(parts, parts_2, strict=True):
            np.testing.assert_array_equal(part, part_2)
    assert drawn == drawn_2


def _place(model: Sequential, view: np.ndarray) -> slice:
    grads = model.parameters.grads
    first = (view.ctypes.data - grads.ctypes.data) // grads.itemsize
    return slice(first, first + view.size)


@pytest.mark.mutants
@pytest.mark.parametrize("plan", [Plan(2, 2), Plan(5, 5), Plan(23, 2), Plan(23, 5)])
@pytest.mark.parametrize("name", STACKS)
def test_as_at_once(name: str, plan: Plan) -> None:
    model, batch = make(name)
    both(model, batch, plan)


@pytest.mark.parametrize("name", ["lstm projection, noise", "gru before, learned", "residual stack", "last step"])
def test_as_at_once_in_float32_and_without_weights_and_noise(name: str) -> None:
    model, batch = make(name, "float32")
    both(model, batch._replace(weights=None), Plan(6, 3))
    both(model, batch, Plan(6, 3), seed=None)


@pytest.mark.parametrize("name", ["lstm, learned", "residual stack", "last step", "pooling last", "encoder"])
def test_from_a_given_state(name: str) -> None:
    model, batch = make(name)
    rng = np.random.default_rng(9)
    state = tuple(tuple(rng.normal(size=(6, size)) for size in layer.state_sizes()) for layer in model.layers)
    both(model, batch, Plan(4, 2), state=state)


@pytest.mark.parametrize("loss, width", [("cross_entropy", 0), ("binary_crossentropy", 2), ("huber", 2), ("cosine", 2)])
def test_other_losses(loss: str, width: int) -> None:
    rng = np.random.default_rng(0)
    model = Sequential([Embedding(7, 4), LSTM(5, return_sequences=True), Dense(2)], dtype="float64")
    model.compile("sgd", loss)
    model.build(7, ids=True, rng=1)
    x = Ragged(rng.integers(0, 7, sum(RAGGED)), RAGGED)
    y = rng.uniform(size=(x.n_steps, width)) if width else rng.integers(0, 2, x.n_steps)
    weights = rng.uniform(0.2, 2, x.n_steps)
    weights[x.window_rows(4, 9)] = 0  # a segment in which nothing counts, and says nothing
    both(model, Batch(x, y, weights, True), Plan(23, 4))
    both(model, Batch(x, y, None, True), Plan(23, 4))


def test_nothing_counts() -> None:
    model, batch = make("lstm, noise")
    engine = Segmented(model._engine, lambda _: Plan(5, 2))  # type: ignore[arg-type]
    with pytest.warns(RuntimeWarning, match="no target has a weight above zero"):
        loss, weight, _ = engine.loss_and_gradients(batch._replace(weights=np.zeros(len(batch.target))))
    assert loss == weight == 0 and not model.parameters.grads.any()


def test_metrics_see_every_step_once() -> None:
    for name in ("lstm, noise", "last step"):
        model, batch = make(name)
        engine = model._engine
        assert engine is not None
        found = []
        for runner in (engine, Segmented(engine, lambda _: Plan(7, 3))):
            rows: list[Any] = []
            for run in (runner.loss_and_gradients, runner.loss_only):
                run(batch, observe=lambda *seen, rows=rows: rows.append([np.array(part) for part in seen]))
            found.append([np.concatenate(parts) for parts in zip(*rows, strict=True)])
        for whole, parts in zip(*found, strict=True):  # in the order of time
            np.testing.assert_allclose(np.sort(parts, axis=0), np.sort(whole, axis=0), rtol=1e-14)


def test_forward_and_loss_only_give_the_same_bits() -> None:
    for name in STACKS:
        model, batch = make(name)
        engine = model._engine
        assert engine is not None
        for plan in (Plan(4, 2), Plan(23, 23)):
            runner = Segmented(engine, lambda _, plan=plan: plan)
            (out, last), (out_2, last_2) = engine.forward(batch.x), runner.forward(batch.x)
            pairs = [(out, out_2)] if isinstance(out, np.ndarray) else [(out.values, out_2.values)]
            pairs += [pair for parts in zip(last, last_2, strict=True) for pair in zip(*parts, strict=True)]
            for one, other in pairs:
                np.testing.assert_array_equal(one, other)
            assert runner.loss_only(batch)[:2] == pytest.approx(engine.loss_only(batch)[:2], rel=1e-13)


# --- draws ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.PCG64DXSM])
def test_windows_draw_what_the_whole_draws(kind: Any) -> None:
    whole = Ragged(np.zeros((sum(RAGGED), 1)), RAGGED)
    rng = np.random.Generator(kind(4))
    draws = WindowDraws(rng, whole)
    plain = np.random.Generator(kind(4))
    per_sequence, per_step, again = coins(plain, 0.3, (6, 7)), step_coins(plain, 0.4, whole, 3), plain.random()
    for start, stop in ((8, 23), (0, 1), (1, 8), (0, 23)):  # in any order, and as often as may be
        draws.begin(start)
        np.testing.assert_array_equal(coins(draws, 0.3, (6, 7)), per_sequence)
        window = whole.window(start, stop)
        np.testing.assert_array_equal(step_coins(draws, 0.4, window, 3), per_step[whole.window_rows(start, stop)])
    draws.finish()
    assert rng.random() == again


# --- how a batch is cut -----------------------------------------------------------------------------------------------


def test_borders_share_out_the_steps() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        lengths = rng.integers(0, 60, rng.integers(1, 9))
        lengths[0] += 1
        n = int(rng.integers(1, 70))
        borders = borders_of(lengths, n)
        assert borders[0] == 0 and borders[-1] == lengths.max() and (np.diff(borders) > 0).all()
        held = np.diff([int(np.minimum(lengths, border).sum()) for border in borders])
        assert held.max() <= lengths.sum() / n + len(lengths) and len(borders) - 1 <= n


def test_no_more_states_are_kept_than_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain of any length, with two states a level: counted on the way."""
    model, batch = make("lstm, noise")
    engine = model._engine
    assert engine is not None
    ran: list[bool] = []
    run = engine._run

    def spy(*given: Any, tape: bool) -> Any:
        ran.append(tape)
        return run(*given, tape=tape)

    monkeypatch.setattr(engine, "_run", spy)
    for n, kept in ((1, 2), (2, 2), (7, 2), (23, 2), (23, 3), (23, 23), (17, 4)):
        ran.clear()
        Segmented(engine, lambda _, n=n, kept=kept: Plan(n, kept)).loss_and_gradients(batch)
        n_segments = len(borders_of(batch.x.lengths, n)) - 1
        assert ran.count(True) == n_segments and ran.count(False) == steps_ahead(n_segments, kept)


def test_memory_keeps_within_the_budget_and_does_not_grow() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((1, 5000, 4)), rng.standard_normal((1, 5000, 2))
    for per_step in (True, False):
        found: dict[Any, Any] = {}
        for budget in (None, "400kB"):
            model = Sequential([LSTM(32, return_sequences=per_step), Dense(2)], dtype="float64")
            model.compile("sgd", "mse")
            model.build(4, rng=1)
            target = y if per_step else y[:, -1]
            # What is imported when it is first needed is 1 MB, and no part of a step.
            copy.deepcopy(model).gradients(x, target, memory_budget=budget)
            tracemalloc.start()
            try:
                loss, grads, _ = model.gradients(x, target, memory_budget=budget)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            assert model._engine is not None
            found[budget] = loss, grads, model._engine._local.workspace.nbytes, peak
        (loss, grads, plain, _), (loss_2, grads_2, held, peak) = found.values()
        assert loss_2 == pytest.approx(loss, rel=1e-12) and held < 400e3 < 7e6 < plain
        assert peak < 400e3 + x.nbytes + y.nbytes  # what the door makes of the data, too
        for name, grad in grads.items():
            assert np.linalg.norm(grads_2[name] - grad) <= 1e-12 * np.linalg.norm(grad), name


def test_a_whole_number_may_be_written_as_a_float() -> None:
    assert read_bytes(1e9) == 10**9 and read_bytes(np.float32(4096)) == 4096


def test_the_workspace_does_not_grow_with_the_number_of_segments() -> None:
    for name in ("residual stack", "last step"):
        model, batch = make(name)
        held = []
        for n in (4, 8, 16):
            model._connect()
            engine = model._engine
            assert engine is not None
            for _ in range(2):
                Segmented(engine, lambda _, n=n: Plan(n, n)).loss_and_gradients(batch, rng=np.random.default_rng(0))
            held.append(engine._local.workspace.nbytes)
        assert held[0] > held[1] > held[2]


@pytest.mark.parametrize("budget", ["20kB", "60kB", "200kB", 10**6])
def test_plans_keep_within_the_budget(budget: Any) -> None:
    model, _ = make("residual stack")
    bound = Budget(model, budget, input_size=3)
    for lengths in (np.array([10**6]), np.array([2000] * 8), np.array([50_000, 3, 0, 700])):
        try:
            plan = bound.plan_for(lengths)
        except ResourceError as error:
            assert "even step by step" in str(error) and len(lengths) > 1 and bound.n_bytes < 60_000
            continue
        assert plan is not None
        levels, reach = 1, plan.kept
        while reach < plan.n_segments:
            levels, reach = levels + 1, reach * plan.kept
        rows = min(lengths.sum() // plan.n_segments, lengths.sum()) + len(lengths)
        rows = len(lengths) if plan.n_segments == lengths.max() else rows
        assert (levels * plan.kept + 3) * bound._state * len(lengths) + rows * bound._row <= bound.n_bytes


# --- through the model ------------------------------------------------------------------------------------------------


def test_fit_is_the_same_with_callbacks_metrics_and_carried_state(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(n, 3)) for n in (400, 90, 0, 333)]
    y = [rng.normal(size=(len(rows), 2)) for rows in x]
    for options in ({}, {"carry_state": True}, {"validation_split": 0.5, "on_nonfinite": "skip"}):
        found = []
        for budget in (None, "100kB"):
            model = Sequential([LSTM(6, return_sequences=True, dropout=0.2), Dropout(0.2), Dense(2)], dtype="float64")
            model.compile({"type": "sgd", "learning_rate": 0.1, "momentum": 0.9}, "mse", ["mae"])
            history = model.fit(x, y, batch_size=2, epochs=2, memory_budget=budget, verbose=2, rng=1, **options)
            found.append((model.parameters.flat.copy(), history.history))
        np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-11, atol=1e-13)
        for name, column in found[0][1].items():
            np.testing.assert_allclose(found[1][1][name], column, rtol=1e-11)
        said = capsys.readouterr().err
        assert said.count("fit: batches of up to") == 1 and "% more time." in said


def test_a_language_model_in_segments(capsys: pytest.CaptureFixture[str]) -> None:
    text = "to be, or not to be, that is the question: " * 40
    found = []
    for budget in (None, "200kB"):
        model = LanguageModel(
            layers=1, hidden=8, batch=3, steps=300, epochs=1, memory_budget=budget, random_state=0, verbose=2
        )
        found.append(model.fit(text).history_.history)
    for name, column in found[0].items():
        np.testing.assert_allclose(found[1][name], column, rtol=1e-4)  # float32
    assert capsys.readouterr().err.count("fit: batches of up to 900 steps run in segments of") == 1


class Watched(progress.Progress):
    """Takes down what it is shown, at every occasion."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[tuple[float, bool]] = []
        self.interval = 0.0

    def _show(self, epoch: int, batch: float, figures: list[str], now: float) -> None:
        self.shown.append((batch, bool(figures)))


def long_fit(model: Sequential, rng: np.random.Generator, **options: Any) -> None:
    """Train on two sequences, one after the other, in many segments each."""
    x = rng.normal(size=(2, 400, 3))
    model.compile("adam", "squared_error")
    model.fit(x, x[..., :2], batch_size=1, rng=0, memory_budget="40KB", **options)


def test_the_display_moves_within_a_batch(rng: np.random.Generator) -> None:
    shown = Watched()
    long_fit(Sequential([LSTM(5, return_sequences=True), Dense(2)]), rng, verbose=shown)
    done = [batch for batch, _ in shown.shown]
    assert done == sorted(done) and done[-1] == 2
    assert sum(0 < batch < 1 for batch in done) > 3 and sum(1 < batch < 2 for batch in done) > 3
    assert all(has_loss == (batch >= 1) for batch, has_loss in shown.shown)  # there is none before the first batch


@pytest.mark.parametrize("batch", [0, 1])
def test_control_c_waits_for_a_segment_only_and_keeps_the_work(rng: np.random.Generator, batch: int) -> None:
    kept: list[int] = []
    at_end: list[Any] = []

    class Keep(callbacks.Callback):
        def on_batch_end(self, batch: int, logs: Any) -> None:
            at_end.append(model.parameters.flat.copy())

        def on_interrupt(self, signum: int | None) -> None:
            kept.append(len(at_end))

    class Press(Watched):
        def _show(self, epoch: int, done: float, figures: list[str], now: float) -> None:
            super()._show(epoch, done, figures, now)
            if done > batch + 0.3:
                assert pressed == []  # the segment is the last one
                pressed.append(done)
                signal.raise_signal(signal.SIGINT)

    pressed: list[float] = []
    model = Sequential([LSTM(5, return_sequences=True), Dense(2)])
    with pytest.raises(Interrupted):
        long_fit(model, rng, verbose=Press(), callbacks=[Keep()])
    assert pressed[0] < batch + 0.7 and len(at_end) == batch
    assert kept == [1] * batch  # before the first step there is no work
    if batch:
        assert np.array_equal(model.parameters.flat, at_end[-1])


def test_control_c_in_validation_waits_for_a_segment_only(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []

    class Press(Watched):
        def end_batches(self) -> None:
            super().end_batches()
            ran.clear()
            signal.raise_signal(signal.SIGINT)

    run = Engine._run

    def counted(self: Engine, *given: Any, **options: Any) -> Any:
        ran.append(1)
        return run(self, *given, **options)

    monkeypatch.setattr(Engine, "_run", counted)
    model = Sequential([LSTM(5, return_sequences=True), Dense(2)])
    x = np.zeros((1, 400, 3))
    with pytest.raises(Interrupted):
        long_fit(model, rng, verbose=Press(), validation_data=(x, x[..., :2]))
    assert ran == []


def test_a_budget_that_nothing_fits_into_leaves_a_language_model_as_it_was() -> None:
    model = LanguageModel(layers=1, hidden=8, batch=2, steps=10, epochs=1, verbose=0).fit("to be or not to be, " * 5)
    before, expected = model.model_, model.score("to be")
    model.memory_budget = "1KB"
    with pytest.raises(ResourceError, match="does not fit into memory_budget"):
        model.fit("something else " * 20)
    assert model.model_ is before and model.score("to be") == expected


def test_what_fits_is_run_at_once() -> None:
    model, batch = make("last step")
    plain, _ = make("last step")
    for one, budget in ((model, "1GiB"), (plain, None)):
        one.fit(batch.x, batch.target, memory_budget=budget, verbose=0, rng=0)
    np.testing.assert_array_equal(model.parameters.flat, plain.parameters.flat)


def test_layers_that_need_whole_sequences_are_named_only_when_it_matters() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 500, 3)), rng.normal(size=(2, 2))
    for layer in (layers.Bidirectional(GRU(4)), Pooling("mean"), layers.AttentionPooling()):
        model = Sequential([layer, Dense(2)])
        model.compile("sgd", "mse")
        model.fit(x, y, memory_budget="1GiB", verbose=0)
        for call in (model.fit, model.train_on_batch, model.gradients):
            with pytest.raises(UsageError, match=f"memory_budget: {type(layer).__name__} '.*needs whole sequences"):
                call(x, y, memory_budget="4kB")


def test_long_sequences_are_predicted_and_judged_in_windows() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 40_000, 2)).astype(np.float32)
    model = Sequential([LSTM(16, return_sequences=True), GRU(16, return_sequences=True), Dense(1)])
    model.compile("sgd", "mse", ["mae"])
    model.build(2, rng=1)
    engine = model._engine
    assert engine is not None
    out, _ = engine.forward(Ragged(x[0], [40_000]))
    whole = engine._local.workspace.nbytes
    model._connect()
    np.testing.assert_array_equal(model.predict(x)[0], out.values)
    assert model.evaluate(x, x[..., :1]) == pytest.approx(
        [np.mean((out.values - x[0, :, :1]) ** 2), np.mean(abs(out.values - x[0, :, :1]))], rel=1e-5
    )
    assert model._engine is not None and model._engine._local.workspace.nbytes < 0.6 * whole


def test_where_time_ends_in_a_stack() -> None:
    assert count_over_time([GRU(3, return_sequences=True), GRU(3), Dense(1)]) == (2, True)
    assert count_over_time([GRU(3, return_sequences=True), Dense(1)]) == (2, False)
