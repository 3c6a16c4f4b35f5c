"""Products with int8 weights against a NumPy twin that rounds alike: the sums are whole numbers, so the bits agree."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shapes import CELL_VARIANTS, SHAPES, Shape, make_problem

from elman.ops import linear, recurrence, reference
from elman.ops.core import native
from elman.ops.rounding import from_int8, rounded, to_int8
from elman.ops.weights import Weights
from elman.ragged import Ragged

pytestmark = pytest.mark.skipif(native is None, reason="the native core is not built")

ISAS = ("avx512bf16", "avx512", "avx2", "baseline")
FORCED = bool(os.environ.get("ELMAN_ISA"))
#: The greatest k whose sum of products stays within 32 bits; beyond, the left operand has a scale per stretch.
STRETCH = 512


@pytest.fixture(autouse=True)
def every_size_on_all_threads() -> Iterator[None]:
    before = native.get_threads()
    native.set_small_work(0.0)
    yield
    native.set_small_work(1e6)
    native.set_threads(before)


def product(x: np.ndarray, weight: np.ndarray, start: np.ndarray | float = 0.0) -> np.ndarray:
    """start + x Wᵀ as int8.h computes it, in float32 and 64-bit integers."""
    whole, scale = to_int8(weight)
    y = np.zeros((len(x), len(weight)), np.float32) + np.float32(start)
    for first in range(0, x.shape[1], STRETCH):
        part = x[:, first : first + STRETCH].astype(np.float32)
        top = np.abs(part).max(axis=1, initial=0, keepdims=True)
        zero = top < np.float32(1e-30)
        up = np.where(zero, np.float32(0), np.float32(32767) / np.where(zero, np.float32(1), top))
        left = np.rint(part * up).astype(np.int64)
        sums = left @ whole[:, first : first + STRETCH].T.astype(np.int64)
        assert np.abs(sums).max(initial=0) < 2**31
        y = y + sums.astype(np.float32) * (scale * np.where(zero, np.float32(0), top / np.float32(32767)))
    return y


class Twin(np.ndarray):
    """Weights whose products are those of the twin, for the NumPy reference to run with."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if ufunc is np.matmul:
            return product(np.asarray(inputs[0]), np.asarray(inputs[1]).T)
        return getattr(ufunc, method)(*(np.asarray(given) for given in inputs), **options)


SIZES = [(1, 1, 1), (3, 5, 2), (9, 17, 7), (64, 64, 100), (511, 66, 3), (512, 64, 5), (513, 130, 50), (1300, 70, 4)]


