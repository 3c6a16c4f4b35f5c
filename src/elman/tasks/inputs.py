"""What users give as sequences, whatever its form, read once: numbers, strings or lists of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, DataTypeError, say
from elman.ragged import Ragged, as_ragged
from elman.tasks.frames import Groups, column_names, is_frame, is_series, read_long

__all__ = ["Sequences", "as_sequences"]

Array = NDArray[Any]
Kind = Literal["numbers", "strings", "tokens"]

_FORMS = (
    "a list of arrays (steps, features), an array (n, steps, features), a table (n, steps), a list of strings, "
    "a list of lists of tokens, a Ragged, or a frame"
)


@dataclass(frozen=True)
class Sequences:
    """What came in.

    Attributes:
        kind: "numbers", "strings" or "tokens".
        parts: a Ragged with values (N, F) float64 for numbers; else a list of strings, or of lists of strings.
        width: columns of a table, each row of which is a series of one channel; also the length of lists of numbers
            that are all equally long. None for sequences of any lengths.
        dense: whether an array (n, steps, …) or a table came in, whose width is to be that of the training data, and
            whose answers per step are an array as well.
        names: of the columns of a frame.
        groups: rows of a frame in long form.
    """

    kind: Kind
    parts: Any
    width: int | None = None
    dense: bool = False
    names: list[str] | None = None
    groups: Groups | None = None

    def __len__(self) -> int:
        return len(self.parts)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of every sequence, (B,)."""
        if isinstance(self.parts, Ragged):
            return self.parts.lengths
        return np.array([len(part) for part in self.parts], np.int64)

    @property
    def n_features(self) -> int | None:
        """What scikit-learn counts: columns of a table, features of a step; None for text."""
        if self.kind != "numbers":
            return None
        return self.width or int(self.parts.features)

    def select(self, indices: NDArray[np.int64]) -> Sequences:
        """Give some of the sequences, without the rows of a frame."""
        if isinstance(self.parts, Ragged):
            return replace(self, parts=self.parts.select(indices), groups=None)
        return replace(self, parts=[self.parts[index] for index in indices.tolist()], groups=None)


def as_sequences(
    x: Any,
    *,
    where: str,
    id_column: str | None = None,
    time_column: str | None = None,
    target: Any = None,
) -> Sequences:
    """Read sequences of any form.

    Args:
        x: as users give it.
        where: who asks, for messages.
        id_column: the column of a frame in long form that says which series a row belongs to.
        time_column: the column that says when.
        target: y; a string is the name of a column that is no feature.

    Raises:
        DataError, DataTypeError: if x is not accepted.
    """
    column = target if isinstance(target, str) else None
    if hasattr(x, "tocsr"):
        cure = "Give a dense array: X.toarray()"
        raise DataTypeError(say(where, "X is a sparse matrix, which is not accepted", expected=_FORMS, cure=cure))
    if is_frame(x):
        if id_column is not None:
            return _long(x, id_column, time_column, column, where)
        return _table(x, column, where)
    if id_column is not None:
        got = type(x).__name__
        raise DataTypeError(say(where, "id_column is for frames in long form", expected="a frame", got=got))
    if is_series(x):
        x = x.to_numpy()
    if isinstance(x, str | bytes):
        cure = "Put it into a list: [text]"
        raise DataTypeError(say(where, f"X is one {type(x).__name__}", expected=_FORMS, cure=cure))
    if not isinstance(x, Ragged | list | tuple | np.ndarray) and hasattr(x, "__array__"):
        x = np.asarray(x)
    if isinstance(x, np.ndarray) and x.ndim == 1 and x.dtype.kind in "OUT":
        x = x.tolist()
    if isinstance(x, list | tuple | np.ndarray) and len(x) == 0 and np.ndim(x) == 1:
        raise DataError(say(where, "X has 0 samples", expected="at least 1"))
    if isinstance(x, list | tuple) and (found := _text(x, where)) is not None:
        return found
    return _numbers(x, where)


