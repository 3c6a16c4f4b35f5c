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

from collections.abc import Mapping
from typing import Any

from elman.errors import UsageError, say
from elman.training.schedules.base import Schedule
from elman.training.schedules.decays import Cosine, Exponential, Piecewise, Step
from elman.training.schedules.rises import OneCycle, Warmup

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
        return known(**{name: _inner(value) for name, value in arguments.items()})
    except TypeError as error:
        raise UsageError(say(f"schedule '{known.name}'", str(error))) from None


def _inner(value: Any) -> Any:
    """Give an argument that is itself a schedule as such, one level deep: a forged file could nest thousands."""
    if not isinstance(value, Mapping):
        return value
    if any(isinstance(part, Mapping) for part in value.values()):
        expected = "a schedule without another one in it"
        raise UsageError(
            say("learning_rate", "schedules are nested too deep", expected=expected, got=value.get("type"))
        )
    return get(value)
