"""What single steps of training did: sampled, so that looking costs next to nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from elman.ops.flat import sum_of_squares
from elman.training.history import History
from elman.training.optimizers import Optimizer
from elman.training.parameters import Parameters

__all__ = ["StepFigures"]

# A look reads all parameters four times, about as much as the step itself: at one batch in sixteen or fewer, where a
# batch takes ten times as long as its step, that is less than 1 %.
_EVERY = 16


class StepFigures:
    """Takes some steps of training itself and writes down how long gradient and change were.

    The first steps are all looked at, for much happens in them; later ones 16 times an epoch, and at most one in 16.

    Args:
        history: takes the figures down; its losses say how many steps there were.
        parameters: that the steps change.
        optimizer: that takes them.
        n_batches: of an epoch.

    Attributes:
        due: number of the next step to look at.
    """

    def __init__(self, history: History, parameters: Parameters, optimizer: Optimizer, n_batches: int) -> None:
        self.history, self.parameters, self.optimizer = history, parameters, optimizer
        self.every = max(_EVERY, n_batches // _EVERY)
        self._schedule(history.n_batches)

    def _schedule(self, done: int) -> None:
        """Find the next step to look at, the next one or one of the later ones."""
        self.due = done if done < _EVERY else -(-done // self.every) * self.every

    def step(self, step: Callable[[Parameters], None], norm: float | None) -> None:
        """Take a step, and look at it.

        Args:
            step: of the optimizer.
            norm: of the gradients before they were clipped, if it is known.
        """
        parameters, taken = self.parameters, self.history.n_batches
        rate = self.optimizer.learning_rate
        if norm is None:
            norm = math.sqrt(sum_of_squares(parameters.grads))
        before = parameters.flat.copy()
        weight = math.sqrt(sum_of_squares(before))
        step(parameters)
        np.subtract(parameters.flat, before, out=before)
        change = math.sqrt(sum_of_squares(before))
        ratio = change / weight if weight > 0 else math.nan
        self.history.add_step(taken, gradient_norm=norm, learning_rate=rate, update_ratio=ratio)
        self._schedule(taken + 1)
