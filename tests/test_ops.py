"""Losses at their edges, the workspace, the native core's presence, errors and the public names."""

from __future__ import annotations

import builtins
import gc
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import elman
from elman import errors
from elman.errors import DataError, say
from elman.ops import core, linear, losses
from elman.ops.weights import Clock, Weights
from elman.ops.workspace import ALIGNMENT, Workspace, activate, current

# --- losses ---------------------------------------------------------------------------------------------------------


def test_losses_by_hand():
    prediction, target = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[0.0, 2.0], [3.0, 3.0]])
    assert losses.squared_error(prediction, target)[:2] == (1.25, 2.0)
    assert losses.squared_error(prediction, target, weights=np.array([3.0, 1.0]))[:2] == (0.875, 4.0)
    logits = np.log([[0.25, 0.75], [0.5, 0.5]])
    loss, total, _ = losses.softmax_cross_entropy(logits, np.array([1, 0]))
    assert loss == pytest.approx(-(np.log(0.75) + np.log(0.5)) / 2)
    assert total == 2
    one_hot, _, gradient = losses.categorical_cross_entropy(logits, np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert one_hot == pytest.approx(loss)
    np.testing.assert_allclose(gradient, [[0.125, -0.125], [-0.25, 0.25]])


def test_keras_names():
    assert losses.LOSSES["mse"] is losses.LOSSES["mean_squared_error"] is losses.squared_error
    assert losses.LOSSES["sparse_categorical_crossentropy"] is losses.softmax_cross_entropy
    assert losses.LOSSES["categorical_crossentropy"] is losses.categorical_cross_entropy


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cross_entropy_of_huge_logits(dtype):
    """Neither overflow nor log of zero: the loss is the gap between the logits."""
    logits = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]], dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        loss, _, gradient = losses.softmax_cross_entropy(logits, np.array([0, 2]))
    assert loss == 5000.0
    assert gradient.dtype == dtype
    np.testing.assert_allclose(gradient, [[0, 0, 0], [0, 0.5, -0.5]], atol=1e-30)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_nothing_counts(name):
    """All weights zero: a loss of 0 and no gradient, said aloud, never NaN."""
    loss = losses.LOSSES[name]
    prediction = np.ones((2, 3))
    target = np.array([0, 2]) if loss in losses.CLASS_TARGETS else np.zeros((2, 3))
    for part, weights in ((2, np.zeros(2)), (0, np.ones(0)), (0, None)):
        with pytest.warns(RuntimeWarning, match="the loss is 0 and nothing is learned"):
            value, total, gradient = loss(prediction[:part], target[:part], weights=weights)
        assert (value, total) == (0.0, 0.0)
        np.testing.assert_array_equal(gradient, np.zeros((part, 3)))


@pytest.mark.parametrize("name", losses.LOSSES)
def test_weight_zero_is_absent(name, rng):
    loss = losses.LOSSES[name]
    prediction = rng.standard_normal((5, 3))
    target = rng.integers(0, 3, 5) if loss in losses.CLASS_TARGETS else rng.random((5, 3))
    weights = np.array([1.0, 0, 2, 0, 0])
    kept = weights > 0
    value, total, gradient = loss(prediction, target, weights=weights)
    alone, total_alone, gradient_alone = loss(prediction[kept], target[kept], weights=weights[kept])
    assert value == pytest.approx(alone, rel=1e-14)
    assert total == total_alone
    np.testing.assert_allclose(gradient[kept], gradient_alone, rtol=1e-13)
    np.testing.assert_array_equal(gradient[~kept], 0)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_losses_change_nothing_given(name, rng):
    loss = losses.LOSSES[name]
    for dtype in (np.float32, np.float64):
        prediction = rng.standard_normal((5, 3)).astype(dtype)
        target = rng.integers(0, 3, 5) if loss in losses.CLASS_TARGETS else rng.random((5, 3)).astype(dtype)
        for weights in (None, np.ones(5, dtype), np.ones(5)):
            for array in (prediction, target, *([] if weights is None else [weights])):
                array.flags.writeable = False
            _, _, gradient = loss(prediction, target, weights=weights)
            assert gradient.dtype == dtype


ONES = np.ones((2, 3))

BAD_TARGETS = {
    "too large": (losses.softmax_cross_entropy, np.array([0, 3]), r"is not a class.* 0 to 2, got 3 at target 1"),
    "negative": (losses.softmax_cross_entropy, np.array([-1, 2]), r"expected 0 to 2, got -1 at target 0"),
    "too few": (losses.softmax_cross_entropy, np.array([0]), r"the target does not fit, expected \(2,\), got \(1,\)"),
    "one-hot for classes": (losses.softmax_cross_entropy, ONES, r"expected \(2,\), got \(2, 3\)"),
    "classes for one-hot": (losses.categorical_cross_entropy, np.array([0, 1]), r"expected \(2, 3\), got \(2,\)"),
    "a row for a column": (losses.squared_error, np.ones((2, 1)), r"expected \(2, 3\), got \(2, 1\)"),
}


@pytest.mark.parametrize("case", BAD_TARGETS)
def test_bad_targets(case):
    loss, target, words = BAD_TARGETS[case]
    with pytest.raises(DataError, match=words):
        loss(ONES, target)


def test_softmax_of_huge_numbers():
    with np.errstate(over="raise", invalid="raise"):
        got = linear.softmax(np.array([[1e4, 0.0, 1e4], [-1e4, -1e4, -1e4]]))
    np.testing.assert_allclose(got, [[0.5, 0, 0.5], [1 / 3, 1 / 3, 1 / 3]])


