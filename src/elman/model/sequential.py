"""Layers one after another, with the habits of Keras."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.engines.segments import Between, Segmented
from elman.errors import DivergedError, UsageError, say
from elman.layers import check_carry, check_stack
from elman.model.budget import Budget, MemoryBudget
from elman.model.data import Data, DataOptions, checked_state, read_data, split
from elman.model.memory import check_memory
from elman.model.quantizing import Quantizing
from elman.model.watching import GradientWatch
from elman.ragged import Ragged
from elman.training import loop, progress
from elman.training.batches import Batch
from elman.training.callbacks import Callback
from elman.training.course import Course, WatchWhat
from elman.training.history import History
from elman.training.optimizers import add_gradient_noise, clip_global_norm
from elman.training.run import OnNonfinite, check_on_nonfinite
from elman.training.seeds import Seed, spawn
from elman.training.truncation import Truncate, TruncatedBatches, read_truncate

__all__ = ["Sequential"]

Array = NDArray[Any]
State = loop.State


class Sequential(Quantizing):
    """A stack of layers that can be trained, asked, looked at and saved.

    Sequences may have any lengths: x is (batch, steps, features) numbers, (batch, steps) token ids, a
    list of arrays of different lengths, or a `Ragged`. Sizes are found in the first data.

    Args:
        layers: from input to output; one may stand twice and shares its weights then.
        dtype: "float32" or "float64", of parameters and arithmetic.
        precision: what matrix products are made in: the dtype if None; "bfloat16" rounds weights and what they are
            multiplied with to 8 bits of mantissa, in training too. Parameters, states, sums and all else stay float32.
        name: for `summary` and the file.

    Attributes:
        layers: as given, all named.
        precision: as given, or the dtype's name.
        optimizer: from `compile`, or None.
        parameters: once built; the flat arrays that layers have views of.
        history: of the last `fit`, or None.
        stop_training: set to True by a callback, it ends training after the epoch.

    Raises:
        UsageError: if there is no layer, or two share a name, or dtype or precision is another.

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

    stop_training = False

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        batch_size: int | None = None,
        epochs: int = 1,
        validation_split: float = 0.0,
        validation_data: Sequence[Any] | None = None,
        shuffle: bool = True,
        bucket_by_length: bool = False,
        token_budget: int | None = None,
        carry_state: bool = False,
        truncate: Truncate | None = None,
        memory_budget: MemoryBudget | None = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        lengths: ArrayLike | None = None,
        pad_value: float | None = None,
        callbacks: Sequence[Callback] | None = None,
        verbose: progress.Verbose = "auto",
        rng: Seed = None,
        history: History | None = None,
        on_nonfinite: OnNonfinite = "raise",
        watch: WatchWhat | None = None,
    ) -> History:
        """Train.

        Args:
            x: sequences.
            y: targets, one per step or one per sequence as the last layer gives.
            batch_size: sequences per step of training; 32 if None, or any number where there is a token_budget.
            epochs: how often to go through the data.
            validation_split: the share at the end of the data that is kept for validation.
            validation_data: (x, y) or (x, y, sample_weight); lengths are those of the other x, pad_value is for both.
            shuffle: whether every epoch has its own order.
            bucket_by_length: whether sequences of similar lengths come together in a batch.
            token_budget: greatest number of steps in a batch, which then holds as many sequences as go into it.
            carry_state: whether sequence i of a batch goes on where sequence i of the batch before it ended, as Keras's
                stateful layers do: the order is kept, the state begins anew with every epoch, and gradients end at
                the border of a batch (truncated backpropagation through time, Williams & Peng 1990). Validation
                data are gone through likewise.
            truncate: k1, or (k1, k2): walk sequences in windows of k1 steps with an update after each, gradients going
                back through at most k2 >= k1 steps, k1 if not said (truncated backpropagation through time, Williams &
                Peng 1990). With a target per sequence, a window judges the sequences that end in it.
            memory_budget: greatest memory of a step of training beside data and weights, in bytes or as "1GiB". A batch
                that holds more (`explain` says how much) is run in segments of time, with the same gradients and about
                a third more time. Layers have to look back only then.
            sample_weight: (batch,), or one per step.
            class_weight: class -> weight, in training; validation data have none.
            lengths: (batch,) how many steps count, if x is padded.
            pad_value: what stands past the end of short sequences, if x is padded, in place of lengths.
            callbacks: hear of batches, epochs and interruptions.
            verbose: 0 silent, "auto" or 1 progress, 2 one line per epoch.
            rng: one seed for first weights, order and dropout.
            history: to be continued; a new one if None.
            on_nonfinite: what to do about a loss or gradient that is not finite: "raise"; "skip" the batch and count it
                in the history; "rollback" to the last finite epoch with half the learning rate, three times at most.
            watch: "gradients" shows their norm by layer and by lag, and warns in words when they vanish, explode or a
                layer is dead. Progress, history and callbacks such as TensorBoard get the figures, as
                "gradient/<layer>" and "gradient/<layer>/lag_<k>". What is trained stays the same to the bit; of the
                time, samples take a tenth at most.

        Returns:
            The history of losses and metrics.

        Raises:
            DataError: if the data does not fit; the model is as it was.
            UsageError: if the model is not compiled, or an argument is out of range.
            ResourceError: if a batch needs more memory than the machine or memory_budget has.
            DivergedError: if a loss is not finite; the parameters are those of the last finite epoch.
            Interrupted: after Ctrl-C or SIGTERM, when the batch is finished and callbacks have kept the work; a batch
                that is run in segments is given up after the segment.
        """
        self._check_not_rounded("fit")
        optimizer = self._compiled("fit")
        course = Course(
            epochs=epochs,
            callbacks=callbacks,
            verbose=verbose,
            history=history,
            on_nonfinite=on_nonfinite,
            watch=watch,
        )
        check_on_nonfinite(on_nonfinite, optimizer, course.callbacks or ())
        if carry_state:
            check_carry(self.layers, where="fit, carry_state")
        if batch_size is None and token_budget is None:
            batch_size = 32
        seeds = spawn(rng)
        data = read_data(
            self,
            x,
            y,
            where="fit",
            lengths=lengths,
            pad_value=pad_value,
            sample_weight=sample_weight,
            class_weight=class_weight,
        )
        self._check_trainable(data)
        held_out: Data | None = None
        if validation_data is not None:
            if not isinstance(validation_data, list | tuple) or len(validation_data) not in (2, 3):
                wrong = "validation_data is no (x, y) or (x, y, sample_weight)"
                raise UsageError(say("fit", wrong, got=type(validation_data).__name__))
            if lengths is not None and not isinstance(validation_data[0], list | tuple | Ragged):
                cure = "Give its x as a list of arrays or a Ragged, or say pad_value= in place of lengths="
                raise UsageError(say("fit", "lengths says nothing about the x of validation_data", cure=cure))
            held_out = read_data(
                self,
                *validation_data[:2],
                where="fit, validation_data",
                pad_value=pad_value,
                sample_weight=validation_data[2] if len(validation_data) == 3 else None,
                like=data,
            )
        elif validation_split:
            data, held_out = split(data, validation_split)
        batches = data.batches(
            batch_size,
            shuffle=seeds.shuffle if shuffle and not carry_state else None,
            bucket_by_length=bucket_by_length,
            token_budget=token_budget,
            carry_state=carry_state,
        )
        windows = self._truncated(batches, truncate, per_step=data.per_step)
        validation = None
        if held_out is not None:
            carried = {"carry_state": True, "where": "fit, validation"}
            validation = held_out.batches(batch_size, **carried) if carry_state else held_out.batches(None)
        budget = None
        if memory_budget is None:
            check_memory(
                self.layers,
                input_size=data.input_size,
                lengths=data.x.lengths if windows is batches else np.minimum(data.x.lengths, windows.back),
                batch_size=batches.most_sequences,
                most=batches.most_short_sequences,
                itemsize=self.dtype.itemsize,
                quiet=verbose == 0,
            )
        else:
            budget = Budget(self, memory_budget, input_size=data.input_size, ids=data.x.features is None)
            budget.check(windows, quiet=verbose == 0)
        if not self.built:
            self._build(data.input_size, data.ids, seeds.init)
        return self._train(windows, validation, course, seeds.dropout, budget, per_step=data.per_step)

    def fit_batches(
        self,
        batches: loop.Batches,
        *,
        validation: loop.Batches | None = None,
        truncate: Truncate | None = None,
        memory_budget: MemoryBudget | None = None,
        rng: Seed = None,
        **course: Any,
    ) -> History:
        """Train on ready batches, such as `StreamBatches`; the model must be built.

        Args:
            batches: every `iter` is one epoch.
            validation: evaluated after each epoch.
            truncate: as in `fit`.
            memory_budget: as in `fit`.
            rng: a seed (its child for dropout is used), or a Generator to draw from.
            course: epochs, callbacks, verbose, history, on_nonfinite and watch, as in `fit`.

        Returns:
            The history of losses and metrics.

        Raises:
            UsageError, DivergedError, Interrupted: as in `fit`.
        """
        self._check_not_rounded("fit")
        self._compiled("fit")
        self._engine_for("fit")
        for given in (batches,) if validation is None else (batches, validation):
            self._check_batches(given, "fit")
        assert self.input_size is not None, "a model that is built has one"
        ends = check_stack(self.layers, input_size=self.input_size, ids=self._comes_as_ids(self.ids))
        batches = self._truncated(batches, truncate, per_step=ends.sequences)
        draws = rng if isinstance(rng, np.random.Generator) else spawn(rng).dropout
        budget = None
        if memory_budget is not None:
            budget = self._budget(memory_budget, "fit")
            budget.check(batches, quiet=course.get("verbose") == 0)
        return self._train(batches, validation, Course(**course), draws, budget, per_step=ends.sequences)

    def _check_trainable(self, data: Data) -> None:
        """Refuse options that do not go with training on such data, before anything is built."""
        if data.x.features is None:
            self.layers[0].check_ids()

    def _train(
        self,
        batches: loop.Batches,
        validation: loop.Batches | None,
        course: Course,
        rng: np.random.Generator,
        budget: Budget | None,
        *,
        per_step: bool,
    ) -> History:
        """Run the loop for a model that is built."""
        breaks = loop.Breaks()
        engine = self._engine_within(budget, "fit", breaks)
        judge = self._in_windows("fit", breaks) if budget is None else engine

        def validate(stopped: Any) -> dict[str, float]:
            figures = loop.evaluate(judge, validation or (), metrics=self.metrics, stopped=stopped)
            return {f"val_{name}": value for name, value in figures.items() if name != "weight"}

        self.history = History() if course.history is None else course.history
        return loop.fit(
            engine,
            batches,
            self._compiled("fit"),
            epochs=course.epochs,
            clip=self.clip,
            gradient_noise=self.gradient_noise,
            callbacks=course.callbacks or (),
            validate=None if validation is None else validate,
            metrics=self.metrics,
            progress=progress.make(course.verbose),
            rng=rng,
            history=self.history,
            on_nonfinite=course.on_nonfinite,
            model=self,
            breaks=breaks,
            watch=GradientWatch(self, per_step=per_step) if course.watch else None,
        )

    def train_on_batch(
        self,
        x: Any,
        y: Any,
        *,
        memory_budget: MemoryBudget | None = None,
        rng: Seed = None,
        **options: Unpack[DataOptions],
    ) -> float:
        """Take one step of training.

        Args:
            x: sequences.
            y: targets.
            memory_budget: as in `fit`.
            rng: draws first weights and what is dropped: a Generator is drawn on from call to call, a seed gives the
                same at every call; None draws anew.
            options: sample_weight, class_weight, lengths and pad_value, as in `fit`.

        Returns:
            The loss before the step.

        Raises:
            DivergedError: if loss or gradient norm is not finite; no step is taken.
        """
        self._check_not_rounded("train_on_batch")
        optimizer = self._compiled("train_on_batch")
        data = read_data(self, x, y, where="train_on_batch", **options)
        self._check_trainable(data)
        if not self.built:
            self._build(data.input_size, data.ids, spawn(rng).init)
        engine = self._engine_within(memory_budget, "train_on_batch")
        if rng is None:
            rng = self._draws = self._draws or spawn(None).dropout  # kept, as making one costs more than a small step
        draws = rng if isinstance(rng, np.random.Generator) else spawn(rng).dropout
        batch = Batch(data.x, data.target, data.weights, True)
        loss, _, _ = engine.loss_and_gradients(batch, rng=draws, want_state=False)
        norm = clip_global_norm(self.parameters, math.inf if self.clip is None else self.clip)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            wrong = f"the loss is {loss:.6g}, the gradient norm {norm:.6g}"
            cure = "No step was taken. Lower the learning rate of the steps before, or compile with clip=1.0"
            error = DivergedError(say("train_on_batch", wrong, expected="finite numbers", cure=cure))
            error.norm = norm
            raise error
        if self.gradient_noise:
            add_gradient_noise(self.parameters, draws, variance=self.gradient_noise, step=optimizer.steps)
        optimizer.step(self.parameters)
        return loss

    def gradients(
        self,
        x: Any,
        y: Any,
        *,
        state: State | None = None,
        memory_budget: MemoryBudget | None = None,
        rng: Seed = None,
        **options: Unpack[DataOptions],
    ) -> tuple[float, dict[str, Array], State]:
        """Compute the loss and its gradient, for a training loop of your own.

        What comes back are copies; an optimizer's `step(model.parameters)` works on the gradients that the model
        holds, of which `model.parameters.named_grads()` gives views. `compile(clip=)` is left to your loop, too.

        Args:
            x: sequences.
            y: targets.
            state: where every layer begins; zeros if None.
            memory_budget: as in `fit`.
            rng: a seed or Generator that draws what training drops; None drops nothing.
            options: sample_weight, class_weight, lengths and pad_value, as in `fit`.

        Returns:
            The mean loss; "<layer>.<parameter>" -> gradient; the last state.

        Raises:
            NotFittedError: if the model is not built.
            DataError: if the data does not fit.
        """
        self._check_not_rounded("gradients")
        self._compiled("gradients")
        engine = self._engine_within(memory_budget, "gradients")
        data = read_data(self, x, y, where="gradients", **options)
        if state is not None:
            state = checked_state(self.layers, state, n_sequences=len(data.x), dtype=self.dtype, where="gradients")
        draws = rng if rng is None or isinstance(rng, np.random.Generator) else spawn(rng).dropout
        batch = Batch(data.x, data.target, data.weights, True)
        loss, _, last = engine.loss_and_gradients(batch, state=state, rng=draws)
        return loss, {name: view.copy() for name, view in self.parameters.named_grads().items()}, last or ()

    def _truncated(self, batches: Any, truncate: Truncate | None, *, per_step: bool) -> Any:
        """Give batches, or their windows where gradients are truncated."""
        if truncate is None:
            return batches
        steps, back = read_truncate(truncate)
        check_carry(self.layers, where="fit, truncate")
        if self.loss is not None and self.loss.targets == "labels":
            wrong = f"loss '{self.loss.name}' needs whole sequences"
            raise UsageError(say("fit, truncate", wrong, cure="Leave truncate out"))
        return TruncatedBatches(batches, steps=steps, back=back, per_step=per_step)

    def _engine_within(
        self, budget: Budget | MemoryBudget | None, where: str, between: Between | None = None
    ) -> loop.Engine:
        """Give the engine, or one that keeps within a budget."""
        engine = self._engine_for(where)
        if budget is None:
            return engine
        if not isinstance(budget, Budget):
            budget = self._budget(budget, where)
        return Segmented(engine, budget.plan, between)

    def _budget(self, value: MemoryBudget, where: str) -> Budget:
        """Read a memory budget of a model that is built."""
        assert self.input_size is not None, "a model that is built has one"
        return Budget(self, value, input_size=self.input_size, ids=self._comes_as_ids(self.ids), where=where)
