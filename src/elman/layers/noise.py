"""Normal noise on what comes in, while training."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from numpy.random import Generator

from elman.layers.base import Flow, LayerConfig, State
from elman.layers.dropout import DropoutTape, TrainingOnly
from elman.ops.workspace import current
from elman.ragged import Ragged

__all__ = ["GaussianNoise"]


class GaussianNoise(TrainingOnly):
    """Add normal noise of mean 0 in training, and nothing outside of it; Bishop 1995.

    On standardised input it keeps a model from relying on values to the last digit, as weight decay does in a
    linear one.

    Args:
        stddev: standard deviation of the noise, 0 or more.
        name: of the layer; the model gives one if None.

    Raises:
        UsageError: if an option is out of its bounds.

    Example:
        >>> layer, x = GaussianNoise(0.5), np.zeros((1, 3))
        >>> layer.forward(x, rng=np.random.default_rng(0))[0].round(2)
        array([[ 0.06, -0.07,  0.32]])
        >>> layer.forward(x)[0] is x
        True
    """

    class Config(LayerConfig, tag="gaussian_noise"):
        """Options, with their bounds."""

        stddev: Annotated[float, msgspec.Meta(ge=0, le=1e6)]

    stddev: float

    def __init__(self, stddev: float, *, name: str | None = None) -> None:
        super().__init__(stddev=stddev, name=name)

    def forward(
        self, x: Flow, *, state: State | None = None, rng: Generator | None = None, tape: bool = True
    ) -> tuple[Flow, State, DropoutTape | None]:
        """Add noise if an rng is given; see `Layer.forward`.

        Args:
            x: a Ragged with values (N, F), or an array (B, F).
            state: not used.
            rng: draws the noise; None gives x as it is.
            tape: whether `backward` will follow.
        """
        kept = DropoutTape(None) if tape else None
        if rng is None or self.stddev == 0:
            return x, (), kept
        rows = x.values if isinstance(x, Ragged) else x
        kind = rows.real.dtype
        noise = current().take(rows.shape, kind)
        # Drawn in the precision that the model computes with: half the time of float64 for float32.
        rng.standard_normal(dtype=kind, out=noise)
        noise *= kind.type(self.stddev)
        out = np.add(noise, rows, out=noise if rows.dtype == kind else None)
        return (x.with_values(out) if isinstance(x, Ragged) else out), (), kept
