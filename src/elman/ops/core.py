"""The native core, if it is there, and what is asked of it as a whole."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing.util
import os
import platform
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from elman._version import __version__
from elman.errors import UsageError, say

__all__ = ["native", "note_slow_path", "set_threads", "show_config"]


def _load() -> ModuleType | None:
    try:
        return importlib.import_module("elman._native")
    except ImportError as error:
        if os.environ.get("ELMAN_REQUIRE_NATIVE") == "1":
            wrong = f"the native core cannot be loaded ({error}) and ELMAN_REQUIRE_NATIVE=1 forbids to go without"
            raise ImportError(say("elman", wrong, cure="Build it with a C++17 compiler: pip install .")) from error
        warnings.warn(
            say(
                "elman",
                f"the native core is not there ({error}); using NumPy, which is many times slower",
                cure="Install again with a C++17 compiler at hand",
            ),
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def _threads_here() -> int:
    """Count the threads to start with: what the environment asks for, or else what this process may use.

    A container's quota counts too: more threads than it allows are put to sleep in turn, and every
    step waits for the sleeping one. So a process that `multiprocessing` made begins with one thread:
    whoever makes processes has spread the work over the processors already. (joblib says so by the environment.)
    """
    n_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        if quota != "max":
            n_threads = min(n_threads, max(1, round(int(quota) / int(period))))
    for name in ("ELMAN_NUM_THREADS", "OMP_NUM_THREADS"):
        with contextlib.suppress(KeyError, ValueError):
            return max(1, min(n_threads, int(os.environ[name])))
    return n_threads if multiprocessing.parent_process() is None else 1


_noted: set[str] = set()


def note_slow_path(reason: str) -> None:
    """Say once that something runs in NumPy although the native core is there.

    Args:
        reason: what is missing.
    """
    if reason not in _noted:
        _noted.add(reason)
        warnings.warn(say("elman", f"{reason}; using NumPy, which is many times slower"), RuntimeWarning, stacklevel=3)


native: ModuleType | None = _load()
if native is not None:
    native.set_threads(_threads_here())
    # A forked child has its parent's number; `after_fork` is heard by children of multiprocessing only, not of os.fork.
    multiprocessing.util.register_after_fork(
        native, lambda core: core.set_threads(min(core.get_threads(), _threads_here()))
    )


_MAX_THREADS = 1024  # as many as the native core would start


def set_threads(n_threads: int) -> None:
    """Use this many threads from now on, in this process; results are the same to the bit.

    Without it as many run as ELMAN_NUM_THREADS or OMP_NUM_THREADS say, or else one per processor
    that this process may use, and one in a process of `multiprocessing`.

    Args:
        n_threads: from 1 to 1024.

    Raises:
        UsageError: if it is anything else.
    """
    whole = isinstance(n_threads, int | np.integer) and not isinstance(n_threads, bool)
    if not whole or not 1 <= n_threads <= _MAX_THREADS:
        wrong = "the number of threads is out of range"
        expected = f"an integer from 1 to {_MAX_THREADS}"
        raise UsageError(say("set_threads", wrong, expected=expected, got=repr(n_threads)))
    if native is not None:
        native.set_threads(int(n_threads))


def show_config() -> dict[str, Any]:
    """Tell how this installation computes: versions, native core, instruction set, threads.

    Example:
        >>> sorted(show_config())[:2]
        ['elman', 'instruction_set']
    """
    return {
        "elman": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "native": native is not None,
        "instruction_set": None if native is None else native.isa(),
        "threads": 1 if native is None else native.get_threads(),
    }
