"""The words for a number that is out of range, shared by everything that training is told by number."""

from __future__ import annotations

import math

import numpy as np

from elman.errors import UsageError, say

__all__ = ["check_count", "check_flag", "check_number"]


def check_number(
    where: str,
    name: str,
    value: object,
    *,
    low: float = 0.0,
    high: float = math.inf,
    open_low: bool = False,
    closed_high: bool = False,
) -> float:
    """Give a value as a float, or say what is wrong with it.

    Args:
        where: who speaks, such as "optimizer 'adam'".
        name: of the argument.
        value: what the user gave.
        low: the least value.
        high: the bound above.
        open_low: whether `low` itself is out of range.
        closed_high: whether `high` itself is within range.

    Raises:
        UsageError: naming the argument, its range and the value.
    """
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    inside = low < number < high or (number == low and not open_low) or (number == high and closed_high)
    if isinstance(value, bool | str | bytes) or not inside:
        span = f"{'(' if open_low else '['}{low:g}, {high:g}{']' if closed_high else ')'}"
        raise UsageError(say(where, f"{name} is out of range", expected=f"a number in {span}", got=repr(value)))
    return number


def check_count(name: str, value: object) -> None:
    """Refuse what is not an integer >= 1.

    Raises:
        UsageError: naming the argument and the value.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise UsageError(say(name, "this is no count", expected="an integer >= 1", got=repr(value)))


def check_flag(where: str, name: str, value: object) -> bool:
    """Give a value that is True or False, or say that it is neither.

    Raises:
        UsageError: naming the argument and the value.
    """
    if not isinstance(value, bool | np.bool_):
        raise UsageError(say(where, f"{name} is neither True nor False", got=repr(value)))
    return bool(value)
