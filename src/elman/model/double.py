"""A model in double precision beside the one that is trained or asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from elman.engines.native import Engine
from elman.layers import Layer
from elman.model.foundation import Foundation
from elman.ops.losses import Loss
from elman.ragged import Ragged
from elman.training.parameters import Parameters

__all__ = ["copy_weights", "doubled", "twins", "widened"]


def doubled(model: Foundation, loss: Loss | None) -> Engine:
    """Make an engine in float64 with the weights of a model; the model is left as it is.

    Args:
        model: built.
        loss: of the engine.
    """
    layers = twins(model.layers)
    parameters = Parameters.build(layers, model.input_size or 1, dtype="float64", rng=None)
    copy_weights(model.parameters, parameters)
    return Engine(layers, parameters, loss)


def copy_weights(source: Parameters, target: Parameters) -> None:
    """Copy parameters, whatever the dtypes.

    Args:
        source: of a model.
        target: of one with the same layers.
    """
    views = target.named()
    for name, values in source.named().items():
        np.copyto(views[name], values)
    target.clock.ticks += 1


def twins(layers: Sequence[Layer]) -> list[Layer]:
    """Give copies without weights; a layer that stands twice stays one.

    Args:
        layers: of a model.
    """
    made: dict[int, Layer] = {}
    for layer in layers:
        made.setdefault(id(layer), layer.unbound())
    return [made[id(layer)] for layer in layers]


def widened(values: Any) -> Any:
    """Give numbers in float64, and ids, classes and labels as they are.

    Args:
        values: an array or a Ragged, or None.
    """
    if values is None:
        return None
    if isinstance(values, Ragged):
        return values.with_values(widened(values.values))
    return values.astype(np.float64) if values.dtype.kind == "f" else values
