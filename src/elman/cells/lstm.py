"""Long short-term memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from elman.cells.base import Array, Cell, State

__all__ = ["LSTM"]


class LSTMTape(NamedTuple):
    """What the step back needs: the four gates, the old c and tanh of the new one, each (B, H)."""

    i: Array
    f: Array
    g: Array
    o: Array
    c_prev: Array
    tanh_c: Array


@dataclass(frozen=True)
class LSTM(Cell):
    """Hochreiter & Schmidhuber 1997, with the forget gate of Gers, Schmidhuber & Cummins 2000.

    a = W x + b + R h
    i = σ(a_i)    f = σ(a_f)    g = tanh(a_g)    o = σ(a_o)
    c' = f ⊙ c + i ⊙ g
    h' = o ⊙ tanh(c')
    """

    name = "lstm"
    gates = ("i", "f", "g", "o")
    states = ("h", "c")

    def step(self, xp: Any, ax: Array, ah: Array, state: State, p: Mapping[str, Array]) -> tuple[State, LSTMTape]:
        """Make one step; see `Cell.step`."""
        _, c_prev = state
        a_i, a_f, a_g, a_o = xp.split(ax + ah, 4)
        i, f, g, o = xp.sigmoid(a_i), xp.sigmoid(a_f), xp.tanh(a_g), xp.sigmoid(a_o)
        c = f * c_prev + i * g
        tanh_c = xp.tanh(c)
        h = o * tanh_c
        return (h, c), LSTMTape(i, f, g, o, c_prev, tanh_c)

    def step_backward(
        self, xp: Any, d_state: State, tape: tuple[Array, ...], p: Mapping[str, Array]
    ) -> tuple[Array, Array, tuple[Array | None, ...], dict[str, Array]]:
        """Take one step back; see `Cell.step_backward`."""
        d_h, d_c = d_state
        i, f, g, o, c_prev, tanh_c = tape
        d_c = d_c + d_h * o * (1 - tanh_c * tanh_c)
        d_i = d_c * g * i * (1 - i)
        d_f = d_c * c_prev * f * (1 - f)
        d_g = d_c * i * (1 - g * g)
        d_o = d_h * tanh_c * o * (1 - o)
        d_a = xp.concat([d_i, d_f, d_g, d_o])
        return d_a, d_a, (None, d_c * f), {}
