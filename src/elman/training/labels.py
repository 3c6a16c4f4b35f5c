"""The door for label sequences, the targets of CTC."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.ops.ctc import steps_needed
from elman.ragged import Ragged
from elman.training.rows import RowReader

__all__ = ["as_labels"]

Array = NDArray[Any]

#: What stands past the end of a short sequence in an array of labels.
PAD = -1


def as_labels(y: Any, *, reader: RowReader, n_classes: int, blank: int) -> Ragged:
    """Check label sequences, one per sequence of x, which may be empty.

    Args:
        y: a list or an array of objects of (n_i,) integers, a Ragged of ids, or an array (B, n) with -1 past the ends.
        reader: reads y and says where it is wrong.
        n_classes: K; labels are from 0 to K − 1.
        blank: the class that is no label.

    Returns:
        B sequences of int64 labels.

    Raises:
        DataError: if y holds what is no label, or fewer steps come out for a sequence than its labels need.
        DataTypeError: if y holds no numbers.
    """
    if isinstance(y, Ragged):
        labels = y
    elif isinstance(y, list | tuple) or (isinstance(y, np.ndarray) and y.dtype.kind == "O" and y.ndim == 1):
        labels = _joined([reader.numbers(part, f"y[{index}]") for index, part in enumerate(y)], reader)
    else:
        labels = _unpadded(reader.numbers(y, "y"), reader)
    if len(labels) != len(reader.x):
        reader.refuse("x and y differ in length", expected=f"{len(reader.x)} sequences", got=len(labels))
    ids = labels.values
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        reader.refuse("y holds no labels", got=f"{labels!r}")
    wrong = (ids < 0) | (ids >= n_classes) | (ids == blank)
    if wrong.any():
        place = int(np.argmax(wrong))
        sequence = int(np.searchsorted(labels.offsets, place, side="right")) - 1
        what = "the blank, which is no label" if ids[place] == blank else "a label out of range"
        expected = f"0 to {n_classes - 1} but {blank}, the blank"
        got = f"{ids[place]} at place {place - int(labels.offsets[sequence])}"
        reader.refuse(f"y[{sequence}] holds {what}", expected=expected, got=got)
    needed = steps_needed(labels)
    short = needed > reader.x.lengths
    if short.any():
        sequence = int(np.argmax(short))
        n_labels, n_steps = labels.lengths[sequence], reader.x.lengths[sequence]
        repeats = needed[sequence] - n_labels
        more = f", {repeats} of them like the one before, which takes a blank between" if repeats else ""
        reader.refuse(
            f"y[{sequence}] is longer than its steps allow",
            expected=f"at least {needed[sequence]} steps for {n_labels} labels{more}",
            got=f"{n_steps} steps that come out of the model",
            cure="Leave such sequences out, or let more steps come out",
        )
    return labels.with_values(np.ascontiguousarray(ids, np.int64))


def _joined(parts: list[Array], reader: RowReader) -> Ragged:
    """Join one array of labels per sequence."""
    for index, part in enumerate(parts):
        if part.ndim != 1:
            reader.refuse(f"y[{index}] is no sequence of labels", got=f"shape {part.shape}")
        if part.size and part.dtype.kind not in "iu":
            reader.refuse(f"y[{index}] holds no labels", got=f"dtype {part.dtype}")
    filled = [part.astype(np.int64) for part in parts if part.size]  # [] is an array of floats
    values = np.concatenate(filled) if filled else np.zeros(0, np.int64)
    return Ragged.trusted(values, np.array([len(part) for part in parts], np.int64))


def _unpadded(array: Array, reader: RowReader) -> Ragged:
    """Take an array (B, n) apart where its padding begins."""
    if array.ndim != 2 or array.dtype.kind not in "iu":
        reader.refuse("y holds no sequences of labels", got=f"shape {array.shape}, dtype {array.dtype}")
    is_label = array != PAD
    lengths = is_label.sum(axis=1)
    gap = is_label != (np.arange(array.shape[1]) < lengths[:, None])
    if gap.any():
        sequence = int(np.argmax(gap.any(axis=1)))
        reader.refuse(f"y[{sequence}] goes on after its padding", got=array[sequence].tolist())
    return Ragged.trusted(np.ascontiguousarray(array[is_label]), lengths.astype(np.int64))
