"""One run of training: its batches one by one, its last finite parameters, and its end in good order."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter
from typing import Any, Literal, get_args

import numpy as np

from elman.errors import DivergedError, Interrupted, UsageError, say
from elman.training.callbacks import Callback, overridden
from elman.training.history import History
from elman.training.metrics import Measure, Meter
from elman.training.optimizers import Optimizer, add_gradient_noise, clip_global_norm
from elman.training.prefetch import in_time
from elman.training.progress import Progress
from elman.training.protocols import Batches, Engine, State, Watch
from elman.training.signals import Signals
from elman.training.step_figures import StepFigures

__all__ = ["MAX_ROLLBACKS", "Breaks", "OnNonfinite", "Run", "Validate", "check_on_nonfinite"]

OnNonfinite = Literal["raise", "skip", "rollback"]
Validate = Callable[[Callable[[], bool]], dict[str, float]]

#: How often one `fit` goes back before it gives up: a rate that is eight times too high is found by then.
MAX_ROLLBACKS = 3


class Breaks:
    """Where an engine that takes long over a batch lets the training look up.

    The engine calls it in the middle of a batch with the share [0, 1) that is done. What it raises ends the batch: its
    step of training is not taken then.

    Attributes:
        listener: hears of it; None before training.
    """

    def __init__(self) -> None:
        self.listener: Callable[[float], None] | None = None

    def __call__(self, share: float) -> None:
        """Say how much of the batch is done.

        Args:
            share: in [0, 1).
        """
        if self.listener is not None:
            self.listener(share)


class Run:
    """One call of `fit`: what stays the same over its epochs, and the last finite parameters.

    Args:
        engine: computes loss and gradients.
        batches: every `iter` is one epoch.
        optimizer: takes the steps.
        clip: greatest joint norm of the gradients, or None.
        gradient_noise: variance of the noise on them; see `add_gradient_noise`.
        callbacks: hear of everything.
        metrics: figures to gather beside the loss.
        progress: shows where training is.
        rng: given to layers that draw in training.
        history: takes down what is measured.
        on_nonfinite: what to do about a loss or a gradient that is not finite; see `fit`.
        breaks: called by the engine in the middle of a batch; None if it never is.
        watch: looks at gradients, if anybody does.

    Raises:
        UsageError: if on_nonfinite is unknown, or would lower a rate that a schedule gives.
    """

    def __init__(
        self,
        engine: Engine,
        batches: Batches,
        optimizer: Optimizer,
        *,
        clip: float | None,
        gradient_noise: float = 0.0,
        callbacks: Sequence[Callback],
        metrics: Sequence[Measure],
        progress: Progress,
        rng: np.random.Generator | None,
        history: History,
        on_nonfinite: OnNonfinite,
        breaks: Breaks | None = None,
        watch: Watch | None = None,
    ) -> None:
        check_on_nonfinite(on_nonfinite, optimizer, callbacks)
        self.engine, self.batches, self.optimizer, self.clip = engine, batches, optimizer, clip
        self.callbacks, self.metrics, self.progress, self.rng, self.history = callbacks, metrics, progress, rng, history
        self.gradient_noise = gradient_noise
        self.on_nonfinite, self.breaks, self.watch = on_nonfinite, breaks or Breaks(), watch
        # The name of this library first, then Keras's longer one for the same thing.
        self.begin_hooks = [*overridden(callbacks, "on_batch_begin"), *overridden(callbacks, "on_train_batch_begin")]
        self.end_hooks = [*overridden(callbacks, "on_batch_end"), *overridden(callbacks, "on_train_batch_end")]
        self.shows_rate = on_nonfinite == "rollback" or any(c.changes_learning_rate for c in callbacks)
        self.steps = self.rollbacks = 0
        self.has_stepped = False
        self.finite_epochs, self.warned = 0, False
        self.finite = engine.parameters.flat.copy()
        self.figures = StepFigures(history, engine.parameters, optimizer, len(batches))

    def train(self, epoch: int, signals: Signals, validate: Validate | None) -> dict[str, float]:
        """Give the figures of an epoch that ends with finite parameters, however often it has to be begun.

        Args:
            epoch: index from 0.
            signals: ask for an end.
            validate: gives figures after the batches, unless a signal stops it.

        Raises:
            DivergedError: if it is not to be gone on; the parameters are those of the last finite epoch.
        """
        rollbacks = 0
        while True:
            try:
                logs = self._batches(epoch, signals)
                self.progress.end_batches()
                self.breaks.listener = lambda _: self.stop_if_asked(signals)
                if validate is not None:
                    logs |= validate(lambda: signals.received is not None)
                self._keep_finite(epoch, logs)
            except DivergedError as error:
                if self.on_nonfinite != "rollback" or self.rollbacks == MAX_ROLLBACKS:
                    raise
                self.rollbacks += 1
                rollbacks += 1
                self.optimizer.learning_rate = rate = self.optimizer.learning_rate / 2
                again = f"Going on with half the learning rate, {rate:g} ({self.rollbacks} of {MAX_ROLLBACKS} times)"
                warnings.warn(f"{error} {again}.", RuntimeWarning, stacklevel=4)
                self.stop_if_asked(signals)
                continue
            if self.on_nonfinite == "rollback":
                logs["rollbacks"] = float(rollbacks)
            if self.shows_rate or self.optimizer.schedule is not None:
                logs["learning_rate"] = self.optimizer.learning_rate
            return logs

    def _batches(self, epoch: int, signals: Signals) -> dict[str, float]:
        """Train on every batch once and give the figures."""
        # Names looked up once: with one short sequence per batch, these lines are most of the cost.
        loss_and_gradients, step = self.engine.loss_and_gradients, self.optimizer.step
        parameters, clip, rng, progress = self.engine.parameters, self.clip, self.rng, self.progress
        record, carries, is_finite = self.history.record_batch, self.batches.carries_state, math.isfinite
        begin_hooks, end_hooks = self.begin_hooks, self.end_hooks
        meter = Meter(self.metrics) if self.metrics else None
        observe = meter.observe if meter is not None else None
        watch, sampled = self.watch, False
        if watch is not None:
            watch.begin()
        skips = self.on_nonfinite == "skip"
        counted: list[Any] = []
        # A loss may be finite where its gradient is not; only where something is done about it is that worth a look.
        limit = math.inf if clip is None and self.on_nonfinite != "raise" else clip
        loss_sum = weight_sum = 0.0
        norm: float | None = None
        figures, n_taken = self.figures, self.history.n_batches
        began: State | None = None
        state: State | None = None
        n_done = n_skipped = 0

        def show(share: float) -> None:
            """Show where training is, with so much of the next batch done."""
            rate = None if self.optimizer.schedule is None else self.optimizer.learning_rate
            mean = loss_sum / weight_sum if weight_sum else 0.0
            progress.update(epoch, n_done + share, mean if n_done else None, rate)

        def look_up(share: float) -> None:
            if signals.received is not None:
                self.stop_if_asked(signals)
            if n_done + share and perf_counter() >= progress.due:
                show(share)

        self.breaks.listener = look_up
        for batch in in_time(self.batches):
            if begin_hooks:
                for hook in begin_hooks:
                    hook(n_done, {})
            if skips and meter is not None:
                counted = meter.sums()
            if batch.reset_state:
                began = state = None
            began = state if batch.link is None else batch.link.follow(self.engine, began, state, rng=rng)
            loss, weight, state = loss_and_gradients(batch, state=began, rng=rng, observe=observe, want_state=carries)
            if watch is not None and (sampled := is_finite(loss) and watch.after(batch, began)):
                progress.notes = watch.lines
            if limit is not None:
                norm = clip_global_norm(parameters, limit)
            finite = is_finite(loss) and (norm is None or is_finite(norm))
            if finite:
                if self.gradient_noise and rng is not None:
                    add_gradient_noise(parameters, rng, variance=self.gradient_noise, step=self.optimizer.steps)
                if n_taken < figures.due:
                    step(parameters)
                else:
                    figures.step(step, norm)
                n_taken += 1
                self.has_stepped = True
                loss_sum += loss * weight
                weight_sum += weight
                record(loss)
            elif skips:
                if meter is not None:
                    meter.go_back(counted)  # only batches that count are counted
                n_skipped += 1
                began = state = None  # where this batch ended may be no number either
                self._warn_of_skipping(loss, norm, epoch, n_done + 1)
            else:
                what = f"the loss became {loss}" if not is_finite(loss) else f"the gradient norm became {norm}"
                raise self._diverged(what, epoch, self.steps + n_done + 1, norm)
            n_done += 1
            if end_hooks:
                for hook in end_hooks:
                    hook(n_done - 1, {"loss": loss} | (watch.figures if watch is not None and sampled else {}))
            if signals.received is not None:
                self.stop_if_asked(signals)
            if perf_counter() >= progress.due:
                show(0.0)
        self.steps += n_done
        if n_skipped and n_skipped == n_done:
            raise self._diverged("no batch had a finite loss and gradient", epoch, self.steps, norm)
        if not np.isfinite(parameters.flat).all():
            raise self._diverged("a parameter became infinite or NaN", epoch, self.steps, norm)
        logs = {"loss": loss_sum / weight_sum if weight_sum else 0.0}
        if meter is not None:
            logs |= meter.results()
        if skips:
            logs["skipped"] = float(n_skipped)
        return logs if watch is None else logs | watch.epoch()

    def _keep_finite(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Take the parameters of an epoch as the last good ones, unless its validation says otherwise.

        Finite parameters may still be so large that outputs are not; only the loss tells, as an
        accuracy over nothing is NaN in good order.
        """
        loss = logs.get("val_loss", 0.0)
        if not math.isfinite(loss):
            raise self._diverged(f"the validation loss became {loss}", epoch, self.steps, None)
        np.copyto(self.finite, self.engine.parameters.flat)
        self.finite_epochs = epoch + 1

    def _diverged(self, what: str, epoch: int, step: int, norm: float | None) -> DivergedError:
        """Put the last finite parameters back and give the error that says so."""
        parameters = self.engine.parameters
        np.copyto(parameters.flat, self.finite)
        parameters.clock.ticks += 1
        rate = self.optimizer.learning_rate  # before a schedule begins anew
        self.optimizer.reset()  # its moments may hold what made the loss infinite
        losses = self.history.batches
        finite = losses[np.isfinite(losses)]
        last = f"the last finite loss was {finite[-1]:.6g}" if len(finite) else "no loss was finite"
        gradient = f", the gradient norm {norm:.6g}" if norm is not None and math.isfinite(norm) else ""
        kept = f"after epoch {self.finite_epochs}" if self.finite_epochs else "before training"
        cure = f"The parameters are again those {kept}. Lower learning_rate (it is {rate:g})"
        cure += " or give clip=1.0" if self.clip is None else f" or clip (it is {self.clip:g})"
        wrong = f"{what} at step {step:,} (epoch {epoch + 1}); {last}{gradient}"
        error = DivergedError(say("fit", wrong, expected="finite numbers", cure=cure))
        error.step, error.norm = step, norm
        return error

    def _warn_of_skipping(self, loss: float, norm: float | None, epoch: int, batch: int) -> None:
        """Say once that batches are left out; the history counts them."""
        if not self.warned:
            self.warned = True
            what = f"its loss is {loss}" if not math.isfinite(loss) else f"its gradient norm is {norm}"
            text = (
                f"fit: batch {batch} of epoch {epoch + 1} is left out, {what}; history['skipped'] counts such batches."
            )
            warnings.warn(text, RuntimeWarning, stacklevel=6)

    def may_end(self, error: DivergedError) -> bool:
        """Ask the callbacks whether training shall end here without an error."""
        answers = [callback.on_diverged(error) for callback in self.callbacks]  # all of them hear of it
        return any(answers)

    def stop_if_asked(self, signals: Signals) -> None:
        """Keep the work and raise `Interrupted` if a signal came."""
        if signals.received is not None:
            self.keep_work(signals.received)
            raise Interrupted(signals.received)

    def keep_work(self, signum: int | None, because: BaseException | None = None) -> None:
        """Call `on_interrupt` of all callbacks; a failure here never hides what stopped the training.

        Before the first step there is no work, and a file that is there may hold that of a better run.
        """
        if not self.has_stepped:
            return
        for callback in self.callbacks:
            try:
                callback.on_interrupt(signum)
            except Exception as error:
                if because is None:
                    raise
                because.add_note(f"While the work was to be kept: {type(error).__name__}: {error}")


