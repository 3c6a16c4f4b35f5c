"""Threads that share the hidden units of one sequence: the same bits, no deadlock, and they stop when asked."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from shapes import CELL_VARIANTS, Shape, make_problem

from elman.ops import recurrence
from elman.ops.core import native
from elman.ops.workspace import Workspace, activate

pytestmark = pytest.mark.skipif(native is None, reason="the native core is not built")

ALONE = Shape((40,), 70, 300, "one sequence, wide enough for several threads")


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = native.get_threads()
    native.set_threads(2)
    yield
    native.set_threads(before)


def run(problem) -> list[np.ndarray]:
    """Forward and backward in a workspace of its own; everything that comes out."""
    with activate(Workspace()):
        grads = {name: np.zeros_like(array) for name, array in problem.weights.items()}
        y, last, tape = recurrence.forward(
            problem.cell, problem.x, problem.weights, state=problem.state, tape=True, noise=problem.noise
        )
        dx, first, dh = recurrence.backward(
            problem.cell, problem.dy, tape, problem.weights, grads, dstate=problem.dstate, want_dx=True, keep_dh=True
        )
        return [y, *last, dx, *first, dh, *grads.values()]


@pytest.mark.parametrize("n_threads", [2, 3, 5])
@pytest.mark.parametrize("variant", ["rnn-tanh", "lstm", "lstm-all", "gru", "gru-before", "gru-before-norm"])
def test_the_bits_of_one_thread(variant: str, n_threads: int) -> None:
    problem = make_problem(CELL_VARIANTS[variant], ALONE, dtype="float32", noise=("h_mask", "zone_h", "zone_c"))
    native.set_threads(1)
    expected = run(problem)
    native.set_threads(n_threads)
    for got, right in zip(run(problem), expected, strict=True):
        np.testing.assert_array_equal(got, right)


def test_python_threads_that_find_the_pool_busy_run_alone() -> None:
    problem = make_problem(CELL_VARIANTS["lstm"], ALONE, dtype="float32")
    expected = run(problem)
    results: list[list[np.ndarray]] = []
    workers = [threading.Thread(target=lambda: results.extend(run(problem) for _ in range(20))) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert len(results) == 60
    for result in results:
        for got, right in zip(result, expected, strict=True):
            np.testing.assert_array_equal(got, right)


def test_more_threads_than_a_crew_takes() -> None:
    problem = make_problem(CELL_VARIANTS["gru"], ALONE._replace(lengths=(3,)), dtype="float32")
    expected = run(problem)
    native.set_threads(80)
    for got, right in zip(run(problem), expected, strict=True):
        np.testing.assert_array_equal(got, right)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("n_sequences", [1, 4], ids=["a crew", "parts"])
def test_a_signal_handler_that_raises_ends_the_way_back(n_sequences: int) -> None:
    shape = ALONE._replace(lengths=(60_000 // n_sequences,) * n_sequences, input_size=64, hidden_size=256)
    problem = make_problem(CELL_VARIANTS["lstm"], shape, dtype="float32")
    workspace = Workspace()
    with activate(workspace):
        _, _, tape = recurrence.forward(problem.cell, problem.x, problem.weights, state=None, tape=True)
        grads = {name: np.zeros_like(array) for name, array in problem.weights.items()}
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        start = time.perf_counter()
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            recurrence.backward(
                problem.cell, problem.dy, tape, problem.weights, grads, dstate=None, want_dx=True, keep_dh=False
            )
        assert time.perf_counter() - start < 1.0
    short = problem._replace(x=problem.x.window(0, 50), dy=problem.dy[: 50 * n_sequences])
    for got, right in zip(run(short), run(short), strict=True):  # the pool serves again
        np.testing.assert_array_equal(got, right)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_all_members_stop_when_a_signal_handler_raises() -> None:
    problem = make_problem(CELL_VARIANTS["gru"], ALONE._replace(lengths=(300_000,), input_size=4), dtype="float32")
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    start = time.perf_counter()
    timer.start()
    with pytest.raises(KeyboardInterrupt), activate(Workspace()):
        recurrence.forward(problem.cell, problem.x, problem.weights, state=None, tape=False)
    assert time.perf_counter() - start < 2.0
    short = problem._replace(x=problem.x.window(0, 200), dy=problem.dy[:200])
    for got, right in zip(run(short), run(short), strict=True):  # the pool serves again
        np.testing.assert_array_equal(got, right)
