"""What a search for better arguments may try."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from elman.tasks.base import Task
from elman.tasks.estimator import auto_batch
from elman.tasks.language_model import LanguageModel
from elman.tasks.tagger import SequenceTagger

__all__ = ["Range", "left_open", "search_space"]


@dataclass(frozen=True)
class Range:
    """What an argument may be.

    Attributes:
        low: the least; for words all of them.
        high: the greatest.
        log: whether factors count, not differences.
    """

    low: Any
    high: Any = None
    log: bool = False

    def suggest(self, trial: Any, name: str) -> Any:
        """Let Optuna choose."""
        if isinstance(self.low, list):
            return trial.suggest_categorical(name, self.low)
        suggest = trial.suggest_int if isinstance(self.low, int) else trial.suggest_float
        return suggest(name, self.low, self.high, log=self.log)

    def holds(self, value: Any) -> bool:
        """Tell whether a value is one of them."""
        if isinstance(self.low, list):
            return value in self.low
        return value is not None and self.low <= value <= self.high


def search_space(kind: type[Task], *, numbers: bool = True) -> dict[str, Range]:
    """Give the arguments that are searched, and where.

    Args:
        kind: the class of the task.
        numbers: whether its sequences are numbers, which noise is for; embeddings are for the others.

    Example:
        >>> from elman.tasks import SequenceRegressor
        >>> sorted(search_space(SequenceRegressor))
        ['batch', 'cell', 'dropout', 'hidden', 'layers', 'lr', 'noise', 'weight_decay']
    """
    if kind is LanguageModel:
        return {
            "cell": Range(["lstm", "gru"]),
            "layers": Range(1, 3),
            "hidden": Range(64, 512, log=True),
            "dropout": Range(0.0, 0.6),
            "batch": Range(16, 128, log=True),
            "steps": Range(32, 160, log=True),
            "lr": Range(5e-4, 2e-2, log=True),
        }
    wide = kind is SequenceTagger
    space = {
        "cell": Range(["gru", "lstm"]),
        "layers": Range(1, 3 if wide else 2),
        "hidden": Range(64 if wide else 32, 400 if wide else 256, log=True),
        "dropout": Range(0.0, 0.6),
        "lr": Range(5e-4, 2e-2, log=True),
        "weight_decay": Range(1e-5, 1e-1, log=True),
        "batch": Range(8, 64, log=True),
    }
    return space | ({"noise": Range(0.0, 0.8)} if numbers else {"embedding": Range(32, 200, log=True)})


def left_open(task: Any, data: Any) -> dict[str, Any]:
    """Give what arguments that are None stand for with this data, for the first trial.

    Args:
        task: an estimator or a language model, not fitted.
        data: as many sequences as it will learn from, or the `Corpus`.
    """
    if isinstance(task, LanguageModel):
        used = task._used(int(len(data.ids) * (1 - task.val_split)), data.vocabulary)[0]
        return {name: value for name in search_space(LanguageModel) if (value := getattr(used, name)) is not None}
    return {"batch": task.batch or auto_batch(len(data))}
