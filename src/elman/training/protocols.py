"""What the training loop needs of an engine, of batches and of a model, whichever they are."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from elman.ragged import Ragged
from elman.training.batches import Batch
from elman.training.optimizers import Optimizer
from elman.training.parameters import Parameters

__all__ = ["Batches", "Engine", "Model", "Observe", "State", "Watch"]

Array = NDArray[Any]
State = tuple[tuple[Array, ...], ...]
Observe = Callable[[Any, Any, Array | None], None]


class Engine(Protocol):
    """What the loop needs of an engine: see `elman.engines.native.Engine`."""

    @property
    def parameters(self) -> Parameters:
        """The parameters it computes with."""

    def forward(
        self, x: Ragged, *, state: State | None = None, rng: np.random.Generator | None = None
    ) -> tuple[Any, State]:
        """Give the outputs and the last state."""

    def loss_and_gradients(
        self,
        batch: Batch,
        *,
        state: State | None = None,
        rng: np.random.Generator | None = None,
        observe: Observe | None = None,
        want_state: bool = True,
    ) -> tuple[float, float, State | None]:
        """Give the mean loss, Σ w and the last state; `parameters.grads` holds the gradients."""

    def loss_only(
        self, batch: Batch, *, state: State | None = None, observe: Observe | None = None, want_state: bool = True
    ) -> tuple[float, float, State | None]:
        """Give the mean loss, Σ w and the last state."""


class Batches(Protocol):
    """What the loop runs over; every `iter` is one epoch.

    `carries_state` says whether a batch goes on from the last state of the batch before it,
    `n_items` how many items of what `unit` an epoch has.
    """

    carries_state: bool
    unit: str
    n_items: int

    def __len__(self) -> int: ...

    def __iter__(self) -> Any: ...


class Model(Protocol):
    """What callbacks need of a model: see `elman.model.Sequential`."""

    stop_training: bool  #: set to True, it ends training after the epoch
    optimizer: Optimizer | None

    @property
    def parameters(self) -> Parameters:
        """The flat arrays of parameters and gradients."""

    def check_savable(self, where: str) -> None:
        """Refuse what a file could not hold, before time is spent."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file."""


class Watch(Protocol):
    """What looks at gradients while the loop trains: see `elman.model.watching.GradientWatch`."""

    @property
    def figures(self) -> dict[str, float]:
        """Those of the last sample, by name."""

    @property
    def lines(self) -> list[str]:
        """Those of the last sample, for a terminal."""

    def begin(self) -> None:
        """Begin an epoch."""

    def after(self, batch: Batch, state: State | None) -> bool:
        """Hear that the gradients of a batch are there, and say whether a sample was taken."""

    def epoch(self) -> dict[str, float]:
        """Give the figures of the epoch."""

    def finish(self) -> None:
        """Say what there is to be said at the end."""
