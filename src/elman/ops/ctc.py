"""Connectionist temporal classification: labels without times, learned and read (Graves et al. 2006).

A network gives every step of a sequence logits over K classes, one of which is the *blank*. A path
picks one class per step and reads as what remains when repeats are merged and blanks are dropped:
with blank 0, the path 0 3 3 0 3 1 reads as 3 3 1. The loss is −log of the summed probability of all
paths that read as the labels.

`ctc` is the loss with its gradient, `greedy_decode` the reading of the likeliest path, `beam_decode`
the likeliest readings.
"""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import DataError, UsageError, say
from elman.ops import ctc_reference
from elman.ops.core import native
from elman.ops.workspace import current
from elman.ragged import Ragged

__all__ = ["beam_decode", "ctc", "greedy_decode", "steps_needed"]

Array = NDArray[Any]
Ids = NDArray[np.int64]
Result = tuple[float, float, Array | None]


def ctc(
    logits: Array,
    lengths: ArrayLike,
    labels: Ragged,
    *,
    blank: int = 0,
    weights: Array | None = None,
    want_grad: bool = True,
) -> Result:
    """Mean of −log p(labels | logits) over the sequences (Graves et al. 2006).

    The softmax is part of it: logits may be of any size, and the gradient is what the softmax gives less what the paths
    of the labels ask for. A sequence of no steps reads as no labels, with probability 1.

    Args:
        logits: (N, K), sequence after sequence; N is the sum of the lengths.
        lengths: (B,) integers >= 0, steps of each sequence.
        labels: B sequences of integers in [0, K) other than the blank; empty ones too.
        blank: the class that is no label.
        weights: (B,) >= 0, of the sequences; all 1 if None. A sequence of weight 0 need not be possible.
        want_grad: whether the gradient is needed.

    Returns:
        The mean loss Σ w·l / Σ w in nats, Σ w, and the gradient of the mean loss (N, K) or None. Infinite, with a
        gradient of NaN, where logits of −inf leave the labels no path.

    Raises:
        DataError: if the shapes do not fit, a label is the blank or no class, a weight is negative or not finite, or a
            sequence that counts is too short for its labels.
        UsageError: if the blank is not one of the classes.

    Example:
        >>> import numpy as np
        >>> from elman.ragged import Ragged
        >>> logits = np.log([[0.5, 0.5], [0.25, 0.75]])
        >>> loss, _, _ = ctc(logits, [2], Ragged(np.array([1]), [1]))  # of 4 paths, all but 0 0 read as 1
        >>> round(float(np.exp(-loss)), 3)
        0.875
    """
    steps = _check_logits(logits, lengths, blank, where="ctc")
    _check_labels(labels, len(steps), n_classes=logits.shape[1], blank=blank)
    each_weight = np.ones(len(steps)) if weights is None else np.ascontiguousarray(weights, np.float64)
    if each_weight.shape != (len(steps),):
        raise DataError(say("ctc", "weights do not fit", expected=(len(steps),), got=each_weight.shape))
    usable = (each_weight >= 0) & (each_weight < np.inf)
    if not usable.all():
        b = int(np.argmin(usable))
        got = f"{each_weight[b]} for sequence {b}"
        raise DataError(say("ctc", "a weight cannot be used", expected="finite numbers >= 0", got=got))
    _check_room(steps, labels, counts=each_weight > 0)
    total = float(each_weight.sum())
    if total == 0:
        wrong = "no sequence has a weight above zero, so the loss is 0 and nothing is learned"
        warnings.warn(say("ctc", wrong), RuntimeWarning, stacklevel=2)
        return 0.0, 0.0, np.zeros_like(logits) if want_grad else None
    if native is not None and logits.dtype in (np.float32, np.float64):
        logits = np.ascontiguousarray(logits)
        ids = np.ascontiguousarray(labels.values, np.int64)
        losses = np.empty(len(steps))
        d_logits = current().take(logits.shape, logits.dtype) if want_grad else None
        native.ctc(logits, steps, ids, labels.lengths, int(blank), each_weight, 1 / total, losses, d_logits)
    else:
        losses, d_logits = _reference(logits, steps, labels, int(blank), each_weight / total, want_grad)
    return (each_weight * losses).sum().item() / total, total, d_logits


