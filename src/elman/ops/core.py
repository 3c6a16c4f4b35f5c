"""The native core, if it is there, and what is asked of it as a whole."""

from __future__ import annotations

import importlib
import os
import platform
import warnings
from types import ModuleType
from typing import Any

import numpy as np

from elman.errors import UsageError, say

__all__ = ["native", "set_threads", "show_config"]


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


native: ModuleType | None = _load()


def set_threads(n_threads: int) -> None:
    """Use this many threads from now on; results are the same to the bit.

    Args:
        n_threads: at least 1.

    Raises:
        UsageError: if it is less than 1.
    """
    if n_threads < 1:
        raise UsageError(say("set_threads", "the number of threads is out of range", expected=">= 1", got=n_threads))
    if native is not None:
        native.set_threads(int(n_threads))


def show_config() -> dict[str, Any]:
    """Tell how this installation computes: versions, native core, instruction set, threads.

    Example:
        >>> sorted(show_config())[:2]
        ['elman', 'instruction_set']
    """
    from elman import __version__

    return {
        "elman": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "native": native is not None,
        "instruction_set": None if native is None else native.isa(),
        "threads": 1 if native is None else native.get_threads(),
    }
