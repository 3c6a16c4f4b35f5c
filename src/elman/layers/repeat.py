"""Sequences out of one row each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator

from elman.layers.base import Array, Layer, LayerConfig, Size, State
from elman.ops import segments
from elman.ragged import Ragged

__all__ = ["RepeatTape", "RepeatVector"]


class RepeatTape(NamedTuple):
    """What the way back needs: nothing but the form."""

    @property
    def nbytes(self) -> int:
        """Bytes that are kept beyond the input."""
        return 0


class RepeatVector(Layer):
    """The same row at every one of n steps: from one to many.

    Targets of a model with this layer have n steps per sequence, whatever the lengths of the input.

    Args:
        n: steps of every sequence that comes out, 1 to 65536.
        name: of the layer; the model gives one if None.

    Raises:
        UsageError: if n is out of its bounds.

    Example:
        >>> RepeatVector(3).forward(np.array([[1.0, 2.0], [3.0, 4.0]]))[0]
        Ragged(2 sequences, 6 steps, 2 features, float64)
    """

    class Config(LayerConfig, tag="repeat_vector"):
        """Options, with their bounds."""

        n: Size

    causal = False
    needs_rows = True
    passes_values = True

    n: int

    def __init__(self, n: int, *, name: str | None = None) -> None:
        super().__init__(n=n, name=name)
        self.makes_steps = self.n

    def param_shapes(self, input_size: int) -> dict[str, tuple[int, ...]]:
        """Give nothing: there are no parameters."""
        return {}

    def init(self, rng: Generator, input_size: int) -> dict[str, Array]:
        """Draw nothing."""
        return {}

    def kept_per_step(self, input_size: int) -> int:
        """Count the rows that come out, for each that comes in, and the gradient."""
        return (self.n + 1) * input_size

    def output_size(self, input_size: int) -> int:
        """Give the size of the input."""
        return input_size

    def gives_sequences(self, takes_sequences: bool) -> bool:
        """Say yes."""
        return True

    def forward(
        self, x: Array, *, state: State | None = None, rng: Generator | None = None, tape: bool = True
    ) -> tuple[Ragged, State, RepeatTape | None]:
        """Repeat every row; see `Layer.forward`.

        Args:
            x: (B, F).
            state: not used.
            rng: not used.
            tape: whether `backward` will follow.
        """
        lengths = np.full(len(x), self.n, np.int64)
        return Ragged.trusted(np.repeat(x, self.n, axis=0), lengths), (), RepeatTape() if tape else None

    def backward(
        self,
        dy: Any,
        tape: RepeatTape,
        grads: Mapping[str, Array],
        *,
        dstate: State | None = None,
        want_dx: bool = True,
        keep_dh: bool = False,
    ) -> tuple[Array | None, State, Array | None]:
        """Add up the gradients of all copies; see `Layer.backward`."""
        return (segments.sums(dy) if want_dx else None), (), None
