"""Cells: their equations written out again number by number, their functions, and the gate orders."""

from __future__ import annotations

import math

import numpy as np
import pytest
import twins
from shapes import CELL_VARIANTS, NOISES, SHAPES, make_problem

from elman import cells
from elman.cells import CELLS, numpy_namespace
from elman.cells.gate_orders import ORDERS, gate_block, reorder
from elman.errors import UsageError
from elman.ops import recurrence, reference
from elman.ragged import Ragged


def sigmoid(a):
    return 1 / (1 + math.exp(-a))


@pytest.mark.mutants
@pytest.mark.parametrize("runner", [reference, recurrence], ids=["reference", "chosen"])
@pytest.mark.parametrize("shape", ["one", "two_steps", "ragged"])
@pytest.mark.parametrize("variant", CELL_VARIANTS)
def test_equations(variant, shape, runner):
    check_equations(make_problem(CELL_VARIANTS[variant], SHAPES[shape]), runner)


@pytest.mark.mutants
@pytest.mark.parametrize("runner", [reference, recurrence], ids=["reference", "chosen"])
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("variant", CELL_VARIANTS)
def test_equations_with_noise(variant, noise, runner):
    check_equations(make_problem(CELL_VARIANTS[variant], SHAPES["ragged"], noise=NOISES[noise]), runner)


