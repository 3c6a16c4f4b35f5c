"""RMSprop and Adagrad: steps measured by the size of past gradients."""

from __future__ import annotations

import numpy as np

from elman.training.checks import check_flag, check_number
from elman.training.optimizers.base import Array, Optimizer, Rate

__all__ = ["Adagrad", "RMSprop"]


class RMSprop(Optimizer):
    """Tieleman & Hinton 2012, with torch's formulas and Keras's names and rates.

        v ← ρ v + (1 − ρ) g²        d = g / (√v + ε)        (centered, Graves 2013: √(v − m²), m ← m + (1 − ρ)(g − m))
        u ← μ u + d                 θ ← θ − η u

    Args:
        learning_rate: η > 0, or a schedule.
        rho: ρ in [0, 1), torch's alpha.
        momentum: μ in [0, 1).
        epsilon: ε > 0, outside the root as in torch.
        centered: whether steps are measured by the variance of the gradient. A variance that rounding made negative
            counts as zero, where torch would give NaN.

    Raises:
        UsageError: if a value is out of range.

    Example:
        >>> RMSprop(1e-3, momentum=0.9, centered=True).moments
        ('v', 'm', 'velocity')
    """

    name = "rmsprop"
    options = ("rho", "momentum", "epsilon", "centered")

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        *,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-8,
        centered: bool = False,
    ) -> None:
        where = "optimizer 'rmsprop'"
        self.rho = check_number(where, "rho", rho, high=1.0)
        self.momentum = check_number(where, "momentum", momentum, high=1.0)
        self.epsilon = check_number(where, "epsilon", epsilon, open_low=True)
        self.centered = check_flag(where, "centered", centered)
        self.moments = ("v", *(["m"] if self.centered else []), *(["velocity"] if self.momentum else []))
        super().__init__(learning_rate)

    def _change(self, rate: float, theta: Array, g: Array, *arrays: Array) -> None:
        v, *others, change = arrays
        np.multiply(v, self.rho, out=v)
        np.multiply(g, g, out=change)
        np.multiply(change, 1.0 - self.rho, out=change)
        np.add(v, change, out=v)
        if self.centered:
            m = others[0]
            np.subtract(g, m, out=change)
            np.multiply(change, 1.0 - self.rho, out=change)
            np.add(m, change, out=m)
            np.multiply(m, m, out=change)
            np.subtract(v, change, out=change)
            np.maximum(change, 0.0, out=change)
            np.sqrt(change, out=change)
        else:
            np.sqrt(v, out=change)
        np.add(change, self.epsilon, out=change)
        np.divide(g, change, out=change)
        if self.momentum:
            velocity = others[-1]
            np.multiply(velocity, self.momentum, out=velocity)
            np.add(velocity, change, out=velocity)
            np.multiply(velocity, rate, out=change)
        else:
            np.multiply(change, rate, out=change)
        np.subtract(theta, change, out=theta)


class Adagrad(Optimizer):
    """Duchi, Hazan & Singer 2011, with torch's formula and values.

        s ← s + g²        θ ← θ − η g / (√s + ε)

    Args:
        learning_rate: η > 0, or a schedule.
        initial_accumulator_value: what s begins with, >= 0.
        epsilon: ε > 0.

    Raises:
        UsageError: if a value is out of range.

    Example:
        >>> Adagrad(0.1)
        Adagrad(learning_rate=0.1, initial_accumulator_value=0.0, epsilon=1e-10)
    """

    name = "adagrad"
    options = ("initial_accumulator_value", "epsilon")
    moments = ("sum",)

    def __init__(
        self, learning_rate: Rate = 0.01, *, initial_accumulator_value: float = 0.0, epsilon: float = 1e-10
    ) -> None:
        where = "optimizer 'adagrad'"
        self.initial_accumulator_value = check_number(where, "initial_accumulator_value", initial_accumulator_value)
        self.epsilon = check_number(where, "epsilon", epsilon, open_low=True)
        super().__init__(learning_rate)

    def _first_moment(self, name: str, flat: Array) -> Array:
        return np.full_like(flat, self.initial_accumulator_value)

    def _change(self, rate: float, theta: Array, g: Array, *arrays: Array) -> None:
        total, change = arrays
        np.multiply(g, g, out=change)
        np.add(total, change, out=total)
        np.sqrt(total, out=change)
        np.add(change, self.epsilon, out=change)
        np.divide(g, change, out=change)
        np.multiply(change, rate, out=change)
        np.subtract(theta, change, out=theta)
