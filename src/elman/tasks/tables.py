"""Parquet and Arrow files, read batch by batch with pyarrow, which is imported only here.

The kind of a file is told by its first bytes, not by its name. No more of it is in memory than one batch of rows.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from elman.errors import DataError, DataTypeError, UsageError, say
from elman.ragged import Ragged

__all__ = ["SUFFIXES", "count_pieces", "is_table", "read_cells", "read_sequences", "text_pieces"]

SUFFIXES = (".parquet", ".arrow", ".feather")
"""The ends of names of files that are taken from a folder where a column is asked for."""

# Rows of texts at once: where they are pages of 10,000 characters, 10 MB.
_TEXTS = 1024
_ROWS = 65_536

_FILL = "Leave such rows out, or fill them, before the table is written"


def is_table(path: str | os.PathLike[str]) -> bool:
    """Tell by its first bytes whether a file is Parquet or Arrow; no if it cannot be read, or only once, as a pipe."""
    if not os.path.isfile(path):
        return False
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read(6).startswith((b"PAR1", b"ARROW1"))
    return False


def count_pieces(path: str | os.PathLike[str], column: str) -> int:
    """Say how many pieces `text_pieces` will give, about."""
    with _Table(path, [column]) as table:
        return table.n_rows // _TEXTS + 1


def text_pieces(path: str | os.PathLike[str], column: str) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Read a column of texts batch by batch.

    Args:
        path: a Parquet or Arrow file.
        column: of strings.

    Returns:
        An iterator over the texts of a batch, joined, and at which characters (rows,) of it each ends.

    Raises:
        UsageError: if there is no such file or column, or pyarrow is missing.
        DataError: if it is no such file, or a text is missing or no UTF-8.
        DataTypeError: if the column holds no strings.
    """
    arrow = _pyarrow(path)
    row = 0
    with _Table(path, [column]) as table:
        kind = table.schema.field(column).type
        texts = kind.value_type if arrow.types.is_dictionary(kind) else kind
        if not any(is_kind(texts) for is_kind in (arrow.types.is_string, arrow.types.is_large_string)):
            wrong = f"the column {column!r} holds no texts"
            raise DataTypeError(say(str(path), wrong, expected="strings", got=str(kind)))
        for batch in table.batches(_TEXTS):
            array = batch.column(column)
            _refuse_missing(array, path, column, row)
            array = array.cast(arrow.large_string())
            _, ends, content = array.buffers()
            places = np.frombuffer(ends, np.int64)[array.offset : array.offset + len(array) + 1]
            raw = memoryview(content)[int(places[0]) : int(places[-1])] if content is not None else b""
            try:
                text = str(raw, "utf-8")
            except UnicodeDecodeError as error:
                bad = int(np.searchsorted(places - places[0], error.start, side="right")) - 1
                wrong = f"the text in row {row + bad} of column {column!r} is not UTF-8 ({error.reason})"
                raise DataError(say(str(path), wrong)) from None
            yield text, np.cumsum(arrow.compute.utf8_length(array).to_numpy(zero_copy_only=False), dtype=np.int64)
            row += len(array)


