"""Callbacks that change the learning rate."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable

from elman.errors import UsageError, say
from elman.training.callbacks.base import Callback, Logs
from elman.training.callbacks.monitor import Mode, Monitor
from elman.training.checks import check_count, check_number
from elman.training.optimizers import Optimizer

__all__ = ["LearningRateScheduler", "ReduceLROnPlateau"]


def _optimizer(callback: Callback) -> Optimizer:
    """Give the optimizer of the model, if its rate is a number that can be changed.

    Raises:
        UsageError: if a schedule gives the rate.
    """
    optimizer = callback.model.optimizer
    where = type(callback).__name__
    if optimizer is None:
        raise UsageError(say(where, "the model is not compiled", cure="Call model.compile(optimizer, loss) first"))
    if optimizer.schedule is not None:
        wrong = "the learning rate follows a schedule, so it cannot be changed"
        cure = "Take one of the two: a number as learning_rate, or no such callback"
        raise UsageError(say(where, wrong, got=repr(optimizer.schedule), cure=cure))
    return optimizer


class ReduceLROnPlateau(Monitor):
    """Lower the learning rate when a figure has stopped getting better; Keras's callback.

    "learning_rate" appears in the logs and in the history.

    Args:
        monitor: the figure's name in the logs.
        factor: what the rate is multiplied by, in (0, 1).
        patience: after how many epochs in a row that are no better.
        verbose: 1 says on stderr when it is lowered.
        mode: "min", "max" or "auto", see `Monitor`.
        min_delta: a change smaller than this is none.
        cooldown: in which epoch after the rate was lowered the next one may count, as in Keras.
        min_lr: the least rate.

    Raises:
        UsageError: if an option is out of range; when training begins, if a schedule gives the rate; after the first
            epoch, if there is no such figure.

    Example:
        >>> ReduceLROnPlateau("loss", factor=0.5, patience=3).mode
        'min'
    """

    changes_learning_rate = True

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: Mode = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode=mode, min_delta=min_delta)
        where = type(self).__name__
        self.factor = check_number(where, "factor", factor, high=1.0, open_low=True)
        self.min_lr = check_number(where, "min_lr", min_lr)
        if patience != 0:
            check_count(f"{where}, patience", patience)
        if cooldown != 0:
            check_count(f"{where}, cooldown", cooldown)
        self.patience, self.cooldown, self.verbose = int(patience), int(cooldown), verbose
        self._waited = self._cooling = 0

    def on_train_begin(self, logs: Logs) -> None:
        """Forget the run before, and refuse a schedule."""
        _optimizer(self)
        self.best, self._waited, self._cooling = self.worst, 0, 0

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Lower the rate, if it is time."""
        figure = self.watched(logs)
        if self._cooling:
            self._cooling -= 1
            self._waited = 0
        if self.better(figure, self.best):
            self.best, self._waited = figure, 0
            return
        if self._cooling:
            return
        self._waited += 1
        if self._waited >= self.patience:
            self._lower(_optimizer(self), epoch)

    def _lower(self, optimizer: Optimizer, epoch: int) -> None:
        rate = max(optimizer.learning_rate * self.factor, self.min_lr)
        if not 0 < rate < optimizer.learning_rate:
            return
        optimizer.learning_rate = rate
        self._cooling, self._waited = self.cooldown, 0
        if self.verbose:
            print(f"ReduceLROnPlateau: learning rate {rate:.4g} after epoch {epoch + 1}", file=sys.stderr)


class LearningRateScheduler(Callback):
    """Set the learning rate of every epoch by a function; Keras's callback.

    It does not go with `on_nonfinite="rollback"`, whose halved rate it would overwrite.

    For a rate that changes from batch to batch, and that a model file remembers, see `elman.schedules`.
    "learning_rate" appears in the logs and in the history.

    Args:
        schedule: (epoch from 0, rate so far) -> rate; a function of the epoch alone is accepted too.
        verbose: 1 says the rate of every epoch on stderr.

    Raises:
        UsageError: if schedule is no function; when training begins, if a schedule of the optimizer gives the rate; at
            the epoch, if it gives what is no number above 0.

    Example:
        >>> halving = LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
    """

    changes_learning_rate = True
    sets_learning_rate = True

    def __init__(self, schedule: Callable[..., float], *, verbose: int = 0) -> None:
        if not callable(schedule):
            expected = "schedule(epoch, learning_rate) -> learning_rate"
            raise UsageError(say(type(self).__name__, "schedule is no function", expected=expected, got=repr(schedule)))
        self.schedule, self.verbose = schedule, verbose
        try:
            inspect.signature(schedule).bind(0, 0.1)
            self._takes_rate = True
        except TypeError:
            self._takes_rate = False
        except ValueError:  # written in C: it says nothing about its arguments
            self._takes_rate = True

    def on_train_begin(self, logs: Logs) -> None:
        """Refuse a schedule beside this one."""
        _optimizer(self)

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Set the rate."""
        optimizer = _optimizer(self)
        rate = self.schedule(epoch, optimizer.learning_rate) if self._takes_rate else self.schedule(epoch)
        # A schedule is no number: the optimizer would take it, and follow it in place of this function.
        optimizer.learning_rate = rate = check_number(type(self).__name__, "the learning rate", rate, open_low=True)
        if self.verbose:
            print(f"LearningRateScheduler: epoch {epoch + 1} learns with {rate:.4g}", file=sys.stderr)
