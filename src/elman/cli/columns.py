"""The options that say what a file of sequences holds; plain, for the help must not wait for who reads it."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["Features", "Format", "Id", "Label", "Time"]

_PANEL = "What the file holds"

Id = Annotated[
    str | None,
    typer.Option("--id", help="The column that says which sequence a row belongs to.", rich_help_panel=_PANEL),
]
Time = Annotated[
    str | None, typer.Option("--time", help="The column that says when; it must rise.", rich_help_panel=_PANEL)
]
Label = Annotated[
    str | None, typer.Option("--label", help="The column, key or array of the answers.", rich_help_panel=_PANEL)
]
Features = Annotated[
    list[str] | None,
    typer.Option(
        "--features",
        help="A column to learn from, once for each; default: all others, or those of the training.",
        rich_help_panel=_PANEL,
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="csv, jsonl, npz, ts, conllu, lines, parquet or folder; default: by its name.",
        rich_help_panel=_PANEL,
    ),
]
