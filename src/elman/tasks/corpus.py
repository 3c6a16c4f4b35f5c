"""Texts as one long array of token ids: read and encoded piece by piece, in memory or mapped from disk."""

from __future__ import annotations

import collections
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, DataTypeError, UsageError, say
from elman.model.memory import machine_bytes
from elman.tasks.known_units import UnitsLike, as_units
from elman.tasks.sources import SLICE, Source, opened, sliced, suffixes_of
from elman.tasks.text_files import find_files
from elman.tasks.token_ids import encoded, in_memory, on_disk
from elman.tasks.units import Units, segments
from elman.tasks.vocabulary import Vocabulary
from elman.training import progress

__all__ = ["Corpus", "MemoryMap", "Texts", "as_corpus"]

MemoryMap = bool | Literal["auto"]
Text = str | os.PathLike[str]
Texts = Text | Sequence[Text] | NDArray[Any]

# Ids that would take more than this share of the machine's memory lie on disk: with them in memory a text must fit
# beside the weights, the gradients and everything else that runs.
_SHARE = 1 / 8

# Files that a sentence names.
_NAMED = 8


class Corpus:
    """Texts as token ids, one after the other, with their vocabulary and their borders.

    Texts are read piece by piece, once for the vocabulary and once for the ids, which take 1 byte each for up to 255
    different characters, 2 for up to 65,535. Ids stand for characters, bytes, words or tokens, as `units` says. A
    corpus that is mapped lies in a temporary file (in the folder that the environment variable TMPDIR names, or the
    system's own), which has no name and vanishes with the corpus, or with the process, however that ends.

    Attributes:
        ids: (N,) uint8, uint16 or uint32, read-only.
        vocabulary: of these ids.
        starts: (D + 1,) int64; document d, a file, a row of a table or a text of a list, is
            `ids[starts[d]:starts[d + 1]]`. A document may be empty.
        files: that were read, in this order.
        left: files in the folders named, with other suffixes, that were not read.
        mapped: whether the ids lie on disk.
        n_characters: of all texts.

    Example:
        >>> corpus = Corpus.from_texts(["to be, ", "or not"])
        >>> corpus
        Corpus(13 characters, 2 documents, uint8)
        >>> corpus.starts.tolist(), corpus.vocabulary.decode(corpus.ids[7:])
        ([0, 7, 13], 'or not')
    """

    def __init__(
        self,
        ids: NDArray[Any],
        vocabulary: Units,
        *,
        starts: NDArray[np.int64],
        files: Sequence[str] = (),
        left: Sequence[str] = (),
        mapped: bool = False,
        n_characters: int | None = None,
    ) -> None:
        self.n_characters = len(ids) if n_characters is None else n_characters
        self.ids, self.vocabulary, self.starts = ids, vocabulary, starts
        self.files, self.left, self.mapped = tuple(files), tuple(left), mapped

    @classmethod
    def from_texts(
        cls,
        texts: str | Iterable[str],
        *,
        units: UnitsLike = "characters",
        vocabulary: Units | None = None,
        memory_map: MemoryMap = "auto",
        verbose: str | int = 0,
    ) -> Corpus:
        """Encode texts that are at hand.

        Args:
            texts: a text, or several, each a document.
            units: what a text is cut into: "characters", "bytes", "words", or the path of a tokenizer's JSON file.
            vocabulary: of the ids; that of these texts if None. What it does not have becomes `<unk>`.
            memory_map: whether the ids lie on disk; "auto": where they would take an eighth of the machine's memory.
            verbose: 0 is silent; else what takes long shows progress.

        Raises:
            DataError: if a text holds lone surrogates.
            DataTypeError: if one is no text.
            ResourceError: if there is no room for the ids on disk.
            UsageError: if units are none of these.
        """
        known = as_units(units, where="Corpus") if vocabulary is None else vocabulary
        parts = [texts] if isinstance(texts, str) else list(texts)
        for part in parts:
            if not isinstance(part, str):
                raise _no_text(part)
        return cls._build([Source("text", len(parts), lambda _: sliced(parts))], known, memory_map, verbose)

    @classmethod
    def from_files(
        cls,
        paths: Text | Iterable[Text],
        *,
        suffixes: Sequence[str] | None = None,
        column: str | None = None,
        encoding: str = "utf-8",
        errors: str = "strict",
        units: UnitsLike = "characters",
        vocabulary: Units | None = None,
        memory_map: MemoryMap = "auto",
        verbose: str | int = 0,
    ) -> Corpus:
        """Read and encode files: texts, folders of texts, and columns of Parquet and Arrow tables.

        Args:
            paths: one or several; files are read in this order, those of a folder in the order of their names.
            suffixes: which files of a folder are taken; .txt if None, and with a column .parquet, .arrow and .feather.
            column: the column of texts in tables, every row a document; pip install 'elman[arrow]'.
            encoding: of text files.
            errors: what to do with bytes that are not text: "strict", "replace" or "ignore".
            units: what a text is cut into: "characters", "bytes", "words", or the path of a tokenizer's JSON file.
            vocabulary: of the ids; that of these texts if None. What it does not have becomes `<unk>`.
            memory_map: whether the ids lie on disk; "auto": where they would take an eighth of the machine's memory.
            verbose: 0 is silent; else what takes long shows progress.

        Raises:
            UsageError: if a file cannot be opened, a folder has no such files, or there is no such column.
            DataError: if a text is not in this encoding, or a file changes while it is read.
            ResourceError: if there is no room for the ids on disk.

        Example:
            >>> import pathlib, tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     for name in ("one.txt", "two.txt", "notes.md"):
            ...         _ = pathlib.Path(folder, name).write_text("床前明月光", encoding="utf-8")
            ...     corpus = Corpus.from_files(folder)
            >>> corpus, len(corpus.files), len(corpus.left)
            (Corpus(10 characters, 2 documents, uint8), 2, 1)
        """
        known = as_units(units, where="Corpus") if vocabulary is None else vocabulary
        named = [paths] if isinstance(paths, str | os.PathLike) else paths
        found = find_files(named, suffixes=suffixes or suffixes_of(column))
        sources = [opened(path, column, encoding, errors) for path in found.taken]
        corpus = cls._build(sources, known, memory_map, verbose)
        corpus.files, corpus.left = found
        return corpus

    @classmethod
    def _build(
        cls, sources: Sequence[Source], units: Units | type[Any], memory_map: MemoryMap, verbose: str | int
    ) -> Corpus:
        """Go through the sources once for vocabulary and sizes, and once for ids and borders."""
        if not (memory_map == "auto" or isinstance(memory_map, bool)):
            expected = "True, False or 'auto'"
            raise UsageError(say("Corpus", "memory_map is not accepted", expected=expected, got=repr(memory_map)))
        total, sizes = sum(source.n_pieces for source in sources), [0]

        def surveyed() -> Iterator[tuple[str, NDArray[np.int64]]]:
            for source in sources:
                for text, ends in source.pieces(True):
                    sizes[-1] += len(text)
                    yield text, ends
                sizes.append(0)

        pieces = progress.watch(surveyed(), total=total, what="reading", verbose=verbose)
        if isinstance(units, Units):
            vocabulary = units
            collections.deque(pieces, maxlen=0)
        elif units is Vocabulary:
            vocabulary = Vocabulary.from_texts(text for text, _ in pieces)
        else:
            vocabulary = units.from_texts(text for text, _ in segments(pieces, units(())))
        # As many as there are characters, or at most so many: three bytes are rarely more than a character.
        most = sum(sizes) * (3 if vocabulary.one == "byte" else 1)
        bytes_of_all = most * vocabulary.dtype.itemsize
        mapped = bytes_of_all > _SHARE * machine_bytes() if memory_map == "auto" else memory_map
        mapped = mapped and most > 0  # nothing cannot be mapped
        starts = [np.zeros(1, np.int64)]
        parts = progress.watch(
            encoded(sources, sizes, vocabulary, starts), total=total, what="encoding", verbose=verbose
        )
        if mapped:
            ids = on_disk(parts, most, vocabulary.dtype)
        else:
            ids = in_memory(parts, most if isinstance(vocabulary, Vocabulary) else None, vocabulary.dtype)
        return cls(ids, vocabulary, starts=np.concatenate(starts), mapped=mapped, n_characters=sum(sizes))

    def count(self, token: int, *, start: int = 0) -> int:
        """Count how often an id stands at or after a place, without a copy of the ids.

        Args:
            token: the id.
            start: the place.
        """
        places = range(start, len(self.ids), SLICE)
        return sum(int(np.count_nonzero(self.ids[place : place + SLICE] == token)) for place in places)

    def account(self) -> str:
        """Say in a sentence which files were read, and which were left.

        Example:
            >>> corpus = Corpus.from_texts("to be")
            >>> corpus.files, corpus.left = ("plays/hamlet.txt", "plays/lear.txt"), ("plays/notes.md",)
            >>> corpus.account()
            '2 files were read: plays/hamlet.txt, plays/lear.txt. 1 was left for its suffix: plays/notes.md.'
        """
        read = f"{len(self.files):,} {'file was' if len(self.files) == 1 else 'files were'} read: {_few(self.files)}."
        if not self.left:
            return read
        verb = "was left for its suffix" if len(self.left) == 1 else "were left for their suffixes"
        return f"{read} {len(self.left):,} {verb}: {_few(self.left)}."

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        n_documents = len(self.starts) - 1
        documents = "1 document" if n_documents == 1 else f"{n_documents:,} documents"
        where = ", mapped" if self.mapped else ""
        return f"Corpus({len(self.ids):,} {self.vocabulary.kind}, {documents}, {self.ids.dtype}{where})"


