"""Bytes of UTF-8 as token ids: every text in every script, and nothing is unknown."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from elman.errors import ModelFileError, say
from elman.tasks.units import UNKNOWN, UNKNOWN_PIECE, Units, text_bytes

__all__ = ["ByteVocabulary"]

# The bytes that UTF-8 is made of: C0, C1 and F5 to FF are in no text (RFC 3629). With <unk> they are 244, so that an id
# takes one byte.
_BYTES = np.array([*range(0xC0), *range(0xC2, 0xF5)], np.uint8)
_IDS = np.zeros(256, np.uint8)
_IDS[_BYTES] = np.arange(1, len(_BYTES) + 1)
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()
# Second bytes of characters that begin with these are fewer: no character has two spellings, none is half of a pair.
_SECOND = {0xE0: (0xA0, 0xBF), 0xED: (0x80, 0x9F), 0xF0: (0x90, 0xBF), 0xF4: (0x80, 0x8F)}
_LONGEST = 4


class ByteVocabulary(Units):
    """The 243 bytes that occur in UTF-8; id 0 is `<unk>`, which no text has.

    What is sampled is text: after the first byte of a character only those may follow that go on with it.

    Example:
        >>> vocabulary = ByteVocabulary()
        >>> ids = vocabulary.encode("世界")
        >>> len(ids), vocabulary.decode(ids), vocabulary.pieces("é")
        (6, '世界', ['<C3>', '<A9>'])
        >>> allowed = vocabulary.allowed(ids[:2].tolist())
        >>> int(allowed.sum())
        64
    """

    kind: ClassVar[str] = "bytes"
    one: ClassVar[str] = "byte"

    @property
    def size(self) -> int:
        """244."""
        return len(_BYTES) + 1

    def encode(self, text: str, *, dtype: DTypeLike = np.int32) -> NDArray[Any]:
        """Return the ids (N,) of a text's bytes; see `Units.encode`."""
        return _IDS[np.frombuffer(text_bytes(text, where="encode"), np.uint8)].astype(dtype, copy=False)

    def decode(self, ids: Any) -> str:
        """Return the text of ids (N,); `<unk>` and half characters become U+FFFD."""
        found = self._check(ids)
        runs = np.split(found, np.flatnonzero(found == UNKNOWN))
        parts = (_BYTES[run[run != UNKNOWN].astype(np.intp) - 1].tobytes() for run in runs)
        return _REPLACEMENT.join(parts).decode(errors="replace")

    def piece(self, token: int) -> str:
        """Return the character of a byte of ASCII, or the byte in hexadecimal."""
        if token == UNKNOWN:
            return UNKNOWN_PIECE
        byte = int(_BYTES[token - 1])
        return chr(byte) if byte < 0x80 else f"<{byte:02X}>"

    def speller(self, before: Sequence[int] = ()) -> Callable[[int], str]:
        """Return a function that takes ids and gives a character with the last of its bytes."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        return lambda token: decoder.decode(_REPLACEMENT if token == UNKNOWN else bytes([_BYTES[token - 1]]))

    def allowed(self, before: Sequence[int]) -> NDArray[np.bool_]:
        """Say which bytes may follow; see `Units.allowed`."""
        first, after, needed = _begun(before)
        mask = np.zeros(self.size, bool)
        if after < needed:
            low, high = _SECOND.get(first, (0x80, 0xBF)) if after == 0 else (0x80, 0xBF)
            mask[_IDS[low : high + 1]] = True
        else:
            mask[_IDS[:0x80]] = mask[_IDS[0xC2:0xF5]] = True
        return mask

    def ends(self, before: Sequence[int]) -> bool:
        """Say whether the last byte ends a character; see `Units.ends`."""
        _, after, needed = _begun(before)
        return after >= needed

    def to_dict(self) -> dict[str, Any]:
        """Return what a model file keeps; `from_dict` is the inverse."""
        return {"unit": self.one}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> ByteVocabulary:
        """Rebuild the vocabulary from what a model file keeps.

        Raises:
            ModelFileError: if it is not what `to_dict` returns.
        """
        if stored != {"unit": cls.one}:
            raise ModelFileError(say("vocabulary", "unknown form", expected=f"unit {cls.one!r} and nothing else"))
        return cls()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByteVocabulary)

    def __hash__(self) -> int:
        return hash(ByteVocabulary)

    def __repr__(self) -> str:
        return "ByteVocabulary()"


def _begun(before: Sequence[int]) -> tuple[int, int, int]:
    """Give the byte that began the last character, how many bytes have come since, and how many it needs."""
    first = after = 0
    for token in reversed(before[-_LONGEST:]):
        byte = int(_BYTES[token - 1]) if token != UNKNOWN else 0
        if byte < 0x80 or byte >= 0xC2:
            first = byte
            break
        after += 1
    return first, after, 0 if first < 0x80 else 1 if first < 0xE0 else 2 if first < 0xF0 else 3
