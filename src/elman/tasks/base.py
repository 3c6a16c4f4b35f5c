"""What all tasks share: arguments as scikit-learn keeps them, their bounds, and the model file."""

from __future__ import annotations

import copy
import inspect
import operator
import os
from typing import Any, ClassVar, Self, get_type_hints

import msgspec
import numpy as np

from elman import files
from elman._version import __version__
from elman.errors import DataError, ModelFileError, NotFittedError, UsageError, say
from elman.files.plain import refusal
from elman.layers.options import choices_of
from elman.model import Sequential
from elman.model.quantization import BOUND, Quantization
from elman.model.stored import stored
from elman.ops.rounding import Storage
from elman.tasks.network import NetworkData
from elman.training import progress
from elman.training.history import History
from elman.training.loop import Batches

__all__ = ["Task", "TaskParams"]


class TaskParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The arguments of a task that shape its model, with their bounds; what stands in a file."""


class Task:
    """Base of the tasks: from raw data to answers.

    A constructor stores its arguments under their names and does nothing else; they are checked when they are used.
    What `fit` learns ends in an underscore. That is scikit-learn's contract, kept here without needing scikit-learn.

    Attributes:
        model_: the trained `Sequential`.
        history_: its `History`.
        training_: figures of the training, as they stand in the file.
    """

    task: ClassVar[str]
    Params: ClassVar[type[TaskParams]]
    makes_data: ClassVar[bool] = False  #: whether `to_network` needs no data
    _figures: ClassVar[tuple[str, ...]] = ()  #: metrics that `quantize` reports beside the loss

    model_: Sequential
    history_: History
    training_: dict[str, Any]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's arguments by name.

        Args:
            deep: accepted for scikit-learn; no argument holds another task.
        """
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Self:
        """Change constructor arguments by name and return self.

        Raises:
            UsageError: if there is no such argument; nothing is changed then.
        """
        known = inspect.signature(type(self)).parameters
        unknown = [name for name in params if name not in known]
        if unknown:
            wrong = f"there is no argument {', '.join(map(repr, unknown))}"
            raise UsageError(say(type(self).__name__, wrong, expected=f"some of {', '.join(known)}"))
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file, atomically and durably.

        Args:
            path: where; its folder must exist.

        Raises:
            NotFittedError: before `fit`.
            SaveError: if it cannot be written; what stood there before is untouched.
        """
        self._check_fitted("save")
        held = stored(self.model_)
        tensors = held.tensors | {f"history.{name}": column for name, column in self.history_.tensors().items()}
        tensors |= self._beside()
        meta = files.Meta(
            version=__version__,
            task=self.task,
            config=self._config(),
            vocabulary=self._vocabulary(),
            training=self.training_,
            quantized=held.quantized,
        )
        files.save(path, tensors, meta, halved=held.halved)

    @property
    def quantization(self) -> Quantization | None:
        """What storing the weights in fewer bytes has cost; None for weights as they were trained."""
        return self.model_.quantization

    def quantize(
        self,
        weights: Storage = "int8",
        data: Any = None,
        *,
        bound: float = BOUND,
        verbose: progress.Verbose = "auto",
    ) -> Self:
        """Make one that holds its weights in fewer bytes, a quarter or half; this one stays as it is.

        Args:
            weights: "int8" or "bfloat16"; see `Sequential.quantize`.
            data: what `score` takes, on which both are measured; None measures nothing.
            bound: greatest increase of the loss that is accepted, as a share of it.
            verbose: 0 silent; else what takes long shows how far it is.

        Returns:
            The new one, fitted; its `quantization` is the report. `fit` trains it anew, as it would this one.

        Raises:
            AccuracyError: if it loses more than the bound allows.
            UsageError: if weights or bound is not accepted, or the weights are rounded already.
            NotFittedError: before `fit`.
            DataError: if the data does not fit.
        """
        self._check_fitted("quantize")
        batches = self._measuring(data)
        if batches is None:
            model = self.model_.quantize(weights, bound=bound)
        else:
            model = self.model_.quantize_batches(weights, batches, bound=bound, metrics=self._figures, verbose=verbose)
        small = copy.copy(self)
        small.model_, small.training_ = model, dict(self.training_)
        return small

    @classmethod
    def from_file(cls, header: files.Header, *, allow_nonfinite: bool = False) -> Self:
        """Rebuild a fitted task from an open model file.

        Args:
            header: from `files.open_model`, of this task.
            allow_nonfinite: accept weights that are NaN or infinite.

        Raises:
            ModelFileError: if what it holds does not fit this task.
        """
        try:
            params = msgspec.convert(header.meta.config, cls.Params)
            task = cls(**msgspec.structs.asdict(params))
            model = task._new_model(header.meta.vocabulary)
            model.weight_shapes()
        except msgspec.ValidationError as error:
            raise files.not_accepted(header, "config", refusal(error).sentence) from None
        except (UsageError, DataError) as error:
            raise files.not_accepted(header, "config", str(error)) from None
        except ModelFileError as error:
            raise files.not_accepted(header, "vocabulary", str(error)) from None
        model.take_weights(header, allow_nonfinite=allow_nonfinite)
        task.model_, task.training_ = model, header.meta.training or {}
        task.history_ = History.from_tensors(header.read_history())
        return task

    def to_network(self, X: Any = None, y: Any = None, *, steps: int | None = None) -> NetworkData:
        """Give the network itself, and data as it takes them: encoded, scaled, with targets as numbers.

        Everything that takes a `Sequential`, such as the functions of `elman.inspection`, can be used with it.

        Args:
            X: what `fit` takes, or `predict`.
            y: targets, if they are to be had too.
            steps: take only so many steps, about: of sequences some, spread evenly, of a text the beginning.

        Raises:
            NotFittedError: before `fit`.
            DataError: if the data does not fit the task.
        """
        raise NotImplementedError

    def _new_model(self, vocabulary: dict[str, Any] | None) -> Sequential:
        """Return the model for a vocabulary as it stands in a file: compiled, its input size set, without weights."""
        raise NotImplementedError

    def _measuring(self, data: Any) -> Batches | None:
        """Return the batches that `quantize` is to measure on, or None."""
        raise NotImplementedError

    def _vocabulary(self) -> dict[str, Any] | None:
        """Return what the file keeps of a vocabulary."""
        return None

    def _beside(self) -> dict[str, Any]:
        """Return arrays that the file keeps beside weights and history."""
        return {}

    def _config(self) -> dict[str, Any]:
        """Return the arguments as the file keeps them."""
        config: dict[str, Any] = msgspec.to_builtins(self._checked_params())
        return config

    def _checked_params(self) -> Any:
        """Return the arguments that `Params` names, within their bounds."""
        return self._checked({name: getattr(self, name) for name in self.Params.__struct_fields__})

    def _checked(self, given: dict[str, Any]) -> Any:
        """Return values by name as `Params`, or say which is out of its bounds."""
        plain = {name: _plain(value) for name, value in given.items()}
        try:
            return msgspec.convert(plain, self.Params)
        except msgspec.ValidationError as error:
            told = refusal(error)
            got = repr(plain.get(told.name))
            wrong = f"{told.name} is not accepted"
            expected = told.expected and told.expected.replace("null", "None")
            if choices := choices_of(get_type_hints(self.Params, include_extras=True).get(told.name)):
                expected = "one of " + ", ".join(map(repr, choices))
            raise UsageError(say(type(self).__name__, wrong, expected=expected, got=got)) from None

    def _check_fitted(self, where: str) -> None:
        if not hasattr(self, "model_"):
            raise NotFittedError(say(f"{type(self).__name__}.{where}", "it is not fitted yet", cure="Call fit first"))

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        changed = {name: value for name, value in self.get_params().items() if value != defaults[name].default}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in changed.items())})"


def _plain(value: Any) -> Any:
    """Give NumPy's numbers as Python's, which is what `Params` names."""
    if isinstance(value, np.integer):
        return operator.index(value)
    return float(value) if isinstance(value, np.floating) else value
