"""The gated recurrent unit, in both of its forms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from elman.cells.base import ACTIVATIONS, Array, Cell, State, check_activation, normalise, normalise_backward

__all__ = ["GRU"]


@dataclass(frozen=True)
class GRU(Cell):
    """Cho et al. 2014, with the reset after the product or before it.

    After, as cuDNN, PyTorch and Keras have it:

        r = σ(ax_r + ah_r)    z = σ(ax_z + ah_z)
        n = φ(ax_n + r ⊙ q)    with q = ah_n + b_hn
        h' = (1 − z) ⊙ n + z ⊙ h

    where ax = W x + b and ah = R h. Its bias b_hn stands inside the reset, so that it cannot be
    added to b. Before, as in the paper, there is no b_hn:

        n = φ(ax_n + R_n (r ⊙ h))

    With `layer_norm` (Ba, Kiros & Hinton 2016) every product is normalised as a whole and then scaled:
    W x by gain_ih, R h by gain_hh; before the product R_n (r ⊙ h) is one of its own. b follows.

    Args:
        activation: φ, "tanh" or another of `ACTIVATIONS`.
        recurrent_activation: σ, "sigmoid" or another of `ACTIVATIONS`.
        reset_after: whether r multiplies R_n h, or h.
        layer_norm: whether the products are normalised.

    Raises:
        UsageError: if an activation is unknown.
    """

    name = "gru"
    gates = ("r", "z", "n")
    states = ("h",)
    operand_is_state = True
    tape_gates = ("n", "r", "z")

    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    reset_after: bool = True
    layer_norm: bool = False

    def __post_init__(self) -> None:
        check_activation("GRU", "activation", self.activation)
        check_activation("GRU", "recurrent_activation", self.recurrent_activation)

    @property
    def kernel(self) -> str:
        """The name of the native kernel."""
        return "gru" + ("" if self.reset_after else "+before") + ("+norm" if self.layer_norm else "")

    @property
    def extras(self) -> Mapping[str, int]:  # type: ignore[override]  # a class variable of other cells
        """The bias inside the reset, and the gains of the normalisations."""
        bias = {"bias_hn": 1} if self.reset_after else {}
        return bias | ({"gain_ih": 3, "gain_hh": 3} if self.layer_norm else {})

    @property
    def bias_after(self) -> bool:  # type: ignore[override]
        """Whether b follows a normalisation."""
        return self.layer_norm

    def weight_of_h(self, p: Mapping[str, Array]) -> Array:
        """Give R, or its blocks r and z where n has a product of its own."""
        weight = p["weight_hh"]
        return weight if self.reset_after else weight[: 2 * weight.shape[1]]

    def weight_of_operand(self, p: Mapping[str, Array]) -> Array | None:
        """Give the block n of R where it multiplies r ⊙ h."""
        weight = p["weight_hh"]
        return None if self.reset_after else weight[2 * weight.shape[1] :]

    def step(self, xp: Any, ax: Array, ah: Array, state: State, p: Mapping[str, Array]) -> tuple[Any, tuple[Any, ...]]:
        """Make one step; see `Cell.step`. With the reset before the product the operand is r ⊙ h."""
        sigma = ACTIVATIONS[self.recurrent_activation].value
        (h_prev,) = state
        normal: tuple[Any, ...] = ()
        if self.layer_norm:
            (x, x_scale), (h, h_scale) = normalise(xp, ax), normalise(xp, ah)
            ax, ah = x * p["gain_ih"] + p["bias"], h * p["gain_hh"][: h.shape[-1]]
            normal = (x, x_scale, h, h_scale)
        ax_r, ax_z, ax_n = xp.split(ax, 3)
        ah_r, ah_z, *ah_n = xp.split(ah, 3 if self.reset_after else 2)
        r, z = sigma(xp, ax_r + ah_r), sigma(xp, ax_z + ah_z)
        if not self.reset_after:
            return r * h_prev, (ax_n, r, z, h_prev, *normal)
        q = ah_n[0] + p["bias_hn"]
        n = ACTIVATIONS[self.activation].value(xp, ax_n + r * q)
        return ((1 - z) * n + z * h_prev,), (n, r, z, h_prev, q, *normal)

    def finish(
        self, xp: Any, product: Array, kept: tuple[Any, ...], p: Mapping[str, Array]
    ) -> tuple[State, tuple[Any, ...]]:
        """Make n and h' after the product with r ⊙ h; see `Cell.finish`."""
        ax_n, r, z, h_prev, *normal = kept
        if self.layer_norm:
            u, u_scale = normalise(xp, product)
            product = u * xp.split(p["gain_hh"], 3)[2]
            normal = [*normal, u, u_scale]
        n = ACTIVATIONS[self.activation].value(xp, ax_n + product)
        return ((1 - z) * n + z * h_prev,), (n, r, z, h_prev, *normal)

    def finish_backward(
        self, xp: Any, d_state: State, tape: tuple[Any, ...], p: Mapping[str, Array]
    ) -> tuple[Array, tuple[Any, ...]]:
        """Take n and h' back to the product; see `Cell.finish_backward`."""
        (d_h,), (n, _, z, h_prev, *normal) = d_state, tape
        d_n = d_h * (1 - z) * ACTIVATIONS[self.activation].slope(n)
        d_z = d_h * (h_prev - n) * ACTIVATIONS[self.recurrent_activation].slope(z)
        d_product = d_n
        if self.layer_norm:
            u, u_scale = normal[-2:]
            d_product = normalise_backward(xp, d_n * xp.split(p["gain_hh"], 3)[2], u, u_scale)
        return d_product, (d_n, d_z, d_h * z)

    def step_backward(
        self, xp: Any, d_state: tuple[Any, ...], tape: tuple[Any, ...], p: Mapping[str, Array]
    ) -> tuple[Array, Array, tuple[Array | None, ...], dict[str, Array]]:
        """Take one step back; see `Cell.step_backward`."""
        sigma = ACTIVATIONS[self.recurrent_activation].slope
        n, r, z, h_prev, *more = tape
        extras: dict[str, Array] = {}
        if self.reset_after:
            (d_h,), (q, *normal) = d_state, more
            d_n = d_h * (1 - z) * ACTIVATIONS[self.activation].slope(n)
            d_z = d_h * (h_prev - n) * sigma(z)
            d_r = d_n * q * sigma(r)
            d_h_prev = d_h * z
            extras["bias_hn"] = (d_n * r).sum(0)
            d_ah = xp.concat([d_r, d_z, d_n * r])
        else:
            (d_u, d_n, d_z, d_h_prev), normal = d_state, more
            d_r = d_u * h_prev * sigma(r)
            d_h_prev = d_h_prev + d_u * r
            d_ah = xp.concat([d_r, d_z])
        d_ax = xp.concat([d_r, d_z, d_n])
        if not self.layer_norm:
            return d_ax, d_ah, (d_h_prev,), extras
        x, x_scale, h, h_scale, *last = normal
        gain_hh = p["gain_hh"][: h.shape[-1]]
        gains = [d_ah * h] if self.reset_after else [d_ah * h, d_n * last[0]]
        extras |= {"gain_ih": (d_ax * x).sum(0), "gain_hh": xp.concat(gains).sum(0), "bias": d_ax.sum(0)}
        d_ax = normalise_backward(xp, d_ax * p["gain_ih"], x, x_scale)
        return d_ax, normalise_backward(xp, d_ah * gain_hh, h, h_scale), (d_h_prev,), extras
