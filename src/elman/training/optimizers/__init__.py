"""Optimizers: one call over the flat arrays of a model, with torch's formulas.

Public as `elman.optimizers`.

Example:
    >>> from elman import optimizers
    >>> sorted(optimizers.OPTIMIZERS)
    ['adagrad', 'adam', 'adamw', 'nadam', 'rmsprop', 'sgd']
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elman.errors import UsageError, say
from elman.ops.options import unknown
from elman.training.optimizers.adam import Adam, AdamW, NAdam
from elman.training.optimizers.adaptive import Adagrad, RMSprop
from elman.training.optimizers.base import Optimizer, Rate
from elman.training.optimizers.clipping import clip_global_norm
from elman.training.optimizers.noise import add_gradient_noise
from elman.training.optimizers.sgd import SGD

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "NAdam",
    "Optimizer",
    "RMSprop",
    "Rate",
    "add_gradient_noise",
    "clip_global_norm",
    "get",
]

OPTIMIZERS: dict[str, type[Any]] = {kind.name: kind for kind in (SGD, RMSprop, Adam, AdamW, NAdam, Adagrad)}


def get(optimizer: str | Mapping[str, Any] | Optimizer) -> Optimizer:
    """Give the optimizer that a name, a config or an optimizer stands for.

    Args:
        optimizer: "adam", "sgd", {"type": "sgd", "learning_rate": 0.1}, or an object.

    Raises:
        UsageError: if there is no such optimizer or argument.

    Example:
        >>> get("adam")
        Adam(learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-08)
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    arguments = dict(optimizer) if isinstance(optimizer, Mapping) else {"type": optimizer}
    kind = arguments.pop("type", None)
    known = OPTIMIZERS.get(kind.lower()) if isinstance(kind, str) else None
    if known is None:
        raise unknown(kind, OPTIMIZERS, what="optimizer")
    try:
        made: Optimizer = known(**arguments)
    except TypeError as error:
        raise UsageError(say(f"optimizer '{known.name}'", str(error), expected=known().config())) from None
    return made
