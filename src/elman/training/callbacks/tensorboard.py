"""Curves in TensorBoard; the only room of tensorboardX."""

from __future__ import annotations

import os
from typing import Any, Literal

from elman.errors import UsageError, say
from elman.training.callbacks.base import Callback, Logs
from elman.training.checks import check_count
from elman.training.watch.verdicts import is_gradient

__all__ = ["TensorBoard"]


class TensorBoard(Callback):
    """Write figures and weights for TensorBoard, in Keras's folders and under Keras's names.

    `<log_dir>/train` holds "epoch_loss", "epoch_<metric>" and "epoch_learning_rate" over epochs and "batch_loss" over
    batches, `<log_dir>/validation` the same figures of the validation data, so that both curves share a chart. With
    `fit(watch="gradients")` the norms of gradients, by layer and by lag, are charts below "gradient"; with update_freq
    other than "epoch" those of single batches are below "batch_gradient".
    Needs the extra `track`: pip install 'elman[track]'.

    Args:
        log_dir: a folder, made if it is not there.
        histogram_freq: after how many epochs the weights are written as histograms; 0 for never.
        update_freq: "epoch", "batch", or after how many batches the loss of a batch is written.

    Raises:
        UsageError: if an option is out of range, or tensorboardX is not installed.

    Example:
        >>> TensorBoard("logs/first", update_freq=100).update_freq
        100
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        *,
        histogram_freq: int = 0,
        update_freq: Literal["epoch", "batch"] | int = "epoch",
    ) -> None:
        where = type(self).__name__
        if histogram_freq != 0:
            check_count(f"{where}, histogram_freq", histogram_freq)
        if update_freq not in ("epoch", "batch"):
            check_count(f"{where}, update_freq", update_freq)
        self.log_dir, self.histogram_freq, self.update_freq = os.fspath(log_dir), int(histogram_freq), update_freq
        self._writers: dict[str, Any] = {}
        self._batches = 0

    def listens_to(self, hook: str) -> bool:
        """Say that batches are of no interest to one that writes after epochs; see `Callback.listens_to`."""
        return super().listens_to(hook) and (hook != "on_batch_end" or self.update_freq != "epoch")

    def on_train_begin(self, logs: Logs) -> None:
        """Look for tensorboardX before any time is spent; files are begun with the first figure."""
        self._summary_writer()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write the figures, and the weights if it is time."""
        for name, value in logs.items():
            part = "validation" if name.startswith("val_") else "train"
            # TensorBoard makes a section of what comes before the first slash.
            tag = name if is_gradient(name) else f"epoch_{name.removeprefix('val_')}"
            self._writer(part).add_scalar(tag, value, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            for name, weights in self.model.parameters.named().items():
                self._writer("train").add_histogram(name.replace(".", "/"), weights, epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: Logs) -> None:
        """Close the files."""
        self._close()

    def on_interrupt(self, signum: int | None) -> None:
        """Close the files."""
        self._close()

    def on_diverged(self, error: BaseException) -> bool:
        """Close the files."""
        self._close()
        return False

    def on_batch_end(self, batch: int, logs: Logs) -> None:
        """Write the loss of the batch, if it is time."""
        every = 1 if self.update_freq == "batch" else int(self.update_freq)
        if self._batches % every == 0:
            self._writer("train").add_scalar("batch_loss", logs["loss"], self._batches)
        for name in filter(is_gradient, logs):  # only of batches that were looked at
            self._writer("train").add_scalar(f"batch_{name}", logs[name], self._batches)
        self._batches += 1

    def _writer(self, part: str) -> Any:
        """Give the writer of a folder, made when it is first needed."""
        if part not in self._writers:
            self._writers[part] = self._summary_writer()(os.path.join(self.log_dir, part))
        return self._writers[part]

    def _summary_writer(self) -> Any:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            cure = "Install it: pip install 'elman[track]'"
            raise UsageError(say(type(self).__name__, "tensorboardX is not installed", cure=cure)) from None
        return SummaryWriter

    def _close(self) -> None:
        while self._writers:
            self._writers.popitem()[1].close()