@pytest.mark.parametrize(("inputs", "outputs", "rows"), SIZES)
def test_products_have_the_bits_of_the_twin(inputs, outputs, rows, rng):
    weight = rounded(rng.standard_normal((outputs, inputs)), "int8")
    weight[outputs // 2] = 0  # a row without a scale
    x = rng.standard_normal((rows, inputs)).astype(np.float32)
    x[rows // 2] *= 1e-33  # a row that is taken for zero
    x[-1] *= 1e20
    weights = Weights({"weight": weight, "bias": rng.standard_normal(outputs).astype(np.float32)}, precision="int8")
    y = linear.forward(x, weights, activation=None).copy()
    np.testing.assert_array_equal(y, product(x, weight, weights["bias"]))
    for row in range(0, rows, 7):  # and none of them depends on its neighbours
        np.testing.assert_array_equal(linear.forward(x[row : row + 1], weights, activation=None)[0], y[row])


def test_the_largest_sums_do_not_overflow(rng):
    weight = np.full((3, STRETCH), 127.0, np.float32)
    weight[1] *= -1
    x = np.ones((2, STRETCH), np.float32)
    weights = Weights({"weight": weight, "bias": np.zeros(3, np.float32)}, precision="int8")
    y = linear.forward(x, weights, activation=None)
    np.testing.assert_allclose(y, [[127.0 * STRETCH, -127.0 * STRETCH, 127.0 * STRETCH]] * 2, rtol=1e-6)


def test_what_is_not_finite_is_not_hidden(rng):
    weights = Weights({"weight": np.ones((4, 20), np.float32), "bias": np.zeros(4, np.float32)}, precision="int8")
    x = np.ones((3, 20), np.float32)
    x[0, 3], x[1, 19] = np.nan, np.inf
    y = linear.forward(x, weights, activation=None)
    assert not np.isfinite(y[:2]).any() and np.isfinite(y[2]).all()


#: Widths that neither fill registers nor tiles, all kinds of lengths, and more inputs than one stretch.
HERE = {name: SHAPES[name] for name in ("one", "tail", "ragged")} | {
    "blocks": Shape((4, 0, 3) * 4, 530, 70, "more inputs than a stretch, more columns than a block")
}


@pytest.mark.parametrize("shape", HERE)
@pytest.mark.parametrize("variant", CELL_VARIANTS)
def test_every_cell_runs_as_the_reference_with_such_products(variant, shape):
    if FORCED and shape != "ragged":
        pytest.skip("another instruction set: one shape tells")
    problem = make_problem(CELL_VARIANTS[variant], HERE[shape], dtype="float32")
    small = {name: rounded(w, "int8") if w.ndim == 2 else w for name, w in problem.weights.items()}
    twins = {name: w.view(Twin) if w.ndim == 2 else w for name, w in small.items()}
    for x in (problem.x, problem.ids):
        for state in (None, problem.state):
            y, last, _ = reference.forward(problem.cell, x, twins, state=state, tape=False)
            plain, _, _ = reference.forward(problem.cell, x, problem.weights, state=state, tape=False)
            runs = []
            for threads in (1, 3):
                native.set_threads(threads)
                weights = Weights(small, precision="int8")
                y_here, last_here, _ = recurrence.forward(problem.cell, x, weights, state=state, tape=False)
                # Functions differ by a few ULP, which now and then changes how an h is rounded: by 1 of 32767.
                for got, expected in ((y_here, y), *zip(last_here, last, strict=True)):
                    assert np.linalg.norm(got - expected) <= 2e-5 * np.linalg.norm(expected) + 1e-6
                runs.append(y_here)
            np.testing.assert_array_equal(*runs)
            if shape == "blocks":  # rounding 8 bits is what costs: the tolerance above would see it
                assert 2e-4 < np.linalg.norm(y - plain) / np.linalg.norm(plain) < 0.1


@pytest.mark.parametrize("storage", ["int8", "bfloat16"])
@pytest.mark.parametrize("variant", ["rnn-tanh", "lstm", "gru", "gru-before", "lstm-all"])
def test_bits_do_not_depend_on_neighbours_threads_or_cuts(variant, storage):
    problem = make_problem(
        CELL_VARIANTS[variant], Shape((9, 0, 30, 2) * 12, 40, 70, "more rows than rounded at once"), dtype="float32"
    )
    small = {name: rounded(w, storage) if w.ndim == 2 else w for name, w in problem.weights.items()}
    results = []
    for threads in (1, 2, 5):
        native.set_threads(threads)
        weights = Weights(small, precision=storage)
        y, last, _ = recurrence.forward(problem.cell, problem.x, weights, state=problem.state, tape=False)
        results.append((y, *last))
    for other in results[1:]:
        for a, b in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(a, b)
    y, *last = results[0]
    for index in (0, 2, 3, 46):
        alone = problem.x[index : index + 1]
        state: Any = tuple(part[index : index + 1] for part in problem.state)
        rows = slice(int(problem.x.offsets[index]), int(problem.x.offsets[index + 1]))
        # Step by step, as a stream goes.
        for step, row in enumerate(range(rows.start, rows.stop)):
            one = Ragged(alone.values[step : step + 1], [1])
            out, state, _ = recurrence.forward(problem.cell, one, weights, state=state, tape=False)
            np.testing.assert_array_equal(out[0], y[row])
        for part, whole in zip(state, last, strict=True):
            np.testing.assert_array_equal(part[0], whole[index])


def test_packing_rounds_as_numpy_does(rng):
    """What the native core makes of weights that nobody rounded is what `to_int8` makes of them."""
    weight = (rng.standard_normal((40, 33)) * 10.0 ** rng.integers(-12, 12, (40, 1))).astype(np.float32)
    x = rng.standard_normal((5, 33)).astype(np.float32)
    bias = np.zeros(40, np.float32)
    loose = linear.forward(x, Weights({"weight": weight, "bias": bias}, precision="int8"), activation=None).copy()
    tight = Weights({"weight": rounded(weight, "int8"), "bias": bias}, precision="int8")
    np.testing.assert_array_equal(loose, linear.forward(x, tight, activation=None))


def test_rounding_is_exact_and_stable(rng):
    weight = (rng.standard_normal((200, 37)) * 10.0 ** rng.integers(-25, 30, (200, 1))).astype(np.float32)
    weight[3] = 0
    whole, scale = to_int8(weight)
    small = from_int8(whole, scale)
    np.testing.assert_array_equal(small.astype(np.float64), whole.astype(np.float64) * scale[:, None])
    for now, before in zip(to_int8(small), (whole, scale), strict=True):
        np.testing.assert_array_equal(now, before)
    assert (np.abs(whole).max(axis=1) == np.where(scale == 0, 0, 127)).all()
    assert (np.abs(small - weight) <= 0.5001 * scale[:, None]).all()
    halves = rounded(weight, "bfloat16")
    assert not (halves.view(np.uint32) & 0xFFFF).any()
    assert (np.abs(halves - weight) <= np.abs(weight) * 2.0**-8).all()
    np.testing.assert_array_equal(rounded(halves, "bfloat16"), halves)


def test_there_is_no_way_back(rng):
    weights = Weights({"weight": np.ones((4, 3), np.float32), "bias": np.zeros(4, np.float32)}, precision="int8")
    x = np.ones((2, 3), np.float32)
    y = linear.forward(x, weights, activation=None)
    grads = {name: np.zeros_like(w) for name, w in weights.items()}
    with pytest.raises(ValueError, match="no way back"):
        linear.backward(np.ones_like(y), x, y, weights, grads, activation=None, want_dx=True)


@pytest.mark.parametrize("isa", ISAS)
def test_every_instruction_set(isa: str) -> None:
    """Run the numbers once more for each instruction set that this machine has, in a process of its own."""
    if FORCED:
        pytest.skip("already forced")
    if isa == native.isa():
        pytest.skip("these are the numbers of this process")
    environment = {**os.environ, "ELMAN_ISA": isa}
    probe = [sys.executable, "-c", "import elman._native"]
    if isa != "baseline" and subprocess.run(probe, env=environment, capture_output=True, check=False).returncode != 0:
        pytest.skip(f"this machine has no {isa}")
    options = ["-q", "-x", "-p", "no:cacheprovider", "-k", "twin or reference"]
    command = [sys.executable, "-m", "pytest", *options, Path(__file__)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
