"""The gated recurrent unit, reset after the product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from elman.cells.base import Array, Cell, State

__all__ = ["GRU"]


class GRUTape(NamedTuple):
    """What the step back needs: the gates, the old h and what r multiplies, each (B, H)."""

    r: Array
    z: Array
    n: Array
    h_prev: Array
    q: Array


@dataclass(frozen=True)
class GRU(Cell):
    """Cho et al. 2014, with the reset after the product as in cuDNN, PyTorch and Keras.

        r = σ(ax_r + ah_r)    z = σ(ax_z + ah_z)
        n = tanh(ax_n + r ⊙ q)    with q = ah_n + b_hn
        h' = (1 − z) ⊙ n + z ⊙ h

    where ax = W x + b and ah = R h. Its bias b_hn stands inside the reset, so that it cannot be
    added to b.
    """

    name = "gru"
    gates = ("r", "z", "n")
    states = ("h",)
    extras = {"bias_hn": 1}  # noqa: RUF012  (declared ClassVar[Mapping] in Cell)

    def step(self, xp: Any, ax: Array, ah: Array, state: State, p: Mapping[str, Array]) -> tuple[State, GRUTape]:
        """Make one step; see `Cell.step`."""
        (h_prev,) = state
        ax_r, ax_z, ax_n = xp.split(ax, 3)
        ah_r, ah_z, ah_n = xp.split(ah, 3)
        r, z = xp.sigmoid(ax_r + ah_r), xp.sigmoid(ax_z + ah_z)
        q = ah_n + p["bias_hn"]
        n = xp.tanh(ax_n + r * q)
        h = (1 - z) * n + z * h_prev
        return (h,), GRUTape(r, z, n, h_prev, q)

    def step_backward(
        self, xp: Any, d_state: State, tape: tuple[Array, ...], p: Mapping[str, Array]
    ) -> tuple[Array, Array, tuple[Array | None, ...], dict[str, Array]]:
        """Take one step back; see `Cell.step_backward`."""
        (d_h,) = d_state
        r, z, n, h_prev, q = tape
        d_n = d_h * (1 - z) * (1 - n * n)
        d_z = d_h * (h_prev - n) * z * (1 - z)
        d_r = d_n * q * r * (1 - r)
        d_q = d_n * r
        d_ax = xp.concat([d_r, d_z, d_n])
        d_ah = xp.concat([d_r, d_z, d_q])
        return d_ax, d_ah, (d_h * z,), {"bias_hn": d_q.sum(0)}
