"""Reading what a model with `loss="ctc"` says: the public door of the decoders in `elman.ops.ctc`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.ops import ctc as ops
from elman.ragged import as_ragged

__all__ = ["beam_decode", "greedy_decode"]

Ids = NDArray[np.int64]


def greedy_decode(outputs: Any, *, lengths: ArrayLike | None = None, blank: int = 0) -> list[Ids]:
    """Read the likeliest class of every step: repeats merged, blanks dropped (Graves et al. 2006).

    Args:
        outputs: what `predict` gave: logits (B, T, K), a list of (T_i, K) arrays, or a Ragged.
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
    outputs: Any, *, lengths: ArrayLike | None = None, width: int = 32, blank: int = 0
) -> list[list[tuple[Ids, float]]]:
    """Find the likeliest readings of every sequence by prefix beam search (Hannun 2014).

    Args:
        outputs: as in `greedy_decode`.
        lengths: (B,) how many steps count, if outputs are padded.
        width: how many prefixes are followed; the greater, the surer that the first reading is the likeliest.
        blank: the class that is no label.

    Returns:
        For every sequence up to `width` pairs of labels and log probability, the likeliest first.

    Raises:
        DataError, DataTypeError, UsageError: if outputs, lengths, width or blank do not fit.

    Example:
        >>> import numpy as np
        >>> readings = beam_decode([5 * np.eye(4)[[0, 3, 3, 0, 3, 1]]], width=8)
        >>> readings[0][0][0]
        array([3, 3, 1])
    """
    batch, _ = as_ragged(outputs, where="beam_decode", dtype=np.float64, lengths=lengths)
    return ops.beam_decode(batch.values, batch.lengths, width=width, blank=blank)
