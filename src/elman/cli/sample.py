"""`elman sample`: new text from a language model, character by character."""

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
    length: Annotated[int, typer.Option(help="How many characters to write.")] = 500,
    temperature: Annotated[float, typer.Option(help="Below 1 is bolder, above 1 wilder, 0 is --greedy.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(help="Choose among the K likeliest characters.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Choose among the likeliest that together reach P.")] = None,
    greedy: Annotated[bool, typer.Option("--greedy", help="Always take the likeliest character.")] = False,
    seed: Annotated[int | None, typer.Option(help="Write the same text each time.")] = None,
    as_json: Json = False,
) -> None:
    """Write new text with a trained language model, as it comes."""
    characters = load(model, task="language_model").sample(
        length, prime=prime, temperature=temperature, top_k=top_k, top_p=top_p, greedy=greedy, random_state=seed
    )
    if as_json:
        print_json({"prime": prime, "text": "".join(characters), "seed": seed})
        return
    if not sys.stdout.isatty():
        # Block by block, which is much quicker, and exactly the text.
        sys.stdout.write(prime)
        sys.stdout.writelines(characters)
        return
    for character in itertools.chain(prime, characters):
        sys.stdout.write(harmless(character))
        sys.stdout.flush()
    # The prompt of the terminal begins a line of its own.
    sys.stdout.write("\n")
