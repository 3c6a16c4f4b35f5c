"""A text that comes piece by piece, and what may come next."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataTypeError, UsageError, say
from elman.model import Sequential
from elman.tasks.sampling import Sampler, is_integer
from elman.tasks.vocabulary import Vocabulary

__all__ = ["TextStream"]


class TextStream:
    """A text that is fed to a language model piece by piece, made by `LanguageModel.stream()`.

    However it is cut, what may come next is the same to the last bit.

    Example:
        >>> from elman import LanguageModel
        >>> model = LanguageModel(layers=1, hidden=32, batch=4, epochs=3, random_state=0, verbose=0)
        >>> stream = model.fit("to be or not to be, " * 50).stream()
        >>> stream.feed("to b")
        >>> [(character, probability)] = stream.candidates(1)
        >>> character
        'e'
    """

    def __init__(self, model: Sequential, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._stream = model.stream()
        self._logits: NDArray[Any] | None = None

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
        ids = self._vocabulary.require(text, where="text")
        if len(ids):
            self._logits = self._stream.chunk(ids)[-1]

    def candidates(self, n: int = 5) -> list[tuple[str, float]]:
        """Say what may come next.

        Args:
            n: how many characters, at most.

        Returns:
            The likeliest characters with their probabilities, best first; `<unk>` is none of them.

        Raises:
            UsageError: if nothing has been fed yet, or n is no count.
        """
        if not is_integer(n) or n < 1:
            raise UsageError(say("candidates", "n is out of range", expected="an integer >= 1", got=repr(n)))
        if self._logits is None:
            raise UsageError(say("candidates", "there is no text yet", expected="at least one character before"))
        p = Sampler().probabilities(self._logits)
        best = np.argsort(-p, kind="stable")[: min(int(n), len(p) - 1)]
        return [(self._vocabulary.symbols[token - 1], float(p[token])) for token in best.tolist()]

    def reset(self) -> None:
        """Forget the text so far."""
        self._stream.reset()
        self._logits = None
