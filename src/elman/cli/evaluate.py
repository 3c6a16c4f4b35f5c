"""`elman evaluate`: how good a model is on data whose answers are known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli.columns import Features, Format, Id, Label, Time
from elman.cli.common import Column, Encoding, Errors, Json, Suffixes, Threads, harmless, print_json, talk, use_threads

__all__ = ["evaluate"]

_SHOWN = 20  # classes that a table lists


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file from `elman train`.")],
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A file like that of the training, or a folder; - is standard input.")
    ],
    id: Id = None,
    time: Time = None,
    label: Label = None,
    features: Features = None,
    format: Format = None,
    column: Column = None,
    suffix: Suffixes = None,
    encoding: Encoding = "utf-8",
    errors: Errors = "strict",
    threads: Threads = None,
    per_token: Annotated[
        bool, typer.Option("--per-token", help="Print every piece of the text with its nats, too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure how good a model is.

    A language model reads a text as one stream from the zero state, and predicts every character (or byte, word, token)
    but the first. Other models answer for every sequence, and their answers are compared with the right ones.
    """
    from elman import tasks

    use_threads(threads)
    loaded = tasks.load(model)
    if isinstance(loaded, tasks.LanguageModel):
        options: dict[str, Any] = {"column": column, "suffixes": suffix, "encoding": encoding, "errors": errors}
        score = _of_text(loaded, data, per_token=per_token, **options)
        print_json(score) if as_json else _print_text(score, loaded.vocabulary_)
        return
    from elman.cli.data import columns_of, purpose_of, read_data, said_columns
    from elman.readers.door import format_of
    from elman.tasks.evaluation import evaluate, headline

    purpose = purpose_of(loaded, model)
    said = said_columns(id, time, label, features)
    columns = columns_of(loaded, model, said, format=format_of(data, format))
    options = {"format": format, "suffixes": suffix, "encoding": encoding, "errors": errors}
    read = read_data(data, purpose, columns, quiet=as_json, told=False, **options)
    loaded.verbose = 0 if as_json else "auto"
    figures = evaluate(loaded, read.X, read.y)
    if as_json:
        print_json(figures)
        return
    print(headline(loaded, figures), end="")
    print(f", root mean squared error {figures['rmse']:.4g}" if purpose == "regress" else "", end="")
    print(f", {figures['faultless']:.1%} of sequences without a fault" if purpose == "tag" else "", end="")
    print(f" on {figures['count']:,} {'steps' if purpose == 'tag' else 'sequences'}")
    if purpose != "regress":
        _print_classes(figures)


def _of_text(model: Any, data: str, *, per_token: bool, **options: Any) -> dict[str, Any]:
    from elman.tasks import Corpus

    corpus = Corpus.from_files(data, vocabulary=model.vocabulary_, verbose="auto", **options)
    if corpus.left:
        talk(corpus.account())
    score: dict[str, Any] = model.score(corpus, per_token=per_token)
    return score


def _print_text(score: dict[str, Any], vocabulary: Any) -> None:
    for piece, nats in score.get("per_token", ()):
        print(f"{nats:.4f}\t{harmless(repr(piece))}")
    kind, one = vocabulary.kind, vocabulary.one
    if one != "character":
        print(f"{score[f'nats_per_{one}']:.4f} nats per {one}")
    print(f"{score['nats_per_char']:.4f} nats per character, {score['bits_per_char']:.4f} bits per character")
    print(f"perplexity {score['perplexity']:.3f} over {score['count']:,} {kind}", end="")
    print(f", {score['unseen']:,} of them unseen in training" if score["unseen"] else "")


def _print_classes(figures: dict[str, Any]) -> None:
    """Print a table of the classes, the most frequent first, and what is taken for what."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from elman.readers.words import some

    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("label", overflow="fold")
    for name in ("precision", "recall", "F1", "count"):
        table.add_column(name, justify="right")
    classes = sorted(figures["classes"], key=lambda one: -one["count"])
    for one in classes[:_SHOWN]:
        shares = [f"{one[name]:.3f}" for name in ("precision", "recall", "f1")]
        table.add_row(Text(harmless(str(one["label"]))), *shares, f"{one['count']:,}")
    if len(classes) > _SHOWN:
        table.add_row(f"{len(classes) - _SHOWN} more", "", "", "", "")
    console = Console(highlight=False)
    console.print(table)
    for right, given, count in figures["confusions"][:5]:
        console.print(Text(harmless(f"{right} was taken for {given}: {some(count, 'time')}")))
