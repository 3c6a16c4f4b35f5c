"""How a training run goes: what every way of starting one has in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from elman.errors import UsageError, say
from elman.training import progress
from elman.training.callbacks import Callback, check_callbacks
from elman.training.checks import check_count
from elman.training.history import History
from elman.training.run import OnNonfinite

__all__ = ["Course", "WatchWhat"]

#: What may be watched while a model is trained.
WatchWhat = Literal["gradients"]


@dataclass(frozen=True, kw_only=True)
class Course:
    """The arguments of `Sequential.fit` that do not depend on the data, checked once.

    Args:
        epochs: how often to go through the data.
        callbacks: hear of batches, epochs and interruptions.
        verbose: 0 silent, "auto" or 1 progress, 2 one line per epoch.
        history: to be continued; a new one if None.
        on_nonfinite: "raise", "skip" or "rollback", see `elman.training.loop.fit`.
        watch: "gradients", or None for nothing.

    Raises:
        UsageError: if one is out of range.
    """

    epochs: int = 1
    callbacks: Sequence[Callback] | None = None
    verbose: progress.Verbose = "auto"
    history: History | None = None
    on_nonfinite: OnNonfinite = "raise"
    watch: WatchWhat | None = None

    def __post_init__(self) -> None:
        check_count("epochs", self.epochs)
        if self.history is not None and not isinstance(self.history, History):
            expected = "what an earlier fit gave, or None"
            raise UsageError(say("fit", "history is no History", expected=expected, got=repr(self.history)))
        if self.watch not in (None, "gradients"):
            raise UsageError(say("fit", "watch is not accepted", expected="'gradients' or None", got=repr(self.watch)))
        object.__setattr__(self, "callbacks", check_callbacks(self.callbacks))
        object.__setattr__(self, "verbose", progress.make(self.verbose))
