"""What `Sequential.explain` says: which code runs each layer, on how many threads, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.layers import Layer, Recurrent, Wrapper
from elman.model.memory import walk
from elman.ops import kernels
from elman.ops.core import show_config
from elman.ops.losses import Loss

if TYPE_CHECKING:
    from rich.console import Group

__all__ = ["Explanation", "LayerFacts", "LossFacts", "explain"]


@dataclass(frozen=True)
class LayerFacts:
    """What one layer, or one part of a layer that holds others, runs on and costs.

    Attributes:
        name: of the layer; "<layer>.<part>" for a part.
        kind: such as "LSTM".
        kernel: the native kernel, or None for NumPy.
        reason: why it is NumPy, or None.
        threads: how many run for this batch, forward.
        parameters: how many; 0 where a layer stands again.
        flops: additions and multiplications per step, forward.
        kept_bytes: what training holds per step.
        rows: steps (or rows, where there is one per sequence) of the batch that come in.
    """

    name: str
    kind: str
    kernel: str | None
    reason: str | None
    threads: int
    parameters: int
    flops: int
    kept_bytes: int
    rows: int


@dataclass(frozen=True)
class LossFacts:
    """What the loss runs on.

    Attributes:
        kind: such as "CrossEntropy".
        kernel: the native kernel, or None for NumPy.
        reason: why it is NumPy, or None.
    """

    kind: str
    kernel: str | None
    reason: str | None


@dataclass(frozen=True)
class Explanation:
    """How a model runs on this machine.

    Attributes:
        title: of the model.
        layers: one entry per layer, and per part of layers that hold others.
        dtype: of parameters and arithmetic.
        precision: what matrix products are made in: the dtype's name, "bfloat16", or "int8" for such weights.
        instruction_set: of the native core, or None without it.
        threads: that the native core may use.
        batch_size: sequences of the batch.
        steps: of each of them.
        loss: what it is compiled with, or None.
    """

    title: str
    layers: tuple[LayerFacts, ...]
    dtype: str
    precision: str
    instruction_set: str | None
    threads: int
    batch_size: int
    steps: int
    loss: LossFacts | None

    @property
    def parameters(self) -> int:
        """The number of parameters."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def flops(self) -> int:
        """Additions and multiplications of the batch, forward."""
        return sum(layer.flops * layer.rows for layer in self.layers)

    @property
    def kept_bytes(self) -> int:
        """Bytes that training holds for the batch."""
        return sum(layer.kept_bytes * layer.rows for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values."""
        totals = {"parameters": self.parameters, "flops": self.flops, "kept_bytes": self.kept_bytes}
        return asdict(self) | totals

    def __rich__(self) -> Group:
        from rich import box
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        core = "NumPy" if self.instruction_set is None else f"native core {self.instruction_set}"
        title = f"{self.title}: {core}, {self.threads} threads, {self.dtype}"
        if self.precision != self.dtype:
            title += f", products in {self.precision}"
        table = Table(
            title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_footer=True,
            pad_edge=False,
        )  # fmt: skip
        table.add_column("layer", footer=f"batch {self.batch_size} × {self.steps}")
        table.add_column("kernel")
        table.add_column("threads", justify="right")
        table.add_column("parameters", justify="right", footer=f"{self.parameters:,}")
        table.add_column("FLOP/step", justify="right", footer=_short(self.flops))
        table.add_column("bytes/step", justify="right", footer=_short(self.kept_bytes))
        reasons: list[str] = []
        for layer in self.layers:
            table.add_row(
                Text(_label(layer)),
                Text(_shown(layer, reasons)),
                str(layer.threads),
                f"{layer.parameters:,}",
                f"{layer.flops:,}",
                f"{layer.kept_bytes:,}",
            )
        if self.loss is not None:
            table.add_row(Text(f"loss ({self.loss.kind})"), Text(_shown(self.loss, reasons)))
        notes = [Text(f"({number}) NumPy: {reason}", style="dim") for number, reason in enumerate(reasons, 1)]
        if (note := kernels.note_on(self.precision)) is not None:
            notes.append(Text(note, style="dim"))
        return Group(table, *notes)

    def __repr__(self) -> str:
        return f"<Explanation of {self.title!r}: {len(self.layers)} rows, {self.flops:,} FLOP forward>"


def explain(
    layers: Sequence[Layer],
    *,
    title: str,
    input_size: int,
    ids: bool,
    dtype: np.dtype[Any],
    precision: str,
    batch_size: int,
    steps: int,
    loss: Loss | None,
) -> Explanation:
    """Gather what `Sequential.explain` says.

    Args:
        layers: all named.
        title: of the model.
        input_size: features of a step, or the number of token ids.
        ids: whether token ids come in.
        dtype: of the parameters.
        precision: of the model.
        batch_size: sequences of the batch.
        steps: of each of them.
        loss: that the model is compiled with, or None.
    """
    config = show_config()
    seen: set[int] = set()
    facts: list[LayerFacts] = []
    for layer, size, rows in walk(layers, input_size=input_size, n_steps=batch_size * steps, n_sequences=batch_size):
        for name, part in _leaves(str(layer.name), layer):
            holds = isinstance(part, Wrapper)
            shapes = {} if holds else part.param_shapes(size)
            kept = part.kept_per_step(size)
            if isinstance(part, Wrapper):
                kept -= sum(inner.kept_per_step(size) for inner in part.parts.values())
            lent = {} if holds else {own: shape for own, (_, shape) in part.borrowed(size).items()}
            flops = _flops(part, shapes | lent, ids=ids)
            kernel = part.runs_on(dtype)
            # A recurrence gives whole sequences to its threads if it can, everything else its rows.
            most, each = (batch_size, rows // batch_size) if isinstance(part, Recurrent) else (rows, 0)
            threads = 1 if kernel.kernel is None else kernels.threads_for(flops * rows, most, steps=each)
            facts.append(
                LayerFacts(
                    name=name,
                    kind=type(part).__name__,
                    kernel=kernel.kernel,
                    reason=kernel.reason,
                    threads=threads,
                    parameters=0 if id(layer) in seen else sum(map(math.prod, shapes.values())),
                    flops=flops,
                    kept_bytes=kept * dtype.itemsize,
                    rows=rows,
                )
            )
        seen.add(id(layer))
        ids = False
    return Explanation(
        title=title,
        layers=tuple(facts),
        dtype=str(dtype),
        precision=precision,
        instruction_set=config["instruction_set"],
        threads=config["threads"],
        batch_size=batch_size,
        steps=steps,
        loss=None if loss is None else LossFacts(type(loss).__name__, *loss.runs_on(dtype)),
    )


def _leaves(name: str, layer: Layer) -> Iterator[tuple[str, Layer]]:
    """Give a layer, or one that holds others and all it holds."""
    yield name, layer
    if isinstance(layer, Wrapper):
        for part, inner in layer.parts.items():
            yield from _leaves(f"{name}.{part}", inner)


def _flops(layer: Layer, shapes: dict[str, tuple[int, ...]], *, ids: bool) -> int:
    """Count an addition and a multiplication for every weight that a row is multiplied with.

    Rows of tables are taken, not multiplied: those of Embedding, and W of a recurrent layer over token ids.
    """
    taken = set(shapes) if layer.needs_ids else {"weight_ih"} if ids else set()
    return sum(2 * math.prod(shape) for name, shape in shapes.items() if len(shape) == 2 and name not in taken)


def _shown(part: LayerFacts | LossFacts, reasons: list[str]) -> str:
    """Say in the table what runs a layer or the loss; a new reason becomes a note."""
    if part.kernel is not None or part.reason is None:
        return str(part.kernel)
    if part.reason == kernels.HOLDS.reason:
        return "see below"
    if part.reason not in reasons:
        reasons.append(part.reason)
    return f"NumPy ({reasons.index(part.reason) + 1})"


def _label(layer: LayerFacts) -> str:
    """Name a layer in the table; a part stands below the layer that holds it."""
    depth, part = layer.name.count("."), layer.name.rpartition(".")[2]
    plain = not depth and part.replace("_", "").lower().startswith(layer.kind.lower())
    return "  " * depth + part + ("" if plain else f" ({layer.kind})")


def _short(number: int) -> str:
    """Say a large number in few characters.

    Example:
        >>> _short(1_234_567)
        '1.23 M'
    """
    for limit, unit in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= limit:
            return f"{number / limit:.3g} {unit}"
    return str(number)
