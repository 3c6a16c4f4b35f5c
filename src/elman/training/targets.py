"""The door for targets and weights: checked once, made one row per step or per sequence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, UsageError, say
from elman.layers.stack import Ends
from elman.ops.losses import CTC, BinaryCrossEntropy, CrossEntropy, Loss
from elman.ops.losses.base import Targets
from elman.ragged import Ragged
from elman.training.labels import as_labels
from elman.training.rows import RowReader

__all__ = ["TargetForm", "as_target", "as_weights"]

Array = NDArray[Any]


class TargetForm(NamedTuple):
    """What the targets of a model look like.

    Attributes:
        n_outputs: K, the outputs of the last layer.
        per_step: whether there is one target per step, or one per sequence.
        targets: what a target is, see `elman.ops.losses.base.Targets`.
        dtype: of numbers.
        blank: the class that is no label, for labels.
    """

    n_outputs: int
    per_step: bool
    targets: Targets
    dtype: np.dtype[Any]
    blank: int = 0

    @classmethod
    def of(cls, loss: Loss | None, ends: Ends, dtype: np.dtype[Any], where: str) -> TargetForm:
        """Say what the targets of a compiled model look like.

        Args:
            loss: of the model.
            ends: what its last layer gives.
            dtype: of the model.
            where: who speaks in messages.

        Raises:
            UsageError: if the outputs are not what the loss needs.
        """
        assert loss is not None, "whoever reads targets has asked for a compiled model"
        if not isinstance(loss, CTC):
            return cls(ends.size, ends.sequences, loss.targets, dtype)
        if not ends.sequences:
            cure = "Set return_sequences=True on the last recurrent layer"
            raise UsageError(say(where, "ctc needs one output per step", got="one per sequence", cure=cure))
        if loss.blank >= ends.size or ends.size < 2:
            expected = f"outputs for the blank ({loss.blank}) and at least one label"
            raise UsageError(
                say(where, "ctc needs a class for the blank", expected=expected, got=f"{ends.size} outputs")
            )
        return cls(ends.size, False, loss.targets, dtype, loss.blank)

    @property
    def words(self) -> str:
        """What is accepted, for messages."""
        if self.targets == "labels":
            return "a list of one (n,) array of integers per sequence, a Ragged, or (batch, n) with -1 past the ends"
        front = "batch, steps" if self.per_step else "batch"
        lists = " or a list of one array per sequence" if self.per_step else ""
        if self.targets == "class":
            return f"integers ({front}){lists}, from 0 to {self.n_outputs - 1}"
        short = f" or ({front})" if self.n_outputs == 1 else ""
        return f"numbers ({front}, {self.n_outputs}){short}{lists}"


def as_target(y: Any, *, x: Ragged, form: TargetForm, where: str, padded: int | None = None) -> Array | Ragged:
    """Check targets and give them one row per step of x, or per sequence.

    Args:
        y: for targets per step (B, T, K), (B, T) or a list of B arrays (T_i, K) or (T_i,); for
            targets per sequence (B, K) or (B,); for labels see `elman.training.labels.as_labels`.
        x: the input they belong to.
        form: what the model and its loss take.
        where: who speaks in messages.
        padded: steps of the array that x was cut out of, if it was; y is cut likewise.

    Returns:
        (M,) int64 classes, or (M, K) numbers, a view of y where its form and dtype allow; or labels, a Ragged.

    Raises:
        DataError: if a shape, a length or a value does not fit.
        DataTypeError: if y holds no real numbers.
    """
    reader = RowReader("y", where, form.words, x, form.per_step, padded)
    if y is None:
        reader.refuse("there are no targets", got="y=None")
    if form.targets == "labels":
        return as_labels(y, reader=reader, n_classes=form.n_outputs, blank=form.blank)
    rows = reader.read(y)
    if form.targets == "class":
        return _as_classes(rows, form, reader)
    if rows.ndim == 1 and form.n_outputs == 1:
        rows = rows[:, None]
    if rows.ndim != 2 or rows.shape[1] != form.n_outputs:
        got = f"{rows.shape[1:] or 'one number'} per {'step' if form.per_step else 'sequence'}"
        cure = None
        if rows.ndim == 1 and rows.dtype.kind in "iu":
            cure = f"For class numbers use loss='{CrossEntropy.name}'"
        elif form.targets == "binary" and rows.shape[1:] == (2,):
            cure = "For one-hot targets of two classes pass y[..., 1]"
        reader.refuse("y does not fit the outputs", got=got, cure=cure)
    if rows.dtype.kind == "f":
        reader.check_finite(rows)
    with np.errstate(over="ignore"):
        target = np.ascontiguousarray(rows, form.dtype)
    if not np.can_cast(rows.dtype, form.dtype, "safe") and not np.isfinite(target).all():
        row = int(np.argmin(np.isfinite(target).all(1)))
        got = f"{rows[row].tolist()} {reader.at(row)}"
        reader.refuse(f"a number of y is too large for {form.dtype}", expected="smaller numbers", got=got)
    if form.targets in ("distribution", "binary"):
        outside = ((target < 0) | (target > 1)).any(1)
        if outside.any():
            row = int(np.argmax(outside))
            got = f"{rows[row].tolist()} {reader.at(row)}"
            reader.refuse("y holds what is no probability", expected="numbers from 0 to 1", got=got)
    return target


def _as_classes(rows: Array, form: TargetForm, reader: RowReader) -> Array:
    if rows.ndim == 2 and rows.shape[1] == 1:
        rows = rows[:, 0]
    if rows.ndim != 1:
        cure = "For one-hot targets use loss='categorical_crossentropy', or pass y.argmax(-1)"
        if not form.per_step and rows.shape[1:] != (form.n_outputs,) and rows.shape[1:] == (reader.x.uniform,):
            cure = "For one class per step set return_sequences=True on the last recurrent layer"
        reader.refuse("y is not one class each", got=f"{rows.shape[1:]} numbers each", cure=cure)
    if rows.dtype.kind == "f":
        reader.check_finite(rows)
        broken = rows != np.floor(rows)
        if broken.any():
            row = int(np.argmax(broken))
            reader.refuse("y holds what is no class", got=f"{rows[row]} {reader.at(row)}")
    outside = (rows < 0) | (rows >= form.n_outputs)
    if outside.any():
        row = int(np.argmax(outside))
        more = None if (rows < 0).any() else f"Give the last layer at least {int(rows.max()) + 1} units"
        if more is not None and form.n_outputs == 1 and rows.max() == 1:
            more += f", or take loss='{BinaryCrossEntropy.name}', which one unit is enough for"
        reader.refuse("y holds a class out of range", got=f"{rows[row]} {reader.at(row)}", cure=more)
    return np.ascontiguousarray(rows, np.int64)


def as_weights(
    sample_weight: Any,
    class_weight: Mapping[int, float] | None,
    *,
    x: Ragged,
    target: Array | Ragged,
    form: TargetForm,
    where: str,
    padded: int | None = None,
) -> Array | None:
    """Check weights and give one per row of the targets.

    Args:
        sample_weight: (B,), or one per step like the targets; None for 1.
        class_weight: class -> weight, 1 for classes not named; None for 1.
        x: the input they belong to.
        target: from `as_target`.
        form: what the model and its loss take.
        where: who speaks in messages.
        padded: steps of the array that x was cut out of, if it was; weights per step are cut likewise.

    Returns:
        (M,) float64 >= 0, or None if neither is given.

    Raises:
        DataError: if lengths do not fit, or a weight is negative or not finite, or all are zero.
        UsageError: if class_weight names what is no class, or targets are not one class each.
    """
    if sample_weight is None and class_weight is None:
        return None
    weights = np.ones(len(target))
    if sample_weight is not None:
        weights *= _sample_weights(sample_weight, x, form.per_step, where, padded)
    if class_weight is not None:
        classes = _classes(target, form, where)
        n_classes = 2 if form.targets == "binary" else form.n_outputs
        weights *= _class_weights(class_weight, n_classes, where)[classes]
    if not weights.any():
        wrong = "all weights are zero, so nothing could be learned"
        raise DataError(say(where, wrong, expected="at least one above zero"))
    return weights


def _sample_weights(sample_weight: Any, x: Ragged, per_step: bool, where: str, padded: int | None) -> Array:
    """Give one checked weight per row of the targets."""
    if isinstance(sample_weight, list | tuple):
        each_step = per_step and any(np.ndim(weight) > 0 for weight in sample_weight)
    else:
        each_step = per_step and (isinstance(sample_weight, Ragged) or np.ndim(sample_weight) > 1)
    expected = "numbers (batch,)" + (" or (batch, steps)" if per_step else "")
    reader = RowReader("sample_weight", where, expected, x, each_step, padded)
    rows = reader.read(sample_weight)
    if rows.ndim == 2 and rows.shape[1] == 1:
        rows = rows[:, 0]
    if rows.ndim != 1:
        reader.refuse("sample_weight has too many axes", got=f"{rows.shape[1:]} each")
    reader.check_finite(rows)
    if (rows < 0).any():
        row = int(np.argmax(rows < 0))
        reader.refuse("sample_weight is negative", expected="weights >= 0", got=f"{rows[row]} {reader.at(row)}")
    return np.repeat(rows, x.lengths) if per_step and not each_step else rows


def _classes(target: Array | Ragged, form: TargetForm, where: str) -> Array:
    """Give the class of every row of the targets, (M,) integers."""
    got = None
    if isinstance(target, Ragged):
        got = "sequences of labels"
    elif form.targets == "numbers":
        got = "numbers"
    elif form.targets == "binary" and form.n_outputs > 1:
        got = f"{form.n_outputs} answers per target"
    if isinstance(target, Ragged) or got is not None:
        cure = "Give sample_weight, one number per sequence" + (" or per step" if form.per_step else "")
        raise UsageError(say(where, "class_weight needs one class per target", got=got, cure=cure))
    if target.ndim == 1:
        return target
    if form.targets == "distribution":
        classes: Array = target.argmax(1)
        return classes
    unsure = ~np.isin(target[:, 0], (0, 1))
    if unsure.any():
        got = f"{target[np.argmax(unsure), 0]} at target {int(np.argmax(unsure))}"
        raise DataError(say(where, "class_weight needs targets that are 0 or 1", got=got))
    return target[:, 0].astype(np.int64)


def _class_weights(class_weight: Mapping[int, float], n_classes: int, where: str) -> Array:
    """Give the weight of every class."""
    if not isinstance(class_weight, Mapping):
        got = type(class_weight).__name__
        raise UsageError(say(where, "class_weight is no mapping", expected="{class: weight}", got=got))
    each = np.ones(n_classes)
    for label, weight in class_weight.items():
        if isinstance(label, bool) or not isinstance(label, int | np.integer) or not 0 <= label < n_classes:
            expected = f"classes from 0 to {n_classes - 1}"
            raise UsageError(say(where, "class_weight names what is no class", expected=expected, got=repr(label)))
        number = float(weight) if isinstance(weight, int | float | np.integer | np.floating) else np.nan
        if not 0 <= number < np.inf:
            wrong = f"the weight of class {label} is out of range"
            raise DataError(say(where, wrong, expected="a number >= 0", got=repr(weight)))
        each[label] = number
    return each