def check_equations(problem, runner):
    """Compare with every step written out by hand, sequence after sequence."""
    x, state = problem.x, problem.state
    y, last, _ = runner.forward(problem.cell, x, problem.weights, state=state, tape=False, noise=problem.noise)
    expected, ends = twins.run(problem.cell, problem.weights, x, state, problem.noise)
    for got, steps in zip(x.with_values(y), expected, strict=True):
        np.testing.assert_allclose(got, steps, rtol=1e-12, atol=1e-13)
    for got, end in zip(last, ends, strict=True):
        np.testing.assert_allclose(got, end, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("variant", CELL_VARIANTS)
def test_a_batch_is_its_sequences(variant):
    """Outputs, states and gradients of a ragged batch are those of each sequence run alone."""
    problem = make_problem(CELL_VARIANTS[variant], SHAPES["ragged"])
    cell, x, weights = problem.cell, problem.x, problem.weights

    def run(x, state, dy, dstate):
        grads = {name: np.zeros_like(array) for name, array in weights.items()}
        y, last, tape = reference.forward(cell, x, weights, state=state, tape=True)
        dx, back, dh = reference.backward(cell, dy, tape, weights, grads, dstate=dstate, want_dx=True, keep_dh=True)
        return {
            "y": x.with_values(y),
            "dx": x.with_values(dx),
            "dh": x.with_values(dh),
            "last": last,
            "back": back,
        }, grads

    whole, grads = run(x, problem.state, problem.dy, problem.dstate)
    total = {name: np.zeros_like(array) for name, array in weights.items()}
    dy = x.with_values(problem.dy)
    for b, sequence in enumerate(x):
        row = slice(b, b + 1)
        alone, part = run(
            Ragged(sequence, [len(sequence)]),
            tuple(s[row] for s in problem.state),
            dy[b],
            tuple(d[row] for d in problem.dstate),
        )
        for name in ("y", "dx", "dh"):
            np.testing.assert_allclose(whole[name][b], alone[name][0], rtol=1e-12, atol=1e-14)
        for name in ("last", "back"):
            for in_batch, by_itself in zip(whole[name], alone[name], strict=True):
                np.testing.assert_allclose(in_batch[row], by_itself, rtol=1e-12, atol=1e-14)
        for name, gradient in part.items():
            total[name] += gradient
    for name, gradient in grads.items():
        np.testing.assert_allclose(gradient, total[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("runner", [reference, recurrence], ids=["reference", "chosen"])
@pytest.mark.parametrize("variant", CELL_VARIANTS)
def test_empty_sequences_pass_their_state_through(variant, runner):
    problem = make_problem(CELL_VARIANTS[variant], SHAPES["ragged"])
    nothing = Ragged(np.zeros((0, 4)), [0, 0])
    for x, state, dstate, empty in (
        (problem.x, problem.state, problem.dstate, problem.x.lengths == 0),
        (nothing, tuple(s[:2] for s in problem.state), tuple(d[:2] for d in problem.dstate), np.array([True, True])),
    ):
        grads = {name: np.zeros_like(array) for name, array in problem.weights.items()}
        y, last, tape = runner.forward(problem.cell, x, problem.weights, state=state, tape=True)
        _, back, _ = runner.backward(
            problem.cell, None, tape, problem.weights, grads, dstate=dstate, want_dx=True, keep_dh=True
        )
        assert len(y) == x.n_steps
        for given, got in ((state, last), (dstate, back)):
            for a, b in zip(given, got, strict=True):
                np.testing.assert_array_equal(a[empty], b[empty])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("variant", CELL_VARIANTS)
def test_dtype_stays(variant, dtype):
    problem = make_problem(CELL_VARIANTS[variant], SHAPES["ragged"], dtype=dtype)
    grads = {name: np.zeros_like(array) for name, array in problem.weights.items()}
    y, last, tape = reference.forward(problem.cell, problem.x, problem.weights, state=None, tape=True)
    dx, back, dh = reference.backward(
        problem.cell, problem.dy, tape, problem.weights, grads, dstate=problem.dstate, want_dx=True, keep_dh=True
    )
    assert {array.dtype.name for array in (y, *last, *tape.kept, dx, *back, dh)} == {dtype}


@pytest.mark.parametrize("runner", [reference, recurrence], ids=["reference", "chosen"])
@pytest.mark.parametrize("variant", CELL_VARIANTS)
def test_nothing_given_is_changed(variant, runner):
    """Weights, input, state, gradients that come in and the tape are only read; gradients are added."""
    problem = make_problem(CELL_VARIANTS[variant], SHAPES["ragged"])
    given = [problem.x.values, problem.dy, *problem.weights.values(), *problem.state, *problem.dstate]
    before = [array.copy() for array in given]
    y, last, tape = runner.forward(problem.cell, problem.x, problem.weights, state=problem.state, tape=True)
    kept = [array.copy() for array in (y, *last, *tape.kept)]
    results = []
    for start in (0.0, 3.0):
        grads = {name: np.full_like(array, start) for name, array in problem.weights.items()}
        runner.backward(
            problem.cell, problem.dy, tape, problem.weights, grads, dstate=problem.dstate, want_dx=True, keep_dh=True
        )
        results.append(grads)
    for name, array in results[0].items():
        np.testing.assert_allclose(results[1][name], array + 3, rtol=1e-12, atol=1e-12)
    for array, copy in zip(given, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    for array, copy in zip((y, *last, *tape.kept), kept, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_tape_can_be_printed_and_sized():
    problem = make_problem(CELL_VARIANTS["lstm"], SHAPES["ragged"])
    _, _, tape = recurrence.forward(problem.cell, problem.x, problem.weights, state=problem.state, tape=True)
    assert tape.nbytes >= tape.y.nbytes + sum(part.nbytes for part in problem.state)
    assert repr(tape).startswith("RecurrenceTape(x=Ragged(7 sequences, 23 steps, 4 features, float64), y=(23, 6)")


def test_no_tape_unless_wanted():
    problem = make_problem(CELL_VARIANTS["gru"], SHAPES["two_steps"])
    assert recurrence.forward(problem.cell, problem.x, problem.weights, state=None, tape=False)[2] is None


# --- declarations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", CELL_VARIANTS)
def test_declaration(variant):
    cell = CELL_VARIANTS[variant]
    assert CELLS[cell.name] is type(cell)
    assert type(cell)(**cell.config()) == cell
    assert cell.states[0] == "h"
    shapes = cell.param_shapes(3, 5)
    rows, width = cell.n_gates * 5, getattr(cell, "projection", None) or 5
    assert cell.state_sizes(5) == (width, *[5] * (len(cell.states) - 1))
    assert (shapes["weight_ih"], shapes["weight_hh"], shapes["bias"]) == ((rows, 3), (rows, width), (rows,))
    projection = {} if width == 5 else {"weight_hr": (width, 5)}
    extras = {name: (blocks * 5,) for name, blocks in cell.extras.items()}
    assert {name: shape for name, shape in shapes.items() if name not in ("weight_ih", "weight_hh", "bias")} == {
        **projection,
        **extras,
    }
    assert type(cell).__doc__


# What a cell with this option has beside W, R and b, of 3 inputs and 5 units.
OWN = {
    "gru": {"bias_hn": (5,)},
    "gru-before": {},
    "gru-norm": {"bias_hn": (5,), "gain_ih": (15,), "gain_hh": (15,)},
    "rnn-norm": {"gain_ih": (5,), "gain_hh": (5,)},
    "lstm": {},
    "lstm-peephole": {"peephole": (15,)},
    "lstm-peephole-coupled": {"peephole": (10,)},
    "lstm-projection": {"weight_hr": (2, 5)},
    "lstm-norm-coupled": {"gain_ih": (15,), "gain_hh": (15,), "gain_c": (5,), "bias_c": (5,)},
}


@pytest.mark.parametrize("variant", OWN)
def test_parameters_of_its_own(variant):
    cell = CELL_VARIANTS[variant]
    shapes = cell.param_shapes(3, 5)
    assert {name: shape for name, shape in shapes.items() if name not in ("weight_ih", "weight_hh", "bias")} == (
        OWN[variant]
    )
    assert shapes["bias"] == (5 * len(cell.gates),)


def test_coupled_gates_have_no_input_gate():
    assert cells.LSTM(coupled=True).gates == ("f", "g", "o")
    assert cells.LSTM().gates == ("i", "f", "g", "o")


# name -> (what is done, words of the message)
REFUSED = {
    "activation": (
        lambda: cells.RNN("swish"),
        "RNN: unknown activation, expected one of tanh, sigmoid, relu, hard_sigmoid, identity, got 'swish'",
    ),
    "gate activation": (lambda: cells.LSTM("tanh", "softmax"), "LSTM: unknown recurrent_activation, .* got 'softmax'"),
    "gate activation of GRU": (lambda: cells.GRU("tanh", ""), "GRU: unknown recurrent_activation, .* got ''"),
    "activation of GRU": (lambda: cells.GRU("gelu"), "GRU: unknown activation, .* got 'gelu'"),
    "activation of LSTM": (lambda: cells.LSTM("Tanh"), "LSTM: unknown activation, .* got 'Tanh'"),
    "projection to nothing": (
        lambda: cells.LSTM(projection=0),
        "LSTM: projection is out of range, expected a width of 1 or more, got 0",
    ),
    "projection as wide as c": (
        lambda: cells.LSTM(projection=5).param_shapes(3, 5),
        "LSTM: projection does not narrow h, expected less than the 5 units, got 5",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    do, words = REFUSED[case]
    with pytest.raises(UsageError, match=words):
        do()


# --- functions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sigmoid_over_the_whole_range(dtype):
    """Far below zero it is exp(a), to full precision; nowhere does it overflow or warn."""
    a = np.concatenate([np.linspace(-80, 80, 2001), [-1e30, 1e30, 0.0, -0.0]]).astype(dtype)
    with np.errstate(all="raise", under="ignore"):
        got = numpy_namespace.sigmoid(a)
    assert got.dtype == dtype
    exact = np.array([sigmoid(x) if x > -700 else 0.0 for x in a.tolist()])
    np.testing.assert_allclose(got, exact, rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", cells.ACTIVATIONS)
def test_functions_on_complex_numbers(name):
    """The imaginary part of f(x + 1e-30j) is the derivative times 1e-30, for saturated x too."""
    a = np.array([-800.0, -30.0, -1.0, -1e-3, 1e-3, 1.0, 30.0, 800.0])
    function = cells.ACTIVATIONS[name].value
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        got = function(numpy_namespace, a + 1e-30j)
    y = function(numpy_namespace, a)
    np.testing.assert_allclose(got.real, y, rtol=1e-14)
    # 1 − tanh² written without the difference, which loses all digits where tanh is nearly 1
    e = np.exp(-2 * np.abs(a))
    slope = {
        "tanh": 4 * e / (1 + e) ** 2,
        "sigmoid": y * numpy_namespace.sigmoid(-a),
        "relu": a > 0,
        "hard_sigmoid": (abs(a) < 3) / 6,
        "identity": np.ones_like(a),
    }[name]
    np.testing.assert_allclose(got.imag / 1e-30, slope, rtol=1e-12, atol=1e-30)
    np.testing.assert_allclose(cells.ACTIVATIONS[name].slope(y), slope, rtol=1e-12, atol=1e-15)


# --- gate orders ----------------------------------------------------------------------------------------------------

# Our blocks at each place of the other system's weights.
PLACES = {
    ("lstm", "torch"): [0, 1, 2, 3],
    ("lstm", "keras"): [0, 1, 2, 3],
    ("lstm", "onednn"): [0, 1, 2, 3],
    ("lstm", "onnx"): [0, 3, 1, 2],
    ("lstm", "haste"): [0, 2, 1, 3],
    ("lstm", "char-rnn"): [0, 1, 3, 2],
    ("lstm", "thinc"): [1, 0, 3, 2],
    ("lstm", "openvino"): [1, 0, 2, 3],
    ("gru", "torch"): [0, 1, 2],
    ("gru", "keras"): [1, 0, 2],
    ("gru", "onednn"): [1, 0, 2],
    ("gru", "onnx"): [1, 0, 2],
    ("gru", "haste"): [1, 0, 2],
}


@pytest.mark.parametrize(("cell", "system"), PLACES)
def test_orders(cell, system, rng):
    ours, theirs = CELLS[cell]().gates, ORDERS[cell][system]
    weight = rng.standard_normal((len(ours) * 3, 2))
    blocks = np.split(weight, len(ours))
    got = reorder(weight, ours, theirs)
    np.testing.assert_array_equal(got, np.concatenate([blocks[place] for place in PLACES[cell, system]]))
    np.testing.assert_array_equal(reorder(got, theirs, ours), weight)


def test_every_order_is_listed_and_ours_is_ours():
    assert {(cell, system) for cell in ("lstm", "gru") for system in ORDERS[cell]} == {
        *PLACES,
        ("lstm", "elman"),
        ("gru", "elman"),
    }
    for name, cell in CELLS.items():
        assert ORDERS[name]["elman"] == cell().gates


def test_orders_that_do_not_fit():
    with pytest.raises(UsageError, match="name different gates"):
        reorder(np.zeros((8, 2)), ("i", "f", "g", "o"), ("i", "f", "c", "o"))
    with pytest.raises(UsageError, match=r"a multiple of 3 rows .*got \(8, 2\)"):
        gate_block(np.zeros((8, 2)), "r", order=("r", "z", "n"))
