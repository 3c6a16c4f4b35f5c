"""Objects that are a name and a few options: losses and metrics, as texts, as files and as objects say them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np

from elman.errors import UsageError, say

__all__ = ["Named", "checked_number", "find", "unknown"]


class Named:
    """Base of frozen dataclasses whose fields are options with defaults.

    Attributes:
        name: what configs and messages call this kind.
    """

    name: ClassVar[str]

    def options(self) -> dict[str, Any]:
        """Give the options that are not as they are by default."""
        if not dataclasses.is_dataclass(self):  # one of a user's own, which no file will hold
            return {}
        fields = dataclasses.fields(self)
        given = {field.name: getattr(self, field.name) for field in fields}
        return {field.name: given[field.name] for field in fields if given[field.name] != field.default}

    def config(self) -> str | dict[str, Any]:
        """Give the JSON form: the name, or {"type": name, …} with options that are not the defaults."""
        options = self.options()
        return {"type": self.name, **options} if options else self.name


T = TypeVar("T", bound=Named)


def find(given: object, kinds: Mapping[str, type[T]], base: type[T], *, what: str) -> T:
    """Give the object that a name, a config or an object stands for.

    Args:
        given: "name", {"type": "name", …}, or an object of `base`.
        kinds: name -> class, a class under as many names as it has.
        base: of all classes.
        what: these are, for messages, such as "loss".

    Raises:
        UsageError: if there is no such name or option, or an option is out of its bounds.
    """
    if isinstance(given, base):
        return given
    options = dict(given) if isinstance(given, Mapping) else {"type": given}
    name = options.pop("type", None)
    kind = kinds.get(name.lower()) if isinstance(name, str) else None
    if kind is None:
        raise unknown(given, kinds, what=what)
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    odd = sorted(str(option) for option in options if option not in known)
    if odd:
        expected = ", ".join(known) or "none"
        raise UsageError(say(f"{what} '{name}'", "there is no such option", expected=expected, got=", ".join(odd)))
    return kind(**options)


def unknown(given: object, kinds: Iterable[str], *, what: str) -> UsageError:
    """Give the error that says that there is no such thing, and which one may have been meant.

    Args:
        given: what came in place of a name, a config or an object.
        kinds: names that there are.
        what: these are, such as "loss".
    """
    import difflib  # costs 4 ms, for who has made a mistake only

    names = sorted(kinds)
    close = difflib.get_close_matches(given.lower(), names, 1, cutoff=0.75) if isinstance(given, str) else []
    shown = f"{given!r}, a class; write {given.__name__}()" if isinstance(given, type) else repr(given)
    cure = f"Did you mean '{close[0]}'?" if close else None
    expected = f"one of {names} or an object"
    return UsageError(say("compile", f"there is no such {what}", expected=expected, got=shown, cure=cure))


def checked_number(
    where: str, name: str, value: object, *, low: float, high: float = math.inf, open_low: bool = False
) -> float:
    """Give a number in [low, high), or in (low, high), as a float.

    Args:
        where: who speaks, such as "loss 'huber'".
        name: of the option.
        value: what came.
        low: the least that is accepted, or the bound itself if `open_low`.
        high: the bound above, never accepted.
        open_low: whether `low` is refused as well.

    Raises:
        UsageError: if it is no number or out of range.
    """
    number = float(value) if isinstance(value, int | float | np.integer | np.floating) else math.nan
    if isinstance(value, bool) or not (low < number < high or (number == low and not open_low)):
        expected = f"a number in {'(' if open_low else '['}{low:g}, {high:g})"
        raise UsageError(say(where, f"{name} is out of range", expected=expected, got=repr(value)))
    return number
