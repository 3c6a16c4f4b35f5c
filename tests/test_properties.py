"""Bits that are promised: for any batch, order, cut and number of threads, a sequence gives the same ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapes import CELL_VARIANTS, NOISES, Problem, Shape, make_problem

from elman.ops import recurrence
from elman.ops.core import native
from elman.ops.noise import Noise
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
    # Few sequences are run by all threads together, many by one thread each.
    most = draw(st.sampled_from([2, 20]))
    shape = Shape(
        tuple(draw(st.lists(st.integers(0, 9), min_size=1, max_size=most))),
        draw(st.sampled_from([1, 3, 16, 40, 130])),
        draw(st.sampled_from([1, 5, 16, 33, 64, 100])),
        "drawn",
    )
    problem = make_problem(
        CELL_VARIANTS[draw(st.sampled_from(sorted(CELL_VARIANTS)))],
        shape,
        dtype=draw(st.sampled_from(["float32", "float64"])),
        seed=draw(st.integers(0, 1000)),
        noise=draw(st.sampled_from([(), *NOISES.values()])),
    )
    return problem._replace(x=problem.ids) if draw(st.booleans()) else problem


def run(problem: Problem) -> tuple[dict[str, list[np.ndarray]], dict[str, np.ndarray]]:
    """Forward and backward: what belongs to each sequence, sequence by sequence, and the weight gradients."""
    grads = {name: np.zeros_like(array) for name, array in problem.weights.items()}
    y, last, tape = forward(problem, tape=True)
    dx, d_initial, dh = recurrence.backward(
        problem.cell, problem.dy, tape, problem.weights, grads, dstate=problem.dstate, want_dx=True, keep_dh=True
    )
    rows = {"y": y, "dh": dh} if dx is None else {"y": y, "dh": dh, "dx": dx}
    out = {name: problem.x.with_values(value).split() for name, value in rows.items()}
    for name, parts in (("last", last), ("d_initial", d_initial)):
        out[name] = list(np.concatenate(parts, axis=1))
    return out, grads


def forward(problem: Problem, *, state: tuple | None = None, tape: bool = False) -> tuple:
    """Forward over the problem, from its state or another."""
    return recurrence.forward(
        problem.cell,
        problem.x,
        problem.weights,
        state=problem.state if state is None else state,
        tape=tape,
        noise=problem.noise,
    )


def noise_of(noise: Noise, rows: np.ndarray, sequences: np.ndarray | slice = slice(None)) -> Noise:
    """Cut what belongs to these steps and these sequences."""
    return noise._replace(
        h_mask=None if noise.h_mask is None else noise.h_mask[sequences],
        **{
            name: zone[rows]
            for name, zone in (("zone_h", noise.zone_h), ("zone_c", noise.zone_c))
            if isinstance(zone, np.ndarray)
        },
    )


def part_of(problem: Problem, rows: np.ndarray, sequences: np.ndarray, lengths: np.ndarray) -> Problem:
    return problem._replace(
        noise=noise_of(problem.noise, rows, sequences),
        x=Ragged(problem.x.values[rows], lengths),
        dy=problem.dy[rows],
        state=tuple(part[sequences] for part in problem.state),
        dstate=tuple(part[sequences] for part in problem.dstate),
    )


def window(problem: Problem, start: int, stop: int) -> Problem:
    """Give some steps of every sequence, with their noise; states and what flows back stay as they are."""
    rows = problem.x.with_values(np.arange(problem.x.n_steps)).window(start, stop).values
    return problem._replace(x=problem.x.window(start, stop), dy=problem.dy[rows], noise=noise_of(problem.noise, rows))


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
    whole, whole_last, _ = forward(problem)
    first, second = window(problem, 0, cut), window(problem, cut, 9)
    y1, state, tape1 = forward(first, tape=True)
    y2, last, tape2 = forward(second, state=state, tape=True)
    pairs = zip(first.x.with_values(y1).split(), second.x.with_values(y2).split(), strict=True)
    for pair, expected in zip(pairs, problem.x.with_values(whole).split(), strict=True):
        np.testing.assert_array_equal(np.concatenate(pair), expected)
    for got, expected in zip(last, whole_last, strict=True):
        np.testing.assert_array_equal(got, expected)

    # And back: what the second part hands to the first is what flows through the whole.
    grads = {name: np.zeros_like(array) for name, array in problem.weights.items()}
    rest = dict(want_dx=False, keep_dh=False)
    _, middle, _ = recurrence.backward(
        problem.cell, second.dy, tape2, problem.weights, grads, dstate=problem.dstate, **rest
    )
    _, initial, _ = recurrence.backward(problem.cell, first.dy, tape1, problem.weights, grads, dstate=middle, **rest)
    expected, grads_whole = run(problem)
    for b, parts in enumerate(np.concatenate(initial, axis=1)):
        np.testing.assert_array_equal(parts, expected["d_initial"][b])
    assert_near(grads, grads_whole)


def assert_near(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """Compare gradients that are sums of the same numbers in another order."""
    for name, value in expected.items():
        tolerance = 1e-12 if value.dtype == np.float64 else 1e-5
        assert np.linalg.norm(got[name] - value) <= tolerance * np.linalg.norm(value) + 1e-30, name


@given(problems())
def test_step_by_step_is_one_run(problem: Problem) -> None:
    whole, whole_last, _ = forward(problem)
    state, outputs = problem.state, []
    for t in range(int(problem.x.lengths.max())):
        step = window(problem, t, t + 1)
        y, state, _ = forward(step, state=state)
        outputs.append(step.x.with_values(y).split())
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
    assert_near(grads_ids, grads_dense)


@given(problems())
def test_nothing_of_the_caller_changes(problem: Problem) -> None:
    masks = [mask for mask in problem.noise if isinstance(mask, np.ndarray)]
    arrays = [problem.x.values, problem.dy, *problem.state, *problem.dstate, *problem.weights.values(), *masks]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    run(problem)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
