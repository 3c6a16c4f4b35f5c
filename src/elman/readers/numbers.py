"""Numbers, times and labels from cells of text, with the line of what is none."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, say

__all__ = ["MISSING", "as_labels", "as_numbers", "as_times", "is_missing", "is_number"]

Array = NDArray[Any]
Place = Callable[[int], str]

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-", "missing"})
"""What stands where a value is missing, in small letters."""

_GREATEST = float(np.finfo(np.float32).max)  # models compute in float32
_FILL = "Fill it, or leave those rows out"
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")


def is_missing(cell: Any) -> bool:
    """Tell whether a cell stands for a value that is missing."""
    if isinstance(cell, str):
        return cell.strip().lower() in MISSING
    return cell is None or cell != cell


def is_number(cell: Any) -> bool:
    """Tell whether a cell is a number, or the text of one."""
    if isinstance(cell, bool | str):
        try:
            return isinstance(cell, bool) or float(cell) == float(cell)
        except ValueError:
            return False
    return isinstance(cell, int | float | np.number)


def as_numbers(cells: Sequence[Any], *, what: str, place: Place) -> NDArray[np.float64]:
    """Give cells as finite numbers (n,).

    Args:
        cells: numbers, or texts of them.
        what: they are, such as "column 'wind'".
        place: says where the k-th stands.

    Raises:
        DataError: naming the first that is missing, infinite or no number.
    """
    try:
        numbers = np.fromiter(map(float, cells), np.float64, len(cells))
        if not len(numbers) or np.abs(numbers).max() <= _GREATEST:  # which NaN is not
            return numbers
    except (ValueError, TypeError, OverflowError):
        pass
    for row, cell in enumerate(cells):
        if is_missing(cell):
            got = repr(cell) if cell else "an empty cell" if cell == "" else str(cell)
            raise DataError(say(place(row), f"a value of {what} is missing", expected="a number", got=got, cure=_FILL))
        if not is_number(cell):
            raise DataError(say(place(row), f"{what} holds no number", got=repr(cell), cure=_cure(cell)))
        if not np.isfinite(float(cell)):
            raise DataError(say(place(row), f"{what} is infinite", expected="a finite number", got=str(cell)))
        if abs(float(cell)) > _GREATEST:
            wrong = f"a number of {what} is too large for float32"
            raise DataError(say(place(row), wrong, expected="smaller numbers", got=str(cell)))
    raise AssertionError("one of the cells was no finite number")


def _cure(cell: Any) -> str | None:
    if not isinstance(cell, str):
        return None
    if re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?", cell.strip()):
        return f"Write it without thousands separators: {cell.strip().replace(',', '')}"
    if re.fullmatch(r"[-+]?\d*,\d+([eE][-+]?\d+)?", cell.strip()):
        return f"Write it with a decimal point: {cell.strip().replace(',', '.')}"
    return None


def as_times(cells: Sequence[Any], *, what: str, place: Place) -> list[Any]:
    """Give cells as what can be compared: numbers, or dates in ISO's form.

    Args:
        cells: numbers, dates, or texts of either.
        what: they are.
        place: says where the k-th stands.

    Raises:
        DataError: naming the first that is missing, or neither.
    """
    for row, cell in enumerate(cells):
        if is_missing(cell):
            raise DataError(say(place(row), f"a time of {what} is missing", cure=_FILL))
    if all(not isinstance(cell, str) for cell in cells):
        return list(cells)
    if is_number(cells[0]):
        return list(as_numbers(cells, what=what, place=place).tolist())
    times = []
    for row, cell in enumerate(cells):
        try:
            times.append(datetime.fromisoformat(cell.strip()))
        except ValueError:
            expected, cure = "a number or a date such as 2026-11-21 or 2026-11-21T14:30", "Write it in that form"
            wrong = f"{what} holds no time"
            raise DataError(say(place(row), wrong, expected=expected, got=repr(cell), cure=cure)) from None
    return times


def as_labels(cells: Sequence[Any], *, what: str, place: Place) -> Array:
    """Give cells as classes (n,): integers if all are, else texts.

    Args:
        cells: labels.
        what: they are.
        place: says where the k-th stands.

    Raises:
        DataError: naming the first that is missing, or no label.
    """
    for row, cell in enumerate(cells):
        if cell is None or cell != cell or (isinstance(cell, str) and not cell.strip()):  # "none" may well be a class
            cure = "Give each sequence a label, or leave it out"
            raise DataError(say(place(row), f"there is no label in {what}", cure=cure))
        if isinstance(cell, list | dict):
            raise DataError(say(place(row), f"{what} holds no label", expected="a text or a number", got=repr(cell)))
    if all(isinstance(cell, int) for cell in cells):  # of which bool is one
        return np.array(cells)
    texts = [cell.strip() if isinstance(cell, str) else str(cell) for cell in cells]
    if all(map(is_number, texts)):
        for row, text in enumerate(texts):
            if "." in text and not float(text).is_integer():
                wrong, cure = f"{what} holds fractions, which are no classes", "For numbers: elman train regress"
                raise DataError(say(place(row), wrong, expected="texts or integers", got=text, cure=cure))
        texts = [re.sub(r"\.0*$", "", text) for text in texts]  # integers, as pandas writes them beside an empty cell
    if all(_INTEGER.fullmatch(text) for text in texts):
        return np.array([int(text) for text in texts])
    return np.array(texts, str)
