"""The layer that brings every row to the same scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.random import Generator

from elman.layers.base import Array, Flow, Layer, LayerConfig, State
from elman.ops import norm
from elman.ops.norm import NormTape
from elman.ragged import Ragged

__all__ = ["LayerNorm", "LayerNormalization"]


class LayerNorm(Layer):
    """Mean 0 and variance 1 over the features of every step; Ba, Kiros & Hinton 2016.

        y = weight ⊙ (x − mean(x)) / √(var(x) + ε) + bias

    No step looks at another and no sequence at another, so it is the same in training and after.

    Args:
        epsilon: ε, above 0; torch's by default (Keras takes 1e-3).
        name: key of its weights; the model gives one if None.

    Raises:
        UsageError: if an option is out of its bounds.

    Example:
        >>> LayerNorm().param_shapes(input_size=128)
        {'weight': (128,), 'bias': (128,)}
    """

    class Config(LayerConfig, tag="layer_norm"):
        """Options, with their bounds."""

        epsilon: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1e-5

    epsilon: float

    def __init__(self, epsilon: float = 1e-5, *, name: str | None = None) -> None:
        super().__init__(epsilon=epsilon, name=name)

    def param_shapes(self, input_size: int) -> dict[str, tuple[int, ...]]:
        """Give the shapes of weight (F,) and bias (F,)."""
        return {"weight": (input_size,), "bias": (input_size,)}

    def init(self, rng: Generator, input_size: int) -> dict[str, Array]:
        """Give ones for the weight, zeros for the bias."""
        return {"weight": np.ones(input_size), "bias": np.zeros(input_size)}

    def kept_per_step(self, input_size: int) -> int:
        """Count x̂, y, the scale, dx and its scratch; see `Layer.kept_per_step`."""
        return 4 * input_size + 1

    def output_size(self, input_size: int) -> int:
        """Give the size of the input."""
        return input_size

    def forward(
        self, x: Flow, *, state: State | None = None, rng: Generator | None = None, tape: bool = True
    ) -> tuple[Flow, State, NormTape | None]:
        """Normalise every row; see `Layer.forward`.

        Args:
            x: a Ragged with values (N, F), or an array (B, F).
            state: not used.
            rng: not used.
            tape: whether `backward` will follow.
        """
        y, kept = norm.forward(x.values if isinstance(x, Ragged) else x, self.weights, epsilon=self.epsilon)
        return (x.with_values(y) if isinstance(x, Ragged) else y), (), kept if tape else None

    def backward(
        self,
        dy: Any,
        tape: NormTape,
        grads: Mapping[str, Array],
        *,
        dstate: State | None = None,
        want_dx: bool = True,
        keep_dh: bool = False,
    ) -> tuple[Flow | None, State, Array | None]:
        """Take every row back; see `Layer.backward`."""
        sequences = isinstance(dy, Ragged)
        dx = norm.backward(dy.values if sequences else dy, tape, self.weights, grads, want_dx=want_dx)
        return (dy.with_values(dx) if sequences and dx is not None else dx), (), None


LayerNormalization = LayerNorm
