"""Long short-term memory, with the options that have proved themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from elman.cells.base import ACTIVATIONS, Array, Cell, State, check_activation, normalise, normalise_backward
from elman.errors import UsageError, say

__all__ = ["LSTM"]


@dataclass(frozen=True)
class LSTM(Cell):
    """Hochreiter & Schmidhuber 1997, with the forget gate of Gers, Schmidhuber & Cummins 2000.

        a = W x + b + R h
        i = σ(a_i)    f = σ(a_f)    g = φ(a_g)    o = σ(a_o)
        c' = f ⊙ c + i ⊙ g
        h' = o ⊙ φ(c')

    Its options, which combine freely:

    - `peephole` (Gers, Schraudolph & Schmidhuber 2002): the gates see the cell state,
      i = σ(a_i + p_i ⊙ c), f = σ(a_f + p_f ⊙ c), o = σ(a_o + p_o ⊙ c').
    - `coupled` (Greff et al. 2017): what is forgotten makes room for what comes in, i = 1 − f, and a_i is gone.
    - `projection` (Sak, Senior & Beaufays 2014): h' = P (o ⊙ φ(c')), narrower than c.
    - `layer_norm` (Ba, Kiros & Hinton 2016): a = norm(W x) ⊙ gain_ih + norm(R h) ⊙ gain_hh + b, each norm over
      all gates together, and φ(norm(c') ⊙ gain_c + bias_c) in the place of φ(c').

    Args:
        activation: φ, "tanh" or another of `ACTIVATIONS`.
        recurrent_activation: σ, "sigmoid" or another of `ACTIVATIONS`.
        peephole: see above; p_i, p_f, p_o are the blocks of the parameter `peephole`.
        coupled: see above.
        projection: width of h, less than H; None for H. P is the parameter `weight_hr`.
        layer_norm: see above.

    Raises:
        UsageError: if an activation is unknown or the projection is no width.
    """

    name = "lstm"
    states = ("h", "c")
    tape_gates = ("i", "f", "g", "o")

    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    peephole: bool = False
    coupled: bool = False
    projection: int | None = None
    layer_norm: bool = False

    def __post_init__(self) -> None:
        check_activation("LSTM", "activation", self.activation)
        check_activation("LSTM", "recurrent_activation", self.recurrent_activation)
        if self.projection is not None and self.projection < 1:
            raise UsageError(
                say("LSTM", "projection is out of range", expected="a width of 1 or more", got=self.projection)
            )

    @property
    def gates(self) -> tuple[str, ...]:  # type: ignore[override]  # a class variable of other cells
        """Names of the blocks."""
        return ("f", "g", "o") if self.coupled else ("i", "f", "g", "o")

    @property
    def kernel(self) -> str:
        """The name of the native kernel; a projection is the driver's work."""
        options = (("peephole", self.peephole), ("coupled", self.coupled), ("norm", self.layer_norm))
        return "+".join(["lstm", *[name for name, is_on in options if is_on]])

    @property
    def extras(self) -> Mapping[str, int]:  # type: ignore[override]
        """Peepholes, then gains of the normalisations and the bias that follows that of c."""
        n_gates = len(self.gates)
        peepholes = {"peephole": n_gates - 1} if self.peephole else {}
        gains = {"gain_ih": n_gates, "gain_hh": n_gates, "gain_c": 1, "bias_c": 1} if self.layer_norm else {}
        return peepholes | gains

    @property
    def bias_after(self) -> bool:  # type: ignore[override]
        """Whether b follows a normalisation."""
        return self.layer_norm

    def state_sizes(self, hidden_size: int) -> tuple[int, ...]:
        """Give the widths of h and c."""
        return (hidden_size if self.projection is None else self.projection, hidden_size)

    def param_shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Give the shape of every parameter; weight_hr, P, is (projection, H)."""
        if self.projection is not None and self.projection >= hidden_size:
            expected = f"less than the {hidden_size} units"
            raise UsageError(say("LSTM", "projection does not narrow h", expected=expected, got=self.projection))
        shapes = super().param_shapes(input_size, hidden_size)
        return shapes if self.projection is None else shapes | {"weight_hr": (self.projection, hidden_size)}

    def weight_of_operand(self, p: Mapping[str, Array]) -> Array | None:
        """Give P, if there is one."""
        return None if self.projection is None else p["weight_hr"]

    def step(self, xp: Any, ax: Array, ah: Array, state: State, p: Mapping[str, Array]) -> tuple[Any, tuple[Any, ...]]:
        """Make one step; see `Cell.step`. With a projection the operand is o ⊙ φ(c')."""
        sigma, phi = ACTIVATIONS[self.recurrent_activation].value, ACTIVATIONS[self.activation].value
        _, c_prev = state
        normal: tuple[Any, ...] = ()
        if self.layer_norm:
            (x, x_scale), (h, h_scale) = normalise(xp, ax), normalise(xp, ah)
            ax, ah = x * p["gain_ih"] + p["bias"], h * p["gain_hh"]
            normal = (x, x_scale, h, h_scale)
        *a_in, a_g, a_o = xp.split(ax + ah, len(self.gates))
        peep = xp.split(p["peephole"], len(self.gates) - 1) if self.peephole else (0,) * 3
        a_in = [a + w * c_prev for a, w in zip(a_in, peep, strict=False)]
        f = sigma(xp, a_in[-1])
        i = 1 - f if self.coupled else sigma(xp, a_in[0])
        g = phi(xp, a_g)
        c = f * c_prev + i * g
        o = sigma(xp, a_o + peep[-1] * c)
        if self.layer_norm:
            c_normal, c_scale = normalise(xp, c)
            normal = (*normal, c_normal, c_scale)
            phi_c = phi(xp, c_normal * p["gain_c"] + p["bias_c"])
        else:
            phi_c = phi(xp, c)
        h_new, tape = o * phi_c, (i, f, g, o, c_prev, c, phi_c, *normal)
        return ((h_new, c) if self.projection is None else h_new), tape

    def finish(
        self, xp: Any, product: Array, kept: tuple[Any, ...], p: Mapping[str, Array]
    ) -> tuple[State, tuple[Any, ...]]:
        """Take the projection as h; see `Cell.finish`."""
        return (product, kept[5]), kept

    def finish_backward(
        self, xp: Any, d_state: State, tape: tuple[Any, ...], p: Mapping[str, Array]
    ) -> tuple[Array, tuple[Any, ...]]:
        """Hand the gradient of h to the projection; see `Cell.finish_backward`."""
        d_h, d_c = d_state
        return d_h, (d_c,)

    def step_backward(
        self, xp: Any, d_state: tuple[Any, ...], tape: tuple[Any, ...], p: Mapping[str, Array]
    ) -> tuple[Array, Array, tuple[Array | None, ...], dict[str, Array]]:
        """Take one step back; see `Cell.step_backward`."""
        sigma, phi = ACTIVATIONS[self.recurrent_activation].slope, ACTIVATIONS[self.activation].slope
        d_h, d_c = d_state
        i, f, g, o, c_prev, c, phi_c, *normal = tape
        extras: dict[str, Array] = {}
        peep = xp.split(p["peephole"], len(self.gates) - 1) if self.peephole else (0,) * 3
        d_o = d_h * phi_c * sigma(o)
        d_phi = d_h * o * phi(phi_c)
        if self.layer_norm:
            x, x_scale, h, h_scale, c_normal, c_scale = normal
            extras |= {"gain_c": (d_phi * c_normal).sum(0), "bias_c": d_phi.sum(0)}
            d_phi = normalise_backward(xp, d_phi * p["gain_c"], c_normal, c_scale)
        d_c = d_c + d_phi + d_o * peep[-1]
        d_g = d_c * i * phi(g)
        d_in = [d_c * (c_prev - g) * sigma(f)] if self.coupled else [d_c * g * sigma(i), d_c * c_prev * sigma(f)]
        d_c_prev = d_c * f
        if self.peephole:
            for d_gate, w in zip(d_in, peep, strict=False):
                d_c_prev = d_c_prev + d_gate * w
            extras["peephole"] = xp.concat([*[d_gate * c_prev for d_gate in d_in], d_o * c]).sum(0)
        d_a = xp.concat([*d_in, d_g, d_o])
        if not self.layer_norm:
            return d_a, d_a, (None, d_c_prev), extras
        extras |= {"gain_ih": (d_a * x).sum(0), "gain_hh": (d_a * h).sum(0), "bias": d_a.sum(0)}
        d_ax = normalise_backward(xp, d_a * p["gain_ih"], x, x_scale)
        d_ah = normalise_backward(xp, d_a * p["gain_hh"], h, h_scale)
        return d_ax, d_ah, (None, d_c_prev), extras
