"""Every gradient, of every cell, layer and loss, against the complex step: exact, never skipped."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from complex_step import check_gradients
from shapes import CELL_VARIANTS, NOISES, SHAPES, make_problem

from elman import layers
from elman.cells import ACTIVATIONS, CELLS
from elman.ops import losses, recurrence, reference
from elman.ops.core import native
from elman.ops.weights import Weights
from elman.ragged import Ragged

pytestmark = pytest.mark.mutants

#: What is checked: the definition in NumPy, and whatever a user's call runs. Complex numbers go through the former.
RUNNERS = {"reference": reference, "chosen": recurrence}
#: Cells without options, which stand for their family wherever the walk through the batch is looked at.
PLAIN = ("rnn-tanh", "lstm", "gru")
#: Normalising takes away what all gates of a step have in common: with one or two units nearly everything.
NORMALISED = 0.1
each_runner = pytest.mark.parametrize("runner", RUNNERS.values(), ids=RUNNERS.keys())


def zeros_like(weights):
    return {name: np.zeros_like(array) for name, array in weights.items()}


def with_prefix(prefix, arrays):
    return {f"{prefix}{k}": array for k, array in enumerate(arrays)}


def test_every_cell_is_checked():
    assert {type(cell) for cell in CELL_VARIANTS.values()} == set(CELLS.values())
    assert {cell.activation for cell in CELL_VARIANTS.values() if cell.name == "rnn"} == set(ACTIVATIONS)
    for kind in CELLS.values():  # every option, away from its default at least once
        for field in fields(kind):
            assert any(
                getattr(cell, field.name) != field.default for cell in CELL_VARIANTS.values() if cell.name == kind.name
            )


# The plain cells on every shape. Widths that fill registers say nothing new about NumPy, and cost it the most.
CASES = [
    (variant, shape, name)
    for variant in PLAIN
    for shape in SHAPES
    for name in RUNNERS
    if name == "chosen" or shape != "wide_lane"
]
# Options change a step, not the walk through the batch: one number of everything, several steps from a state, a
# sequence that ends before others; "tail" for the layout of the native tape.
CASES += [
    (variant, shape, name)
    for variant in CELL_VARIANTS
    if variant not in PLAIN
    for shape, name in (("one", "reference"), ("ragged", "reference"), ("tail", "chosen"))
]


@pytest.mark.parametrize(("variant", "shape", "runner"), CASES)
def test_recurrence(variant, shape, runner, rng):
    """Parameters, input and initial state, with gradients coming in at every step and at the last state."""
    problem = make_problem(CELL_VARIANTS[variant], SHAPES[shape])
    dh = check_recurrence(problem, RUNNERS[runner], rng)
    check_dh(problem, dh, RUNNERS[runner])


# Noise is the driver's work. It has four ways: one part of a state or two, and a second product that takes h, or not.
WAYS = ("rnn-tanh", "lstm", "lstm-projection", "gru-before")
NOISY = [(variant, noise, "reference") for variant in WAYS for noise in NOISES]
NOISY += [(variant, "all noise", "chosen" if variant in WAYS else "reference") for variant in CELL_VARIANTS]


@pytest.mark.parametrize(("variant", "noise", "runner"), NOISY)
def test_recurrence_with_noise(variant, noise, runner, rng):
    """Recurrent dropout, zoneout and weight drop: for given masks the gradient is as exact as without."""
    problem = make_problem(CELL_VARIANTS[variant], SHAPES["ragged"], noise=NOISES[noise])
    check_recurrence(problem, RUNNERS[runner], rng)


@pytest.mark.skipif(native is None, reason="the native core is not built")
@pytest.mark.parametrize("variant", WAYS)
@pytest.mark.parametrize("rows", [1, 3])
def test_recurrence_in_blocks_of_steps(variant, rows, rng):
    """The native way back takes long batches in blocks, and hands the gradient of the state from one to the other."""
    problem = make_problem(CELL_VARIANTS[variant], SHAPES["ragged"])
    native.set_most_block_rows(rows)
    try:
        check_recurrence(problem, RUNNERS["chosen"], rng)
    finally:
        native.set_most_block_rows(1 << 40)


def check_recurrence(problem, runner, rng):
    """Check every gradient by complex steps; give dh."""
    cell, x, weights, state, noise = problem.cell, problem.x, problem.weights, problem.state, problem.noise

    def loss(p):
        moved = Weights({name: p[name] for name in weights})
        begin = tuple(p[f"state{k}"] for k in range(len(state)))
        y, last, _ = reference.forward(cell, x.with_values(p["x"]), moved, state=begin, tape=False, noise=noise)
        total = (y * problem.dy).sum()
        return total + sum((part * d).sum() for part, d in zip(last, problem.dstate, strict=True))

    _, _, tape = runner.forward(cell, x, weights, state=state, tape=True, noise=noise)
    grads = zeros_like(weights)
    dx, dstate, dh = runner.backward(
        cell, problem.dy, tape, weights, grads, dstate=problem.dstate, want_dx=True, keep_dh=True
    )
    point = {**weights, "x": x.values, **with_prefix("state", state)}
    floor = NORMALISED if cell.bias_after else 0.0
    check_gradients(loss, point, {**grads, "x": dx, **with_prefix("state", dstate)}, rng, floor=floor)
    return dh


def check_dh(problem, dh, runner):
    """Check the gradient that reaches h at the first, a middle and the last step of every sequence."""
    # h_t of a sequence is the initial state of what follows: cut there, and the gradient of that state is the part of
    # dh that came back through time; dy (and, at the end, the last state's gradient) is the rest.
    for b, length in enumerate(problem.x.lengths):
        for t in {0, int(length) // 2, int(length) - 1} if length else set():
            row = int(problem.x.offsets[b]) + t
            state = runner.forward(
                problem.cell,
                Ragged(problem.x[b][: t + 1], [t + 1]),
                problem.weights,
                state=tuple(part[b : b + 1] for part in problem.state),
                tape=False,
            )[1]
            rest = Ragged(problem.x[b][t + 1 :], [int(length) - t - 1])
            _, _, tape = runner.forward(problem.cell, rest, problem.weights, state=state, tape=True)
            dstate = tuple(part[b : b + 1] for part in problem.dstate)
            dy = problem.dy[row + 1 : int(problem.x.offsets[b + 1])]
            _, back, _ = runner.backward(
                problem.cell, dy, tape, problem.weights, zeros_like(problem.weights),
                dstate=dstate, want_dx=False, keep_dh=False,
            )  # fmt: skip
            np.testing.assert_allclose(dh[row], problem.dy[row] + back[0][0], rtol=1e-12, atol=1e-13)


@each_runner
@pytest.mark.parametrize("variant", CELL_VARIANTS)
def test_recurrence_over_token_ids(variant, runner, rng):
    """Ids stand for one-hot rows: same outputs as the dense product, exact gradient of W."""
    problem = make_problem(CELL_VARIANTS[variant], SHAPES["ragged"])
    cell, ids, weights, state = problem.cell, problem.ids, problem.weights, problem.state
    one_hot = ids.with_values(np.eye(SHAPES["ragged"].input_size)[ids.values])
    y, last, tape = runner.forward(cell, ids, weights, state=state, tape=True)
    y_dense, last_dense, _ = runner.forward(cell, one_hot, weights, state=state, tape=False)
    np.testing.assert_allclose(y, y_dense, rtol=1e-13)
    for part, part_dense in zip(last, last_dense, strict=True):
        np.testing.assert_allclose(part, part_dense, rtol=1e-13)

    def loss(p):
        y, last, _ = reference.forward(cell, ids, Weights({**weights, **p}), state=state, tape=False)
        return (y * problem.dy).sum() + sum((part * d).sum() for part, d in zip(last, problem.dstate, strict=True))

    grads = zeros_like(weights)
    dx, _, dh = runner.backward(
        cell, problem.dy, tape, weights, grads, dstate=problem.dstate, want_dx=True, keep_dh=False
    )
    assert dx is None
    assert dh is None
    # Ids reach the loss through W alone; the other gradients are those of test_recurrence.
    floor = NORMALISED if cell.bias_after else 0.0
    check_gradients(loss, {"weight_ih": weights["weight_ih"]}, {"weight_ih": grads["weight_ih"]}, rng, floor=floor)


@each_runner
@pytest.mark.parametrize("variant", CELL_VARIANTS)
def test_zeros_are_what_none_means(variant, runner):
    """No initial state, no gradient of the outputs or of the last state: the same as zeros."""
    problem = make_problem(CELL_VARIANTS[variant], SHAPES["ragged"])
    cell, x, weights = problem.cell, problem.x, problem.weights
    zero_state = tuple(np.zeros_like(part) for part in problem.state)
    answers = []
    for state, dy, dstate in (
        (None, problem.dy, None),
        (zero_state, problem.dy, zero_state),
        (None, None, problem.dstate),
        (zero_state, np.zeros_like(problem.dy), problem.dstate),
    ):
        y, last, tape = runner.forward(cell, x, weights, state=state, tape=True)
        grads = zeros_like(weights)
        dx, back, dh = runner.backward(cell, dy, tape, weights, grads, dstate=dstate, want_dx=True, keep_dh=True)
        answers.append([y, *last, dx, *back, dh, *grads.values()])
    for first, second in ((0, 1), (2, 3)):
        for a, b in zip(answers[first], answers[second], strict=True):
            np.testing.assert_array_equal(a, b)


# --- layers ---------------------------------------------------------------------------------------------------------

RECURRENT = {"rnn": layers.RNN, "lstm": layers.LSTM, "gru": layers.GRU}

LAYER_CASES = {
    "dense": (lambda: [layers.Dense(3)], "numbers"),
    "dense tanh": (lambda: [layers.Dense(3, activation="tanh")], "numbers"),
    "dense sigmoid": (lambda: [layers.Dense(3, activation="sigmoid")], "numbers"),
    "dense relu": (lambda: [layers.Dense(3, activation="relu")], "numbers"),
    "dense softmax": (lambda: [layers.Dense(3, activation="softmax")], "numbers"),
    "embedding": (lambda: [layers.Embedding(4, 3)], "ids"),
    "embedding, gru, dense": (
        lambda: [layers.Embedding(4, 3), layers.GRU(5, return_sequences=True), layers.Dense(2, activation="sigmoid")],
        "ids",
    ),
    "stack of different cells": (
        lambda: [
            layers.RNN(3, activation="sigmoid", return_sequences=True),
            layers.GRU(5, return_sequences=True),
            layers.LSTM(4, return_sequences=True),
        ],
        "numbers",
    ),
    **{f"{name} on ids, last step": (lambda kind=kind: [kind(5)], "ids") for name, kind in RECURRENT.items()},
    **{
        f"{name} twice, last step, dense softmax": (
            lambda kind=kind: [kind(4, return_sequences=True), kind(5), layers.Dense(3, activation="softmax")],
            "numbers",
        )
        for name, kind in RECURRENT.items()
    },
}


@pytest.mark.parametrize("ends_count", [True, False], ids=["with last states", "outputs alone"])
@pytest.mark.parametrize("case", LAYER_CASES)
def test_layers(case, ends_count, rng):
    """Stacks of layers: parameters, input and the initial state of each, from output and last states."""
    make, form = LAYER_CASES[case]
    stack = make()
    size, lengths = 4, [3, 0, 5, 1]
    n_steps = sum(lengths)
    values = rng.integers(0, size, n_steps) if form == "ids" else rng.standard_normal((n_steps, size))
    x = Ragged(values, lengths)
    point, states = {}, []
    for k, layer in enumerate(stack):
        drawn = {
            name: 0.7 * rng.standard_normal(shape) / np.sqrt(shape[-1] if len(shape) == 2 else 1)
            for name, shape in layer.param_shapes(size).items()
        }
        layer.bind(Weights(drawn))
        point.update({f"{k}.{name}": array for name, array in drawn.items()})
        size = layer.output_size(size)
        n_states = len(layer.cell.states) if hasattr(layer, "cell") else 0
        states.append(n_states)
        point.update(with_prefix(f"{k}.state", [rng.standard_normal((len(x), size)) for _ in range(n_states)]))
    if form == "numbers":
        point["x"] = x.values

    def run(p, *, tape):
        flow = x.with_values(p["x"]) if "x" in p else x
        tapes, ends = [], []
        for k, layer in enumerate(stack):
            layer.bind(Weights({name: p[f"{k}.{name}"] for name in layer.weights}))
            state = tuple(p[f"{k}.state{j}"] for j in range(states[k])) or None
            flow, last, kept = layer.forward(flow, state=state, tape=tape)
            tapes.append(kept)
            ends.append(last)
        return flow, ends, tapes

    out, ends, tapes = run(point, tape=True)
    sequences = isinstance(out, Ragged)
    dy = rng.standard_normal((out.values if sequences else out).shape)
    dends = [tuple(rng.standard_normal(part.shape) for part in end) if ends_count else () for end in ends]

    def loss(p):
        out, ends, _ = run(p, tape=False)
        total = ((out.values if sequences else out) * dy).sum()
        for end, dend in zip(ends, dends, strict=True):
            total += sum((part * d).sum() for part, d in zip(end, dend, strict=ends_count))
        return total

    gradients = {}
    flow = out.with_values(dy) if sequences else dy
    for k, layer in reversed(list(enumerate(stack))):
        grads = zeros_like(layer.weights)
        flow, begin, _ = layer.backward(flow, tapes[k], grads, dstate=dends[k] or None)
        gradients.update({f"{k}.{name}": array for name, array in grads.items()})
        gradients.update(with_prefix(f"{k}.state", begin))
    if form == "numbers":
        gradients["x"] = flow.values
    else:
        assert flow is None
    check_gradients(loss, point, gradients, rng)


@pytest.mark.parametrize("activation", [None, "tanh", "sigmoid", "relu", "softmax"])
def test_dense_on_rows(activation, rng):
    """An array (B, F) in, an array out."""
    layer = layers.Dense(3, activation=activation)
    point = {**layer.init(rng, 4), "x": rng.standard_normal((6, 4))}
    point["bias"] += rng.standard_normal(3)
    dy = rng.standard_normal((6, 3))

    def loss(p):
        layer.bind(Weights({name: p[name] for name in ("weight", "bias")}))
        return (layer.forward(p["x"], tape=False)[0] * dy).sum()

    loss(point)
    _, state, tape = layer.forward(point["x"])
    assert state == ()
    grads = zeros_like(layer.weights)
    dx, _, _ = layer.backward(dy, tape, grads)
    check_gradients(loss, point, {**grads, "x": dx}, rng)


# --- losses ---------------------------------------------------------------------------------------------------------


def test_softmax_before_cross_entropy(rng):
    """A last Dense with softmax learns through its twin without: gradient with respect to every weight."""
    layer = layers.Dense(4, activation="softmax")
    point = {**layer.init(rng, 3), "x": rng.standard_normal((5, 3))}
    target = rng.integers(0, 4, 5)

    def minus_log_probability(p):
        layer.bind(Weights({name: p[name] for name in ("weight", "bias")}))
        probability, _, _ = layer.forward(p["x"], tape=False)
        return -np.log(probability[np.arange(5), target]).mean()

    minus_log_probability(point)
    twin = layer.logits()
    assert twin.weights is layer.weights
    logits, _, tape = twin.forward(point["x"])
    value, _, d_logits = losses.CrossEntropy()(logits, target)
    assert value == pytest.approx(minus_log_probability(point), rel=1e-14)
    grads = zeros_like(layer.weights)
    dx, _, _ = twin.backward(d_logits, tape, grads)
    check_gradients(minus_log_probability, point, {**grads, "x": dx}, rng)
