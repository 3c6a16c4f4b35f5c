"""What training does at random, drawn before it runs."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from elman.errors import UsageError, say
from elman.ragged import Ragged

__all__ = ["QUIET", "Noise", "WindowDraws", "coins", "keep_mask", "step_coins", "whole_sequences"]

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


def coins(rng: Generator, rate: float, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Draw true with probability `rate`.

    Each coin takes 16 bits of the generator, so that the rate is met to 1e-5, in a third of the time that numbers in
    [0, 1) take: 0.5 ms for 819,200 coins, 1.5 ms otherwise (AMD EPYC, PCG64).

    Args:
        rng: drawn from.
        rate: in [0, 1].
        shape: of the coins.

    Example:
        >>> float(coins(np.random.default_rng(0), 0.25, (100, 100)).mean())
        0.2464
    """
    count = math.prod(shape)
    words = rng.integers(0, 2**64, -(-count // 4), dtype=np.uint64)
    return (words.view(np.uint16)[:count] < round(rate * 65536)).reshape(shape)


def keep_mask(rng: Generator, rate: float, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Draw the factors of dropout: zero with probability `rate`, else 1 / (1 − rate), so that the mean is 1.

    Args:
        rng: drawn from.
        rate: share that is dropped, [0, 1).
        shape: of the factors.
        dtype: of the factors.
    """
    mask: Array = coins(rng, 1 - rate, shape) * dtype.type(1 / (1 - rate))
    return mask


def step_coins(rng: Generator, rate: float, x: Ragged, width: int) -> NDArray[np.bool_]:
    """Draw coins for every step of every sequence, (N, width).

    Args:
        rng: drawn from; of `WindowDraws` come those that a pass over the whole sequences gives to these steps.
        rate: in [0, 1].
        x: whose steps these are.
        width: coins per step.
    """
    if isinstance(rng, WindowDraws):
        return rng.step_coins(rate, x, width)
    return coins(rng, rate, (x.n_steps, width))


def whole_sequences(rng: Generator, x: Ragged) -> tuple[NDArray[np.int64], int]:
    """Give the lengths (B,) of the sequences that these steps belong to, and the number of the first step here.

    Args:
        rng: of `WindowDraws` come those of the whole sequences.
        x: whose steps these are.
    """
    return (rng.whole.lengths, rng.start) if isinstance(rng, WindowDraws) else (x.lengths, 0)


# Generators that can be put forward by any number of draws, counted in words of 64 bits.
_ADVANCING = (np.random.PCG64, np.random.PCG64DXSM)


class WindowDraws(Generator):
    """What one pass over whole sequences draws, given to passes over windows of them.

    Coins of a sequence (`coins`) are the same in every window, coins of a step (`step_coins`) those of that step: so a
    batch that is run window after window, as often as may be, is dropped from exactly as if it were run at once.

    Args:
        rng: that the pass over the whole sequences would be given; it is drawn from by `finish` alone.
        whole: the whole sequences.

    Attributes:
        whole: as given.
        start: first step of the window that is drawn for.

    Raises:
        UsageError: if the generator cannot be put forward.

    Example:
        >>> whole = Ragged(np.zeros((7, 1)), [4, 3])
        >>> at_once = step_coins(np.random.default_rng(0), 0.5, whole, 3)
        >>> draws = WindowDraws(np.random.default_rng(0), whole)
        >>> draws.begin(2)
        >>> later = step_coins(draws, 0.5, whole.window(2, 4), 3)
        >>> bool((later == at_once[[2, 3, 6]]).all())
        True
    """

    def __init__(self, rng: Generator, whole: Ragged) -> None:
        if not isinstance(rng.bit_generator, _ADVANCING):
            got = type(rng.bit_generator).__name__
            cure = "Take numpy.random.default_rng(seed)"
            wrong = "this generator cannot draw for one segment of a batch after the other"
            raise UsageError(say("rng", wrong, expected="PCG64 or PCG64DXSM", got=got, cure=cure))
        bits = type(rng.bit_generator)()
        bits.state = rng.bit_generator.state
        super().__init__(bits)
        self._rng, self._bits, self.whole = rng, bits, whole
        self._first = bits.state
        self.start = 0

    def begin(self, start: int) -> None:
        """Go back to where the pass began, for a window.

        Args:
            start: first step of the window.
        """
        self._bits.state = self._first
        self.start = start

    def finish(self) -> None:
        """Leave the generator that was given where the pass over the whole sequences leaves it."""
        kept = {name: self._first[name] for name in ("has_uint32", "uinteger")}  # putting forward clears them
        self._rng.bit_generator.state = {**self._bits.state, **kept}

    def step_coins(self, rate: float, window: Ragged, width: int) -> NDArray[np.bool_]:
        """Draw the coins of a window; see the function of this name.

        Args:
            rate: in [0, 1].
            window: the steps from `start` on.
            width: coins per step.
        """
        bits, limit = self._bits, round(rate * 65536)
        out = np.empty((window.n_steps, width), np.bool_)
        flat = out.reshape(-1)
        firsts = (self.whole.offsets[:-1] + self.start) * width
        at = here = 0  # coins given, words drawn or passed over
        for first, count in zip(firsts.tolist(), (window.lengths * width).tolist(), strict=True):
            if count:
                word, end = first // 4, -(-(first + count) // 4)
                bits.advance(word - here)
                words = self.integers(0, 2**64, end - word, dtype=np.uint64)
                begin = first - 4 * word
                np.less(words.view(np.uint16)[begin : begin + count], limit, out=flat[at : at + count])
                at, here = at + count, end
        bits.advance(-(-self.whole.n_steps * width // 4) - here)
        return out
