"""What a text is cut into, and the ids that stand for it: the part that characters, bytes, words and tokens share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from elman.errors import DataError, say

__all__ = ["UNKNOWN", "UNKNOWN_PIECE", "Units", "segments", "surrogate", "text_bytes"]

UNKNOWN = 0
"""The id of `<unk>`, which stands for everything that a vocabulary does not have; it is never written."""

UNKNOWN_PIECE = "<unk>"
"""How it is shown; in a text it is U+FFFD, the sign that Unicode has for it."""

# Characters after which a text is cut though nothing says that it may be: a book in one line still has to be read.
_LONGEST = 2**20

Ids = NDArray[Any]


class Units(ABC):
    """Base of the vocabularies: a text becomes ids (N,) and ids become text.

    Id 0 is `<unk>`. Two vocabularies are equal if they give every text the same ids.

    Attributes:
        kind: what the units are called, such as "characters".
        one: one of them, in messages and figures.
        learned: whether the vocabulary is made from the text that is learned.
        spaced: whether a unit may begin with the space before it.
        unwritable: (K,) ids that are never written, `<unk>` among them.
    """

    kind: ClassVar[str]
    one: ClassVar[str]
    learned: ClassVar[bool] = False
    spaced: ClassVar[bool] = False
    unwritable: Ids = np.array([UNKNOWN])

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of ids, `<unk>` among them."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest type of integers that holds all ids: uint8, uint16 or uint32."""
        return np.min_scalar_type(self.size - 1)

    @abstractmethod
    def encode(self, text: str, *, dtype: DTypeLike = np.int32) -> Ids:
        """Return the ids (N,) of a text, 0 for what the vocabulary does not have.

        Args:
            text: any.
            dtype: of the ids, such as `dtype` of the vocabulary.

        Raises:
            DataError: if the text holds a lone surrogate.
        """

    @abstractmethod
    def decode(self, ids: Any) -> str:
        """Return the text of ids (N,); what is no text becomes U+FFFD.

        Raises:
            DataError: if an id lies outside [0, size).
        """

    def require(self, text: str, *, where: str) -> Ids:
        """Return the ids of a text that is to be gone on from.

        Args:
            text: any.
            where: who asks, for messages.

        Raises:
            DataError: if it holds something that the vocabulary has neither by itself nor as `<unk>`.
        """
        return self.encode(text)

    @abstractmethod
    def piece(self, token: int) -> str:
        """Return what an id adds to a text, to be looked at; `<unk>` is called so."""

    def pieces(self, text: str) -> list[str]:
        """Return what the ids of a text stand for, one by one."""
        return [self.piece(token) for token in self.encode(text).tolist()]

    def speller(self, before: Sequence[int] = ()) -> Callable[[int], str]:
        """Return a function that takes ids one after the other and gives the text that each makes whole.

        Args:
            before: ids of the text that they follow.
        """
        return self.piece

    def allowed(self, before: Sequence[int]) -> NDArray[np.bool_] | None:
        """Say which ids (V,) may follow for the text to stay text; None for all.

        Args:
            before: the ids so far.
        """
        return None

    def ends(self, before: Sequence[int]) -> bool:
        """Say whether the last of these ids ends a character, so that the text may end.

        Args:
            before: the ids so far.
        """
        return True

    def prompt(self, text: str, *, where: str) -> tuple[Ids, NDArray[np.bool_] | None]:
        """Return the ids of a text that is to be gone on from, and which ids (V,) may come next; None for all.

        Where units begin with the space before them, a space at the end of the text belongs to what comes next.

        Args:
            text: any.
            where: who asks, for messages.

        Raises:
            DataError: as `require` does.
        """
        spaced = self.spaced and text[-1:] == " " and not text[-2:-1].isspace()
        if spaced and self.opens_with_space.any():
            return self.require(text[:-1], where=where), self.opens_with_space
        return self.require(text, where=where), None

    @cached_property
    def opens_with_space(self) -> NDArray[np.bool_]:
        """Which ids (V,) stand for text that begins with a space."""
        found = np.array([self.piece(token).startswith(" ") for token in range(self.size)])
        found[self.unwritable] = False
        return found

    @property
    def opening(self) -> Ids:
        """The ids of a line's end, from which a text begins if nothing else is said; (0,) if there are none."""
        ids = self.encode("\n")
        return ids[:0] if np.isin(ids, self.unwritable).any() else ids

    def border(self, text: str) -> int:
        """Say how many characters of a text have the ids they have, whatever follows."""
        return len(text)

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return what the header of a model file keeps."""

    def tensors(self) -> Mapping[str, Ids]:
        """Return what a model file keeps beside it."""
        return {}

    def _check(self, ids: Any) -> Ids:
        """Give ids as an array, or say which lies outside."""
        found = np.asarray(ids)
        if found.size and (found.min() < 0 or found.max() >= self.size):
            worst = found[(found < 0) | (found >= self.size)].flat[0]
            raise DataError(say("decode", "an id is out of range", expected=f"0 to {self.size - 1}", got=int(worst)))
        return found

    def __len__(self) -> int:
        return self.size


def segments(pieces: Iterable[tuple[str, NDArray[np.int64]]], units: Units) -> Iterator[tuple[str, bool]]:
    """Cut a text that comes piece by piece where its ids do not depend on the cut.

    Args:
        pieces: texts, and at which places of each documents end.
        units: that the text is cut into.

    Returns:
        Texts, and whether a document ends with each.

    Example:
        >>> from elman.tasks.vocabulary import Vocabulary
        >>> list(segments([("to be ", np.array([2])), ("or", np.array([2]))], Vocabulary("a")))
        [('to', True), (' be ', False), ('or', True)]
    """
    held = ""
    for text, ends in pieces:
        begin = 0
        for end in ends.tolist():
            yield held + text[begin:end], True
            held, begin = "", end
        held += text[begin:]
        cut = units.border(held) if len(held) < _LONGEST else len(held)
        if cut:
            yield held[:cut], False
            held = held[cut:]
    if held:
        yield held, False


def text_bytes(text: str, *, where: str, start: int = 0) -> bytes:
    """Return a text in UTF-8.

    Args:
        text: of which `start` characters have gone before.
        where: who asks, for messages.
        start: as said.

    Raises:
        DataError: if it holds a lone surrogate, which no encoding can write.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise surrogate(text, error, where=where, start=start) from None


def surrogate(text: str, error: UnicodeEncodeError, *, where: str, start: int = 0) -> DataError:
    """Give the error for half of a UTF-16 pair in a text.

    Args:
        text: of which `start` characters have gone before.
        error: what Python said.
        where: who asks, for messages.
        start: as said.
    """
    wrong = f"the text holds a lone surrogate, U+{ord(text[error.start]):04X}, at index {start + error.start}"
    cure = "Half of a UTF-16 pair is no character: decode strictly, without errors='surrogateescape'"
    return DataError(say(where, wrong, cure=cure))
