"""Print tables and keep results."""

import json
import math
import platform
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import elman
from benchmarks.timing import Timing

RESULTS = Path(__file__).parent / "results"
console = Console()
if console.width < 120:  # a table that folds cannot be compared line by line
    console = Console(width=120)


def machine() -> dict[str, object]:
    """Describe what the figures were measured on."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        name = next((row.split(":")[1].strip() for row in info.read_text().splitlines() if "model name" in row), name)
    return {
        "processor": name,
        "elman": elman.show_config(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def milliseconds(timing: Timing | None) -> str:
    """Format a median and half the width of the middle half, in milliseconds."""
    if timing is None:
        return ""
    value = timing.median * 1e3
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f} ±{timing.spread:.0%}"


def table(title: str, *columns: str) -> Table:
    """Make a table of texts, to the left, and numbers, to the right."""
    grid = Table(title=title, title_justify="left", header_style="bold", min_width=min(len(title) + 2, 118))
    for column in columns:
        grid.add_column(
            column, justify="left" if column in ("point", "cell", "pass", "seed", "option") else "right", no_wrap=True
        )
    return grid


def save(name: str, rows: list[dict[str, object]]) -> None:
    """Write the rows and the machine to results/<name>.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n", encoding="utf-8")
    console.print(f"written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
