"""Lines of a text, a tab and a label; for tags a word, a tab and its label, with empty lines between sentences."""

from __future__ import annotations

from typing import Any

import numpy as np

from elman.errors import DataError, say
from elman.readers.dataset import Dataset, Purpose
from elman.readers.numbers import as_labels, as_numbers
from elman.tasks.lexicon import split_words

__all__ = ["read_labelled_lines"]


def read_labelled_lines(path: str, lines: list[str], purpose: Purpose, *, needs_label: bool) -> Dataset:
    r"""Read texts with their labels, or texts alone.

    Args:
        path: of the file, for messages.
        lines: of the file.
        purpose: what it is read for.
        needs_label: whether labels are read, and each line must have one.

    Raises:
        DataError: naming the line that has no tab, or several.

    Example:
        >>> read_labelled_lines("r.txt", ["a good film\t+", "so bad\t-"], "classify", needs_label=True).X
        ['a good film', 'so bad']
    """
    filled = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    labelled = "\t" in filled[0][1]
    for number, line in filled:
        where, count = f"{path}, line {number:,}", line.count("\t")
        if count > 1:
            wrong = f"the line has {count} tabs"
            raise DataError(
                say(where, wrong, expected="one, before the label", cure="Turn those of the text into spaces")
            )
        if count != labelled or (needs_label and not count):
            what = "word" if purpose == "tag" else "text"
            cure = f"Write the {what}, a tab and the label" if needs_label or labelled else None
            got = "no tab" if not count else "a tab, which the lines before have not"
            raise DataError(
                say(where, "the label is missing" if not count else "this line has a label", got=got, cure=cure)
            )
    if purpose == "tag":
        return _tagged(path, lines, labelled, needs_label)
    numbers = [number for number, _ in filled]
    y: Any = None
    texts = [line for _, line in filled]
    form = "a text in each line"
    if labelled:
        parts = [line.split("\t") for line in texts]
        # SMS Spam and others put the label first. Labels come again and again, texts do not.
        first = len({part[0] for part in parts}) < len({part[1] for part in parts})
        texts, answers = [part[first] for part in parts], [part[not first] for part in parts]

        def place(row: int) -> str:
            return f"{path}, line {numbers[row]:,}"

        if needs_label:
            read: Any = as_numbers if purpose == "regress" else as_labels
            y = read(answers, what="the label", place=place)
        form = "a label, a tab and a text in each line" if first else "a text, a tab and a label in each line"
        for row, text in enumerate(texts):
            if not text.strip():
                cure = "Leave it out: nothing can be said about nothing"
                raise DataError(say(place(row), "the text is empty", expected="at least one character", cure=cure))
    return Dataset(path, texts, y, numbers, purpose, form)


def _tagged(path: str, lines: list[str], labelled: bool, needs_label: bool) -> Dataset:
    if not labelled:
        filled = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
        X = [split_words(line) for _, line in filled]
        return Dataset(path, X, None, [number for number, _ in filled], "tag", "a sentence in each line")
    X, y, ids = [], [], []
    words: list[str] = []
    labels: list[str] = []
    for number, line in enumerate([*lines, ""], 1):
        if line.strip():
            word, label = line.split("\t")
            words.append(word)
            labels.append(label.strip())
            if not labels[-1]:
                raise DataError(
                    say(f"{path}, line {number:,}", "there is no label after the tab", cure="Label the word")
                )
        elif words:
            X.append(words)
            y.append(np.array(labels, str))
            ids.append(len(X))
            words, labels = [], []
    form = "a word, a tab and its label in each line"
    return Dataset(path, X, y if needs_label else None, ids, "tag", form)
