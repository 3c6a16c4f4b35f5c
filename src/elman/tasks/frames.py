"""Tables with named columns, pandas's and polars's: told by what they can do, so that neither is needed.

In long form a row is one step of one series: a column says which series, another may say when.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, DataTypeError, UsageError, say

__all__ = ["Groups", "column_names", "is_frame", "is_series", "read_long"]

Array = NDArray[Any]


def is_frame(x: object) -> bool:
    """Tell whether x is a table with named columns."""
    return hasattr(x, "columns") and hasattr(x, "to_numpy") and hasattr(x, "__getitem__")


def is_series(x: object) -> bool:
    """Tell whether x is a single column."""
    return hasattr(x, "to_numpy") and hasattr(x, "name") and not hasattr(x, "columns")


def column_names(frame: Any) -> list[Any]:
    """Give the names of the columns, in order."""
    return list(frame.columns)


class Groups(NamedTuple):
    """Which rows of a table in long form are which series.

    Attributes:
        names: the series, in the order in which they first appear.
        order: (N,) rows, series after series.
        lengths: (B,) rows of each.
        frame: the table, for a column of targets.
    """

    names: list[Any]
    order: NDArray[np.int64]
    lengths: NDArray[np.int64]
    frame: Any

    def per_step(self, y: Any, *, where: str) -> list[Array]:
        """Give the targets of every series, one per row.

        Args:
            y: the name of a column, or one target per row.
            where: who asks, for messages.

        Raises:
            DataError: if there are not as many targets as rows.
            UsageError: if there is no such column.
        """
        rows = self._column(y, where)
        if len(rows) != len(self.order):
            raise DataError(say(where, "y does not fit the rows of X", expected=f"{len(self.order)}", got=len(rows)))
        return np.split(rows[self.order], np.cumsum(self.lengths)[:-1])

    def per_series(self, y: Any, *, where: str, name: str = "y") -> Any:
        """Give one target per series.

        Args:
            y: the name of a column or one target per row, the same in all rows of a series; or one target per series.
            where: who asks, for messages.
            name: of y.

        Raises:
            DataError: if y changes within a series, or fits neither rows nor series.
            UsageError: if there is no such column.
        """
        rows = self._column(y, where)
        if len(rows) == len(self.names) and not isinstance(y, str):
            return y
        if len(rows) != len(self.order):
            expected = f"{len(self.names)}, one per series, or {len(self.order)}, one per row"
            raise DataError(say(where, f"{name} does not fit the rows of X", expected=expected, got=len(rows)))
        rows = rows[self.order]
        starts = np.append(0, np.cumsum(self.lengths)[:-1])
        first = rows[starts]
        same = rows == np.repeat(first, self.lengths, axis=0)
        if not np.all(same):
            row = int(np.argmin(np.reshape(same, (len(rows), -1)).all(1)))
            series = int(np.searchsorted(starts, row, side="right")) - 1
            wrong = f"{name} changes within the series {self.names[series]!r}"
            got = f"{_shown(first[series])} and {_shown(rows[row])}"
            raise DataError(say(where, wrong, expected="one value per series", got=got))
        return first

    def _column(self, y: Any, where: str) -> Array:
        if isinstance(y, str):
            return _column(self.frame, y, where=where)
        return np.asarray(y.to_numpy() if is_series(y) else y)


def read_long(
    frame: Any, *, id_column: str, time_column: str | None, target: str | None, where: str
) -> tuple[Groups, Array, list[str]]:
    """Take a table in long form apart.

    Args:
        frame: a table with named columns.
        id_column: says which series a row belongs to.
        time_column: rises within every series; rows stand in the order of time if None.
        target: a column that is no feature.
        where: who asks, for messages.

    Returns:
        The groups; the other columns (N, F), in the order of the groups; their names.

    Raises:
        UsageError: if a column is not there.
        DataError: if an id or a time is missing, or times do not rise.
    """
    ids = _column(frame, id_column, where=where)
    if len(ids) == 0:
        raise DataError(say(where, "X has 0 samples", expected="at least 1 row"))
    if target is not None:
        _column(frame, target, where=where)
    codes: dict[Hashable, int] = {}
    numbers = np.empty(len(ids), np.int64)
    for row, name in enumerate(ids.tolist()):
        if name is None or name != name:  # NaN and NaT differ from themselves
            raise DataError(say(where, f"there is no id in row {row} of column {id_column!r}", got=_shown(name)))
        numbers[row] = codes.setdefault(name, len(codes))
    order = np.argsort(numbers, kind="stable")
    groups = Groups(list(codes), order, np.bincount(numbers, minlength=len(codes)).astype(np.int64), frame)
    if time_column is not None:
        _check_times(_column(frame, time_column, where=where)[order], numbers[order], groups, time_column, where)
    features = [name for name in column_names(frame) if name not in (id_column, time_column, target)]
    if not features:
        wrong = "X has no columns beside those of ids, times and targets"
        raise DataError(say(where, wrong, expected="at least one feature", got=f"columns {column_names(frame)}"))
    columns = [np.asarray(_column(frame, name, where=where)) for name in features]
    for name, column in zip(features, columns, strict=True):
        if column.dtype.kind in "OUT" and len(features) > 1:
            odd = next((value for value in column.tolist() if isinstance(value, str)), None)
            if odd is not None:
                cure = "Leave the column out, turn it into numbers, or name it as y if it is the target"
                raise DataTypeError(say(where, f"column {name!r} holds text", got=repr(odd), cure=cure))
        if column.dtype.kind in "mM":
            cure = f"Give time_column={name!r} if it says when, or leave the column out"
            raise DataTypeError(say(where, f"column {name!r} holds dates", expected="numbers", cure=cure))
    return groups, np.stack(columns, axis=1)[order], [str(name) for name in features]


def _column(frame: Any, name: str, *, where: str) -> Array:
    names = column_names(frame)
    if name not in names:
        raise UsageError(say(where, f"there is no column {name!r}", expected=f"one of {_listed(names)}"))
    return np.asarray(frame[name].to_numpy())


def _check_times(times: Array, numbers: Array, groups: Groups, column: str, where: str) -> None:
    """Refuse times that are missing, repeat or go back: rows are never put in another order silently."""
    if times.dtype.kind == "O":
        missing = np.array([time is None or time != time for time in times.tolist()])
    else:
        missing = times != times
    if np.any(missing):
        row = int(groups.order[int(np.argmax(missing))])
        raise DataError(say(where, f"there is no time in row {row} of column {column!r}"))
    within = numbers[1:] == numbers[:-1]
    try:
        wrong = within & ~(times[1:] > times[:-1])
    except TypeError:
        kinds = sorted({type(time).__name__ for time in times.tolist()})
        raise DataError(say(where, f"times of column {column!r} cannot be compared", got=", ".join(kinds))) from None
    if np.any(wrong):
        at = int(np.argmax(wrong))
        series = groups.names[int(numbers[at])]
        twice = times[at + 1] == times[at]
        what = f"time {times[at]} stands twice" if twice else f"time {times[at + 1]} comes after {times[at]}"
        cure = "Keep one row for each time" if twice else f"Sort the table by {column!r} first"
        raise DataError(say(where, f"{what} in the series {series!r}", expected="rising times", cure=cure))


def _shown(value: Any) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)


def _listed(names: Sequence[Any]) -> str:
    return ", ".join(map(repr, names))
