"""How a state gets from one batch to the next where it is not simply handed on."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from elman.ragged import Ragged

__all__ = ["Hop", "Link"]

State = tuple[tuple[NDArray[Any], ...], ...]


class _Runs(Protocol):
    """What runs steps forward: an engine."""

    def forward(self, x: Ragged, *, state: State | None = None, rng: np.random.Generator | None = None) -> Any:
        """Give outputs and the last state."""


class Hop(NamedTuple):
    """One part of the way of a state.

    Attributes:
        origin: (B,) which row of the state each sequence goes on from, −1 for one that begins anew; None for its own.
        front: steps to be run forward then, without a gradient; None for none.
    """

    origin: NDArray[np.int64] | None
    front: Ragged | None


class Link(NamedTuple):
    """The way of a state from one batch to the next.

    Attributes:
        hops: one after the other.
        overlaps: whether it starts where the batch before began, rather than where it ended.
    """

    hops: tuple[Hop, ...]
    overlaps: bool = False

    def follow(
        self, engine: _Runs, began: State | None, ended: State | None, *, rng: np.random.Generator | None = None
    ) -> State | None:
        """Give the state in which a batch begins.

        Args:
            engine: runs steps forward.
            began: in which the batch before began; None for the layers' own.
            ended: in which it ended.
            rng: given while training.
        """
        state = began if self.overlaps else ended
        for origin, front in self.hops:
            if origin is not None and state is not None:
                state = tuple(tuple(_rows(part, origin) for part in parts) for parts in state)
            if front is not None:
                _, state = engine.forward(front, state=state, rng=rng)
        return state


def _rows(part: NDArray[Any], origin: NDArray[np.int64]) -> NDArray[Any]:
    """Give rows of a state, zeros for −1."""
    rows: NDArray[Any] = part[origin]
    rows[origin < 0] = 0
    return rows
