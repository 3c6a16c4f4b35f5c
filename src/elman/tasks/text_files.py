"""Text files as strings, without guessing: strict decoding, nothing changed but a byte order mark."""

from __future__ import annotations

import errno
import os
import sys
import warnings

from elman.errors import DataError, UsageError, say

__all__ = ["decode_text", "read_text"]

# What is wrong with a name; anything else is wrong with the disk.
_MISTAKES = frozenset(
    {errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP}
)
_ERRORS = ("strict", "replace", "ignore")


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
    if os.fspath(path) == "-":
        if sys.stdin is None:
            raise UsageError(say("standard input", "it is closed", cure="Pipe a text into it, or name a file"))
        return decode_text(sys.stdin.buffer.read(), name="standard input", encoding=encoding, errors=errors)
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        if error.errno in _MISTAKES:
            raise UsageError(say(str(path), (error.strerror or str(error)).lower(), expected="a text file")) from None
        error.filename = os.fspath(path)  # reading, unlike opening, does not say what
        raise
    return decode_text(content, name=str(path), encoding=encoding, errors=errors)


def decode_text(content: bytes, *, name: str, encoding: str = "utf-8", errors: str = "strict") -> str:
    """Decode bytes as `read_text` does; `name` says in messages where they came from."""
    if errors not in _ERRORS:
        raise UsageError(say(name, "errors is not accepted", expected=f"one of {', '.join(_ERRORS)}", got=repr(errors)))
    try:
        text = content.decode(encoding, errors)
    except LookupError:
        raise UsageError(
            say(name, f"unknown encoding {encoding!r}", cure="Try utf-8, utf-16, latin-1 or gb18030")
        ) from None
    except UnicodeDecodeError as error:
        bad = content[error.start]
        cure = (
            "It begins like UTF-16: add --encoding utf-16"
            if content[:2] in (b"\xff\xfe", b"\xfe\xff")
            else "Name its encoding with --encoding (latin-1, gb18030, utf-16 …) or drop bad bytes with --errors ignore"
        )
        wrong = f"byte 0x{bad:02x} at offset {error.start} is not {error.encoding.upper()} ({error.reason})"
        raise DataError(say(name, wrong, cure=cure)) from None
    except UnicodeError as error:
        raise DataError(
            say(name, f"it is not {encoding} ({error})", cure="Name its encoding with --encoding")
        ) from None
    if text.startswith("\ufeff"):
        warnings.warn(f"{name}: the byte order mark at its beginning was dropped", stacklevel=3)
        text = text[1:]
    return text
