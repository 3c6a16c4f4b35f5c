"""Metrics of classes: how often, and how surely, the answer is right."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from elman.errors import DataError, UsageError, say
from elman.ops.losses import CategoricalCrossEntropy, CrossEntropy, Loss
from elman.ops.losses.base import Targets
from elman.ops.options import checked_number
from elman.training.checks import check_count
from elman.training.metrics.base import Array, Mean, Metric

__all__ = ["F1", "Accuracy", "Perplexity", "TopK"]


@dataclass(frozen=True)
class Accuracy(Mean):
    """The share of right answers.

    Of several outputs the greatest is the answer, to be compared with the class, or with the greatest number of the
    target. A single output says yes above the threshold, and so does every output of a model with binary
    cross-entropy, each of which is compared on its own; the threshold is a probability there, whether the
    loss sees probabilities or logits. A target means yes above 0.5.

    Args:
        threshold: in (0, 1).

    Raises:
        UsageError: if the threshold is out of range.
    """

    name: ClassVar[str] = "accuracy"
    fits: ClassVar[frozenset[Targets]] = frozenset({"class", "distribution", "binary", "numbers"})
    threshold: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "threshold", _checked_threshold(self))

    def rows(self, prediction: Array, target: Array, loss: Loss) -> Array:
        """Say of every row whether, or in what share, it is right; see `Mean`."""
        if target.ndim == 1:
            right: Array = prediction.argmax(1) == target
        elif loss.targets == "binary":
            right = (_says_yes(prediction, self.threshold) == (target > 0.5)).mean(1)
        elif target.shape[1] == 1:
            right = ((prediction > self.threshold) == (target > 0.5))[:, 0]
        else:
            right = prediction.argmax(1) == target.argmax(1)
        return right


@dataclass(frozen=True)
class TopK(Mean):
    """The share of targets whose class is among the k greatest outputs.

    Outputs as great as that of the class do not push it out, as in Keras.

    Args:
        k: how many outputs count, >= 1.

    Raises:
        UsageError: if k is no such integer.
    """

    name: ClassVar[str] = "top_k_accuracy"
    fits: ClassVar[frozenset[Targets]] = frozenset({"class", "distribution"})
    k: int = 5

    def __post_init__(self) -> None:
        check_count("k", self.k)
        object.__setattr__(self, "k", int(self.k))

    @property
    def label(self) -> str:
        """What the figure is called: "top_3_accuracy" for k = 3."""
        return self.name if self.k == 5 else f"top_{self.k}_accuracy"

    def check_outputs(self, n_outputs: int, loss: Loss) -> None:
        """Refuse fewer outputs than k; see `Metric`."""
        if self.k > n_outputs:
            wrong = f"all of {n_outputs} outputs are among the {self.k} greatest"
            raise DataError(say(f"metric '{self.label}'", wrong, expected=f"k <= {n_outputs}", got=self.k))

    def rows(self, prediction: Array, target: Array, loss: Loss) -> Array:
        """Say of every row whether the class is among the k greatest; see `Mean`."""
        self.check_outputs(prediction.shape[1], loss)
        own = prediction[np.arange(len(prediction)), _classes(target)]
        greater = (prediction > own[:, None]).sum(1)
        right: Array = (greater < self.k) & np.isfinite(own)
        return right


@dataclass(frozen=True)
class F1(Metric):
    """The harmonic mean of precision and recall, 2 tp / (2 tp + fp + fn), from counts over the whole epoch.

    Several outputs of a model with binary cross-entropy are labels that may go together, each of which counts
    like a class. Classes that are neither in the targets nor among the answers are left out of the mean, as in
    scikit-learn.

    Args:
        average: "macro" is the mean of the classes' F1, "micro" the F1 of all counts together, "binary" the F1 of
            class 1, of two. None is "binary" for two classes (a single output is two) and "macro" otherwise.
        threshold: in (0, 1), the probability above which an output of a model with binary cross-entropy says yes.

    Raises:
        UsageError: if an option is out of range.
    """

    name: ClassVar[str] = "f1"
    fits: ClassVar[frozenset[Targets]] = frozenset({"class", "distribution", "binary"})
    average: str | None = None
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if self.average not in (None, "macro", "micro", "binary"):
            expected = "'macro', 'micro', 'binary' or None"
            raise UsageError(say("metric 'f1'", "there is no such average", expected=expected, got=repr(self.average)))
        object.__setattr__(self, "threshold", _checked_threshold(self))

    @property
    def label(self) -> str:
        """What the figure is called: "f1_macro" for the average "macro"."""
        return self.name if self.average is None else f"{self.name}_{self.average}"

    def check_outputs(self, n_outputs: int, loss: Loss) -> None:
        """Refuse the average "binary" of what are not two classes; see `Metric`."""
        n_classes, exclusive = _counted(n_outputs, loss)
        if self.average == "binary" and not (exclusive and n_classes == 2):
            got = f"{n_classes} classes" if exclusive else f"{n_classes} labels that may go together"
            cure = "Take average='macro' or 'micro'"
            raise UsageError(say("metric 'f1_binary'", "there are not two classes", expected="two", got=got, cure=cure))

    def sums(self, prediction: Any, target: Any, weights: Array | None, loss: Loss) -> Array:
        """Give weighted counts for C classes, (5, C): see `result`."""
        n_columns = prediction.shape[1]
        self.check_outputs(n_columns, loss)
        n_classes, exclusive = _counted(n_columns, loss)
        each = np.ones(len(prediction)) if weights is None else weights
        everything = np.full(n_classes, each.sum())
        if exclusive:
            if n_classes > n_columns:  # no and yes
                answers, truth = (
                    _says_yes(prediction, self.threshold)[:, 0].astype(int),
                    (target[:, 0] > 0.5).astype(int),
                )
            else:
                answers, truth = prediction.argmax(1), _classes(target)
            counted = ((truth, each * (answers == truth)), (answers, each), (truth, each))
            counts = [np.bincount(classes, one_each, n_classes) for classes, one_each in counted]
        else:
            yes, truth = _says_yes(prediction, self.threshold), target > 0.5
            counts = [(each[:, None] * said).sum(axis=0) for said in (yes & truth, yes, truth)]
        return np.stack([*counts, everything, everything * exclusive])

    def result(self, sums: Array, loss: Loss) -> float:
        """Give the F1 of counts of right answers, answers, targets, all rows, and those of classes that exclude."""
        right, answers, truth, everything, exclusive = sums
        if not everything.any():
            return math.nan
        average = self.average or ("binary" if len(right) == 2 and exclusive.any() else "macro")
        if average == "micro":
            right, answers, truth = (counts.sum(keepdims=True) for counts in (right, answers, truth))
        elif average == "binary":
            right, answers, truth = right[1:], answers[1:], truth[1:]
        seen = answers + truth > 0
        return float((2 * right[seen] / (answers + truth)[seen]).mean()) if seen.any() else 0.0


@dataclass(frozen=True)
class Perplexity(Metric):
    """e to the mean cross-entropy in nats: among how many equally likely classes the model hesitates.

    Label smoothing of the loss does not count.
    """

    name: ClassVar[str] = "perplexity"
    fits: ClassVar[frozenset[Targets]] = frozenset({"class", "distribution"})

    def sums(self, prediction: Any, target: Any, weights: Array | None, loss: Loss) -> Array:
        """Give Σ w·(cross-entropy) and Σ w; see `Metric`."""
        if not (len(prediction) if weights is None else weights.any()):
            return np.zeros(2)
        plain = CrossEntropy() if loss.targets == "class" else CategoricalCrossEntropy()
        mean, total, _ = plain(prediction, target, weights=weights, want_grad=False)
        return np.array([mean * total, total])

    def result(self, sums: Array, loss: Loss) -> float:
        """Give e^(Σ w·(cross-entropy) / Σ w); see `Metric`."""
        total, weight = sums.tolist()
        with np.errstate(over="ignore"):  # beyond 709 nats it is infinite
            return float(np.exp(total / weight)) if weight else math.nan


def _counted(n_outputs: int, loss: Loss) -> tuple[int, bool]:
    """Say how many classes are counted, and whether they exclude each other; a single yes or no is two."""
    single = loss.targets == "binary" and n_outputs == 1
    return (2 if single else n_outputs), single or loss.targets != "binary"


def _classes(target: Array) -> Array:
    """Give the class of every target (M,) or (M, K)."""
    classes: Array = target if target.ndim == 1 else target.argmax(1)
    return classes


def _says_yes(logits: Array, threshold: float) -> Array:
    """Say which logits are of a probability above the threshold."""
    yes: Array = logits > math.log(threshold / (1 - threshold))
    return yes


def _checked_threshold(metric: Accuracy | F1) -> float:
    where = f"metric '{metric.name}'"
    return checked_number(where, "threshold", metric.threshold, low=0.0, high=1.0, open_low=True)
