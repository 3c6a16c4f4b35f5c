"""Attention of one learned query over the steps of every sequence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.ops import linear, segments
from elman.ops.weights import Weights
from elman.ragged import Ragged

__all__ = ["AttentionTape", "backward", "forward"]

Array = NDArray[Any]


class AttentionTape(NamedTuple):
    """What the way back needs.

    Attributes:
        x: the input (N, F).
        keys: u, what the query is compared with (N, U).
        shares: α, how much of the output each step is (N,); those of a sequence sum to 1.
    """

    x: Ragged
    keys: Array
    shares: Array

    @property
    def nbytes(self) -> int:
        """Bytes that are kept beyond the input."""
        return int(self.keys.nbytes + self.shares.nbytes)


def forward(x: Ragged, weights: Weights) -> tuple[Array, AttentionTape]:
    """Weigh the steps of every sequence and add them up; Yang et al. 2016, equations 5 to 7.

        u = tanh(W h + b)        α = softmax over t of q · u        y = Σ α h

    Args:
        x: h, values (N, F).
        weights: weight W (U, F), bias b (U,), query q (U,).

    Returns:
        y (B, F), zeros for a sequence of no steps; what `backward` needs.
    """
    u = linear.forward(x.values, weights, activation="tanh")
    # einsum adds every row up in one fixed order; BLAS would give a row other bits when it is alone.
    scores = np.einsum("nu,u->n", u, weights["query"])
    alpha = segments.softmax(scores, x)
    return segments.sums(x.with_values(alpha[:, None] * x.values)), AttentionTape(x, u, alpha)


def backward(
    dy: Array, tape: AttentionTape, weights: Weights, grads: Mapping[str, Array], *, want_dx: bool
) -> Array | None:
    """Take the attention back.

    Args:
        dy: gradient with respect to y (B, F).
        tape: from `forward`.
        weights: as in `forward`.
        grads: gradients of weight, bias and query are added into these.
        want_dx: whether dx is needed.

    Returns:
        dx (N, F), or None.
    """
    x, u, alpha = tape
    dy_steps = segments.spread(dy, x)
    d_alpha = np.einsum("nf,nf->n", dy_steps, x.values)
    weighted = (alpha * d_alpha)[:, None]
    d_scores = weighted[:, 0] - alpha * segments.spread(segments.sums(x.with_values(weighted)), x)[:, 0]
    d_query = grads["query"]
    d_query += np.einsum("n,nu->u", d_scores, u)
    du = d_scores[:, None] * weights["query"]
    through_keys = linear.backward(du, x.values, u, weights, grads, activation="tanh", want_dx=want_dx)
    return None if through_keys is None else through_keys + alpha[:, None] * dy_steps
