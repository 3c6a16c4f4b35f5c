"""The row-wise layer."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import DTypeLike

from elman.layers.base import Array, Flow, Layer, LayerConfig, Size, State
from elman.layers.initial import glorot_uniform
from elman.layers.options import Name
from elman.ops import kernels, linear
from elman.ops.kernels import Kernel
from elman.ops.steps import Stepper
from elman.ragged import Ragged

__all__ = ["Dense", "DenseTape"]


class DenseTape(NamedTuple):
    """What the way back needs: the rows that came in (N, I) and those that went out (N, O)."""

    x: Array
    y: Array

    @property
    def nbytes(self) -> int:
        """Bytes that are kept beyond the input."""
        return int(self.y.nbytes)


class Dense(Layer):
    """y = φ(W x + b) for every step, or for every row.

    Args:
        units: number of outputs, 1 to 65536.
        activation: φ, "tanh", "sigmoid", "relu" or "softmax"; none if None.
        tied_to: the name of an `Embedding` of the same model whose table is W too (Press & Wolf 2017, Inan et al.
            2017): of so many ids as there are outputs, with so many numbers as come in. Its gradient is their sum.
        name: key of its weights; the model gives one if None.

    Raises:
        UsageError: if an option is out of its bounds.

    Example:
        >>> Dense(10, activation="softmax").param_shapes(input_size=128)
        {'weight': (10, 128), 'bias': (10,)}
        >>> Dense(10, tied_to="embedding").param_shapes(input_size=128)
        {'bias': (10,)}
    """

    class Config(LayerConfig, tag="dense"):
        """Options, with their bounds."""

        units: Size
        activation: Literal["tanh", "sigmoid", "relu", "softmax"] | None = None
        tied_to: Name | None = None

    units: int
    activation: str | None
    tied_to: str | None

    def __init__(
        self, units: int, *, activation: str | None = None, tied_to: str | None = None, name: str | None = None
    ) -> None:
        super().__init__(units=units, activation=activation, tied_to=tied_to, name=name)

    def runs_on(self, dtype: DTypeLike) -> Kernel:
        """Say which code runs the row-wise product."""
        return kernels.of_product(dtype)

    def param_shapes(self, input_size: int) -> dict[str, tuple[int, ...]]:
        """Give the shapes of weight (O, I), unless it is that of another layer, and bias (O,)."""
        own = {} if self.tied_to is not None else {"weight": (self.units, input_size)}
        return {**own, "bias": (self.units,)}

    def borrowed(self, input_size: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Say whose weight is used, and what shape (O, I) it must have; see `Layer.borrowed`."""
        return {} if self.tied_to is None else {"weight": (self.tied_to, (self.units, input_size))}

    def init(self, rng: Generator, input_size: int) -> dict[str, Array]:
        """Draw first values: Glorot uniform for the weight, if it is its own, zeros for the bias."""
        own = {} if self.tied_to is not None else {"weight": glorot_uniform(rng, self.units, input_size)}
        return {**own, "bias": np.zeros(self.units)}

    def product_weights(self) -> tuple[str, ...]:
        """Name W, if it is its own."""
        return ("weight",) if self.tied_to is None else ()

    def output_size(self, input_size: int) -> int:
        """Give the number of outputs."""
        return self.units

    def logits(self) -> Dense:
        """Give this layer without its activation: another object on the same weights.

        Cross-entropy is computed from logits, so a training step of a model that ends in a softmax
        runs this twin in the place of its last layer. Take it after the layer is bound.
        """
        twin = copy.copy(self)
        twin.activation = None
        return twin

    def forward(
        self, x: Flow, *, state: State | None = None, rng: Generator | None = None, tape: bool = True
    ) -> tuple[Flow, State, DenseTape | None]:
        """Compute every row; see `Layer.forward`.

        Args:
            x: a Ragged with values (N, I), or an array (B, I).
            state: not used.
            rng: not used.
            tape: whether `backward` will follow.

        Returns:
            y in the form of x; (); the tape or None.
        """
        if type(x) is Ragged:
            rows = x.values
            y = linear.forward(rows, self.weights, activation=self.activation)
            return x.with_values(y), (), DenseTape(rows, y) if tape else None
        y = linear.forward(x, self.weights, activation=self.activation)  # type: ignore[arg-type]  # an array then
        return y, (), DenseTape(x, y) if tape else None  # type: ignore[arg-type]

    def stepper(self, x: Array, **places: Any) -> Stepper:
        """Bind the product; see `Layer.stepper`."""
        return linear.stepper(x, self.weights, activation=self.activation) or super().stepper(x, **places)

    def backward(
        self,
        dy: Any,
        tape: DenseTape,
        grads: Mapping[str, Array],
        *,
        dstate: State | None = None,
        want_dx: bool = True,
        keep_dh: bool = False,
    ) -> tuple[Flow | None, State, Array | None]:
        """Take every row back; see `Layer.backward`."""
        sequences = type(dy) is Ragged
        dx = linear.backward(
            dy.values if sequences else dy,
            tape.x,
            tape.y,
            self.weights,
            grads,
            activation=self.activation,
            want_dx=want_dx,
        )
        return (dy.with_values(dx) if sequences and dx is not None else dx), (), None
