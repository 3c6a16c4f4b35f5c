"""How much memory a step of training may take, and how a batch is cut so that it does."""

from __future__ import annotations

import math
import re
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.engines.plans import FORWARD_SHARE, Plan, count_over_time, steps_ahead
from elman.errors import ResourceError, UsageError, say
from elman.layers import check_carry, check_stack
from elman.model.foundation import Foundation
from elman.model.memory import batch_bytes
from elman.training.batches import Batch

__all__ = ["Budget", "MemoryBudget", "read_bytes"]

#: Bytes, or a text such as "1GiB".
MemoryBudget = int | float | str

_UNITS = {"": 1, "b": 1} | {
    prefix + unit: base**power
    for power, prefix in enumerate("kmgt", start=1)
    for unit, base in (("", 1000), ("b", 1000), ("ib", 1024))
}

# Beside what is counted: allocators round up, and losses in NumPy take a few copies of their rows.
_ROOM = 0.9


def read_bytes(value: object, where: str = "fit") -> int:
    """Give the number of bytes that a budget is.

    Args:
        value: bytes, or a number and a unit: "512MB" (powers of 1000) or "1GiB" (of 1024).
        where: who asks, for messages.

    Raises:
        UsageError: if it is neither, or not above zero.

    Example:
        >>> read_bytes("1GiB"), read_bytes("1.5 MB"), read_bytes(4096), read_bytes(1e9)
        (1073741824, 1500000, 4096, 1000000000)
    """
    found: float = 0
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", value.lower())
        if match and match[2] in _UNITS:
            found = float(match[1]) * _UNITS[match[2]]
    elif isinstance(value, float | np.floating):
        found = int(value) if float(value).is_integer() else 0  # 1e9 is a whole number, as it is written
    elif isinstance(value, int | np.integer) and not isinstance(value, bool):
        found = int(value)
    if found < 1:
        expected = "bytes, or a text such as '1GiB' or '500MB'"
        raise UsageError(say(where, "memory_budget is no amount of memory", expected=expected, got=repr(value)))
    return int(found)


