"""Text files as strings, without guessing: strict decoding, nothing changed but a byte order mark."""

from __future__ import annotations

import codecs
import errno
import io
import itertools
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

from elman.errors import DataError, UsageError, say

__all__ = ["SUFFIXES", "Found", "decode_text", "find_files", "read_text", "text_chunks"]

SUFFIXES = (".txt",)
"""The ends of names of files that are taken from a folder."""

# What is wrong with a name; anything else is wrong with the disk.
_MISTAKES = frozenset(
    {errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP}
)
_ERRORS = ("strict", "replace", "ignore")

# Bytes decoded at once: what they become, and the ids of that, still lie in the second-level cache when they are used.
# 64 KiB to 256 KiB were equally fast, 4 MiB took twice as long for Chinese.
CHUNK = 2**17


class Found(NamedTuple):
    """Files that were named, and those of the folders that were named.

    Attributes:
        taken: to be read, in this order.
        left: files of the folders whose suffix is another.
    """

    taken: tuple[str, ...]
    left: tuple[str, ...]


def find_files(paths: Iterable[str | os.PathLike[str]], *, suffixes: Sequence[str] = SUFFIXES) -> Found:
    """Replace folders by the files in them; all that are named themselves are taken as they are.

    Args:
        paths: files and folders; "-" is standard input.
        suffixes: which files of a folder and of the folders in it are taken, in the order of their names; what begins
            with a dot is passed over.

    Raises:
        UsageError: if there are no paths, or a folder has no such files, cannot be read, or a suffix is no suffix.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("b.txt", "a.txt", "notes.md"):
        ...         _ = pathlib.Path(folder, name).write_text("text")
        ...     found = find_files([folder])
        >>> [[os.path.basename(name) for name in names] for names in found]
        [['a.txt', 'b.txt'], ['notes.md']]
    """
    for suffix in suffixes:
        if not isinstance(suffix, str) or not suffix.startswith(".") or len(suffix) < 2:
            raise UsageError(say("suffixes", "this is no suffix", expected="such as '.txt'", got=repr(suffix)))
    if isinstance(paths, str | os.PathLike) or not isinstance(paths, Iterable):
        one = f"Write [{os.fspath(paths)!r}]" if isinstance(paths, str | os.PathLike) else None
        raise UsageError(say("files", "they are no list", expected="a list of names", got=repr(paths), cure=one))
    taken: list[str] = []
    left: list[str] = []
    for index, path in enumerate(paths):
        if not isinstance(path, str | os.PathLike):
            raise UsageError(say("files", f"number {index} is no name", expected="a file or folder", got=repr(path)))
        name = os.fspath(path)
        if name == "-" or not os.path.isdir(name):
            taken.append(name)
            continue
        before, others = len(taken), len(left)
        for file in _walk(name):
            (taken if file.endswith(tuple(suffixes)) else left).append(file)
        if len(taken) == before:
            there = f"{len(left) - others:,} other files" if len(left) > others else "no files"
            cure = "Name the suffixes of its texts: --suffix .md, or suffixes=['.md']" if len(left) > others else None
            wrong = "the folder has no such files"
            raise UsageError(say(name, wrong, expected=" or ".join(suffixes), got=there, cure=cure))
    if not taken:
        raise UsageError(say("files", "there are none", expected="at least one file or folder"))
    return Found(tuple(taken), tuple(left))


def _walk(folder: str) -> Iterator[str]:
    """Give the files of a folder and of those in it, in the order of their names; links to folders are not followed."""

    def refuse(error: OSError) -> None:
        if error.errno in _MISTAKES:
            raise UsageError(say(str(error.filename), (error.strerror or str(error)).lower(), expected="a folder"))
        raise error

    for where, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        # A pipe would never end, and a device gives what it likes.
        files = (os.path.join(where, name) for name in sorted(names) if not name.startswith("."))
        yield from (file for file in files if os.path.isfile(file) or os.path.islink(file))


def read_text(path: str | os.PathLike[str], *, encoding: str = "utf-8", errors: str = "strict") -> str:
    r"""Read a whole text file; line ends stay as they are.

    Args:
        path: the file; "-" is standard input.
        encoding: its encoding, any that Python knows.
        errors: "strict", "replace" or "ignore", as for `bytes.decode`.

    Returns:
        The text. "\r\n" is not turned into "\n"; a byte order mark is dropped with a warning.

    Raises:
        UsageError: if there is no such file, or the encoding is unknown.
        DataError: if the bytes are not text in this encoding, naming the offset of the first bad one.
    """
    return "".join(text_chunks(path, encoding=encoding, errors=errors))


