"""Adam and its kin: steps measured by running means of gradients and of their squares."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from elman.ops.core import native
from elman.ops.flat import adam
from elman.training.checks import check_number
from elman.training.optimizers.base import Array, Optimizer, Rate

__all__ = ["Adam", "AdamW", "NAdam"]


class _Moments(Optimizer):
    """What the three have in common: β₁, β₂, ε and two moments."""

    moments = ("m", "v")
    options: ClassVar[tuple[str, ...]] = ("beta_1", "beta_2", "epsilon")

    def __init__(self, learning_rate: Rate, *, beta_1: float, beta_2: float, epsilon: float) -> None:
        where = f"optimizer '{self.name}'"
        self.beta_1 = check_number(where, "beta_1", beta_1, high=1.0)
        self.beta_2 = check_number(where, "beta_2", beta_2, high=1.0)
        self.epsilon = check_number(where, "epsilon", epsilon, open_low=True)
        super().__init__(learning_rate)


class Adam(_Moments):
    """Kingma & Ba 2015, algorithm 1, with torch's order of operations.

        m ← m + (1 − β₁)(g − m)        v ← β₂ v + (1 − β₂) g²
        θ ← θ − η / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)

    One pass of the native core.

    Args:
        learning_rate: η > 0, or a schedule.
        beta_1: β₁ in [0, 1).
        beta_2: β₂ in [0, 1).
        epsilon: ε > 0.

    Raises:
        UsageError: if a value is out of range.

    Example:
        >>> from elman import schedules
        >>> Adam(schedules.Cosine(2e-3, decay_steps=1000)).learning_rate
        0.002
    """

    name = "adam"
    n_scratch = 1 if native is None else 0  # the native pass needs none

    def __init__(
        self, learning_rate: Rate = 1e-3, *, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8
    ) -> None:
        super().__init__(learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)

    def _update(self, flat: Array, grads: Array, rate: float) -> None:
        adam(
            flat,
            grads,
            self._arrays["m"],
            self._arrays["v"],
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            root_correction=math.sqrt(1.0 - self.beta_2**self.age),
            epsilon=self.epsilon,
            step_size=rate / (1.0 - self.beta_1**self.age),
            scratch=self._work[0] if self._work else None,
        )


class AdamW(Adam):
    """Adam with decoupled weight decay, Loshchilov & Hutter 2019, as torch has it.

        θ ← (1 − η λ) θ, then a step of Adam

    Args:
        learning_rate: η > 0, or a schedule, which the decay follows too.
        weight_decay: λ >= 0, of all parameters, biases too, as in torch.
        beta_1: β₁ in [0, 1).
        beta_2: β₂ in [0, 1).
        epsilon: ε > 0.

    Raises:
        UsageError: if a value is out of range.

    Example:
        >>> AdamW(1e-3, weight_decay=0.1).config()["weight_decay"]
        0.1
    """

    name = "adamw"
    options = (*Adam.options, "weight_decay")

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        *,
        weight_decay: float = 0.01,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        self.weight_decay = check_number("optimizer 'adamw'", "weight_decay", weight_decay)
        super().__init__(learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)

    def _update(self, flat: Array, grads: Array, rate: float) -> None:
        np.multiply(flat, 1.0 - rate * self.weight_decay, out=flat)
        super()._update(flat, grads, rate)


class NAdam(_Moments):
    """Adam with Nesterov's look ahead, Dozat 2016, as torch has it.

        μ_t = β₁ (1 − ½ · 0.96^(t ψ))        Π_t = μ_1 ⋯ μ_t        v̂ = v / (1 − β₂ᵗ)
        θ ← θ − η (1 − μ_t) / (1 − Π_t) · g / (√v̂ + ε) − η μ_{t+1} / (1 − Π_{t+1}) · m / (√v̂ + ε)

    Args:
        learning_rate: η > 0, or a schedule.
        beta_1: β₁ in [0, 1).
        beta_2: β₂ in [0, 1).
        epsilon: ε > 0.
        momentum_decay: ψ >= 0, how fast μ rises to β₁.

    Raises:
        UsageError: if a value is out of range.

    Example:
        >>> NAdam().config()["momentum_decay"]
        0.004
    """

    name = "nadam"
    options = (*_Moments.options, "momentum_decay")
    scalars = (*_Moments.scalars, "mu_product")
    n_scratch = 2

    def __init__(
        self,
        learning_rate: Rate = 2e-3,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        momentum_decay: float = 4e-3,
    ) -> None:
        self.momentum_decay = check_number("optimizer 'nadam'", "momentum_decay", momentum_decay)
        super().__init__(learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)

    def reset(self) -> None:
        """Forget the moments, the number of steps taken and the model they were taken for."""
        super().reset()
        self.mu_product = 1.0  # Π_t, which has no closed form

    def _mu(self, step: int) -> float:
        return self.beta_1 * (1.0 - 0.5 * math.pow(0.96, step * self.momentum_decay))

    def _update(self, flat: Array, grads: Array, rate: float) -> None:
        mu, mu_next = self._mu(self.age), self._mu(self.age + 1)
        self.mu_product *= mu
        self._correction = 1.0 - self.beta_2**self.age
        self._of_gradient = (1.0 - mu) / (1.0 - self.mu_product)
        self._of_mean = mu_next / (1.0 - self.mu_product * mu_next)
        super()._update(flat, grads, rate)

    def _change(self, rate: float, theta: Array, g: Array, *arrays: Array) -> None:
        m, v, change, scale = arrays
        np.subtract(g, m, out=change)
        np.multiply(change, 1.0 - self.beta_1, out=change)
        np.add(m, change, out=m)
        np.multiply(v, self.beta_2, out=v)
        np.multiply(g, g, out=change)
        np.multiply(change, 1.0 - self.beta_2, out=change)
        np.add(v, change, out=v)
        np.divide(v, self._correction, out=scale)
        np.sqrt(scale, out=scale)
        np.add(scale, self.epsilon, out=scale)
        for direction, factor in ((g, self._of_gradient), (m, self._of_mean)):
            np.divide(direction, scale, out=change)
            np.multiply(change, rate * factor, out=change)
            np.subtract(theta, change, out=theta)
