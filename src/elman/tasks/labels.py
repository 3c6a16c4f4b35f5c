"""Labels of any kind as class numbers and back, and the weights of classes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Literal, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, DataTypeError, UsageError, say
from elman.tasks._sklearn import conversion_warning
from elman.tasks.frames import is_frame, is_series

__all__ = ["Labels", "as_column", "check_labels", "class_weights", "refuse_missing", "softmax"]

Array = NDArray[Any]
Value = str | int | float | bool
ClassWeight = Mapping[Any, float] | str | None


class Labels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The classes, sorted; class number k is the k-th.

    Attributes:
        values: as plain values.
        kind: NumPy's kind of the labels: "b", "i", "u", "f", "U" or "O" (text in an array of objects).

    Example:
        >>> labels = Labels.learn(np.array(["no", "yes", "no"]))
        >>> labels.numbers(np.array(["yes", "no", "maybe"])).tolist(), labels.array
        ([1, 0, -1], array(['no', 'yes'], dtype='<U3'))
    """

    values: list[Value]
    kind: Literal["b", "i", "u", "f", "U", "O"]

    def __post_init__(self) -> None:
        if not self.values or len(set(self.values)) != len(self.values) or len(self.values) > 65_536:
            raise ValueError("classes must differ, and be 1 to 65,536")
        of_kind = {"b": bool, "i": int, "u": int, "f": float}.get(self.kind, str)
        if not all(type(value) is of_kind for value in self.values):
            raise ValueError("classes must be of the kind that is written beside them")

    @classmethod
    def learn(cls, y: Array) -> Self:
        """Find the classes among labels that `check_labels` let through.

        Args:
            y: (N,).

        Raises:
            DataError: if there are more than 65,536.
        """
        found = np.unique(y)
        if len(found) > 65_536:
            raise DataError(say("fit", f"y has {len(found):,} different labels", expected="at most 65,536 classes"))
        kind: Any = found.dtype.kind if found.dtype.kind != "T" else "O"
        return cls(found.tolist(), kind)

    @property
    def array(self) -> Array:
        """The classes (C,), as scikit-learn's `classes_`."""
        kinds: dict[str, Any] = {"b": bool, "i": np.int64, "u": np.uint64, "f": np.float64, "U": str, "O": object}
        return np.array(self.values, kinds[self.kind])

    def numbers(self, y: Array) -> NDArray[np.int64]:
        """Give class numbers (N,), −1 for labels that are no class.

        Args:
            y: (N,) labels.
        """
        number = {value: index for index, value in enumerate(self.values)}
        return np.array([number.get(label, -1) for label in y.tolist()], np.int64)

    def require(self, y: Array, *, where: str) -> NDArray[np.int64]:
        """Give class numbers of labels that must all be classes.

        Raises:
            DataError: naming the first label that is none.
        """
        numbers = self.numbers(y)
        if (numbers < 0).any():
            index = int(np.argmax(numbers < 0))
            shown = ", ".join(map(repr, self.values[:10])) + (" …" if len(self.values) > 10 else "")
            wrong = "y holds a label that is no class of this model"
            cure = "Name all classes at the first partial_fit(classes=...), or fit anew without warm_start"
            got = f"{y[index]!r} at index {index}" if not hasattr(y[index], "item") else f"{y[index].item()!r}"
            raise DataError(say(where, wrong, expected=f"one of {shown}", got=got, cure=cure))
        return numbers


def as_column(y: Any, *, where: str, who: str, warn: bool) -> Array:
    """Give targets as an array (n,) or (n, k), whatever they come in.

    Args:
        y: a list, an array, a series or a frame.
        where: the method, for messages.
        who: the class, for messages.
        warn: whether (n, 1) is made (n,) with a warning.

    Raises:
        DataError: if there are none, or they do not make an array.
        DataTypeError: if they are complex numbers or dates.
    """
    if y is None:
        wrong = f"this {who} requires y to be passed, but the target y is None"
        raise DataError(say(where, wrong))
    if is_series(y) or is_frame(y):
        y = y.to_numpy()
    try:
        array = np.asarray(y)
    except (ValueError, TypeError) as error:
        cure = "Give one target for each sequence"
        got = str(error).partition(". ")[0].rstrip(".")
        raise DataError(say(where, "y is no array", expected="(n,)", got=got, cure=cure)) from None
    if array.dtype.kind in "cmM":
        what = {"c": "Complex data not supported", "m": "time spans not supported", "M": "dates not supported"}
        raise DataTypeError(say(where, what[array.dtype.kind], got=f"y of dtype {array.dtype}"))
    if array.ndim == 0:
        raise DataError(say(where, "y is a single value", expected="one target for each sequence", got=repr(y)))
    if warn and array.ndim == 2 and array.shape[1] == 1:
        text = "A column-vector y was passed when a 1d array was expected. It is taken as y.ravel()."
        warnings.warn(text, conversion_warning(), stacklevel=5)
        array = array[:, 0]
    return array


