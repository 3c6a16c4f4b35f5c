"""`elman demo memory`: who remembers how far, RNN, GRU or LSTM."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elman.cli.common import Json, Quiet, Threads, make_folder, print_json, talk, use_threads
from elman.errors import UsageError

if TYPE_CHECKING:
    from elman.inspection import MemoryComparison

__all__ = ["memory"]

# What --quick tries, in seconds; in full it is what `compare_memory` does by itself.
_QUICK: dict[str, Any] = {"lags": (5, 10, 25, 50), "units": 32, "updates": 400}


def memory(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder for the picture.")] = Path("elman-demo"),
    quick: Annotated[bool, typer.Option("--quick", help="Small nets and short lags, in seconds.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of first weights and examples.")] = 0,
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """See who remembers how far: RNN, GRU and LSTM on two problems that ask for nothing but memory.

    Each learns to add two marked numbers, and to say symbols again, after more and more steps. It takes ten seconds.
    """
    from elman.inspection import compare_memory

    use_threads(threads)
    make_folder(output, "elman demo memory")
    began = time.perf_counter()
    found = []
    for problem in ("adding", "copy"):
        settings = _QUICK if quick else {}
        comparison = compare_memory(problem, **settings, random_state=seed, verbose=0 if quiet else "auto")
        found.append(comparison)
        if not as_json:
            _show(comparison)
    picture = _draw(found, output / "memory.png")
    if as_json:
        print_json({"problems": [comparison.to_dict() for comparison in found], "picture": picture})
        return
    print(f"\n{time.perf_counter() - began:.0f} s." + (f" Saved {picture}." if picture else ""))
    print("Next: see how far your own model reaches while it learns: elman train text YOUR-TEXT.txt --watch")


def _show(found: MemoryComparison) -> None:
    """Print a table: what each cell remembers at each lag, and how far its gradient reaches."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{found.title}: remembered at lag", title_justify="left")
    table.add_column("cell")
    for lag in found.lags:
        table.add_column(str(lag), justify="right")
    table.add_column("gradient under 1 %", justify="right")
    for cell, shares in found.remembered.items():
        horizon = found.curves[cell].horizon()
        reach = "never" if horizon is None else f"after {horizon} steps"
        table.add_row(cell, *(f"{share:.0%}" for share in shares), reach)
    print()
    Console(highlight=False).print(table)
    print(found.verdict, flush=True)


def _draw(found: list[MemoryComparison], path: Path) -> str | None:
    """Draw the picture if matplotlib is there; return where it lies."""
    from elman.inspection.memory_picture import memory as picture

    try:
        picture(found, path, title=None)
    except UsageError as error:
        talk(f"note: no picture: {error}")
        return None
    return str(path)