def _text(x: Sequence[Any], where: str) -> Sequences | None:
    """Read strings or lists of tokens; None if it is neither."""
    first = next((part for part in x if not _is_empty_list(part)), None)
    if isinstance(first, str):
        for index, part in enumerate(x):
            if not isinstance(part, str):
                raise DataTypeError(say(where, f"X[{index}] is no text like X[0]", expected="str", got=_kind(part)))
            _check_text(part, f"X[{index}]", where)
        return Sequences("strings", list(map(str, x)))
    if isinstance(first, np.ndarray):
        inner = first.ravel()[0] if first.ndim == 1 and first.dtype.kind in "OUT" and first.size else None
    else:
        inner = first[0] if isinstance(first, list | tuple) else None
    if not isinstance(inner, str):
        return None
    lists: list[list[str]] = []
    for index, part in enumerate(x):
        tokens = part.tolist() if isinstance(part, np.ndarray) else part
        if not isinstance(tokens, list | tuple):
            expected = "a list of str"
            raise DataTypeError(say(where, f"X[{index}] is no list of tokens", expected=expected, got=_kind(part)))
        for place, token in enumerate(tokens):
            if not isinstance(token, str):
                wrong = f"X[{index}][{place}] is no token"
                raise DataTypeError(say(where, wrong, expected="str", got=_kind(token)))
            _check_text(token, f"X[{index}][{place}]", where)
        lists.append(list(map(str, tokens)))
    return Sequences("tokens", lists)


