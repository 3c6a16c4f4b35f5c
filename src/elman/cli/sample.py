"""`elman sample`: new text from a language model, character by character."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from elman.cli.common import Json, load, print_json

__all__ = ["sample"]


def sample(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file from `elman train text`.")],
    prime: Annotated[str, typer.Option(help="The text to go on from.")] = "",
    length: Annotated[int, typer.Option(min=0, help="How many characters to write.")] = 500,
    temperature: Annotated[float, typer.Option(help="Below 1 is bolder, above 1 wilder, 0 is --greedy.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(help="Choose among the K likeliest characters.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Choose among the likeliest that together reach P.")] = None,
    greedy: Annotated[bool, typer.Option("--greedy", help="Always take the likeliest character.")] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Write the same text each time.")] = None,
    as_json: Json = False,
) -> None:
    """Write new text with a trained language model, as it comes."""
    characters = load(model, task="language_model").sample(
        length, prime=prime, temperature=temperature, top_k=top_k, top_p=top_p, greedy=greedy, random_state=seed
    )
    if as_json:
        print_json({"prime": prime, "text": "".join(characters), "seed": seed})
        return
    last = prime[-1:]
    sys.stdout.write(prime)
    for last in characters:
        sys.stdout.write(last)
        # A terminal shows each character as it comes; a pipe is filled block by block, which is much quicker.
        if sys.stdout.isatty():
            sys.stdout.flush()
    # The text ends where it ends; only a terminal needs its prompt on a new line.
    if sys.stdout.isatty() and last != "\n":
        sys.stdout.write("\n")
