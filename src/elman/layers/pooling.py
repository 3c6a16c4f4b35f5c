"""One row out of all steps of a sequence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.random import Generator

from elman.layers.base import Array, Layer, LayerConfig, State
from elman.ops import segments
from elman.ragged import Ragged

__all__ = ["GlobalAveragePooling1D", "GlobalMaxPooling1D", "Pooling", "PoolingTape"]


class PoolingTape(NamedTuple):
    """What the way back needs: the input (N, F), and the greatest values (B, F) where they were looked for."""

    x: Ragged
    greatest: Array | None

    @property
    def nbytes(self) -> int:
        """Bytes that are kept beyond the input."""
        return 0 if self.greatest is None else int(self.greatest.nbytes)


class Pooling(Layer):
    """Put all steps of a sequence together into one row; only steps that are there count.

    A sequence of no steps gives zeros, and no gradient goes to it.

    Args:
        mode: "last" (the last step), "mean", "max" (of every feature), or "mean_max" (both, side by side:
            twice as many features). Steps that share the greatest value share its gradient.
            For learned attention see `AttentionPooling`.
        name: of the layer; the model gives one if None.

    Raises:
        UsageError: if mode is unknown.

    Example:
        >>> x = Ragged(np.array([[1.0, 8.0], [3.0, 4.0], [5.0, 6.0]]), lengths=[2, 0, 1])
        >>> Pooling("mean").forward(x)[0]
        array([[2., 6.],
               [0., 0.],
               [5., 6.]])
        >>> Pooling("mean_max").output_size(input_size=2)
        4
    """

    class Config(LayerConfig, tag="pooling"):
        """Options, with their bounds."""

        cures: ClassVar[Mapping[str, str]] = {"attention": "Take AttentionPooling(), which has weights of its own"}

        mode: Literal["last", "mean", "max", "mean_max"]

    needs_sequences = True
    passes_values = True

    mode: str

    def __init__(self, mode: str, *, name: str | None = None) -> None:
        super().__init__(mode=mode, name=name)
        self.causal = self.mode == "last"

    def param_shapes(self, input_size: int) -> dict[str, tuple[int, ...]]:
        """Give nothing: there are no parameters."""
        return {}

    def init(self, rng: Generator, input_size: int) -> dict[str, Array]:
        """Draw nothing."""
        return {}

    def kept_per_step(self, input_size: int) -> int:
        """Count dx and the scratch it is made with; see `Layer.kept_per_step`."""
        return 2 * input_size

    def output_size(self, input_size: int) -> int:
        """Give the size of the input, twice for "mean_max"."""
        return 2 * input_size if self.mode == "mean_max" else input_size

    def gives_sequences(self, takes_sequences: bool) -> bool:
        """Say no."""
        return False

    def forward(
        self, x: Ragged, *, state: State | None = None, rng: Generator | None = None, tape: bool = True
    ) -> tuple[Array, State, PoolingTape | None]:
        """Pool every sequence; see `Layer.forward`.

        Args:
            x: values (N, F), lengths >= 0.
            state: not used.
            rng: not used.
            tape: whether `backward` will follow.

        Returns:
            (B, F), or (B, 2·F) for "mean_max"; (); the tape or None.
        """
        greatest = segments.maxima(x) if "max" in self.mode else None
        if self.mode == "last":
            y = x.last()
        else:
            parts = [segments.sums(x) / _counts(x)] if "mean" in self.mode else []
            y = np.concatenate([*parts, *([] if greatest is None else [greatest])], axis=1)
        return y, (), PoolingTape(x, greatest) if tape else None

    def backward(
        self,
        dy: Any,
        tape: PoolingTape,
        grads: Mapping[str, Array],
        *,
        dstate: State | None = None,
        want_dx: bool = True,
        keep_dh: bool = False,
    ) -> tuple[Ragged | None, State, Array | None]:
        """Give every step its part of the gradient; see `Layer.backward`."""
        if not want_dx:
            return None, (), None
        x, greatest = tape
        features = x.values.shape[1]
        if self.mode == "last":
            dx = np.zeros(x.values.shape, dy.dtype)
            filled = x.lengths > 0
            dx[x.offsets[1:][filled] - 1] = dy[filled]
            return x.with_values(dx), (), None
        dx = np.zeros((), dy.dtype)
        if "mean" in self.mode:
            dx = segments.spread(dy[:, :features] / _counts(x), x)
        if greatest is not None:
            among = (x.values == segments.spread(greatest, x)).astype(dy.dtype)
            # Nothing equals a NaN; what is divided by then does not matter.
            sharing = np.maximum(segments.sums(x.with_values(among)), 1)
            dx = dx + among * segments.spread(dy[:, -features:] / sharing, x)
        return x.with_values(dx), (), None


def _counts(x: Ragged) -> Array:
    """Give the number of steps to divide by, (B, 1); 1 for a sequence of none, whose sum is zero."""
    kind = x.values.real.dtype
    return np.maximum(x.lengths, 1).astype(kind)[:, None]


def GlobalAveragePooling1D(*, name: str | None = None) -> Pooling:
    """Give Keras's name to `Pooling("mean")`.

    Args:
        name: of the layer.

    Example:
        >>> GlobalAveragePooling1D()
        Pooling(mode='mean')
    """
    return Pooling("mean", name=name)


def GlobalMaxPooling1D(*, name: str | None = None) -> Pooling:
    """Give Keras's name to `Pooling("max")`.

    Args:
        name: of the layer.

    Example:
        >>> GlobalMaxPooling1D()
        Pooling(mode='max')
    """
    return Pooling("max", name=name)
