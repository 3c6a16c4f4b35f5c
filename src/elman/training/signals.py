"""Ctrl-C and SIGTERM while training: the first asks for an end, the second is one."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from elman.errors import Interrupted

__all__ = ["Signals"]


class Signals:
    """Turn the first SIGINT or SIGTERM into a request that the loop can read.

    Within the `with` block the first signal sets `received`, so that a batch is finished and work
    is kept; the second raises `Interrupted` on the spot. Handlers are replaced only in the main
    thread (Python allows it nowhere else), only where the default stands (a handler that the
    application installed, or a signal it ignores, is its own affair), and always put back.

    Attributes:
        received: the number of the first signal that came, or None.

    Example:
        >>> with Signals() as signals:
        ...     signals.received is None
        True
    """

    WATCHED = (signal.SIGINT, signal.SIGTERM)

    __slots__ = ("_previous", "received")

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in self.WATCHED:
                handler = signal.getsignal(number)
                if handler in (signal.SIG_DFL, signal.default_int_handler):
                    self._previous[number] = handler
                    signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._previous:
            signal.signal(*self._previous.popitem())

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise Interrupted(number)
        self.received = number
