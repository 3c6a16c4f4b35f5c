"""The loop: ask the engine for gradients, take the step, keep the record, stop in good order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from elman.errors import DivergedError, Interrupted, UsageError, say
from elman.training.batches import Batch, check_count
from elman.training.callbacks import Callback, check_callbacks
from elman.training.history import History
from elman.training.metrics import Measure, Meter
from elman.training.optimizers import Optimizer, clip_global_norm
from elman.training.parameters import Parameters
from elman.training.progress import Progress
from elman.training.signals import Signals

__all__ = ["Batches", "Engine", "Observe", "State", "check_clip", "evaluate", "fit"]

Array = NDArray[Any]
State = tuple[tuple[Array, ...], ...]
Observe = Callable[[Any, Any, Array | None], None]


class Engine(Protocol):
    """What the loop needs of an engine: see `elman.engines.native.Engine`."""

    @property
    def parameters(self) -> Parameters:
        """The parameters it computes with."""

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


def fit(
    engine: Engine,
    batches: Batches,
    optimizer: Optimizer,
    *,
    epochs: int = 1,
    clip: float | None = None,
    callbacks: Sequence[Callback] = (),
    validate: Callable[[Callable[[], bool]], dict[str, float]] | None = None,
    metrics: Sequence[Measure] = (),
    progress: Progress | None = None,
    rng: np.random.Generator | None = None,
    history: History | None = None,
) -> History:
    """Train for a number of epochs.

    The first SIGINT or SIGTERM lets the batch finish, then `on_interrupt` of the callbacks keeps
    the work; the second stops at once.

    Args:
        engine: computes loss and gradients.
        batches: every `iter` is one epoch.
        optimizer: takes the steps.
        epochs: how many.
        clip: greatest joint norm of the gradients; None leaves them alone and computes no norm.
        callbacks: hear of batches, epochs, the end and interruptions.
        validate: gives figures ("val_loss", …) after each epoch; it is handed a function that says
            whether it should stop early because a signal came.
        metrics: figures to gather beside the loss, from `elman.metrics.get`.
        progress: shows where training is; silent if None.
        rng: given to layers that draw in training.
        history: to be continued; a new one if None.

    Returns:
        The history: epoch figures are Σ w·l / Σ w over all targets of the epoch.

    Raises:
        DivergedError: if a loss, a norm, a parameter or the validation loss is not finite; the
            parameters are put back to those after the last finite epoch.
        Interrupted: after a first signal.
        UsageError: if epochs or clip is out of range.
    """
    check_count("epochs", epochs)
    check_clip(clip)
    callbacks = check_callbacks(callbacks)
    run = _Run(engine, batches, optimizer, clip, callbacks, metrics, progress or Progress(), rng, history or History())
    progress = run.progress
    with Signals() as signals:
        try:
            progress.start(epochs=epochs, n_batches=len(batches), n_items=batches.n_items, unit=batches.unit)
            logs: dict[str, float] = {}
            for callback in callbacks:
                callback.on_train_begin({})
            for epoch in range(epochs):
                logs = run.epoch(epoch, signals)
                progress.end_batches()
                if validate is not None:
                    logs |= validate(lambda: signals.received is not None)
                run.keep_finite(epoch, logs)
                run.stop_if_asked(signals)
                run.history.add_epoch(logs)
                progress.end_epoch(epoch, logs)
                for callback in callbacks:
                    callback.on_epoch_end(epoch, logs)
                run.stop_if_asked(signals)
            for callback in callbacks:
                callback.on_train_end(logs)
        except DivergedError:
            raise
        except Exception as error:
            run.keep_work(None, because=error)
            raise
        finally:
            progress.close()
    run.stop_if_asked(signals)  # a signal that came while the last callbacks ran
    return run.history


class _Run:
    """One call of `fit`: what stays the same over its epochs, and the last finite parameters."""

    def __init__(
        self,
        engine: Engine,
        batches: Batches,
        optimizer: Optimizer,
        clip: float | None,
        callbacks: Sequence[Callback],
        metrics: Sequence[Measure],
        progress: Progress,
        rng: np.random.Generator | None,
        history: History,
    ) -> None:
        self.engine, self.batches, self.optimizer, self.clip = engine, batches, optimizer, clip
        self.callbacks, self.metrics, self.progress, self.rng, self.history = callbacks, metrics, progress, rng, history
        self.batch_hooks = [c.on_batch_end for c in callbacks if _overrides(c, "on_batch_end")]
        self.steps = 0
        self.finite_epochs = 0
        self.finite = engine.parameters.flat.copy()

    def epoch(self, epoch: int, signals: Signals) -> dict[str, float]:
        """Train on every batch once and give the figures of the epoch."""
        # Names looked up once: with one short sequence per batch, these lines are most of the cost.
        loss_and_gradients, step = self.engine.loss_and_gradients, self.optimizer.step
        parameters, clip, rng, progress = self.engine.parameters, self.clip, self.rng, self.progress
        record, batch_hooks, carries = self.history.record_batch, self.batch_hooks, self.batches.carries_state
        is_finite = math.isfinite
        meter = Meter(self.metrics) if self.metrics else None
        observe = meter.observe if meter is not None else None
        loss_sum = weight_sum = 0.0
        norm: float | None = None
        state: State | None = None
        n_done = 0
        for batch in self.batches:
            if batch.reset_state:
                state = None
            loss, weight, state = loss_and_gradients(batch, state=state, rng=rng, observe=observe, want_state=carries)
            if clip is not None:
                norm = clip_global_norm(parameters, clip)
                if not is_finite(norm):
                    raise self.diverged(f"the gradient norm became {norm}", epoch, self.steps + n_done + 1, norm)
            if not is_finite(loss):
                raise self.diverged(f"the loss became {loss}", epoch, self.steps + n_done + 1, norm)
            step(parameters)
            n_done += 1
            loss_sum += loss * weight
            weight_sum += weight
            record(loss)
            if batch_hooks:
                for hook in batch_hooks:
                    hook(n_done - 1, {"loss": loss})
            if signals.received is not None:
                self.stop_if_asked(signals)
            if perf_counter() >= progress.due:
                progress.update(epoch, n_done, loss_sum / weight_sum if weight_sum else 0.0)
        self.steps += n_done
        if not np.isfinite(parameters.flat).all():
            raise self.diverged("a parameter became infinite or NaN", epoch, self.steps, norm)
        logs = {"loss": loss_sum / weight_sum if weight_sum else 0.0}
        return logs | meter.results() if meter is not None else logs

    def keep_finite(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Take the parameters of an epoch as the last good ones, unless its validation says otherwise.

        Finite parameters may still be so large that outputs are not; only the loss tells, as an
        accuracy over nothing is NaN in good order.
        """
        loss = logs.get("val_loss", 0.0)
        if not math.isfinite(loss):
            raise self.diverged(f"the validation loss became {loss}", epoch, self.steps, None)
        np.copyto(self.finite, self.engine.parameters.flat)
        self.finite_epochs = epoch + 1

    def diverged(self, what: str, epoch: int, step: int, norm: float | None) -> DivergedError:
        """Put the last finite parameters back and give the error that says so."""
        parameters = self.engine.parameters
        np.copyto(parameters.flat, self.finite)
        parameters.clock.ticks += 1
        self.optimizer.reset()  # its moments may hold what made the loss infinite
        losses = self.history.batches
        finite = losses[np.isfinite(losses)]
        last = f"the last finite loss was {finite[-1]:.6g}" if len(finite) else "no loss was finite"
        gradient = f", the gradient norm {norm:.6g}" if norm is not None and math.isfinite(norm) else ""
        kept = f"after epoch {self.finite_epochs}" if self.finite_epochs else "before training"
        cure = f"The parameters are again those {kept}. Lower learning_rate (it is {self.optimizer.learning_rate:g})"
        cure += " or give clip=1.0" if self.clip is None else f" or clip (it is {self.clip:g})"
        error = DivergedError(
            say(
                "fit",
                f"{what} at step {step:,} (epoch {epoch + 1}); {last}{gradient}",
                expected="finite numbers",
                cure=cure,
            )
        )
        error.step, error.norm = step, norm
        return error

    def stop_if_asked(self, signals: Signals) -> None:
        """Keep the work and raise `Interrupted` if a signal came."""
        if signals.received is not None:
            self.keep_work(signals.received)
            raise Interrupted(signals.received)

    def keep_work(self, signum: int | None, because: BaseException | None = None) -> None:
        """Call `on_interrupt` of all callbacks; a failure here never hides what stopped the training."""
        for callback in self.callbacks:
            try:
                callback.on_interrupt(signum)
            except Exception as error:
                if because is None:
                    raise
                because.add_note(f"While the work was to be kept: {type(error).__name__}: {error}")


