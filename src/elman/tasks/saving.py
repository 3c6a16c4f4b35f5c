"""Keeping a task's model file up to date while it is trained, so that nothing is lost."""

from __future__ import annotations

import os
from collections.abc import Mapping

from elman.tasks.base import Task
from elman.training.callbacks import Callback

__all__ = ["SaveEachEpoch"]


class SaveEachEpoch(Callback):
    """Rewrites a model file after each epoch, and when training is interrupted.

    Args:
        task: what is trained.
        path: the model file.

    Attributes:
        epochs: how many finished epochs there are.
        saved: whether this training has written the file.

    Example:
        >>> import tempfile
        >>> from elman.tasks import LanguageModel, load
        >>> model = LanguageModel(layers=1, hidden=8, epochs=2, verbose=0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/model.elman"
        ...     _ = model.fit("all the world's a stage " * 20, callbacks=[SaveEachEpoch(model, path)])
        ...     load(path).training_["epochs"]
        2
    """

    def __init__(self, task: Task, path: str | os.PathLike[str]) -> None:
        self.task = task
        self.path = path
        self.epochs = 0
        self.saved = False
        self._within = False

    @property
    def state(self) -> str:
        """A sentence about what the file holds."""
        if not self.saved:
            return f"{self.path} was not written."
        when = "as it is now" if self._within else f"as it was after epoch {self.epochs}"
        return f"{self.path} holds the model {when}."

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Save a finished epoch."""
        self.task.save(self.path)
        self.epochs, self.saved, self._within = epoch + 1, True, False

    def on_interrupt(self, signum: int | None) -> None:
        """Save what the last finished batch has left."""
        self.task.save(self.path)
        self.saved = self._within = True
