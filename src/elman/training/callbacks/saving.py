"""Callbacks that write files while training runs."""

from __future__ import annotations

import contextlib
import csv
import os
import sys
from pathlib import Path
from typing import Literal

import numpy as np

from elman.errors import SaveError, UsageError, say
from elman.training.callbacks.base import Callback, Logs
from elman.training.callbacks.monitor import Mode, Monitor
from elman.training.checks import check_count, check_flag, check_number

__all__ = ["CSVLogger", "ModelCheckpoint"]


class ModelCheckpoint(Monitor):
    """Save the model after every epoch, or whenever it is the best so far.

    The file is what `model.save` writes, atomically: whoever reads it finds a whole model, the one before or the new
    one, and parameters that are not finite are never written. A signal or an exception saves what there is, too, once a
    step has been taken: a `fit` that is refused leaves the file as it is.

    Args:
        filepath: where; "{epoch}", from 1, and figures such as "{val_loss:.2f}" are filled in.
        monitor: the figure's name in the logs; watched with `save_best_only`.
        verbose: 1 says on stderr what was written.
        save_best_only: whether only a figure better than all before makes a file.
        mode: "min", "max" or "auto", see `Monitor`.
        save_freq: "epoch", or after how many batches; "{batch}", from 1, and the loss of the batch can be filled in
            then.
        initial_value_threshold: with `save_best_only`, what the first figure has to be better than.

    Attributes:
        best: the best figure so far, over every `fit` that this object was given to, as in Keras.
        last_path: of the file written last, or None.

    Raises:
        UsageError: if an option is out of range, or, when it is filled in, `filepath` names an unknown figure.
        SaveError: if the file cannot be written.

    Example:
        >>> import tempfile
        >>> from elman import Sequential, layers
        >>> model = Sequential([layers.GRU(4), layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     saving = ModelCheckpoint(folder + "/{epoch:02d}.elman", monitor="loss", save_best_only=True)
        ...     _ = model.fit([[[1.0]], [[2.0]]], [1.0, 2.0], epochs=3, callbacks=[saving], verbose=0)
        ...     sorted(os.listdir(folder))
        ['01.elman', '02.elman', '03.elman']
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        *,
        verbose: int = 0,
        save_best_only: bool = False,
        mode: Mode = "auto",
        save_freq: Literal["epoch"] | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode=mode)
        where = type(self).__name__
        self.filepath, self.verbose = os.fspath(filepath), verbose
        self.save_best_only = check_flag(where, "save_best_only", save_best_only)
        self.save_freq = save_freq
        if save_freq != "epoch":
            check_count(f"{where}, save_freq", save_freq)
            if save_best_only:
                cure = "Take save_freq='epoch'"
                raise UsageError(say(where, "save_best_only needs the figures of whole epochs", cure=cure))
        if initial_value_threshold is not None:
            low = -float("inf")
            self.best = check_number(where, "initial_value_threshold", initial_value_threshold, low=low, open_low=True)
        self.last_path: str | None = None
        self._epoch = self._batches = 0
        self._last: dict[str, float] = {}

    def listens_to(self, hook: str) -> bool:
        """Say that batches are of no interest to one that saves after epochs; see `Callback.listens_to`."""
        return super().listens_to(hook) and (hook != "on_batch_end" or self.save_freq != "epoch")

    def on_train_begin(self, logs: Logs) -> None:
        """Forget the figures of the run before; refuse what could not be saved before an epoch is spent."""
        self._epoch, self._batches, self._last = 0, 0, {}
        self.model.check_savable(type(self).__name__)
        folder = os.path.dirname(self.filepath)
        if folder and "{" not in folder and not os.path.isdir(folder):
            wrong = f"the folder {folder!r} is not there"
            raise SaveError(say(type(self).__name__, wrong, cure="Create the folder first"))

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Keep the number for the names of files."""
        self._epoch = epoch

    def on_interrupt(self, signum: int | None) -> None:
        """Save the unfinished epoch under the figures of the one before, unless only the best are saved."""
        if not self.save_best_only and np.isfinite(self.model.parameters.flat).all():
            # Without a finished epoch a name with figures in it cannot be filled in: no reason to hide what happened.
            with contextlib.suppress(UsageError):
                self._save({"epoch": self._epoch + 1, **self._last})

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Save, if it is due."""
        self._last = dict(logs)
        if self.save_freq != "epoch":
            return
        if self.save_best_only:
            figure = self.watched(logs)
            if not self.better(figure, self.best):
                return
            self.best = figure
        self._save({"epoch": epoch + 1, **logs})

    def on_batch_end(self, batch: int, logs: Logs) -> None:
        """Save, if so many batches are done."""
        self._batches += 1
        # Within an epoch nobody else has looked yet whether a step has spoilt the parameters.
        if self._batches % int(self.save_freq) == 0 and np.isfinite(self.model.parameters.flat).all():
            self._last = {"batch": batch + 1, **logs}
            self._save({"epoch": self._epoch + 1, **self._last})

    def _save(self, fields: dict[str, float]) -> None:
        try:
            path = self.filepath.format(**fields)
        except (KeyError, IndexError, ValueError) as error:
            wrong = f"filepath cannot be filled in ({type(error).__name__}: {error})"
            expected = f"some of {sorted(fields)} in braces"
            raise UsageError(say(type(self).__name__, wrong, expected=expected, got=repr(self.filepath))) from None
        self.model.save(path)
        self.last_path = path
        if self.verbose:
            print(f"ModelCheckpoint: saved {path}", file=sys.stderr)


class CSVLogger(Callback):
    """Write a line of figures to a CSV file after every epoch.

    Each line is complete when the epoch is: the file is opened and closed for it.

    Args:
        filename: where.
        separator: one character between figures.
        append: whether a file that is there is continued, without a second header; else it is replaced.

    Raises:
        UsageError: if separator is not one character.
        SaveError: if the file cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     log = CSVLogger(folder + "/log.csv")
        ...     log.on_train_begin({})
        ...     log.on_epoch_end(0, {"loss": 0.5, "val_loss": 0.75})
        ...     print(Path(folder, "log.csv").read_text(), end="")
        epoch,loss,val_loss
        0,0.5,0.75
    """

    def __init__(self, filename: str | os.PathLike[str], *, separator: str = ",", append: bool = False) -> None:
        where = type(self).__name__
        if not isinstance(separator, str) or len(separator) != 1:
            raise UsageError(say(where, "separator is not accepted", expected="one character", got=repr(separator)))
        self.path, self.separator, self.append = Path(filename), separator, check_flag(where, "append", append)
        self._names: list[str] | None = None

    def on_train_begin(self, logs: Logs) -> None:
        """Begin the file, or take up the header of the one that is there."""
        self._names = None
        try:
            if self.append and self.path.exists():
                with self.path.open(newline="", encoding="utf-8") as file:
                    header = next(csv.reader(file, delimiter=self.separator), [])
                self._names = header[1:] if header else None
            else:
                self.path.write_text("", encoding="utf-8")
        except OSError as error:
            raise self._refused(error) from error

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write a line of the figures in the header; one that is missing is "NA", as in Keras."""
        try:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, delimiter=self.separator, lineterminator="\n")
                if self._names is None:
                    self._names = list(logs)
                    writer.writerow(["epoch", *self._names])
                writer.writerow([epoch, *[logs.get(name, "NA") for name in self._names]])
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> SaveError:
        return SaveError(say(type(self).__name__, f"'{self.path}' cannot be written ({error.strerror or error})"))
