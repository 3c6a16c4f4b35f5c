"""Optimizers: one call over the flat arrays of a model, with torch's formulas."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from elman.errors import UsageError, say
from elman.ops.flat import BLOCK, adam, sum_of_squares
from elman.training.parameters import Parameters

__all__ = ["OPTIMIZERS", "SGD", "Adam", "Optimizer", "clip_global_norm", "get"]

Array = NDArray[Any]


def _unbound() -> Array | None:
    """Stand where the reference to a model's parameters will be."""
    return None


class Optimizer:
    """Base of the optimizers: where moments live, and how they are saved.

    An optimizer belongs to the model of its first step as long as that lives, for its moments do.

    Attributes:
        learning_rate: may be changed between steps.
    """

    name: ClassVar[str]
    moments: ClassVar[tuple[str, ...]] = ()

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = _number(self.name, "learning_rate", learning_rate, low=0.0, open_low=True)
        self.reset()

    def reset(self) -> None:
        """Forget the moments, the number of steps taken and the model they were taken for."""
        self.steps = 0
        self._arrays: dict[str, Array] = {}
        self._flat: Callable[[], Array | None] = _unbound
        self._scratch: Array = np.empty(0)

    def step(self, parameters: Parameters) -> None:
        """Change the parameters in place by one step against their gradients.

        Args:
            parameters: flat (P,) and grads (P,); the clock is moved on.

        Raises:
            UsageError: if the optimizer belongs to another model.
        """
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """Give the JSON form: {"type": "sgd", "learning_rate": …}; `get` is its inverse."""
        raise NotImplementedError

    def state(self) -> dict[str, Array]:
        """Give copies of the moments (P,) and the number of steps, for a checkpoint."""
        return {"steps": np.array(self.steps, np.int64), **{name: a.copy() for name, a in self._arrays.items()}}

    def set_state(self, state: Mapping[str, Array]) -> None:
        """Take up moments that `state` gave; they meet their parameters at the next step.

        Args:
            state: "steps" and either no moments (no step was taken) or all of them.

        Raises:
            UsageError: if names are missing or unknown.
        """
        names = set(state) - {"steps"}
        if "steps" not in state or (names and names != set(self.moments)):
            raise UsageError(
                say(
                    f"optimizer '{self.name}'",
                    "the state does not fit",
                    expected=["steps", *self.moments],
                    got=list(state),
                )
            )
        self.reset()
        self.steps = int(state["steps"])
        self._arrays = {name: np.array(state[name]) for name in names}

    def _bind(self, parameters: Parameters) -> None:
        """Make moments and scratch for these parameters, or keep moments that wait for them."""
        flat = parameters.flat
        if self._flat() is not None:
            cure = f"Give each model its own {type(self).__name__}, or call reset() to begin anew"
            raise UsageError(say(f"optimizer '{self.name}'", "it belongs to another model", cure=cure))
        waiting = self._flat is _unbound and all(
            a.shape == flat.shape and a.dtype == flat.dtype for a in self._arrays.values()
        )
        if not waiting:
            self.reset()
        for name in self.moments:
            self._arrays.setdefault(name, np.zeros_like(flat))
        self._scratch = np.empty(min(BLOCK, flat.size), flat.dtype)
        self._flat = weakref.ref(flat)  # the optimizer shall not keep a model alive

    def __getstate__(self) -> dict[str, Any]:
        # The flat array belongs to the model; a copy of the optimizer meets the copy of the model at its next step.
        arrays = {name: array.copy() for name, array in self._arrays.items()}  # for copy.copy, which asks here too
        return {**self.__dict__, "_arrays": arrays, "_flat": _unbound, "_scratch": np.empty(0)}

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={value!r}" for key, value in self.config().items() if key != "type")
        return f"{type(self).__name__}({values})"


class SGD(Optimizer):
    """Gradient descent, with momentum if asked.

        v ← μ v + g        θ ← θ − η v

    Args:
        learning_rate: η > 0.
        momentum: μ in [0, 1).

    Raises:
        UsageError: if a value is out of range.
    """

    name = "sgd"

    def __init__(self, learning_rate: float = 0.01, *, momentum: float = 0.0) -> None:
        self.momentum = _number("sgd", "momentum", momentum, low=0.0, high=1.0)
        self.moments = ("velocity",) if self.momentum else ()  # type: ignore[misc]
        super().__init__(learning_rate)

    def config(self) -> dict[str, Any]:
        """Give the JSON form."""
        return {"type": "sgd", "learning_rate": self.learning_rate, "momentum": self.momentum}

    def step(self, parameters: Parameters) -> None:
        """Change the parameters in place by one step against their gradients."""
        flat, direction = parameters.flat, parameters.grads
        if self._flat() is not flat:
            self._bind(parameters)
        if self.momentum:
            velocity = self._arrays["velocity"]
            np.multiply(velocity, self.momentum, out=velocity)
            np.add(velocity, direction, out=velocity)
            direction = velocity
        scratch, rate = self._scratch, self.learning_rate
        if flat.size == scratch.size:
            np.multiply(direction, rate, out=scratch)
            np.subtract(flat, scratch, out=flat)
        else:
            for start in range(0, flat.size, BLOCK):
                part = flat[start : start + BLOCK]
                change = np.multiply(direction[start : start + BLOCK], rate, out=scratch[: part.size])
                np.subtract(part, change, out=part)
        self.steps += 1
        parameters.clock.ticks += 1


