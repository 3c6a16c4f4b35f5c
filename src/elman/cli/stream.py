"""`elman stream`: an answer to every line, as soon as it comes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli.common import Json, Threads, harmless, talk, use_threads
from elman.errors import DataError, ElmanError, UsageError, say

__all__ = ["stream"]


def stream(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file.")],
    top: Annotated[int, typer.Option(help="How many candidates to give for the next character of a text.")] = 5,
    newlines: Annotated[bool, typer.Option("--newlines", help="Let the end of a line belong to the text.")] = False,
    reset_on_blank: Annotated[bool, typer.Option("--reset-on-blank", help="Begin anew after a blank line.")] = False,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Answer every line of standard input at once, and go on from there.

    A language model takes a piece of text and gives the likeliest next characters with their probabilities. Any other
    model takes the numbers of one step, with commas or spaces between them or as a JSON list, or one token id, and
    gives its outputs. Every line has one line of answer, which is empty (null with --json) for a blank line that begins
    anew and for a line that cannot be read: that one is told on standard error, changes nothing, and makes the exit
    code 3.
    """
    from elman import tasks

    use_threads(threads)
    loaded = tasks.load(model)
    if isinstance(loaded, tasks.LanguageModel):
        answer, reset, shown = _of_text(loaded, top, newlines)
    elif isinstance(loaded, tasks.TASKS["model"]):
        answer, reset, shown = _of_steps(loaded)
    else:
        cure = f"See what it is with: elman info {model}"
        got = type(loaded).__name__
        raise UsageError(
            say(str(model), "it cannot go on step by step", expected="a model or language model", got=got, cure=cure)
        )
    if sys.stdin is None:
        raise UsageError(say("standard input", "it is closed", cure="Pipe the steps into it"))
    wrong = 0
    for number, line in enumerate(_lines(), 1):
        given: Any = None
        try:
            if reset_on_blank and not line.strip():
                reset()
            else:
                given = answer(line.decode("utf-8"))
        except (ElmanError, UnicodeDecodeError) as error:
            wrong += 1
            talk(f"line {number}: {error}")
        if as_json:
            print(json.dumps(given, ensure_ascii=False))
        else:
            print("" if given is None else shown(given))
        sys.stdout.flush()
    if wrong:
        raise DataError(say("stream", f"{wrong:,} of {number:,} lines could not be read", cure="See the notes above"))


def _lines() -> Iterator[bytes]:
    """Give the lines of standard input as they come, without their ends."""
    while line := sys.stdin.buffer.readline():
        yield line.removesuffix(b"\n").removesuffix(b"\r")


def _of_text(model: Any, top: int, newlines: bool) -> tuple[Callable[[str], Any], Callable[[], None], Any]:
    text = model.stream()

    def answer(line: str) -> list[dict[str, Any]]:
        text.feed(line + "\n" * newlines)
        return [{"text": character, "probability": p} for character, p in text.candidates(top)]

    def shown(candidates: list[dict[str, Any]]) -> str:
        return "\t".join(f"{harmless(repr(c['text']))} {c['probability']:.4f}" for c in candidates)

    if top < 1:
        raise UsageError(say("--top", "it is out of range", expected="an integer >= 1", got=repr(top)))
    return answer, text.reset, shown


def _of_steps(model: Any) -> tuple[Callable[[str], Any], Callable[[], None], Any]:
    steps = model.stream()

    def answer(line: str) -> list[float]:
        # Written as they are in their own precision: 0.1, not 0.10000000149011612.
        return [float(str(number)) for number in steps.step(_read(line)).ravel()]

    def shown(row: list[float]) -> str:
        return " ".join(map(str, row))

    return answer, steps.reset, shown


def _read(line: str) -> Any:
    """Read the input of a step: one integer alone is a token id or the only number."""
    try:
        if line.lstrip().startswith("["):
            numbers = json.loads(line)
        else:
            numbers = [_number(word) for word in line.replace(",", " ").split()]
        if not numbers:
            raise ValueError("it is empty")
    except (ValueError, RecursionError) as error:  # a line may be a thousand brackets
        expected = "numbers with commas or spaces between them, a JSON list, or one token id"
        raise DataError(say("stream", f"the line is no step ({error})", expected=expected)) from None
    return numbers


def _number(word: str) -> float | int:
    try:
        return int(word)
    except ValueError:
        return float(word)
