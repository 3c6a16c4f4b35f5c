"""Functions in the place of a class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elman.errors import UsageError, say
from elman.training.callbacks.base import HOOKS, Callback

__all__ = ["LambdaCallback"]


class LambdaCallback(Callback):
    """Listen with functions.

    Args:
        hooks: name of a hook of `Callback` -> a function with its arguments, such as
            `on_epoch_end=lambda epoch, logs: ...`. A hook that is not named costs nothing.

    Raises:
        UsageError: if there is no such hook, or what it is given is no function.

    Example:
        >>> heard = []
        >>> callback = LambdaCallback(on_epoch_end=lambda epoch, logs: heard.append(logs["loss"]))
        >>> callback.on_epoch_end(0, {"loss": 0.5})
        >>> heard
        [0.5]
    """

    def __init__(self, **hooks: Callable[..., Any] | None) -> None:
        for name, function in hooks.items():
            where = type(self).__name__
            if name not in HOOKS:
                raise UsageError(say(where, f"there is no hook '{name}'", expected=f"some of {sorted(HOOKS)}"))
            if function is None:
                continue
            if not callable(function):
                raise UsageError(say(where, f"{name} is no function", got=repr(function)))
            setattr(self, name, function)
