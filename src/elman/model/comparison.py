"""Two models run side by side on the same data: what each makes of it, and how far apart they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.engines.native import Engine
from elman.model.quantization import Figures, Worst
from elman.ragged import Ragged
from elman.training import progress
from elman.training.loop import Batches, State
from elman.training.metrics import Measure, Meter

__all__ = ["Comparison", "compare"]

Array = NDArray[Any]


class Comparison(NamedTuple):
    """What two models made of the same data."""

    before: Figures
    after: Figures
    outputs: int
    rms_difference: float
    mean_difference: float
    worst: Worst | None


class _Side:
    """One of the models that are compared: its state, its figures, its outputs of the batch at hand."""

    def __init__(self, engine: Engine, metrics: Sequence[Measure]) -> None:
        self.engine, self.meter = engine, Meter(metrics)
        self.state: State | None = None
        self.loss = self.weight = 0.0
        self.out: Array = np.empty(0)

    def run(self, batch: Any, *, targets: bool, carries: bool) -> None:
        """Run a batch, from where the one before ended if states are carried."""
        state = None if batch.reset_state else self.state
        if not targets:
            out, last = self.engine.forward(batch.x, state=state)
            self._see(out, None, None)
        else:
            loss, weight, last_or_none = self.engine.loss_only(
                batch, state=state, observe=self._observe, want_state=carries
            )
            self.loss, self.weight = self.loss + loss * weight, self.weight + weight
            last = last_or_none or ()
        self.state = last if carries else None

    def _observe(self, out: Any, target: Any, weights: Any) -> None:
        self.meter.observe(out, target, weights)
        self._see(out, target, weights)

    def _see(self, out: Any, target: Any, weights: Any) -> None:
        self.out = out.values if isinstance(out, Ragged) else out

    def figures(self) -> dict[str, float]:
        """Give loss and metrics; those that nothing has counted for are left out."""
        loss = self.loss / self.weight if self.weight else 0.0
        found = {"loss": loss} | self.meter.results()
        return {name: figure for name, figure in found.items() if name == "loss" or math.isfinite(figure)}


def compare(
    before: Engine,
    after: Engine,
    batches: tuple[Batches, Batches],
    *,
    metrics: Sequence[Measure],
    targets: bool,
    verbose: progress.Verbose,
) -> Comparison:
    """Run two models side by side.

    Args:
        before: the model as it was.
        after: with its weights rounded.
        batches: the same ones for both, each in its own dtype, in the order of the data.
        metrics: to gather beside the loss.
        targets: whether the batches have targets, so that there are figures.
        verbose: 0 silent; else what takes long shows how far it is.
    """
    carries = batches[0].carries_state
    sides = (_Side(before, metrics), _Side(after, metrics))
    squares = magnitudes = outputs_squared = 0.0
    count = first = step = 0
    worst: Worst | None = None
    pairs = zip(*batches, strict=True)
    for pair in progress.watch(pairs, total=len(batches[0]), what="quantize", verbose=verbose):
        for side, batch in zip(sides, pair, strict=True):
            side.run(batch, targets=targets, carries=carries)
        was, now = (side.out.astype(np.float64) for side in sides)
        difference = np.abs(now - was)
        x = pair[0].x
        if difference.size:
            squares += float((difference**2).sum())
            magnitudes += float(difference.sum())
            outputs_squared += float((was**2).sum())
            count += difference.size
            row, most = int(difference.max(axis=-1).argmax()), float(difference.max())
            if worst is None or not most <= worst.difference:
                worst = _place(x, row, len(difference), first, step, most)
        if carries:
            step += int(x.lengths.max(initial=0))
        else:
            first += len(x)
    return Comparison(
        before=sides[0].figures() if targets else None,
        after=sides[1].figures() if targets else None,
        outputs=count,
        rms_difference=math.sqrt(squares / outputs_squared) if outputs_squared else 0.0,
        mean_difference=magnitudes / count if count else 0.0,
        worst=worst,
    )


def _place(x: Ragged, row: int, n_rows: int, first: int, step: int, difference: float) -> Worst:
    """Say which sequence and step an output row of a batch is of."""
    if n_rows == len(x):  # one output for each
        return Worst(first + row, None, difference)
    if n_rows == x.n_steps:
        sequence = int(np.searchsorted(x.offsets, row, side="right")) - 1
        return Worst(first + sequence, step + row - int(x.offsets[sequence]), difference)
    each = n_rows // len(x)  # steps that the model makes of its own
    return Worst(first + row // each, row % each, difference)