def greedy_decode(logits: Array, lengths: ArrayLike, *, blank: int = 0) -> list[Ids]:
    """Read the likeliest path of every sequence: the best class of each step, repeats merged, blanks dropped.

    Fast, and usually but not always the likeliest reading; see `beam_decode`.

    Args:
        logits: (N, K), sequence after sequence.
        lengths: (B,) integers >= 0, steps of each sequence.
        blank: the class that is no label.

    Returns:
        One array of labels per sequence, (L,) int64.

    Raises:
        DataError: if the shapes do not fit, or a row of logits has no finite largest one.
        UsageError: if the blank is not one of the classes.

    Example:
        >>> import numpy as np
        >>> greedy_decode(np.eye(4)[[0, 3, 3, 0, 3, 1]], [6])
        [array([3, 3, 1])]
    """
    steps = _check_logits(logits, lengths, blank, where="greedy_decode")
    _check_finite(logits, where="greedy_decode")
    path = Ragged.trusted(logits.argmax(axis=1).astype(np.int64), steps)
    return [best[(best != blank) & (np.diff(best, prepend=-1) != 0)] for best in path]


def beam_decode(logits: Array, lengths: ArrayLike, *, width: int = 32, blank: int = 0) -> list[list[tuple[Ids, float]]]:
    """Find the likeliest readings of every sequence by prefix beam search (Graves 2012; Hannun et al. 2014).

    The probabilities of all paths that read the same are summed, so the best reading need not be that of the likeliest
    path. After every step the `width` likeliest prefixes are kept; of a width that keeps them all, the answer is exact.

    Args:
        logits: (N, K), sequence after sequence.
        lengths: (B,) integers >= 0, steps of each sequence.
        width: how many prefixes to keep, >= 1; also the greatest number of readings.
        blank: the class that is no label.

    Returns:
        For each sequence a list of (labels (L,) int64, log probability in nats), best first. The log probability counts
        the paths that were kept, so it is at most −loss of `ctc` for these labels.

    Raises:
        DataError: if the shapes do not fit, or a row of logits has no finite largest one.
        UsageError: if the width is not a positive integer or the blank not one of the classes.

    Example:
        >>> import numpy as np
        >>> logits = np.log([[0.6, 0.4], [0.6, 0.4]])
        >>> greedy_decode(logits, [2])  # the likeliest path is 0 0, with 0.36
        [array([], dtype=int64)]
        >>> [[(labels, log_probability), _]] = beam_decode(logits, [2])
        >>> labels, round(float(np.exp(log_probability)), 2)  # but three paths read as 1
        (array([1]), 0.64)
    """
    steps = _check_logits(logits, lengths, blank, where="beam_decode")
    _check_finite(logits, where="beam_decode")
    if not isinstance(width, int | np.integer) or isinstance(width, bool) or width < 1:
        raise UsageError(say("beam_decode", "the width is out of range", expected="an integer >= 1", got=repr(width)))
    if native is None or logits.dtype not in (np.float32, np.float64):
        sequences = Ragged.trusted(logits.astype(np.float64), steps)
        found = [ctc_reference.beam_search(x, blank=int(blank), width=int(width)) for x in sequences]
        return [[(np.array(ids, np.int64), p) for ids, p in readings] for readings in found]
    counts, log_probabilities, n_labels, ids = native.ctc_beams(
        np.ascontiguousarray(logits), steps, int(blank), int(width)
    )
    ids = ids.view(np.int64)  # the same bytes by NumPy's own name for them, which prints without a dtype
    readings = iter(zip(Ragged.trusted(ids, n_labels).split(), log_probabilities.tolist(), strict=True))
    return [list(itertools.islice(readings, count)) for count in counts.tolist()]


def steps_needed(labels: Ragged) -> Ids:
    """Give the fewest steps that can say each sequence of labels: equal neighbours need a blank between.

    Args:
        labels: B sequences of ids.

    Returns:
        (B,) integers.

    Example:
        >>> steps_needed(Ragged(np.array([1, 1, 2, 2]), [3, 0, 1])).tolist()
        [4, 0, 1]
    """
    repeated = np.zeros(len(labels.values), np.int64)
    repeated[1:] = labels.values[1:] == labels.values[:-1]
    repeated[labels.offsets[:-1][labels.lengths > 0]] = 0  # the first label of a sequence has none before it
    so_far = np.concatenate([[0], np.cumsum(repeated)])
    needed: Ids = labels.lengths + so_far[labels.offsets[1:]] - so_far[labels.offsets[:-1]]
    return needed


