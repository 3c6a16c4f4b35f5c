"""Loading: a file knows whether it is a task or a bare model."""

from __future__ import annotations

import os
from typing import Any

from elman import files
from elman.errors import ModelFileError, say
from elman.model import Sequential
from elman.tasks.addition import BinaryAdder
from elman.tasks.language_model import LanguageModel

__all__ = ["TASKS", "load"]

TASKS: dict[str, Any] = {"model": Sequential, LanguageModel.task: LanguageModel, BinaryAdder.task: BinaryAdder}


def load(path: str | os.PathLike[str], *, allow_nonfinite: bool = False) -> Any:
    """Load what a model file holds: a task or a bare model.

    Args:
        path: a file that `save` has written.
        allow_nonfinite: accept weights that are NaN or infinite, to look at them.

    Returns:
        A `LanguageModel`, a `BinaryAdder` or a `Sequential`.

    Raises:
        UsageError: if there is no such file.
        ModelFileError: if it is not a whole, sane model file that this version can read.
    """
    with files.open_model(path) as header:
        task = header.meta.task
        if task not in TASKS:
            raise ModelFileError(
                say(header.where, "unknown task", expected=f"one of {', '.join(TASKS)}", got=repr(task))
            )
        return TASKS[task].from_file(header, allow_nonfinite=allow_nonfinite)
