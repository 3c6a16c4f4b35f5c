"""Plain JSON, read strictly: what a stranger may have put into a file's header.

msgspec refuses unknown keys, wrong kinds, NaN and numbers out of range; what it lets pass is caught here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

import msgspec

from elman.errors import ModelFileError, say

__all__ = ["listed", "not_plain", "quoted", "refusal", "strict_json"]

_MAX_VALUES = 1_000_000  # in a text; each may cost 100 bytes once decoded
_MAX_DEPTH = 32  # of a text
_MAX_NESTED = 24  # of a value to be saved, which lies a little deeper in the text
_MAX_TOLD = 50  # clauses that one message lists

_STRINGS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)

T = TypeVar("T")


def strict_json(raw: bytes, kind: type[T], *, where: str) -> T:
    """Decode JSON that is UTF-8, shallow, of bounded size, finite, and names no key twice.

    Args:
        raw: the text.
        kind: the type that msgspec holds it against.
        where: how messages name the file.

    Raises:
        ModelFileError: if the text is anything else.
    """
    try:
        text = raw.decode("utf-8")
        bones = _STRINGS.sub("", text)
        if sum(map(bones.count, ",[]{}")) > _MAX_VALUES or _depth(bones) > _MAX_DEPTH:
            raise ValueError("it is too deep or has too many values")
        # msgspec keeps the last of two equal keys without a word; json lets us see them.
        json.loads(text, object_pairs_hook=_refuse_twins)
        return msgspec.json.decode(raw, type=kind)
    except (ValueError, msgspec.DecodeError) as error:
        raise ModelFileError(say(where, f"its header is not that of a model file ({str(error)[:200]})")) from error


def not_plain(value: object, *, place: str, depth: int = 0) -> Iterator[str]:
    """Say which values would not come back from JSON as they were, or are out of bounds.

    Args:
        value: what should hold nothing but dicts with text keys, lists, texts, numbers, booleans and None.
        place: how messages name it, such as "config".
        depth: how deep it lies already.

    Yields:
        One clause for each value that is wrong.
    """
    if depth > _MAX_NESTED:
        yield f"{place[:80]} is nested more than {_MAX_NESTED} deep"
    elif value is None or type(value) is bool:
        return
    elif type(value) is int:
        if not -(2**63) <= value < 2**63:
            yield f"{place} is beyond 64 bits"
    elif type(value) is float:
        if not math.isfinite(value):
            yield f"{place} is {value}"
    elif type(value) is str:
        if not value.isascii() and any("\ud800" <= mark <= "\udfff" for mark in value):
            yield f"{place} holds half of a surrogate pair, which UTF-8 cannot say"
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from not_plain(item, place=f"{place}[{position}]", depth=depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if type(key) is not str:
                yield f"{place} has the key {key!r}, which is not text"
            yield from not_plain(key, place=f"a key of {place}", depth=depth + 1)
            yield from not_plain(item, place=f"{place}.{key}", depth=depth + 1)
    else:
        yield f"{place} is of type {type(value).__name__}"


class Refusal(NamedTuple):
    """What msgspec says of a value that a declaration refuses.

    Attributes:
        name: of the value; "" if it is the whole that does not fit.
        expected: what would have been accepted, such as "int >= 1"; None if it says something else.
        sentence: all of it.
    """

    name: str
    expected: str | None
    sentence: str


def refusal(error: msgspec.ValidationError) -> Refusal:
    """Take msgspec's message apart.

    Example:
        >>> try:
        ...     msgspec.convert({"units": 2.5}, dict[str, int])
        ... except msgspec.ValidationError as error:
        ...     refusal(error).expected
        'int'
    """
    sentence = str(error).replace("`", "")
    reason, _, name = sentence.partition(" - at $.")
    begin, expected = "Expected ", None
    if reason.startswith(begin):
        expected = reason.removeprefix(begin).partition(", got")[0]
    return Refusal(name, expected, sentence)


def listed(wrongs: list[str]) -> str:
    """Join clauses into one; of very many, the first 50."""
    more = f"; and {len(wrongs) - _MAX_TOLD} more" if len(wrongs) > _MAX_TOLD else ""
    return "; ".join(wrongs[:_MAX_TOLD]) + more


def quoted(name: str) -> str:
    """Quote a name, which may be a megabyte of control characters."""
    return repr(name) if len(name) <= 80 else f"{name[:80]!r}…"


def _depth(bones: str) -> int:
    """Return how deep JSON without its strings is nested."""
    depth = deepest = 0
    for found in re.finditer(r"[][{}]", bones):
        depth += 1 if found[0] in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _refuse_twins(pairs: list[tuple[str, Any]]) -> None:
    """Refuse an object that names a key twice; nothing is kept of those that pass."""
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise ValueError(f"{quoted(key)} stands in it twice")
        seen.add(key)
