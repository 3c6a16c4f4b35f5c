"""What a model is: layers, parameters, how it is trained, and its config."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from elman.engines.native import Engine, loss_layers
from elman.errors import NotFittedError, UsageError, say
from elman.layers import Layer, check_stack
from elman.model.config import check_config, layer_configs, layers_from_configs, name_layers
from elman.model.explain import Explanation, explain
from elman.model.precision import checked_dtype, checked_precision
from elman.model.quantization import Quantization
from elman.model.summary import summary_table
from elman.ops import losses
from elman.ops.losses import LOSSES, Loss
from elman.training import metrics as metric_types
from elman.training import optimizers
from elman.training.checks import check_count, check_number
from elman.training.history import History
from elman.training.loop import check_clip
from elman.training.metrics import Measure, MetricLike
from elman.training.optimizers import OPTIMIZERS, Optimizer
from elman.training.parameters import Parameters, no_gradients, parameter_shapes
from elman.training.seeds import Seed, spawn

__all__ = ["Foundation"]

Array = NDArray[Any]


class Foundation:
    """The part of a model that does not touch data; see `Sequential`."""

    def __init__(
        self,
        layers: Sequence[Layer] = (),
        *more: Layer,
        dtype: DTypeLike = "float32",
        precision: str | None = None,
        name: str = "sequential",
    ) -> None:
        if more:
            cure = "Write Sequential([first, second, ...])"
            raise UsageError(say("Sequential", "layers are given one by one", expected="a list of them", cure=cure))
        if isinstance(layers, Layer):
            cure = "Write Sequential([layer])"
            raise UsageError(say("Sequential", "layers is a single one", expected="a list", cure=cure))
        if not isinstance(layers, Iterable):
            raise UsageError(say("Sequential", "layers is no list", expected="a list", got=type(layers).__name__))
        self.layers = tuple(layers)
        for index, layer in enumerate(self.layers):
            if not isinstance(layer, Layer):
                raise UsageError(
                    say("Sequential", f"layers[{index}] is no layer", expected="elman.layers", got=repr(layer))
                )
        if not self.layers:
            cure = "Give all of them at once, as a list: none can be added later"
            raise UsageError(say("Sequential", "there are no layers", expected="at least one", cure=cure))
        self.dtype, self.name = checked_dtype(dtype), name
        self.precision = checked_precision(precision, self.dtype)
        name_layers(self.layers)
        self.input_size: int | None = None
        self.ids: bool | None = None
        self.optimizer: Optimizer | None = None
        self.history: History | None = None
        self.metrics: tuple[Measure, ...] = ()
        self.clip: float | None = None
        self.gradient_noise = 0.0
        self.loss: Loss | None = None
        self.quantization: Quantization | None = None
        self._parameters: Parameters | None = None
        self._engine: Engine | None = None
        self._draws: np.random.Generator | None = None

    @property
    def built(self) -> bool:
        """Whether there are weights."""
        return self._parameters is not None

    @property
    def parameters(self) -> Parameters:
        """The flat arrays of parameters and gradients.

        Raises:
            NotFittedError: before the model is built.
        """
        if self._parameters is None:
            raise NotFittedError(say("model", "it is not built yet", cure="Fit it, or call model.build(input_size)"))
        return self._parameters

    def build(self, input_size: int, *, ids: bool | None = None, rng: Seed = None) -> None:
        """Make and initialise the parameters; `fit` does so by itself with the first data.

        Args:
            input_size: features of a step, or the number of token ids.
            ids: whether token ids come in; None leaves it open where the first layer takes both.
            rng: a seed (its child for initialisation is used), or a Generator to draw from.

        Raises:
            UsageError: if the model is built already, or a layer does not fit or belongs to another model.
            ResourceError: if there is not enough memory.
        """
        check_count("input_size", input_size)
        self._build(int(input_size), ids, rng if isinstance(rng, np.random.Generator) else spawn(rng).init)

    def compile(
        self,
        optimizer: str | Mapping[str, Any] | Optimizer = "adam",
        loss: str | Mapping[str, Any] | Loss | None = None,
        metrics: Iterable[MetricLike] | MetricLike | None = None,
        *,
        clip: float | None = None,
        gradient_noise: float = 0.0,
    ) -> None:
        """Say how the model is trained.

        Args:
            optimizer: a name of `elman.optimizers.OPTIMIZERS` such as "adam", or an object such as AdamW(2e-3).
            loss: a name such as "mse", "cross_entropy" (classes), "categorical_crossentropy" (one-hot),
                "binary_crossentropy" or "ctc", all in `elman.losses.LOSSES`, Keras's too; or an object with options
                such as Huber(delta=2.0).
            metrics: names of `elman.metrics.METRICS`, objects such as TopK(k=3), or nothing.
            clip: greatest joint norm of all gradients of a batch; None leaves them alone.
            gradient_noise: variance of normal noise that is added to gradients at the first step; it falls with the
                steps as (1 + t)^-0.55 (Neelakantan et al. 2015).

        Raises:
            UsageError: if something is unknown, the loss does not fit the last layer, or a metric the loss.
        """
        if loss is None:
            raise UsageError(say("compile", "there is no loss", expected=f"one of {sorted(LOSSES)}"))
        if isinstance(optimizer, str) and isinstance(loss, str) and optimizer in LOSSES and loss in OPTIMIZERS:
            cure = f"Write compile('{loss}', '{optimizer}')"
            raise UsageError(say("compile", "optimizer and loss stand in each other's place", cure=cure))
        found = losses.get(loss)
        measures = metric_types.get(metrics, found)
        loss_layers(self.layers, found)
        check_clip(clip, "compile")
        noise = check_number("compile", "gradient_noise", gradient_noise)
        self.optimizer, self.gradient_noise = optimizers.get(optimizer), noise
        self.loss, self.metrics, self.clip = found, measures, None if clip is None else float(clip)
        self._connect()

    def summary(self) -> None:
        """Print layers, output shapes and numbers of parameters."""
        from rich.console import Console

        first = self.layers[0]
        table = summary_table(
            self.layers,
            title=self.name,
            input_size=self.input_size or first.vocab_size,
            ids=self._comes_as_ids(self.ids) or first.vocab_size is not None,
            dtype=self.dtype,
            quantization=self.quantization,
        )
        Console(highlight=False).print(table)

    def explain(self, *, batch_size: int = 32, steps: int = 100) -> Explanation:
        """Print how every layer runs on this machine, and what it costs.

        For each layer: the native kernel and its instruction set, or NumPy and why (layers that hold others
        say "see below": their parts follow); the threads that run for such a batch; and, all exact but for
        what is left out as written,

        - parameters;
        - FLOP/step: an addition and a multiplication for every weight that a step is multiplied with,
          forward: 2·G·H·(I + H) for a recurrent layer of G gates and H units over I features (2·G·H·H
          over token ids, whose W is looked up), 2·I·O for Dense. The way back costs twice as much: one
          such product for the gradient of the input, one for that of the weights. Functions of
          single numbers such as tanh are not counted; they take a few hundredths of the time;
        - bytes/step: what training holds for a step, activations and gradients.

        A layer that works on one row per sequence has one row in place of every step. Of the loss of a
        compiled model the kernel is named, too. The last line is for the whole batch: parameters, FLOP
        forward, bytes held.

        Args:
            batch_size: sequences of the batch.
            steps: of each of them.

        Returns:
            The same as an object: `layers`, `loss`, `parameters`, `flops`, `kept_bytes`, `to_dict()`.

        Raises:
            NotFittedError: if the input size is not known yet.
            UsageError: if a count is less than 1.

        Example:
            >>> from elman import Sequential, layers
            >>> model = Sequential([layers.Bidirectional(layers.LSTM(100)), layers.Dense(9)])
            >>> model.build(12)
            >>> model.explain(batch_size=27, steps=20).flops  # doctest: +ELLIPSIS
            sequential...
            96865200
        """
        from rich.console import Console

        check_count("batch_size", batch_size)
        check_count("steps", steps)
        first = self.layers[0]
        size = self.input_size or first.vocab_size
        if size is None:
            cure = "Fit it, or call model.build(input_size)"
            raise NotFittedError(say("explain", "the input size of the model is not known yet", cure=cure))
        explanation = explain(
            self.layers,
            title=self.name,
            input_size=size,
            ids=self._comes_as_ids(self.ids) or first.vocab_size is not None,
            dtype=self.dtype,
            precision=self.precision if self.quantization is None else self.quantization.weights,
            batch_size=int(batch_size),
            steps=int(steps),
            loss=self.loss,
        )
        Console(highlight=False).print(explanation)
        return explanation

    def count_params(self) -> int:
        """Give the number of parameters."""
        return self.parameters.count

    def named_weights(self) -> dict[str, Array]:
        """Give copies of all parameters by "<layer>.<parameter>"."""
        return {name: view.copy() for name, view in self.parameters.named().items()}

    def get_weights(self) -> list[Array]:
        """Give copies of all parameters, layer after layer."""
        return list(self.named_weights().values())

    def set_weights(self, weights: Sequence[ArrayLike] | Mapping[str, ArrayLike]) -> None:
        """Replace all parameters, or none if one does not fit; those of a quantized model are rounded.

        Args:
            weights: as `get_weights` or `named_weights` gives them.

        Raises:
            UsageError: listing everything that is missing, unknown, of another shape or not finite.
        """
        names = list(self.parameters.named())
        if not isinstance(weights, Mapping):
            if len(weights) != len(names):
                raise UsageError(
                    say(
                        "set_weights",
                        "the number of arrays is wrong",
                        expected=f"{len(names)}: {names}",
                        got=len(weights),
                    )
                )
            weights = dict(zip(names, weights, strict=True))
        self.parameters.set({name: np.asarray(array) for name, array in weights.items()})

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Give the shape of every parameter, without making any.

        Raises:
            NotFittedError: if the input size is not known yet.
        """
        if self.input_size is None:
            raise NotFittedError(
                say("model", "its input size is not known yet", cure="Fit it, or call model.build(input_size)")
            )
        return parameter_shapes(self.layers, self.input_size)

    def config(self) -> dict[str, Any]:
        """Give all but the weights as plain values; `from_config` is the inverse."""
        compiled = None
        if self.optimizer is not None and self.loss is not None:
            compiled = {
                "loss": self.loss.config(),
                "optimizer": self.optimizer.config(),
                "metrics": [measure.config for measure in self.metrics],
                "clip": self.clip,
                **({"gradient_noise": self.gradient_noise} if self.gradient_noise else {}),
            }
        return {
            "name": self.name,
            "dtype": str(self.dtype),
            "precision": self._products(),
            "input_size": self.input_size,
            "ids": self.ids,
            "layers": layer_configs(self.layers),
            "compile": compiled,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make the model that `config` wrote down; it has no weights yet.

        Args:
            config: plain values.

        Raises:
            UsageError: if something in it is unknown or out of its bounds.
        """
        checked = check_config(config)
        model = cls(
            layers_from_configs(checked.layers), dtype=checked.dtype, precision=checked.precision, name=checked.name
        )
        if checked.input_size is not None:
            check_stack(model.layers, input_size=checked.input_size, ids=model._comes_as_ids(checked.ids))
        model.input_size, model.ids = checked.input_size, checked.ids
        if (how := checked.compile) is not None:
            model.compile(how.optimizer, how.loss, how.metrics, clip=how.clip, gradient_noise=how.gradient_noise)
        return model

    def load_weights(self, weights: Mapping[str, Array]) -> None:
        """Take weights by name, of a model of the same config; files and copies come in here.

        Finite or not, they are taken as they are: whoever reads a file has asked that already.

        Args:
            weights: "<layer>.<parameter>" -> array.

        Raises:
            UsageError: listing everything that does not fit; the model is as it was.
            NotFittedError: if the input size is not known yet.
        """
        if not isinstance(weights, Mapping):
            cure = "A file is read by elman.load(path)"
            got = type(weights).__name__
            raise UsageError(say("load_weights", "weights is no mapping", expected="{name: array}", got=got, cure=cure))
        if self._parameters is not None:
            return self._parameters.set(weights, where="load_weights", allow_nonfinite=True)
        shapes = self.weight_shapes()
        if self.input_size is None or {name: np.shape(array) for name, array in weights.items()} != shapes:
            got = {name: np.shape(array) for name, array in weights.items()}
            raise UsageError(say("load_weights", "the weights do not fit", expected=shapes, got=got))
        self._build(self.input_size, self.ids, None)
        return self.parameters.set(weights, where="load_weights", allow_nonfinite=True)

    def __repr__(self) -> str:
        inside = ", ".join(map(repr, self.layers))
        precision = "" if self._products() is None else f", precision={self.precision!r}"
        return f"{type(self).__name__}([{inside}], dtype={str(self.dtype)!r}{precision})"

    def _products(self) -> str | None:
        """Give what products are made in where that is not the dtype."""
        return None if self.precision == str(self.dtype) else self.precision

    def _build(self, input_size: int, ids: bool | None, rng: np.random.Generator | None) -> None:
        """Allocate, initialise and bind; nothing changes if it fails."""
        if self.built:
            raise UsageError(
                say("build", "the model is built already", cure="Make a new one with Sequential.from_config")
            )
        for layer in self.layers:
            if layer.built:
                cure = "Make a new layer: layers.from_config(layer.config())"
                raise UsageError(say("build", f"layer '{layer.name}' belongs to another model", cure=cure))
        check_stack(self.layers, input_size=input_size, ids=self._comes_as_ids(ids))
        storage = None if self.quantization is None else self.quantization.weights
        self._parameters = Parameters.build(
            self.layers, input_size, dtype=self.dtype, rng=rng, precision=self._products(), storage=storage
        )
        self.input_size, self.ids = input_size, ids
        self._connect()

    def _connect(self) -> None:
        """Make the engine anew for these parameters and this loss."""
        self._engine = None if self._parameters is None else Engine(self.layers, self._parameters, self.loss)

    def _compiled(self, where: str) -> Optimizer:
        if self.optimizer is None:
            raise UsageError(say(where, "the model is not compiled", cure="Call model.compile(optimizer, loss) first"))
        return self.optimizer

    def _check_not_rounded(self, where: str) -> None:
        if self.quantization is not None:
            raise no_gradients(where, self.quantization.weights)

    def _engine_for(self, where: str) -> Engine:
        if self._engine is None:
            raise NotFittedError(
                say(where, "the model is not built yet", cure="Fit it, or call model.build(input_size)")
            )
        return self._engine

    def _comes_as_ids(self, ids: bool | None) -> bool:
        """Say what is taken to come in where the model leaves it open."""
        return self.layers[0].needs_ids if ids is None else ids
