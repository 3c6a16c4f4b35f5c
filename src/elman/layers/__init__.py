"""Layers: parameters, a way forward and a way back.

Example:
    >>> from elman import layers
    >>> layers.from_config({"type": "lstm", "units": 128, "return_sequences": True})
    LSTM(units=128, return_sequences=True)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elman.errors import UsageError, say
from elman.layers.base import Layer
from elman.layers.dense import Dense
from elman.layers.embedding import Embedding
from elman.layers.recurrent import GRU, LSTM, RNN, Recurrent, SimpleRNN
from elman.layers.stack import check_stack

__all__ = [
    "GRU",
    "LAYERS",
    "LSTM",
    "RNN",
    "Dense",
    "Embedding",
    "Layer",
    "Recurrent",
    "SimpleRNN",
    "check_stack",
    "from_config",
]

LAYERS: dict[str, type[Layer]] = {layer.type_name(): layer for layer in (Embedding, RNN, LSTM, GRU, Dense)}


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
