"""What a training run has measured, batch by batch and epoch by epoch."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["History"]


class History:
    """The record of a training run, in Keras's form plus the loss of every batch.

    Attributes:
        epoch: indices of the finished epochs, from 0.
        history: name ("loss", "val_loss", metric names) -> one value per finished epoch.

    Example:
        >>> history = History()
        >>> history.add_epoch({"loss": 0.5, "val_loss": 0.75})
        >>> history.history["val_loss"]
        [0.75]
    """

    __slots__ = ("_batches", "epoch", "history", "record_batch")

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}
        # A C array: 4 bytes and 30 ns a batch, where a list of floats costs 32 bytes.
        self._batches = array("f")
        self.record_batch = self._batches.append

    @property
    def batches(self) -> NDArray[np.float32]:
        """The loss of every batch that took a step (n,), also those of an epoch that was not finished."""
        return np.array(self._batches, np.float32)

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
        """Give all columns as float32 arrays by name, and "batches": the form in which a file keeps them."""
        return {
            **{name: np.array(column, np.float32) for name, column in self.history.items()},
            "batches": self.batches,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]]) -> History:
        """Rebuild the history that `tensors` gave.

        Args:
            tensors: name -> one value per epoch, and "batches".
        """
        history = cls()
        columns = {name: column.ravel().tolist() for name, column in tensors.items() if name != "batches"}
        for row in zip(*columns.values(), strict=False):
            history.add_epoch(dict(zip(columns, row, strict=True)))
        history._batches.extend(tensors.get("batches", np.empty(0)).ravel().tolist())
        return history

    def __reduce__(self) -> tuple[object, ...]:
        return (_restore, (self.epoch, self.history, self._batches.tobytes()))

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {column[-1]:.4g}" for name, column in self.history.items())
        return f"History({len(self.epoch)} epochs, {len(self._batches):,} batches{'; ' + last if last else ''})"


def _restore(epoch: list[int], columns: dict[str, list[float]], batches: bytes) -> History:
    """Rebuild a pickled history."""
    history = History()
    history.epoch.extend(epoch)
    history.history.update(columns)
    history._batches.frombytes(batches)
    return history
