"""The way around a layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.random import Generator

from elman.errors import UsageError, say
from elman.layers.base import Array, Flow, Layer, State
from elman.layers.wrapper import Wrapper, WrapperConfig, part_of_grads
from elman.ops.steps import Stepper
from elman.ops.workspace import current, empty_aligned
from elman.ragged import Ragged

__all__ = ["Residual"]


class Residual(Wrapper):
    """y = x + layer(x): the layer learns what to change; He et al. 2016, in recurrent stacks Wu et al. 2016.

    Args:
        layer: gives as many features as it gets, and a row per step for a row per step; it is copied,
            its weights are named "layer.…".
        name: key of its weights; the model gives one if None.

    Raises:
        UsageError: if it wraps no layer; when the model is built, if sizes or forms differ.

    Example:
        >>> from elman.layers import GRU
        >>> Residual(GRU(64, return_sequences=True)).param_shapes(input_size=64)["layer.weight_ih"]
        (192, 64)
    """

    class Config(WrapperConfig, tag="residual"):
        """Options, with their bounds."""

    def __init__(self, layer: Layer, *, name: str | None = None) -> None:
        super().__init__(layer, name=name)
        self.causal = self.layer.causal
        self.needs_sequences, self.needs_rows = self.layer.needs_sequences, self.layer.needs_rows

    def check_input(self, input_size: int, *, sequences: bool) -> None:
        """Refuse a layer whose output cannot be added to its input; see `Layer.check_input`."""
        inner = self.layer
        if inner.needs_ids:
            wrong = f"it adds numbers, and {inner.title} takes token ids"
            raise UsageError(say(self.title, wrong, cure="Put it before, without Residual."))
        inner.check_input(input_size, sequences=sequences)
        if inner.gives_sequences(sequences) != sequences:
            forms = ("one row per sequence", "one row per step")
            wrong = f"{inner.title} gives another form than it gets"
            cure = f"Set return_sequences=True on {inner.title}" if hasattr(inner, "return_sequences") else None
            raise UsageError(say(self.title, wrong, expected=forms[sequences], got=forms[not sequences], cure=cure))
        if (size := inner.output_size(input_size)) != input_size:
            wrong = f"x has {input_size} features and {inner.title} gives {size}, so they cannot be added"
            cure = f"Give the wrapped layer an output of {input_size}, or put Dense({size}) before Residual."
            raise UsageError(say(self.title, wrong, expected="equal sizes", cure=cure))

    def kept_per_step(self, input_size: int) -> int:
        """Count the layer's, the sum and its gradient; see `Layer.kept_per_step`."""
        return super().kept_per_step(input_size) + 2 * input_size

    def forward(
        self, x: Flow, *, state: State | None = None, rng: Generator | None = None, tape: bool = True
    ) -> tuple[Flow, State, Any]:
        """Run the layer and add its input; see `Layer.forward`.

        Args:
            x: a Ragged with values (N, F), or an array (B, F).
            state: of the layer.
            rng: given to the layer.
            tape: whether `backward` will follow.
        """
        y, last, kept = self.layer.forward(x, state=state, rng=rng, tape=tape)
        return _added(x, y), last, kept

    def stepper(self, x: Array, **places: Any) -> Stepper:
        """Bind the layer and the sum; see `Layer.stepper`."""
        y, inner = self.layer.stepper(x, **places)
        out = empty_aligned(x.shape, x.dtype)

        def advance(ticks: int, side: int) -> None:
            if inner is not None:
                inner(ticks, side)
            np.add(x, y, out=out)

        return Stepper(out, advance)

    def backward(
        self,
        dy: Any,
        tape: Any,
        grads: Mapping[str, Array],
        *,
        dstate: State | None = None,
        want_dx: bool = True,
        keep_dh: bool = False,
    ) -> tuple[Flow | None, State, Array | None]:
        """Take the layer back and add what came past it; see `Layer.backward`."""
        dx, begin, dh = self.layer.backward(
            dy, tape, part_of_grads(grads, "layer"), dstate=dstate, want_dx=want_dx, keep_dh=keep_dh
        )
        return (None if dx is None else _added(dy, dx)), begin, dh


def _added(a: Flow, b: Flow) -> Flow:
    """Add two flows of the same form, into memory that is used again for the next batch."""
    if isinstance(a, Ragged) and isinstance(b, Ragged):
        return a.with_values(_sum(a.values, b.values))
    return _sum(a, b)  # type: ignore[arg-type]  # both are arrays then


def _sum(a: Array, b: Array) -> Array:
    out = current().take(a.shape, np.result_type(a, b))
    np.add(a, b, out=out)
    return out
