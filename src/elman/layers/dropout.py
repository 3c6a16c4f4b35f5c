"""Zeros at random while training, so that no output relies on another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from numpy.random import Generator

from elman.layers.base import Array, Flow, Layer, LayerConfig, State
from elman.ops import segments
from elman.ops.noise import coins, step_coins
from elman.ops.steps import Stepper
from elman.ops.workspace import current
from elman.ragged import Ragged

__all__ = ["Dropout", "DropoutTape", "SpatialDropout1D", "TrainingOnly", "multiplied"]


class DropoutTape(NamedTuple):
    """What the way back needs: what each number was multiplied with, (N, F) or (B, F), or None for 1."""

    mask: Array | None

    @property
    def nbytes(self) -> int:
        """Bytes that are kept beyond the input."""
        return 0 if self.mask is None else int(self.mask.nbytes)


class TrainingOnly(Layer):
    """Base of layers without parameters that change numbers in training and give what they get outside of it."""

    per_sequence: bool = False  # one mask for all steps of a sequence

    def param_shapes(self, input_size: int) -> dict[str, tuple[int, ...]]:
        """Give nothing: there are no parameters."""
        return {}

    def init(self, rng: Generator, input_size: int) -> dict[str, Array]:
        """Draw nothing."""
        return {}

    def output_size(self, input_size: int) -> int:
        """Give the size of the input."""
        return input_size

    def stepper(self, x: Array, **places: Any) -> Stepper:
        """Hand on what comes in: nothing is changed where nothing is learned."""
        return Stepper(x, None)

    def backward(
        self,
        dy: Any,
        tape: DropoutTape,
        grads: Mapping[str, Array],
        *,
        dstate: State | None = None,
        want_dx: bool = True,
        keep_dh: bool = False,
    ) -> tuple[Flow | None, State, Array | None]:
        """Multiply the gradient with the same mask, if there is one; see `Layer.backward`."""
        if not want_dx or tape.mask is None:
            return dy if want_dx else None, (), None
        return multiplied(dy, tape.mask, per_step=not self.per_sequence), (), None


class Dropout(TrainingOnly):
    """Set a share of the numbers to zero in training; Srivastava et al. 2014.

    What stays is multiplied by 1 / (1 − rate), so that sums are the same on average and nothing
    needs to be done outside of training, where the layer gives what it gets.

    Args:
        rate: the share, 0 <= rate < 1.
        per_sequence: draw one mask per sequence and use it for all its steps, so that whole features
            are missing (Gal & Ghahramani 2016); Keras calls this SpatialDropout1D.
        name: of the layer; the model gives one if None.

    Raises:
        UsageError: if an option is out of its bounds.

    Example:
        >>> layer = Dropout(0.5)
        >>> x = np.ones((1, 6))
        >>> layer.forward(x, rng=np.random.default_rng(3))[0]
        array([[0., 0., 2., 2., 0., 2.]])
        >>> layer.forward(x)[0] is x
        True
    """

    class Config(LayerConfig, tag="dropout"):
        """Options, with their bounds."""

        rate: Annotated[float, msgspec.Meta(ge=0, lt=1)]
        per_sequence: bool = False

    rate: float
    per_sequence: bool

    passes_values = True

    def __init__(self, rate: float, *, per_sequence: bool = False, name: str | None = None) -> None:
        super().__init__(rate=rate, per_sequence=per_sequence, name=name)

    def kept_per_step(self, input_size: int) -> int:
        """Count y, the mask and dx; see `Layer.kept_per_step`."""
        return 3 * input_size

    def forward(
        self, x: Flow, *, state: State | None = None, rng: Generator | None = None, tape: bool = True
    ) -> tuple[Flow, State, DropoutTape | None]:
        """Multiply with a mask if an rng is given; see `Layer.forward`.

        Args:
            x: a Ragged with values (N, F), or an array (B, F).
            state: not used.
            rng: draws the mask; None gives x as it is.
            tape: whether `backward` will follow.
        """
        if rng is None or self.rate == 0:
            return x, (), DropoutTape(None) if tape else None
        rows = x.values if isinstance(x, Ragged) else x
        width, keep = rows.shape[1], 1 - self.rate
        if isinstance(x, Ragged) and not self.per_sequence:
            drawn = step_coins(rng, keep, x, width)
        else:
            drawn = coins(rng, keep, (len(x), width))
        mask = current().take(drawn.shape, rows.dtype)
        np.multiply(drawn, mask.dtype.type(1 / keep), out=mask)
        return multiplied(x, mask, per_step=not self.per_sequence), (), DropoutTape(mask) if tape else None


def SpatialDropout1D(rate: float, *, name: str | None = None) -> Dropout:
    """Give Keras's name to `Dropout(rate, per_sequence=True)`.

    Args:
        rate: the share of features that are missing in a sequence, 0 <= rate < 1.
        name: of the layer.

    Example:
        >>> SpatialDropout1D(0.2)
        Dropout(rate=0.2, per_sequence=True)
    """
    return Dropout(rate, per_sequence=True, name=name)


def multiplied(x: Flow, mask: Array, *, per_step: bool) -> Flow:
    """Multiply values (N, F) with a mask (N, F), or with that of their sequence out of (B, F)."""
    rows = x.values if isinstance(x, Ragged) else x
    out = current().take(rows.shape, rows.dtype)
    if not isinstance(x, Ragged):
        np.multiply(rows, mask, out=out)
        return out
    np.multiply(rows, mask if per_step else segments.spread(mask, x), out=out)
    return x.with_values(out)
