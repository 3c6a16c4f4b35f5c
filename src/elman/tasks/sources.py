"""Where texts come from: files, tables, pipes and strings, each of which can be gone through again, piece by piece."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.errors import UsageError, say
from elman.tasks import tables
from elman.tasks.text_files import CHUNK, SUFFIXES, read_text, text_chunks

__all__ = ["SLICE", "Source", "opened", "sliced", "suffixes_of"]

# Characters of a text at hand that are encoded at once.
SLICE = 2**20

_NO_ENDS = np.zeros(0, np.int64)


class Source(NamedTuple):
    """A file, or texts at hand, that can be gone through as often as one likes.

    Attributes:
        name: for messages.
        n_pieces: about how many there are, for the display of progress.
        pieces: gives texts, and at which places of each documents end; told whether to give notice of what it finds.
    """

    name: str
    n_pieces: int
    pieces: Callable[[bool], Iterable[tuple[str, NDArray[np.int64]]]]


def suffixes_of(column: str | None) -> Sequence[str]:
    """Say which files of a folder are taken where nobody says it: texts, or tables that have a column.

    Args:
        column: of texts, or None.
    """
    return SUFFIXES if column is None else tables.SUFFIXES


def opened(path: str, column: str | None, encoding: str, errors: str) -> Source:
    """Give a file as a source; what can be read only once, such as a pipe, is read now.

    Args:
        path: a text file, a table, or "-" for standard input.
        column: of texts in a table; None takes texts only.
        encoding: of a text file.
        errors: what to do with bytes that are not text.
    """
    if tables.is_table(path):
        if column is None:
            cure = "Name the column of its texts: --column NAME, or column='NAME'"
            raise UsageError(say(path, "this is a table, not a text", cure=cure))
        return Source(path, tables.count_pieces(path, column), lambda _: tables.text_pieces(path, column))
    if column is not None and os.path.isfile(path):
        cure = "Leave the column out to read it as text"
        wrong = f"this is neither a Parquet nor an Arrow file, so it has no column {column!r}"
        raise UsageError(say(path, wrong, cure=cure))
    if path == "-" or (os.path.exists(path) and not os.path.isfile(path)):
        text = read_text(path, encoding=encoding, errors=errors)
        return Source(path, 1, lambda _: sliced([text]))

    def pieces(notice: bool) -> Iterator[tuple[str, NDArray[np.int64]]]:
        for chunk in text_chunks(path, encoding=encoding, errors=errors, notice=notice):
            yield chunk, _NO_ENDS
        yield "", np.zeros(1, np.int64)

    size = os.path.getsize(path) if os.path.isfile(path) else 0
    return Source(path, size // CHUNK + 1, pieces)


def sliced(texts: Iterable[str]) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Give texts at hand in pieces, and where each ends.

    Args:
        texts: each a document.
    """
    for text in texts:
        for start in range(0, len(text), SLICE):
            yield text[start : start + SLICE], _NO_ENDS
        yield "", np.zeros(1, np.int64)
