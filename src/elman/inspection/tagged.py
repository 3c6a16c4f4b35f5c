"""A text and the labels of its words, with how sure they are."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, DataTypeError, UsageError, say
from elman.inspection.pictures import COLOURS
from elman.inspection.plain import plain
from elman.inspection.plots import canvas, finish, font_family
from elman.tasks import SequenceTagger
from elman.tasks.lexicon import split_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TaggedText", "tagged_text"]

Array = NDArray[Any]
Text = str | Sequence[str]

# Labels may be many: where colours come again, what stands below the words tells them apart.
_COLOURS = (*COLOURS, "#F0E442", "#999999", "#8C564B", "#6A3D9A", "#B2DF8A", "#17BECF")
_WIDTH = 64  # letters in a line of the picture


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
        return _draw(self, path, title)


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


def _draw(found: TaggedText, path: str | os.PathLike[str] | None, title: str | None) -> Figure:
    """Draw words on the colours of their labels, the labels below them."""
    colour = {label: _COLOURS[k % len(_COLOURS)] for k, label in enumerate(found.classes)}
    wrong = found.wrong or [np.zeros(len(words), bool) for words in found.words]
    placed: list[tuple[float, int, int, int]] = []  # where a word stands: column, line, text, number in it
    line, right = 0, 20.0
    for text, words in enumerate(found.words):
        column = 0.0
        for k, word in enumerate(words):
            width = max(_columns(word), 0.75 * _columns(str(found.labels[text][k])))
            if column and column + width > _WIDTH:
                column, line = 0.0, line + 1
            placed.append((column, line, text, k))
            column += width + 1.6
            right = max(right, column)
        line += 1
    figure, ((axes,),) = canvas("plot", 1, 1, size=(0.125 * right, 0.5 + 0.52 * max(line, 1)))
    family = ["DejaVu Sans Mono", *font_family()]
    for column, row, text, k in placed:
        label, sure, bad = found.labels[text][k], float(found.probabilities[text][k]), bool(wrong[text][k])
        box = {"boxstyle": "round,pad=0.28", "facecolor": (colour[label], 0.1 + 0.5 * sure**2),
               "edgecolor": "#CC0000" if bad else "none", "linewidth": 1.6}  # fmt: skip
        axes.text(column, row, found.words[text][k], fontsize=10, va="center", bbox=box, family=family)
        below = f"{label}" if not bad or found.truth is None else f"{label}, not {found.truth[text][k]}"
        axes.text(column, row + 0.46, below, fontsize=6.5, va="center", family=family,
                  color="#CC0000" if bad else "#444444")  # fmt: skip
    axes.set(xlim=(-1, right), ylim=(max(line, 1) - 0.3, -0.5))
    axes.axis("off")
    return finish(figure, path, title)


def _columns(text: str) -> float:
    """Give how wide a text is in letters; Chinese, Japanese and Korean letters are twice as wide."""
    return sum(1.7 if unicodedata.east_asian_width(letter) in "WF" else 1.0 for letter in text)
