"""Tables as sequences: a row for each step, or one for each sequence, of numbers, texts or lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, say
from elman.readers.dataset import Columns, Dataset, Purpose
from elman.readers.numbers import as_labels, as_numbers, as_times, is_missing
from elman.readers.roles import Table, find_columns
from elman.readers.words import listed, some

__all__ = ["as_dataset"]

Array = NDArray[Any]


def as_dataset(table: Table, purpose: Purpose, said: Columns, *, needs_label: bool) -> Dataset:
    """Read a table as sequences.

    Args:
        table: with named columns.
        purpose: "classify", "regress" or "tag".
        said: what the columns are, as far as it is known.
        needs_label: whether answers are read, and must be there.

    Raises:
        UsageError: if it is not known what a column is.
        DataError: if a cell cannot be used, naming file, line and column.
    """
    if not len(table):
        raise DataError(say(table.path, "it has no rows below its header", expected="at least one"))
    columns = find_columns(table, purpose, said, needs_label=needs_label)
    if not needs_label:  # what was learned as a label is no feature, whatever stands in it now
        columns = Columns(columns.id, columns.time, None, columns.features, columns.form)
    read = _long if columns.form == "long" else _wide
    return read(table, purpose, columns)


# --- a row for each step --------------------------------------------------------------------------------------------


def _long(table: Table, purpose: Purpose, columns: Columns) -> Dataset:
    order, lengths, ids = _groups(table, columns.id)
    starts = np.append(0, np.cumsum(lengths))
    if columns.time is not None:
        _check_times(table, columns.time, order, starts, ids)
    features = columns.features or ()
    words = len(features) == 1 and table.kinds[features[0]] == "texts"
    if words:
        cells = [str(cell) for cell in table.cells[features[0]]]
        X: list[Any] = [[cells[row] for row in order[start:end]] for start, end in _spans(starts)]
    else:
        values = _values(table, features)[order]
        X = [np.ascontiguousarray(part) for part in np.split(values, starts[1:-1])]
    y: Any = None
    if columns.label is not None:
        answers = _answers(table, columns.label, purpose)
        y = [answers[order[start:end]] for start, end in _spans(starts)] if purpose == "tag" else None
        if y is None:
            _check_same(table, columns.label, answers, order, starts, ids)
            y = answers[order[starts[:-1]]]
    taken = {"id": f"column {columns.id!r}" if columns.id else "none: the whole file is one sequence"}
    if columns.time is not None:
        taken["time"] = f"column {columns.time!r}, which rises in every sequence"
    return _dataset(table, X, y, ids, purpose, columns, taken, words=words)


def _groups(table: Table, key: str | None) -> tuple[Array, Array, list[Any]]:
    """Give rows sequence after sequence, how many each has, and how they are called."""
    if key is None:
        return np.arange(len(table)), np.array([len(table)]), [1]
    codes: dict[Any, int] = {}
    numbers = np.empty(len(table), np.int64)
    for row, name in enumerate(table.cells[key]):
        if name is None or name != name or name == "":
            cure = "Say which sequence the row belongs to"
            raise DataError(say(table.place(row), f"there is no id in column {key!r}", cure=cure))
        numbers[row] = codes.setdefault(name, len(codes))
    return np.argsort(numbers, kind="stable"), np.bincount(numbers), list(codes)


def _spans(starts: Array) -> list[tuple[int, int]]:
    return list(zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True))


def _check_times(table: Table, column: str, order: Array, starts: Array, ids: list[Any]) -> None:
    """Refuse times that repeat or go back: rows are never put in another order silently."""
    times = as_times(table.cells[column], what=f"column {column!r}", place=table.place)
    rows = order.tolist()
    for number, (start, end) in enumerate(_spans(starts)):
        for before, row in zip(rows[start : end - 1], rows[start + 1 : end], strict=True):
            try:
                if times[before] < times[row]:
                    continue
            except TypeError:
                got = f"{times[before]} and {times[row]}"
                raise DataError(
                    say(table.place(row), f"times of column {column!r} cannot be compared", got=got)
                ) from None
            now, last = table.cells[column][row], table.cells[column][before]
            twice = times[before] == times[row]
            wrong = f"time {now} stands twice" if twice else f"time {now} comes after {last}"
            cure = "Keep one row for each time" if twice else f"Sort the rows of each sequence by {column!r}"
            where = f"{table.place(row)} (sequence {ids[number]!r})"
            raise DataError(say(where, wrong, expected="rising times", cure=cure))


def _check_same(table: Table, column: str, answers: Array, order: Array, starts: Array, ids: list[Any]) -> None:
    first = np.repeat(answers[order[starts[:-1]]], np.diff(starts))
    wrong = np.flatnonzero(answers[order] != first)
    if len(wrong):
        at = int(wrong[0])
        number = int(np.searchsorted(starts, at, side="right")) - 1
        got = f"{first[at].item()!r} and {answers[order[at]].item()!r}"
        clause = f"the label changes within the sequence {ids[number]!r}"
        cure = "For a label for each row: elman train tag"
        where = table.place(int(order[at]))
        raise DataError(say(where, clause, expected="one for each sequence", got=got, cure=cure))


# --- a row for each sequence ----------------------------------------------------------------------------------------


def _wide(table: Table, purpose: Purpose, columns: Columns) -> Dataset:
    features = columns.features or ()
    kinds = {table.kinds[name] for name in features}
    steps = False
    if "lists" in kinds:
        X = [_sequence(table, row, features) for row in range(len(table))]
    elif kinds == {"texts"} and len(features) == 1:
        X = [str(cell) for cell in table.cells[features[0]]]
    else:
        X, steps = _series(table, features), True
    _check_alike(table, X)
    ids = list(table.cells[columns.id]) if columns.id else list(table.lines)
    y: Any = None
    if columns.label is not None:
        y = _tags(table, columns.label, X) if purpose == "tag" else _answers(table, columns.label, purpose)
    empty = [row for row, x in enumerate(X) if not len(x)]
    if empty and purpose != "tag":
        cure = "Leave it out: nothing can be said about nothing"
        raise DataError(say(table.place(empty[0]), "the sequence is empty", expected="at least one step", cure=cure))
    taken = {"id": f"column {columns.id!r}"} if columns.id else {}
    return _dataset(table, X, y, ids, purpose, columns, taken, words=not steps)


def _series(table: Table, features: Sequence[str]) -> list[Array]:
    """Read rows of one channel, a column for each step; empty cells at the end of a row end it."""
    values = np.full((len(table), len(features)), np.nan)
    lengths = np.full(len(table), len(features))
    for row in range(len(table)):
        while lengths[row] and is_missing(table.cells[features[lengths[row] - 1]][row]):
            lengths[row] -= 1
    for step, name in enumerate(features):
        _refuse_text(table, name)
        rows = np.flatnonzero(lengths > step)
        cells = [table.cells[name][row] for row in rows.tolist()]
        where = [table.lines[row] for row in rows.tolist()]
        place = replace(table, lines=where).place
        values[rows, step] = as_numbers(cells, what=f"column {name!r}", place=place)
    return [row[:length, None] for row, length in zip(values, lengths.tolist(), strict=True)]


def _sequence(table: Table, row: int, features: Sequence[str]) -> Any:
    """Read one sequence from lists: words, numbers, or rows of numbers; several lists are its channels."""
    parts = [table.cells[name][row] for name in features]
    for name, part in zip(features, parts, strict=True):
        if not isinstance(part, list):
            wrong = f"{name!r} is no list, as it is in other rows"
            raise DataError(say(table.place(row), wrong, expected="a list", got=repr(part)))
    if len(parts) == 1 and any(isinstance(item, str) for item in parts[0]):
        return [str(item) for item in parts[0]]
    if len({len(part) for part in parts}) > 1:
        sizes = ", ".join(f"{name} {len(part)}" for name, part in zip(features, parts, strict=True))
        raise DataError(
            say(table.place(row), "the lists differ in length", expected="as many steps in each", got=sizes)
        )
    columns = [_channels(table, row, name, part) for name, part in zip(features, parts, strict=True)]
    return np.concatenate(columns, axis=1)


def _channels(table: Table, row: int, name: str, part: list[Any]) -> Array:
    where = table.place(row)
    nested = any(isinstance(item, list) for item in part)
    if not nested:
        return as_numbers(part, what=f"{name!r}", place=lambda step: f"{where}, step {step + 1}")[:, None]
    width = len(part[0]) if isinstance(part[0], list) else 0
    for step, item in enumerate(part):
        if not isinstance(item, list) or len(item) != width:
            got = f"{len(item)} at step {step + 1}" if isinstance(item, list) else f"{item!r} at step {step + 1}"
            expected = f"{width} numbers"
            raise DataError(say(where, f"the steps of {name!r} differ in their numbers", expected=expected, got=got))
    flat = [number for item in part for number in item]
    place = lambda index: f"{where}, step {index // max(width, 1) + 1}"  # noqa: E731 - said in one line
    return as_numbers(flat, what=f"{name!r}", place=place).reshape(len(part), width)


def _check_alike(table: Table, X: list[Any]) -> None:
    """Refuse sequences of which some are words and some numbers, or that differ in their channels."""
    for row, x in enumerate(X):
        if type(x) is not type(X[0]) and len(x) and len(X[0]):
            got = f"{_what(X[0])} before and {_what(x)} here"
            raise DataError(say(table.place(row), "the sequences are of two kinds", expected="one", got=got))
        if isinstance(x, np.ndarray) and isinstance(X[0], np.ndarray) and len(x) and x.shape[1] != X[0].shape[1]:
            wrong = "the steps of this sequence have other numbers than those before it"
            raise DataError(say(table.place(row), wrong, expected=f"{X[0].shape[1]} each", got=x.shape[1]))


def _what(x: Any) -> str:
    return "a text" if isinstance(x, str) else "words" if isinstance(x, list) else "numbers"


# --- answers and the whole ------------------------------------------------------------------------------------------


def _tags(table: Table, column: str, X: list[Any]) -> list[Array]:
    """Give a label for each step, from lists or, for strings, from a string as long."""
    found = []
    for row, cell in enumerate(table.cells[column]):
        where = table.place(row)
        if not isinstance(cell, list | str) or (isinstance(cell, str) and not isinstance(X[row], str)):
            expected = f"a list of {len(X[row])}"
            raise DataError(say(where, f"{column!r} is no list of labels", expected=expected, got=repr(cell)))
        if len(cell) != len(X[row]):
            wrong = f"{column!r} has not one label for each step"
            raise DataError(say(where, wrong, expected=len(X[row]), got=len(cell)))
        found.append(list(cell))
    sizes = np.cumsum([len(part) for part in found])
    flat = [label for part in found for label in part]
    rows = np.repeat(np.arange(len(found)), np.diff(np.append(0, sizes)))
    labels = as_labels(flat, what=f"{column!r}", place=lambda index: table.place(int(rows[index])))
    return np.split(labels, sizes[:-1])


def _answers(table: Table, column: str, purpose: Purpose) -> Array:
    cells, what = table.cells[column], f"column {column!r}"
    if purpose == "regress":
        return as_numbers(cells, what=what, place=table.place)
    return as_labels(cells, what=what, place=table.place)


def _values(table: Table, features: Sequence[str]) -> Array:
    for name in features:
        _refuse_text(table, name)
    columns = [as_numbers(table.cells[name], what=f"column {name!r}", place=table.place) for name in features]
    return np.stack(columns, axis=1)


def _refuse_text(table: Table, name: str) -> None:
    """Refuse a column of texts among others, and say how to leave it out."""
    if table.kinds[name] != "texts":
        return
    example = next(cell for cell in table.cells[name] if not is_missing(cell))
    others = [column for column in table.names if table.kinds[column] == "numbers"]
    flags = " ".join(f"--features {column}" for column in others[:2]) + (" …" if len(others) > 2 else "")
    cure = "Say what it is, --id, --time or --label"
    cure += f", or name the features without it: {flags}" if others else ""
    raise DataError(say(table.path, f"column {name!r} holds texts", expected="numbers", got=repr(example), cure=cure))


def _dataset(
    table: Table,
    X: list[Any],
    y: Any,
    ids: list[Any],
    purpose: Purpose,
    columns: Columns,
    taken: dict[str, str],
    *,
    words: bool,
) -> Dataset:
    features = columns.features or ()
    told = (
        f"column {features[0]!r}"
        if len(features) == 1
        else f"{some(len(features), 'column')}: {listed(features, limit=6)}"
    )
    if columns.form == "wide" and not words:
        told = f"1 channel, a column for each step: {listed(features, limit=6)}"
    taken = taken | {"text" if words and not isinstance(X[0], np.ndarray) else "features": told}
    if columns.label is not None:
        taken["label"] = f"column {columns.label!r}"
    form = f"{table.form} in long form, a row for each step"
    if columns.form == "wide":
        form = f"{table.form}{'' if words else ' in wide form'}, a row for each sequence"
    form = ", ".join([form, *table.notes])
    return Dataset(table.path, X, y, ids, purpose, form, columns=columns, taken=taken)
