"""`elman train text`: a language model from text files."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli.common import Encoding, Errors, Json, Quiet, Threads, guarded, print_json, talk, use_threads
from elman.cli.flags import options_of, with_options
from elman.errors import DivergedError, Interrupted, SaveError, UsageError
from elman.files import check_target
from elman.tasks import LanguageModel, SaveEachEpoch, read_text

__all__ = ["app", "text"]

app = typer.Typer(add_completion=False)


def text(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Text files, joined in this order; - is standard input.")
    ],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The model file, rewritten after each epoch.")] = Path(
        "model.elman"
    ),
    encoding: Encoding = "utf-8",
    errors: Errors = "strict",
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
    **arguments: Any,
) -> None:
    """Train a character language model on text files.

    Losses are in nats per character. Ctrl-C finishes the batch, saves the model and stops; a second one stops at once.
    """
    try:
        check_target(output)
    except SaveError as error:
        raise UsageError(str(error)) from None
    use_threads(threads)
    content = "".join(read_text(file, encoding=encoding, errors=errors) for file in files)
    model = LanguageModel(**arguments, verbose=0 if quiet else "auto")
    saver = SaveEachEpoch(model, output)
    following = f"elman sample {shlex.quote(str(output))}"
    try:
        model.fit(content, callbacks=[saver])
    except Interrupted:
        talk(
            f"Stopped in epoch {saver.epochs + 1} of {model.epochs}. {output} holds the model as it is now: {following}"
        )
        raise
    except DivergedError:
        talk(f"{output} holds the model after epoch {saver.epochs}." if saver.epochs else f"{output} was not written.")
        raise
    figures = {"model": str(output), **model.training_}
    if as_json:
        print_json(figures)
        return
    print(f"{_figures(figures)}, after {figures['epochs']} epochs in {figures['seconds']:.0f} s")
    print(f"Saved {output}. Next: {following}")


def _figures(figures: dict[str, Any]) -> str:
    train = f"{figures['loss']:.4f} nats per character in training"
    return f"{train}, {figures['val_loss']:.4f} in validation" if "val_loss" in figures else train


app.command("text")(guarded(with_options(text, options_of(LanguageModel, without={"verbose"}))))
