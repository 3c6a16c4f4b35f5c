"""Bits that are promised: for any batch, order, cut and number of threads, a sequence gives the same ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapes import CELL_VARIANTS, Problem, Shape, make_problem

from elman.ops import recurrence
from elman.ops.core import native
from elman.ragged import Ragged

pytestmark = pytest.mark.skipif(native is None, reason="NumPy's matrix product gives a row other bits when it is alone")


@pytest.fixture(scope="module", autouse=True)
def every_size_on_all_threads() -> Iterator[None]:
    before = native.get_threads()
    native.set_small_work(0.0)
    native.set_threads(3)
    yield
    native.set_small_work(1e6)
    native.set_threads(before)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    shape = Shape(
        tuple(draw(st.lists(st.integers(0, 9), min_size=1, max_size=20))),
        draw(st.sampled_from([1, 3, 16, 40, 130])),
        draw(st.sampled_from([1, 5, 16, 33, 64, 100])),
        "drawn",
    )
    problem = make_problem(
        CELL_VARIANTS[draw(st.sampled_from(sorted(CELL_VARIANTS)))],
        shape,
        dtype=draw(st.sampled_from(["float32", "float64"])),
        seed=draw(st.integers(0, 1000)),
    )
    return problem._replace(x=problem.ids) if draw(st.booleans()) else problem


def run(problem: Problem) -> tuple[dict[str, list[np.ndarray]], dict[str, np.ndarray]]:
    """Forward and backward: what belongs to each sequence, sequence by sequence, and the weight gradients."""
    grads = {name: np.zeros_like(array) for name, array in problem.weights.items()}
    y, last, tape = recurrence.forward(problem.cell, problem.x, problem.weights, state=problem.state, tape=True)
    dx, d_initial, dh = recurrence.backward(
        problem.cell, problem.dy, tape, problem.weights, grads, dstate=problem.dstate, want_dx=True, keep_dh=True
    )
    rows = {"y": y, "dh": dh} if dx is None else {"y": y, "dh": dh, "dx": dx}
    out = {name: problem.x.with_values(value).split() for name, value in rows.items()}
    for name, parts in (("last", last), ("d_initial", d_initial)):
        out[name] = list(np.stack(parts, axis=1))
    return out, grads


def part_of(problem: Problem, rows: np.ndarray, sequences: np.ndarray, lengths: np.ndarray) -> Problem:
    return problem._replace(
        x=Ragged(problem.x.values[rows], lengths),
        dy=problem.dy[rows],
        state=tuple(part[sequences] for part in problem.state),
        dstate=tuple(part[sequences] for part in problem.dstate),
    )


def rows_of(problem: Problem, sequences: np.ndarray) -> np.ndarray:
    offsets = problem.x.offsets
    return np.concatenate([np.arange(offsets[b], offsets[b + 1]) for b in sequences] or [np.arange(0)]).astype(int)


@given(problems())
def test_one_batch_of_many_lengths_is_each_sequence_alone(problem: Problem) -> None:
    together, _ = run(problem)
    for b in range(len(problem.x)):
        only = np.array([b])
        alone, _ = run(part_of(problem, rows_of(problem, only), only, problem.x.lengths[only]))
        for name, value in alone.items():
            np.testing.assert_array_equal(value[0], together[name][b], err_msg=name)


@given(problems(), st.randoms(use_true_random=False))
def test_another_order_of_the_batch(problem: Problem, random) -> None:
    order = np.array(random.sample(range(len(problem.x)), len(problem.x)))
    straight, _ = run(problem)
    shuffled, _ = run(part_of(problem, rows_of(problem, order), order, problem.x.lengths[order]))
    for name, value in shuffled.items():
        for place, b in enumerate(order):
            np.testing.assert_array_equal(value[place], straight[name][b], err_msg=name)


@given(problems(), st.integers(2, 9))
def test_any_number_of_threads(problem: Problem, n_threads: int) -> None:
    native.set_threads(1)
    one, grads_one = run(problem)
    native.set_threads(n_threads)
    many, grads_many = run(problem)
    for name, value in one.items():
        for a, b in zip(value, many[name], strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)
    for name, value in grads_one.items():
        np.testing.assert_array_equal(value, grads_many[name], err_msg=name)


@given(problems(), st.integers(0, 9))
def test_a_cut_with_the_state_carried_is_one_run(problem: Problem, cut: int) -> None:
    whole, whole_last, _ = recurrence.forward(problem.cell, problem.x, problem.weights, state=problem.state, tape=False)
    first, second = problem.x.window(0, cut), problem.x.window(cut, 9)
    y1, state, tape1 = recurrence.forward(problem.cell, first, problem.weights, state=problem.state, tape=True)
    y2, last, tape2 = recurrence.forward(problem.cell, second, problem.weights, state=state, tape=True)
    joined = [
        np.concatenate(pair) for pair in zip(first.with_values(y1).split(), second.with_values(y2).split(), strict=True)
    ]
    for got, expected in zip(joined, problem.x.with_values(whole).split(), strict=True):
        np.testing.assert_array_equal(got, expected)
    for got, expected in zip(last, whole_last, strict=True):
        np.testing.assert_array_equal(got, expected)

    # And back: what the second part hands to the first is what flows through the whole.
    dy = problem.x.with_values(problem.dy)
    grads = {name: np.zeros_like(array) for name, array in problem.weights.items()}
    rest = dict(want_dx=False, keep_dh=False)
    _, middle, _ = recurrence.backward(
        problem.cell, dy.window(cut, 9).values, tape2, problem.weights, grads, dstate=problem.dstate, **rest
    )
    _, initial, _ = recurrence.backward(
        problem.cell, dy.window(0, cut).values, tape1, problem.weights, grads, dstate=middle, **rest
    )
    expected, grads_whole = run(problem)
    for b, parts in enumerate(np.stack(initial, axis=1)):
        np.testing.assert_array_equal(parts, expected["d_initial"][b])
    tolerance = 1e-12 if problem.dy.dtype == np.float64 else 1e-5  # sums in another order
    for name, value in grads_whole.items():
        assert np.linalg.norm(grads[name] - value) <= tolerance * np.linalg.norm(value) + 1e-30, name


@given(problems())
def test_step_by_step_is_one_run(problem: Problem) -> None:
    whole, whole_last, _ = recurrence.forward(problem.cell, problem.x, problem.weights, state=problem.state, tape=False)
    state, outputs = problem.state, []
    for t in range(int(problem.x.lengths.max())):
        step = problem.x.window(t, t + 1)
        y, state, _ = recurrence.forward(problem.cell, step, problem.weights, state=state, tape=False)
        outputs.append(step.with_values(y).split())
    for b, expected in enumerate(problem.x.with_values(whole).split()):
        got = np.concatenate([out[b] for out in outputs]) if outputs else expected
        np.testing.assert_array_equal(got, expected)
    for got, expected in zip(state, whole_last, strict=True):
        np.testing.assert_array_equal(got, expected)


@given(problems())
def test_one_hot_rows_are_token_ids(problem: Problem) -> None:
    if problem.x.values.ndim == 2:
        problem = problem._replace(x=problem.ids)
    ids, grads_ids = run(problem)
    size = problem.weights["weight_ih"].shape[1]
    rows = np.eye(size, dtype=problem.dy.dtype)[problem.x.values]
    dense, grads_dense = run(problem._replace(x=problem.x.with_values(rows)))
    for name in ids:
        for a, b in zip(ids[name], dense[name], strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)
    tolerance = 1e-12 if problem.dy.dtype == np.float64 else 1e-5  # sums in another order
    for name, value in grads_dense.items():
        assert np.linalg.norm(grads_ids[name] - value) <= tolerance * np.linalg.norm(value) + 1e-30, name


@given(problems())
def test_nothing_of_the_caller_changes(problem: Problem) -> None:
    arrays = [problem.x.values, problem.dy, *problem.state, *problem.dstate, *problem.weights.values()]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    run(problem)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
