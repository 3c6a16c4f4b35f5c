"""Schedules that begin at a rate and let it fall."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from elman.errors import UsageError, say
from elman.training.checks import check_count, check_flag, check_number
from elman.training.schedules.base import Schedule

__all__ = ["Cosine", "Exponential", "Piecewise", "Step"]


@dataclass(frozen=True)
class Exponential(Schedule):
    """Decay without an end: η_k = η_0 · γ^(k / n); Keras's ExponentialDecay, and with n = 1 torch's ExponentialLR.

    Args:
        initial_learning_rate: η_0 > 0.
        decay_steps: n >= 1, after how many steps the rate is γ times what it was.
        decay_rate: γ > 0; above 1 the rate grows, as for the range test of Smith 2017.
        staircase: whether the rate falls every n steps at once, as `Step` has it.

    Raises:
        UsageError: if a value is out of range.

    Example:
        >>> Exponential(0.1, decay_steps=10, decay_rate=0.5)(20)
        0.025
    """

    name = "exponential"

    initial_learning_rate: float
    decay_steps: int
    decay_rate: float
    staircase: bool = False

    def __post_init__(self) -> None:
        self._rate("initial_learning_rate")
        self._steps("decay_steps")
        self._rate("decay_rate")
        self._keep("staircase", check_flag(self._where, "staircase", self.staircase))

    def __call__(self, step: int) -> float:
        """Give η_0 · γ^(k / n)."""
        power = step // self.decay_steps if self.staircase else step / self.decay_steps
        try:
            return float(self.initial_learning_rate * self.decay_rate**power)
        except OverflowError:
            return math.inf


@dataclass(frozen=True)
class Step(Schedule):
    """Fall by a factor every n steps: η_k = η_0 · γ^⌊k / n⌋; torch's StepLR.

    Args:
        initial_learning_rate: η_0 > 0.
        decay_steps: n >= 1.
        decay_rate: γ > 0.

    Raises:
        UsageError: if a value is out of range.

    Example:
        >>> rate = Step(0.5, decay_steps=100, decay_rate=0.1)
        >>> rate(99), rate(100)
        (0.5, 0.05)
    """

    name = "step"

    initial_learning_rate: float
    decay_steps: int
    decay_rate: float = 0.1

    def __post_init__(self) -> None:
        self._rate("initial_learning_rate")
        self._steps("decay_steps")
        self._rate("decay_rate")

    def __call__(self, step: int) -> float:
        """Give η_0 · γ^⌊k / n⌋."""
        try:
            return float(self.initial_learning_rate * self.decay_rate ** (step // self.decay_steps))
        except OverflowError:
            return math.inf


@dataclass(frozen=True)
class Cosine(Schedule):
    """Fall along half a cosine, then stay; Loshchilov & Hutter 2017 without restarts, torch's CosineAnnealingLR.

        η_k = η_0 · (α + (1 − α) (1 + cos(π k / n)) / 2), k at most n

    Args:
        initial_learning_rate: η_0 > 0.
        decay_steps: n >= 1, how long the fall takes.
        alpha: the share α of η_0 in [0, 1] that is left at the end.

    Raises:
        UsageError: if a value is out of range.

    Example:
        >>> rate = Cosine(1.0, decay_steps=100, alpha=0.5)
        >>> rate(0), round(rate(50), 12), rate(1000)
        (1.0, 0.75, 0.5)
    """

    name = "cosine"

    initial_learning_rate: float
    decay_steps: int
    alpha: float = 0.0

    def __post_init__(self) -> None:
        self._rate("initial_learning_rate")
        self._steps("decay_steps")
        self._keep("alpha", check_number(self._where, "alpha", self.alpha, high=1.0, closed_high=True))

    def __call__(self, step: int) -> float:
        """Give η_0 · (α + (1 − α) (1 + cos(π k / n)) / 2)."""
        fall = (1.0 + math.cos(math.pi * min(step, self.decay_steps) / self.decay_steps)) / 2.0
        return self.initial_learning_rate * (self.alpha + (1.0 - self.alpha) * fall)


@dataclass(frozen=True)
class Piecewise(Schedule):
    """Hold one rate after another; Keras's PiecewiseConstantDecay.

    Args:
        boundaries: steps in rising order; up to the first, that included, the first value holds, and so on.
        values: one rate > 0 more than there are boundaries.

    Raises:
        UsageError: if numbers or order do not fit, or a value is out of range.

    Example:
        >>> rate = Piecewise([100, 200], [1e-2, 1e-3, 1e-4])
        >>> rate(100), rate(101), rate(5000)
        (0.01, 0.001, 0.0001)
    """

    name = "piecewise"

    boundaries: Sequence[int]
    values: Sequence[float]

    def __post_init__(self) -> None:
        for name in ("boundaries", "values"):
            given = getattr(self, name)
            if isinstance(given, str | bytes | Mapping) or not hasattr(given, "__len__"):
                raise UsageError(say(self._where, f"{name} is no list", expected="numbers", got=repr(given)))
        for boundary in self.boundaries:
            check_count(f"{self._where}, boundaries", boundary)
        boundaries = tuple(int(boundary) for boundary in self.boundaries)
        values = tuple(check_number(self._where, "values", value, open_low=True) for value in self.values)
        if list(boundaries) != sorted(set(boundaries)) or len(values) != len(boundaries) + 1:
            expected = "boundaries in rising order and one value more than boundaries"
            got = f"{list(boundaries)} and {list(values)}"
            raise UsageError(say(self._where, "boundaries and values do not fit", expected=expected, got=got))
        self._keep("boundaries", boundaries)
        self._keep("values", values)

    def __call__(self, step: int) -> float:
        """Give the value of the part that the step is in."""
        return self.values[bisect_left(self.boundaries, step)]
