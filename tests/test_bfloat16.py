"""Products in bfloat16 against a NumPy twin that rounds the same operands and multiplies them in float64."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shapes import CELL_VARIANTS, NOISES, SHAPES, Problem, Shape, make_problem

from elman.ops import linear, recurrence, reference
from elman.ops.core import native
from elman.ops.weights import Weights
from elman.ragged import Ragged

pytestmark = pytest.mark.skipif(native is None, reason="the native core is not built")

#: One more of each than the kernels' own blocks: 256 of k (128 pairs), 128 rows of a weight gradient, 96 left rows.
BLOCKS = Shape((3, 0, 2, 1) * 26, 201, 275, "every blocked loop runs more than once, and every last pair is half empty")
FORCED = bool(os.environ.get("ELMAN_ISA"))
WAYS = ("rnn-tanh", "lstm", "gru", "lstm-projection", "gru-before")
OTHERS = [name for name in CELL_VARIANTS if name not in WAYS]
# A product alone differs by float32's rounding, 6e-8 per sum. In a recurrence an h that lies between two bfloat16
# numbers is now and then rounded to the other one, a step of 2^-8 in one of thousands of numbers; without any rounding
# to bfloat16 the results below are off by 10 to 100 times this.
ONE_PRODUCT, RECURRENCE = 1e-6, 3e-4


@pytest.fixture(autouse=True)
def every_size_on_all_threads() -> Iterator[None]:
    before = native.get_threads()
    native.set_small_work(0.0)
    yield
    native.set_small_work(1e6)
    native.set_threads(before)


def rounded(x: np.ndarray) -> np.ndarray:
    """Give the nearest bfloat16 numbers, ties to even, as float64."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.uint64)
    bits += 0x7FFF + ((bits >> 16) & 1)
    return (bits & 0xFFFF0000).astype(np.uint32).view(np.float32).astype(np.float64)


