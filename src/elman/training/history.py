"""What a training run has measured, batch by batch and epoch by epoch."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["History"]

# What is taken down of a step, in the order of `History.add_step`.
_OF_STEPS = ("step", "gradient_norm", "learning_rate", "update_ratio")


class History:
    """The record of a training run, in Keras's form plus the loss of every batch and figures of some steps.

    Attributes:
        epoch: indices of the finished epochs, from 0.
        history: name ("loss", "val_loss", metric names) -> one value per finished epoch.
        record_batch: takes down the loss of a batch.

    Example:
        >>> history = History()
        >>> history.add_epoch({"loss": 0.5, "val_loss": 0.75})
        >>> history.history["val_loss"]
        [0.75]
    """

    __slots__ = ("_batches", "_steps", "epoch", "history", "record_batch")

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}
        # A C array: 4 bytes and 30 ns a batch, where a list of floats costs 32 bytes.
        self._batches = array("f")
        self.record_batch = self._batches.append
        self._steps = {name: array("f") for name in _OF_STEPS}

    @property
    def batches(self) -> NDArray[np.float32]:
        """The loss of every batch that took a step (n,), also those of an epoch that was not finished."""
        return np.array(self._batches, np.float32)

    @property
    def n_batches(self) -> int:
        """How many batches took a step."""
        return len(self._batches)

    @property
    def steps(self) -> dict[str, NDArray[np.float32]]:
        """Figures of some steps, each (m,).

        "step" says which, counting from 0; "gradient_norm" is the joint norm of all gradients before they were
        clipped, "learning_rate" the rate that was taken, "update_ratio" the norm of the change of all parameters
        relative to that of the parameters.
        """
        return {name: np.array(column, np.float32) for name, column in self._steps.items()}

    def add_step(self, step: int, *, gradient_norm: float, learning_rate: float, update_ratio: float) -> None:
        """Take down figures of a step; see `steps`.

        Args:
            step: its number, from 0.
            gradient_norm: before clipping.
            learning_rate: that was taken.
            update_ratio: norm of the change relative to that of the parameters.
        """
        for column, value in zip(self._steps.values(), (step, gradient_norm, learning_rate, update_ratio), strict=True):
            column.append(value)

    def add_epoch(self, logs: Mapping[str, float]) -> None:
        """Append one finished epoch.

        Args:
            logs: name -> value; a name missing in earlier epochs is filled with NaN there, so that
                all columns stay equally long.
        """
        n_before = len(self.epoch)
        self.epoch.append(n_before)
        for name, value in logs.items():
            self.history.setdefault(name, [float("nan")] * n_before).append(float(value))
        for column in self.history.values():
            column.extend([float("nan")] * (n_before + 1 - len(column)))

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Give all columns as float32 arrays by name, "batches" and "steps.*": the form in which a file keeps them."""
        return {
            **{name: np.array(column, np.float32) for name, column in self.history.items()},
            "batches": self.batches,
            **{f"steps.{name}": column for name, column in self.steps.items()},
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]]) -> History:
        """Rebuild the history that `tensors` gave.

        Args:
            tensors: name -> one value per epoch, "batches" and, in files that have them, "steps.*".
        """
        history = cls()
        others = {"batches", *(f"steps.{name}" for name in _OF_STEPS)}
        columns = {name: column.ravel().tolist() for name, column in tensors.items() if name not in others}
        for row in zip(*columns.values(), strict=False):
            history.add_epoch(dict(zip(columns, row, strict=True)))
        history._batches.extend(tensors.get("batches", np.empty(0)).ravel().tolist())
        steps = [tensors.get(f"steps.{name}", np.empty(0)).ravel().tolist() for name in _OF_STEPS]
        for step, *figures in zip(*steps, strict=False):
            history.add_step(step, **dict(zip(_OF_STEPS[1:], figures, strict=True)))
        return history

    def __reduce__(self) -> tuple[object, ...]:
        return (_restore, (self.epoch, self.history, self._batches.tobytes(), self._steps))

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {column[-1]:.4g}" for name, column in self.history.items())
        return f"History({len(self.epoch)} epochs, {len(self._batches):,} batches{'; ' + last if last else ''})"


def _restore(
    epoch: list[int], columns: dict[str, list[float]], batches: bytes, steps: Mapping[str, array[float]]
) -> History:
    """Rebuild a pickled history."""
    history = History()
    history.epoch.extend(epoch)
    history.history.update(columns)
    history._batches.frombytes(batches)
    for name, column in steps.items():
        history._steps[name].extend(column)
    return history
