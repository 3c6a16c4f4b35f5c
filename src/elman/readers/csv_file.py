"""CSV, in long form or in wide form: separated by commas, semicolons, tabs or bars."""

from __future__ import annotations

import csv
import io

from elman.errors import DataError, say
from elman.readers.numbers import is_number
from elman.readers.roles import Table
from elman.readers.words import listed
from elman.training.progress import Verbose, watch

__all__ = ["read_csv"]

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def read_csv(path: str, text: str, *, verbose: Verbose = 0) -> Table:
    """Read a table of comma-separated values, RFC 4180 with any of four separators.

    A first row of numbers is data: the columns are called 1, 2, … then. A first column without a name that counts the
    rows, as pandas writes it, is left out.

    Args:
        path: of the file, for messages.
        text: what is in it.
        verbose: 0 silent; else what takes long shows how far it is.

    Raises:
        DataError: naming the line that is malformed.
    """
    first = text.lstrip("\r\n").split("\n", 1)[0]
    separator = max(_SEPARATORS, key=lambda mark: (first.count(mark), mark == ","))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    limit = csv.field_size_limit(max(len(text), 2**17))  # a text may be longer than what csv takes by itself
    rows: list[list[str]] = []
    lines: list[int] = []
    begins = 1
    try:
        for row in watch(reader, total=text.count("\n") + 1, what=f"reading {path}", verbose=verbose):
            if row and (rows or any(cell.strip() for cell in row)):
                rows.append(row)
                lines.append(begins)
            begins = reader.line_num + 1
    except csv.Error as error:
        cure = "Close every quote, and write one that belongs to a text twice"
        raise DataError(say(f"{path}, line {begins:,}", f"the row cannot be read ({error})", cure=cure)) from None
    finally:
        csv.field_size_limit(limit)
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(rows[0]):
            where, named = f"{path}, line {line:,}", _SEPARATORS[separator]
            expected = f"{len(rows[0])} as in the first row, separated by {named}"
            quote = 'Put texts that hold the separator into quotes: "like, this"' if len(row) > len(rows[0]) else None
            raise DataError(say(where, f"the row has {len(row)} cells", expected=expected, cure=quote))
    notes = () if separator == "," else (f"separated by {_SEPARATORS[separator]}",)
    names = [name.strip() for name in rows[0]]
    if all(is_number(name) for name in names if name) and any(names):
        names, notes = [str(index + 1) for index in range(len(names))], (*notes, "without a header")
    else:
        del rows[0], lines[0]
    columns = dict(enumerate(zip(*rows, strict=True))) if rows else dict.fromkeys(range(len(names)), ())
    if not names[0] and list(columns[0]) == [str(index) for index in range(len(rows))]:
        notes = (*notes, "the first column, which counts the rows, is left out")
        del names[0], columns[0]
    _check_names(path, names)
    return Table(path, "CSV", names, dict(zip(names, columns.values(), strict=True)), lines, notes=notes)


def _check_names(path: str, names: list[str]) -> None:
    where = f"{path}, line 1"
    if "" in names:
        wrong = f"column {names.index('') + 1} of the header has no name"
        raise DataError(say(where, wrong, expected="a name for each", cure="Write one into the header"))
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        wrong = f"columns of one name: {listed(twice)}"
        raise DataError(say(where, wrong, expected="a name of its own for each", cure="Rename them in the header"))
