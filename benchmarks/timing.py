"""Time several ways of doing the same thing, in turns."""

import gc
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

# OpenMP's workers keep spinning for some milliseconds after a call; whoever comes next must not pay for that.
SETTLE_SECONDS = 0.02


class Timing(NamedTuple):
    """Seconds per call in every round; those of one round were measured side by side.

    A shared machine can be twice as slow for half a minute. So what is compared is compared round by round.
    """

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median over the rounds."""
        return float(np.median(self.rounds))

    @property
    def spread(self) -> float:
        """Half the width of the middle half of the rounds, relative to the median."""
        low, high = np.percentile(self.rounds, (25, 75))
        return float(high - low) / 2 / self.median

    def over(self, other: "Timing") -> float:
        """Return how many times as long as the other this takes: the median over the rounds."""
        return float(np.median(np.divide(self.rounds, other.rounds)))

    def as_dict(self) -> dict[str, float]:
        """Give the figures for JSON."""
        return {"median_us": round(self.median * 1e6, 2), "spread": round(self.spread, 4)}


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
    return {name: Timing(tuple(values)) for name, values in samples.items()}
