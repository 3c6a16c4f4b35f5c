"""Whether two sides say the same: asked before anything is timed."""

from typing import NamedTuple

import numpy as np

# Of the norm. float32: 2⁻²⁴ a rounding, some hundred of them one after the other through time. float64 likewise.
TOLERANCES = {"float32": 1e-5, "float64": 1e-12}
# A gradient of the weights is a sum over all steps, thousands of terms, which every side adds in another order.
SUMS = 10.0


class Answer(NamedTuple):
    """What a side computed.

    Attributes:
        y: outputs of the steps there are (N, H), sequence after sequence.
        grads: gradients of the weights by elman's names; None after a forward pass alone.
    """

    y: np.ndarray
    grads: dict[str, np.ndarray] | None = None


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return |a − b| / |b|."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-300))


def check(what: str, found: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Raise unless both say the same."""
    if np.shape(found) != np.shape(expected):
        raise AssertionError(f"{what}: shapes {np.shape(found)} and {np.shape(expected)} differ")
    off = distance(found, expected)
    if not off <= tolerance:
        raise AssertionError(f"{what}: the answers differ by {off:.1e} of the norm, tolerance {tolerance:.0e}")


def compare(what: str, found: Answer, expected: Answer, *, dtype: str, steps: int = 1) -> None:
    """Raise unless an answer is the expected one.

    Args:
        what: for the message.
        found: of one side.
        expected: of the judge.
        dtype: in which both computed.
        steps: of the longest sequence; roundings through time add up beyond a few hundred.
    """
    tolerance = TOLERANCES[dtype] * max(1.0, steps / 200)
    check(f"{what} y", found.y, expected.y, tolerance)
    if found.grads is None or expected.grads is None:
        return
    if set(found.grads) != set(expected.grads):
        raise AssertionError(f"{what}: gradients {sorted(found.grads)}, expected {sorted(expected.grads)}")
    for name, gradient in expected.grads.items():
        check(f"{what} d_{name}", found.grads[name], gradient, SUMS * tolerance)