def check_labels(y: Array, *, where: str) -> Array:
    """Refuse what are no labels: missing values, mixed kinds, numbers that are no class.

    Args:
        y: (N,).
        where: who asks, for messages.

    Returns:
        The labels; objects that are all of one kind have its dtype.

    Raises:
        DataError: naming what is wrong, and where.
    """
    if y.ndim != 1:
        cure = "Turn one-hot labels into classes: y.argmax(1)" if y.ndim == 2 else None
        expected = "shape (n,)"
        raise DataError(say(where, "y is not one label each", expected=expected, got=f"shape {y.shape}", cure=cure))
    if y.dtype.kind in "OT":
        refuse_missing(y, where=where)
        kinds = {_kind(label) for label in y.tolist()}
        if len(kinds) > 1:
            got = " and ".join(sorted(kinds))
            raise DataError(say(where, "y holds labels of several kinds", expected="all of one kind", got=got))
        if kinds == {"number"}:
            y = np.array(y.tolist())
        elif kinds and kinds <= {"bool"}:
            y = y.astype(bool)
        elif kinds == {"str"}:
            y = np.array([str(label) for label in y.tolist()], object)  # NumPy's own strings among them are made plain
        elif kinds:
            wrong = f"Unknown label type: {next(iter(kinds))}"
            raise DataTypeError(say(where, wrong, expected="str, int or bool"))
    if y.dtype.kind == "f":
        refuse_missing(y, where=where)
        broken = y != np.floor(y)
        if broken.any():
            index = int(np.argmax(broken))
            cure = "For numbers take SequenceRegressor"
            wrong = "Unknown label type: continuous; y holds what is no class"
            got = f"{y[index]:.6g} at index {index}"
            raise DataError(say(where, wrong, expected="str, int or bool", got=got, cure=cure))
    elif y.dtype.kind == "S":
        raise DataTypeError(say(where, "y holds bytes", expected="str, int or bool", cure="Decode them first"))
    return y


def refuse_missing(y: Array, *, where: str) -> None:
    """Refuse None, NaN and infinity among targets.

    Args:
        y: (N,) or (N, K).
        where: who asks, for messages.

    Raises:
        DataError: naming the first, and its index.
    """
    if y.dtype.kind == "f":
        if np.isfinite(y).all():
            return
        index = int(np.argmin(np.isfinite(y).reshape(len(y), -1).all(1)))
        nan = bool(np.isnan(y).any())
        wrong = "Input y contains NaN" if nan else f"Input y contains infinity or a value too large for {y.dtype!r}"
        raise DataError(say(where, wrong, expected="finite numbers", got=f"{y[index].tolist()} at index {index}"))
    if y.dtype.kind == "O":
        for index, value in enumerate(y.ravel().tolist()):
            if value is None or (isinstance(value, float) and value != value):
                wrong = "Input y contains None" if value is None else "Input y contains NaN"
                raise DataError(say(where, wrong, expected="a target for each", got=f"{value} at index {index}"))


def class_weights(given: ClassWeight, labels: Labels, numbers: Array, *, where: str) -> Array | None:
    """Give the weight of every class (C,), or None for 1.

    Args:
        given: class -> weight, 1 for those not named; or "balanced": n / (C · n of the class), King & Zeng 2001.
        labels: the classes.
        numbers: (N,) class numbers of the training data.
        where: who asks, for messages.

    Raises:
        UsageError: if a name is no class, or what is given is neither.
        DataError: if a weight is not a finite number >= 0, or all are zero.
    """
    if given is None:
        return None
    if isinstance(given, str) and given == "balanced":
        counts = np.bincount(numbers, minlength=len(labels.values))
        return len(numbers) / (np.count_nonzero(counts) * np.maximum(counts, 1.0))
    if not isinstance(given, Mapping):
        expected = "None, 'balanced' or a dict of class and weight"
        raise UsageError(say(where, "class_weight is not accepted", expected=expected, got=repr(given)))
    weights = np.ones(len(labels.values))
    for label, weight in given.items():
        plain = label.item() if isinstance(label, np.generic) else label
        if plain not in labels.values:
            shown = ", ".join(map(repr, labels.values[:10]))
            wrong = "class_weight names what is no class"
            raise UsageError(say(where, wrong, expected=f"one of {shown}", got=repr(plain)))
        number = float(weight) if isinstance(weight, int | float | np.number) else np.nan
        if not 0 <= number < np.inf:
            wrong = f"the weight of class {plain!r} is out of range"
            raise DataError(say(where, wrong, expected="a number >= 0", got=repr(weight)))
        weights[labels.values.index(plain)] = number
    if not weights[np.unique(numbers)].any():
        wrong = "class_weight is zero for all classes, so nothing could be learned"
        raise DataError(say(where, wrong, expected="at least one above zero"))
    return weights


def softmax(logits: Any) -> Array:
    """Give probabilities (N, C), float64, of scores of the classes.

    Args:
        logits: (N, C).
    """
    scores = np.asarray(logits, np.float64)
    odds = np.exp(scores - scores.max(1, keepdims=True))
    shares: Array = odds / odds.sum(1, keepdims=True)
    return shares


def _kind(label: Any) -> str:
    if isinstance(label, bool | np.bool_):
        return "bool"
    if isinstance(label, int | float | np.number):
        return "number"
    return "str" if isinstance(label, str) else type(label).__name__
