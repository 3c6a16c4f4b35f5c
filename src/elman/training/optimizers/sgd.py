"""Gradient descent."""

from __future__ import annotations

import numpy as np

from elman.errors import UsageError, say
from elman.training.checks import check_flag, check_number
from elman.training.optimizers.base import Array, Optimizer, Rate

__all__ = ["SGD"]


class SGD(Optimizer):
    """Gradient descent, with momentum and weight decay if asked; torch's formulas.

        g ← g + λ θ        v ← μ v + g        θ ← θ − η v        (Nesterov: θ ← θ − η (g + μ v))

    Args:
        learning_rate: η > 0, or a schedule.
        momentum: μ in [0, 1); Polyak 1964.
        nesterov: whether the step looks ahead along the velocity, as Sutskever et al. 2013 write Nesterov 1983.
        weight_decay: λ >= 0, of all parameters, biases too, as in torch.

    Raises:
        UsageError: if a value is out of range, or nesterov is asked for without momentum.

    Example:
        >>> SGD(0.1, momentum=0.9, nesterov=True)
        SGD(learning_rate=0.1, momentum=0.9, nesterov=True, weight_decay=0.0)
    """

    name = "sgd"
    options = ("momentum", "nesterov", "weight_decay")

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        where = "optimizer 'sgd'"
        self.momentum = check_number(where, "momentum", momentum, high=1.0)
        self.nesterov = check_flag(where, "nesterov", nesterov)
        self.weight_decay = check_number(where, "weight_decay", weight_decay)
        if self.nesterov and not self.momentum:
            raise UsageError(say(where, "nesterov needs momentum", expected="momentum above 0", got=repr(momentum)))
        self.moments = ("velocity",) if self.momentum else ()
        self.n_scratch = 2 if self.nesterov else 1
        super().__init__(learning_rate)

    def _change(self, rate: float, theta: Array, g: Array, *arrays: Array) -> None:
        *velocity, change = arrays if not self.nesterov else arrays[:-1]
        direction = g
        if self.weight_decay:
            direction = np.multiply(theta, self.weight_decay, out=change)
            np.add(direction, g, out=direction)
        if velocity:
            v = velocity[0]
            np.multiply(v, self.momentum, out=v)
            np.add(v, direction, out=v)
            if self.nesterov:
                ahead = np.multiply(v, self.momentum, out=arrays[-1])
                direction = np.add(ahead, direction, out=ahead)
            else:
                direction = v
        np.multiply(direction, rate, out=change)
        np.subtract(theta, change, out=theta)
