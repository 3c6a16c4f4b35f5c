"""`elman predict`: the answers of a model to the sequences of a file."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

import typer

from elman.cli.columns import Features, Format, Id, Time
from elman.cli.common import (
    Encoding,
    Errors,
    Quiet,
    Suffixes,
    Threads,
    check_output,
    harmless,
    in_colour,
    talk,
    use_threads,
)
from elman.errors import UsageError, say

__all__ = ["predict"]

Style = Literal["csv", "jsonl", "text"]

# Colours of terminals that are told apart on light and dark ground, and by most who see red as green.
_COLOURS = (34, 33, 32, 35, 36, 31, 94, 93, 92, 95, 96, 91)


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file from `elman train`.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help="A file, or a folder of texts; - is lines of text.")],
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to a file, whole or not at all; default: -, print.")
    ] = None,
    style: Annotated[
        str | None,
        typer.Option(
            "--as",
            help="csv, jsonl (an object in each line) or text (words with their labels); default: by the name of the"
            " output, else text for words and csv for the rest.",
        ),
    ] = None,
    proba: Annotated[bool, typer.Option("--proba", help="Give the probability of every label.")] = False,
    id: Id = None,
    time: Time = None,
    features: Features = None,
    format: Format = None,
    suffix: Suffixes = None,
    encoding: Encoding = "utf-8",
    errors: Errors = "strict",
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Answer for every sequence of a file: its class, its number, or the labels of its steps.

    Columns are taken as in the training; labels are not needed. Answers come in the order of the file.
    """
    from elman import tasks
    from elman.cli.data import columns_of, purpose_of, read_data, said_columns
    from elman.readers.door import format_of

    output = None if str(output) == "-" else output
    chosen = _style(style, output)
    if output is not None:
        check_output(output, sources=[data, str(model)], what="answers")
    use_threads(threads)
    task = tasks.load(model)
    purpose = purpose_of(task, model)
    if proba and purpose == "regress":
        raise UsageError(say("--proba", "a number has no probabilities", cure="Leave it out"))
    columns = columns_of(task, model, said_columns(id, time, None, features), format=format_of(data, format))
    options: dict[str, Any] = {"format": format, "suffixes": suffix, "encoding": encoding, "errors": errors}
    read = read_data(data, purpose, columns, quiet=quiet, told=False, needs_label=False, **options)
    words = purpose == "tag" and read.kind == "tokens"
    if chosen == "text" and not words:
        raise UsageError(say("--as text", "these are no words with labels", expected="csv or jsonl"))
    task.verbose = 0 if quiet else "auto"
    answers, shares = task.predict(read.X), None
    if proba:
        shares = task.predict_proba(read.X)
    chosen = chosen or ("text" if words and not proba else "csv")
    if chosen == "text":
        lines = _sentences(read.X, answers, coloured=output is None and in_colour(sys.stdout))
    elif chosen == "jsonl":
        lines = _objects(read, answers, shares, task)
    else:
        lines = _rows(read, answers, shares, task)
    if output is None:
        sys.stdout.writelines(lines)
        return
    from elman.files import write_atomic

    write_atomic(output, "".join(lines).encode())
    if not quiet:
        talk(f"Saved {output}.")


def _style(style: str | None, output: Path | None) -> Style | None:
    if style is None:
        suffix = "" if output is None else output.suffix.lower()
        by_name: dict[str, Style] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "text"}
        return by_name.get(suffix)
    if style not in get_args(Style):
        expected = ", ".join(get_args(Style))
        raise UsageError(say("--as", "there is no such form", expected=f"one of {expected}", got=repr(style)))
    return cast(Style, style)


def _plain(answer: Any) -> Any:
    """Give what NumPy holds as JSON has it."""
    return answer.tolist() if hasattr(answer, "tolist") else answer


def _objects(read: Any, answers: Any, shares: Any, task: Any) -> Iterator[str]:
    """Write an object for each sequence."""
    names = [] if shares is None else [str(label) for label in task.classes_.tolist()]
    for index, (name, answer) in enumerate(zip(read.ids, answers, strict=True)):
        entry: dict[str, Any] = {"id": name}
        if read.purpose == "tag" and read.kind == "tokens":
            entry["words"] = read.X[index]
        entry["labels" if read.purpose == "tag" else "prediction"] = _plain(answer)
        if shares is not None:
            found = shares[index].tolist()
            of = [dict(zip(names, step, strict=True)) for step in found] if read.purpose == "tag" else None
            entry["probabilities"] = dict(zip(names, found, strict=True)) if of is None else of
        yield json.dumps(entry, ensure_ascii=False, default=str) + "\n"


def _rows(read: Any, answers: Any, shares: Any, task: Any) -> Iterator[str]:
    """Write a table with a row for each sequence, or for each step of one."""
    names = [] if shares is None else [f"p({label})" for label in task.classes_.tolist()]
    if read.purpose == "tag":
        word = ["word"] if read.kind == "tokens" else []
        yield _row(["id", "step", *word, "prediction", *names])
        for index, (name, labels) in enumerate(zip(read.ids, answers, strict=True)):
            for step, label in enumerate(_plain(labels)):
                cells = [read.X[index][step]] if word else []
                odds = [] if shares is None else shares[index][step].tolist()
                yield _row([name, step + 1, *cells, label, *odds])
        return
    several = getattr(answers, "ndim", 1) == 2
    heads = [f"prediction_{number + 1}" for number in range(answers.shape[1])] if several else ["prediction"]
    yield _row(["id", *heads, *names])
    for index, (name, answer) in enumerate(zip(read.ids, _plain(answers), strict=True)):
        odds = [] if shares is None else shares[index].tolist()
        yield _row([name, *(answer if several else [answer]), *odds])


def _row(cells: list[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(f"{cell:.9g}" if isinstance(cell, float) else cell for cell in cells)
    return line.getvalue()


def _sentences(X: list[list[str]], answers: Any, *, coloured: bool) -> Iterator[str]:
    """Write every word with its label, in the label's colour on a terminal."""
    colours: dict[str, int] = {}
    for words, labels in zip(X, answers, strict=True):
        parts = []
        for word, label in zip(words, _plain(labels), strict=True):
            if coloured:
                colour = _COLOURS[colours.setdefault(str(label), len(colours)) % len(_COLOURS)]
                parts.append(f"{harmless(word)}\x1b[{colour}m/{harmless(str(label))}\x1b[0m")
            else:
                parts.append(f"{word}/{label}")
        yield " ".join(parts) + "\n"
