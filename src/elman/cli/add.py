"""`elman add`: the network that learns to add."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elman.cli.common import Json, check_output, load, print_json
from elman.errors import UsageError, say

if TYPE_CHECKING:
    from elman.tasks import BinaryAdder

__all__ = ["add", "lesson"]

WIDTHS = (16, 32, 64)


def add(
    numbers: Annotated[
        list[int] | None, typer.Argument(metavar="[A B]", help="Two numbers, as large as you like.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights and examples.")] = 0,
    model: Annotated[Path | None, typer.Option("--model", "-m", help="Ask this model instead of training one.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Save the trained model here.")] = None,
    as_json: Json = False,
) -> None:
    """Train a network to add binary numbers, or ask it for A + B.

    It learns from 10,000 sums of two numbers below 128, which takes about a second; then it adds numbers of any size.
    """
    if numbers and len(numbers) != 2:
        got = " ".join(map(str, numbers))
        raise UsageError(say("elman add", "it adds two numbers", expected="A B, or none for the lesson", got=got))
    if output is not None:
        check_output(output)
    if model is not None:
        adder = load(model, task="addition")
    else:
        from elman.tasks import BinaryAdder

        adder = BinaryAdder(random_state=seed)
    if numbers:
        adder = adder if model is not None else adder.fit()
        _answer(adder, *numbers, as_json=as_json)
    else:
        figures = lesson(adder, train=model is None, show=not as_json)
        if as_json:
            print_json(figures)
    if output is not None:
        adder.save(output)


def _answer(adder: BinaryAdder, a: int, b: int, *, as_json: bool) -> None:
    answer = adder.add(a, b)
    if as_json:
        print_json({"a": a, "b": b, "answer": answer, "right": answer == a + b})
    else:
        print(f"{a} + {b} = {answer}" + ("" if answer == a + b else f"  (wrong: it is {a + b})"))


def lesson(adder: BinaryAdder, *, train: bool = True, show: bool = True) -> dict[str, Any]:
    """Train an adder, print how it comes along, and count what it gets right.

    Args:
        adder: trained here.
        train: whether to train it, or only to count.
        show: whether to print.

    Returns:
        The counts.
    """
    say_line = print if show else lambda *_: None
    figures: dict[str, Any] = {}
    if train:
        say_line(
            f"A network of {adder.hidden} sigmoid units learns to add two numbers below {2**adder.bits}, bit by bit, "
            f"from {adder.examples:,} examples.\n"
        )
        began = time.perf_counter()
        adder.fit(on_example=lambda example: say_line(_shown(example)))
        figures["seconds"] = seconds = time.perf_counter() - began
        say_line(
            f"Trained in {seconds:.2f} s, {1e6 * seconds / adder.examples:.0f} µs an example. With no further training:"
        )
    pairs = 10_000
    for bits in WIDTHS:
        figures[f"right_{bits}_bits"] = right = adder.count_right(bits=bits, pairs=pairs)
        say_line(f"{right:,} of {pairs:,} random sums of {bits}-bit numbers right")
    figures["right"], figures["pairs"] = right, n_pairs = adder.count_right_of_all()
    say_line(f"{right:,} of {n_pairs:,} sums right")
    return figures


def _shown(example: Any) -> str:
    wrong = "" if example.answer == example.a + example.b else "   (wrong)"
    return (
        f"example {example.number:,}   error {example.error:.4f}\n"
        f"  pred  {' '.join(map(str, example.prediction))}\n"
        f"  true  {' '.join(map(str, example.truth))}\n"
        f"  {example.a} + {example.b} = {example.answer}{wrong}\n"
    )
