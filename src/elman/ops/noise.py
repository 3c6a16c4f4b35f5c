"""What training does to a recurrence at random, drawn before it runs."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

__all__ = ["QUIET", "Noise"]

Array = NDArray[Any]


class Noise(NamedTuple):
    """Masks of one pass over a batch. They are drawn by the layer, so that a pass is a function of its arguments.

    Attributes:
        h_mask: (B, P) what h is multiplied by before R, the same at every step of a sequence (recurrent
            dropout, Gal & Ghahramani 2016); None for ones.
        zone_h: how much of the old h stays: (N, P) numbers, zero or one in training, or one number for all,
            the mean, when predicting (zoneout, Krueger et al. 2017).
        zone_c: likewise of the cell state, (N, H) or one number.
        weight_mask: what R is multiplied by, in its shape (weight drop, Merity, Keskar & Socher 2018); None for ones.
    """

    h_mask: Array | None = None
    zone_h: Array | float = 0.0
    zone_c: Array | float = 0.0
    weight_mask: Array | None = None

    @property
    def zones(self) -> tuple[Array | float, Array | float]:
        """How much stays of each part of the state, h first."""
        return self.zone_h, self.zone_c


QUIET = Noise()
