"""`elman evaluate`: how well a model predicts a text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from elman.cli.common import (
    Column,
    Encoding,
    Errors,
    Json,
    Suffixes,
    Threads,
    harmless,
    load,
    print_json,
    talk,
    use_threads,
)

__all__ = ["evaluate"]


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file from `elman train text`.")],
    file: Annotated[str, typer.Argument(metavar="FILE", help="A text file, or a folder of them; - is standard input.")],
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
    """Measure how well a language model predicts a text.

    The text is read as one stream from the zero state; every character (or byte, word, token) but the first is
    predicted.
    """
    from elman.tasks import Corpus

    use_threads(threads)
    language_model = load(model, task="language_model")
    corpus = Corpus.from_files(
        file,
        suffixes=suffix,
        column=column,
        encoding=encoding,
        errors=errors,
        vocabulary=language_model.vocabulary_,
        verbose="auto",
    )
    if corpus.left:
        talk(corpus.account())
    score = language_model.score(corpus, per_token=per_token)
    if as_json:
        print_json(score)
        return
    for piece, nats in score.get("per_token", ()):
        print(f"{nats:.4f}\t{harmless(repr(piece))}")
    kind, one = language_model.vocabulary_.kind, language_model.vocabulary_.one
    if one != "character":
        print(f"{score[f'nats_per_{one}']:.4f} nats per {one}")
    print(f"{score['nats_per_char']:.4f} nats per character, {score['bits_per_char']:.4f} bits per character")
    print(f"perplexity {score['perplexity']:.3f} over {score['count']:,} {kind}", end="")
    print(f", {score['unseen']:,} of them unseen in training" if score["unseen"] else "")