def read_sequences(
    path: str | os.PathLike[str],
    columns: Sequence[str],
    *,
    by: str | None = None,
    dtype: DTypeLike = "float32",
) -> tuple[Ragged, list[Any]]:
    """Read a table of one row per step as sequences of numbers.

    The table is gone through in batches of rows, so that what is in memory is the numbers asked for and little else.

    Args:
        path: a Parquet or Arrow file.
        columns: of numbers, the features in this order; targets can be among them, and cut off afterwards.
        by: the column that says which sequence a row belongs to; the rows of a sequence must follow each other, in the
            order of time. None takes the table for one sequence.
        dtype: float32 or float64.

    Returns:
        The sequences, values (N, len(columns)), and the value of `by` for each of them.

    Raises:
        UsageError: if there is no such file or column, dtype is another, or pyarrow is missing: pip install
            'elman[arrow]'.
        DataError: if it is no such file, a value is missing or too large, or the rows of a sequence are apart.
        DataTypeError: if a column holds no numbers.

    Example:
        >>> import tempfile
        >>> import pyarrow.feather
        >>> table = pyarrow.table({"day": ["Mon", "Mon", "Tue"], "wind": [3.0, 4.5, 2.0], "rain": [0, 0, 7]})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pyarrow.feather.write_feather(table, f"{folder}/days.arrow")
        ...     read_sequences(f"{folder}/days.arrow", ["wind", "rain"], by="day")
        (Ragged(2 sequences, 3 steps, 2 features, float32), ['Mon', 'Tue'])
    """
    if isinstance(columns, str) or not columns:
        cure = f"Write columns=[{columns!r}]" if columns else None
        expected, got = "a list of at least one name", repr(columns)
        raise UsageError(say("read_sequences", "columns is no list of names", expected=expected, got=got, cure=cure))
    kind = np.dtype(dtype)
    if kind not in (np.float32, np.float64):
        raise UsageError(say("read_sequences", "dtype is not accepted", expected="float32 or float64", got=kind))
    _pyarrow(path)
    names: list[Any] = []
    starts: list[int] = []
    row = 0
    with _Table(path, [*columns, *([] if by is None else [by])]) as table:
        values = np.empty((table.n_rows, len(columns)), kind)
        for batch in table.batches(_ROWS):
            for place, column in enumerate(columns):
                values[row : row + len(batch), place] = _numbers(batch.column(column), path, column, row, values.dtype)
            if by is not None:
                _refuse_missing(batch.column(by), path, by, row)
                keys = batch.column(by).to_numpy(zero_copy_only=False)
                if keys.dtype.kind == "f" and np.isnan(keys).any():
                    wrong = (
                        f"row {row + int(np.argmax(np.isnan(keys)))} of column {by!r} is NaN, which names no sequence"
                    )
                    raise DataError(say(str(path), wrong, cure=_FILL))
                changes = np.flatnonzero(keys[1:] != keys[:-1]) + 1
                if len(keys) and not (names and names[-1] == keys[0]):
                    changes = np.append(0, changes)
                starts += (row + changes).tolist()
                found = keys[changes]
                # Of nanoseconds Python's own objects would be integers.
                names += list(found) if found.dtype in ("M8[ns]", "m8[ns]") else found.tolist()
            row += len(batch)
    if by is None:
        return Ragged(values, [len(values)]), [None]
    if len(set(names)) < len(names):
        seen: set[Any] = set()
        name = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        wrong = f"the rows of sequence {name!r} do not follow each other in column {by!r}"
        raise DataError(say(str(path), wrong, cure=f"Sort the table by {by!r} and time, and write it again"))
    return Ragged(values, np.diff(np.append(starts, row).astype(np.int64))), names


def read_cells(path: str | os.PathLike[str]) -> dict[str, list[Any]]:
    """Read a whole table as Python's values.

    Args:
        path: a Parquet or Arrow file.

    Returns:
        Column -> cells, (n,) each: numbers, strings, dates, lists; None where one is missing.

    Raises:
        UsageError: if there is no such file, or pyarrow is missing: pip install 'elman[arrow]'.
        DataError: if it is no such file.
    """
    cells: dict[str, list[Any]] = {}
    with _Table(path, []) as table:
        table.columns = list(table.schema.names)
        cells = {name: [] for name in table.columns}
        for batch in table.batches(_ROWS):
            for name in cells:
                cells[name] += batch.column(name).to_pylist()
    return cells


