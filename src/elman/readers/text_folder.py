"""A folder with a folder for each class, and in it a file for each text."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from elman.errors import DataError, UsageError, say
from elman.readers.dataset import Dataset, Purpose
from elman.readers.numbers import as_labels, as_numbers
from elman.readers.text import read_whole
from elman.readers.words import some
from elman.tasks.text_files import SUFFIXES, find_files
from elman.training.progress import Verbose, watch

__all__ = ["read_text_folder"]


def read_text_folder(
    path: str,
    purpose: Purpose,
    *,
    needs_label: bool,
    suffixes: Sequence[str] | None = None,
    encoding: str = "utf-8",
    errors: str = "strict",
    verbose: Verbose = 0,
) -> Dataset:
    """Read the texts of a folder; the name of the folder that one lies in is its label.

    Args:
        path: of the folder.
        purpose: "classify" or "regress".
        needs_label: whether labels are read, and each text must lie in a folder of its class.
        suffixes: which files are texts; None takes .txt.
        encoding: of the files.
        errors: "strict", "replace" or "ignore".
        verbose: 0 silent; else what takes long shows how far it is.

    Raises:
        UsageError: if there are no texts, or none in a folder of a class.
        DataError: if a file is empty or no text.
    """
    found = find_files([path], suffixes=suffixes or SUFFIXES)
    names = [os.path.relpath(file, path) for file in found.taken]
    labels = [name.split(os.sep)[0] if os.sep in name else None for name in names]
    loose = [name for name, label in zip(names, labels, strict=True) if label is None]
    if needs_label and loose:
        cure = f"Make a folder for each class and put the texts into it: {os.path.join(path, 'CLASS', loose[0])}"
        raise UsageError(say(path, f"{loose[0]!r} lies in no folder of a class", cure=cure))
    X = [
        read_whole(file, encoding=encoding, errors=errors)
        for file in watch(found.taken, total=len(found.taken), what=f"reading {path}", verbose=verbose)
    ]
    y: Any = None
    if needs_label:
        place = lambda row: names[row]  # noqa: E731 - said in one line
        y = (as_numbers if purpose == "regress" else as_labels)(labels, what="the folder", place=place)
        if purpose == "classify" and len(set(labels)) < 2:
            wrong, expected = f"all texts lie in one folder, {labels[0]!r}", "a folder for each class"
            raise DataError(say(path, wrong, expected=expected))
    form = "a folder of texts" if loose else "a folder of texts for each class"
    if found.left:
        form += f", {some(len(found.left), 'file')} of other kinds left"
    return Dataset(path, X, y, names, purpose, form, taken={} if y is None else {"label": "the folder"})
