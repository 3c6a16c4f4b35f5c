"""One row out of all steps of a sequence, by learned attention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import DTypeLike

from elman.layers.base import Array, Layer, LayerConfig, Size, State
from elman.layers.initial import glorot_uniform
from elman.ops import attention, kernels
from elman.ops.attention import AttentionTape
from elman.ops.kernels import Kernel
from elman.ragged import Ragged

__all__ = ["AttentionPooling"]


class AttentionPooling(Layer):
    """Weigh the steps of a sequence by how well they answer a learned query, and add them up.

        u = tanh(W h + b)        α = softmax over t of q · u        y = Σ α h

    That is the attention over words of Yang et al. 2016, the additive form of Bahdanau, Cho & Bengio
    2015 with one query for all. A sequence of no steps gives zeros, and no gradient goes to it.

    Args:
        units: U, what W makes of a step, 1 to 65536; as many as come in if None.
        name: key of its weights; the model gives one if None.

    Raises:
        UsageError: if an option is out of its bounds.

    Example:
        >>> AttentionPooling().param_shapes(input_size=100)
        {'weight': (100, 100), 'bias': (100,), 'query': (100,)}
    """

    class Config(LayerConfig, tag="attention_pooling"):
        """Options, with their bounds."""

        units: Size | None = None

    causal = False
    needs_sequences = True
    passes_values = True

    units: int | None

    def __init__(self, units: int | None = None, *, name: str | None = None) -> None:
        super().__init__(units=units, name=name)

    def runs_on(self, dtype: DTypeLike) -> Kernel:
        """Say which code runs the row-wise product, nearly all of the work."""
        return kernels.of_product(dtype)

    def param_shapes(self, input_size: int) -> dict[str, tuple[int, ...]]:
        """Give the shapes of weight (U, F), bias (U,) and query (U,)."""
        units = self.units or input_size
        return {"weight": (units, input_size), "bias": (units,), "query": (units,)}

    def init(self, rng: Generator, input_size: int) -> dict[str, Array]:
        """Draw first values: Glorot uniform for weight and query, zeros for the bias."""
        units = self.units or input_size
        return {
            "weight": glorot_uniform(rng, units, input_size),
            "bias": np.zeros(units),
            "query": glorot_uniform(rng, 1, units)[0],
        }

    def product_weights(self) -> tuple[str, ...]:
        """Name W."""
        return ("weight",)

    def kept_per_step(self, input_size: int) -> int:
        """Count u, α, the gradients of u and x, and the steps weighed; see `Layer.kept_per_step`."""
        return 2 * (self.units or input_size) + 3 * input_size + 2

    def output_size(self, input_size: int) -> int:
        """Give the size of the input."""
        return input_size

    def gives_sequences(self, takes_sequences: bool) -> bool:
        """Say no."""
        return False

    def forward(
        self, x: Ragged, *, state: State | None = None, rng: Generator | None = None, tape: bool = True
    ) -> tuple[Array, State, AttentionTape | None]:
        """Pool every sequence; see `Layer.forward`.

        Args:
            x: values (N, F), lengths >= 0.
            state: not used.
            rng: not used.
            tape: whether `backward` will follow.

        Returns:
            (B, F); (); the tape, whose `shares` say how much each step counted, or None.
        """
        y, kept = attention.forward(x, self.weights)
        return y, (), kept if tape else None

    def backward(
        self,
        dy: Any,
        tape: AttentionTape,
        grads: Mapping[str, Array],
        *,
        dstate: State | None = None,
        want_dx: bool = True,
        keep_dh: bool = False,
    ) -> tuple[Ragged | None, State, Array | None]:
        """Take the attention back; see `Layer.backward`."""
        dx = attention.backward(dy, tape, self.weights, grads, want_dx=want_dx)
        return (None if dx is None else tape.x.with_values(dx)), (), None
