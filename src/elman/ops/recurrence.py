"""The recurrence over a ragged batch: native where there is a kernel, NumPy elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from elman.cells import Cell
from elman.ops import reference
from elman.ops.tape import RecurrenceTape
from elman.ops.weights import Weights
from elman.ragged import Ragged

__all__ = ["RecurrenceTape", "backward", "forward"]

Array = NDArray[Any]
State = tuple[Array, ...]


def forward(
    cell: Cell, x: Ragged, weights: Weights, *, state: State | None, tape: bool
) -> tuple[Array, State, RecurrenceTape | None]:
    """Run a recurrence over a batch of sequences.

    Args:
        cell: what to run.
        x: values (N, I), or token ids (N,) below I, which stand for one-hot rows.
        weights: weight_ih (G·H, I), weight_hh (G·H, H), bias (G·H,) and the cell's extras.
        state: the state before the first step, parts as in `cell.states`, each (B, H); zeros if None.
        tape: whether `backward` will follow.

    Returns:
        y, the output h of every step (N, H); the state after the last step of every sequence, each
        (B, H), the initial one where there is no step; the tape, or None.
    """
    return reference.forward(cell, x, weights, state=state, tape=tape)


def backward(
    cell: Cell,
    dy: Array | None,
    tape: RecurrenceTape,
    weights: Weights,
    grads: Mapping[str, Array],
    *,
    dstate: State | None,
    want_dx: bool,
    keep_dh: bool,
) -> tuple[Array | None, State, Array | None]:
    """Take a recurrence back through time.

    Args:
        cell: what was run.
        dy: gradient with respect to y (N, H); None for zeros.
        tape: from `forward`.
        weights: as in `forward`.
        grads: gradients of the weights are added into these.
        dstate: gradient with respect to the last state, each (B, H); None for zeros.
        want_dx: whether dx is needed.
        keep_dh: whether dh is needed.

    Returns:
        dx (N, I), or None if not wanted or x is token ids; the gradient with respect to the initial
        state, each (B, H); dh (N, H), the whole gradient that reaches h at every step, or None.
    """
    return reference.backward(cell, dy, tape, weights, grads, dstate=dstate, want_dx=want_dx, keep_dh=keep_dh)
