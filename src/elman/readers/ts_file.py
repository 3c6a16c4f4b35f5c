"""The .ts files of sktime, aeon and the UEA & UCR archive of time series.

A header of lines that begin with @, then one case in each line: channels parted by colons, numbers by commas, and the
label at the end. Löning et al. 2019, "sktime: A Unified Interface for Machine Learning with Time Series".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elman.errors import DataError, say
from elman.readers.dataset import Dataset, Purpose
from elman.readers.numbers import as_labels, as_numbers
from elman.training.progress import Verbose, watch

__all__ = ["read_ts"]

_YES = {"true": True, "false": False}


def read_ts(path: str, lines: list[str], purpose: Purpose, *, needs_label: bool, verbose: Verbose = 0) -> Dataset:
    """Read cases of equal or unequal lengths.

    Args:
        path: of the file, for messages.
        lines: of the file.
        purpose: "classify" or "regress".
        needs_label: whether answers are read.
        verbose: 0 silent; else what takes long shows how far it is.

    Raises:
        DataError: if the header is not understood, a value is missing, or a case does not fit; naming the line.
    """
    header, begin = _header(path, lines)
    labelled, classes = _labels(path, header)
    dimensions = int(header["dimensions"][1][0]) if "dimensions" in header else None
    X: list[Any] = []
    answers: list[str] = []
    numbers: list[int] = []
    body = lines[begin:]
    for number, line in enumerate(watch(body, total=len(body), what=f"reading {path}", verbose=verbose), begin + 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where = f"{path}, line {number:,}"
        channels = line.strip().split(":")
        if labelled:
            answers.append(channels.pop().strip())
            if needs_label and classes and answers[-1] not in classes:
                expected = f"one of the header's: {', '.join(classes)}"
                raise DataError(say(where, "the label is not in @classLabel", expected=expected, got=repr(answers[-1])))
        if len(channels) != (dimensions or len(channels)) or not channels:
            expected = f"{dimensions or 1} and a label" if labelled else f"{dimensions or 1}"
            wrong = f"the case has {len(channels)} channels"
            raise DataError(say(where, wrong, expected=expected, cure="Check its colons"))
        X.append(_case(where, channels))
        numbers.append(number)
        if X[-1].shape[1] != X[0].shape[1]:
            wrong = f"the case has {X[-1].shape[1]} channels"
            raise DataError(say(where, wrong, expected=f"{X[0].shape[1]} as in the first"))
    if not X:
        raise DataError(say(path, "there are no cases after @data", expected="at least one"))
    y: Any = None
    if labelled and needs_label:
        place = lambda row: f"{path}, line {numbers[row]:,}"  # noqa: E731 - said in one line
        read = as_numbers if purpose == "regress" else as_labels
        y = read(answers, what="the label", place=place)
    taken = {"label": "at the end of each case"} if y is not None else {}
    name = header.get("problemname", (0, []))[1]
    form = f"time series of sktime, {' '.join(name)}" if name else "time series of sktime"
    return Dataset(path, X, y, numbers, purpose, form, taken=taken)


def _header(path: str, lines: list[str]) -> tuple[dict[str, tuple[int, list[str]]], int]:
    """Give what the header says, keyword -> line and words, and how many lines it has."""
    header: dict[str, tuple[int, list[str]]] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if not words[0].startswith("@"):
            cure = "A .ts file has a header, such as @classLabel true a b, and @data before the first case"
            raise DataError(say(f"{path}, line {number:,}", "a case stands before @data", cure=cure))
        if words[0].lower() == "@data":
            _check(path, header)
            return header, number
        header[words[0][1:].lower()] = number, words[1:]
    raise DataError(say(path, "there is no @data in it", expected="a header and @data before the cases"))


def _check(path: str, header: dict[str, tuple[int, list[str]]]) -> None:
    if _flag(path, header, "timestamps"):
        where = f"{path}, line {header['timestamps'][0]:,}"
        cure = "Write the values alone, with @timeStamps false, or a CSV in long form with a column of times"
        raise DataError(say(where, "values with time stamps are not read", cure=cure))
    if "dimensions" in header and not header["dimensions"][1][:1]:
        raise DataError(say(f"{path}, line {header['dimensions'][0]:,}", "@dimensions has no number"))
    if "dimensions" in header and not header["dimensions"][1][0].isdecimal():
        got = header["dimensions"][1][0]
        raise DataError(say(f"{path}, line {header['dimensions'][0]:,}", "@dimensions is no number", got=repr(got)))


def _labels(path: str, header: dict[str, tuple[int, list[str]]]) -> tuple[bool, list[str]]:
    """Say whether cases end in a label, and which classes there are."""
    labelled = _flag(path, header, "classlabel")
    classes = header["classlabel"][1][1:] if labelled else []
    return labelled or _flag(path, header, "targetlabel"), classes


def _flag(path: str, header: dict[str, tuple[int, list[str]]], name: str) -> bool:
    number, words = header.get(name, (0, ["false"]))
    said = _YES.get(words[0].lower() if words else "")
    if said is None:
        got = repr(" ".join(words))
        raise DataError(say(f"{path}, line {number:,}", f"@{name} is neither true nor false", got=got))
    return said


def _case(where: str, channels: list[str]) -> Any:
    columns = []
    for number, channel in enumerate(channels, 1):
        cells = channel.split(",") if channel.strip() else []
        what = f"channel {number}" if len(channels) > 1 else "the series"
        columns.append(as_numbers(cells, what=what, place=lambda step: f"{where}, step {step + 1}"))
    sizes = [len(column) for column in columns]
    if len(set(sizes)) > 1:
        got = ", ".join(map(str, sizes[:12])) + (" …" if len(sizes) > 12 else "")
        cure = "Fill the shorter ones, or cut the longer"
        wrong = "the channels of this case differ in length"
        raise DataError(say(where, wrong, expected=f"{sizes[0]} steps in each", got=got, cure=cure))
    if not sizes[0]:
        cure = "Leave it out: nothing can be said about nothing"
        raise DataError(say(where, "the sequence is empty", expected="at least one step", cure=cure))
    return np.stack(columns, axis=1)
