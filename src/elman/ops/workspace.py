"""Memory that is worth keeping between batches: scratch arrays and derived weights.

The engine owns one `Workspace` per running thread and activates it around a batch; ops ask
`current()` for memory. Without an active workspace every array is new, so calling an op or a
layer by hand never gives an array that a later call overwrites.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from elman.ops.weights import Weights

__all__ = ["ALIGNMENT", "Workspace", "activate", "current", "empty_aligned"]

ALIGNMENT = 64  # bytes: one cache line, one AVX-512 register


def empty_aligned(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Make an uninitialised array whose first byte stands on a 64-byte boundary.

    Args:
        shape: of the array.
        dtype: of the array.
    """
    kind = np.dtype(dtype)
    n_bytes = math.prod(shape) * kind.itemsize
    raw = np.empty(n_bytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + n_bytes].view(kind).reshape(shape)


class _Slot:
    """One piece of memory and the array that was last cut from it."""

    __slots__ = ("array", "dtype", "memory", "shape")

    def __init__(self) -> None:
        self.memory: NDArray[np.uint8] = np.empty(0, np.uint8)
        self.shape: tuple[int, ...] | None = None
        self.dtype: DTypeLike = np.uint8
        self.array: NDArray[Any] = self.memory

    def cut(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        kind = np.dtype(dtype)
        n_bytes = math.prod(shape) * kind.itemsize
        if n_bytes > self.memory.size or self.memory.size == 0:
            self.memory = empty_aligned((max(n_bytes, ALIGNMENT),), np.uint8)
        self.array = self.memory[:n_bytes].view(kind).reshape(shape)
        self.shape, self.dtype = shape, dtype
        return self.array


class Workspace:
    """Scratch arrays reused from batch to batch, and objects derived from weights.

    The n-th `take` of a batch reuses the memory of the n-th `take` of the batch before, grown to
    the largest ever asked. Arrays are valid until the next `begin`. Not for two threads at once.

    Attributes:
        active: whether a `with activate(workspace)` block is running.

    Example:
        >>> workspace = Workspace()
        >>> workspace.begin()
        >>> a = workspace.take((3, 4), np.float32)
        >>> workspace.begin()
        >>> workspace.take((3, 4), np.float32) is a
        True
    """

    __slots__ = ("_kernels", "_next", "_slots", "active")

    def __init__(self) -> None:
        self._slots: list[_Slot] = []
        self._next = 0
        self._kernels: dict[int, tuple[weakref.ref[Weights], Any]] = {}
        self.active = False

    def begin(self, place: int = 0) -> None:
        """Start a batch: hand out memory from the first slot again.

        Args:
            place: an earlier `place`, to give back only what was taken since.
        """
        self._next = place

    @property
    def place(self) -> int:
        """How many arrays have been taken in this batch."""
        return self._next

    def take(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Give an uninitialised, 64-byte aligned array that is valid until the next `begin`.

        Args:
            shape: a tuple of Python integers.
            dtype: of the array.
        """
        index = self._next
        self._next = index + 1
        if index == len(self._slots):
            self._slots.append(_Slot())
        slot = self._slots[index]
        # The same shape as last time is the common case, so nothing is built then.
        if slot.shape == shape and slot.dtype == dtype:
            return slot.array
        return slot.cut(shape, dtype)

    def kernel(self, weights: Weights, make: Callable[..., Any], *options: Any) -> Any:
        """Give the object derived from these weights, made at the first call.

        The object itself compares `weights.clock.ticks` with those it was made at.

        Args:
            weights: of one layer; the cache forgets them when they die.
            make: builds the object from the weights and the options.
            options: the same at every call for these weights.
        """
        key = id(weights)
        entry = self._kernels.get(key)
        if entry is None:
            kernels = self._kernels
            entry = (weakref.ref(weights, lambda _: kernels.pop(key, None)), make(weights, *options))
            kernels[key] = entry
        return entry[1]

    @property
    def nbytes(self) -> int:
        """Bytes of scratch memory held."""
        return sum(slot.memory.nbytes for slot in self._slots)

    def __repr__(self) -> str:
        return f"Workspace({len(self._slots)} arrays, {self.nbytes:,} bytes, {len(self._kernels)} kernels)"


class _Local(threading.local):
    workspace: Workspace | None = None


_local = _Local()


def current() -> Workspace:
    """Give the running thread's active workspace, or a fresh one whose arrays are never reused."""
    workspace = _local.workspace
    return Workspace() if workspace is None else workspace


class activate:  # a verb: `with activate(workspace):`
    """Make a workspace the running thread's active one for the length of a `with` block.

    Args:
        workspace: to be used by every op called in the block, by this thread.
    """

    __slots__ = ("_before", "_nested", "_workspace")

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def __enter__(self) -> Workspace:
        self._before = _local.workspace
        self._nested = self._workspace.active
        _local.workspace = self._workspace
        self._workspace.active = True
        return self._workspace

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _local.workspace = self._before
        self._workspace.active = self._nested
