"""Blocks of neighbouring features and steps that are missing while training."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from numpy.random import Generator

from elman.layers.base import Array, Flow, LayerConfig, State
from elman.layers.dropout import DropoutTape, TrainingOnly, multiplied
from elman.ops.noise import whole_sequences
from elman.ops.workspace import current
from elman.ragged import Ragged

__all__ = ["SpecAugment"]

Width = Annotated[int, msgspec.Meta(ge=0, le=2**31)]


class SpecAugment(TrainingOnly):
    """Set one block of features and one block of steps of every sequence to zero in training; Park et al. 2019.

    A speaker's voice, a sensor or a microphone leaves bands out, and a noise covers a while: what has learned to do
    without some of them is less surprised by new ones. How wide a block is, from none to the most, and where it lies,
    is drawn anew every time. Zero is the mean of standardised input, so the layer comes first.

    Args:
        features: most neighbouring features in a block; at most as many as there are.
        steps: most neighbouring steps in a block; of a shorter sequence all may go.
        name: of the layer; the model gives one if None.

    Raises:
        UsageError: if an option is out of its bounds.

    Example:
        >>> layer, x = SpecAugment(features=2, steps=1), Ragged(np.ones((4, 5)), lengths=[4])
        >>> layer.forward(x, rng=np.random.default_rng(4))[0].values
        array([[0., 0., 0., 0., 0.],
               [1., 1., 0., 0., 1.],
               [1., 1., 0., 0., 1.],
               [1., 1., 0., 0., 1.]])
        >>> layer.forward(x)[0] is x
        True
    """

    class Config(LayerConfig, tag="spec_augment"):
        """Options, with their bounds."""

        features: Width
        steps: Width

    needs_sequences = True

    features: int
    steps: int

    def __init__(self, features: int, steps: int, *, name: str | None = None) -> None:
        super().__init__(features=features, steps=steps, name=name)

    def kept_per_step(self, input_size: int) -> int:
        """Count y, the mask and dx; see `Layer.kept_per_step`."""
        return 3 * input_size

    def forward(
        self, x: Ragged, *, state: State | None = None, rng: Generator | None = None, tape: bool = True
    ) -> tuple[Flow, State, DropoutTape | None]:
        """Leave blocks out if an rng is given; see `Layer.forward`.

        Args:
            x: a Ragged with values (N, F).
            state: not used.
            rng: draws the blocks; None gives x as it is.
            tape: whether `backward` will follow.
        """
        if rng is None:
            return x, (), DropoutTape(None) if tape else None
        lengths, start = whole_sequences(rng, x)
        width = x.values.shape[1]
        # Numbers in [0, 1), so that every sequence takes as much of the generator, whatever is drawn.
        drawn = rng.random((4, len(x)))
        left, right = _block(drawn[:2], self.features, np.full(len(x), width))
        first, last = _block(drawn[2:], self.steps, lengths)
        mask = current().take(x.values.shape, x.values.dtype)
        feature, step = np.arange(width), np.arange(x.n_steps) - np.repeat(x.offsets[:-1], x.lengths) + start
        kept = (feature < left[:, None]) | (feature >= right[:, None])
        mask[:] = np.repeat(kept, x.lengths, axis=0)
        mask[(step >= np.repeat(first, x.lengths)) & (step < np.repeat(last, x.lengths))] = 0
        return multiplied(x, mask, per_step=True), (), DropoutTape(mask) if tape else None


def _block(drawn: Array, most: int, sizes: Array) -> tuple[Array, Array]:
    """Give where blocks of 0 to `most` out of `sizes` begin and end, each (B,).

    Args:
        drawn: (2, B) in [0, 1): how wide, and where.
        most: widest block.
        sizes: (B,) of what it is a block of.
    """
    wide = (drawn[0] * (np.minimum(most, sizes) + 1)).astype(np.int64)
    begin = (drawn[1] * (sizes - wide + 1)).astype(np.int64)
    return begin, begin + wide
