"""How good the answers of an estimator are, in figures that go beyond one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.tasks.classifier import SequenceClassifier
from elman.tasks.regressor import SequenceRegressor
from elman.tasks.tagger import SequenceTagger

__all__ = ["evaluate", "headline"]

Array = NDArray[Any]

_CONFUSIONS = 10  # the most frequent ones are listed


def evaluate(task: SequenceClassifier | SequenceRegressor | SequenceTagger, X: Any, y: Any) -> dict[str, Any]:
    """Compare the answers of a fitted estimator with the right ones.

    Args:
        task: classifier, regressor or tagger.
        X: sequences.
        y: the right answers, as `fit` takes them.

    Returns:
        For labels: accuracy, f1_macro (the mean over the labels there are), count, of a tagger also the share of
        sequences without a fault; `classes`, a list of label, precision, recall, f1 and count; `confusions`, the most
        frequent [right label, answer, count]. For numbers: r2, mae, rmse, and count.

    Example:
        >>> X = [np.full((steps, 1), steps % 2) for steps in range(2, 22)]
        >>> y = np.array(["odd" if len(x) % 2 else "even" for x in X])
        >>> model = SequenceClassifier(hidden=8, epochs=30, random_state=0, verbose=0).fit(X, y)
        >>> evaluate(model, X, y)["accuracy"]
        1.0
    """
    if isinstance(task, SequenceRegressor):
        return _of_numbers(np.asarray(y, np.float64), task.predict(X))
    given = task.predict(X)
    if isinstance(task, SequenceTagger):
        right = [_same_kind(part, task.classes_) for part in y]
        faultless = np.mean([np.array_equal(a, b) for a, b in zip(given, right, strict=True)])
        figures = _of_labels(np.concatenate(right), np.concatenate(list(given)))
        return {"accuracy": figures.pop("accuracy"), "faultless": float(faultless), **figures}
    return _of_labels(_same_kind(np.asarray(y), task.classes_), given)


def headline(task: Any, figures: dict[str, Any]) -> str:
    """Say the main figures in a line.

    Args:
        task: that was evaluated.
        figures: from `evaluate`.
    """
    if isinstance(task, SequenceRegressor):
        return f"R² {figures['r2']:.4f}, mean absolute error {figures['mae']:.4g}"
    return f"accuracy {figures['accuracy']:.4f}"


def _same_kind(y: Array, classes: Array) -> Array:
    """Give labels as text where the classes are text: a file may hold only such that look like numbers."""
    return y.astype(str) if classes.dtype.kind in "UO" and y.dtype.kind not in "UO" else y


def _of_labels(right: Array, given: Array) -> dict[str, Any]:
    if right.dtype.kind != given.dtype.kind and "U" in (right.dtype.kind, given.dtype.kind):
        right, given = right.astype(str), given.astype(str)  # labels of another kind than all classes are wrong
    labels, numbers = np.unique(np.concatenate([right, given]), return_inverse=True)
    truth, answers = numbers[: len(right)], numbers[len(right) :]
    size = len(labels)
    table = np.bincount(truth * size + answers, minlength=size * size).reshape(size, size)
    hits, asked, said = np.diag(table), table.sum(1), table.sum(0)
    classes = [
        {
            "label": label,
            "precision": _ratio(hit, answered),
            "recall": _ratio(hit, count),
            "f1": _ratio(2 * hit, answered + count),
            "count": count,
        }
        for label, hit, count, answered in zip(
            labels.tolist(), hits.tolist(), asked.tolist(), said.tolist(), strict=True
        )
    ]
    wrong = table.copy()
    np.fill_diagonal(wrong, 0)
    worst = np.argsort(-wrong, axis=None, kind="stable")[:_CONFUSIONS]
    pairs = [(int(index) // size, int(index) % size) for index in worst]
    names = labels.tolist()
    return {
        "accuracy": float(hits.sum() / len(right)) if len(right) else 0.0,
        "f1_macro": float(np.mean([one["f1"] for one in classes])),
        "count": len(right),
        "classes": classes,
        "confusions": [
            [names[row], names[column], int(wrong[row, column])] for row, column in pairs if wrong[row, column]
        ],
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _of_numbers(right: Array, given: Array) -> dict[str, Any]:
    errors = right - given
    spread = ((right - right.mean(0)) ** 2).sum(0)
    squares = (errors**2).sum(0)
    share = np.divide(squares, spread, out=np.where(squares > 0, 1.0, 0.0), where=spread > 0)
    return {
        "r2": float(np.mean(1 - share)),
        "mae": float(np.abs(errors).mean()),
        "rmse": float(np.sqrt((errors**2).mean())),
        "count": len(right),
    }
