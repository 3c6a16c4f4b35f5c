"""One trial of a search: how it is judged, given up and shown. Optuna comes from who calls."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from elman.tasks.regressor import SequenceRegressor
from elman.tasks.tagger import SequenceTagger
from elman.training.callbacks import Callback
from elman.training.progress import Bar, Lines, Progress

__all__ = ["Found", "Watcher", "as_found", "trial_progress"]

# Trials whose whole course is known before one may be given up, and the share of its epochs that each may take first:
# the one-cycle schedule lets all do badly while its rate is high.
_STARTUP, _WARMUP = 4, 0.3


@dataclass(frozen=True)
class Found:
    """A trial.

    Attributes:
        number: in the order in which they began, from 1.
        loss: on what was kept back: nats of a label or a character, for numbers the share of the variance that is left;
            None if it was given up or failed.
        state: "complete", "pruned" or "failed".
        arguments: of the task, those that were searched.
        figures: such as accuracy, at its end.
        epochs: that it took.
        seconds: that it took.
        why: it failed.
    """

    number: int
    loss: float | None
    state: str
    arguments: dict[str, Any]
    figures: dict[str, float] = field(default_factory=dict)
    epochs: int = 0
    seconds: float = 0.0
    why: str = ""


def as_found(trial: Any) -> Found:
    """Give a trial of Optuna's as one of ours.

    Args:
        trial: that has ended.
    """
    state = {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed")
    held = trial.user_attrs
    loss = trial.value if state == "complete" else None
    figures, epochs, seconds = held.get("figures", {}), held.get("epochs", 0), held.get("seconds", 0.0)
    return Found(trial.number + 1, loss, state, dict(trial.params), figures, epochs, seconds, held.get("why", ""))


class Watcher(Callback):
    """Judges a trial after every epoch, and gives up one that is worse than half of the others.

    Args:
        optuna: the module.
        task: that is trained.
        trial: of Optuna.
        judged: (X, y) to judge by, or None for a language model, whose training judges it.
    """

    def __init__(self, optuna: Any, task: Any, trial: Any, judged: Any) -> None:
        self.optuna, self.task, self.trial, self.judged = optuna, task, trial, judged
        self.loss: float | None = None
        self.figures: dict[str, float] = {}
        self.epochs = 0

    def on_train_begin(self, logs: Mapping[str, float]) -> None:
        """Say when a trial may be given up."""
        granted = round(_WARMUP * self.params["epochs"])  # known only now: it may depend on the number of sequences
        pruner = self.optuna.pruners.MedianPruner(n_startup_trials=_STARTUP, n_warmup_steps=granted)
        self.trial.study.pruner = pruner

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Judge the epoch, and give the trial up if half of the others were better."""
        self.loss, self.figures = _judge(self.task, self.judged, logs)
        self.epochs = epoch + 1
        self.trial.report(self.loss, epoch)
        if self.epochs < self.params["epochs"] and self.trial.should_prune():
            raise self.optuna.TrialPruned


def _judge(task: Any, judged: Any, logs: Mapping[str, float]) -> tuple[float, dict[str, float]]:
    """Give the loss on what was kept back, and what people know it by."""
    if judged is None:
        return float(logs["val_loss"]), {}
    X, y = judged
    if isinstance(task, SequenceRegressor):
        share = 1 - task.score(X, y)
        return share, {"r2": 1 - share}
    shares = task.predict_proba(X)
    if isinstance(task, SequenceTagger):
        shares, y = np.concatenate(list(shares)), np.concatenate(list(y))
    numbers = task._head.numbers(np.asarray(y))
    found = np.where(numbers >= 0, shares[np.arange(len(y)), numbers], 0.0)
    loss = -np.log(np.maximum(found, 1e-12)).mean()  # a class that was never learned has no share at all
    return float(loss), {"accuracy": float((shares.argmax(1) == numbers).mean())}


def trial_progress(name: str) -> Progress:
    """Give what shows a running trial: a bar on a terminal, else a line now and then, and nothing that stays.

    Args:
        name: of the trial.
    """
    stream = sys.stderr
    return _TrialBar(name) if stream.isatty() else _TrialLines(name, stream)


class _TrialBar(Bar):
    """A bar for one trial, which leaves no lines."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def _show(self, epoch: int, batch: float, figures: list[str], now: float) -> None:
        super()._show(epoch, batch, [self.name, *figures[:1]], now)

    def _show_epoch(self, epoch: int, logs: Mapping[str, float], now: float) -> None:
        pass


class _TrialLines(Lines):
    """A line now and then for a trial that takes long."""

    def __init__(self, name: str, stream: Any) -> None:
        super().__init__(stream)
        self.name = name

    def _write(self, text: str, now: float) -> None:
        super()._write(f"{self.name}  {text}", now)

    def _show_epoch(self, epoch: int, logs: Mapping[str, float], now: float) -> None:
        pass