def text_chunks(
    path: str | os.PathLike[str],
    *,
    encoding: str = "utf-8",
    errors: str = "strict",
    n_bytes: int = CHUNK,
    notice: bool = True,
) -> Iterator[str]:
    """Read a text file piece by piece; together they are what `read_text` gives.

    Args:
        path: the file; "-" is standard input.
        encoding: its encoding.
        errors: as for `read_text`.
        n_bytes: how many bytes are decoded at once, at least 4; no character is cut.
        notice: whether to warn of a byte order mark.

    Raises:
        UsageError, DataError: as `read_text` does, where the fault is met.
    """
    if os.fspath(path) == "-":
        if sys.stdin is None:
            raise UsageError(say("standard input", "it is closed", cure="Pipe a text into it, or name a file"))
        chunks = iter(lambda: sys.stdin.buffer.read(n_bytes), b"")
        yield from _decoded(chunks, name="standard input", encoding=encoding, errors=errors, notice=notice)
        return
    try:
        file = open(path, "rb")  # noqa: SIM115 - opening may fail in ways that reading does not
    except OSError as error:
        raise _not_read(path, error) from None
    with file:
        blocks = _blocks(file, path, n_bytes)
        yield from _decoded(blocks, name=str(path), encoding=encoding, errors=errors, notice=notice)


def _blocks(file: BinaryIO, path: str | os.PathLike[str], n_bytes: int) -> Iterator[bytes]:
    """Give the bytes of a file."""
    buffer = bytearray()
    while True:
        try:
            block = file.read(n_bytes - len(buffer))
        except OSError as error:
            raise _not_read(path, error) from None
        buffer += block or b""
        if len(buffer) == n_bytes or not block:  # a pipe may give less than it was asked for
            if not buffer:
                return
            yield bytes(buffer)
            buffer.clear()


def _not_read(path: str | os.PathLike[str], error: OSError) -> OSError | UsageError:
    """Say what is wrong with a name, or hand on what is wrong with a disk."""
    if error.errno in _MISTAKES:
        return UsageError(say(str(path), (error.strerror or str(error)).lower(), expected="a text file"))
    error.filename = os.fspath(path)  # reading, unlike opening, does not say what
    return error


def decode_text(content: bytes, *, name: str, encoding: str = "utf-8", errors: str = "strict") -> str:
    """Decode bytes as `read_text` does; `name` says in messages where they came from."""
    return "".join(_decoded([content], name=name, encoding=encoding, errors=errors))


def _decoded(blocks: Iterable[bytes], *, name: str, encoding: str, errors: str, notice: bool = True) -> Iterator[str]:
    """Decode bytes that come in blocks, of which the first has at least 4 unless it is all there is."""
    if errors not in _ERRORS:
        raise UsageError(say(name, "errors is not accepted", expected=f"one of {', '.join(_ERRORS)}", got=repr(errors)))
    decoder: codecs.IncrementalDecoder | None = None
    head, fed, begun = b"", 0, False
    for block in itertools.chain(blocks, [b""]):  # the empty one is the end
        if decoder is None:
            head = block[:4]
            decoder = _decoder(encoding, errors, head, name)
        fed += len(block)
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            # What was kept back of the block before is part of what this error counts in.
            raise _not_text(error, fed - len(error.object) + error.start, head, name) from None
        except UnicodeError as error:
            cure = "Name its encoding with --encoding"
            raise DataError(say(name, f"it is not {encoding} ({error})", cure=cure)) from None
        if text and not begun:
            begun = True
            if text[0] == "\ufeff":
                if notice:
                    warnings.warn(f"{name}: the byte order mark at its beginning was dropped", stacklevel=3)
                text = text[1:]
        if text:
            yield text


def _decoder(encoding: str, errors: str, head: bytes, name: str) -> codecs.IncrementalDecoder:
    """Give what decodes blocks of this encoding.

    Args:
        encoding: as the user named it.
        errors: what to do about bad bytes.
        head: the first 4 bytes.
        name: of the text, for messages.
    """
    try:
        io.TextIOWrapper(io.BytesIO(), encoding)  # refuses what turns no bytes into text, such as rot13
        codec = codecs.lookup(encoding)
        marked = head[:2] in _MARKS if codec.name == "utf-16" else head in _MARKS
        if codec.name in ("utf-16", "utf-32") and not marked:
            # Without a mark the machine's own order is meant: bytes.decode has it so, the incremental decoder refuses.
            codec = codecs.lookup(f"{codec.name}-{sys.byteorder[0]}e")
        return codecs.getincrementaldecoder(codec.name)(errors)
    except LookupError:
        cure = "Try utf-8, utf-16, latin-1 or gb18030"
        raise UsageError(say(name, f"unknown encoding {encoding!r}", cure=cure)) from None


_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


def _not_text(error: UnicodeDecodeError, offset: int, head: bytes, name: str) -> DataError:
    """Say which byte is bad, and what the text may be instead."""
    cure = (
        "It begins like UTF-16: add --encoding utf-16"
        if head[:2] in _MARKS
        else "Name its encoding with --encoding (latin-1, gb18030, utf-16 …) or drop bad bytes with --errors ignore"
    )
    bad = error.object[error.start]
    wrong = f"byte 0x{bad:02x} at offset {offset} is not {error.encoding.upper()} ({error.reason})"
    return DataError(say(name, wrong, cure=cure))