def _reference(
    logits: Array, steps: Ids, labels: Ragged, blank: int, shares: Array, want_grad: bool
) -> tuple[Array, Array | None]:
    """Give the losses (B,) and the gradient of their sum by shares, in NumPy; complex logits too."""
    wide = logits.astype(np.result_type(logits.dtype, np.float64))
    losses = np.zeros(len(steps), wide.dtype)
    gradient = np.zeros_like(wide) if want_grad else None
    sequences = Ragged.trusted(wide, steps)
    for b in np.flatnonzero(shares):
        losses[b], d = ctc_reference.sequence_loss(sequences[b], labels[b], blank=blank, want_grad=want_grad)
        if gradient is not None:
            gradient[sequences.offsets[b] : sequences.offsets[b + 1]] = shares[b] * d
    return losses, None if gradient is None else gradient.astype(logits.dtype)


def _check_logits(logits: Array, lengths: ArrayLike, blank: int, *, where: str) -> Ids:
    """Give the lengths as (B,) int64 if they and the blank fit the logits."""
    if logits.ndim != 2:
        raise DataError(say(where, "logits has the wrong number of axes", expected="(N, K)", got=logits.shape))
    if not isinstance(blank, int | np.integer) or isinstance(blank, bool) or not 0 <= blank < logits.shape[1]:
        expected = f"0 to {logits.shape[1] - 1}"
        raise UsageError(say(where, "the blank is not a class", expected=expected, got=repr(blank)))
    return Ragged(logits, lengths).lengths


def _check_finite(logits: Array, *, where: str) -> None:
    bad = ~np.isfinite(logits.max(axis=1)) if logits.size else np.zeros(0, bool)
    if bad.any():
        row = int(np.argmax(bad))
        wrong = f"row {row} of logits cannot be made probabilities"
        raise DataError(say(where, wrong, expected="a finite largest logit", got=repr(logits[row].max().item())))


def _check_labels(labels: Ragged, n_sequences: int, *, n_classes: int, blank: int) -> None:
    if labels.values.ndim != 1 or len(labels) != n_sequences:
        expected = f"{n_sequences} sequences of ids, one for each of logits"
        raise DataError(say("ctc", "the labels do not fit", expected=expected, got=repr(labels)))
    ids = labels.values
    if ids.dtype.kind not in "iu" and ids.size:
        raise DataError(say("ctc", "labels are no classes", expected="integers", got=f"dtype {ids.dtype}"))
    bad = (ids < 0) | (ids >= n_classes) | (ids == blank)
    if bad.any():
        place = int(np.argmax(bad))
        sequence = int(np.searchsorted(labels.offsets, place, side="right")) - 1
        got = f"{ids[place]} at label {place - labels.offsets[sequence]} of sequence {sequence}"
        expected = f"0 to {n_classes - 1} but not the blank {blank}"
        cure = "Shift the labels by one, or name another blank" if ids[place] == blank else None
        raise DataError(say("ctc", "a label is no class or the blank", expected=expected, got=got, cure=cure))


def _check_room(steps: Ids, labels: Ragged, *, counts: NDArray[np.bool_]) -> None:
    """Refuse a sequence that is shorter than its labels with a blank between equal neighbours."""
    needed = steps_needed(labels)
    bad = counts & (steps < needed)
    if bad.any():
        b = int(np.argmax(bad))
        n_blanks = needed[b] - labels.lengths[b]
        expected = f"at least {needed[b]} steps ({labels.lengths[b]} labels"
        expected += f" and {n_blanks} blanks between equal neighbours)" if n_blanks else ")"
        cure = "Leave it out or give it weight 0; if all are short, let the network keep more steps"
        raise DataError(
            say("ctc", f"sequence {b} is too short for its labels", expected=expected, got=steps[b], cure=cure)
        )
