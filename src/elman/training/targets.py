"""The door for targets and weights: checked once, made one row per step or per sequence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, DataTypeError, UsageError, say
from elman.ragged import Ragged

__all__ = ["TargetForm", "as_target", "as_weights"]

Array = NDArray[Any]


class TargetForm(NamedTuple):
    """What the targets of a model look like.

    Attributes:
        n_outputs: K, the outputs of the last layer.
        per_step: whether there is one output per step, or one per sequence.
        classes: whether a target is a class in [0, K), or K numbers.
        dtype: of the numbers.
    """

    n_outputs: int
    per_step: bool
    classes: bool
    dtype: np.dtype[Any]

    @property
    def words(self) -> str:
        """What is accepted, for messages."""
        front = "batch, steps" if self.per_step else "batch"
        k = self.n_outputs
        lists = " or a list of one array per sequence" if self.per_step else ""
        if self.classes:
            return f"integers ({front}){lists}, from 0 to {k - 1}"
        short = f" or ({front})" if k == 1 else ""
        return f"numbers ({front}, {k}){short}{lists}"


def as_target(y: Any, *, x: Ragged, form: TargetForm, where: str) -> Array:
    """Check targets and give them one row per step of x, or per sequence.

    Args:
        y: for outputs per step (B, T, K), (B, T) or a list of B arrays (T_i, K) or (T_i,); for
            outputs per sequence (B, K) or (B,).
        x: the input they belong to.
        form: what the model and its loss take.
        where: who speaks in messages.

    Returns:
        (M,) int64 classes, or (M, K) numbers; a view of y where its form and dtype allow.

    Raises:
        DataError: if a shape, a length or a value does not fit.
        DataTypeError: if y holds no real numbers.
    """
    if y is None:
        raise DataError(say(where, "y is None", expected=form.words))
    rows = _rows(y, x, per_step=form.per_step, name="y", where=where, expected=form.words)
    if form.classes:
        return _as_classes(rows, x, form, where)
    if rows.ndim == 1 and form.n_outputs == 1:
        rows = rows[:, None]
    if rows.ndim != 2 or rows.shape[1] != form.n_outputs:
        cure = "For class numbers use loss='cross_entropy'" if rows.ndim == 1 and rows.dtype.kind in "iu" else None
        got = f"{rows.shape[1:] or 'one number'} per {'step' if form.per_step else 'sequence'}"
        raise DataError(say(where, "y does not fit the outputs", expected=form.words, got=got, cure=cure))
    if rows.dtype.kind == "f":
        _check_finite(rows, x, form.per_step, "y", where)
    with np.errstate(over="ignore"):
        target = np.ascontiguousarray(rows, form.dtype)
    if not np.can_cast(rows.dtype, form.dtype, "safe") and not np.isfinite(target).all():
        row = int(np.argmin(np.isfinite(target).all(1)))
        got = f"{rows[row].tolist()} at {_position(x, row, form.per_step)}"
        raise DataError(say(where, f"a number of y is too large for {form.dtype}", expected="smaller numbers", got=got))
    return target


def _as_classes(rows: Array, x: Ragged, form: TargetForm, where: str) -> Array:
    if rows.ndim == 2 and rows.shape[1] == 1:
        rows = rows[:, 0]
    if rows.ndim != 1:
        cure = "For one-hot targets use loss='categorical_crossentropy', or pass y.argmax(-1)."
        raise DataError(
            say(where, "y is not one class each", expected=form.words, got=f"{rows.shape[1:]} numbers each", cure=cure)
        )
    if rows.dtype.kind == "f":
        _check_finite(rows, x, form.per_step, "y", where)
        broken = rows != np.floor(rows)
        if broken.any():
            row = int(np.argmax(broken))
            got = f"{rows[row]} at {_position(x, row, form.per_step)}"
            raise DataError(say(where, "y holds no class numbers", expected=form.words, got=got))
    outside = (rows < 0) | (rows >= form.n_outputs)
    if outside.any():
        row = int(np.argmax(outside))
        got = f"{rows[row]} at {_position(x, row, form.per_step)}"
        units = None if (rows < 0).any() else f"Give the last layer at least {int(rows.max()) + 1} units"
        raise DataError(say(where, "y holds a class out of range", expected=form.words, got=got, cure=units))
    return np.ascontiguousarray(rows, np.int64)


def as_weights(
    sample_weight: Any,
    class_weight: Mapping[int, float] | None,
    *,
    x: Ragged,
    target: Array,
    form: TargetForm,
    where: str,
) -> Array | None:
    """Check weights and give one per row of the targets.

    Args:
        sample_weight: (B,), or one per step like the targets; None for 1.
        class_weight: class -> weight, 1 for classes not named; None for 1.
        x: the input they belong to.
        target: from `as_target`.
        form: what the model and its loss take.
        where: who speaks in messages.

    Returns:
        (M,) float64 >= 0, or None if neither is given.

    Raises:
        DataError: if lengths do not fit, or a weight is negative or not finite, or all are zero.
        UsageError: if class_weight names what is no class.
    """
    if sample_weight is None and class_weight is None:
        return None
    weights = np.ones(len(target))
    if sample_weight is not None:
        weights = weights * _sample_weights(sample_weight, x, form.per_step, where)
    if class_weight is not None:
        weights = weights * _class_weights(class_weight, form, where)[_classes_of(target, where)]
    if not weights.any():
        raise DataError(
            say(where, "all weights are zero, so nothing could be learned", expected="at least one above zero")
        )
    return weights


def _sample_weights(sample_weight: Any, x: Ragged, per_step: bool, where: str) -> Array:
    """Give one checked weight per row of the targets."""
    each_sequence = not isinstance(sample_weight, Ragged) and (
        all(np.ndim(weight) == 0 for weight in sample_weight)
        if isinstance(sample_weight, list | tuple)
        else np.ndim(sample_weight) <= 1
    )
    expected = "numbers (batch,)" + (" or (batch, steps)" if per_step else "")
    rows = _rows(
        sample_weight, x, per_step=per_step and not each_sequence, name="sample_weight", where=where, expected=expected
    )
    if rows.ndim == 2 and rows.shape[1] == 1:
        rows = rows[:, 0]
    if rows.ndim != 1:
        raise DataError(say(where, "sample_weight has too many axes", expected=expected, got=f"{rows.shape[1:]} each"))
    _check_finite(rows, x, per_step and not each_sequence, "sample_weight", where)
    if (rows < 0).any():
        row = int(np.argmax(rows < 0))
        got = f"{rows[row]} at {_position(x, row, per_step and not each_sequence)}"
        raise DataError(say(where, "sample_weight is negative", expected="weights >= 0", got=got))
    return np.repeat(rows, x.lengths) if per_step and each_sequence else rows


def _class_weights(class_weight: Mapping[int, float], form: TargetForm, where: str) -> Array:
    """Give the weight of every class."""
    if not isinstance(class_weight, Mapping):
        raise UsageError(
            say(where, "class_weight is no mapping", expected="{class: weight}", got=type(class_weight).__name__)
        )
    each = np.ones(form.n_outputs)
    for label, weight in class_weight.items():
        if isinstance(label, bool) or not isinstance(label, int | np.integer) or not 0 <= label < form.n_outputs:
            expected = f"classes from 0 to {form.n_outputs - 1}"
            raise UsageError(say(where, "class_weight names what is no class", expected=expected, got=repr(label)))
        number = float(weight)
        if not 0 <= number < np.inf:
            raise DataError(
                say(where, f"the weight of class {label} is out of range", expected="a number >= 0", got=weight)
            )
        each[label] = number
    return each


def _classes_of(target: Array, where: str) -> Array:
    """Give the class of every target, (M,)."""
    if target.ndim == 1:
        return target
    if target.shape[1] == 1:
        raise UsageError(
            say(where, "class_weight needs classes", expected="a loss over classes", got="one number per target")
        )
    classes: Array = target.argmax(1)
    return classes


def _rows(y: Any, x: Ragged, *, per_step: bool, name: str, where: str, expected: str) -> Array:
    """Give y one row per step of x, or per sequence; shapes beyond that are not looked at."""
    n_sequences = len(x)
    if per_step and isinstance(y, Ragged):
        _check_lengths([int(n) for n in y.lengths], x, name, where)
        return y.values
    if per_step and isinstance(y, list | tuple):
        parts = [_numbers(part, f"{name}[{index}]", where, expected) for index, part in enumerate(y)]
        if any(part.ndim == 0 for part in parts):
            got = f"one number per sequence in a list of {len(parts)}"
            raise DataError(
                say(
                    where,
                    f"{name} has one value per sequence, the model one output per step",
                    expected=expected,
                    got=got,
                )
            )
        _check_lengths([len(part) for part in parts], x, name, where)
        tails = {part.shape[1:] for part in parts if part.size}
        if len(tails) > 1:
            raise DataError(
                say(where, f"the arrays of {name} differ in shape", expected=expected, got=sorted(map(str, tails)))
            )
        tail = tails.pop() if tails else parts[0].shape[1:]
        return np.concatenate([part.reshape(len(part), *tail) for part in parts])
    array = _numbers(y, name, where, expected)
    if array.ndim == 0:
        raise DataError(say(where, f"{name} is a single number", expected=expected, got=array.item()))
    if len(array) != n_sequences:
        raise DataError(
            say(
                where,
                f"x and {name} differ in length",
                expected=f"{n_sequences} targets",
                got=f"{len(array)} (shape {array.shape})",
            )
        )
    if not per_step:
        return array
    if array.ndim == 1:
        raise DataError(
            say(
                where,
                f"{name} has one value per sequence, the model one output per step",
                expected=expected,
                got=f"shape {array.shape}",
                cure="For one output per sequence leave return_sequences=False on the last recurrent layer",
            )
        )
    steps = x.uniform
    if steps is not None and array.shape[1] == steps:
        return array.reshape(n_sequences * steps, *array.shape[2:])
    longest = int(x.lengths.max())
    if array.shape[1] < longest or steps is not None:
        raise DataError(
            say(
                where,
                f"x and {name} differ in steps",
                expected=f"{longest} steps",
                got=f"{array.shape[1]} (shape {array.shape})",
            )
        )
    # A padded array of targets for sequences of several lengths: what stands past the ends does not count.
    padded: Array = array[np.arange(array.shape[1]) < x.lengths[:, None]]
    return padded


def _check_lengths(lengths: list[int], x: Ragged, name: str, where: str) -> None:
    """Refuse sequences of targets that are not as many or as long as those of x."""
    if len(lengths) != len(x):
        raise DataError(
            say(where, f"x and {name} differ in length", expected=f"{len(x)} sequences of targets", got=len(lengths))
        )
    differ = np.asarray(lengths) != x.lengths
    if differ.any():
        index = int(np.argmax(differ))
        wrong = f"{name}[{index}] is not as long as x[{index}]"
        raise DataError(say(where, wrong, expected=f"{int(x.lengths[index])} steps", got=lengths[index]))


def _numbers(y: Any, name: str, where: str, expected: str) -> Array:
    """Give y as an array of real numbers."""
    try:
        array = np.asarray(y)
        if array.dtype.kind == "O":
            array = np.array(array.tolist(), np.float64)  # objects that are numbers; None and text are not
    except (ValueError, TypeError) as error:
        raise DataError(say(where, f"{name} is not an array of numbers ({error})", expected=expected)) from None
    if array.dtype.kind not in "fiub":
        raise DataTypeError(say(where, f"{name} holds no real numbers", expected=expected, got=f"dtype {array.dtype}"))
    return array.astype(np.int64) if array.dtype.kind == "b" else array


def _check_finite(rows: Array, x: Ragged, per_step: bool, name: str, where: str) -> None:
    """Refuse NaN and infinity, naming the first."""
    finite = np.isfinite(rows)
    if finite.all():
        return
    row = int(np.argmin(finite.reshape(len(rows), -1).all(1)))
    value = rows[row][~finite[row]][0] if rows.ndim > 1 else rows[row]
    kind = "NaN" if np.isnan(value) else "infinity"
    raise DataError(
        say(
            where, f"{name} contains {kind}", expected="finite numbers", got=f"{value} at {_position(x, row, per_step)}"
        )
    )


def _position(x: Ragged, row: int, per_step: bool) -> str:
    """Name the sequence, and the step, that a row belongs to."""
    if not per_step:
        return f"sequence {row}"
    sequence = int(np.searchsorted(x.offsets, row, side="right")) - 1
    return f"sequence {sequence}, step {row - int(x.offsets[sequence])}"
