"""`elman sample`: new text from a language model, as it comes."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Annotated

import typer

from elman.cli.common import Json, harmless, load, print_json

__all__ = ["sample"]


def sample(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file from `elman train text`.")],
    prime: Annotated[str, typer.Option(help="The text to go on from.")] = "",
    length: Annotated[int, typer.Option(help="How many characters (or bytes, words, tokens) to write.")] = 500,
    temperature: Annotated[float, typer.Option(help="Below 1 is bolder, above 1 wilder, 0 is --greedy.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(help="Choose among the K likeliest.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Choose among the likeliest that together reach P.")] = None,
    min_p: Annotated[
        float | None, typer.Option(help="Choose among those at least P times as likely as the likeliest.")
    ] = None,
    repetition_penalty: Annotated[float, typer.Option(help="Above 1 makes what was written lately less likely.")] = 1.0,
    greedy: Annotated[bool, typer.Option("--greedy", help="Always take the likeliest.")] = False,
    beam: Annotated[
        int | None, typer.Option(help="Follow so many texts side by side and write the likeliest; nothing is drawn.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Write the same text each time.")] = None,
    as_json: Json = False,
) -> None:
    """Write new text with a trained language model, as it comes."""
    pieces = load(model, task="language_model").sample(
        length,
        prime=prime,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        greedy=greedy,
        beam=beam,
        random_state=seed,
    )
    if as_json:
        print_json({"prime": prime, "text": "".join(pieces), "seed": seed})
        return
    if not sys.stdout.isatty():
        # Block by block, which is much quicker, and exactly the text.
        sys.stdout.write(prime)
        sys.stdout.writelines(pieces)
        return
    for piece in itertools.chain(prime, pieces):
        sys.stdout.write(harmless(piece))
        sys.stdout.flush()
    # The prompt of the terminal begins a line of its own.
    sys.stdout.write("\n")
