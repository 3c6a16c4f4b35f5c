"""Time several ways of doing the same thing, in turns."""

import gc
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

# OpenMP's workers keep spinning for some milliseconds after a call; whoever comes next must not pay for that.
SETTLE_SECONDS = 0.02


class Timing(NamedTuple):
    """Seconds per call: the median over the rounds and the middle half of them."""

    median: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """Give microseconds, for JSON."""
        return {f"{name}_us": round(value * 1e6, 2) for name, value in self._asdict().items()}


def seconds(function: Callable[[], object], calls: int) -> float:
    """Return the seconds per call of `calls` calls in a row."""
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def alternate(
    contestants: dict[str, Callable[[], object]], *, rounds: int = 11, slice_seconds: float = 0.1
) -> dict[str, Timing]:
    """Time each contestant once per round, in turns, so that a slow moment of the machine hits all alike.

    Args:
        contestants: name -> one call's work.
        rounds: how many times each is timed.
        slice_seconds: how long one timing lasts; short calls are repeated to fill it.

    Returns:
        name -> seconds per call.
    """
    calls = {}
    for name, function in contestants.items():
        function()
        calls[name] = max(1, int(slice_seconds / max(seconds(function, 1), 1e-7)))
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            names = list(contestants)
            for name in names if turn % 2 == 0 else reversed(names):
                time.sleep(SETTLE_SECONDS)
                contestants[name]()  # caches hold the other one's arrays
                samples[name].append(seconds(contestants[name], calls[name]))
    finally:
        gc.enable()
    return {name: Timing(*(float(np.percentile(values, q)) for q in (50, 25, 75))) for name, values in samples.items()}
