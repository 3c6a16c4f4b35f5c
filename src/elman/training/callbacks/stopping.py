"""Callbacks that end training."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import DivergedError
from elman.training.callbacks.base import Callback, Logs
from elman.training.callbacks.monitor import Mode, Monitor
from elman.training.checks import check_count, check_flag, check_number

__all__ = ["EarlyStopping", "TerminateOnNaN"]


class EarlyStopping(Monitor):
    """End training when a figure has stopped getting better (Prechelt 1998).

    Keras's callback but for one default: the parameters of the best epoch come back when training ends, by this
    callback or by itself. With `restore_best_weights=False` those of the last epoch stay. After Ctrl-C, SIGTERM or an
    exception the last ones stay as well, as in Keras, so that training can go on from there; the best are kept by
    `ModelCheckpoint(save_best_only=True)`.

    Args:
        monitor: the figure's name in the logs.
        min_delta: a change smaller than this is none.
        patience: how many epochs in a row may be no better; 0 ends training at the first that is not.
        verbose: 1 says on stderr which epoch ended it.
        mode: "min", "max" or "auto", see `Monitor`.
        baseline: until a figure is better than this, an epoch that is better than those before does not begin the
            count of `patience` anew; the next one that is not better ends training then. None for no such demand.
        restore_best_weights: whether the parameters of the best epoch come back.
        start_from_epoch: epochs before this one, counted from 0, are not watched.

    Attributes:
        best: the best figure so far.
        best_epoch: its epoch, from 0; None before there is one.
        stopped_epoch: the epoch, from 0, after which training was ended; None if it was not.

    Raises:
        UsageError: if an option is out of range, or, after the first epoch, if there is no such figure.

    Example:
        >>> from elman import Sequential, layers
        >>> x = np.random.default_rng(0).normal(size=(40, 6, 2))
        >>> model = Sequential([layers.GRU(4), layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> stopping = EarlyStopping(patience=2, min_delta=10.0)
        >>> history = model.fit(x, x[:, -1, :1], epochs=50, validation_split=0.25, callbacks=[stopping], verbose=0)
        >>> len(history.epoch), stopping.best_epoch
        (3, 0)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: Mode = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = True,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode=mode, min_delta=min_delta)
        where = type(self).__name__
        if patience != 0:
            check_count(f"{where}, patience", patience)
        if start_from_epoch != 0:
            check_count(f"{where}, start_from_epoch", start_from_epoch)
        if baseline is not None:
            baseline = check_number(where, "baseline", baseline, low=-np.inf, open_low=True)
        self.patience, self.start_from_epoch, self.verbose = int(patience), int(start_from_epoch), verbose
        self.baseline = baseline
        self.restore_best_weights = check_flag(where, "restore_best_weights", restore_best_weights)
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._best_weights: NDArray[Any] | None = None

    def on_train_begin(self, logs: Logs) -> None:
        """Forget the run before."""
        self.best, self.best_epoch, self.stopped_epoch, self._waited = self.worst, None, None, 0
        self._best_weights = None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Keep the best parameters, or count an epoch that was no better."""
        figure = self.watched(logs)
        if epoch < self.start_from_epoch:
            return
        self._waited += 1
        if self.better(figure, self.best):
            self.best, self.best_epoch = figure, epoch
            if self.restore_best_weights:
                self._best_weights = self.model.parameters.flat.copy()
            if self.baseline is None or self.better(figure, self.baseline):
                self._waited = 0
            return
        if self._waited >= self.patience and epoch > 0:  # as Keras: one epoch has nothing to be worse than
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs) -> None:
        """Bring the best parameters back."""
        if self._best_weights is not None:
            np.copyto(self.model.parameters.flat, self._best_weights)
            self.model.parameters.clock.ticks += 1
            self._best_weights = None
        if self.verbose and self.stopped_epoch is not None:
            best = "none" if self.best_epoch is None else f"epoch {self.best_epoch + 1}, {self.monitor} {self.best:.4g}"
            print(
                f"EarlyStopping: training ended after epoch {self.stopped_epoch + 1}; the best was {best}.",
                file=sys.stderr,
            )


class TerminateOnNaN(Callback):
    """End training in good order, instead of raising, when a loss is not finite.

    Without this callback `fit` raises `DivergedError`. With it, `fit` warns and returns the history of the epochs
    before; the parameters are those of the last finite epoch either way, never NaN as in Keras.

    Attributes:
        error: the `DivergedError` that was not raised, or None.

    Example:
        >>> TerminateOnNaN().error is None
        True
    """

    def __init__(self) -> None:
        self.error: DivergedError | None = None

    def on_train_begin(self, logs: Logs) -> None:
        """Forget the run before."""
        self.error = None

    def on_diverged(self, error: DivergedError) -> bool:
        """Warn, and ask for the end."""
        self.error = error
        warnings.warn(str(error), RuntimeWarning, stacklevel=4)
        return True
