"""Where answers came from: the same question asked in three ways, and of many answers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from elman.inspection import pictures
from elman.inspection.attribution import Attribution, Method, attribute
from elman.inspection.opened import unwrapped
from elman.inspection.plain import plain
from elman.model.data import own_steps, read_input

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Origins", "origins"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Origins:
    """Attribution of many answers by one method, and of the first of them by all three; see `origins`.

    Attributes:
        found: integrated gradients of all sequences.
        first: method -> the first sequence by it.
        away_from: (B,) the step that distances are counted from: that of the answer, or the last one where the model
            makes steps of its own.
        names: what the outputs stand for, or None.
        steps: what the steps of all sequences are called, (N,), or None.
    """

    found: Attribution
    first: Mapping[str, Attribution]
    away_from: NDArray[np.int64]
    names: Sequence[str] | None = None
    steps: Sequence[str] | None = None

    @property
    def by_distance(self) -> Array:
        """The share of an answer that comes from so many steps away, (K + 1,), a mean over the sequences."""
        found = self.found
        total = np.zeros(int(found.lengths.max()))
        for b, at in enumerate(self.away_from):
            sizes = np.nan_to_num(np.abs(found.of(b)))
            np.add.at(total, np.abs(np.arange(len(sizes)) - at), sizes / max(float(sizes.sum()), 1e-300))
        return total / max(float(total.sum()), 1e-300)

    def half(self) -> int:
        """Give the distance within which half of what counts lies."""
        return int(np.searchsorted(np.cumsum(self.by_distance), 0.5))

    def output(self, b: int = 0) -> str:
        """Say what the output of a sequence is called.

        Args:
            b: the sequence.
        """
        number = int(self.found.output[b])
        return f"output {number}" if self.names is None else f"“{pictures.visible(self.names[number])}”"

    @property
    def verdict(self) -> str:
        """What it means, in one sentence."""
        count, half, top = len(self.found.lengths), self.half(), int(self.found.top()[0])
        called = "" if self.steps is None else f", “{pictures.visible(self.steps[top])}”,"
        where = "at the step of the answer itself" if half == 0 else f"within {half} step{'s' * (half > 1)} of it"
        agree = {int(other.top()[0]) for other in self.first.values()}
        ways = "all three ways of asking name" if len(agree) == 1 else "integrated gradients name"
        return (
            f"Half of what decides an answer lies {where} ({count} answer{'s' * (count > 1)}); for the first one, "
            f"{self.output()} at step {self.found.at[0]}, {ways} step {top}{called} first."
        )

    def to_dict(self) -> dict[str, Any]:
        """Give everything that is drawn as plain values."""
        return {
            "verdict": self.verdict,
            "by_distance": plain(self.by_distance),
            "half": self.half(),
            "answers": self.found.to_dict(),
            "first": {method: found.to_dict() for method, found in self.first.items()},
        }

    def plot(self, path: str | os.PathLike[str] | None = None, *, title: str | None = None) -> Figure:
        """Draw the share by distance, and the first sequence by all three methods.

        Args:
            path: .png, .svg or .pdf to write, if any.
            title: a line above the picture.
        """
        return pictures.origins(self, path, title=title)


def origins(
    model: Any,
    x: Any,
    *,
    at: NDArray[np.int64] | int = -1,
    window: int = 128,
    names: Sequence[str] | None = None,
    steps: Sequence[str] | None = None,
) -> Origins:
    """Attribute the most likely output of every sequence to the steps of its input.

    Args:
        model: built; it is left as it is.
        x: sequences without empty ones.
        at: step of the answer where there is one per step; see `attribute`.
        window: of occlusion.
        names: what the outputs stand for.
        steps: what the steps are called, (N,).

    Raises:
        UsageError, NotFittedError, DataError: as `attribute` does.

    Example:
        >>> from elman import Sequential, layers
        >>> model = Sequential([layers.GRU(8), layers.Dense(2)])
        >>> model.build(3, rng=0)
        >>> x = np.zeros((4, 20, 3))
        >>> x[:, 5, 0] = 1  # all other steps are zeros, which say nothing
        >>> found = origins(model, x)
        >>> found.half(), list(found.first)
        (14, ['gradient_x_input', 'integrated_gradients', 'occlusion'])
    """
    model = unwrapped(model, "origins")
    x = read_input(model, x, where="origins")[0]
    found = attribute(model, x, at=at)
    one = x.select([0])
    first = {
        method: attribute(model, one, method=method, output=int(found.output[0]), at=int(found.at[0]), window=window)
        for method in get_args(Method)
    }
    own = own_steps(model.layers) is not None
    return Origins(found, first, found.lengths - 1 if own else found.at, names, steps)
