"""Learning rates that change with the steps taken, given to an optimizer in the place of a number.

Public as `elman.schedules`. A schedule is a frozen dataclass: `schedule(step)` is the rate of the step that comes after
`step` others, `config()` what stands in a model file. The optimizer counts the steps, one per batch; an epoch has
ceil(number of sequences / batch_size) of them, which is `len(batches)` of any batches:

    steps_per_epoch = -(-len(x) // batch_size)

Example:
    >>> from elman import optimizers, schedules
    >>> steps_per_epoch = -(-1000 // 50)
    >>> rate = schedules.Warmup(steps_per_epoch, then=schedules.Cosine(2e-3, decay_steps=9 * steps_per_epoch))
    >>> optimizer = optimizers.Adam(learning_rate=rate)
    >>> f"{optimizer.learning_rate:.4f}, {rate(20):.4f}, {rate(110):.4f}, {rate(200):.4f}"
    '0.0002, 0.0020, 0.0010, 0.0000'
"""

from __future__ import annotations

import dataclasses
import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from elman.errors import UsageError, say
from elman.training.checks import check_count, check_flag, check_number

__all__ = [
    "SCHEDULES",
    "Cosine",
    "CosineDecay",
    "Exponential",
    "ExponentialDecay",
    "OneCycle",
    "Piecewise",
    "PiecewiseConstantDecay",
    "Schedule",
    "Step",
    "Warmup",
    "get",
]


class Schedule:
    """Base of the schedules; a subclass is a frozen dataclass with a name and `__call__`."""

    name: ClassVar[str]

    def __call__(self, step: int) -> float:
        """Give the rate of the step that comes after `step` others.

        Args:
            step: >= 0.
        """
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """Give the JSON form: {"type": "cosine", …}; `get` is its inverse."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]
        return {"type": self.name, **{name: _plain(value) for name, value in values.items()}}

    def _rate(self, name: str) -> None:
        """Check a field that is a rate."""
        self._keep(name, check_number(self._where, name, getattr(self, name), open_low=True))

    def _steps(self, name: str) -> None:
        """Check a field that is a number of steps."""
        check_count(f"{self._where}, {name}", getattr(self, name))
        self._keep(name, int(getattr(self, name)))

    def _keep(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # frozen for everyone else

    @property
    def _where(self) -> str:
        return f"schedule '{self.name}'"


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
        UsageError: if a value is out of range.

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
        if isinstance(self.then, Mapping):
            self._keep("then", get(self.then))
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


# Keras's names.
ExponentialDecay = Exponential
CosineDecay = Cosine
PiecewiseConstantDecay = Piecewise

SCHEDULES: dict[str, type[Schedule]] = {
    kind.name: kind for kind in (Step, Exponential, Cosine, Piecewise, Warmup, OneCycle)
}


def get(schedule: Mapping[str, Any] | Schedule) -> Schedule:
    """Give the schedule that a config stands for.

    Args:
        schedule: what `config` gave, or a schedule.

    Raises:
        UsageError: if there is no such schedule or argument, or a value is out of range.

    Example:
        >>> get({"type": "step", "initial_learning_rate": 0.5, "decay_steps": 10})
        Step(initial_learning_rate=0.5, decay_steps=10, decay_rate=0.1)
    """
    if isinstance(schedule, Schedule):
        return schedule
    arguments = dict(schedule)
    kind = arguments.pop("type", None)
    known = SCHEDULES.get(kind) if isinstance(kind, str) else None
    if known is None:
        expected = f"one of {sorted(SCHEDULES)} or an object"
        raise UsageError(say("learning_rate", "there is no such schedule", expected=expected, got=repr(kind)))
    try:
        return known(**arguments)
    except TypeError as error:
        raise UsageError(say(f"schedule '{known.name}'", str(error))) from None


def _plain(value: Any) -> Any:
    """Give a field as a value that JSON knows."""
    if isinstance(value, Schedule):
        return value.config()
    return list(value) if isinstance(value, tuple) else value
