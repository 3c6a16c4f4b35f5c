"""A text that comes piece by piece, and what may come next."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataTypeError, UsageError, say
from elman.model import Sequential
from elman.tasks.sampling import Sampler, is_integer
from elman.tasks.units import Units

__all__ = ["TextStream"]


class TextStream:
    """A text that is fed to a language model piece by piece, made by `LanguageModel.stream()`.

    However it is cut, what may come next is the same to the last bit. A word or token that may still go on is read
    with what follows it.

    Example:
        >>> from elman import LanguageModel
        >>> model = LanguageModel(layers=1, hidden=32, batch=4, epochs=3, random_state=0, verbose=0)
        >>> stream = model.fit("to be or not to be, " * 50).stream()
        >>> stream.feed("to b")
        >>> [(character, probability)] = stream.candidates(1)
        >>> character
        'e'
    """

    def __init__(self, model: Sequential, vocabulary: Units) -> None:
        self._vocabulary = vocabulary
        self._stream = model.stream()
        self._logits: NDArray[Any] | None = None
        self._held = ""
        self._before: list[int] = []

    def feed(self, text: str) -> None:
        """Go on with a piece of text.

        Args:
            text: of any length, also none.

        Raises:
            DataError: if it holds a character that the model does not know; nothing was fed then.
            DataTypeError: if it is no text.
        """
        if not isinstance(text, str):
            raise DataTypeError(say("feed", "it is no text", expected="str", got=type(text).__name__))
        held = self._held + text
        cut = self._vocabulary.border(held)
        ids = self._vocabulary.require(held[:cut], where="text")
        self._vocabulary.require(held[cut:], where="text")
        if len(ids):
            self._logits = self._stream.chunk(ids)[-1]
            self._before = [*self._before, *ids.tolist()][-4:]
        self._held = held[cut:]

    def candidates(self, n: int = 5) -> list[tuple[str, float]]:
        """Say what may come next.

        Args:
            n: how many units, at most.

        Returns:
            The likeliest characters, bytes, words or tokens with their probabilities, best first; `<unk>` is none of
            them. After a space, words come without the space before them.

        Raises:
            UsageError: if nothing has been fed yet, or n is no count.
        """
        if not is_integer(n) or n < 1:
            raise UsageError(say("candidates", "n is out of range", expected="an integer >= 1", got=repr(n)))
        units = self._vocabulary
        ids, first = units.prompt(self._held, where="text")
        logits, before = self._logits, [*self._before, *ids.tolist()]
        if len(ids):
            state = self._stream.state
            logits = self._stream.chunk(ids)[-1]
            self._stream.state = state
        if logits is None:
            raise UsageError(say("candidates", "there is no text yet", expected="at least one character before"))
        allowed = units.allowed(before) if first is None else first
        p = Sampler().probabilities(logits, unwritable=units.unwritable, allowed=allowed)
        best = np.argsort(-p, kind="stable")[: min(int(n), np.count_nonzero(p))]
        pieces = [units.piece(token) for token in best.tolist()]
        return [
            (piece if first is None else piece[1:], float(p[token])) for piece, token in zip(pieces, best, strict=True)
        ]

    def reset(self) -> None:
        """Forget the text so far."""
        self._stream.reset()
        self._logits, self._held, self._before = None, "", []
