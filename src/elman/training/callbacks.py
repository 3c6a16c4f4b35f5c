"""What a training loop tells those who listen, under Keras's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from elman.errors import UsageError, say

__all__ = ["Callback", "check_callbacks"]


class Callback:
    """Base of everything that listens to training; override what you need.

    An exception raised in a hook ends training: `on_interrupt` of all callbacks runs, then the
    exception goes on to the caller of `fit` with its own traceback.

    Example:
        >>> class Print(Callback):
        ...     def on_epoch_end(self, epoch, logs):
        ...         print(epoch, logs["loss"])
    """

    def on_train_begin(self, logs: Mapping[str, float]) -> None:
        """Hear that training starts.

        Args:
            logs: empty.
        """

    def on_batch_end(self, batch: int, logs: Mapping[str, float]) -> None:
        """Hear that a batch has been trained on; costs nothing where it is not overridden.

        Args:
            batch: index within the epoch, from 0.
            logs: "loss" of this batch.
        """

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Hear that an epoch is finished and its parameters are finite.

        Args:
            epoch: index from 0.
            logs: "loss", metric names, and the same with "val_" before them.
        """

    def on_train_end(self, logs: Mapping[str, float]) -> None:
        """Hear that all epochs are finished.

        Args:
            logs: those of the last epoch.
        """

    def on_interrupt(self, signum: int | None) -> None:
        """Keep the work: training stops between two batches, with whole, finite parameters.

        Args:
            signum: the signal that asked for it; None if an exception did.
        """


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
            expected = "a subclass of elman.training.Callback"
            raise UsageError(say("fit", f"callbacks[{index}] is no callback", expected=expected, got=repr(callback)))
    return given
