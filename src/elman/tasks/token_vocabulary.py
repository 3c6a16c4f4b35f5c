"""Tokens of the `tokenizers` library: whatever its JSON file says, kept whole in the model file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from elman.errors import DataError, ModelFileError, UsageError, say
from elman.tasks.units import UNKNOWN, UNKNOWN_PIECE, Units, text_bytes

__all__ = ["TENSOR", "TokenVocabulary"]

#: What the tokenizer's file is called among the arrays of a model file.
TENSOR = "tokenizer.json"

# Tokens of a text that show how the next one joins.
_SEEN = 4

# Where a space is so far back, a text is cut before its last character.
_FAR = 4096


class TokenVocabulary(Units):
    """The tokens of a tokenizer, such as byte pairs, as the JSON file of the `tokenizers` library describes it.

    Token k has id k + 1; id 0 is none of them. Special tokens and the tokenizer's own unknown token are never written.
    What normalises text, cuts it and joins it again is the tokenizer's; nothing is put around a text. Long texts are
    encoded in pieces that end at white space.

    Args:
        content: of the file.

    Raises:
        UsageError: if the extra is not installed: pip install 'elman[text]'.
        DataError: if it is no tokenizer.

    Example:
        >>> from tokenizers import Tokenizer, models
        >>> tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
        >>> vocabulary = TokenVocabulary(tokenizer.to_str().encode())
        >>> vocabulary.size, vocabulary.encode("abba").tolist(), vocabulary.decode([3, 2, 1])
        (4, [3, 2, 1], 'ab b a')
    """

    kind: ClassVar[str] = "tokens"
    spaced: ClassVar[bool] = True
    one: ClassVar[str] = "token"

    def __init__(self, content: bytes) -> None:
        self.content = bytes(content)
        self._tokenizer = _read(self.content)
        self._size = 1 + max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1
        if self._size == 1:
            raise DataError(say("tokenizer", "it knows no tokens"))
        unwritable = {UNKNOWN}
        for token, added in self._tokenizer.get_added_tokens_decoder().items():
            if added.special:
                unwritable.add(token + 1)
        unknown = getattr(self._tokenizer.model, "unk_token", None)
        if isinstance(unknown, str) and (token := self._tokenizer.token_to_id(unknown)) is not None:
            unwritable.add(token + 1)
        self.unwritable = np.array(sorted(unwritable))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> TokenVocabulary:
        """Read a file of the `tokenizers` library.

        Args:
            path: such as "tokenizer.json".

        Raises:
            UsageError: if there is no such file, or the extra is not installed.
            DataError: if it is no tokenizer.
        """
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError as error:
            wrong = f"the tokenizer cannot be read: {(error.strerror or str(error)).lower()}"
            raise UsageError(say(os.fspath(path), wrong)) from None
        try:
            return cls(content)
        except DataError as error:
            raise DataError(say(os.fspath(path), str(error).removeprefix("tokenizer: ").removesuffix("."))) from None

    @property
    def size(self) -> int:
        """The number of ids: the tokens and one for none of them."""
        return self._size

    def encode(self, text: str, *, dtype: DTypeLike = np.int32) -> NDArray[Any]:
        """Return the ids (N,) of a text's tokens; see `Units.encode`."""
        text_bytes(text, where="encode")
        return (np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, np.int64) + 1).astype(dtype)

    def decode(self, ids: Any) -> str:
        """Return the text of ids (N,), as the tokenizer joins it."""
        found = self._check(ids).astype(np.int64) - 1
        text: str = self._tokenizer.decode(found[found >= 0].tolist(), skip_special_tokens=False)
        return text

    def piece(self, token: int) -> str:
        """Return what a token adds to a text."""
        if token == UNKNOWN:
            return UNKNOWN_PIECE
        # Many decoders drop the space before the first token, which is the one that shows where words begin.
        alone: str = self._tokenizer.decode([token - 1], skip_special_tokens=False)
        twice: str = self._tokenizer.decode([token - 1, token - 1], skip_special_tokens=False)
        return twice[len(alone) :] if twice.startswith(alone) and len(twice) > len(alone) else alone

    def pieces(self, text: str) -> list[str]:
        """Return the parts of a text that its tokens stand for."""
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return [text[start:end] for start, end in offsets]

    def speller(self, before: Sequence[int] = ()) -> Callable[[int], str]:
        """Return a function that takes ids and gives text as it becomes whole; see `Units.speller`."""
        from tokenizers.decoders import DecodeStream

        stream = DecodeStream(skip_special_tokens=False)

        def spell(token: int) -> str:
            return "" if token == UNKNOWN else stream.step(self._tokenizer, token - 1) or ""

        for token in before[-_SEEN:]:  # decoders join tokens by what stood before
            spell(token)
        return spell

    def border(self, text: str) -> int:
        """Say how many characters have the ids they have: up to the last white space, which most tokenizers cut at."""
        cut = max(text.rfind(" "), text.rfind("\n"))
        return max(cut, 0) if len(text) - cut <= _FAR else len(text) - 1

    def to_dict(self) -> dict[str, Any]:
        """Return what the header of a model file keeps: how to know the tokenizer beside it."""
        return {"unit": self.one, "size": self.size, "sha256": hashlib.sha256(self.content).hexdigest()}

    def tensors(self) -> dict[str, NDArray[np.uint8]]:
        """Return the tokenizer's file as an array."""
        return {TENSOR: np.frombuffer(self.content, np.uint8)}

    @classmethod
    def from_dict(cls, stored: Any, tensors: Mapping[str, NDArray[Any]]) -> TokenVocabulary:
        """Rebuild a vocabulary from what a model file keeps.

        Args:
            stored: from its header.
            tensors: from beside it.

        Raises:
            ModelFileError: if the two are not what `to_dict` and `tensors` return.
            UsageError: if the extra is not installed.
        """
        content = tensors.get(TENSOR)
        if content is None or content.dtype != np.uint8 or content.ndim != 1:
            raise ModelFileError(say("vocabulary", "the tokenizer is not there", expected=f"bytes {TENSOR!r}"))
        try:
            vocabulary = cls(content.tobytes())
        except DataError as error:
            raise ModelFileError(str(error)) from error
        if stored != vocabulary.to_dict():
            raise ModelFileError(say("vocabulary", "the tokenizer in the file is another than its header says"))
        return vocabulary

    def __getstate__(self) -> dict[str, Any]:
        return {"content": self.content}

    def __setstate__(self, state: dict[str, Any]) -> None:
        TokenVocabulary.__init__(self, state["content"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TokenVocabulary) and self.content == other.content

    def __hash__(self) -> int:
        return hash(self.content)

    def __repr__(self) -> str:
        return f"TokenVocabulary({self.size - 1:,} tokens)"


def _read(content: bytes) -> Any:
    """Make the tokenizer of a file's content."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        cure = "Install it: pip install 'elman[text]'"
        raise UsageError(say("tokenizer", "the library 'tokenizers' is not installed", cure=cure)) from None
    try:
        json.loads(content)  # the library speaks of lines and columns of what may be no JSON at all
        tokenizer = Tokenizer.from_str(content.decode())
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # what panics in the library is no Exception
        cure = "Give the file that tokenizer.save() writes, often called tokenizer.json"
        raise DataError(say("tokenizer", f"this is no tokenizer ({error})", cure=cure)) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
