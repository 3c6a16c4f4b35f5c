"""Words that all readers need for what they say."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["listed", "some"]


def listed(names: Iterable[str], *, limit: int = 12) -> str:
    """Name columns or keys, and not too many of them.

    Args:
        names: any.
        limit: how many are named.

    Example:
        >>> listed(["a", "b", "c"], limit=2)
        "'a', 'b' …"
    """
    names = list(names)
    return ", ".join(map(repr, names[:limit])) + (" …" if len(names) > limit else "")


def some(count: int, one: str, many: str | None = None) -> str:
    """Say a number of things.

    Args:
        count: how many.
        one: what one of them is called.
        many: what several are called, if it does not only end in an s.

    Example:
        >>> some(1, "step"), some(1200, "class", "classes")
        ('1 step', '1,200 classes')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"
