"""Words as token ids, with the space before them, so that they join to the text they came from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import DTypeLike, NDArray

from elman.errors import DataError, ModelFileError, UsageError, say
from elman.files.plain import refusal
from elman.tasks.units import UNKNOWN, UNKNOWN_PIECE, Units, text_bytes

__all__ = ["WordVocabulary", "split_pieces"]

# Signs, and scripts that put no spaces between words: each character of them is a word of its own. Thai, Lao, Burmese,
# Khmer; Chinese and Japanese characters with their punctuation; signs of ASCII and Latin-1, other punctuation, symbols,
# emoji.
_ALONE = (
    r"!-/:-@\[-`{-~\u00a1-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7"
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2000-\u206f\u2190-\u2bff"
    r"\u2e80-\u312f\u3190-\u4dbf\u4e00-\u9fff\uf900-\ufaff\ufe00-\ufe6f\uff00-\uffef"
    r"\U0001f000-\U0001faff\U00020000-\U0003ffff"
)
_WORD = rf"[^\s{_ALONE}]+"
_PIECE = re.compile(rf" ?(?:{_WORD}(?:['’]{_WORD})*|[{_ALONE}])|\s")

#: Words of a vocabulary, unless more are asked for: each costs a row of the first and of the last layer.
MOST = 20_000
# Where a space is so far back, the words since then are looked at.
_FAR = 256

#: How often a word must come to be one; what comes less often teaches what `<unk>` means.
LEAST = 2


class _Stored(msgspec.Struct, forbid_unknown_fields=True):
    """What a model file keeps."""

    unit: str
    words: Annotated[list[Annotated[str, msgspec.Meta(min_length=1, max_length=2**16)]], msgspec.Meta(max_length=2**16)]


def split_pieces(text: str) -> list[str]:
    """Cut a text into words and signs, each with the space before it; joined they are the text.

    Args:
        text: any.

    Example:
        >>> split_pieces("Don't panic, 42!")
        ["Don't", ' panic', ',', ' 42', '!']
        >>> split_pieces("床前明月光")
        ['床', '前', '明', '月', '光']
    """
    return _PIECE.findall(text)


class WordVocabulary(Units):
    """The words of a text, most frequent first; id 0 is `<unk>`, which stands for all others.

    A word is what has no space or sign in it, together with the space before it, so that " the" and "the" are two and
    the words of a text join to the text. Scripts without spaces, such as Chinese, come character by character.

    Args:
        words: each once.

    Example:
        >>> vocabulary = WordVocabulary.from_texts(["to be or not to be"], least=1)
        >>> vocabulary.encode("to be, or not").tolist()
        [5, 1, 0, 3, 2]
    """

    kind: ClassVar[str] = "words"
    spaced: ClassVar[bool] = True
    one: ClassVar[str] = "word"
    learned: ClassVar[bool] = True

    def __init__(self, words: Iterable[str]) -> None:
        self.words = tuple(words)
        self._ids = {word: token for token, word in enumerate(self.words, 1)}
        if len(self._ids) < len(self.words) or "" in self._ids:
            raise DataError(say("WordVocabulary", "words must differ, and none may be empty"))

    @classmethod
    def from_texts(cls, texts: Iterable[str], *, least: int = LEAST, most: int = MOST) -> WordVocabulary:
        """Collect the words of texts.

        Args:
            texts: gone through once.
            least: how often a word must come. If none comes so often, all are taken.
            most: how many words at most, the most frequent ones.

        Raises:
            DataError: if one of them holds a lone surrogate.
            UsageError: if a count is less than 1.
        """
        for name, count in (("least", least), ("most", most)):
            if count < 1:
                raise UsageError(say("WordVocabulary", f"{name} is out of range", expected=">= 1", got=count))
        counts: Counter[str] = Counter()
        for text in texts:
            text_bytes(text, where="WordVocabulary")
            counts.update(split_pieces(text))
        if counts and max(counts.values()) < least:
            least = 1
        found = sorted((-count, word) for word, count in counts.items() if count >= least)
        return cls(word for _, word in found[:most])

    @property
    def size(self) -> int:
        """The number of ids: the words and `<unk>`."""
        return len(self.words) + 1

    def encode(self, text: str, *, dtype: DTypeLike = np.int32) -> NDArray[Any]:
        """Return the ids (N,) of a text's words; see `Units.encode`."""
        text_bytes(text, where="encode")
        find = self._ids.get
        return np.array([find(piece, UNKNOWN) for piece in split_pieces(text)], dtype)

    def require(self, text: str, *, where: str) -> NDArray[Any]:
        """Return the ids of a text that is to be gone on from; see `Units.require`.

        Words that are not known are `<unk>`. A first word that is known with a space before it only is taken as that.
        """
        ids = self.encode(text)
        if len(ids) and ids[0] == UNKNOWN:
            ids[0] = self._ids.get(" " + split_pieces(text)[0], UNKNOWN)
        return ids

    def decode(self, ids: Any) -> str:
        """Return the text of ids (N,); `<unk>` becomes U+FFFD."""
        words = ("\N{REPLACEMENT CHARACTER}", *self.words)
        return "".join(words[token] for token in self._check(ids).tolist())

    def piece(self, token: int) -> str:
        """Return a word with the space before it."""
        return UNKNOWN_PIECE if token == UNKNOWN else self.words[token - 1]

    def pieces(self, text: str) -> list[str]:
        """Return the words of a text, known or not."""
        return split_pieces(text)

    def border(self, text: str) -> int:
        """Say how many characters have the ids they have: the last word may go on."""
        cut = max(text.rfind(" "), text.rfind("\n") + 1)  # a word has the space before it, and none in it
        if len(text) - cut <= _FAR:
            return max(cut, 0)
        starts = [found.start() for found in _PIECE.finditer(text, max(cut, 0))]
        # An apostrophe may be in the middle of a word.
        return starts[-2 if text[starts[-1] :] in "'’" and len(starts) > 1 else -1]

    def to_dict(self) -> dict[str, Any]:
        """Return what a model file keeps; `from_dict` is the inverse."""
        return {"unit": self.one, "words": list(self.words)}

    @classmethod
    def from_dict(cls, stored: Any) -> WordVocabulary:
        """Rebuild a vocabulary from what a model file keeps.

        Raises:
            ModelFileError: if it is not what `to_dict` returns.
        """
        try:
            return cls(msgspec.convert(stored, _Stored).words)
        except msgspec.ValidationError as error:
            raise ModelFileError(say("vocabulary", refusal(error).sentence)) from None
        except DataError as error:
            raise ModelFileError(str(error)) from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WordVocabulary) and self.words == other.words

    def __hash__(self) -> int:
        return hash(self.words)

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self.words[:4])) + (", …" if len(self.words) > 4 else "")
        return f"WordVocabulary({len(self.words):,} words and <unk>: {shown})"