class Twin(np.ndarray[Any, Any]):
    """float64 numbers that matrix products round first; whatever they meet in a product is rounded, too."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        plain = [part.view(np.ndarray) if isinstance(part, Twin) else part for part in inputs]
        if ufunc is np.matmul:
            plain = [rounded(part) for part in plain]
        if out is not None:
            options["out"] = tuple(part.view(np.ndarray) if isinstance(part, Twin) else part for part in out)
        result = getattr(ufunc, method)(*plain, **options)
        return out[0] if out is not None else result.view(Twin) if isinstance(result, np.ndarray) else result


def twin(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float64).view(Twin)


def twin_of(problem: Problem, x: Ragged, *, given: bool) -> dict[str, np.ndarray]:
    """Run the reference on twins of all that enters a product."""
    weights = Weights({name: twin(array) for name, array in problem.weights.items()})
    x = x if x.values.ndim == 1 else x.with_values(twin(x.values))
    state = tuple(map(twin, problem.state)) if given else None
    dstate = tuple(map(twin, problem.dstate)) if given else None
    noise = problem.noise._replace(
        **{k: v.astype(np.float64) for k, v in problem.noise._asdict().items() if isinstance(v, np.ndarray)}
    )
    y, last, tape = reference.forward(problem.cell, x, weights, state=state, tape=True, noise=noise)
    assert tape is not None
    tape = tape._replace(y=twin(y), kept=tuple(map(twin, tape.kept)))
    grads = {name: np.full(array.shape, 0.25) for name, array in weights.items()}
    dx, d_initial, dh = reference.backward(
        problem.cell, problem.dy.astype(np.float64), tape, weights, grads, dstate=dstate, want_dx=True, keep_dh=True
    )
    return collected(y, dh, dx, grads, last, d_initial)


def run(problem: Problem, x: Ragged, *, given: bool, precision: str | None = "bfloat16") -> dict[str, np.ndarray]:
    weights = Weights(problem.weights, precision=precision)
    state, dstate = (problem.state, problem.dstate) if given else (None, None)
    y, last, tape = recurrence.forward(problem.cell, x, weights, state=state, tape=True, noise=problem.noise)
    assert tape is not None
    grads = {name: np.full_like(array, 0.25) for name, array in weights.items()}
    dx, d_initial, dh = recurrence.backward(
        problem.cell, problem.dy, tape, weights, grads, dstate=dstate, want_dx=True, keep_dh=True
    )
    untaped, _, _ = recurrence.forward(problem.cell, x, weights, state=state, tape=False, noise=problem.noise)
    np.testing.assert_array_equal(untaped, y)
    return collected(y, dh, dx, grads, last, d_initial)


def collected(y: Any, dh: Any, dx: Any, grads: Any, last: Any, d_initial: Any) -> dict[str, np.ndarray]:
    out = {"y": y, "dh": dh, **{f"d_{name}": value for name, value in grads.items()}}
    out |= {f"last {k}": part for k, part in enumerate(last)} | {f"d initial {k}": p for k, p in enumerate(d_initial)}
    return {name: np.array(part) for name, part in out.items()} | ({} if dx is None else {"dx": np.array(dx)})


def distance(got: np.ndarray, expected: np.ndarray, least: float = 0.0) -> float:
    error = float(np.linalg.norm(got.astype(np.float64) - expected))
    return error / max(float(np.linalg.norm(expected)), least, 1e-30)


def check(problem: Problem, x: Ragged, *, given: bool) -> None:
    expected, results = twin_of(problem, x, given=given), []
    for n_threads in (1, 2, 3):
        native.set_threads(n_threads)
        results.append(run(problem, x, given=given))
    # Normalising multiplies errors by one over a product's spread: they are measured against 1 and more.
    slack = 20.0 if problem.cell.bias_after else 1.0
    for name, value in expected.items():
        assert distance(results[0][name], value, slack - 1) <= slack * RECURRENCE, name
        for other in results[1:]:
            np.testing.assert_array_equal(other[name], results[0][name], err_msg=name)


@pytest.mark.mutants
@pytest.mark.parametrize("variant", WAYS)
@pytest.mark.parametrize("shape", ["one", "tail", "wide_lane", "ragged", "many_rows", "blocks"])
def test_a_recurrence(variant: str, shape: str) -> None:
    problem = make_problem(CELL_VARIANTS[variant], {**SHAPES, "blocks": BLOCKS}[shape], dtype="float32")
    check(problem, problem.x, given=True)
    check(problem, problem.ids, given=False)


@pytest.mark.parametrize("variant", OTHERS)
def test_a_recurrence_with_options(variant: str) -> None:
    problem = make_problem(CELL_VARIANTS[variant], SHAPES["tail"], dtype="float32")
    check(problem, problem.x, given=True)


@pytest.mark.parametrize("variant", WAYS)
def test_a_recurrence_with_noise(variant: str) -> None:
    problem = make_problem(CELL_VARIANTS[variant], SHAPES["tail"], dtype="float32", noise=NOISES["all noise"])
    check(problem, problem.x, given=True)


@pytest.mark.parametrize("variant", WAYS)
def test_a_sequence_keeps_its_bits_alone_and_in_pieces(variant: str) -> None:
    problem = make_problem(CELL_VARIANTS[variant], SHAPES["ragged"], dtype="float32")
    whole = run(problem, problem.x, given=True)
    weights = Weights(problem.weights, precision="bfloat16")
    offsets = problem.x.offsets
    for index, length in enumerate(problem.x.lengths):
        rows = slice(offsets[index], offsets[index + 1])
        state = tuple(part[index : index + 1] for part in problem.state)
        for cut in (0, length // 2):
            between, y = state, []
            for part in (slice(0, cut), slice(cut, length)):
                x = Ragged(problem.x.values[rows][part], [len(problem.x.values[rows][part])])
                out, between, _ = recurrence.forward(problem.cell, x, weights, state=between, tape=False)
                y.append(out.copy())
            np.testing.assert_array_equal(np.concatenate(y), whole["y"][rows])
        np.testing.assert_array_equal(between[0][0], whole["last 0"][index])


@pytest.mark.parametrize(
    ("rows", "inputs", "outputs"), [(1, 1, 1), (7, 5, 17), (301, 263, 70), (40, 16, 64), (0, 3, 2)]
)
def test_a_dense_layer(rows: int, inputs: int, outputs: int, rng: np.random.Generator) -> None:
    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    weights = Weights({"weight": draw(outputs, inputs), "bias": draw(outputs)}, precision="bfloat16")
    x, dy = draw(rows, inputs), draw(rows, outputs)
    w, x_seen, dy_seen = rounded(weights["weight"]), rounded(x), rounded(dy)
    first = None
    for n_threads in (1, 2, 3):
        native.set_threads(n_threads)
        grads = {name: np.full_like(array, 0.25) for name, array in weights.items()}
        y = linear.forward(x, weights, activation=None)
        dx = linear.backward(dy, x, y, weights, grads, activation=None, want_dx=True)
        assert distance(y, x_seen @ w.T + weights["bias"]) <= ONE_PRODUCT
        assert distance(dx, dy_seen @ w) <= ONE_PRODUCT
        assert distance(grads["weight"], 0.25 + dy_seen.T @ x_seen) <= ONE_PRODUCT
        assert distance(grads["bias"], 0.25 + dy.astype(np.float64).sum(0)) <= ONE_PRODUCT  # a sum, not a product
        first = first or (y, dx, *grads.values())
        for got, same in zip((y, dx, *grads.values()), first, strict=True):
            np.testing.assert_array_equal(got, same)
    for n in range(0, rows, 37):
        np.testing.assert_array_equal(linear.forward(x[n : n + 1], weights, activation=None)[0], y[n])


def test_rounding_is_to_the_nearest_even_and_keeps_what_is_not_finite() -> None:
    ulp = 2.0**-7  # of a bfloat16 number between 1 and 2
    x = np.array([[1 + ulp / 2, 1 + 1.5 * ulp, 1 + 0.51 * ulp, -1 - ulp / 2, np.inf, -np.inf, 3.3e38, 3.4e38]]).T
    x = np.concatenate([x, [[np.nan]]]).astype(np.float32)
    quiet = np.array([0x7F800001, 0xFF800001], np.uint32).view(np.float32)[:, None]  # NaN in the last bit alone
    one = Weights({"weight": np.ones((1, 1), np.float32), "bias": np.zeros(1, np.float32)}, precision="bfloat16")
    y = linear.forward(np.concatenate([x, quiet]), one, activation=None)[:, 0]
    expected = [1, 1 + 2 * ulp, 1 + ulp, -1, np.inf, -np.inf, rounded(np.float32([3.3e38]))[0], np.inf] + [np.nan] * 3
    np.testing.assert_array_equal(y, np.float32(expected))
    for bad in (np.nan, np.inf):
        weights = Weights({**one, "weight": np.full((1, 1), bad, np.float32)}, precision="bfloat16")
        np.testing.assert_array_equal(linear.forward(np.ones((1, 1), np.float32), weights, activation=None), [[bad]])


def products() -> str:
    """Give the bits of a dense layer's outputs and gradients, in one number."""
    rng = np.random.default_rng(0)
    weight, x, dy = (rng.standard_normal(size).astype(np.float32) for size in ((70, 263), (301, 263), (301, 70)))
    weights = Weights({"weight": weight, "bias": weight[:, 0].copy()}, precision="bfloat16")
    grads = {name: np.zeros_like(array) for name, array in weights.items()}
    y = linear.forward(x, weights, activation=None)
    dx = linear.backward(dy, x, y, weights, grads, activation=None, want_dx=True)
    return hashlib.sha256(b"".join(np.array(part).tobytes() for part in (y, dx, *grads.values()))).hexdigest()


@pytest.mark.skipif(FORCED, reason="this is one of the processes it begins")
@pytest.mark.parametrize("isa", ["avx512", "avx2", "baseline"])
def test_every_instruction_set(isa: str) -> None:
    """Where no instruction multiplies bfloat16 numbers are widened; with fma that gives the instruction's bits."""
    here = Path(__file__).parent
    environment = {**os.environ, "ELMAN_ISA": isa}
    ask = "from elman.ops.core import native; import test_bfloat16 as t; print(native.isa(), t.products())"
    done = subprocess.run([sys.executable, "-c", ask], cwd=here, env=environment, capture_output=True, text=True)
    if "this machine or build has no" in done.stderr:
        pytest.skip(f"this machine has no {isa}")
    assert done.stdout.split()[0] == isa, done.stderr
    if isa != "baseline":
        assert done.stdout.split()[1] == products()
    ways = "test_a_recurrence and (tail or wide_lane or ragged) or test_a_dense_layer"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", Path(__file__).name, "-k", ways]
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
