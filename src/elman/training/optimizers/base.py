"""What all optimizers share: where moments live, which rate a step takes, and how both are saved."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from elman.errors import UsageError, say
from elman.ops.flat import BLOCK
from elman.training import schedules
from elman.training.checks import check_number
from elman.training.parameters import Parameters
from elman.training.schedules import Schedule

__all__ = ["Array", "Optimizer", "Rate"]

Array = NDArray[Any]

#: How a learning rate may be given: a number, a schedule, or the config of one.
Rate = float | Schedule | Mapping[str, Any]


def _unbound() -> Array | None:
    """Stand where the reference to a model's parameters will be."""
    return None


class Optimizer:
    """Base of the optimizers: where moments live, and how they are saved.

    An optimizer belongs to the model of its first step as long as that lives, for its moments do. A step allocates
    nothing: it works in place, block after block, over the one flat array of all parameters. So it knows no biases or
    kinds of parameter, and weight decay, where an optimizer has it, acts on all of them, as in torch.

    A new optimizer names its options and moments and writes `_change`.

    Args:
        learning_rate: a number η > 0, or a schedule, which is asked for the rate of every step.

    Attributes:
        learning_rate: that of the next step; may be changed between steps unless a schedule gives it.
        schedule: what gives it, or None.
        steps: how many steps were taken; the schedule counts by it.
        begun: at which of them the moments began: 0, but where `resume` was called.
    """

    name: ClassVar[str]
    options: ClassVar[tuple[str, ...]] = ()  #: attributes that `config` writes down beside the rate
    scalars: ClassVar[tuple[str, ...]] = ("steps", "begun")  #: attributes that are part of the state
    moments: tuple[str, ...] = ()  #: names of the arrays (P,) that are part of the state
    n_scratch: int = 1  #: arrays of one block that `_change` works in

    def __init__(self, learning_rate: Rate) -> None:
        self.schedule: Schedule | None = None
        self.learning_rate = learning_rate
        self.reset()

    @property
    def learning_rate(self) -> float:
        """The rate that the next step takes."""
        return self._rate if self.schedule is None else self.schedule(self.steps)

    @learning_rate.setter
    def learning_rate(self, rate: Rate) -> None:
        where = f"optimizer '{self.name}'"
        if isinstance(rate, Schedule | Mapping):
            self.schedule = schedules.get(rate)
            return
        if callable(rate):
            cure = "Take one of elman.schedules, or the callback LearningRateScheduler for a function"
            raise UsageError(say(where, "learning_rate is a function, which no file could hold", cure=cure))
        if self.schedule is not None:
            wrong = "its learning_rate follows a schedule and cannot be set"
            cure = "Give the optimizer a number, or another schedule"
            raise UsageError(say(where, wrong, got=f"{rate!r} beside {self.schedule!r}", cure=cure))
        self._rate = check_number(where, "learning_rate", rate, open_low=True)

    def reset(self) -> None:
        """Forget the moments, the number of steps taken and the model they were taken for."""
        self.steps = self.begun = 0
        self._arrays: dict[str, Array] = {}
        self._flat: Callable[[], Array | None] = _unbound
        self._work: tuple[Array, ...] = ()

    def resume(self, steps: int) -> None:
        """Go on in the schedule after so many steps, with moments that begin anew, as a model that was loaded does.

        Args:
            steps: that were taken, >= 0.
        """
        self.reset()
        self.steps = self.begun = steps

    @property
    def age(self) -> int:
        """How many steps the moments have seen, the one that is taken included."""
        return self.steps - self.begun

    def step(self, parameters: Parameters) -> None:
        """Change the parameters in place by one step against their gradients.

        Args:
            parameters: flat (P,) and grads (P,); the clock is moved on.

        Raises:
            UsageError: if the optimizer, or the moments it was given, belong to another model.
        """
        flat = parameters.flat
        if self._flat() is not flat:
            self._bind(parameters)
        rate = self._rate if self.schedule is None else self.schedule(self.steps)
        self.steps += 1
        self._update(flat, parameters.grads, rate)
        parameters.clock.ticks += 1

    def config(self) -> dict[str, Any]:
        """Give the JSON form: {"type": "sgd", "learning_rate": …}; `get` is its inverse."""
        rate = self._rate if self.schedule is None else self.schedule.config()
        return {"type": self.name, "learning_rate": rate, **{name: getattr(self, name) for name in self.options}}

    def state(self) -> dict[str, Array]:
        """Give copies of the moments (P,) and the number of steps, for a checkpoint."""
        scalars = {name: np.array(getattr(self, name)) for name in self.scalars}
        return {**scalars, **{name: array.copy() for name, array in self._arrays.items()}}

    def set_state(self, state: Mapping[str, Array]) -> None:
        """Take up moments that `state` gave; they meet their parameters at the next step.

        Args:
            state: "steps", "begun" and either no moments (no step was taken) or all of them.

        Raises:
            UsageError: if names are missing or unknown.
        """
        names = set(state) - set(self.scalars)
        if not set(self.scalars) <= set(state) or (names and names != set(self.moments)):
            expected = [*self.scalars, *self.moments]
            raise UsageError(
                say(f"optimizer '{self.name}'", "the state does not fit", expected=expected, got=list(state))
            )
        self.reset()
        for name in self.scalars:
            setattr(self, name, type(getattr(self, name))(state[name]))
        self._arrays = {name: np.array(state[name]) for name in names}

    def _update(self, flat: Array, grads: Array, rate: float) -> None:
        """Take the step `steps`, block after block; an optimizer with numbers per step makes them here first."""
        arrays = (flat, grads, *[self._arrays[name] for name in self.moments])
        if flat.size <= BLOCK:  # a small model is one block, and slices of arrays would cost more than the arithmetic
            self._change(rate, *arrays, *self._work)
            return
        for start in range(0, flat.size, BLOCK):
            parts = [array[start : start + BLOCK] for array in arrays]
            self._change(rate, *parts, *[work[: parts[0].size] for work in self._work])

    def _change(self, rate: float, theta: Array, g: Array, *arrays: Array) -> None:
        """Change one block of parameters in place.

        Args:
            rate: η of this step.
            theta: θ, (p,).
            g: gradients, (p,), to be left alone.
            arrays: the moments in the order of `moments`, then `n_scratch` arrays to work in, (p,) each.
        """
        raise NotImplementedError

    def _first_moment(self, name: str, flat: Array) -> Array:
        """Give what a moment is before the first step."""
        return np.zeros_like(flat)

    def _bind(self, parameters: Parameters) -> None:
        """Make moments and scratch for these parameters, or keep moments that wait for them."""
        flat = parameters.flat
        if self._flat() is not None:
            cure = f"Give each model its own {type(self).__name__}, or call reset() to begin anew"
            raise UsageError(say(f"optimizer '{self.name}'", "it belongs to another model", cure=cure))
        if self._flat is not _unbound:
            self.reset()  # the model of its moments is gone
        for array in self._arrays.values():
            if array.shape != flat.shape or array.dtype != flat.dtype:
                wrong = "its moments are those of another model"
                expected, got = f"{flat.shape} {flat.dtype}", f"{array.shape} {array.dtype}"
                cure = "Give it the state of an optimizer of this model, or call reset() to begin anew"
                raise UsageError(say(f"optimizer '{self.name}'", wrong, expected=expected, got=got, cure=cure))
        for name in self.moments:
            if name not in self._arrays:
                self._arrays[name] = self._first_moment(name, flat)
        self._work = tuple(np.empty(min(BLOCK, flat.size), flat.dtype) for _ in range(self.n_scratch))
        self._flat = weakref.ref(flat)  # the optimizer shall not keep a model alive

    def __getstate__(self) -> dict[str, Any]:
        # The flat array belongs to the model; a copy of the optimizer meets the copy of the model at its next step.
        arrays = {name: array.copy() for name, array in self._arrays.items()}  # for copy.copy, which asks here too
        return {**self.__dict__, "_arrays": arrays, "_flat": _unbound, "_work": ()}

    def __repr__(self) -> str:
        shown = {**self.config(), **({"learning_rate": self.schedule} if self.schedule is not None else {})}
        values = ", ".join(f"{key}={value!r}" for key, value in shown.items() if key != "type")
        return f"{type(self).__name__}({values})"
