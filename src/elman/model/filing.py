"""How a model goes into files and copies, and comes out of them."""

from __future__ import annotations

import copy
import os
from typing import Any, Self

import numpy as np

from elman import files
from elman._version import __version__
from elman.errors import NotFittedError, UsageError
from elman.model.foundation import Foundation
from elman.model.naming import check_named
from elman.model.stored import read_quantization, read_weights, stored
from elman.training.history import History

__all__ = ["Filing"]

# Of one optimizer: years of training, and whole in the float64 that schedules compute with.
_MOST_STEPS = 2**53

# What a copy takes over as it is.
_OWN = ("dtype", "precision", "name", "input_size", "ids", "loss", "metrics", "clip", "gradient_noise", "quantization")


class Filing(Foundation):
    """The part of a model that saves and copies it; see `Sequential`."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file, atomically and durably; `elman.load` reads it.

        The file holds the optimizer with its options and the number of steps it took, so that a schedule goes on where
        it stopped. Its moments are not kept: they begin anew, as they do with a new optimizer.

        Args:
            path: where; its folder must exist.

        Raises:
            NotFittedError: if the model is not built.
            UsageError: if a class of your own is not registered, so that the file could not be loaded.
            SaveError: if it cannot be written; what stood there before is untouched.
        """
        self.check_savable("save")
        held = stored(self)
        history = {} if self.history is None else self.history.tensors()
        tensors = held.tensors | {f"history.{name}": column for name, column in history.items()}
        training = {"steps": self.optimizer.steps} if self.optimizer is not None and self.optimizer.steps else None
        meta = files.Meta(
            version=__version__, task="model", config=self.config(), training=training, quantized=held.quantized
        )
        files.save(path, tensors, meta, halved=held.halved)

    @classmethod
    def from_file(cls, header: files.Header, *, allow_nonfinite: bool = False) -> Self:
        """Rebuild the model of an open file; nothing is allocated before all of it is checked.

        Args:
            header: from `files.open_model`, of the task "model".
            allow_nonfinite: accept weights that are NaN or infinite.

        Raises:
            ModelFileError: if config and weights do not fit together.
        """
        try:
            model = cls.from_config(header.meta.config)
            model.weight_shapes()
        except (UsageError, NotFittedError) as error:
            raise files.not_accepted(header, "config", str(error)) from None
        steps = (header.meta.training or {}).get("steps", 0)
        if type(steps) is not int or not 0 <= steps <= _MOST_STEPS:
            why = f"steps is no count, expected an integer from 0 to {_MOST_STEPS}, got {steps!r:.40}"
            raise files.not_accepted(header, "training", why)
        if model.optimizer is not None:
            model.optimizer.resume(steps)
        model.take_weights(header, allow_nonfinite=allow_nonfinite)
        columns = header.read_history()
        model.history = History.from_tensors(columns) if columns else None
        return model

    def take_weights(self, header: files.Header, *, allow_nonfinite: bool = False) -> None:
        """Take the weights of an open file, and how they are stored; the model must not be built.

        Args:
            header: from `files.open_model`.
            allow_nonfinite: accept weights that are NaN or infinite.

        Raises:
            ModelFileError: if they do not fit.
        """
        self.quantization = read_quantization(header)
        if self.quantization is not None and self.dtype != np.float32:
            raise files.not_accepted(header, "config", f"quantized weights are not {self.dtype}")
        self.load_weights(read_weights(header, self, allow_nonfinite=allow_nonfinite))

    def check_savable(self, where: str) -> None:
        """Refuse losses, metrics, optimizers, schedules and layers of your own that no file can name.

        Args:
            where: who asks, for messages.

        Raises:
            UsageError: saying where the class is to be registered.
        """
        check_named(self.layers, loss=self.loss, metrics=self.metrics, optimizer=self.optimizer, where=where)

    def __getstate__(self) -> dict[str, Any]:
        # Views into one buffer do not survive a copy one by one: layers go without them, and the copy builds its own.
        twins = {id(layer): layer.unbound() for layer in self.layers}
        own = {"optimizer": copy.deepcopy(self.optimizer), "history": copy.deepcopy(self.history)}  # for copy.copy
        return {
            "layers": tuple(twins[id(layer)] for layer in self.layers),
            **{name: getattr(self, name) for name in _OWN},
            **own,
            "weights": self.named_weights() if self.built else None,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        rest = dict(state)
        weights = rest.pop("weights")
        how = {name: rest.pop(name) for name in ("dtype", "precision", "name")}
        Foundation.__init__(self, rest.pop("layers"), **how)
        self.__dict__.update(rest)
        if weights is not None:
            self.load_weights(weights)
