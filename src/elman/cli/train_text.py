"""`elman train text`: a language model from text files."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli.common import (
    Column,
    DryRun,
    Encoding,
    Errors,
    Json,
    MemoryMap,
    Quiet,
    Suffixes,
    Threads,
    Watch,
    check_output,
    guarded,
    print_json,
    print_rehearsal,
    talk,
    use_threads,
    what_is_saved,
)
from elman.cli.flags import options_of, with_options
from elman.readers.words import some
from elman.tasks import Corpus, LanguageModel, SaveEachEpoch, find_files
from elman.tasks.rehearsal import rehearse
from elman.tasks.sources import suffixes_of

__all__ = ["apps", "text"]

apps = {"text": typer.Typer(add_completion=False)}


def text(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE", help="Text files, or folders of them, joined in this order; - is standard input."
        ),
    ],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The model file, rewritten after each epoch.")] = Path(
        "model.elman"
    ),
    column: Column = None,
    suffix: Suffixes = None,
    encoding: Encoding = "utf-8",
    errors: Errors = "strict",
    memory_map: MemoryMap = None,
    dry_run: DryRun = False,
    threads: Threads = None,
    watch: Watch = False,
    as_json: Json = False,
    quiet: Quiet = False,
    **arguments: Any,
) -> None:
    """Train a language model on text files: of characters, or of other --units.

    What is not said is the preset's, for a text of this size; --hidden, --epochs and all others may be given beside it.
    Losses are in nats per unit. Ctrl-C finishes the batch, saves the model and stops; a second one stops at once.
    """
    suffixes = suffix or suffixes_of(column)
    check_output(output, sources=find_files(files, suffixes=suffixes).taken)
    use_threads(threads)
    verbose = 0 if quiet else "auto"
    corpus = Corpus.from_files(
        files,
        suffixes=suffixes,
        column=column,
        encoding=encoding,
        errors=errors,
        units=arguments["units"],
        memory_map="auto" if memory_map is None else memory_map,
        verbose=verbose,
    )
    if corpus.left and not quiet:
        talk(corpus.account())
    model = LanguageModel(**arguments, verbose=verbose)
    if dry_run:
        print_rehearsal(rehearse(model, corpus), as_json=as_json)
        return
    saver = SaveEachEpoch(model, output)
    following = f"elman sample {shlex.quote(str(output))}"
    with what_is_saved(saver, following=following):
        model.fit(corpus, callbacks=[saver], watch="gradients" if watch else None)
    figures = {"model": str(output), **model.training_}
    if as_json:
        print_json(figures)
        return
    print(_summary(figures, model.vocabulary_.one))
    print(f"Saved {output}. Next: {following}")


def _summary(figures: dict[str, Any], unit: str) -> str:
    losses = f"train {figures['loss']:.4f}"
    if "val_loss" in figures:
        losses += f", validation {figures['val_loss']:.4f}"
    return f"{losses} nats per {unit} after {some(figures['epochs'], 'epoch')} in {figures['seconds']:.1f} s"


apps["text"].command("text")(
    guarded(with_options(text, options_of(LanguageModel, panel="Network and training", without={"verbose"})))
)