def check_on_nonfinite(on_nonfinite: object, optimizer: Optimizer, callbacks: Iterable[Callback]) -> None:
    """Refuse what is no way of dealing with numbers that are not finite.

    Args:
        on_nonfinite: what a user gave.
        optimizer: of the run.
        callbacks: of the run.

    Raises:
        UsageError: naming the value, or what gives the rate that would have to be halved.
    """
    if on_nonfinite not in get_args(OnNonfinite):
        expected = "one of " + ", ".join(map(repr, get_args(OnNonfinite)))
        raise UsageError(say("fit", "on_nonfinite is not accepted", expected=expected, got=repr(on_nonfinite)))
    if on_nonfinite == "rollback" and optimizer.schedule is not None:
        wrong = "on_nonfinite='rollback' halves the learning rate, which follows a schedule"
        cure = "Give the optimizer a number, or take on_nonfinite='skip'"
        raise UsageError(say("fit", wrong, got=repr(optimizer.schedule), cure=cure))
    setters = [type(callback).__name__ for callback in callbacks if callback.sets_learning_rate]
    if on_nonfinite == "rollback" and setters:
        wrong = "on_nonfinite='rollback' halves the learning rate, which a callback sets anew in every epoch"
        cure = "Take ReduceLROnPlateau, which goes on from the halved rate, or on_nonfinite='skip'"
        raise UsageError(say("fit", wrong, got=setters[0], cure=cure))
