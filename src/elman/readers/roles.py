"""Which column of a table is what: as it was said, else as its name says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from elman.errors import UsageError, say
from elman.readers.dataset import Columns, Purpose
from elman.readers.numbers import is_missing, is_number
from elman.readers.words import listed

__all__ = ["Table", "find_columns"]

# Names as people give them, in small letters and without "_id" at the end of those of sequences.
_IDS = frozenset(
    {"id", "series", "sequence", "sample", "case", "sentence", "unit", "session", "recording", "instance", "patient"}
    | {"subject", "trial", "utterance", "document", "window", "segment", "name", "key", "uid"}
)
_TIMES = frozenset({"time", "t", "step", "timestamp", "date", "datetime", "frame", "position", "tick"})
_LABELS = frozenset(
    {"label", "labels", "class", "target", "targets", "y", "tag", "tags", "category", "upos", "outcome"}
)
_TEXTS = frozenset(
    {"text", "sentence", "review", "message", "content", "document", "title", "comment", "tweet", "body"}
)
_SEQUENCES = frozenset({"x", "values", "sequence", "series", "data", "input", "inputs", "tokens", "words", "text"})

_ENOUGH = 1000  # cells that are looked at to tell what a column holds


@dataclass(frozen=True)
class Table:
    """Columns with names, of one length.

    Attributes:
        path: of the file.
        form: what the file is, such as "CSV".
        names: of the columns.
        cells: of every column; those of a text file are strings.
        lines: where each row stands, counted from 1.
        unit: what is counted there, "line" or "row".
        notes: what else a reader should know.
    """

    path: str
    form: str
    names: list[str]
    cells: Mapping[str, Sequence[Any]]
    lines: Sequence[int]
    unit: str = "line"
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, row: int) -> str:
        """Say where a row stands."""
        return f"{self.path}, {self.unit} {self.lines[row]:,}"

    @cached_property
    def kinds(self) -> dict[str, str]:
        """What each column holds, mostly: "numbers", "texts", "lists" or "nothing"."""
        return {name: _kind(self.cells[name]) for name in self.names}

    def require(self, name: str, role: str) -> str:
        """Give the name of a column that must be there.

        Raises:
            UsageError: if it is not, naming those that are.
        """
        if name not in self.cells:
            expected = f"one of {listed(self.names)}"
            raise UsageError(say(self.path, f"there is no column {name!r} for the {role}", expected=expected))
        return name


def _kind(cells: Sequence[Any]) -> str:
    seen = [cell for cell in cells[:_ENOUGH] if not is_missing(cell)]
    if not seen:
        return "nothing"
    if any(isinstance(cell, list) for cell in seen):
        return "lists"
    # A thousands separator in every other row does not make words of numbers: it is told where it stands.
    return "numbers" if 2 * sum(map(is_number, seen)) > len(seen) else "texts"


def find_columns(table: Table, purpose: Purpose, said: Columns, *, needs_label: bool) -> Columns:
    """Find out which column is what.

    Args:
        table: with named columns.
        purpose: what it is read for.
        said: what is known; it goes before all names.
        needs_label: whether a column of answers must be there; else one that is not is no fault.

    Returns:
        Columns of which `form` and `features` are set.

    Raises:
        UsageError: if a column is not there, or nothing says which it is; the message says how to.
    """
    for role, name in (("id", said.id), ("time", said.time)):
        if name is not None:
            table.require(name, role)
    for name in said.features or ():
        table.require(name, "features")
    if said.label is not None and (needs_label or said.label in table.cells):
        table.require(said.label, "label")
    free = [name for name in table.names if name not in (said.id, said.time, said.label, *(said.features or ()))]

    given = said.label if said.label in table.cells else None
    label = given if said.label is not None else _label(table, purpose, said, free)
    if label is None and needs_label:
        cure = f"Say which one it is: --label {table.names[-1]}"
        expected = "one that is called label, class, target, y or tag"
        got = f"columns {listed(table.names)}"
        raise UsageError(say(table.path, "no column is known to be the label", expected=expected, got=got, cure=cure))
    free = [name for name in free if name != label]

    lists = any(table.kinds[name] == "lists" for name in (said.features or free))
    key = said.id or (None if said.form == "wide" and said.features else _named(table, free, _IDS, "--id", "sequence"))
    free = [name for name in free if name != key]
    time = said.time
    if time is None and not lists and said.form != "wide":
        time = _named(table, free, _TIMES, "--time", "time")
    form = said.form or _form(table, purpose, said, key, time, lists)
    if form == "wide" and time is not None and key is None and not said.features:
        wrong = f"column {time!r} may say the time, but none is known to say which sequence a row belongs to"
        cure = (
            f"Say which one does: --id {free[0]}, or name the features, if each row is a sequence: --features {free[0]}"
        )
        raise UsageError(
            say(table.path, wrong, expected="a column such as 'id'", got=f"columns {listed(table.names)}", cure=cure)
        )
    if form == "wide":
        time = said.time
    free = [name for name in free if name != time]
    features = said.features or tuple(_features(table, free, lists))
    if not features:
        got = f"columns {listed(table.names)}"
        raise UsageError(say(table.path, "there is no column left for the features", got=got))
    return Columns(key, time, label, features, form)  # type: ignore[arg-type]  # one of the two words


def _form(table: Table, purpose: Purpose, said: Columns, key: str | None, time: str | None, lists: bool) -> str:
    """Tell a row for each step from a row for each sequence: ids come again, or the user said id or time."""
    if lists:
        return "wide"
    if key is None:
        return "long" if purpose == "tag" or said.time else "wide"
    cells = table.cells[key]
    return "long" if said.id or time or len(set(cells)) < len(cells) else "wide"


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().lower())


def _stem(name: str) -> str:
    plain = _plain(name)
    return re.sub(r"_?(id|no|nr|number|name)$", "", plain) or plain


def _named(table: Table, free: list[str], known: frozenset[str], flag: str, what: str) -> str | None:
    """Find the one column whose name says what it is."""
    for form in (_plain, _stem) if known is _IDS else (_plain,):
        found = [name for name in free if form(name) in known and not (known is _IDS and _is_sequence(table, name))]
        exact = [name for name in found if _plain(name) == "id"]
        if len(exact) == 1:
            return exact[0]
        if len(found) > 1:
            wrong = (
                f"several columns may say which {what} a row belongs to"
                if known is _IDS
                else f"several may say the {what}"
            )
            cure = f"Say which one does: {flag} {found[0]}"
            raise UsageError(say(table.path, wrong, expected="one", got=listed(found), cure=cure))
        if found:
            return found[0]
    return None


def _is_sequence(table: Table, name: str) -> bool:
    """Tell whether a column that may be called like an id holds sequences themselves."""
    cells = table.cells[name]
    if table.kinds[name] == "lists":
        return True
    # "sentence" and "document" are texts as often as they are numbers of texts.
    return table.kinds[name] == "texts" and any(
        isinstance(cell, str) and " " in cell.strip() for cell in cells[:_ENOUGH]
    )


def _label(table: Table, purpose: Purpose, said: Columns, free: list[str]) -> str | None:
    found = [name for name in free if _plain(name) in _LABELS and _may_be_label(table, name, purpose)]
    for wanted in ("label", "labels", "target", "y"):
        exact = [name for name in found if _plain(name) == wanted]
        if len(exact) == 1:
            return exact[0]
    if len(found) > 1:
        cure = f"Say which one it is: --label {found[0]}"
        raise UsageError(
            say(table.path, "several columns may be the label", expected="one", got=listed(found), cure=cure)
        )
    if found:
        return found[0]
    if said.features:  # all else is known, so the one that is left is it
        left = [name for name in free if _stem(name) not in _IDS and _plain(name) not in _TIMES]
        return left[0] if len(left) == 1 else None
    texts = [
        name for name in free if table.kinds[name] == "texts" and _stem(name) not in _IDS and _plain(name) not in _TIMES
    ]
    others = [name for name in free if name not in texts and _stem(name) not in _IDS]
    titled = [name for name in free if _plain(name) in _TEXTS]
    if len(free) == 2 and len(titled) == 1:
        return next(name for name in free if name not in titled)
    if purpose == "classify" and len(texts) == 1 and others and not titled:
        # What differs in every row is a name, not a class.
        return texts[0] if len(set(table.cells[texts[0]])) < len(table) else None
    return None


def _may_be_label(table: Table, name: str, purpose: Purpose) -> bool:
    """Tell whether a column of that name may be one: y may be a direction in space, and fractions are no classes."""
    if _plain(name) == "y" and any(_plain(other) == "z" for other in table.names):
        return False
    cells = [cell for cell in table.cells[name][:_ENOUGH] if not is_missing(cell)]
    return purpose == "regress" or not any(is_number(cell) and not float(cell).is_integer() for cell in cells)


def _features(table: Table, free: list[str], lists: bool) -> list[str]:
    """Give what is left; of lists and texts only those, where a name says that they are the sequence."""
    if lists:
        found = [name for name in free if table.kinds[name] == "lists"]
        named = [name for name in found if _plain(name) in _SEQUENCES]
        return named if len(named) == 1 else found
    titled = [name for name in free if _plain(name) in _TEXTS and table.kinds[name] == "texts"]
    return titled if len(titled) == 1 else free
