"""Time several ways of doing the same thing, in turns."""

import gc
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import numpy as np

# Workers of other libraries spin on after a call: OpenMP's for some milliseconds, ONNX Runtime's for 50, which
# made whoever came next up to four times as slow. So everybody rests until the process does, a tenth of a core at most.
SETTLE_SECONDS = 0.01
LONGEST_REST_SECONDS = 0.4
BUSY_SHARE = 0.1
# Who takes this many times as long as the fastest of the others decides nothing, and is measured in a few rounds only.
FAR_BEHIND = 4.0
FEW_ROUNDS = 3
# How long a rest must be is not known before, so a comparison may take so much longer than planned.
LONGEST_OVER = 1.5
# Whoever was before has left its arrays in the caches; a call that takes longer than this does not notice.
LONG_SECONDS = 0.01


class Contestant(Protocol):
    """Something that can be timed."""

    def __call__(self) -> object:
        """Do the work once."""

    def seconds(self, calls: int) -> float:
        """Do the work so many times in a row; return the seconds per call."""


class Local:
    """Work that is done in this process."""

    def __init__(self, function: Callable[[], object]) -> None:
        self.function = function

    def __call__(self) -> object:
        return self.function()

    def seconds(self, calls: int) -> float:
        """Time so many calls in a row."""
        function = self.function
        start = time.perf_counter()
        for _ in range(calls):
            function()
        return (time.perf_counter() - start) / calls


class Budget(NamedTuple):
    """How much time a comparison may take.

    Attributes:
        seconds: for all rounds together.
        slice_seconds: how long one timing lasts; short calls are repeated to fill it.
        rounds: at most.
        settle: seconds of rest before each timing.
    """

    seconds: float = 3.0
    slice_seconds: float = 0.02
    rounds: int = 15
    settle: float = SETTLE_SECONDS


class Timing(NamedTuple):
    """Seconds per call in every round, nan where it was not its turn; those of one round were measured side by side.

    A shared machine can be twice as slow for half a minute. So what is compared is compared round by round.
    """

    rounds: tuple[float, ...]
    calls: int = 1

    @property
    def median(self) -> float:
        """The median over the rounds."""
        return float(np.nanmedian(self.rounds))

    @property
    def quartiles(self) -> tuple[float, float]:
        """Between which the middle half of the rounds lies."""
        low, high = np.nanpercentile(self.rounds, (25, 75))
        return float(low), float(high)

    @property
    def spread(self) -> float:
        """Half the width of the middle half of the rounds, relative to the median."""
        low, high = self.quartiles
        return (high - low) / 2 / self.median

    def over(self, other: "Timing") -> float:
        """Return how many times as long as the other this takes: the median over the rounds that both have."""
        return float(np.nanmedian(np.divide(self.rounds, other.rounds)))

    def per(self, units: float) -> "Timing":
        """Give the timing of one of so many equal parts of the work."""
        return Timing(tuple(t / units for t in self.rounds), self.calls)

    def as_dict(self) -> dict[str, float]:
        """Give the figures for JSON."""
        return {"median_us": round(self.median * 1e6, 2), "spread": round(self.spread, 4)}


def rest(least: float) -> None:
    """Sleep so many seconds, and on until no thread of this process works any more."""
    time.sleep(least)
    nap = max(least, 1e-3)  # waking up takes some microseconds itself
    end = time.perf_counter() + LONGEST_REST_SECONDS
    while time.perf_counter() < end:
        before = time.process_time()
        time.sleep(nap)
        if time.process_time() - before <= BUSY_SHARE * nap:
            return


def in_turns(calls: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, Timing]:
    """Time plain calls in so many rounds of a tenth of a second each."""
    budget = Budget(seconds=np.inf, slice_seconds=0.1, rounds=rounds)
    return alternate({name: Local(call) for name, call in calls.items()}, budget)


def alternate(contestants: Mapping[str, Contestant], budget: Budget) -> dict[str, Timing]:
    """Time each contestant in turns, so that a slow moment of the machine hits all alike.

    Args:
        contestants: name -> work.
        budget: how long all of it may take; three rounds there are in any case.

    Returns:
        name -> seconds per call.
    """
    guess = {}
    for name, contestant in contestants.items():
        contestant()
        guess[name] = max(contestant.seconds(1), 1e-7)
    calls = {name: max(1, int(budget.slice_seconds / each)) for name, each in guess.items()}
    price = {name: budget.settle + each * (calls[name] + (each < LONG_SECONDS)) for name, each in guess.items()}
    rivals = [each for name, each in guess.items() if not name.startswith(("elman", "peak"))]
    limit = FAR_BEHIND * min(rivals, default=np.inf)
    far = {name for name, each in guess.items() if each > limit and not name.startswith(("elman", "peak"))}
    left = budget.seconds - FEW_ROUNDS * sum(price[name] for name in far)
    near = sum(price[name] for name in contestants if name not in far)
    rounds = int(np.clip(left / near, FEW_ROUNDS, max(budget.rounds, FEW_ROUNDS)))
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    gc.collect()
    gc.disable()
    end = time.perf_counter() + LONGEST_OVER * budget.seconds
    try:
        for turn in range(rounds):
            if turn >= FEW_ROUNDS and time.perf_counter() > end:
                break
            names = list(contestants)
            for name in names if turn % 2 == 0 else reversed(names):
                if name in far and turn >= FEW_ROUNDS:
                    samples[name].append(np.nan)
                    continue
                rest(budget.settle)
                if guess[name] < LONG_SECONDS:
                    contestants[name]()
                samples[name].append(contestants[name].seconds(calls[name]))
    finally:
        gc.enable()
    return {name: Timing(tuple(values), calls[name]) for name, values in samples.items()}
