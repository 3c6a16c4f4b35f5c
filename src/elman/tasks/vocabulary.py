"""Characters as token ids and back, for any script.

The unit is the Unicode code point: nothing is normalised, joined or cut, so `decode(encode(text)) == text` for every
text the vocabulary was built from, and whatever is sampled can be written as UTF-8.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from elman.errors import DataError, ModelFileError, say
from elman.tasks.units import UNKNOWN, UNKNOWN_PIECE, Units, surrogate

__all__ = ["UNKNOWN", "Vocabulary"]

_UNIT = "code point"
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# Characters that are looked up at once: their code points, ids and places lie in the second-level cache together. For
# texts of 20 million characters that made `encode` twice as fast as all at once, and it needs no eightfold memory.
_AT_ONCE = 2**16


class Vocabulary(Units):
    """The characters of a text in code point order; id 0 is `<unk>`, character k has id k + 1.

    Args:
        symbols: the characters, each once, in the order of their code points.

    Example:
        >>> vocabulary = Vocabulary.from_text("hello, 世界")
        >>> ids = vocabulary.encode("hello")
        >>> ids.tolist(), vocabulary.decode(ids)
        ([4, 3, 5, 5, 6], 'hello')
        >>> vocabulary.encode("hex").tolist()
        [4, 3, 0]
    """

    kind: ClassVar[str] = "characters"
    one: ClassVar[str] = "character"
    learned: ClassVar[bool] = True

    def __init__(self, symbols: str) -> None:
        codes = _code_points(symbols, where="Vocabulary")
        if np.any(codes[1:] <= codes[:-1]):
            raise DataError(say("Vocabulary", "symbols must differ and stand in the order of their code points"))
        self.symbols = symbols
        # Index by id; <unk> decodes to the replacement character, the sign Unicode has for it.
        self._codes = np.concatenate([_code_points(_REPLACEMENT, where="Vocabulary"), codes])
        # Index by code point; the last entry catches all that lie beyond the largest known one.
        self._ids = np.zeros(int(self._codes[1:].max(initial=0)) + 2, np.int32)
        self._ids[codes] = np.arange(1, len(codes) + 1, dtype=np.int32)

    @classmethod
    def from_text(cls, text: str) -> Vocabulary:
        """Collect the distinct characters of a text.

        Raises:
            DataError: if the text holds a lone surrogate, which no encoding can write.
        """
        return cls.from_texts([text])

    @classmethod
    def from_texts(cls, texts: Iterable[str]) -> Vocabulary:
        """Collect the distinct characters of texts, or of the pieces of one, that need not be in memory together.

        Args:
            texts: gone through once.

        Raises:
            DataError: if one of them holds a lone surrogate.

        Example:
            >>> Vocabulary.from_texts(["床前", "明月光"]) == Vocabulary.from_text("床前明月光")
            True
        """
        seen = np.zeros(sys.maxunicode + 1, bool)
        for text in texts:
            for codes in _pieces(text, where="Vocabulary"):
                seen[codes] = True
        return cls(_text(np.flatnonzero(seen).astype("<u4")))

    @property
    def size(self) -> int:
        """The number of ids: the characters and `<unk>`."""
        return len(self._codes)

    def encode(self, text: str, *, dtype: DTypeLike = np.int32) -> NDArray[Any]:
        """Return the ids (N,) of a text's characters, 0 for those the vocabulary does not have.

        Args:
            text: any.
            dtype: of the ids, such as `dtype` of the vocabulary.

        Raises:
            DataError: if the text holds a lone surrogate.
        """
        ids = np.empty(len(text), dtype)
        start = 0
        for codes in _pieces(text, where="encode"):
            # "clip" sends code points past the table to its last entry, which is <unk>.
            ids[start : start + len(codes)] = self._ids.take(codes, mode="clip")
            start += len(codes)
        return ids

    def decode(self, ids: Any) -> str:
        """Return the text of ids (N,); `<unk>` becomes U+FFFD.

        Raises:
            DataError: if an id lies outside [0, size).
        """
        return _text(self._codes[self._check(ids).astype(np.intp, copy=False)])

    def piece(self, token: int) -> str:
        """Return the character of an id."""
        return self.symbols[token - 1] if token != UNKNOWN else UNKNOWN_PIECE

    def pieces(self, text: str) -> list[str]:
        """Return the characters of a text."""
        return list(text)

    def require(self, text: str, *, where: str) -> NDArray[np.int32]:
        """Return the ids of a text all of whose characters must be known.

        Raises:
            DataError: naming the first character that is not, as U+XXXX, and its index.
        """
        ids = self.encode(text)
        unknown = np.flatnonzero(ids == UNKNOWN)
        if len(unknown):
            index = int(unknown[0])
            character = text[index]
            shown = f" ({character})" if character.isprintable() else ""
            raise DataError(
                say(
                    where,
                    f"the character U+{ord(character):04X}{shown} at index {index} was not in the training text",
                    cure="`elman info MODEL` shows the characters that the model knows",
                )
            )
        return ids

    def to_dict(self) -> dict[str, Any]:
        """Return what a model file keeps; `from_dict` is the inverse."""
        return {"unit": _UNIT, "symbols": self.symbols}

    @classmethod
    def from_dict(cls, stored: Any) -> Vocabulary:
        """Rebuild a vocabulary from what a model file keeps.

        Raises:
            ModelFileError: if it is not what `to_dict` returns.
        """
        if not isinstance(stored, dict) or stored.keys() != {"unit", "symbols"} or stored["unit"] != _UNIT:
            raise ModelFileError(say("vocabulary", "unknown form", expected=f"unit {_UNIT!r} and symbols"))
        if not isinstance(stored["symbols"], str):
            raise ModelFileError(say("vocabulary", "symbols must be one string"))
        try:
            return cls(stored["symbols"])
        except DataError as error:
            raise ModelFileError(str(error)) from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.symbols == other.symbols

    def __hash__(self) -> int:
        return hash(self.symbols)

    def __repr__(self) -> str:
        shown = self.symbols if len(self.symbols) <= 40 else self.symbols[:39] + "…"
        return f"Vocabulary({len(self.symbols)} characters and <unk>: {shown!r})"


def _pieces(text: str, *, where: str) -> Iterator[NDArray[np.uint32]]:
    """Give the code points of a text, so many at once as are good for speed."""
    for start in range(0, len(text), _AT_ONCE):
        yield _code_points(text[start : start + _AT_ONCE], where=where, start=start)


def _code_points(text: str, *, where: str, start: int = 0) -> NDArray[np.uint32]:
    """Return the code points (N,) of a text; NUL and characters beyond the first plane included.

    Args:
        text: of which `start` characters have gone before.
        where: who asks, for messages.
        start: as said.
    """
    try:
        return np.frombuffer(text.encode("utf-32-le"), "<u4")
    except UnicodeEncodeError as error:
        raise surrogate(text, error, where=where, start=start) from None


def _text(codes: NDArray[np.uint32]) -> str:
    return codes.astype("<u4", copy=False).tobytes().decode("utf-32-le")
