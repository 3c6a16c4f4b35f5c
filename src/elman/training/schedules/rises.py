"""Schedules in which the rate rises first."""

from __future__ import annotations

import math
from dataclasses import dataclass

from elman.errors import UsageError, say
from elman.training.checks import check_number
from elman.training.schedules.base import Schedule

__all__ = ["OneCycle", "Warmup"]


@dataclass(frozen=True)
class Warmup(Schedule):
    """Rise in a straight line to where another schedule begins, then follow that; Goyal et al. 2017.

        η_k = then(0) · (s + (1 − s) k / n) for k < n, then(k − n) from there on

    torch's LinearLR, followed by another under SequentialLR.

    Args:
        steps: n >= 1, how long the rise takes.
        then: the schedule that follows, whose own step 0 is step n; or a rate to be held.
        start_factor: the share s of the rate in (0, 1] that the first step takes.

    Raises:
        UsageError: if a value is out of range, or the schedule that follows is a warm-up too.

    Example:
        >>> rate = Warmup(10, then=1e-3, start_factor=0.5)
        >>> rate(0), round(rate(5), 12), rate(10)
        (0.0005, 0.00075, 0.001)
    """

    name = "warmup"

    steps: int
    then: Schedule | float
    start_factor: float = 0.1

    def __post_init__(self) -> None:
        self._steps("steps")
        if isinstance(self.then, Warmup):
            raise UsageError(say(self._where, "then is a warm-up itself", expected="another schedule, or a rate"))
        if not isinstance(self.then, Schedule):
            self._rate("then")
        share = check_number(self._where, "start_factor", self.start_factor, high=1.0, open_low=True, closed_high=True)
        self._keep("start_factor", share)

    def __call__(self, step: int) -> float:
        """Give the rate on the way up, or that of the schedule that follows."""
        after = max(step - self.steps, 0)
        rate = self.then(after) if isinstance(self.then, Schedule) else self.then
        if step >= self.steps:
            return rate
        return rate * (self.start_factor + (1.0 - self.start_factor) * step / self.steps)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Rise to the greatest rate and fall far below the first, all in one run; Smith & Topin 2018.

    torch's OneCycleLR with its two phases and without its cycle of momentum. After `total_steps` the rate stays at its
    least, where torch would raise.

    Args:
        max_learning_rate: the greatest rate > 0.
        total_steps: n >= 2 of the whole run: epochs × steps per epoch.
        pct_start: the share of them in (0, 1) that the rise takes.
        anneal_strategy: "cos" or "linear".
        div_factor: the first rate is the greatest divided by this, >= 1.
        final_div_factor: the last rate is the first divided by this, >= 1.

    Raises:
        UsageError: if a value is out of range.

    Example:
        >>> rate = OneCycle(1.0, total_steps=101, pct_start=0.5)
        >>> f"{rate(0):.2f} {rate(49):.2f} {rate(100):.6f}"
        '0.04 1.00 0.000004'
    """

    name = "one_cycle"

    max_learning_rate: float
    total_steps: int
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    div_factor: float = 25.0
    final_div_factor: float = 1e4

    def __post_init__(self) -> None:
        self._rate("max_learning_rate")
        self._steps("total_steps")
        if self.total_steps < 2:
            raise UsageError(say(self._where, "total_steps is out of range", expected=">= 2", got=self.total_steps))
        self._keep("pct_start", check_number(self._where, "pct_start", self.pct_start, high=1.0, open_low=True))
        for name in ("div_factor", "final_div_factor"):
            self._keep(name, check_number(self._where, name, getattr(self, name), low=1.0))
        if self.anneal_strategy not in ("cos", "linear"):
            wrong = "anneal_strategy is not accepted"
            raise UsageError(say(self._where, wrong, expected="'cos' or 'linear'", got=repr(self.anneal_strategy)))

    def __call__(self, step: int) -> float:
        """Give the rate of the rise, or of the fall."""
        first = self.max_learning_rate / self.div_factor
        least = first / self.final_div_factor
        top, end = self.pct_start * self.total_steps - 1.0, self.total_steps - 1.0
        if step <= top:
            return self._between(first, self.max_learning_rate, step / top if top else 1.0)
        return self._between(self.max_learning_rate, least, min((step - top) / (end - top), 1.0))

    def _between(self, start: float, stop: float, share: float) -> float:
        if self.anneal_strategy == "linear":
            return start + (stop - start) * share
        return stop + (start - stop) / 2.0 * (1.0 + math.cos(math.pi * share))
