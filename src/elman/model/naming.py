"""Whether a file can name what a model is made of, so that it can be loaded again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from elman.errors import UsageError, say
from elman.layers import LAYERS, Layer
from elman.ops.losses import LOSSES, Loss
from elman.ops.options import Named
from elman.training.metrics import METRICS, Measure
from elman.training.optimizers import OPTIMIZERS, Optimizer
from elman.training.schedules import SCHEDULES, Schedule

__all__ = ["check_named"]


def check_named(
    layers: Iterable[Layer],
    *,
    loss: Loss | None,
    metrics: Iterable[Measure],
    optimizer: Optimizer | None,
    where: str,
) -> None:
    """Refuse classes of a user's own that a file could not name: it could be written, but never loaded.

    Args:
        layers: of the model.
        loss: of the model.
        metrics: of the model.
        optimizer: of the model.
        where: who asks, for messages.

    Raises:
        UsageError: naming the class, and where it is to be registered.
    """
    for layer in layers:
        for held in _with_parts(layer):
            _check(held, held.type_name(), LAYERS, "layer", "elman.layers.LAYERS", where)
    if loss is not None:
        _check(loss, _name(loss), LOSSES, "loss", "elman.losses.LOSSES", where)
    for measure in metrics:
        config = measure.config
        name = config.get("type") if isinstance(config, dict) else config
        _check(measure.metric, name, METRICS, "metric", "elman.metrics.METRICS", where)
    if optimizer is not None:
        _check(optimizer, _name(optimizer), OPTIMIZERS, "optimizer", "elman.optimizers.OPTIMIZERS", where)
        for schedule in _with_inner(optimizer.schedule):
            _check(schedule, _name(schedule), SCHEDULES, "schedule", "elman.schedules.SCHEDULES", where)


def _check(
    given: object, name: str | None, registry: Mapping[str, type[Any]], what: str, place: str, where: str
) -> None:
    """Refuse an object whose name does not lead back to its class."""
    own = type(given)
    found = None if name is None else registry.get(name if what in ("layer", "schedule") else name.lower())
    dataclass_needed = isinstance(given, Named | Schedule)
    if found is own and (not dataclass_needed or dataclasses.is_dataclass(own)):
        return
    wrong = f"no file can name the {what} {own.__name__}, so the model could not be loaded again"
    if dataclass_needed and not dataclasses.is_dataclass(own):
        expected, got, cure = "options that are fields", "no dataclass", "Make it a frozen dataclass"
    elif name is not None and found is None:
        expected, got = f"its name in {place}", f"{name!r}, which is not there"
        cure = f"Register it, here and where the file is loaded: {place}[{name.lower()!r}] = {own.__name__}"
    else:
        expected = "a name of its own"
        got = "none" if found is None else f"{name!r}, the name of {found.__name__}"
        cure = f"Give it a name, and register it under that in {place}, here and where the file is loaded"
    raise UsageError(say(where, wrong, expected=expected, got=got, cure=cure))


def _name(given: object) -> str | None:
    """Give the name that stands in configs, which a class may have left out."""
    name = getattr(given, "name", None)
    return name if isinstance(name, str) else None


def _with_parts(layer: Layer) -> Iterator[Layer]:
    """Give a layer and all that it holds."""
    yield layer
    for part in getattr(layer, "parts", {}).values():
        yield from _with_parts(part)


def _with_inner(schedule: Schedule | None) -> Iterator[Schedule]:
    """Give a schedule and those in its fields."""
    if schedule is not None:
        yield schedule
        for value in vars(schedule).values():
            if isinstance(value, Schedule):
                yield from _with_inner(value)
