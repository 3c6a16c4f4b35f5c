"""What a model says about data, and how right it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self, Unpack

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import UsageError, say
from elman.layers import check_carry
from elman.model.comparison import compare
from elman.model.data import DataOptions, at_once, checked_state, own_steps, read_data, read_input
from elman.model.foundation import Foundation
from elman.model.quantization import (
    BOUND,
    Quantization,
    check_bound,
    check_storage,
    refuse_beyond,
    sizes,
)
from elman.model.stream import Stream
from elman.ops.rounding import Storage
from elman.ragged import Ragged
from elman.training import loop, progress
from elman.training import metrics as metric_types
from elman.training.batches import SequenceBatches, part_of
from elman.training.checks import check_count
from elman.training.metrics import Measure, MetricLike

__all__ = ["Prediction"]

State = loop.State


class Prediction(Foundation):
    """The part of a model that is asked and measured; see `Sequential`."""

    def evaluate(
        self,
        x: Any,
        y: Any,
        *,
        batch_size: int | None = None,
        return_dict: bool = False,
        verbose: progress.Verbose = "auto",
        **options: Unpack[DataOptions],
    ) -> float | list[float] | dict[str, float]:
        """Compute the mean loss over all targets.

        Args:
            x: sequences.
            y: targets.
            batch_size: sequences at once; chosen for speed if None.
            return_dict: whether figures come by name.
            verbose: 0 silent; else what takes long shows how far it is.
            options: sample_weight, class_weight, lengths and pad_value, as in `fit`.

        Returns:
            The loss; [loss, accuracy] where the model has that metric; a dict if asked.

        Raises:
            NotFittedError: if the model is not built.
            DataError: if the data does not fit.
        """
        self._compiled("evaluate")
        self._engine_for("evaluate")
        progress.check_verbose(verbose, "evaluate")
        data = read_data(self, x, y, where="evaluate", **options)
        figures = self.evaluate_batches(data.batches(batch_size), verbose=verbose)
        del figures["weight"]
        if return_dict:
            return figures
        return figures["loss"] if len(figures) == 1 else list(figures.values())

    def evaluate_batches(self, batches: loop.Batches, *, verbose: progress.Verbose = "auto") -> dict[str, float]:
        """Compute the mean loss over ready batches, carrying the state where they do.

        Args:
            batches: gone through once.
            verbose: as in `evaluate`.

        Returns:
            "loss", "weight" (the sum of the weights of all targets) and the metrics.
        """
        self._compiled("evaluate")
        self._check_batches(batches, "evaluate")
        shown = progress.watch(batches, total=len(batches), what="evaluate", verbose=verbose)
        carries = batches.carries_state
        return loop.evaluate(self._engine_for("evaluate"), shown, metrics=self.metrics, carries_state=carries)

    def _check_batches(self, batches: loop.Batches, where: str) -> None:
        """Refuse what is no batches, and batches that carry a state through layers that cannot."""
        if not hasattr(batches, "carries_state"):
            cure = f"For x and y call {where}"
            expected = "such as SequenceBatches or StreamBatches"
            got = type(batches).__name__
            raise UsageError(say(f"{where}_batches", "these are no batches", expected=expected, got=got, cure=cure))
        if batches.carries_state:
            check_carry(self.layers, where=where)

    def predict(
        self,
        x: Any,
        *,
        batch_size: int | None = None,
        state: State | None = None,
        return_state: bool = False,
        lengths: ArrayLike | None = None,
        pad_value: float | None = None,
        verbose: progress.Verbose = "auto",
    ) -> Any:
        """Give what the last layer gives.

        Args:
            x: sequences.
            batch_size: sequences at once; chosen for speed if None.
            state: where every layer begins: a tuple over the layers, as `return_state` gave it.
            return_state: whether the last state is wanted as well.
            lengths: as in `fit`.
            pad_value: as in `fit`.
            verbose: as in `evaluate`.

        Returns:
            One output per step in the form of x (array, list or Ragged), or an array (batch, outputs);
            with `return_state` a pair of that and the state.

        Raises:
            NotFittedError: if the model is not built.
            DataError: if x does not fit.
        """
        engine = self._engine_for("predict")
        progress.check_verbose(verbose, "predict")
        batch, restore = read_input(self, x, where="predict", lengths=lengths, pad_value=pad_value)
        if state is not None:
            state = checked_state(self.layers, state, n_sequences=len(batch), dtype=self.dtype, where="predict")
        if batch_size is not None:
            check_count("batch_size", batch_size)
        size = at_once(batch) if batch_size is None else int(batch_size)
        outs: list[Any] = []
        lasts: list[State] = []
        starts = range(0, len(batch), size)
        for start in progress.watch(starts, total=len(starts), what="predict", verbose=verbose):
            stop = min(start + size, len(batch))
            begin = None if state is None else tuple(tuple(part[start:stop] for part in parts) for parts in state)
            out, last = engine.forward(part_of(batch, start, stop), state=begin)
            outs.append(out.values if isinstance(out, Ragged) else out)
            lasts.append(last)
        rows = outs[0] if len(outs) == 1 else np.concatenate(outs)
        given = restore(_like(batch, rows, own_steps(self.layers)) if isinstance(out, Ragged) else rows)
        if not return_state:
            return given
        joined = tuple(
            tuple(np.concatenate(parts) for parts in zip(*layer, strict=True)) for layer in zip(*lasts, strict=True)
        )
        return given, joined

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

    def stream(self, batch: int = 1) -> Stream:
        """Begin sequences that go on step by step; see `elman.model.Stream`.

        Args:
            batch: how many at once; others may join and leave.

        Raises:
            NotFittedError: if the model is not built.
            UsageError: if a layer needs whole sequences, or batch is no count.

        Example:
            >>> from elman import Sequential, layers
            >>> model = Sequential([layers.LSTM(8), layers.Dense(2)])
            >>> model.build(3)
            >>> stream = model.stream(batch=4)
            >>> stream.step(np.zeros((4, 3))).shape
            (4, 2)
        """
        return Stream(self, batch)


def _like(x: Ragged, rows: NDArray[Any], steps: int | None) -> Ragged:
    """Give the sequences that rows (N, K) are: those of x, or so many steps for each of them."""
    return x.with_values(rows) if steps is None else Ragged(rows, np.full(len(x), steps))
