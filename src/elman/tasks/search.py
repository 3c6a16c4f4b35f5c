"""Many ways to go on with a text, side by side: beam search, and what fits between two texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from elman.model import Sequential
from elman.tasks.units import Units
from elman.training.loop import State

__all__ = ["Beam", "between", "continuation", "log_softmax"]

Array = NDArray[Any]

# Tokens of the text behind a blank that are read: what is farther away says little about the blank.
_REACH = 64


def log_softmax(logits: Array) -> Array:
    """Give log-probabilities of logits (..., V), in float64.

    Args:
        logits: of a model.
    """
    out = np.array(logits, np.float64)
    out -= out.max(axis=-1, keepdims=True)
    out -= np.log(np.exp(out).sum(axis=-1, keepdims=True))
    return out


class Beam(NamedTuple):
    """The most probable ways so far to go on with a text.

    Attributes:
        ids: (K, n) tokens of each way.
        log_p: (K,) log-probability of each, given the text.
        next: (K, V) log-probability of every token after it.
        state: of the model after it.
    """

    ids: Array
    log_p: Array
    next: Array
    state: State

    @classmethod
    def begin(cls, model: Sequential, ids: Array) -> Self:
        """Begin after a text.

        Args:
            model: gives logits.
            ids: (n,) of the text, at least one.
        """
        logits, state = _run(model, np.asarray(ids, np.int64)[None], None)
        return cls(np.zeros((1, 0), np.int64), np.zeros(1), log_softmax(logits[:, -1]), state)

    def longer(
        self, model: Sequential, units: Units, *, width: int, before: Sequence[int], first: Array | None = None
    ) -> Self:
        """Go on by one token, and keep the most probable ways.

        Args:
            model: gives logits.
            units: of its tokens.
            width: how many ways to keep.
            before: the last tokens of the text before.
            first: (V,) which tokens may come first; None for all.
        """
        total = self.log_p[:, None] + self.next
        total[:, units.unwritable] = -np.inf
        if not self.ids.shape[1] and first is not None:
            total[:, ~first] = -np.inf
        for way, ids in enumerate(self.ids.tolist()):
            if (allowed := units.allowed([*before, *ids])) is not None:
                total[way, ~allowed] = -np.inf
        best = np.argsort(-total, axis=None, kind="stable")[: min(width, int(np.isfinite(total).sum()))]
        ways, tokens = np.unravel_index(best, total.shape)
        state = tuple(tuple(part[ways] for part in parts) for parts in self.state)
        logits, state = _run(model, tokens[:, None].astype(np.int64), state)
        ids = np.concatenate([self.ids[ways], tokens[:, None]], axis=1)
        return type(self)(ids, total[ways, tokens], log_softmax(logits[:, -1]), state)

    def then(self, model: Sequential, ids: Array) -> Array:
        """Give the log-probability (K,) of a text after each way, as far as it is read.

        Args:
            model: gives logits.
            ids: (n,) of the text.
        """
        read = np.asarray(ids[:_REACH], np.int64)
        if not len(read):
            return np.zeros(len(self.ids))
        log_p = self.next[:, read[0]].copy()
        if len(read) > 1:
            logits, _ = _run(model, np.tile(read[:-1], (len(self.ids), 1)), self.state)
            log_p += log_softmax(logits)[:, np.arange(len(read) - 1), read[1:]].sum(1)
        return log_p


def continuation(
    model: Sequential, units: Units, ids: Array, *, length: int, width: int, first: Array | None = None
) -> list[int]:
    """Give the most probable continuation that a beam search finds.

    Args:
        model: gives logits.
        units: of its tokens.
        ids: (n,) of the text before, at least one.
        length: of the continuation, in tokens.
        width: how many ways are followed side by side.
        first: (V,) which tokens may come first; None for all.
    """
    before = np.asarray(ids)[-4:].tolist()
    beam = Beam.begin(model, ids)
    for _ in range(length):
        beam = beam.longer(model, units, width=width, before=before, first=first)
    found: list[int] = beam.ids[0].tolist()
    return found


def between(
    model: Sequential, units: Units, left: Array, right: Array, *, longest: int, width: int, first: Array | None = None
) -> list[tuple[list[int], float]]:
    """Say what may stand between two texts, and how probable all of it is together.

    Args:
        model: gives logits.
        units: of its tokens.
        left: (n,) ids of the text before, at least one.
        right: (m,) ids of the text behind.
        longest: tokens between the two at most.
        width: how many ways are followed side by side.
        first: (V,) which tokens may come first; None for all.

    Returns:
        Tokens and log p(tokens, right | left), the most probable first.
    """
    before = np.asarray(left)[-4:].tolist()
    beam = Beam.begin(model, left)
    found: list[tuple[list[int], float]] = []
    for _ in range(longest):
        beam = beam.longer(model, units, width=width, before=before, first=first)
        for ids, log_p in zip(beam.ids.tolist(), (beam.log_p + beam.then(model, right)).tolist(), strict=True):
            allowed = units.allowed([*before, *ids])
            if allowed is None or (allowed[right[0]] if len(right) else units.ends([*before, *ids])):
                found.append((ids, log_p))
    return sorted(found, key=lambda way: -way[1])


def _run(model: Sequential, ids: Array, state: State | None) -> tuple[Array, State]:
    """Give logits (K, n, V) and the last state."""
    out, last = model.predict(ids, state=state, return_state=True, verbose=0)
    return out, last
