"""The loss of label sequences that are not aligned with the steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import DTypeLike

from elman.errors import UsageError, say
from elman.ops import kernels
from elman.ops.ctc import ctc
from elman.ops.kernels import Kernel
from elman.ops.losses.base import Array, Loss, Result, Targets
from elman.ragged import Ragged

__all__ = ["CTC"]


@dataclass(frozen=True)
class CTC(Loss):
    """Connectionist temporal classification (Graves et al. 2006): −log p(labels | steps), mean over sequences, in nats.

    A step answers with one of K − 1 labels or with the blank; p sums over all ways in which the answers,
    repeats joined and blanks left out, read as the labels. Unlike torch's default, the loss of a sequence
    is not divided by the number of its labels.

    A model may end in Dense(K), whose predictions are logits, or in Dense(K, activation="softmax"), whose
    predictions are probabilities; `elman.ctc` reads both.

    Args:
        blank: the class that stands for no label.

    Raises:
        UsageError: if blank is no class number.

    Example:
        >>> steps, labels = Ragged(np.zeros((3, 3)), [3]), Ragged(np.array([1, 2]), [2])
        >>> loss, n_sequences, gradient = CTC()(steps, labels)  # 5 of 27 paths read as 1 2
        >>> round(float(np.exp(-loss)), 4), n_sequences, gradient.shape
        (0.1852, 1.0, (3, 3))
    """

    name: ClassVar[str] = "ctc"
    activation: ClassVar[Literal["softmax", "sigmoid"] | None] = "softmax"
    targets: ClassVar[Targets] = "labels"
    blank: int = 0

    def __post_init__(self) -> None:
        blank = self.blank
        if isinstance(blank, bool) or not isinstance(blank, int | np.integer) or blank < 0:
            raise UsageError(say("loss 'ctc'", "blank is no class", expected="an integer >= 0", got=repr(blank)))
        object.__setattr__(self, "blank", int(blank))

    def __call__(
        self, logits: Ragged, labels: Ragged, /, *, weights: Array | None = None, want_grad: bool = True
    ) -> Result:
        """Compute value and gradient.

        Args:
            logits: B sequences of logits (N, K).
            labels: B sequences of ids.
            weights: (B,) >= 0; all 1 if None.
            want_grad: whether the gradient is needed.

        Returns:
            The mean loss Σ w·l / Σ w, Σ w, and the gradient of the mean loss (N, K), or None.

        Raises:
            DataError: if a sequence has fewer steps than its labels need.
        """
        return ctc(logits.values, logits.lengths, labels, blank=self.blank, weights=weights, want_grad=want_grad)

    def runs_on(self, dtype: DTypeLike) -> Kernel:
        """Say which code computes the loss."""
        return kernels.of_loss("ctc", dtype)
