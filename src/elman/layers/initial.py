"""First values of weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

__all__ = ["glorot_uniform", "orthogonal"]

Array = NDArray[Any]


def glorot_uniform(rng: Generator, output_size: int, input_size: int) -> Array:
    """Draw (O, I) uniformly from ±√(6 / (I + O)); Glorot & Bengio 2010.

    Args:
        rng: where randomness comes from.
        output_size: O.
        input_size: I.
    """
    limit = math.sqrt(6 / (input_size + output_size))
    return rng.uniform(-limit, limit, (output_size, input_size))


def orthogonal(rng: Generator, size: int) -> Array:
    """Draw an orthogonal matrix (H, H), evenly from all of them; Saxe, McClelland & Ganguli 2014.

    Args:
        rng: where randomness comes from.
        size: H.
    """
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    # Without the signs of r's diagonal the draw is not even; Mezzadri 2007.
    out: Array = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return out