def _check_text(text: str, name: str, where: str) -> None:
    """Refuse what no encoding can write, and so no file could hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        wrong = f"{name} holds a lone surrogate, U+{ord(text[error.start]):04X}, at index {error.start}"
        cure = "Half of a UTF-16 pair is no character: decode strictly, without errors='surrogateescape'"
        raise DataError(say(where, wrong, cure=cure)) from None


def _numbers(x: Any, where: str) -> Sequences:
    width: int | None = None
    dense = False
    if isinstance(x, Ragged):
        if x.features is None:
            cure = "Give tokens as lists of strings, or numbers as values (N, 1)"
            raise DataTypeError(say(where, "X holds token ids", expected="numbers (N, F)", cure=cure))
    elif isinstance(x, list | tuple):
        flat = all(_is_flat(part) for part in x)
        x = [_column_of(part) for part in x]
        width = len(x[0]) if flat and x and len({len(part) for part in x}) == 1 else None
    elif isinstance(x, np.ndarray):
        _check_axes(x, where)
        width, dense = (x.shape[1] if x.ndim == 2 else None), True
        x = x[:, :, None] if x.ndim == 2 else x
    else:
        raise DataTypeError(say(where, "X is not accepted", expected=_FORMS, got=_kind(x)))
    for part in x if isinstance(x, list) else [x]:
        if getattr(part, "dtype", np.dtype(float)).kind == "c":
            raise DataError(say(where, "Complex data not supported", expected="real numbers", got=part.dtype))
    ragged, _ = as_ragged(x, where=where, dtype=np.float64)
    if ragged.features is None:
        raise DataError(say(where, "X has no features", expected=_FORMS, got=repr(ragged)))
    _check_float32(ragged, where)
    return Sequences("numbers", ragged, width, dense)


def _table(frame: Any, column: str | None, where: str) -> Sequences:
    """Read a frame whose rows are series of one channel, a column for each step."""
    names = column_names(frame)
    if column is not None:
        raise DataTypeError(say(where, "y is the name of a column, which needs id_column", got=repr(column)))
    read = _numbers(np.asarray(_plain_columns(frame, names, where)), where)
    # As scikit-learn has it: names count where all of them are text.
    return replace(read, names=list(names) if all(isinstance(name, str) for name in names) else None)


def _plain_columns(frame: Any, names: list[Any], where: str) -> Array:
    for name in names:
        if (kind := np.asarray(frame[name].to_numpy()).dtype.kind) in "mM":
            cure = "For a table in long form say id_column= and time_column="
            what = "dates" if kind == "M" else "time spans"
            raise DataTypeError(say(where, f"column {name!r} holds {what}", expected="numbers", cure=cure))
    return np.asarray(frame.to_numpy())


def _long(frame: Any, id_column: str, time_column: str | None, column: str | None, where: str) -> Sequences:
    groups, values, names = read_long(frame, id_column=id_column, time_column=time_column, target=column, where=where)
    if values.shape[1] == 1 and len(values) and isinstance(values[0, 0], str):
        parts = np.split(values[:, 0], np.cumsum(groups.lengths)[:-1])
        read = _text([part.tolist() for part in parts], where)
        assert read is not None, "the first token was found to be a string"
        return replace(read, names=names, groups=groups)
    read = _numbers(np.split(values, np.cumsum(groups.lengths)[:-1]), where)
    return replace(read, names=names, groups=groups)


def _check_axes(x: Array, where: str) -> None:
    """Refuse arrays of other axes, and of no samples or features, in the words that scikit-learn's users know."""
    got = f"shape={x.shape}"
    if x.ndim not in (2, 3):
        cure = "Reshape your data: X.reshape(-1, 1) for series of one step, X.reshape(1, -1) for a single series"
        wrong = f"X has {x.ndim} axes"
        raise DataError(say(where, wrong, expected=_FORMS, got=got, cure=cure if x.ndim == 1 else None))
    if len(x) == 0:
        raise DataError(say(where, f"X has 0 samples: Found array with 0 sample(s) ({got})", expected="at least 1"))
    if 0 in x.shape[1:]:
        found = f"Found array with 0 feature(s) ({got}) while a minimum of 1 is required"
        raise DataError(say(where, f"X has no features: {found}"))
    if x.dtype.kind in "UST":
        cure = "Texts go into one list of strings, tokens into one list for each sequence"
        raise DataTypeError(say(where, "X is a table of text", expected=_FORMS, got=got, cure=cure))
    if x.dtype.kind == "O":
        for place, value in np.ndenumerate(x):
            if value is None:
                wrong, cure = "Input X contains None", "Fill missing values, or leave those steps out of a list"
                raise DataError(say(where, wrong, expected="numbers", got=f"None at {place}", cure=cure))
            if isinstance(value, dict | list | tuple | set):
                wrong = "X holds an object, and the argument must be a string or a number"
                raise DataTypeError(say(where, wrong, expected="numbers", got=f"{_kind(value)} at {place}"))


def _check_float32(x: Ragged, where: str) -> None:
    """Refuse numbers that float32, in which models compute, cannot hold."""
    large = np.abs(x.values) > np.finfo(np.float32).max
    if large.any():
        row, feature = np.argwhere(large)[0]
        sequence = int(np.searchsorted(x.offsets, row, side="right")) - 1
        got = f"{x.values[row, feature]} at sequence {sequence}, step {row - x.offsets[sequence]}, feature {feature}"
        raise DataError(say(where, "a number is too large for float32", expected="smaller numbers", got=got))


def _column_of(part: Any) -> Any:
    """Give a series of one channel a column; everything else as it is."""
    if isinstance(part, list | tuple):
        if any(isinstance(inner, list | tuple | np.ndarray) for inner in part):
            return part
        part = np.asarray(part, None if part else np.float64)
    if is_series(part) or is_frame(part):
        part = part.to_numpy()
    return part[:, None] if isinstance(part, np.ndarray) and part.ndim == 1 else part


def _is_flat(part: Any) -> bool:
    """Tell whether a sequence is one number per step."""
    if isinstance(part, list | tuple):
        return not any(isinstance(inner, list | tuple | np.ndarray) for inner in part)
    return np.ndim(part) == 1


def _is_empty_list(part: Any) -> bool:
    return isinstance(part, list | tuple | np.ndarray) and len(part) == 0


def _kind(value: Any) -> str:
    return type(value).__name__
