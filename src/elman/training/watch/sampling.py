"""How often training is looked at, so that looking takes no more than its share of the time."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

__all__ = ["SHARE", "Sampling"]

#: Of the time of training, at most so much goes into samples. Asking after every step whether one is due, and caches
#: that hold a sample's arrays after it, come on top: a tenth is what all of it may take.
SHARE = 0.05

# What a sample is taken to cost: the dearest so far, of which a part is forgotten with every sample.
_REMEMBERED = 0.8


@functools.cache
def _blas() -> ThreadpoolController:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


class Sampling:
    """Say after which steps a sample is due, by what the samples before have cost.

    The first step is always looked at, so that the shortest training is seen. From then on a sample is due when all of
    them, the next one included, take no more than their share of the time trained so far.

    Args:
        share: of the time of training, above 0.
        clock: gives the time in seconds.

    Attributes:
        trained: seconds of training so far, samples not counted.
        spent: seconds of samples.
        taken: how many samples there were.

    Example:
        >>> now = 0.0
        >>> sampling = Sampling(0.1, clock=lambda: now)
        >>> sampled = []
        >>> for step in range(100):
        ...     now += 1.0  # a step of training
        ...     if sampling.due():
        ...         with sampling.taking():
        ...             now += 2.0
        ...         sampled.append(step)
        >>> sampled
        [0, 39, 59, 79, 99]
    """

    def __init__(self, share: float = SHARE, clock: Callable[[], float] = time.perf_counter) -> None:
        self.share, self.clock = share, clock
        self.trained = self.spent = self._dear = 0.0
        self.taken = 0
        self.begin()

    def begin(self) -> None:
        """Begin to count the time of training, which does not run on between two epochs."""
        self._mark = self.clock()

    def due(self) -> bool:
        """Say, after a step, whether this one is to be looked at."""
        now = self.clock()
        self.trained += now - self._mark
        self._mark = now
        return not self.taken or self.spent + self._dear <= self.share * self.trained

    @contextlib.contextmanager
    def taking(self) -> Iterator[None]:
        """Count the time of the block as that of a sample, and let NumPy's products run on one thread."""
        began = self.clock()
        try:
            # OpenBLAS's other threads look for work for milliseconds after every product, on the cores that the
            # next step of training needs: on two cores a fifth more time for 2x128 units, counted nowhere.
            with _blas().limit(limits=1, user_api="blas"):
                yield
        finally:
            self._mark = self.clock()
            cost = self._mark - began
            self.spent += cost
            self._dear = max(cost, _REMEMBERED * self._dear)
            self.taken += 1