def as_corpus(
    given: Texts | Corpus,
    *,
    where: str,
    units: UnitsLike = "characters",
    vocabulary: Units | None = None,
    verbose: str | int = 0,
) -> Corpus:
    """Give the corpus that a user means.

    Args:
        given: a text, a path of a file or folder, a list of either, or a corpus.
        where: who asks, for messages.
        units: what texts are cut into.
        vocabulary: that the ids must be of, or None: then it is that of these texts.
        verbose: 0 is silent; else what takes long shows progress, and files of folders are named.

    Raises:
        DataError, DataTypeError, UsageError, ResourceError: as `Corpus` does, or if it has another vocabulary.
    """
    if isinstance(given, Corpus):
        if vocabulary is not None and given.vocabulary != vocabulary:
            cure = "Read it with vocabulary=model.vocabulary_"
            raise DataError(say(where, "the corpus has another vocabulary than the model", cure=cure))
        return given
    options: dict[str, Any] = {"units": units, "vocabulary": vocabulary, "verbose": verbose}
    if isinstance(given, str):
        _refuse_name(given)
        return Corpus.from_texts(given, **options)
    several = isinstance(given, Sequence | np.ndarray) and not isinstance(given, bytes | bytearray)
    parts: list[Any] = list(given) if several else [given]  # type: ignore[arg-type]  # else a single path, or no text
    paths = [isinstance(part, os.PathLike) for part in parts]
    if any(paths) and not all(paths):
        cure = "Read the paths first: Corpus.from_files(paths), or give texts only"
        raise DataTypeError(say("text", "texts and paths stand in one list", expected="one or the other", cure=cure))
    if any(paths):
        corpus = Corpus.from_files(parts, **options)
        if verbose != 0 and (corpus.left or len(corpus.files) > len(parts)):
            print(f"{where}: {corpus.account()}", file=sys.stderr)
        return corpus
    if parts and isinstance(parts[0], str):
        _refuse_name(parts[0])  # one tells what the others are; texts may be a million
    return Corpus.from_texts(parts, **options)


def _refuse_name(text: str) -> None:
    """Refuse the name of a file or folder where a text is meant; a title of one line may be a text."""
    if len(text) < 1000 and os.path.exists(text):
        what = "folder, not the texts in it" if os.path.isdir(text) else "file, not its contents"
        cure = "Give it as a path: pathlib.Path(name)"
        raise UsageError(say("text", f"{text!r} is the name of a {what}", cure=cure))


def _few(names: Sequence[str]) -> str:
    """Name a few of many."""
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")


def _no_text(part: Any) -> DataTypeError:
    cure = "Decode it first: raw.decode('utf-8')" if isinstance(part, bytes | bytearray) else None
    expected = "a str, a path, or a list of either"
    return DataTypeError(say("text", "it is no text", expected=expected, got=type(part).__name__, cure=cure))
