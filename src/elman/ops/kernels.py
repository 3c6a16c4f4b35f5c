"""Which code runs an operation: a native kernel, or NumPy and why."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from elman.cells import Cell
from elman.ops.core import native

__all__ = [
    "ARITHMETIC", "HOLDS", "Kernel", "note_on", "of_lookup", "of_loss", "of_product", "of_recurrence", "threads_for",
]  # fmt: skip


class Kernel(NamedTuple):
    """What runs an operation.

    Attributes:
        kernel: name of the native kernel, or None for NumPy.
        reason: why it is NumPy; None if it is not.
    """

    kernel: str | None
    reason: str | None


#: Of layers and losses without products there is little to gain: their time is that of reading numbers once or twice.
ARITHMETIC = Kernel(None, "no matrix product, a pass or two over its numbers")

#: Of layers that hold others: the work is theirs.
HOLDS = Kernel(None, "the layers below it do the work; it copies and adds their rows in NumPy")


def of_product(dtype: DTypeLike) -> Kernel:
    """Say what multiplies rows with a matrix.

    Args:
        dtype: of the numbers.

    Example:
        >>> of_product("float16").reason
        'there are no native kernels for float16'
    """
    return _native("linear", dtype)


def of_lookup(dtype: DTypeLike) -> Kernel:
    """Say what takes the rows of token ids out of a table and adds gradients into it.

    Args:
        dtype: of the numbers.
    """
    return _native("lookup", dtype)


def of_loss(name: str, dtype: DTypeLike) -> Kernel:
    """Say what computes a loss that has a native kernel.

    Args:
        name: of the kernel.
        dtype: of the outputs.
    """
    return _native(name, dtype)


def of_recurrence(cell: Cell, dtype: DTypeLike) -> Kernel:
    """Say what runs a cell over sequences.

    Args:
        cell: with its options.
        dtype: of the numbers.

    Example:
        >>> from elman.cells import LSTM
        >>> of_recurrence(LSTM(peephole=True), "float32").kernel in ("lstm+peephole", None)
        True
    """
    found = _native(cell.kernel, dtype)
    if found.kernel is not None and native is not None and not native.has_cell(cell.kernel):
        return Kernel(None, f"there is no native kernel for the cell {cell}")
    return found


def note_on(precision: str) -> str | None:
    """Say where this machine does with a precision less than it is there for; None where it does all.

    Args:
        precision: of a model, such as "bfloat16".

    Example:
        >>> note_on("float32") is None
        True
    """
    if precision not in ("bfloat16", "int8"):
        return None
    if native is None:
        return f"{precision}: the native core is not installed, so products are made in float32"
    if precision == "int8":
        return None
    if native.isa() != "avx512bf16":
        return f"bfloat16: {native.isa()} has no products of it; numbers are widened first, which is no faster"
    return None


def threads_for(operations: float, most: int, *, steps: int = 0) -> int:
    """Say how many threads will share native work.

    Args:
        operations: floating-point operations of all of it.
        most: rows, or sequences where there are steps: each is one thread's.
        steps: of each sequence; where sequences are fewer than threads and steps large, threads share units.
    """
    return 1 if native is None else int(native.threads_for(float(operations), most, steps))


def _native(name: str, dtype: DTypeLike) -> Kernel:
    if native is None:
        return Kernel(None, "the native core is not installed")
    if np.dtype(dtype) not in (np.float32, np.float64):
        return Kernel(None, f"there are no native kernels for {np.dtype(dtype)}")
    return Kernel(name, None)
