"""The simple recurrent cell of Elman."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from elman.cells.base import ACTIVATIONS, Array, Cell, State
from elman.errors import UsageError, say

__all__ = ["RNN"]


class RNNTape(NamedTuple):
    """What the step back needs: the new h, (B, H)."""

    h: Array


@dataclass(frozen=True)
class RNN(Cell):
    """Elman, "Finding structure in time", 1990.

        a = W x + b + R h        h' = φ(a)

    Args:
        activation: φ, one of "tanh", "sigmoid", "relu".

    Raises:
        UsageError: if the activation is not one of these.
    """

    name = "rnn"
    gates = ("h",)
    states = ("h",)

    activation: str = "tanh"

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise UsageError(
                say("RNN", "unknown activation", expected=f"one of {', '.join(ACTIVATIONS)}", got=repr(self.activation))
            )

    def step(self, xp: Any, ax: Array, ah: Array, state: State, p: Mapping[str, Array]) -> tuple[State, RNNTape]:
        """Make one step; see `Cell.step`."""
        h = ACTIVATIONS[self.activation].value(xp, ax + ah)
        return (h,), RNNTape(h)

    def step_backward(
        self, xp: Any, d_state: State, tape: tuple[Array, ...], p: Mapping[str, Array]
    ) -> tuple[Array, Array, tuple[Array | None, ...], dict[str, Array]]:
        """Take one step back; see `Cell.step_backward`."""
        (d_h,) = d_state
        (h,) = tape
        d_a = d_h * ACTIVATIONS[self.activation].slope(h)
        return d_a, d_a, (None,), {}
