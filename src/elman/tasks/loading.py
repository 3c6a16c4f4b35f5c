"""Loading: a file knows whether it is a task or a bare model."""

from __future__ import annotations

import os
from typing import Any

from elman import files
from elman.errors import ModelFileError, say
from elman.model import Sequential
from elman.model.stream_file import STREAM_STATE
from elman.tasks.addition import BinaryAdder
from elman.tasks.classifier import SequenceClassifier
from elman.tasks.language_model import LanguageModel
from elman.tasks.regressor import SequenceRegressor
from elman.tasks.tagger import SequenceTagger

__all__ = ["TASKS", "load"]

_TASKS = (LanguageModel, SequenceClassifier, SequenceRegressor, SequenceTagger, BinaryAdder)

TASKS: dict[str, Any] = {"model": Sequential} | {task.task: task for task in _TASKS}


def load(path: str | os.PathLike[str], *, allow_nonfinite: bool = False) -> Any:
    """Load what a model file holds: a task or a bare model.

    Args:
        path: a file that `save` has written.
        allow_nonfinite: accept weights that are NaN or infinite, to look at them.

    Returns:
        The task, such as a `SequenceClassifier`, or a `Sequential`.

    Raises:
        UsageError: if there is no such file.
        ModelFileError: if it is not a whole, sane model file that this version can read.
    """
    with files.open_model(path) as header:
        task = header.meta.task
        if task == STREAM_STATE:
            wrong = "it holds the state of a stream, and no model"
            cure = "Load the model it belongs to, and give its stream this file: model.stream().load(path)"
            raise ModelFileError(say(header.where, wrong, cure=cure))
        if task not in TASKS:
            raise ModelFileError(
                say(header.where, "unknown task", expected=f"one of {', '.join(TASKS)}", got=repr(task))
            )
        return TASKS[task].from_file(header, allow_nonfinite=allow_nonfinite)
