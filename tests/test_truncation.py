"""Truncated backpropagation: every window against a twin written by hand, and what state goes where."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from elman import Sequential, layers
from elman.errors import DataError
from elman.ragged import Ragged
from elman.tasks import Corpus
from elman.training import SequenceBatches, StreamBatches
from elman.training.truncation import TruncatedBatches

LENGTHS = [11, 4, 0, 7, 1]


class Twin:
    """An RNN with a linear layer on top, trained by SGD on the squared error, in NumPy, one sequence at a time.

    Every window is as the definition says: from the state at its begin, forward with the weights of now; the losses of
    the last part; back through all of it; the mean over everything that is judged; one step.
    """

    def __init__(self, weights: dict[str, np.ndarray], rate: float) -> None:
        self.p = {name: array.copy() for name, array in weights.items()}
        self.rate = rate

    def run(self, x: np.ndarray, h: np.ndarray) -> list[np.ndarray]:
        """Give the states before the first step and after every step."""
        states = [h]
        for row in x:
            p = self.p
            a = p["rnn.weight_ih"] @ row + p["rnn.weight_hh"] @ states[-1] + p["rnn.bias"]
            states.append(np.tanh(a))
        return states

    def update(self, parts: list[tuple[np.ndarray, np.ndarray, dict[int, np.ndarray]]], total: float) -> float:
        """Take a step on windows, each (x, first state, {step: target, weight}), and give the mean loss."""
        p, loss = self.p, 0.0
        grads = {name: np.zeros_like(array) for name, array in p.items()}
        for x, h, judged in parts:
            states, d_h = self.run(x, h), np.zeros_like(h)
            for t in reversed(range(len(x))):
                if t in judged:
                    target, weight = judged[t]
                    out = p["dense.weight"] @ states[t + 1] + p["dense.bias"]
                    loss += weight / total * float(np.mean((out - target) ** 2))
                    d_out = weight / total * 2 * (out - target) / len(out)
                    grads["dense.weight"] += np.outer(d_out, states[t + 1])
                    grads["dense.bias"] += d_out
                    d_h = d_h + p["dense.weight"].T @ d_out
                d_a = d_h * (1 - states[t + 1] ** 2)
                grads["rnn.weight_ih"] += np.outer(d_a, x[t])
                grads["rnn.weight_hh"] += np.outer(d_a, states[t])
                grads["rnn.bias"] += d_a
                d_h = p["rnn.weight_hh"].T @ d_a
        for name, grad in grads.items():
            p[name] -= self.rate * grad
        return loss


def problem(per_step: bool, lengths: list[int] = LENGTHS) -> tuple[Sequential, list[np.ndarray], Any, Any]:
    rng = np.random.default_rng(3)
    x = [rng.normal(size=(n, 3)) for n in lengths]
    y = [rng.normal(size=(n, 2)) for n in lengths] if per_step else rng.normal(size=(len(lengths), 2))
    weights = [rng.uniform(0.5, 2, n) for n in lengths] if per_step else rng.uniform(0.5, 2, len(lengths))
    model = Sequential([layers.RNN(4, return_sequences=per_step), layers.Dense(2)], dtype="float64")
    model.compile({"type": "sgd", "learning_rate": 0.3}, "mse", ["mae"])
    model.build(3, rng=1)
    return model, x, y, weights


@pytest.mark.mutants
@pytest.mark.parametrize("k1, k2", [(1, 1), (3, 3), (3, 4), (2, 7), (3, 6), (4, 30), (11, 11), (20, 25)])
@pytest.mark.parametrize("weighted", [False, True])
def test_per_step_as_the_twin(k1: int, k2: int, weighted: bool) -> None:
    model, x, y, weights = problem(per_step=True)
    twin = Twin(model.named_weights(), 0.3)
    epochs = 2
    losses = []
    for _ in range(epochs):
        held = [(0, np.zeros(4)) for _ in x]  # where each window before began, and its state there
        last = [np.zeros(4) for _ in x]
        for first in range(0, max(LENGTHS), k1):
            stop, begin = first + k1, max(0, first - (k2 - k1))
            parts, total = [], 0.0
            for i, (rows, targets) in enumerate(zip(x, y, strict=True)):
                # With k2 = k1 a window begins in the state in which the one before ended; else it is found again.
                h = last[i] if k2 == k1 else twin.run(rows[held[i][0] : begin], held[i][1])[-1]
                held[i] = (begin, h)
                judged = {}
                for t in range(first, min(stop, len(rows))):
                    weight = weights[i][t] if weighted else 1.0
                    total += weight
                    judged[t - begin] = (targets[t], weight)
                last[i] = twin.run(rows[begin:stop], h)[-1]
                parts.append((rows[begin:stop], h, judged))
            losses.append(twin.update(parts, total))
    history = model.fit(
        x, y, batch_size=5, epochs=epochs, truncate=(k1, k2), shuffle=False, verbose=0,
        sample_weight=weights if weighted else None,
    )  # fmt: skip
    np.testing.assert_allclose(history.batches, losses, rtol=1e-6)  # float32 in the history
    for name, array in model.named_weights().items():
        np.testing.assert_allclose(array, twin.p[name], rtol=1e-12, atol=1e-12, err_msg=name)


@pytest.mark.mutants
@pytest.mark.parametrize("k1, k2", [(3, 3), (3, 5), (4, 30), (20, 20), (1, 2)])
def test_one_target_per_sequence_as_the_twin(k1: int, k2: int) -> None:
    model, x, y, weights = problem(per_step=False)
    twin = Twin(model.named_weights(), 0.3)
    held = [(0, np.zeros(4)) for _ in x]
    ended, last = 0, [np.zeros(4) for _ in x]
    for first in range(0, max(LENGTHS), k1):
        stop, begin = first + k1, max(0, first - (k2 - k1))
        ends = [first < n <= stop or (n == 0 and first == 0) for n in LENGTHS]
        if not any(ends):
            continue
        parts, total = [], float(sum(weight for weight, end in zip(weights, ends, strict=True) if end))
        for i, rows in enumerate(x):
            # On from the end of the window before where it is not overlapped: those states have the weights of then.
            if begin >= ended:
                h = twin.run(rows[ended:begin], last[i])[-1]
            else:
                h = twin.run(rows[held[i][0] : begin], held[i][1])[-1]
            held[i], last[i] = (begin, h), twin.run(rows[begin:stop], h)[-1]
            n = len(rows)
            judged = {n - 1 - begin: (y[i], weights[i])} if ends[i] and n else {}
            parts.append((rows[begin:stop], h, judged))
        ended = min(stop, max(LENGTHS))
        empty = [i for i, n in enumerate(LENGTHS) if n == 0 and ends[i]]
        if empty:  # its answer comes from the bias alone
            (i,) = empty
            out = twin.p["dense.bias"]
            d_out = weights[i] / total * (out - y[i])
            before = twin.p["dense.bias"].copy()
            twin.update(parts, total)
            twin.p["dense.bias"] -= 0.3 * d_out
            assert before.shape == d_out.shape
        else:
            twin.update(parts, total)
    model.fit(x, y, batch_size=5, truncate=(k1, k2), shuffle=False, verbose=0, sample_weight=weights)
    for name, array in model.named_weights().items():
        np.testing.assert_allclose(array, twin.p[name], rtol=1e-12, atol=1e-12, err_msg=name)


def test_a_window_as_long_as_the_sequences_is_no_truncation() -> None:
    plain, x, y, weights = problem(per_step=True)
    truncated, *_ = problem(per_step=True)
    options = dict(batch_size=2, epochs=2, verbose=0, rng=4, sample_weight=weights)
    one = plain.fit(x, y, **options)
    other = truncated.fit(x, y, truncate=11, **options)
    np.testing.assert_array_equal(plain.parameters.flat, truncated.parameters.flat)
    assert one.history == other.history


def test_every_step_is_counted_once() -> None:
    model, x, y, _ = problem(per_step=True)
    model.compile({"type": "sgd", "learning_rate": 1e-300}, "mse", ["mae"])  # so small that all windows are as one
    truncated = model.fit(x, y, batch_size=2, truncate=(2, 5), verbose=0).history
    whole = model.evaluate(x, y, return_dict=True)
    for name, value in whole.items():
        assert truncated[name][0] == pytest.approx(value, rel=1e-12)


def test_equal_steps_do_what_streams_do() -> None:
    ids = np.random.default_rng(0).integers(0, 6, 61)
    models = []
    for _ in range(2):
        model = Sequential([layers.GRU(5, return_sequences=True), layers.Dense(6)], dtype="float64")
        model.compile("adam", "cross_entropy", ["accuracy"])
        model.build(6, ids=True, rng=2)
        models.append(model)
    one = models[0].fit_batches(StreamBatches(ids, n_streams=3, steps=6), epochs=2, verbose=0)
    streams = Ragged(ids[:-1], [20, 20, 20])
    two = models[1].fit(
        streams, streams.with_values(ids[1:]), truncate=6, batch_size=3, epochs=2, shuffle=False, verbose=0
    )
    np.testing.assert_array_equal(models[0].parameters.flat, models[1].parameters.flat)
    assert one.history == two.history


@pytest.mark.parametrize("k1, k2", [(3, 3), (3, 8)])
def test_carried_state_is_that_of_one_run(k1: int, k2: int) -> None:
    """Batches that carry their state, cut at multiples of k1: updates are too small to matter, states are compared."""
    seen: list[Any] = []
    rng = np.random.default_rng(1)
    x = Ragged(rng.normal(size=(48, 3)), [12] * 4)
    model = Sequential([layers.LSTM(4, return_sequences=True), layers.Dense(2)], dtype="float64")
    model.compile({"type": "sgd", "learning_rate": 1e-300}, "mse")
    model.build(3, rng=1)
    whole = SequenceBatches(x, np.zeros((48, 2)), batch_size=2, per_step=True, carry_state=True)
    engine = model._engine
    assert engine is not None
    run = engine.loss_and_gradients

    def spy(batch: Any, *, state: Any = None, **others: Any) -> Any:
        seen.append((batch, state))
        return run(batch, state=state, **others)

    engine.loss_and_gradients = spy  # type: ignore[method-assign]
    model.fit_batches(whole, truncate=(k1, k2), verbose=0)
    assert len(seen) == 8
    for number, (batch, state) in enumerate(seen):
        part, first = divmod(number * k1, 12)
        begin = max(0, first - (k2 - k1))
        for row in range(2):
            steps = np.concatenate([x[row], x[2 + row]])[: 12 * part + begin]
            _, expected = model.predict(steps[None], return_state=True) if len(steps) else (None, None)
            if expected is None:
                assert state is None
            else:
                for part_state, part_expected in zip(state[0], expected[0], strict=True):
                    np.testing.assert_array_equal(part_state[row], part_expected[0])
        assert batch.x.lengths.tolist() == [min(12, first + k1) - begin] * 2


def test_masks_learned_states_and_memory_go_together_with_truncation() -> None:
    rng = np.random.default_rng(1)
    x, y = [rng.normal(size=(n, 3)) for n in (300, 80, 0)], [rng.normal(size=(n, 2)) for n in (300, 80, 0)]
    found = []
    for budget in (None, "60kB"):
        stack = [layers.LSTM(6, return_sequences=True, initial_state="learned", dropout=0.2, zoneout=0.1)]
        model = Sequential([*stack, layers.Dropout(0.3), layers.Dense(2)], dtype="float64")
        model.compile("adam", "mse", clip=1.0)
        model.build(3, rng=1)
        model.fit(x, y, truncate=(100, 150), epochs=2, memory_budget=budget, verbose=0, rng=5)
        found.append(model.parameters.flat.copy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9, atol=1e-12)  # Adam divides by small numbers


def documents() -> tuple[np.ndarray, list[int]]:
    ids = np.random.default_rng(0).integers(0, 6, 50)
    return ids, [0, 7, 8, 9, 20, 31, 32, 45]


@pytest.mark.parametrize("n_streams, steps", [(1, 5), (3, 4), (4, 1), (3, 100), (7, 2)])
def test_documents_begin_anew_in_streams(n_streams: int, steps: int) -> None:
    ids, starts = documents()
    model = Sequential([layers.LSTM(5, return_sequences=True), layers.Dense(6)], dtype="float64")
    model.compile("sgd", "cross_entropy", ["accuracy"])
    model.build(6, ids=True, rng=2)
    batches = StreamBatches(ids, n_streams=n_streams, steps=steps, documents=starts)
    # By hand: transitions of one stream, cut where documents begin, are sequences of their own.
    plain = StreamBatches(ids, n_streams=n_streams, steps=steps)
    x, y = [], []
    for first, length in zip(plain.starts.tolist(), plain.lengths.tolist(), strict=True):
        cuts = [first, *[start for start in starts if first < start < first + length], first + length]
        for begin, stop in itertools.pairwise(cuts):
            end = stop - 1 if stop in starts else stop
            x.append(ids[begin:end])
            y.append(ids[begin + 1 : end + 1])
    expected = model.evaluate(x, y, return_dict=True)
    found = model.evaluate_batches(batches)
    assert found["weight"] == batches.n_items == sum(map(len, x)) == 49 - 7
    for name in expected:
        assert found[name] == pytest.approx(expected[name], rel=1e-12)
    model.compile({"type": "sgd", "learning_rate": 1e-300}, "cross_entropy")
    assert model.fit_batches(batches, truncate=(2, 3), verbose=0).history["loss"][0] == pytest.approx(expected["loss"])


def test_documents_may_be_the_borders_of_a_corpus() -> None:
    corpus = Corpus.from_texts(["to be", "", "or not to be", "", "", "x"])
    found = list(StreamBatches(corpus.ids, n_streams=2, steps=4, documents=corpus.starts))
    expected = list(StreamBatches(corpus.ids, n_streams=2, steps=4, documents=[0, 5, 17]))
    assert len(found) == len(expected)
    for batch, other in zip(found, expected, strict=True):
        assert batch.x.values.tolist() == other.x.values.tolist() and batch.target.tolist() == other.target.tolist()
        assert batch.x.lengths.tolist() == other.x.lengths.tolist()


def test_documents_of_one_token_are_nothing_to_learn() -> None:
    with pytest.raises(DataError, match="no document has two tokens"):
        StreamBatches(np.arange(6), n_streams=2, steps=2, documents=range(6))


def test_windows_in_which_nothing_counts_are_passed_over() -> None:
    x = Ragged(np.arange(24.0)[:, None], [12, 12])
    weights = np.tile([1.0] * 4 + [0.0] * 4 + [1.0] * 2 + [0.0] * 2, 2)
    whole = SequenceBatches(x, np.zeros((24, 1)), weights, batch_size=1, per_step=True, carry_state=True)
    windows = list(TruncatedBatches(whole, steps=2, back=2, per_step=True))
    begins = [(batch.x[0][0, 0], batch.reset_state) for batch in windows]
    assert begins == [(0, True), (2, False), (8, False), (12, False), (14, False), (20, False)]
    fronts = [[hop.front[0].ravel().tolist() for hop in batch.link.hops] if batch.link else [] for batch in windows]
    assert fronts == [[], [], [[4, 5, 6, 7]], [[10, 11]], [], [[16, 17, 18, 19]]]
