"""`elman train TASK DATA`: from raw data to a trained model file."""

from __future__ import annotations

import importlib
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup

__all__ = ["Tasks", "app"]


class Tasks(TyperGroup):
    """The tasks that can be trained; each is imported when it is named, for `elman --help` must not wait for NumPy."""

    modules: ClassVar[dict[str, str]] = {
        "classify": "elman.cli.train_sequences",
        "regress": "elman.cli.train_sequences",
        "tag": "elman.cli.train_sequences",
        "text": "elman.cli.train_text",
    }

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names that the help shows."""
        return list(self.modules)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of a task."""
        if cmd_name in self.modules and cmd_name not in self.commands:
            module = importlib.import_module(self.modules[cmd_name])
            self.add_command(typer.main.get_command(module.apps[cmd_name]), cmd_name)
        return self.commands.get(cmd_name)


app = typer.Typer(name="train", cls=Tasks, help="Train a model on your data, such as: elman train classify data.csv")


@app.callback()
def _train() -> None:
    """Train a model on your data."""