# --- workspace ------------------------------------------------------------------------------------------------------


def test_take_reuses_and_grows():
    workspace = Workspace()
    workspace.begin()
    first, second = workspace.take((3, 4), np.float32), workspace.take((5,), np.float64)
    assert not np.shares_memory(first, second)
    workspace.begin()
    assert workspace.take((3, 4), np.float32) is first
    smaller = workspace.take((2,), np.float64)
    assert np.shares_memory(smaller, second)
    assert smaller.shape == (2,)
    workspace.begin()
    for shape, dtype in (((100, 7), np.float64), ((0, 4), np.float32), ((3,), np.int64), ((), np.float32)):
        array = workspace.take(shape, dtype)
        assert array.shape == shape
        assert array.dtype == dtype
        assert array.flags.c_contiguous
        assert array.ctypes.data % ALIGNMENT == 0


def test_take_gives_the_dtype_asked_for():
    workspace = Workspace()
    for dtype in (np.float32, np.float64, np.float32, np.int64):
        workspace.begin()
        assert workspace.take((4,), dtype).dtype == dtype


def test_without_a_workspace_every_array_is_new():
    a, b = current().take((4,), np.float32), current().take((4,), np.float32)
    assert not np.shares_memory(a, b)


def test_active_workspace_belongs_to_its_thread_and_block():
    outer, inner, seen = Workspace(), Workspace(), []
    with activate(outer):
        with activate(inner) as given:
            assert given is inner is current()
            thread = threading.Thread(target=lambda: seen.append(current()))
            thread.start()
            thread.join()
        assert current() is outer
    assert current() is not outer
    assert seen[0] not in (outer, inner)
    with pytest.raises(KeyError), activate(outer):
        raise KeyError
    assert current() is not outer


def test_kernels_live_as_long_as_their_weights():
    workspace, clock = Workspace(), Clock()
    weights = Weights({"bias": np.zeros(2)}, clock)
    made = []
    for _ in range(2):
        kernel = workspace.kernel(weights, lambda w, option: made.append((w, option)) or object(), "option")
    assert len(made) == 1
    assert made[0][1] == "option"
    assert workspace.kernel(weights, object) is kernel
    assert weights.clock is clock
    assert "1 kernels" in repr(workspace)
    made.clear()
    del weights
    gc.collect()
    assert "0 kernels" in repr(workspace)


# --- the native core ------------------------------------------------------------------------------------------------


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


NO_NATIVE = "import sys; sys.modules['elman._native'] = None; "


def test_missing_native_core_is_said_once_and_can_be_forbidden():
    code = NO_NATIVE + "import elman; elman.layers; elman.layers; print(elman.show_config()['native'])"
    quiet = run_python(code, ELMAN_REQUIRE_NATIVE="0")
    assert quiet.stdout.strip() == "False", quiet.stderr
    assert quiet.stderr.count("the native core is not there") == 1
    forbidden = run_python(code, ELMAN_REQUIRE_NATIVE="1")
    assert forbidden.returncode != 0
    assert "ImportError: elman: the native core cannot be loaded" in forbidden.stderr


def test_config_and_threads():
    config = elman.show_config()
    assert config["elman"] == elman.__version__
    assert config["native"] is (core.native is not None)
    before = config["threads"]
    elman.set_threads(1)
    assert elman.show_config()["threads"] == 1
    elman.set_threads(before)
    with pytest.raises(errors.UsageError, match="out of range, expected an integer from 1 to 1024, got 0"):
        elman.set_threads(0)


# --- errors and public names ----------------------------------------------------------------------------------------

# name -> (built-in that people catch, exit code)
ERRORS = {
    "UsageError": ("ValueError", 2),
    "NotFittedError": ("AttributeError", 2),
    "DataError": ("ValueError", 3),
    "DataTypeError": ("TypeError", 3),
    "ModelFileError": ("ValueError", 4),
    "DivergedError": ("FloatingPointError", 5),
    "ResourceError": ("MemoryError", 6),
    "SaveError": ("OSError", 6),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    built_in, exit_code = ERRORS[name]
    error = getattr(errors, name)("words")
    assert isinstance(error, errors.ElmanError)
    assert isinstance(error, getattr(builtins, built_in))
    assert error.exit_code == exit_code
    assert str(error) == "words"


def test_interrupted():
    error = errors.Interrupted(15)
    assert isinstance(error, KeyboardInterrupt)
    assert (error.signum, error.exit_code) == (15, 143)
    assert str(error) == "interrupted by signal 15"


def test_say():
    assert say("fit", "x is odd") == "fit: x is odd."
    assert say("fit", "x is odd", expected=4, got=0) == "fit: x is odd, expected 4, got 0."
    assert say("fit", "x is odd", got=3, cure="Add one") == "fit: x is odd, got 3. Add one."
    assert say("fit", "x is odd", cure="Add one!") == "fit: x is odd. Add one!"


def test_public_names():
    for name in elman.__all__:
        assert getattr(elman, name) is not None
    assert set(elman.__all__) <= set(dir(elman))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = elman.nothing


def test_import_loads_nothing():
    code = "import sys; import elman; print(sorted(m for m in sys.modules if m.startswith(('elman', 'numpy'))))"
    assert run_python(code).stdout.strip() == "['elman', 'elman._version']"