class Budget:
    """What a step of training may hold: activations, their gradients and states, beside the weights and the data.

    Args:
        model: built or not; its layers, loss and dtype are read.
        value: what the user gave.
        input_size: features that come in, or the number of token ids.
        ids: whether token ids come in.
        where: who asks, for messages.

    Attributes:
        n_bytes: of the budget.

    Raises:
        UsageError: if the value is no amount of memory.

    Example:
        >>> from elman import Ragged, Sequential, layers
        >>> model = Sequential([layers.LSTM(128), layers.Dense(2)])
        >>> budget = Budget(model, "64MiB", input_size=16)
        >>> budget.plan(Batch(Ragged(np.zeros((100_000, 16), "f4"), [100_000]), np.zeros(1), None, True)).n_segments
        9
    """

    def __init__(
        self, model: Foundation, value: MemoryBudget, *, input_size: int, ids: bool = False, where: str = "fit"
    ) -> None:
        self.n_bytes, self.where = read_bytes(value, where), where
        self.layers, self.loss = model.layers, model.loss
        n_over_time, self._gives_rows = count_over_time(model.layers)
        self._over_time = model.layers[:n_over_time]
        itemsize = model.dtype.itemsize
        self._size = {"input_size": input_size, "itemsize": itemsize}
        self._row = batch_bytes(self._over_time, n_steps=1, **self._size)
        self._state = sum(sum(layer.state_sizes()) for layer in self._over_time) * itemsize
        # Windows of several sequences are copies of rows of x and y, made with places and weights.
        n_outputs = check_stack(self._over_time, input_size=input_size, ids=ids).size
        self._copied = 8 * (4 + (1 if ids else input_size) + n_outputs)
        self._planned: tuple[tuple[int, ...], Plan | None] = ((), None)

    def plan(self, batch: Batch) -> Plan | None:
        """Say how a batch is cut, or None where it fits as it is.

        Args:
            batch: of training.

        Raises:
            UsageError: if it has to be cut, and a layer or the loss needs whole sequences.
            ResourceError: if no way of cutting it fits.
        """
        return self.plan_for(batch.x.lengths)

    def plan_for(self, lengths: NDArray[np.int64]) -> Plan | None:
        """Say how a batch of these lengths is cut; see `plan`.

        Args:
            lengths: (B,) of its sequences.

        Raises:
            UsageError, ResourceError: as `plan` does.
        """
        key = int(lengths.sum()), len(lengths), int(lengths.max(initial=0))
        if self._planned[0] != key:  # most batches are like the one before
            self._planned = key, self._plan(*key)
        return self._planned[1]

    def _plan(self, n_steps: int, n_sequences: int, longest: int) -> Plan | None:
        room = int(self.n_bytes * _ROOM)
        whole = batch_bytes(self.layers, n_steps=n_steps, n_sequences=n_sequences, **self._size)
        if whole <= room or longest < 2:
            return None
        self._check_layers()
        after = batch_bytes(self.layers, n_steps=0, n_sequences=n_sequences, **self._size)
        row = self._row + (self._copied if n_sequences > 1 else 0)
        state, least = self._state * n_sequences, math.inf
        for levels in range(1, max(longest.bit_length(), 1) + 1):
            kept = 2
            while True:  # more states leave less room for a segment, and shorter segments need more states
                fixed = after + (levels * kept + 3) * state
                rows = (room - fixed) // row
                n_segments = longest if rows < 2 * n_sequences else -(-n_steps // (rows - n_sequences))
                n_segments = min(n_segments, longest)
                needed = max(2, _root(n_segments, levels))
                if rows < n_sequences or needed <= kept:
                    break
                kept = needed
            if rows >= n_sequences:
                return Plan(n_segments, kept)
            fewest = max(2, _root(longest, levels))
            least = min(least, after + (levels * fewest + 3) * state + n_sequences * row)
        wrong = f"a batch of {n_steps:,} steps does not fit into memory_budget, even step by step"
        cure = "Raise it, or take a smaller batch_size"
        raise ResourceError(
            say(self.where, wrong, expected=f"at least {least / _ROOM:,.0f} bytes", got=f"{self.n_bytes:,}", cure=cure)
        )

    def _check_layers(self) -> None:
        """Refuse layers and losses that need whole sequences."""
        where = f"{self.where}, memory_budget"
        check_carry(self._over_time, where=where)
        if self.loss is not None and self.loss.targets == "labels" and not self._gives_rows:
            wrong = f"loss '{self.loss.name}' needs whole sequences, and a batch does not fit as it is"
            raise UsageError(say(where, wrong, cure="Raise it, or take a smaller batch_size"))

    def check(self, batches: Any, *, quiet: bool) -> None:
        """Say how the largest batch is run and what that costs, where it does not fit as it is.

        Args:
            batches: those that know the lengths in their `largest` batch; of others nothing is known before they come.
            quiet: print nothing.

        Raises:
            UsageError, ResourceError: as `plan` does.
        """
        lengths = getattr(batches, "largest", None)
        if lengths is None:
            return
        n_steps = int(lengths.sum())
        plan = self.plan_for(lengths)
        if plan is not None and not quiet:
            segment = -(-n_steps // plan.n_segments)
            extra = 100 * FORWARD_SHARE * steps_ahead(*plan) / plan.n_segments
            print(
                f"fit: batches of up to {n_steps:,} steps run in segments of {segment:,} steps: "
                f"about {extra:.0f} % more time.",
                file=sys.stderr,
            )


def _root(number: int, degree: int) -> int:
    """Give the least integer whose power of this degree reaches a number."""
    root = max(1, int(math.pow(number, 1 / degree)) - 1)
    while root**degree < number:
        root += 1
    return root
