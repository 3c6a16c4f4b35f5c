"""Problems that ask for nothing but memory: how long a network keeps what it has seen.

Both are made so that their lag can be set. Nobody can solve them by looking at the last few steps, so what a network
gets right says how far it remembers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import UsageError, say
from elman.training.checks import check_count
from elman.training.seeds import Seed, spawn

__all__ = ["adding_problem", "copy_memory"]

Array = NDArray[Any]


def adding_problem(n: int, *, steps: int, rng: Seed = None) -> tuple[Array, Array]:
    """Draw sequences of numbers of which two are marked: their sum is the target.

    Every step has a number, even over [0, 1], and a mark, 0 or 1. One mark lies in the first half of the sequence, one
    in the second, so that the first number has to be kept for half of the steps on average. Who always answers 1, the
    mean of the sums, has a mean squared error of 1/6.

    Args:
        n: sequences.
        steps: of each, at least 2.
        rng: a seed, or a Generator to draw from.

    Returns:
        x (n, steps, 2) and y (n,).

    Raises:
        UsageError: if a count is too small.

    References:
        Hochreiter & Schmidhuber 1997; with one mark in each half as in Le, Jaitly & Hinton 2015.

    Example:
        >>> x, y = adding_problem(1000, steps=50, rng=0)
        >>> x.shape, y.shape
        ((1000, 50, 2), (1000,))
        >>> bool(np.allclose((x[..., 0] * x[..., 1]).sum(axis=1), y))
        True
        >>> round(float(((y - 1) ** 2).mean()), 2)
        0.16
    """
    check_count("n", n)
    check_count("steps", steps)
    if steps < 2:
        raise UsageError(say("adding_problem", "two steps are marked", expected="steps >= 2", got=steps))
    draws = _draws(rng)
    half, rows = steps // 2, np.arange(n)
    x = np.zeros((n, steps, 2))
    x[..., 0] = draws.random((n, steps))
    first, second = draws.integers(0, half, n), draws.integers(half, steps, n)
    x[rows, first, 1] = x[rows, second, 1] = 1
    return x, x[rows, first, 0] + x[rows, second, 0]


def copy_memory(n: int, *, lag: int, symbols: int = 8, length: int = 1, rng: Seed = None) -> tuple[Array, Array, Array]:
    """Draw symbols that are to be said again after a number of steps at which nothing happens.

    The symbols, ids 1 to `symbols`, come first; 0 is nothing, and `symbols` + 1 the sign at which they are to be
    repeated. Symbol and answer lie `lag` steps apart. Guessing is right once in `symbols` times.

    Args:
        n: sequences.
        lag: steps from a symbol to its answer, more than `length`.
        symbols: how many different ones there are.
        length: symbols to be kept.
        rng: a seed, or a Generator to draw from.

    Returns:
        x (n, steps) token ids below `symbols` + 2, with steps = `lag` + `length`; y (n, steps), the answers at the last
        `length` steps and 0 before; and sample_weight (n, steps), 1 where there is an answer.

    Raises:
        UsageError: if a count is too small.

    References:
        Arjovsky, Shah & Bengio 2016, with the losses of the answers alone.

    Example:
        >>> x, y, weight = copy_memory(1, lag=6, symbols=4, length=3, rng=0)
        >>> for part in (x, y, weight.astype(int)):
        ...     print(*part[0])
        4 2 2 0 0 5 0 0 0
        0 0 0 0 0 0 4 2 2
        0 0 0 0 0 0 1 1 1
    """
    for name, value in (("n", n), ("lag", lag), ("symbols", symbols), ("length", length)):
        check_count(name, value)
    if lag <= length:
        wrong = "the symbols are not over before the answers begin"
        raise UsageError(say("copy_memory", wrong, expected=f"lag > length = {length}", got=lag))
    steps = lag + length
    x, y, weight = np.zeros((n, steps), np.int64), np.zeros((n, steps), np.int64), np.zeros((n, steps))
    x[:, :length] = y[:, lag:] = _draws(rng).integers(1, symbols, (n, length), endpoint=True)
    x[:, lag - 1] = symbols + 1
    weight[:, lag:] = 1
    return x, y, weight


def _draws(rng: Seed) -> np.random.Generator:
    return rng if isinstance(rng, np.random.Generator) else spawn(rng).sampling
