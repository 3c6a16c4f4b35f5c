"""A figure that is watched, and when it has become better."""

from __future__ import annotations

import math
from typing import Literal

from elman.errors import UsageError, say
from elman.training.callbacks.base import Callback, Logs
from elman.training.checks import check_number

__all__ = ["Mode", "Monitor"]

Mode = Literal["auto", "min", "max"]

# Figures of which more is better, by what their names hold; of everything else less is.
_MORE_IS_BETTER = ("acc", "auc", "f1", "precision", "recall", "similarity", "top_")


class Monitor(Callback):
    """Base of the callbacks that watch a figure.

    Args:
        monitor: its name in the logs.
        mode: "min" or "max" says which is better; "auto" takes "max" for accuracies and their kin.
        min_delta: what a smaller change counts as: none.

    Raises:
        UsageError: if mode is unknown or min_delta is no number.
    """

    def __init__(self, monitor: str, *, mode: Mode = "auto", min_delta: float = 0.0) -> None:
        where = type(self).__name__
        if not isinstance(monitor, str):
            raise UsageError(say(where, "monitor is no name", expected="such as 'val_loss'", got=repr(monitor)))
        if mode not in ("auto", "min", "max"):
            raise UsageError(say(where, "mode is not accepted", expected="'auto', 'min' or 'max'", got=repr(mode)))
        rises = mode == "max" or (mode == "auto" and any(part in monitor for part in _MORE_IS_BETTER))
        self.monitor, self.mode = monitor, "max" if rises else "min"
        # Keras takes it with either sign.
        self.min_delta = abs(check_number(where, "min_delta", min_delta, low=-math.inf, open_low=True))
        self.best = self.worst

    @property
    def worst(self) -> float:
        """What every finite figure is better than."""
        return -math.inf if self.mode == "max" else math.inf

    def watched(self, logs: Logs) -> float:
        """Give the figure.

        Args:
            logs: of an epoch.

        Raises:
            UsageError: if there is no such figure, naming those there are.
        """
        if self.monitor not in logs:
            cure = None
            if self.monitor.startswith("val_") and not any(name.startswith("val_") for name in logs):
                cure = "Give fit validation_data or validation_split, or watch 'loss'"
            wrong = f"there is no figure '{self.monitor}' to watch"
            raise UsageError(say(type(self).__name__, wrong, expected=f"one of {sorted(logs)}", cure=cure))
        return logs[self.monitor]

    def better(self, figure: float, than: float) -> bool:
        """Say whether a figure is better by more than `min_delta`; one that is no number never is.

        Args:
            figure: new.
            than: old.
        """
        if self.mode == "max":
            return math.isfinite(figure) and figure - self.min_delta > than
        return math.isfinite(figure) and figure + self.min_delta < than
