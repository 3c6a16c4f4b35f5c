"""The workspace, the native core's presence, errors and the public names."""

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
from elman.errors import say
from elman.ops import core, linear
from elman.ops.weights import Clock, Weights
from elman.ops.workspace import ALIGNMENT, Workspace, activate, current

# --- softmax --------------------------------------------------------------------------------------------------------


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
