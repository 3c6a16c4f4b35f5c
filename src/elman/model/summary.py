"""The table that `Sequential.summary` prints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from elman.layers import Layer

if TYPE_CHECKING:
    from rich.table import Table

    from elman.model.quantization import Quantization

__all__ = ["bytes_text", "summary_table"]


def summary_table(
    layers: Sequence[Layer],
    *,
    title: str,
    input_size: int | None,
    ids: bool | None,
    dtype: np.dtype[np.generic],
    quantization: Quantization | None,
) -> Table:
    """Draw up layers, output shapes and parameters.

    Args:
        layers: all named.
        title: above the table.
        input_size: None if the model is not built: then sizes that depend on it are left open.
        ids: whether token ids come in.
        dtype: of the parameters.
        quantization: how the parameters are stored, if in fewer bytes.
    """
    from rich import box
    from rich.table import Table

    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_footer=True, pad_edge=False
    )
    total = 0
    rows: list[tuple[str, str, str]] = [
        ("input", "(batch, steps)" if ids else f"(batch, steps, {input_size or '?'})", "")
    ]
    size, sequences, steps = input_size, True, "steps"
    seen: set[int] = set()
    for layer in layers:
        sequences = layer.gives_sequences(sequences)
        if layer.makes_steps is not None:
            steps = str(layer.makes_steps)
        if size is None:
            count = "?"
        elif id(layer) in seen:
            count = "shared"
        else:
            number = sum(math.prod(shape) for shape in layer.param_shapes(size).values())
            total += number
            count = f"{number:,}"
        seen.add(id(layer))
        size = layer.output_size(size if size is not None else 1)
        rows.append(
            (
                f"{layer.name} ({layer.kind})",
                f"(batch, {steps}, {size})" if sequences else f"(batch, {size})",
                count,
            )
        )
    if input_size is None:
        foot = ("not built", "", "?")
    elif quantization is not None:
        foot = (f"total, {quantization.weights}", bytes_text(quantization.bytes_after), f"{total:,}")
    else:
        foot = (f"total, {dtype}", bytes_text(total * dtype.itemsize), f"{total:,}")
    table.add_column("layer", footer=foot[0])
    table.add_column("output shape", footer=foot[1])
    table.add_column("parameters", justify="right", footer=foot[2])
    for row in rows:
        table.add_row(*row)
    return table


def bytes_text(count: int) -> str:
    """Say a size in the unit that people would use.

    Example:
        >>> bytes_text(934_000)
        '934.0 kB'
    """
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
