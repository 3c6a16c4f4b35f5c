"""The loop: epoch after epoch, with everybody told, and stopped in good order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from elman.errors import DivergedError, UsageError, say
from elman.training.batches import Batch
from elman.training.callbacks import Callback, check_callbacks
from elman.training.checks import check_count
from elman.training.history import History
from elman.training.metrics import Measure, Meter
from elman.training.optimizers import Optimizer
from elman.training.prefetch import in_time
from elman.training.progress import Progress
from elman.training.protocols import Batches, Engine, Model, Observe, State, Watch
from elman.training.run import Breaks, OnNonfinite, Run, Validate
from elman.training.signals import Signals

__all__ = [
    "Batches",
    "Breaks",
    "Engine",
    "Model",
    "Observe",
    "OnNonfinite",
    "State",
    "Watch",
    "check_clip",
    "evaluate",
    "fit",
]


def fit(
    engine: Engine,
    batches: Batches,
    optimizer: Optimizer,
    *,
    epochs: int = 1,
    clip: float | None = None,
    gradient_noise: float = 0.0,
    callbacks: Sequence[Callback] = (),
    validate: Validate | None = None,
    metrics: Sequence[Measure] = (),
    progress: Progress | None = None,
    rng: np.random.Generator | None = None,
    history: History | None = None,
    on_nonfinite: OnNonfinite = "raise",
    model: Model | None = None,
    breaks: Breaks | None = None,
    watch: Watch | None = None,
) -> History:
    """Train for a number of epochs.

    The first SIGINT or SIGTERM lets the batch finish, or go on to the next break if the engine makes
    some: then the batch is given up. `on_interrupt` of the callbacks keeps the work. The second stops at once.

    Args:
        engine: computes loss and gradients.
        batches: every `iter` is one epoch.
        optimizer: takes the steps.
        epochs: how many.
        clip: greatest joint norm of the gradients; None leaves them alone and computes no norm.
        gradient_noise: variance of noise that is added to them before the first step, falling from there; see
            `elman.optimizers.add_gradient_noise`. It is drawn from `rng`; without one there is none.
        callbacks: hear of batches, epochs, the end and interruptions.
        validate: gives figures ("val_loss", …) after each epoch; it is handed a function that says
            whether it should stop early because a signal came.
        metrics: figures to gather beside the loss, from `elman.metrics.get`.
        progress: shows where training is; silent if None.
        rng: given to layers that draw in training.
        history: to be continued; a new one if None.
        on_nonfinite: what to do about a loss or a gradient that is not finite. "raise": put the parameters of the last
            finite epoch back and raise. "skip": take no step on that batch and count it ("skipped" in the history); a
            state that is carried begins anew. "rollback": put the parameters of the last finite epoch back, halve the
            learning rate and begin the epoch again, three times at most ("rollbacks" in the history). Whatever cannot
            be gone on from raises.
        model: what callbacks see as `self.model`, and whose `stop_training` ends training after an epoch.
        breaks: what the engine calls in the middle of a batch, if it does.
        watch: looks at gradients, if anybody does.

    Returns:
        The history: epoch figures are Σ w·l / Σ w over all targets of the epoch.

    Raises:
        DivergedError: if a loss, a norm, a parameter or the validation loss is not finite; the
            parameters are put back to those after the last finite epoch.
        Interrupted: after a first signal.
        UsageError: if epochs, clip or on_nonfinite is out of range.
    """
    check_count("epochs", epochs)
    check_clip(clip)
    callbacks = check_callbacks(callbacks)
    run = Run(
        engine,
        batches,
        optimizer,
        clip=clip,
        gradient_noise=gradient_noise,
        callbacks=callbacks,
        metrics=metrics,
        progress=progress or Progress(),
        rng=rng,
        history=history or History(),
        on_nonfinite=on_nonfinite,
        breaks=breaks,
        watch=watch,
    )
    progress = run.progress
    params = {"epochs": epochs, "steps": len(batches), "clip": clip}
    for callback in callbacks:
        callback.set_params(params)
        if model is not None:
            callback.set_model(model)
    if model is not None:
        model.stop_training = False
    with Signals() as signals:
        try:
            progress.start(epochs=epochs, n_batches=len(batches), n_items=batches.n_items, unit=batches.unit)
            logs: dict[str, float] = {}
            for callback in callbacks:
                callback.on_train_begin({})
            for epoch in range(epochs):
                for callback in callbacks:
                    callback.on_epoch_begin(epoch, {})
                try:
                    logs = run.train(epoch, signals, validate)
                except DivergedError as error:
                    if not run.may_end(error):
                        raise
                    break
                run.stop_if_asked(signals)
                run.history.add_epoch(logs)
                progress.end_epoch(epoch, logs)
                for callback in callbacks:
                    callback.on_epoch_end(epoch, logs)
                run.stop_if_asked(signals)
                if model is not None and model.stop_training:
                    break
            if watch is not None:
                watch.finish()
            for callback in callbacks:
                callback.on_train_end(logs)
        except DivergedError:
            raise
        except Exception as error:
            run.keep_work(None, because=error)
            raise
        finally:
            progress.close()
            run.breaks.listener = None  # which holds the run, and so the model
    run.stop_if_asked(signals)  # a signal that came while the last callbacks ran
    return run.history


def evaluate(
    engine: Engine,
    batches: Iterable[Batch],
    *,
    metrics: Sequence[Measure] = (),
    stopped: Callable[[], bool] | None = None,
    carries_state: bool | None = None,
) -> dict[str, float]:
    """Compute the mean loss over all targets, with the state carried where batches carry it.

    Args:
        engine: computes losses.
        batches: gone through once.
        metrics: figures to gather beside the loss, from `elman.metrics.get`.
        stopped: asked after each batch; the figures so far are returned once it says yes.
        carries_state: whether batches go on from each other; what they say themselves if None.

    Returns:
        "loss", "weight" (Σ w: the number of targets, where none has a weight) and the metrics.
    """
    carries = getattr(batches, "carries_state", True) if carries_state is None else carries_state
    meter = Meter(metrics) if metrics else None
    loss_sum = weight_sum = 0.0
    began: State | None = None
    state: State | None = None
    for batch in in_time(batches):
        if batch.reset_state:
            began = state = None
        began = state if batch.link is None else batch.link.follow(engine, began, state)
        loss, weight, state = engine.loss_only(
            batch,
            state=began,
            observe=meter.observe if meter is not None else None,
            want_state=carries,
        )
        loss_sum += loss * weight
        weight_sum += weight
        if stopped is not None and stopped():
            break
    logs = {"loss": loss_sum / weight_sum if weight_sum else 0.0, "weight": weight_sum}
    return logs | meter.results() if meter is not None else logs


def check_clip(clip: float | None, where: str = "fit") -> None:
    """Refuse a clip that is no finite number above zero.

    Args:
        clip: greatest norm, or None.
        where: who asks, for messages.

    Raises:
        UsageError: naming the value.
    """
    if clip is None:
        return
    if isinstance(clip, bool) or not isinstance(clip, int | float | np.number) or not 0 < clip < math.inf:
        raise UsageError(say(where, "clip is out of range", expected="a number above 0, or None", got=repr(clip)))
