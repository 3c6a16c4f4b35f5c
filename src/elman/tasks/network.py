"""What a task is inside: a bare network, and data as that takes them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.model import Sequential
from elman.ragged import Ragged

__all__ = ["NetworkData", "choose", "without_first"]


class NetworkData(NamedTuple):
    """A network and data that it takes; see `Task.to_network`.

    Attributes:
        model: built and compiled.
        x: sequences: values (N, F), or token ids (N,).
        y: targets as `model.fit` takes them, or None.
        steps: (N,) what every step is called, such as a character or a word; None for numbers.
        outputs: what every output of the network stands for, such as a class; None for numbers.
        sample: which part of the data this is, in words.
        remark: what else should be known of it, in a sentence; "" if nothing.
    """

    model: Sequential
    x: Ragged
    y: Any
    steps: list[str] | None
    outputs: list[str] | None
    sample: str
    remark: str = ""


def choose(lengths: NDArray[np.int64], steps: int | None) -> NDArray[np.int64]:
    """Choose sequences, spread evenly, that have about so many steps together.

    Args:
        lengths: of all of them, (B,).
        steps: how many; None takes all sequences.

    Returns:
        Indices, ascending; of sequences that have steps. At least one, where there is one.

    Example:
        >>> choose(np.array([10, 0, 10, 10, 10]), 20).tolist()
        [0, 4]
    """
    there = np.flatnonzero(lengths > 0)
    total = int(lengths.sum())
    if steps is None or total <= steps:
        return there
    count = max(1, int(len(there) * steps / total))
    return there[np.unique(np.linspace(0, len(there) - 1, count).round().astype(np.int64))]


def without_first(model: Sequential) -> Sequential:
    """Give a network of the same layers but the first, which takes what that one gives.

    Args:
        model: built and compiled, of layers that differ.
    """
    first, *others = model.layers
    rest = Sequential([layer.unbound() for layer in others], dtype=model.dtype)
    rest.compile("sgd", model.loss)
    size = first.output_size(model.input_size or 1)
    rest.build(size, ids=False)
    rest.set_weights({n: w for n, w in model.named_weights().items() if not n.startswith(f"{first.name}.")})
    return rest
