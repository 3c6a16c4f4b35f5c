"""Reading what a model with `loss="ctc"` says: the public door of the decoders in `elman.ops.ctc`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import DataError, UsageError, say
from elman.ops import ctc as ops
from elman.ragged import Ragged, as_ragged
from elman.training.metrics.labels import edit_distance

__all__ = ["beam_decode", "greedy_decode", "label_error_rate"]

Ids = NDArray[np.int64]

# How far the probabilities of a step may be from a sum of 1: what float32 makes of thousands of classes.
_ROUNDING = 1e-3


def greedy_decode(outputs: Any, *, lengths: ArrayLike | None = None, blank: int = 0) -> list[Ids]:
    """Read the likeliest class of every step: repeats merged, blanks dropped (Graves et al. 2006).

    Args:
        outputs: what `predict` gave, (B, T, K), a list of (T_i, K) arrays, or a Ragged: logits, or
            probabilities of a model that ends in a softmax; the likeliest class is the same.
        lengths: (B,) how many steps count, if outputs are padded.
        blank: the class that is no label.

    Returns:
        The labels of every sequence.

    Raises:
        DataError, DataTypeError, UsageError: if outputs, lengths or blank do not fit.

    Example:
        >>> import numpy as np
        >>> greedy_decode([np.eye(4)[[0, 3, 3, 0, 3, 1]]])
        [array([3, 3, 1])]
    """
    batch, _ = as_ragged(outputs, where="greedy_decode", dtype=np.float64, lengths=lengths)
    return ops.greedy_decode(batch.values, batch.lengths, blank=blank)


def beam_decode(
    outputs: Any,
    *,
    lengths: ArrayLike | None = None,
    width: int = 32,
    blank: int = 0,
    probabilities: bool | None = None,
) -> list[list[tuple[Ids, float]]]:
    """Find the likeliest readings of every sequence by prefix beam search (Hannun 2014).

    Args:
        outputs: what `predict` gave, (B, T, K), a list of (T_i, K) arrays, or a Ragged. A model that ends in
            `Dense(K)` gives logits; one that ends in `Dense(K, activation="softmax")` gives probabilities.
        lengths: (B,) how many steps count, if outputs are padded.
        width: how many prefixes are followed; the greater, the surer that the first reading is the likeliest.
        blank: the class that is no label.
        probabilities: whether outputs are probabilities rather than logits (or log probabilities, which are
            logits too); None takes logits, and refuses what looks like probabilities.

    Returns:
        For every sequence up to `width` pairs of labels and log probability, the likeliest first.

    Raises:
        DataError, DataTypeError, UsageError: if outputs, lengths, width or blank do not fit.

    Example:
        >>> import numpy as np
        >>> readings = beam_decode([5 * np.eye(4)[[0, 3, 3, 0, 3, 1]]], width=8)
        >>> readings[0][0][0]
        array([3, 3, 1])
        >>> [[(labels, log_probability), _]] = beam_decode([[[0.6, 0.4], [0.6, 0.4]]], probabilities=True)
        >>> labels, round(float(np.exp(log_probability)), 2)
        (array([1]), 0.64)
    """
    batch, _ = as_ragged(outputs, where="beam_decode", dtype=np.float64, lengths=lengths)
    logits = batch.values
    if probabilities is None and len(logits) and logits.ndim == 2 and not _no_probabilities(logits).any():
        cure = "Say probabilities=True for a model that ends in a softmax, or probabilities=False if they are logits"
        wrong = "outputs look like probabilities, all >= 0 and of sum 1 at every step"
        raise UsageError(say("beam_decode", wrong, expected="logits", cure=cure))
    if probabilities:
        logits = _logs(batch)
    return ops.beam_decode(logits, batch.lengths, width=width, blank=blank)


def label_error_rate(read: Iterable[ArrayLike], labels: Iterable[ArrayLike]) -> float:
    """Count the edits that turn what was read into the labels, per label (Levenshtein 1966).

    For words this is called word error rate, for characters character error rate. It is above 1 where more is read
    into sequences than they hold.

    Args:
        read: the labels (M_i,) of every sequence, as `greedy_decode` gives them, or the first of `beam_decode`.
        labels: what they should be, (N_i,) each.

    Raises:
        DataError: if there are not as many of both, or no labels at all.

    Example:
        >>> label_error_rate([[1, 2], [3, 3, 1]], [[1, 2], [3, 1]])
        0.25
    """
    pairs = [np.asarray(ids) for ids in read], [np.asarray(ids) for ids in labels]
    if len(pairs[0]) != len(pairs[1]):
        wrong, expected = "read and labels differ in length", f"{len(pairs[1])} sequences"
        raise DataError(say("label_error_rate", wrong, expected=expected, got=len(pairs[0])))
    total = sum(len(ids) for ids in pairs[1])
    if not total:
        raise DataError(say("label_error_rate", "there are no labels", expected="at least one"))
    return sum(edit_distance(found, meant) for found, meant in zip(*pairs, strict=True)) / total


def _logs(batch: Ragged) -> NDArray[np.float64]:
    """Give the logarithms of probabilities, −inf for zero."""
    shares = batch.values
    if shares.ndim == 2 and (wrong := _no_probabilities(shares)).any():
        row = int(np.argmax(wrong))
        sequence = int(np.searchsorted(batch.offsets, row, side="right")) - 1
        least = shares[row].min()
        got = f"{least:.4g}" if least < 0 else f"a sum of {shares[row].sum():.4g}"
        got += f" at sequence {sequence}, step {row - int(batch.offsets[sequence])}"
        expected = "numbers >= 0 of sum 1 at every step"
        raise DataError(say("beam_decode", "outputs are no probabilities", expected=expected, got=got))
    with np.errstate(divide="ignore"):
        return np.log(shares)


def _no_probabilities(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say of each row (K,) whether it cannot be the probabilities of K classes."""
    wrong: NDArray[np.bool_] = (rows < 0).any(axis=1) | (abs(rows.sum(axis=1) - 1) > _ROUNDING)
    return wrong
