"""What a training will be: its network, its memory and its time, measured on its first steps."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.model import Sequential
from elman.model.memory import batch_bytes
from elman.model.summary import bytes_text
from elman.tasks.base import Task
from elman.tasks.corpus import Corpus
from elman.tasks.lexicon import Lexicon, split_words
from elman.training.callbacks import Callback
from elman.training.progress import duration

__all__ = ["Rehearsal", "rehearse"]

# Enough steps that caches are warm and lengths mixed, in a time that nobody minds.
_SECONDS, _LEAST, _MOST = 1.5, 4, 200


@dataclass(frozen=True)
class Rehearsal:
    """What a training will be.

    Attributes:
        model: the network, with weights that are of no use.
        parameters: how many numbers are learned.
        epochs: how often the training goes through the data, at most.
        batches: of an epoch.
        batch: sequences, or parallel streams, in one.
        weight_bytes: of parameters, their gradients and the two moments of the optimizer.
        batch_bytes: that the largest batch holds on its way forward and back, about.
        batch_seconds: that a batch took, on average.
        measured: batches that were measured.
    """

    model: Sequential
    parameters: int
    epochs: int
    batches: int
    batch: int
    weight_bytes: int
    batch_bytes: int
    batch_seconds: float
    measured: int

    @property
    def seconds(self) -> float:
        """How long the training takes on this machine as busy as it is, without what judges the model."""
        return self.epochs * self.batches * self.batch_seconds

    def to_dict(self) -> dict[str, Any]:
        """Give the figures as plain data."""
        names = ("parameters", "epochs", "batches", "batch", "weight_bytes", "batch_bytes", "batch_seconds", "measured")
        return {name: getattr(self, name) for name in names} | {"seconds": self.seconds}

    def __str__(self) -> str:
        weights, held = bytes_text(self.weight_bytes), bytes_text(self.batch_bytes)
        return (
            f"memory  {weights} for {self.parameters:,} parameters, their gradients and moments;"
            f" {held} for a batch of {self.batch:,}\n"
            f"time    about {duration(self.seconds)}: {self.epochs:,} epochs × {self.batches:,} batches"
            f" × {duration(self.batch_seconds)}, measured on {self.measured:,}"
        )


class _Enough(Exception):
    """The steps that were to be measured have been taken."""


class _Clock(Callback):
    """Takes the time of the first batches, and then ends the training."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.began = time.perf_counter()

    def on_batch_begin(self, batch: int, logs: Mapping[str, float]) -> None:
        self.batch_began = time.perf_counter()

    def on_batch_end(self, batch: int, logs: Mapping[str, float]) -> None:
        now = time.perf_counter()
        self.times.append(now - self.batch_began)
        waited = now - self.began > _SECONDS
        if len(self.times) >= _MOST or (waited and len(self.times) >= _LEAST) or now - self.began > 10 * _SECONDS:
            raise _Enough


def rehearse(task: Task, X: Any, y: Any = None) -> Rehearsal:
    """Take the first steps of a training, and say what all of it will be. The task stays as it is.

    Args:
        task: an estimator or a language model.
        X: what its `fit` takes.
        y: what its `fit` takes; None for a language model.

    Raises:
        DataError, UsageError, ResourceError: as `fit` does.

    Example:
        >>> from elman.tasks import LanguageModel
        >>> model = LanguageModel(layers=1, hidden=8, embedding=4, batch=4, steps=20, epochs=3)
        >>> rehearsal = rehearse(model, "all the world's a stage " * 100)
        >>> rehearsal.epochs, rehearsal.batches, rehearsal.seconds > 0
        (3, 27, True)
    """
    trial: Any = type(task)(**task.get_params() | {"verbose": 0})
    clock = _Clock()
    with contextlib.suppress(_Enough):
        trial.fit(X, y, callbacks=[clock])
    model = trial.model_
    steady = clock.times[1:] or clock.times  # the first one takes memory that the others find taken
    size = model.dtype.itemsize
    parameters = sum(array.size for array in model.named_weights().values())
    lengths = _lengths(trial, X)
    most = int(np.sort(lengths)[-trial.training_["batch"] :].sum())
    held = batch_bytes(
        model.layers,
        input_size=model.input_size,
        n_steps=most,
        itemsize=size,
        n_sequences=trial.training_["batch"],
    )
    return Rehearsal(
        model=model,
        parameters=parameters,
        epochs=clock.params["epochs"],
        batches=clock.params["steps"],
        batch=trial.training_["batch"],
        weight_bytes=4 * parameters * size,
        batch_bytes=held,
        batch_seconds=float(np.mean(steady)),
        measured=len(steady),
    )


def _lengths(trial: Any, X: Any) -> NDArray[np.int64]:
    """Give the steps of every sequence, as the network sees them."""
    if isinstance(X, str | Corpus):
        return np.full(trial.training_["batch"], trial.training_["steps"])
    words = isinstance(trial._form, Lexicon)
    return np.array([len(split_words(x) if words and isinstance(x, str) else x) for x in X], np.int64)
