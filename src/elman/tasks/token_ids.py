"""The ids of texts: encoded piece by piece, and put together in memory or on disk."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, ElmanError, ResourceError, say
from elman.tasks.sources import Source
from elman.tasks.units import Units, segments
from elman.tasks.vocabulary import Vocabulary

__all__ = ["encoded", "in_memory", "on_disk"]


def encoded(
    sources: Iterable[Source], sizes: Iterable[int], vocabulary: Units, starts: list[NDArray[np.int64]]
) -> Iterator[NDArray[Any]]:
    """Give the ids, take down where documents end, and make sure that no source has changed.

    Args:
        sources: of the texts.
        sizes: how many characters each has.
        vocabulary: of the ids.
        starts: places of ids at which documents begin are put to its end.
    """
    n_ids = 0
    for source, size in zip(sources, sizes, strict=False):  # behind the last source nothing follows
        pieces = _unchanged(source, size)
        if isinstance(vocabulary, Vocabulary):  # as many ids as characters, so documents need not be cut apart
            for text, ends in pieces:
                starts.append(n_ids + ends)
                n_ids += len(text)
                yield vocabulary.encode(text, dtype=vocabulary.dtype)
            continue
        for text, is_end in segments(pieces, vocabulary):
            ids = vocabulary.encode(text, dtype=vocabulary.dtype)
            n_ids += len(ids)
            yield ids
            if is_end:
                starts.append(np.array([n_ids]))


def _unchanged(source: Source, size: int) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Give the pieces of a source, and make sure that there are as many characters as there were."""
    left = size
    for text, ends in source.pieces(False):
        left -= len(text)
        if left < 0:
            break
        yield text, ends
    if left:
        cure = "Copy it first, or wait until it is written"
        raise DataError(say(source.name, "it changed while it was read", cure=cure))


def in_memory(parts: Iterable[NDArray[Any]], n_ids: int | None, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Put ids together.

    Args:
        parts: pieces of them.
        n_ids: how many there will be, if that is known: then there is only one copy.
        dtype: of the ids.
    """
    if n_ids is None:
        ids = np.concatenate([np.zeros(0, dtype), *parts])
    else:
        ids = np.empty(n_ids, dtype)
        start = 0
        for part in parts:
            ids[start : start + len(part)] = part
            start += len(part)
    ids.flags.writeable = False
    return ids


def on_disk(parts: Iterable[NDArray[Any]], n_ids: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Write ids to a file without a name, and map it.

    It is written like any file: what is stored through a map on a full disk would end the process by SIGBUS.
    """
    need, folder = n_ids * dtype.itemsize, "the temporary folder"
    try:
        folder = tempfile.gettempdir()
        _warn_of_another(folder)
        with tempfile.TemporaryFile(prefix="elman-") as file:
            free = shutil.disk_usage(folder).free
            if free < need:
                raise OSError(errno.ENOSPC, f"{free / 1e9:.2f} GB are free")
            written = sum(file.write(part.data) for part in parts)
            file.flush()
            if not written:
                return np.zeros(0, dtype)
            return np.memmap(file, dtype, "r", shape=(written // dtype.itemsize,)).view(np.ndarray)
    except OSError as error:
        if isinstance(error, ElmanError):
            raise
        wrong = f"no room for {need / 1e9:.2f} GB of ids in {folder} ({error.strerror or error})"
        cure = "Set TMPDIR to a folder that has it; nothing was left behind"
        raise ResourceError(say("Corpus", wrong, cure=cure)) from None


def _warn_of_another(folder: str) -> None:
    """Say that TMPDIR names no folder that can be written: Python silently takes another one then."""
    asked = os.environ.get("TMPDIR")
    if asked and not (os.path.isdir(asked) and os.access(asked, os.W_OK)):
        wrong = f"TMPDIR is {asked!r}, where nothing can be written, so the ids lie in {folder}"
        warnings.warn(say("Corpus", wrong, cure="Set TMPDIR to a folder that is there"), UserWarning, stacklevel=2)
