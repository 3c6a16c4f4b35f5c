"""The native core against the NumPy reference: every cell, shape, dtype and number of threads.

The reference is proved by complex steps (test_gradients.py); these tests carry the proof over to C++.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from shapes import CELL_VARIANTS, NOISES, SHAPES, Problem, Shape, make_problem

from elman.cells import numpy_namespace
from elman.ops import flat as flat_ops
from elman.ops import linear, losses, recurrence, reference
from elman.ops.core import native
from elman.ops.weights import Weights

pytestmark = pytest.mark.skipif(native is None, reason="the native core is not built")

ISAS = ("avx512", "avx2", "baseline")
#: Whether this is one of the processes that `test_every_instruction_set` begins.
FORCED = bool(os.environ.get("ELMAN_ISA"))
#: Seven are more than most batches here have sequences, so that threads share the units of all.
THREADS = (1, 3, 7)
#: Threads, and how many rows the way back then takes at once; as many as fit otherwise.
BLOCKS, ALL_ROWS = ((3, 1), (7, 37)), 1 << 40
# Sizes past the kernels' own blocks (128 of k, 128 rows of a weight gradient, 64 columns, 96 rows of input product).
SHAPES_HERE = {**SHAPES, "blocks": Shape((9, 0, 30) * 5, 200, 150, "every blocked loop runs more than once")}
# Rounding, relative to the norm: sums of some thousand products. float32 errors grow through up to 60 steps.
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


@pytest.fixture(autouse=True)
def every_size_on_all_threads() -> Iterator[None]:
    before = native.get_threads()
    native.set_small_work(0.0)
    yield
    native.set_small_work(1e6)
    native.set_most_block_rows(ALL_ROWS)
    native.set_threads(before)


def assert_close(got: np.ndarray, expected: np.ndarray, what: str, slack: float = 1.0) -> None:
    assert got.shape == expected.shape and got.dtype == expected.dtype, what
    error = np.linalg.norm((got - expected).astype(np.float64))
    tolerance = slack * TOLERANCE[str(expected.dtype)]
    assert error <= tolerance * max(np.linalg.norm(expected.astype(np.float64)), slack - 1), f"{what}: off by {error}"


def run(module, problem: Problem, x, *, given: bool) -> dict[str, np.ndarray]:
    """Forward and backward through `module`; everything that comes out, by name."""
    grads = {name: np.full_like(array, 0.25) for name, array in problem.weights.items()}  # gradients are added
    state = problem.state if given else None
    dstate = problem.dstate if given else None
    y, last, tape = module.forward(problem.cell, x, problem.weights, state=state, tape=True, noise=problem.noise)
    dx, d_initial, dh = module.backward(
        problem.cell, problem.dy, tape, problem.weights, grads, dstate=dstate, want_dx=True, keep_dh=True
    )
    untaped, untaped_last, none = module.forward(
        problem.cell, x, problem.weights, state=state, tape=False, noise=problem.noise
    )
    assert none is None
    np.testing.assert_array_equal(untaped, y)
    for a, b in zip(untaped_last, last, strict=True):
        np.testing.assert_array_equal(a, b)
    out = {"y": y, "dh": dh, **{f"d_{name}": value for name, value in grads.items()}}
    out |= {f"last {name}": part for name, part in zip(problem.cell.states, last, strict=True)}
    out |= {f"d initial {name}": part for name, part in zip(problem.cell.states, d_initial, strict=True)}
    return out if dx is None else {**out, "dx": dx}


#: The four ways through the driver: one part of the state or two, a second product that takes h, or not.
WAYS = ("rnn-tanh", "lstm", "gru", "lstm-projection", "gru-before")
# All shapes for those; under another instruction set the ones whose last vectors and tiles are not full.
CASES = [
    (variant, shape, dtype)
    for variant in WAYS
    for shape in SHAPES_HERE
    for dtype in TOLERANCE
    if shape in ("tail", "ragged", "blocks") or not FORCED
]
# Options change what is done in a row of the tape: widths with a tail, a single unit, sequences of all lengths.
CASES += [
    (variant, shape, dtype)
    for variant in CELL_VARIANTS
    if variant not in WAYS
    for shape, dtype in (("tail", "float64"), ("tail", "float32"), ("one", "float64"), ("ragged", "float32"))
    if shape == "tail" or not FORCED
]


@pytest.mark.parametrize(("variant", "shape", "dtype"), CASES)
def test_recurrence(variant: str, shape: str, dtype: str) -> None:
    problem = make_problem(CELL_VARIANTS[variant], SHAPES_HERE[shape], dtype=dtype)
    check_parity(problem, problem.x, given=True)
    check_parity(problem, problem.ids, given=False)
    if variant in WAYS:
        check_parity(problem, problem.x, given=False, threads=THREADS[:1])
        check_parity(problem, problem.ids, given=True, threads=THREADS[:1])


def check_parity(problem: Problem, x, *, given: bool, threads: tuple[int, ...] = THREADS) -> None:
    """Compare with the reference, and every number of threads with one thread."""
    expected = run(reference, problem, x, given=given)
    results, sums = [], [f"d_{name}" for name in problem.weights]
    native.set_most_block_rows(ALL_ROWS)
    for n_threads in threads:
        native.set_threads(n_threads)
        results.append(run(recurrence, problem, x, given=given))
    # Normalising a product multiplies its rounding errors by one over its spread, step after step, and of one or two
    # units' gradients it leaves nearly nothing: there the errors are measured against 1 and more.
    slack = 50.0 if problem.cell.bias_after else 1.0
    for name, value in expected.items():
        assert_close(results[0][name], value, name, slack)
        for other in results[1:]:  # weight gradients too
            np.testing.assert_array_equal(other[name], results[0][name], err_msg=name)
    for n_threads, rows in BLOCKS:  # only sums over the steps of several blocks are rounded otherwise
        native.set_threads(n_threads)
        native.set_most_block_rows(rows)
        for name, value in run(recurrence, problem, x, given=given).items():
            assert_close(value, expected[name], name, slack)
            if name not in sums:
                np.testing.assert_array_equal(value, results[0][name], err_msg=name)


# Noise is the driver's work, so each kind goes each way; all of it at once through every cell.
NOISY = [(variant, noise, "float64") for variant in WAYS for noise in NOISES if not FORCED]
NOISY += [(variant, "all noise", "float32") for variant in CELL_VARIANTS]


@pytest.mark.parametrize(("variant", "noise", "dtype"), NOISY)
def test_recurrence_with_noise(variant: str, noise: str, dtype: str) -> None:
    problem = make_problem(CELL_VARIANTS[variant], SHAPES["ragged"], dtype=dtype, noise=NOISES[noise])
    check_parity(problem, problem.x, given=True)


@pytest.mark.parametrize("variant", CELL_VARIANTS)
def test_no_gradient_of_the_outputs_is_a_gradient_of_zero(variant: str) -> None:
    problem = make_problem(CELL_VARIANTS[variant], SHAPES["ragged"])
    zero = run(recurrence, problem._replace(dy=np.zeros_like(problem.dy)), problem.x, given=True)
    none = run(recurrence, problem._replace(dy=None), problem.x, given=True)
    for name, value in zero.items():
        np.testing.assert_array_equal(none[name], value, err_msg=name)


@pytest.mark.parametrize("variant", CELL_VARIANTS)
def test_more_sequences_than_one_pass_of_the_driver_takes(variant: str) -> None:
    shape = SHAPES["many_rows"]._replace(lengths=(3, 1, 2) * 200)  # 600 rows on one thread, 256 at a time
    problem = make_problem(CELL_VARIANTS[variant], shape)
    expected = run(reference, problem, problem.x, given=True)
    native.set_threads(1)
    got = run(recurrence, problem, problem.x, given=True)
    for name, value in expected.items():
        assert_close(got[name], value, name)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("activation", [None, "tanh", "sigmoid", "relu", "softmax"])
@pytest.mark.parametrize(
    ("rows", "inputs", "outputs"), [(1, 1, 1), (7, 5, 17), (300, 130, 70), (40, 16, 64), (0, 3, 2)]
)
def test_linear(
    rows: int, inputs: int, outputs: int, activation: str | None, dtype: str, rng: np.random.Generator
) -> None:
    def draw(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) / np.sqrt(inputs)).astype(dtype)

    weights = Weights({"weight": draw(outputs, inputs), "bias": draw(outputs)})
    x, dy = draw(rows, inputs), draw(rows, outputs)
    a = x @ weights["weight"].T + weights["bias"]
    if activation is None:
        expected, d_a = a, dy
    elif activation == "softmax":
        expected = linear.softmax(a)
        d_a = expected * (dy - (dy * expected).sum(1, keepdims=True))
    else:
        expected = getattr(numpy_namespace, activation)(a)
        d_a = dy * {"tanh": 1 - expected**2, "sigmoid": expected * (1 - expected), "relu": a > 0}[activation]
    first = None
    for n_threads in THREADS:
        native.set_threads(n_threads)
        grads = {"weight": np.full_like(weights["weight"], 0.25), "bias": np.full_like(weights["bias"], 0.25)}
        y = linear.forward(x, weights, activation=activation)
        dx = linear.backward(dy, x, y, weights, grads, activation=activation, want_dx=True)
        assert_close(y, expected, "y")
        assert_close(dx, d_a @ weights["weight"], "dx")
        assert_close(grads["weight"], 0.25 + d_a.T @ x, "d_weight")
        assert_close(grads["bias"], 0.25 + d_a.sum(0), "d_bias")
        out = (y, dx, grads["weight"], grads["bias"])
        first = first or out
        for got, same in zip(out, first, strict=True):
            np.testing.assert_array_equal(got, same)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("activation", [None, "tanh", "sigmoid", "relu", "softmax"])
@pytest.mark.parametrize(("inputs", "outputs"), [(5, 17), (130, 70), (16, 64)])
def test_a_row_of_a_dense_layer_keeps_its_bits_when_it_is_alone(
    inputs: int, outputs: int, activation: str | None, dtype: str, rng: np.random.Generator
) -> None:
    def draw(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) / np.sqrt(inputs)).astype(dtype)

    def run_rows(x: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        grads = {name: np.zeros_like(array) for name, array in weights.items()}
        y = linear.forward(x, weights, activation=activation)
        return y, linear.backward(dy, x, y, weights, grads, activation=activation, want_dx=True)

    weights = Weights({"weight": draw(outputs, inputs), "bias": draw(outputs)})
    x, dy = draw(29, inputs), draw(29, outputs)
    native.set_threads(2)
    together = run_rows(x, dy)
    for n in range(len(x)):
        for alone, rows in zip(run_rows(x[n : n + 1], dy[n : n + 1]), together, strict=True):
            np.testing.assert_array_equal(alone[0], rows[n])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("rows", "classes"), [(1, 1), (5, 2), (300, 65), (40, 1500)])
def test_cross_entropy(rows: int, classes: int, weighted: bool, dtype: str, rng: np.random.Generator) -> None:
    logits = (4 * rng.standard_normal((rows, classes))).astype(dtype)
    target = rng.integers(0, classes, rows)
    weights = rng.random(rows).astype(dtype) if weighted else None
    # The NumPy branch serves complex numbers; on the real axis it is the reference.
    cross_entropy = losses.CrossEntropy()
    expected, total, d_expected = cross_entropy(logits.astype(np.complex128), target, weights=weights)
    first = None
    for n_threads in THREADS:
        native.set_threads(n_threads)
        loss, weight_sum, d_logits = cross_entropy(logits, target, weights=weights)
        assert weight_sum == total
        assert abs(loss - expected) <= 10 * TOLERANCE[dtype] * abs(expected) + 1e-15
        assert np.linalg.norm(d_logits - d_expected) <= TOLERANCE[dtype] * np.linalg.norm(d_expected) + 1e-15
        again, _, none = cross_entropy(logits, target, weights=weights, want_grad=False)
        assert again == loss and none is None
        first = first or (loss, d_logits)
        assert loss == first[0]
        np.testing.assert_array_equal(d_logits, first[1])


@pytest.mark.parametrize("isa", ISAS)
def test_every_instruction_set(isa: str) -> None:
    """Run the numbers once more for each instruction set that this machine has, in a process of its own."""
    if FORCED:
        pytest.skip("already forced")
    if native.isa().startswith(isa):  # avx512bf16 takes its kernels from avx512
        pytest.skip("these are the numbers of this process")
    environment = {**os.environ, "ELMAN_ISA": isa}
    probe = [sys.executable, "-c", "import elman._native"]
    if isa != "baseline" and subprocess.run(probe, env=environment, capture_output=True, check=False).returncode != 0:
        pytest.skip(f"this machine has no {isa}")
    here = Path(__file__)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            here,
            here.with_name("test_native_maths.py"),
            here.with_name("test_properties.py"),
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("size", [1, 7, 4096, 70_001])
def test_flat_work_has_the_bits_of_numpy(size: int, dtype: str, rng: np.random.Generator, monkeypatch) -> None:
    flat, grads, m = (rng.standard_normal(size).astype(dtype) for _ in range(3))
    v = rng.random(size).astype(dtype)
    options = {"beta_1": 0.9, "beta_2": 0.99, "root_correction": 0.3, "epsilon": 1e-8, "step_size": 2e-3}
    results, sums = [], []
    for n_threads in (*THREADS, None):  # None is NumPy
        if n_threads is None:
            monkeypatch.setattr(flat_ops, "native", None)
        else:
            native.set_threads(n_threads)
        arrays = [flat.copy(), m.copy(), v.copy()]
        flat_ops.adam(arrays[0], grads, arrays[1], arrays[2], **options)
        results.append(arrays)
        sums.append(flat_ops.sum_of_squares(grads))
    for other in results[:-1]:
        for got, expected in zip(other, results[-1], strict=True):
            np.testing.assert_array_equal(got, expected)
    assert len(set(sums[:-1])) == 1
    assert abs(sums[0] - sums[-1]) <= 1e-12 * sums[-1]
    assert np.isnan(flat_ops.sum_of_squares(np.array([1, np.nan], dtype)))
