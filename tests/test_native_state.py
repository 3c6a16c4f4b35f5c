"""What a kernel keeps from call to call, and what only long or large batches reach."""

from __future__ import annotations

import numpy as np
import pytest
from shapes import CELL_VARIANTS, NOISES, Shape, make_problem

from elman.ops import recurrence, reference
from elman.ops.core import native
from elman.ops.noise import Noise
from elman.ops.workspace import Workspace, activate

pytestmark = pytest.mark.skipif(native is None, reason="the native core is not built")


def run(module, problem, *, x=None, noise=None, want_dx=True) -> list[np.ndarray]:
    grads = {name: np.zeros_like(array) for name, array in problem.weights.items()}
    noise = problem.noise if noise is None else noise
    y, last, tape = module.forward(
        problem.cell, x or problem.x, problem.weights, state=problem.state, tape=True, noise=noise
    )
    dx, first, _ = module.backward(
        problem.cell, problem.dy, tape, problem.weights, grads, dstate=problem.dstate, want_dx=want_dx, keep_dh=False
    )
    return [np.array(part) for part in (y, *last, *([] if dx is None else [dx]), *first, *grads.values())]


def assert_alike(got, expected, tolerance=0.0):
    for a, b in zip(got, expected, strict=True):
        assert np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b)


@pytest.mark.parametrize("variant", ["lstm-peephole", "gru", "gru-norm", "lstm-norm"])
def test_sums_inside_a_cell_go_past_a_block_of_steps(variant):
    problem = make_problem(CELL_VARIANTS[variant], Shape((300, 129, 128, 0, 127), 3, 4, "blocks of 128 steps end"))
    assert_alike(run(recurrence, problem), run(reference, problem), 1e-11)


@pytest.mark.parametrize("variant", ["lstm", "lstm-all", "gru-before", "rnn-norm"])
def test_noise_of_more_sequences_than_a_pass_takes(variant):
    shape = Shape((3, 1, 2) * 200, 3, 5, "600 rows on one thread, 256 at a time")
    problem = make_problem(CELL_VARIANTS[variant], shape, noise=NOISES["all noise"])
    threads = native.get_threads()
    native.set_threads(1)
    try:
        assert_alike(run(recurrence, problem), run(reference, problem), 1e-11)
    finally:
        native.set_threads(threads)


def test_one_kernel_takes_numbers_and_ids_and_wants_dx_or_not():
    problem = make_problem(CELL_VARIANTS["gru"], Shape((4, 7, 2), 5, 6, "a few"))
    calls = [
        {"x": problem.ids, "want_dx": False},
        {"want_dx": False},
        {"x": problem.ids, "want_dx": False},
        {"want_dx": True},
        {"want_dx": False},
    ]
    fresh = []
    for call in calls:
        with activate(Workspace()):
            fresh.append(run(recurrence, problem, **call))
    with activate(Workspace()):
        for call, expected in zip(calls, fresh, strict=True):
            assert_alike(run(recurrence, problem, **call), expected)


def test_weight_drop_follows_masks_and_weights():
    problem = make_problem(CELL_VARIANTS["lstm"], Shape((4, 7, 2), 5, 6, "a few"), noise=("weight_mask",))
    a, rng = problem.noise, np.random.default_rng(1)
    b = Noise(weight_mask=(rng.random(a.weight_mask.shape) < 0.5) * 2.0)
    for noise in (a, b):
        assert_alike(run(recurrence, problem, noise=noise), run(reference, problem, noise=noise), 1e-12)
    with activate(Workspace()):
        for noise in (a, b, b, a):
            assert_alike(run(recurrence, problem, noise=noise), run(reference, problem, noise=noise), 1e-12)
        problem.weights["weight_hh"] *= 0.5
        problem.weights["bias"] += 0.25
        problem.weights.clock.ticks += 1
        assert_alike(run(recurrence, problem, noise=a), run(reference, problem, noise=a), 1e-12)  # the mask is the same
        # A layer that stands twice: both run forward before either comes back.
        grads = {name: np.zeros_like(array) for name, array in problem.weights.items()}
        told = {name: np.zeros_like(array) for name, array in problem.weights.items()}
        for module, into in ((recurrence, grads), (reference, told)):
            tapes = [
                module.forward(problem.cell, problem.x, problem.weights, state=None, tape=True, noise=noise)[2]
                for noise in (a, b)
            ]
            for tape in reversed(tapes):
                module.backward(
                    problem.cell, problem.dy, tape, problem.weights, into, dstate=None, want_dx=False, keep_dh=False
                )
        assert_alike(list(grads.values()), list(told.values()), 1e-12)


@pytest.mark.parametrize("change", ["dtype", "stride"])
def test_extras_are_never_converted(change):
    problem = make_problem(CELL_VARIANTS["gru"], Shape((3,), 2, 4, "one"))
    w = problem.weights
    bias_hn = w["bias_hn"].astype(np.float32) if change == "dtype" else np.repeat(w["bias_hn"], 2)[::2]
    with pytest.raises(TypeError, match="incompatible"):
        native.Recurrence64(
            cell="gru", activation="tanh", gate_activation="sigmoid", weight_ih=w["weight_ih"],
            weight_hh=w["weight_hh"], weight_hr=None, bias=w["bias"], extras=[bias_hn],
        )  # fmt: skip
    y, _, tape = recurrence.forward(problem.cell, problem.x, w, state=None, tape=True)
    grads = {name: np.zeros_like(array) for name, array in w.items()}
    grads["bias_hn"] = grads["bias_hn"].astype(np.float32) if change == "dtype" else np.zeros(8)[::2]
    with pytest.raises(TypeError, match="incompatible"):
        recurrence.backward(problem.cell, y, tape, w, grads, dstate=None, want_dx=False, keep_dh=False)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "hard_sigmoid", "identity"])
def test_nan_stays_nan(activation):
    problem = make_problem(CELL_VARIANTS[f"rnn-{activation}"], Shape((3,), 2, 20, "one"))
    problem.x.values[1] = np.nan
    for module in (recurrence, reference):
        y, _, _ = module.forward(problem.cell, problem.x, problem.weights, state=problem.state, tape=False)
        assert np.isfinite(y[0]).all() and np.isnan(y[1:]).all()
