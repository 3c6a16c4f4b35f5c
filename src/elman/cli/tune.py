"""`elman tune TASK DATA`: a search for the settings that suit your data."""

from __future__ import annotations

from typing import ClassVar

import typer

from elman.cli.train import Tasks

__all__ = ["app"]


class _Searches(Tasks):
    modules: ClassVar[dict[str, str]] = dict.fromkeys(Tasks.modules, "elman.cli.tune_search")


app = typer.Typer(name="tune", cls=_Searches, help="Search for better settings, such as: elman tune classify data.csv")


@app.callback()
def _tune() -> None:
    """Search for better settings."""
