"""Show tables on a terminal and in the documentation, and keep the results of the long jobs."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table as RichTable

from benchmarks import results, summary
from benchmarks.timing import Timing

console = Console()
if console.width < 190:  # a table that folds cannot be compared line by line
    console = Console(width=190)


def show(table: summary.Table) -> None:
    """Print a table."""
    grid = RichTable(title=table.title, title_justify="left", header_style="bold")
    for index, column in enumerate(table.columns):
        grid.add_column(column, justify="left" if index < table.n_left else "right", no_wrap=True)
    for row in table.rows:
        grid.add_row(*row)
    console.print(grid)


def markdown(table: summary.Table) -> str:
    """Write a table for a page."""
    lines = ["|" + "|".join(f" {text} " for text in row) + "|" for row in (table.columns, *table.rows)]
    marks = "|".join("---" if index < table.n_left else "---:" for index in range(len(table.columns)))
    return "\n".join([lines[0], f"|{marks}|", *lines[1:]])


def milliseconds(timing: Timing) -> str:
    """Format a median and half the width of the middle half, in milliseconds."""
    value = timing.median * 1e3
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f} ±{timing.spread:.0%}"


def save(name: str, rows: list[dict[str, object]]) -> None:
    """Write the rows of a long job, with machine and commit, to results/<name>.json."""
    import torch

    path = results.path_of(name)
    path.parent.mkdir(exist_ok=True)
    report = results.new_report({})
    about = {
        "machine": msgspec.to_builtins(report.machine),
        "versions": report.versions | {"torch": torch.__version__},
        "date": datetime.now(UTC).date().isoformat(),
        "commit": report.commit,
    }
    path.write_text(json.dumps(about | {"rows": rows}, indent=1) + "\n", encoding="utf-8")
    console.print(f"written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
