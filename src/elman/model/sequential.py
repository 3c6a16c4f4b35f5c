"""Layers one after another, with the habits of Keras."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import DivergedError, UsageError, say
from elman.model.data import Data, at_once, checked_state, read_data, read_input, split
from elman.model.foundation import Foundation
from elman.model.memory import check_memory
from elman.ragged import Ragged
from elman.training import loop, progress
from elman.training.batches import Batch, check_count, part_of
from elman.training.callbacks import Callback, check_callbacks
from elman.training.history import History
from elman.training.optimizers import clip_global_norm
from elman.training.seeds import Seed, spawn

__all__ = ["Sequential"]

Array = NDArray[Any]
State = loop.State


class Sequential(Foundation):
    """A stack of layers that can be trained, asked, looked at and saved.

    Sequences may have any lengths: x is (batch, steps, features) numbers, (batch, steps) token ids, a
    list of arrays of different lengths, or a `Ragged`. Sizes are found in the first data.

    Args:
        layers: from input to output; one may stand twice and shares its weights then.
        dtype: "float32" or "float64", of parameters and arithmetic.
        name: for `summary` and the file.

    Attributes:
        layers: as given, all named.
        optimizer: from `compile`, or None.
        parameters: once built; the flat arrays that layers have views of.
        history: of the last `fit`, or None.

    Raises:
        UsageError: if there is no layer, or two share a name, or dtype is another.

    Example:
        >>> import numpy as np
        >>> from elman import layers
        >>> rng = np.random.default_rng(0)
        >>> x = rng.integers(0, 2, (64, 12, 1))
        >>> model = Sequential([layers.GRU(8), layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> history = model.fit(x, x.mean((1, 2)), epochs=3, verbose=0, rng=0)
        >>> model.predict(x).shape
        (64, 1)
    """

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        batch_size: int = 32,
        epochs: int = 1,
        validation_split: float = 0.0,
        validation_data: Sequence[Any] | None = None,
        shuffle: bool = True,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        lengths: ArrayLike | None = None,
        callbacks: Sequence[Callback] | None = None,
        verbose: progress.Verbose = "auto",
        rng: Seed = None,
        history: History | None = None,
    ) -> History:
        """Train.

        Args:
            x: sequences.
            y: targets, one per step or one per sequence as the last layer gives.
            batch_size: sequences per step of training.
            epochs: how often to go through the data.
            validation_split: the share at the end of the data that is kept for validation.
            validation_data: (x, y) or (x, y, sample_weight).
            shuffle: whether every epoch has its own order.
            sample_weight: (batch,), or one per step.
            class_weight: class -> weight.
            lengths: (batch,) how many steps count, if x is padded.
            callbacks: hear of batches, epochs and interruptions.
            verbose: 0 silent, "auto" or 1 progress, 2 one line per epoch.
            rng: one seed for first weights, order and dropout.
            history: to be continued; a new one if None.

        Returns:
            The history of losses and metrics.

        Raises:
            DataError: if the data does not fit; the model is as it was.
            UsageError: if the model is not compiled, or an argument is out of range.
            ResourceError: if a batch needs more memory than the machine has.
            DivergedError: if a loss is not finite; the parameters are those of the last finite epoch.
            Interrupted: after Ctrl-C or SIGTERM, when the batch is finished and callbacks have kept the work.
        """
        self._compiled("fit")
        check_count("epochs", epochs)
        check_count("batch_size", batch_size)
        _check_history(history)
        seeds, callbacks, shown = spawn(rng), check_callbacks(callbacks), progress.make(verbose)
        data = read_data(
            self, x, y, where="fit", lengths=lengths, sample_weight=sample_weight, class_weight=class_weight
        )
        held_out: Data | None = None
        if validation_data is not None:
            if not isinstance(validation_data, list | tuple) or len(validation_data) not in (2, 3):
                raise UsageError(
                    say(
                        "fit",
                        "validation_data is no (x, y) or (x, y, sample_weight)",
                        got=type(validation_data).__name__,
                    )
                )
            held_out = read_data(
                self,
                *validation_data[:2],
                where="fit, validation_data",
                sample_weight=validation_data[2] if len(validation_data) == 3 else None,
                like=data,
            )
        elif validation_split:
            data, held_out = split(data, validation_split)
        check_memory(
            self.layers,
            input_size=data.input_size,
            lengths=data.x.lengths,
            batch_size=batch_size,
            itemsize=self.dtype.itemsize,
            quiet=verbose == 0,
        )
        if not self.built:
            self._build(data.input_size, data.ids, seeds.init)
        return self.fit_batches(
            data.batches(batch_size, seeds.shuffle if shuffle else None),
            epochs=epochs,
            validation=None if held_out is None else held_out.batches(None),
            callbacks=callbacks,
            verbose=shown,
            rng=seeds.dropout,
            history=history,
        )

    def fit_batches(
        self,
        batches: loop.Batches,
        *,
        epochs: int = 1,
        validation: loop.Batches | None = None,
        callbacks: Sequence[Callback] | None = None,
        verbose: progress.Verbose = "auto",
        rng: Seed = None,
        history: History | None = None,
    ) -> History:
        """Train on ready batches, such as `StreamBatches`; the model must be built.

        Args:
            batches: every `iter` is one epoch.
            epochs: how many.
            validation: evaluated after each epoch.
            callbacks: hear of batches, epochs and interruptions.
            verbose: 0 silent, "auto" or 1 progress, 2 one line per epoch.
            rng: a seed (its child for dropout is used), or a Generator to draw from.
            history: to be continued; a new one if None.

        Returns:
            The history of losses and metrics.

        Raises:
            UsageError, DivergedError, Interrupted: as in `fit`.
        """
        optimizer = self._compiled("fit")
        engine = self._engine_for("fit")
        check_count("epochs", epochs)
        _check_history(history)
        callbacks, shown = check_callbacks(callbacks), progress.make(verbose)
        draws = rng if isinstance(rng, np.random.Generator) else spawn(rng).dropout

        def validate(stopped: Any) -> dict[str, float]:
            figures = loop.evaluate(engine, validation or (), metrics=self.metrics, stopped=stopped)
            return {f"val_{name}": value for name, value in figures.items() if name != "weight"}

        self.history = History() if history is None else history
        return loop.fit(
            engine,
            batches,
            optimizer,
            epochs=epochs,
            clip=self.clip,
            callbacks=callbacks,
            validate=None if validation is None else validate,
            metrics=self.metrics,
            progress=shown,
            rng=draws,
            history=self.history,
        )

    def evaluate(
        self,
        x: Any,
        y: Any,
        *,
        batch_size: int | None = None,
        sample_weight: Any = None,
        lengths: ArrayLike | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """Compute the mean loss over all targets.

        Args:
            x: sequences.
            y: targets.
            batch_size: sequences at once; chosen for speed if None.
            sample_weight: (batch,), or one per step.
            lengths: (batch,) how many steps count, if x is padded.
            return_dict: whether figures come by name.

        Returns:
            The loss; [loss, accuracy] where the model has that metric; a dict if asked.

        Raises:
            NotFittedError: if the model is not built.
            DataError: if the data does not fit.
        """
        self._compiled("evaluate")
        self._engine_for("evaluate")
        data = read_data(self, x, y, where="evaluate", lengths=lengths, sample_weight=sample_weight)
        figures = self.evaluate_batches(data.batches(batch_size))
        del figures["weight"]
        if return_dict:
            return figures
        return figures["loss"] if len(figures) == 1 else list(figures.values())

    def evaluate_batches(self, batches: loop.Batches) -> dict[str, float]:
        """Compute the mean loss over ready batches, carrying the state where they do.

        Args:
            batches: gone through once.

        Returns:
            "loss", "weight" (the sum of the weights of all targets) and the metrics.
        """
        self._compiled("evaluate")
        return loop.evaluate(self._engine_for("evaluate"), batches, metrics=self.metrics)

    def predict(
        self,
        x: Any,
        *,
        batch_size: int | None = None,
        state: State | None = None,
        return_state: bool = False,
        lengths: ArrayLike | None = None,
    ) -> Any:
        """Give what the last layer gives.

        Args:
            x: sequences.
            batch_size: sequences at once; chosen for speed if None.
            state: where every layer begins: a tuple over the layers, as `return_state` gave it.
            return_state: whether the last state is wanted as well.
            lengths: (batch,) how many steps count, if x is padded.

        Returns:
            One output per step in the form of x (array, list or Ragged), or an array (batch, outputs);
            with `return_state` a pair of that and the state.

        Raises:
            NotFittedError: if the model is not built.
            DataError: if x does not fit.
        """
        engine = self._engine_for("predict")
        batch, restore = read_input(self, x, where="predict", lengths=lengths)
        if state is not None:
            state = checked_state(self.layers, state, n_sequences=len(batch), dtype=self.dtype, where="predict")
        if batch_size is not None:
            check_count("batch_size", batch_size)
        size = at_once(batch) if batch_size is None else int(batch_size)
        outs: list[Any] = []
        lasts: list[State] = []
        for start in range(0, len(batch), size):
            stop = min(start + size, len(batch))
            begin = None if state is None else tuple(tuple(part[start:stop] for part in parts) for parts in state)
            out, last = engine.forward(part_of(batch, start, stop), state=begin)
            outs.append(out.values if isinstance(out, Ragged) else out)
            lasts.append(last)
        rows = outs[0] if len(outs) == 1 else np.concatenate(outs)
        given = restore(batch.with_values(rows) if isinstance(out, Ragged) else rows)
        if not return_state:
            return given
        joined = tuple(
            tuple(np.concatenate(parts) for parts in zip(*layer, strict=True)) for layer in zip(*lasts, strict=True)
        )
        return given, joined

    def step(self, x: ArrayLike, state: State | None = None) -> tuple[Array, State]:
        """Run one sequence on from a state and give the last output: what sampling does.

        Args:
            x: (steps,) token ids or (steps, features) numbers, at least one step.
            state: as the step before gave it; zeros if None.

        Returns:
            The output of the last step (K,), and the state.

        Raises:
            NotFittedError: if the model is not built.
            DataError: if x does not fit.
        """
        engine = self._engine_for("step")
        batch, _ = read_input(self, np.asarray(x)[None], where="step")
        if batch.n_steps == 0:
            raise UsageError(say("step", "x has no steps", expected="at least one"))
        if state is not None:
            state = checked_state(self.layers, state, n_sequences=1, dtype=self.dtype, where="step")
        out, last = engine.forward(batch, state=state)
        return (out.values[-1] if isinstance(out, Ragged) else out[-1]), last

    def train_on_batch(
        self, x: Any, y: Any, *, sample_weight: Any = None, class_weight: Mapping[int, float] | None = None
    ) -> float:
        """Take one step of training.

        Args:
            x: sequences.
            y: targets.
            sample_weight: (batch,), or one per step.
            class_weight: class -> weight.

        Returns:
            The loss before the step.

        Raises:
            DivergedError: if loss or gradient norm is not finite; no step is taken.
        """
        optimizer = self._compiled("train_on_batch")
        data = read_data(self, x, y, where="train_on_batch", sample_weight=sample_weight, class_weight=class_weight)
        if not self.built:
            self._build(data.input_size, data.ids, spawn(None).init)
        engine = self._engine_for("train_on_batch")
        loss, _, _ = engine.loss_and_gradients(Batch(data.x, data.target, data.weights, True), want_state=False)
        norm = 0.0 if self.clip is None else clip_global_norm(self.parameters, self.clip)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise DivergedError(
                say("train_on_batch", f"the loss is {loss}, the gradient norm {norm}", expected="finite numbers")
            )
        optimizer.step(self.parameters)
        return loss

    def gradients(
        self, x: Any, y: Any, *, state: State | None = None, sample_weight: Any = None, lengths: ArrayLike | None = None
    ) -> tuple[float, dict[str, Array], State]:
        """Compute the loss and its gradient, for a training loop of your own.

        Args:
            x: sequences.
            y: targets.
            state: where every layer begins; zeros if None.
            sample_weight: (batch,), or one per step.
            lengths: (batch,) how many steps count, if x is padded.

        Returns:
            The mean loss; "<layer>.<parameter>" -> gradient; the last state.

        Raises:
            NotFittedError: if the model is not built.
            DataError: if the data does not fit.
        """
        self._compiled("gradients")
        engine = self._engine_for("gradients")
        data = read_data(self, x, y, where="gradients", lengths=lengths, sample_weight=sample_weight)
        if state is not None:
            state = checked_state(self.layers, state, n_sequences=len(data.x), dtype=self.dtype, where="gradients")
        loss, _, last = engine.loss_and_gradients(Batch(data.x, data.target, data.weights, True), state=state)
        return loss, {name: view.copy() for name, view in self.parameters.named_grads().items()}, last or ()


def _check_history(history: History | None) -> None:
    """Refuse what cannot be continued."""
    if history is not None and not isinstance(history, History):
        expected = "what an earlier fit gave, or None"
        raise UsageError(say("fit", "history is no History", expected=expected, got=repr(history)))