class Adam(Optimizer):
    """Kingma & Ba 2015, algorithm 1, with torch's order of operations.

        m ← m + (1 − β₁)(g − m)        v ← β₂ v + (1 − β₂) g²
        θ ← θ − η / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)

    Args:
        learning_rate: η > 0.
        beta_1: β₁ in [0, 1).
        beta_2: β₂ in [0, 1).
        epsilon: ε > 0.

    Raises:
        UsageError: if a value is out of range.
    """

    name = "adam"
    moments = ("m", "v")

    def __init__(
        self, learning_rate: float = 1e-3, *, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8
    ) -> None:
        self.beta_1 = _number("adam", "beta_1", beta_1, low=0.0, high=1.0)
        self.beta_2 = _number("adam", "beta_2", beta_2, low=0.0, high=1.0)
        self.epsilon = _number("adam", "epsilon", epsilon, low=0.0, open_low=True)
        super().__init__(learning_rate)

    def config(self) -> dict[str, Any]:
        """Give the JSON form."""
        return {
            "type": "adam",
            "learning_rate": self.learning_rate,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }

    def step(self, parameters: Parameters) -> None:
        """Change the parameters in place by one step against their gradients."""
        if self._flat() is not parameters.flat:
            self._bind(parameters)
        self.steps += 1
        step_size = self.learning_rate / (1.0 - self.beta_1**self.steps)
        root_correction = math.sqrt(1.0 - self.beta_2**self.steps)
        adam(
            parameters.flat,
            parameters.grads,
            self._arrays["m"],
            self._arrays["v"],
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            root_correction=root_correction,
            epsilon=self.epsilon,
            step_size=step_size,
        )
        parameters.clock.ticks += 1


OPTIMIZERS: dict[str, type[SGD] | type[Adam]] = {"sgd": SGD, "adam": Adam}


def get(optimizer: str | Mapping[str, Any] | Optimizer) -> Optimizer:
    """Give the optimizer that a name, a config or an optimizer stands for.

    Args:
        optimizer: "adam", "sgd", {"type": "sgd", "learning_rate": 0.1}, or an object.

    Raises:
        UsageError: if there is no such optimizer or argument.

    Example:
        >>> get("adam")
        Adam(learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-08)
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    arguments = dict(optimizer) if isinstance(optimizer, Mapping) else {"type": optimizer}
    kind = arguments.pop("type", None)
    known = OPTIMIZERS.get(kind.lower()) if isinstance(kind, str) else None
    if known is None:
        raise UsageError(
            say(
                "compile",
                "there is no such optimizer",
                expected=f"one of {sorted(OPTIMIZERS)} or an object",
                got=repr(kind),
            )
        )
    try:
        return known(**arguments)
    except TypeError as error:
        raise UsageError(say(f"optimizer '{known.name}'", str(error), expected=known().config())) from None


def clip_global_norm(parameters: Parameters, max_norm: float) -> float:
    """Scale all gradients so that their joint norm is at most `max_norm`.

    The factor is min(1, max_norm / (norm + 1e-6)), as torch has it (Pascanu et al. 2013).

    Args:
        parameters: whose grads (P,) are scaled in place.
        max_norm: > 0.

    Returns:
        The norm before scaling, summed in float64; the gradients are left alone if it is not finite.
    """
    grads = parameters.grads
    norm = math.sqrt(sum_of_squares(grads))
    coefficient = max_norm / (norm + 1e-6)
    if coefficient < 1.0 and math.isfinite(norm):
        np.multiply(grads, coefficient, out=grads)
    return norm


def _number(
    where: str, name: str, value: object, *, low: float, high: float = math.inf, open_low: bool = False
) -> float:
    """Give a float within [low, high) or (low, high), or say what is wrong with it."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool | str) or not (low < number < high or (number == low and not open_low)):
        span = f"{'(' if open_low else '['}{low:g}, {high:g})"
        raise UsageError(
            say(f"optimizer '{where}'", f"{name} is out of range", expected=f"a number in {span}", got=repr(value))
        )
    return number
