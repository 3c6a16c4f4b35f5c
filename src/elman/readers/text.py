"""Files of text, compressed or not, with the line of whatever is wrong with them."""

from __future__ import annotations

import gzip
import os
import zlib

from elman.errors import DataError, UsageError, say
from elman.tasks.text_files import decode_text, read_text

__all__ = ["read_lines", "read_whole"]

_GZIP = b"\x1f\x8b"


def read_whole(path: str, *, encoding: str, errors: str) -> str:
    """Read a text file, unpacked if it is one of gzip.

    Args:
        path: the file; "-" is standard input.
        encoding: its encoding.
        errors: "strict", "replace" or "ignore".

    Raises:
        UsageError: if there is no such file, or the encoding is unknown.
        DataError: if it is empty or no text, naming the line, or a broken archive.
    """
    if path == "-" or not os.path.isfile(path):
        text = read_text(path, encoding=encoding, errors=errors)  # says what is wrong with the name
    else:
        content = _content(path)
        try:
            text = decode_text(content, name=path, encoding=encoding, errors=errors)
        except DataError:
            line = _line_of_fault(content, encoding)
            text = decode_text(content, name=f"{path}, line {line:,}", encoding=encoding, errors=errors)
    if not text.strip():
        name = "standard input" if path == "-" else path
        raise DataError(say(name, "it is empty", expected="at least one sequence"))
    return text


def read_lines(path: str, *, encoding: str, errors: str) -> list[str]:
    """Read the lines of a text file, without their ends; see `read_whole`.

    Args:
        path: the file.
        encoding: its encoding.
        errors: "strict", "replace" or "ignore".
    """
    # Not splitlines: it takes U+2028 and other characters of a text for ends of lines.
    lines = read_whole(path, encoding=encoding, errors=errors).replace("\r\n", "\n").split("\n")
    return lines[:-1] if not lines[-1] else lines


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except PermissionError as error:
        raise UsageError(say(path, (error.strerror or str(error)).lower(), expected="a file to read")) from None
    if not content.startswith(_GZIP):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        cure = "It may have been cut short: fetch it again, or look at it with gzip -t"
        raise DataError(say(path, f"the archive cannot be unpacked ({error})", cure=cure)) from None


def _line_of_fault(content: bytes, encoding: str) -> int:
    """Say in which line the first bad byte lies; of encodings with more bytes a character, as far as one can see."""
    try:
        content.decode(encoding)
    except UnicodeDecodeError as error:
        return content.count(b"\n", 0, error.start) + 1
    except UnicodeError:
        pass
    return 1