def _numbers(array: Any, path: str | os.PathLike[str], column: str, row: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Give a column of a batch as numbers, none of which is missing."""
    _refuse_missing(array, path, column, row)
    numbers = array.to_numpy(zero_copy_only=False)
    if numbers.dtype.kind not in "fiub":
        wrong = f"the column {column!r} holds no numbers"
        raise DataTypeError(say(str(path), wrong, expected="integers or floating-point numbers", got=str(array.type)))
    with np.errstate(over="ignore"):
        converted: NDArray[Any] = numbers.astype(dtype)
    lost = np.isinf(converted) & np.isfinite(numbers)
    if lost.any():
        place = int(np.argmax(lost))
        wrong = f"a number of column {column!r} is too large for {dtype}"
        raise DataError(
            say(str(path), wrong, got=f"{numbers[place]} in row {row + place}", cure="Take dtype='float64'")
        )
    return converted


def _refuse_missing(array: Any, path: str | os.PathLike[str], column: str, row: int) -> None:
    if array.null_count:
        place = row + int(np.argmax(array.is_null().to_numpy(zero_copy_only=False)))
        raise DataError(say(str(path), f"row {place} of column {column!r} is missing (null)", cure=_FILL))


class _Table:
    """An open file of rows.

    Args:
        path: a Parquet or Arrow file.
        columns: those to be read.
    """

    def __init__(self, path: str | os.PathLike[str], columns: Sequence[str]) -> None:
        self.path, self.columns = path, list(dict.fromkeys(columns))

    def __enter__(self) -> _Table:
        arrow = _pyarrow(self.path)
        if os.path.isdir(self.path) or not os.path.exists(self.path):
            wrong = "it is a folder" if os.path.isdir(self.path) else "no such file or directory"
            raise UsageError(say(str(self.path), wrong, expected="a Parquet or Arrow file"))
        if not is_table(self.path):
            wrong = "this is neither a Parquet nor an Arrow file"
            raise DataError(say(str(self.path), wrong, expected="a file that begins with PAR1 or ARROW1"))
        with open(self.path, "rb") as file:
            parquet = file.read(4) == b"PAR1"
        with self._told():
            # Mapped, Arrow's rows are not copied at all.
            self._source: Any = arrow.memory_map(os.fspath(self.path)) if not parquet else None
            self._file: Any = arrow.parquet.ParquetFile(self.path) if parquet else arrow.ipc.open_file(self._source)
            self.schema: Any = self._file.schema_arrow if parquet else self._file.schema
        unknown = [name for name in self.columns if self.schema.get_field_index(name) < 0]
        if unknown:
            self.__exit__()
            expected = "one of " + ", ".join(map(repr, self.schema.names))
            raise UsageError(say(str(self.path), f"there is no column {unknown[0]!r}", expected=expected))
        return self

    def __exit__(self, *_: object) -> None:
        for opened in (self._file, self._source):
            if hasattr(opened, "close"):
                opened.close()

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        if self._source is None:
            return int(self._file.metadata.num_rows)
        return sum(self._file.get_batch(index).num_rows for index in range(self._file.num_record_batches))

    def batches(self, n_rows: int) -> Iterator[Any]:
        """Give the rows, at most so many at once."""
        with self._told():
            if self._source is None:
                yield from self._file.iter_batches(n_rows, columns=self.columns, use_threads=False)
                return
            for index in range(self._file.num_record_batches):
                batch = self._file.get_batch(index).select(self.columns)
                for start in range(0, batch.num_rows, n_rows):
                    yield batch.slice(start, n_rows)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what pyarrow says of a broken file into our words."""
        try:
            yield
        except (_pyarrow(self.path).ArrowException, OSError) as error:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(say(str(self.path), f"the table cannot be read ({first})")) from None


def _pyarrow(path: str | os.PathLike[str]) -> Any:
    """Import pyarrow, or say how to get it."""
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError:
        cure = "Install it: pip install 'elman[arrow]'"
        raise UsageError(say(str(path), "tables need pyarrow, which is not installed", cure=cure)) from None
    return pyarrow
