"""The layers by the names that files call them, and how one is made from what it wrote down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elman.errors import UsageError, say
from elman.layers.base import Layer

__all__ = ["LAYERS", "from_config"]

#: Filled by `elman.layers`; here, so that layers that hold layers can make them again.
LAYERS: dict[str, type[Layer]] = {}


def from_config(config: Mapping[str, Any]) -> Layer:
    """Make a layer from what its `config()` gave.

    Args:
        config: "type" and the options by name.

    Raises:
        UsageError: if the type or an option is unknown, or an option out of its bounds.
    """
    kind = config.get("type")
    if not isinstance(kind, str) or kind not in LAYERS:
        expected = "one of " + ", ".join(map(repr, LAYERS))
        raise UsageError(say("layer", "unknown type", expected=expected, got=repr(kind)))
    return LAYERS[kind].from_config(config)
