"""The figures of a training, kept where the model file finds them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from elman.training.callbacks import Callback
from elman.training.watch import is_gradient

__all__ = ["Figures"]


class Figures(Callback):
    """Takes down the figures of the last epoch, how many epochs there were and how long they took.

    Args:
        training: filled in; "epochs" in it is where counting begins.
    """

    def __init__(self, training: dict[str, Any]) -> None:
        self.training = training
        self.before = int(training.get("epochs", 0))
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Take down the figures of an epoch."""
        self.training |= {name: value for name, value in logs.items() if not is_gradient(name)}  # the history has those
        self.training["epochs"] = self.before + epoch + 1
        self.training["seconds"] = round(time.perf_counter() - self.began, 3)
