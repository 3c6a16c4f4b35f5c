"""The words for saying no: every error of the library and the grammar of its messages.

Each class derives from `ElmanError` and from the built-in exception that people already catch,
and carries the exit code which the command line returns for it.

Example:
    >>> from elman.errors import DataError, say
    >>> raise DataError(say("LSTM 'encoder'", "x has 3 features", expected=4, got="shape (2, 5, 3)"))
    Traceback (most recent call last):
        ...
    elman.errors.DataError: LSTM 'encoder': x has 3 features, expected 4, got shape (2, 5, 3).
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AccuracyError",
    "DataError",
    "DataTypeError",
    "DivergedError",
    "ElmanError",
    "Interrupted",
    "MissingFileError",
    "ModelFileError",
    "NotFittedError",
    "NotNeededError",
    "ResourceError",
    "SaveError",
    "UsageError",
    "say",
]


class ElmanError(Exception):
    """Base of all errors of the library; `exit_code` is what a command returns for it."""

    exit_code: int = 1


class UsageError(ElmanError, ValueError):
    """An argument or a combination of arguments that cannot be used."""

    exit_code = 2


class MissingFileError(UsageError, FileNotFoundError):
    """A file was named that is not there."""


class NotFittedError(ElmanError, ValueError, AttributeError):
    """A model was asked for answers before it was fitted or built."""

    exit_code = 2


class NotNeededError(ElmanError, ImportError):
    """A name of another library that has no counterpart here; the message says what is done instead.

    It is an ImportError, because `from … import …` shows the message of nothing else.
    """

    exit_code = 2


class AccuracyError(UsageError):
    """A model would lose more by what was asked for than the bound allows.

    Attributes:
        report: what was measured, an `elman.model.Quantization`.
    """

    report: Any = None


class DataError(ElmanError, ValueError):
    """Data whose shape or values cannot be used."""

    exit_code = 3


class DataTypeError(ElmanError, TypeError):
    """Data of a kind that is never accepted: complex numbers, dates, text where numbers belong."""

    exit_code = 3


class ModelFileError(ElmanError, ValueError):
    """A file that is not a whole, sane model file."""

    exit_code = 4


class DivergedError(ElmanError, FloatingPointError):
    """Training met a loss or a gradient that is not finite.

    Attributes:
        step: the number of the batch, counted from 1 over all epochs; None outside of `fit`.
        norm: of the gradient, if it is known.
    """

    exit_code = 5
    step: int | None = None
    norm: float | None = None


class ResourceError(ElmanError, MemoryError):
    """Something needs more memory or room than there is."""

    exit_code = 6


class SaveError(ElmanError, OSError):
    """A file could not be written; what stood there before is untouched."""

    exit_code = 6


class Interrupted(KeyboardInterrupt):
    """Training was stopped by a signal, after its batch was finished and its work kept.

    Attributes:
        signum: the signal's number; the exit code is 128 + signum, as shells have it.
    """

    def __init__(self, signum: int, *args: object) -> None:
        super().__init__(*(args or (f"interrupted by signal {int(signum)}",)))
        self.signum = int(signum)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.signum, *self.args)

    @property
    def exit_code(self) -> int:
        """The code a command returns: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signum


def say(where: str, wrong: str, *, expected: object = None, got: object = None, cure: str | None = None) -> str:
    """Build a message: where, what is wrong, expected, got, cure.

    Args:
        where: who speaks, such as "LSTM 'encoder'" or "fit".
        wrong: what is wrong, as a clause without a full stop.
        expected: what would have been accepted.
        got: what came.
        cure: a whole sentence naming the likely next step; its full stop may be left out.

    Returns:
        "where: wrong, expected …, got …. Cure."

    Example:
        >>> say("fit", "x and y differ in length", expected="3 targets", got=2, cure="Give one target per sequence")
        'fit: x and y differ in length, expected 3 targets, got 2. Give one target per sequence.'
    """
    sentence = f"{where}: {wrong}"
    if expected is not None:
        sentence += f", expected {expected}"
    if got is not None:
        sentence += f", got {got}"
    sentence += "."
    if cure:
        sentence += " " + cure
        if sentence[-1] not in ".!?":
            sentence += "."
    return sentence
