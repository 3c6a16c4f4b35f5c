"""A model that makes a smaller one of itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self, Unpack

import msgspec
import numpy as np

from elman.errors import UsageError, say
from elman.model.comparison import compare
from elman.model.data import DataOptions, at_once, read_data, read_input
from elman.model.prediction import Prediction
from elman.model.quantization import (
    BOUND,
    Quantization,
    check_bound,
    check_storage,
    refuse_beyond,
    sizes,
)
from elman.ops.rounding import Storage
from elman.training import loop, progress
from elman.training import metrics as metric_types
from elman.training.batches import SequenceBatches
from elman.training.metrics import Measure, MetricLike

__all__ = ["Quantizing"]


class Quantizing(Prediction):
    """The part of a model that makes a smaller one of itself; see `Sequential`."""

    def quantize(
        self,
        weights: Storage = "int8",
        data: Any = None,
        *,
        bound: float = BOUND,
        verbose: progress.Verbose = "auto",
        **options: Unpack[DataOptions],
    ) -> Self:
        """Make a model that holds its weights in fewer bytes; this one stays as it is.

        Matrices that rows are multiplied with, and the tables of embeddings, are rounded: "int8" to whole numbers of at
        most 127 times one scale per row (a quarter of float32), "bfloat16" to 8 bits of precision (half of it). Biases,
        states and functions stay float32. The new model predicts, is evaluated and saved; it is not trained further.

        Args:
            weights: "int8" or "bfloat16".
            data: (x, y), on which both models are evaluated; or x alone, whose outputs are compared; None measures
                nothing.
            bound: greatest increase of the loss that is accepted, as a share of it; without targets, greatest root mean
                square difference of outputs, as a share of theirs.
            verbose: 0 silent; else what takes long shows how far it is.
            options: sample_weight, class_weight, lengths and pad_value of the data, as in `fit`.

        Returns:
            The new model; its `quantization` is the report.

        Raises:
            AccuracyError: if it loses more than the bound allows; its `report` says how much.
            UsageError: if weights or bound is not accepted, or the weights are rounded already.
            NotFittedError: if the model is not built.
            DataError: if the data does not fit.

        Example:
            >>> import numpy as np
            >>> from elman import Sequential, layers
            >>> x = np.random.default_rng(0).normal(size=(20, 30, 4))
            >>> model = Sequential([layers.GRU(32), layers.Dense(3)])
            >>> model.build(4, rng=0)
            >>> small = model.quantize("int8", x)
            >>> small.quantization.rms_difference < 0.01
            True
        """
        small = self._rounded(weights, bound)
        if data is None:
            if options:
                raise UsageError(say("quantize", f"{next(iter(options))} is given without data"))
            return small
        if isinstance(data, tuple):
            if len(data) != 2:
                raise UsageError(say("quantize", "data is no (x, y)", got=f"a tuple of {len(data)}"))
            self._compiled("quantize")
            both = [read_data(model, *data, where="quantize", **options) for model in (self, small)]
            batches = (both[0].batches(None), both[1].batches(None))
            return self._measured(small, batches, bound, self.metrics, targets=True, verbose=verbose)
        lengths, pad_value = options.get("lengths"), options.get("pad_value")
        inputs = [
            read_input(model, data, where="quantize", lengths=lengths, pad_value=pad_value)[0]
            for model in (self, small)
        ]
        first, second = (
            SequenceBatches(x, np.empty((len(x), 0)), batch_size=at_once(x), per_step=False) for x in inputs
        )
        return self._measured(small, (first, second), bound, (), targets=False, verbose=verbose)

    def quantize_batches(
        self,
        weights: Storage,
        batches: loop.Batches,
        *,
        bound: float = BOUND,
        metrics: Iterable[MetricLike] | MetricLike | None = None,
        verbose: progress.Verbose = "auto",
    ) -> Self:
        """Make a model that holds its weights in fewer bytes, measured on ready batches; see `quantize`.

        Args:
            weights: "int8" or "bfloat16".
            batches: gone through once, carrying the state where they do; in the order of the data.
            bound: greatest increase of the loss, as a share of it.
            metrics: to report beside the loss, as in `compile`; those of the model if None.
            verbose: as in `quantize`.

        Returns:
            The new model.

        Raises:
            AccuracyError, UsageError, NotFittedError: as `quantize` does.
        """
        self._compiled("quantize")
        small = self._rounded(weights, bound)
        self._check_batches(batches, "quantize")
        assert self.loss is not None
        measures = self.metrics if metrics is None else metric_types.get(metrics, self.loss)
        return self._measured(small, (batches, batches), bound, measures, targets=True, verbose=verbose)

    def _rounded(self, weights: Storage, bound: float) -> Self:
        """Make the model, not measured yet."""
        check_storage(weights)
        check_bound(bound)
        parameters = self.parameters
        if self.quantization is not None:
            cure = "Quantize the model that it was made of"
            wrong = f"the weights are {self.quantization.weights} already"
            raise UsageError(say("quantize", wrong, cure=cure))
        before, after = sizes(self.weight_shapes(), self.layers, weights, self.dtype.itemsize)
        report = Quantization(weights=weights, bytes_before=before, bytes_after=after)
        other = {"dtype": np.dtype(np.float32), "precision": None, "weights": None, "quantization": report}
        small = type(self).__new__(type(self))
        small.__setstate__(self.__getstate__() | other)
        assert self.input_size is not None
        small._build(self.input_size, self.ids, None)
        small.parameters.set(parameters.named(), where="quantize")
        return small

    def _measured(
        self,
        small: Self,
        batches: tuple[loop.Batches, loop.Batches],
        bound: float,
        metrics: Sequence[Measure],
        *,
        targets: bool,
        verbose: progress.Verbose,
    ) -> Self:
        """Write down what the rounded model has lost, and refuse it beyond the bound."""
        progress.check_verbose(verbose, "quantize")
        engines = (self._engine_for("quantize"), small._engine_for("quantize"))
        found = compare(*engines, batches, metrics=metrics, targets=targets, verbose=verbose)
        assert small.quantization is not None
        small.quantization = msgspec.structs.replace(small.quantization, **found._asdict())
        refuse_beyond(bound, small.quantization)
        return small
