"""`elman info`: what a model file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli.common import Json, print_json

__all__ = ["info"]


def info(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file.")],
    as_json: Json = False,
) -> None:
    """Show what a model file holds: task, layers, vocabulary, training."""
    from elman.tasks import describe

    facts = describe(model)
    if as_json:
        print_json(facts)
    else:
        _print_table(facts)


def _print_table(facts: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    def table(title: str) -> Table:
        return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)

    console = Console(highlight=False)
    about = table(str(facts["path"]))
    about.add_column("task")
    about.add_column(facts["task"].replace("_", " "), overflow="fold")
    rows = {
        "parameters": f"{facts['parameters']:,} of {facts['dtype']}",
        "file": f"{facts['bytes']:,} bytes, format {facts['format']}, written by elman {facts['version']}",
        **{name.replace("_", " "): _shown(value) for name, value in facts["arguments"].items()},
    }
    vocabulary = facts["vocabulary"]
    if vocabulary is not None:
        # repr shows line ends and control characters as escapes instead of sending them to the terminal.
        rows["vocabulary"] = f"{len(vocabulary['symbols']):,} characters: {_printable(vocabulary['symbols'])}"
    rows |= {name.replace("_", " "): _shown(value) for name, value in facts["training"].items()}
    for name, value in rows.items():
        about.add_row(name, Text(value))
    console.print(about)

    layers = table("layers")
    for column in ("name", "type"):
        layers.add_column(column)
    layers.add_column("units", justify="right")
    layers.add_column("parameters", justify="right")
    for layer in facts["layers"]:
        layers.add_row(layer["name"], layer["type"], _shown(layer.get("units")), f"{layer['parameters']:,}")
    console.print(layers)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _printable(symbols: str, *, limit: int = 200) -> str:
    text = repr(symbols[:limit])[1:-1]
    return text + (" …" if len(symbols) > limit else "")
