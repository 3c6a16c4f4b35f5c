"""The simple recurrent cell of Elman."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from elman.cells.base import ACTIVATIONS, Array, Cell, State, check_activation, normalise, normalise_backward

__all__ = ["RNN"]


@dataclass(frozen=True)
class RNN(Cell):
    """Elman, "Finding structure in time", 1990.

        a = W x + b + R h        h' = φ(a)

    With `layer_norm` (Ba, Kiros & Hinton 2016) both products are normalised:

        a = norm(W x) ⊙ gain_ih + norm(R h) ⊙ gain_hh + b

    Args:
        activation: φ, one of "tanh", "sigmoid", "relu", "hard_sigmoid", "identity".
        layer_norm: whether the products are normalised.

    Raises:
        UsageError: if the activation is not one of these.
    """

    name = "rnn"
    gates = ("h",)
    states = ("h",)

    activation: str = "tanh"
    layer_norm: bool = False

    def __post_init__(self) -> None:
        check_activation("RNN", "activation", self.activation)

    @property
    def kernel(self) -> str:
        """The name of the native kernel."""
        return "rnn+norm" if self.layer_norm else "rnn"

    @property
    def extras(self) -> Mapping[str, int]:  # type: ignore[override]  # a class variable of other cells
        """The gains of the normalisation."""
        return {"gain_ih": 1, "gain_hh": 1} if self.layer_norm else {}

    @property
    def bias_after(self) -> bool:  # type: ignore[override]
        """Whether b follows a normalisation."""
        return self.layer_norm

    def step(
        self, xp: Any, ax: Array, ah: Array, state: State, p: Mapping[str, Array]
    ) -> tuple[State, tuple[Any, ...]]:
        """Make one step; see `Cell.step`."""
        kept: tuple[Any, ...] = ()
        if self.layer_norm:
            (x, x_scale), (h, h_scale) = normalise(xp, ax), normalise(xp, ah)
            ax, ah = x * p["gain_ih"] + p["bias"], h * p["gain_hh"]
            kept = (x, x_scale, h, h_scale)
        h_new = ACTIVATIONS[self.activation].value(xp, ax + ah)
        return (h_new,), (h_new, *kept)

    def step_backward(
        self, xp: Any, d_state: State, tape: tuple[Any, ...], p: Mapping[str, Array]
    ) -> tuple[Array, Array, tuple[Array | None, ...], dict[str, Array]]:
        """Take one step back; see `Cell.step_backward`."""
        (d_h,), (h_new, *kept) = d_state, tape
        d_a = d_h * ACTIVATIONS[self.activation].slope(h_new)
        if not self.layer_norm:
            return d_a, d_a, (None,), {}
        x, x_scale, h, h_scale = kept
        d_ax = normalise_backward(xp, d_a * p["gain_ih"], x, x_scale)
        d_ah = normalise_backward(xp, d_a * p["gain_hh"], h, h_scale)
        return d_ax, d_ah, (None,), {"gain_ih": (d_a * x).sum(0), "gain_hh": (d_a * h).sum(0), "bias": d_a.sum(0)}
