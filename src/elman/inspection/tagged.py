"""A text and the labels of its words, with how sure they are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, DataTypeError, UsageError, say
from elman.inspection import pictures
from elman.inspection.plain import plain
from elman.tasks import SequenceTagger
from elman.tasks.lexicon import split_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TaggedText", "tagged_text"]

Array = NDArray[Any]
Text = str | Sequence[str]


@dataclass(frozen=True)
class TaggedText:
    """What a tagger says of every word; see `tagged_text`.

    Attributes:
        words: of each text, or its characters.
        labels: the most probable label of each of them.
        probabilities: how probable the tagger holds that label, (steps,) for each text.
        truth: the right labels; None if they were not given.
        classes: all labels there are.
    """

    words: list[list[str]]
    labels: list[list[Any]]
    probabilities: list[Array]
    truth: list[list[Any]] | None
    classes: list[Any]

    @property
    def wrong(self) -> list[Array] | None:
        """Where a label is not the right one, (steps,) for each text; None if nobody said what is right."""
        if self.truth is None:
            return None
        pairs = zip(self.labels, self.truth, strict=True)
        return [np.array([a != b for a, b in zip(*pair, strict=True)], bool) for pair in pairs]

    @property
    def verdict(self) -> str:
        """What it means, in one sentence."""
        n_words = sum(map(len, self.words))
        if not n_words:
            return "There are no words."
        sure = np.concatenate(self.probabilities)
        doubtful = int(sure.argmin())
        word, label = ([one for part in parts for one in part][doubtful] for parts in (self.words, self.labels))
        least = f"the least sure is '{word}', {label} with {sure[doubtful]:.0%}"
        if self.wrong is None:
            return f"{n_words} words are labelled; {least}."
        n_right = n_words - int(sum(part.sum() for part in self.wrong))
        return f"{n_right} of {n_words} words are labelled right; {least}."

    def to_dict(self) -> dict[str, Any]:
        """Give everything that is drawn as plain values."""
        texts = [
            {"words": words, "labels": plain(labels), "probabilities": plain(sure)}
            for words, labels, sure in zip(self.words, self.labels, self.probabilities, strict=True)
        ]
        for index, truth in enumerate(self.truth or ()):
            texts[index]["truth"] = plain(truth)
        return {"verdict": self.verdict, "classes": plain(self.classes), "texts": texts}

    def plot(self, path: str | os.PathLike[str] | None = None, *, title: str | None = None) -> Figure:
        """Draw the texts, each word on the colour of its label: the surer, the stronger; what is wrong is framed.

        Args:
            path: .png, .svg or .pdf to write, if any.
            title: a line above the picture, in any script.
        """
        return pictures.tagged(self, path, title=title)


def tagged_text(tagger: Any, X: Sequence[Text], y: Sequence[Sequence[Any]] | None = None) -> TaggedText:
    """Label texts and show every word with its label.

    Args:
        tagger: a fitted `SequenceTagger`.
        X: texts: lists of words, or strings, which a tagger of words cuts into words.
        y: the right labels of each text, to see what is wrong.

    Raises:
        UsageError: if it is no tagger.
        DataError, DataTypeError: if texts and labels do not fit the tagger or each other.
        NotFittedError: before `fit`.

    Example:
        >>> X = [["a", "cat", "sat"], ["the", "dog", "ran"], ["a", "dog", "sat"]] * 10
        >>> tagger = SequenceTagger(hidden=16, epochs=10, random_state=0, verbose=0)
        >>> found = tagged_text(tagger.fit(X, [["DET", "NOUN", "VERB"]] * 30), [["the", "cat", "ran"]])
        >>> found.labels
        [['DET', 'NOUN', 'VERB']]
    """
    where = "tagged_text"
    if not isinstance(tagger, SequenceTagger):
        raise UsageError(say(where, "tagger is none", expected="a SequenceTagger", got=type(tagger).__name__))
    if isinstance(X, str) or not all(isinstance(text, str | list | tuple) for text in X):
        expected = "a list of texts, each a list of words or a string"
        got = "one string" if isinstance(X, str) else type(X).__name__
        raise DataTypeError(say(where, "X is no list of texts", expected=expected, got=got))
    shares = tagger.predict_proba(list(X))
    # A tagger of words cuts strings into words itself; as many words as characters are the characters.
    words = [
        list(text) if len(text) == len(part) else split_words(str(text)) for text, part in zip(X, shares, strict=True)
    ]
    truth = None
    if y is not None:
        truth = [list(np.asarray(labels).tolist()) for labels in y]
        sizes = ([len(text) for text in words], [len(labels) for labels in truth])
        if sizes[0] != sizes[1]:
            raise DataError(say(where, "X and y differ in length", expected=f"{sizes[0]} labels", got=sizes[1]))
    return TaggedText(
        words,
        [tagger.classes_[part.argmax(1)].tolist() for part in shares],
        [part.max(1) if len(part) else np.zeros(0) for part in shares],
        truth,
        tagger.classes_.tolist(),
    )
