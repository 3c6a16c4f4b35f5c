"""Figures beside the loss, gathered from the outputs that training and evaluation see anyway.

Example:
    >>> from elman import losses
    >>> [measure.name for measure in get(["acc", TopK(k=3)], losses.CrossEntropy())]
    ['accuracy', 'top_3_accuracy']
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from elman.errors import UsageError, say
from elman.ops.losses import Loss
from elman.ops.options import find
from elman.training.metrics.base import Measure, Meter, Metric
from elman.training.metrics.classes import F1, Accuracy, Perplexity, TopK
from elman.training.metrics.labels import LabelErrorRate, edit_distance
from elman.training.metrics.numbers import MeanAbsoluteError, MeanSquaredError, RootMeanSquaredError

__all__ = [
    "F1",
    "METRICS",
    "Accuracy",
    "LabelErrorRate",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Measure",
    "Meter",
    "Metric",
    "MetricLike",
    "Perplexity",
    "RootMeanSquaredError",
    "TopK",
    "edit_distance",
    "get",
]

MetricLike = str | Mapping[str, Any] | Metric

#: Every name of every metric, Keras's included.
METRICS: dict[str, type[Metric]] = {
    "accuracy": Accuracy,
    "acc": Accuracy,
    "binary_accuracy": Accuracy,
    "categorical_accuracy": Accuracy,
    "sparse_categorical_accuracy": Accuracy,
    "top_k_accuracy": TopK,
    "top_k_categorical_accuracy": TopK,
    "sparse_top_k_categorical_accuracy": TopK,
    "f1": F1,
    "f1_score": F1,
    "perplexity": Perplexity,
    "mae": MeanAbsoluteError,
    "mean_absolute_error": MeanAbsoluteError,
    "mse": MeanSquaredError,
    "mean_squared_error": MeanSquaredError,
    "rmse": RootMeanSquaredError,
    "root_mean_squared_error": RootMeanSquaredError,
    "label_error_rate": LabelErrorRate,
}


def get(metrics: Iterable[MetricLike] | MetricLike | None, loss: Loss) -> tuple[Measure, ...]:
    """Give the measures that names, configs and metrics stand for.

    A figure is called as the user named it, but Keras's short "acc", which is "accuracy".

    Args:
        metrics: "accuracy", {"type": "f1", "average": "micro"}, an object such as TopK(k=3), or a list of such.
        loss: of the model.

    Raises:
        UsageError: if there is no such metric or option, it does not fit the loss, or two have one name.
    """
    given: Any = () if metrics is None else metrics
    if isinstance(given, str | Mapping | Metric):
        given = (given,)
    if not isinstance(given, Iterable):
        expected = f"some of {sorted(METRICS)}"
        raise UsageError(say("compile", "metrics is no list of names", expected=expected, got=repr(metrics)))
    measures = tuple(_measure(one, loss) for one in given)
    names = [measure.name for measure in measures]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(say("compile", f"two metrics are called '{name}'", cure="Give each one once"))
    return measures


def _measure(given: Any, loss: Loss) -> Measure:
    metric: Metric = find(given, METRICS, Metric, what="metric")
    metric.check(loss)
    called = given.get("type") if isinstance(given, Mapping) else given
    if not isinstance(called, str) or called == "acc" or called == metric.name:
        return Measure(metric.label, metric, loss, metric.config())
    options = metric.options()
    return Measure(called, metric, loss, {"type": called, **options} if options else called)
