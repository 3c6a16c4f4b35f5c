"""What a training loop tells those who listen, under Keras's names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from elman.errors import DivergedError, UsageError, say

if TYPE_CHECKING:
    from elman.training.protocols import Model

__all__ = ["HOOKS", "Callback", "Logs", "check_callbacks", "overridden"]

Logs = Mapping[str, float]


class Callback:
    """Base of everything that listens to training; override what you need.

    An exception raised in a hook ends training: `on_interrupt` of all callbacks runs, then the
    exception goes on to the caller of `fit` with its own traceback. One that comes before the first step
    of this `fit` leaves nothing to keep, so `on_interrupt` does not run then.

    Attributes:
        model: what is trained; set by `fit`. `self.model.stop_training = True` ends training after the epoch.
        params: "epochs", "steps" (batches per epoch) and "clip" of this `fit`.

    Example:
        >>> class Print(Callback):
        ...     def on_epoch_end(self, epoch, logs):
        ...         print(epoch, logs["loss"])
    """

    changes_learning_rate: ClassVar[bool] = False  #: whether the learning rate is worth a column of the history
    sets_learning_rate: ClassVar[bool] = False  #: whether it gives the rate of every epoch, whatever that was before

    model: Model
    params: dict[str, Any]

    def set_model(self, model: Model) -> None:
        """Take the model that is trained; called by `fit`.

        Args:
            model: that `fit` was called on.
        """
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Take what is known of the run; called by `fit`.

        Args:
            params: "epochs", "steps" and "clip".
        """
        self.params = params

    def listens_to(self, hook: str) -> bool:
        """Say whether something is done in a hook; one that nobody listens to costs nothing in batches.

        Args:
            hook: of HOOKS.
        """
        return hook in vars(self) or getattr(type(self), hook) is not getattr(Callback, hook)

    def on_train_begin(self, logs: Logs) -> None:
        """Hear that training starts.

        Args:
            logs: empty.
        """

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Hear that an epoch starts.

        Args:
            epoch: index from 0.
            logs: empty.
        """

    def on_batch_begin(self, batch: int, logs: Logs) -> None:
        """Hear that a batch comes; costs nothing where it is not overridden.

        Args:
            batch: index within the epoch, from 0.
            logs: empty.
        """

    def on_batch_end(self, batch: int, logs: Logs) -> None:
        """Hear that a batch has been trained on; costs nothing where it is not overridden.

        Args:
            batch: index within the epoch, from 0.
            logs: "loss" of this batch.
        """

    def on_train_batch_begin(self, batch: int, logs: Logs) -> None:
        """Hear what `on_batch_begin` hears, under Keras's longer name."""

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """Hear what `on_batch_end` hears, under Keras's longer name."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Hear that an epoch is finished and its parameters are finite.

        Args:
            epoch: index from 0.
            logs: "loss", metric names, the same with "val_" before them, and "learning_rate" where it changes.
        """

    def on_train_end(self, logs: Logs) -> None:
        """Hear that all epochs are finished, or that training was stopped in good order.

        Args:
            logs: those of the last epoch.
        """

    def on_interrupt(self, signum: int | None) -> None:
        """Keep the work: training stops after at least one step, between two batches.

        After a signal the parameters are whole and the last loss was finite; after an exception they
        may hold anything, so who saves them looks at them first.

        Args:
            signum: the signal that asked for it; None if an exception did.
        """

    def on_diverged(self, error: DivergedError) -> bool:
        """Hear that training cannot go on; the parameters are those of the last finite epoch again.

        Args:
            error: what `fit` will raise.

        Returns:
            Whether training shall end in good order instead, with `on_train_end` and without the error.
        """
        return False


#: Every hook that a function can be given for.
HOOKS = (
    "on_train_begin",
    "on_epoch_begin",
    "on_batch_begin",
    "on_train_batch_begin",
    "on_batch_end",
    "on_train_batch_end",
    "on_epoch_end",
    "on_train_end",
    "on_interrupt",
    "on_diverged",
)


def overridden(callbacks: Iterable[Callback], hook: str) -> list[Callable[..., Any]]:
    """Give the hook of every callback that does something in it.

    Args:
        callbacks: any number of them.
        hook: of HOOKS.
    """
    return [getattr(callback, hook) for callback in callbacks if callback.listens_to(hook)]


def check_callbacks(callbacks: Sequence[Callback] | None) -> tuple[Callback, ...]:
    """Give callbacks as a tuple.

    Args:
        callbacks: any number of them, or None.

    Raises:
        UsageError: if one is no Callback.
    """
    if isinstance(callbacks, Callback):
        raise UsageError(say("fit", "callbacks is a single one", expected="a list", cure="Write callbacks=[callback]"))
    given = tuple(callbacks or ())
    for index, callback in enumerate(given):
        if not isinstance(callback, Callback):
            expected = "an object of a subclass of elman.callbacks.Callback"
            cure = f"Write {callback.__name__}()" if isinstance(callback, type) else None
            wrong = f"callbacks[{index}] is no callback"
            raise UsageError(say("fit", wrong, expected=expected, got=repr(callback), cure=cure))
    return given
