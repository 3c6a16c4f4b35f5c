"""Connectionist temporal classification in NumPy: the definition that the native core is judged by.

Serves where the native core is absent. Written for one sequence, in logarithms, one step at a time.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Loss", "beam_search", "log_softmax", "sequence_loss"]

Array = NDArray[Any]
Loss = tuple[Any, Array | None]

# log 0. Finite, so that differences of two of them are 0 and not NaN; further down than any sum of logits.
_NEVER = -1e300


class _Beam(NamedTuple):
    """Log probabilities of all ways to read a prefix so far: ending in a blank, ending in its last label."""

    blank: float
    label: float

    @property
    def both(self) -> float:
        return float(np.logaddexp(self.blank, self.label))


_NOTHING = _Beam(-math.inf, -math.inf)


def log_softmax(logits: Array) -> Array:
    """log(exp(a) / Σ exp(a)) over the last axis, without overflow.

    Args:
        logits: (..., K).
    """
    shifted = logits - logits.real.max(axis=-1, keepdims=True)
    out: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return out


def sequence_loss(logits: Array, labels: Array, *, blank: int, want_grad: bool) -> Loss:
    """−log p(labels | logits) of one sequence, by the forward–backward recursions (Graves et al. 2006, section 4.1).

        l' = blank, l_1, blank, l_2 … l_L, blank        skip(s): l'_s is a label and differs from l'_(s−2)
        α_t(s) = (α_(t−1)(s) + α_(t−1)(s − 1) + skip(s) α_(t−1)(s − 2)) y_t(l'_s)
        β_t(s) = g_(t+1)(s) + g_(t+1)(s + 1) + skip(s + 2) g_(t+1)(s + 2)        g_t(s) = β_t(s) y_t(l'_s)
        ∂loss / ∂logit_t(k) = y_t(k) − Σ_{s: l'_s = k} α_t(s) β_t(s) / p

    β here leaves out y_t, which the paper counts in both α and β and divides by again.

    Args:
        logits: (T, K) float64 or complex128.
        labels: (L,) integers in [0, K), none of them the blank.
        blank: the class that is no label.
        want_grad: whether the gradient is needed.

    Returns:
        The loss in nats, infinite where no path reads as the labels, and its gradient with respect to the logits
        (T, K) or None.
    """
    steps = len(logits)
    places = np.full(2 * len(labels) + 1, blank)
    places[1::2] = labels
    barred = np.ones(len(places), bool)
    barred[3::2] = labels[1:] == labels[:-1]
    skip = np.where(barred | (places == blank), _NEVER, 0.0)
    log_y = log_softmax(logits)
    emitted = np.where(log_y.real < _NEVER, _NEVER, log_y)[:, places]

    alpha = np.full((steps + 1, len(places)), _NEVER, emitted.dtype)
    alpha[0, 0] = 0  # before the first step, every path stands at the first blank
    for t in range(steps):
        alpha[t + 1] = _log_sum(alpha[t], _moved(alpha[t], 1), _moved(alpha[t], 2) + skip) + emitted[t]
    log_p = _log_sum(*alpha[-1, -2:])
    if log_p.real < _NEVER / 2:
        return math.inf, np.full(logits.shape, math.nan) if want_grad else None
    if not want_grad:
        return -log_p, None

    gradient = np.exp(log_y)
    later = np.full(len(places), _NEVER, emitted.dtype)
    later[-1] = 0  # after the last step, every path stands at the last blank
    for t in range(steps - 1, -1, -1):
        beta = _log_sum(later, _moved(later, -1), _moved(later + skip, -2))
        np.subtract.at(gradient[t], places, np.exp(alpha[t + 1] + beta - log_p))
        later = beta + emitted[t]
    return -log_p, gradient


def beam_search(logits: Array, *, blank: int, width: int) -> list[tuple[tuple[int, ...], float]]:
    """Find the likeliest readings by prefix beam search (Graves 2012, section 7.5.3; Hannun et al. 2014).

    Args:
        logits: (T, K) float64.
        blank: the class that is no label.
        width: how many prefixes are kept after every step.

    Returns:
        At most `width` readings with the logarithm of the summed probability of their paths that were kept, best first.
    """
    beams: dict[tuple[int, ...], _Beam] = {(): _Beam(0.0, -math.inf)}
    for log_y in log_softmax(logits):
        found: dict[tuple[int, ...], _Beam] = {}

        def add(prefix: tuple[int, ...], more: _Beam, found: dict[tuple[int, ...], _Beam] = found) -> None:
            old = found.get(prefix, _NOTHING)
            found[prefix] = _Beam(*map(float, np.logaddexp(old, more)))

        for prefix, beam in beams.items():
            stays = beam.label + log_y[prefix[-1]] if prefix else -math.inf
            add(prefix, _Beam(beam.both + log_y[blank], stays))
            for k in range(len(log_y)):
                if k != blank:  # a label twice in a row needs a blank between
                    before = beam.blank if prefix[-1:] == (k,) else beam.both
                    add((*prefix, k), _Beam(-math.inf, before + log_y[k]))
        possible = [item for item in found.items() if item[1].both > -math.inf]
        beams = dict(sorted(possible, key=lambda item: -item[1].both)[:width])
    return [(prefix, beam.both) for prefix, beam in beams.items()]


def _moved(row: Array, by: int) -> Array:
    """Give the row `by` places further on, zero probability where nothing comes from."""
    out = np.full_like(row, _NEVER)
    if by > 0:
        out[by:] = row[:-by]
    else:
        out[:by] = row[-by:]
    return out


def _log_sum(*logs: Array) -> Array:
    """Log Σ exp, elementwise; complex numbers too, which np.logaddexp does not take."""
    top = np.maximum.reduce([x.real for x in logs])
    out: Array = np.log(sum(np.exp(x - top) for x in logs)) + top
    return out
