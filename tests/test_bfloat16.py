"""Products in bfloat16 against a NumPy twin that rounds the same operands and multiplies them in float64."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from shapes import CELL_VARIANTS, NOISES, SHAPES, Problem, Shape, make_problem

from elman.ops import recurrence, reference
from elman.ops.core import native
from elman.ops.weights import Weights
from elman.ragged import Ragged

pytestmark = pytest.mark.skipif(native is None, reason="the native core is not built")

#: One more of each than the kernels' own blocks: 256 of k (128 pairs), 128 rows of a weight gradient, 96 left rows.
BLOCKS = Shape((9, 0, 31) * 5, 201, 275, "every blocked loop runs more than once, and every last pair is half empty")
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
