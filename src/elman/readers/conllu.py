"""CoNLL-U, the treebanks of Universal Dependencies: a word in each line, ten columns, an empty line between sentences.

de Marneffe et al. 2021, "Universal Dependencies"; the format: https://universaldependencies.org/format.html.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elman.errors import DataError, UsageError, say
from elman.readers.dataset import Columns, Dataset
from elman.training.progress import Verbose, watch

__all__ = ["read_conllu"]

_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_LABELS = ("upos", "xpos", "feats", "deprel", "lemma")


def read_conllu(path: str, lines: list[str], *, label: str | None, needs_label: bool, verbose: Verbose = 0) -> Dataset:
    """Read sentences and a label for each of their words.

    Lines of several words at once (3-4) and of words that are left out (8.1) are passed over, as they carry no labels.

    Args:
        path: of the file, for messages.
        lines: of the file.
        label: the column: upos (if None), xpos, feats, deprel or lemma.
        needs_label: whether labels are read, and a word without one is a fault.
        verbose: 0 silent; else what takes long shows how far it is.

    Raises:
        UsageError: if there is no such column.
        DataError: naming the line that is malformed.
    """
    column = label or "upos"
    if column not in _LABELS:
        raise UsageError(
            say(path, f"there are no labels in column {column!r}", expected=f"one of {', '.join(_LABELS)}")
        )
    place = _COLUMNS.index(column)
    X: list[list[str]] = []
    tags: list[list[str]] = []
    ids: list[Any] = []
    words: list[str] = []
    labels: list[str] = []
    name: str | None = None
    unlabelled = 0

    def end(number: int) -> None:
        nonlocal words, labels, name
        if words:
            X.append(words)
            tags.append(labels)
            ids.append(name or len(X))
        words, labels, name = [], [], None

    for number, line in enumerate(watch(lines, total=len(lines), what=f"reading {path}", verbose=verbose), 1):
        if not line.strip():
            end(number)
            continue
        if line.startswith("#"):
            if line.startswith("# sent_id"):
                name = line.partition("=")[2].strip() or None
            continue
        cells = line.split("\t")
        if len(cells) != len(_COLUMNS):
            expected = "10, parted by tabs"
            cure = "CoNLL-U parts its columns by tabs, not by spaces" if len(cells) == 1 else None
            raise DataError(
                say(f"{path}, line {number:,}", f"the line has {len(cells)} columns", expected=expected, cure=cure)
            )
        if not cells[0].isdecimal():
            if not cells[0].replace("-", "").replace(".", "").isdecimal():
                raise DataError(
                    say(f"{path}, line {number:,}", "the line begins with no number of a word", got=repr(cells[0]))
                )
            continue
        if int(cells[0]) != len(words) + 1:
            expected, cure = f"word {len(words) + 1}", "Is the empty line between two sentences missing?"
            raise DataError(
                say(f"{path}, line {number:,}", "words are not in order", expected=expected, got=cells[0], cure=cure)
            )
        if cells[place] == "_" and cells[1] != "_" and column != "feats":
            unlabelled = unlabelled or number
        words.append(cells[1])
        labels.append(cells[place])
    end(len(lines))
    if not X:
        raise DataError(say(path, "there are no words in it", expected="at least one sentence"))
    if unlabelled and needs_label:
        where, wrong = f"{path}, line {unlabelled:,}", f"the word has no {column}"
        raise DataError(say(where, wrong, got="_", cure="Take another column: --label xpos, or label the word"))
    y: Any = None if not needs_label else [np.array(part, str) for part in tags]
    taken = {"text": "column 'form'"} | ({} if y is None else {"label": f"column {column!r}"})
    return Dataset(path, X, y, ids, "tag", "CoNLL-U", columns=Columns(label=label), taken=taken)
