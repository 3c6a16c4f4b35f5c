"""What a model says about data, and how right it is."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.engines.plans import Plan, count_over_time
from elman.engines.segments import Between, Segmented
from elman.errors import UsageError, say
from elman.layers import Wrapper, check_carry
from elman.model.data import STEPS_AT_ONCE, DataOptions, at_once, checked_state, own_steps, read_data, read_input
from elman.model.filing import Filing
from elman.model.stream import Stream
from elman.ragged import Ragged
from elman.training import loop, progress
from elman.training.batches import Batch, part_of
from elman.training.checks import check_count

__all__ = ["Prediction"]

State = loop.State


class Prediction(Filing):
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
        return loop.evaluate(self._in_windows("evaluate"), shown, metrics=self.metrics, carries_state=carries)

    def _check_batches(self, batches: loop.Batches, where: str) -> None:
        """Refuse what is no batches, and batches that carry a state through layers that cannot."""
        if not hasattr(batches, "carries_state"):
            cure = f"For x and y call {where}"
            expected = "such as SequenceBatches or StreamBatches"
            got = type(batches).__name__
            raise UsageError(say(f"{where}_batches", "these are no batches", expected=expected, got=got, cure=cure))
        if batches.carries_state:
            check_carry(self.layers, where=where)
        if getattr(batches, "documents", None) is not None:
            for layer in self.layers:
                inner = layer
                while isinstance(inner, Wrapper):
                    inner = inner.layer
                if getattr(inner, "initial_state", "zeros") == "learned":
                    wrong = f"{layer.title} has a learned initial state, and documents begin in the middle of windows"
                    cure = "Take initial_state='zeros', or SequenceBatches with one sequence per document"
                    raise UsageError(say(where, wrong, cure=cure))

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
        engine = self._in_windows("predict")
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

    def _in_windows(self, where: str, between: Between | None = None) -> Segmented:
        """Give the engine, told to run what is long in windows of time, with the same bits, where layers look back."""
        engine = self._engine_for(where)
        n_over_time, gives_rows = count_over_time(self.layers)
        whole = not all(layer.causal for layer in self.layers[:n_over_time])
        if where != "predict" and self.loss is not None and self.loss.targets == "labels":
            whole |= not gives_rows  # that loss needs whole sequences

        def plan(batch: Batch) -> Plan | None:
            n_windows = batch.x.n_steps // STEPS_AT_ONCE
            return None if whole or n_windows < 2 else Plan(n_windows, kept=2)

        return Segmented(engine, plan, between)

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
