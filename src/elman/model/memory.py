"""How much memory a batch of training holds, said before it is taken."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elman.errors import ResourceError, say
from elman.layers import Layer

__all__ = ["batch_bytes", "check_memory", "machine_bytes", "walk"]

# From here on it is worth a line: a whole gigabyte for one batch.
_WORTH_SAYING = 2**30


def batch_bytes(
    layers: Sequence[Layer], *, input_size: int, n_steps: int, itemsize: int, n_sequences: int | None = None
) -> int:
    """Estimate the bytes that forward and backward hold for a batch, the weights not counted.

    Args:
        layers: of the model.
        input_size: features that come in, or the number of token ids.
        n_steps: sum of the lengths of the batch's sequences.
        itemsize: bytes of a number.
        n_sequences: how many sequences these are; needed to count layers that work on one row per sequence as such,
            or make steps of their own.

    Example:
        >>> from elman import layers
        >>> batch_bytes([layers.LSTM(256)], input_size=64, n_steps=100_000, itemsize=4)
        1049600000
    """
    walked = walk(layers, input_size=input_size, n_steps=n_steps, n_sequences=n_sequences)
    return sum(rows * layer.kept_per_step(size) for layer, size, rows in walked) * itemsize


def walk(
    layers: Sequence[Layer], *, input_size: int, n_steps: int, n_sequences: int | None
) -> Iterator[tuple[Layer, int, int]]:
    """Go through layers with what comes into each: how many features, and how many rows.

    Args:
        layers: of the model.
        input_size: features that come in, or the number of token ids.
        n_steps: rows that come in.
        n_sequences: how many sequences they are; None takes all layers to see every step.
    """
    rows, size, sequences = n_steps, input_size, True
    for layer in layers:
        yield layer, size, rows
        size, sequences = layer.output_size(size), layer.gives_sequences(sequences)
        if n_sequences is not None:
            if not sequences:
                rows = n_sequences
            elif layer.makes_steps is not None:
                rows = n_sequences * layer.makes_steps


@functools.cache  # asked by every fit, and read from a file
def machine_bytes() -> int:
    """Give the memory that this process may fill: the machine's, or what its container allows."""
    limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 2**63
    with contextlib.suppress(OSError, ValueError):  # "max" where the container sets none
        limit = min(limit, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return limit


def check_memory(
    layers: Sequence[Layer],
    *,
    input_size: int,
    lengths: NDArray[np.int64],
    batch_size: int,
    itemsize: int,
    quiet: bool,
    most: int | None = None,
    cure: str = "Take a smaller batch_size, or give a memory_budget",
) -> None:
    """Say what the largest batch will hold where it is much, and refuse what the machine does not have.

    Args:
        layers: of the model.
        input_size: as for `batch_bytes`.
        lengths: (n,) of all sequences.
        batch_size: sequences per batch, of the longest.
        itemsize: bytes of a number.
        quiet: print nothing.
        most: sequences per batch of the shortest, where they may be more: what layers make of each is the same.
        cure: what the user can do about it.

    Raises:
        ResourceError: if the batch needs more than the whole machine; nothing has been allocated.
    """
    in_order, limit = np.sort(lengths), machine_bytes()
    need = n_steps = 0
    for batch in (in_order[-batch_size:], in_order[: most or batch_size]):
        steps = int(batch.sum())
        held = batch_bytes(layers, input_size=input_size, n_steps=steps, itemsize=itemsize, n_sequences=len(batch))
        if held > need:
            need, n_steps = held, steps
    if need > limit:
        wrong = f"a batch of {n_steps:,} steps needs {need / 1e9:.1f} GB"
        raise ResourceError(say("fit", wrong, expected=f"at most the {limit / 1e9:.1f} GB of this machine", cure=cure))
    if need >= _WORTH_SAYING and not quiet:
        print(f"fit: a batch of {n_steps:,} steps holds about {need / 1e9:.1f} GB. {cure}.", file=sys.stderr)