def evaluate(
    engine: Engine,
    batches: Iterable[Batch],
    *,
    metrics: Sequence[Measure] = (),
    stopped: Callable[[], bool] | None = None,
) -> dict[str, float]:
    """Compute the mean loss over all targets, with the state carried where batches carry it.

    Args:
        engine: computes losses.
        batches: gone through once.
        metrics: figures to gather beside the loss, from `elman.metrics.get`.
        stopped: asked after each batch; the figures so far are returned once it says yes.

    Returns:
        "loss", "weight" (Σ w: the number of targets, where none has a weight) and the metrics.
    """
    carries = getattr(batches, "carries_state", True)
    meter = Meter(metrics) if metrics else None
    loss_sum = weight_sum = 0.0
    state: State | None = None
    for batch in batches:
        loss, weight, state = engine.loss_only(
            batch,
            state=None if batch.reset_state else state,
            observe=meter.observe if meter is not None else None,
            want_state=carries,
        )
        loss_sum += loss * weight
        weight_sum += weight
        if stopped is not None and stopped():
            break
    logs = {"loss": loss_sum / weight_sum if weight_sum else 0.0, "weight": weight_sum}
    return logs | meter.results() if meter is not None else logs


def check_clip(clip: float | None) -> None:
    """Refuse a clip that is no finite number above zero.

    Raises:
        UsageError: naming the value.
    """
    if clip is None:
        return
    if isinstance(clip, bool) or not isinstance(clip, int | float | np.number) or not 0 < clip < math.inf:
        raise UsageError(say("fit", "clip is out of range", expected="a number above 0, or None", got=repr(clip)))


def _overrides(callback: Callback, hook: str) -> bool:
    """Say whether a callback does something in this hook."""
    return getattr(type(callback), hook, None) is not getattr(Callback, hook)
