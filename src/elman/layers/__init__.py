"""Layers: parameters, a way forward and a way back.

Example:
    >>> from elman import layers
    >>> layers.from_config({"type": "lstm", "units": 128, "return_sequences": True})
    LSTM(units=128, return_sequences=True)
"""

from __future__ import annotations

from typing import Any

from elman.errors import NotNeededError, say
from elman.layers.attention_pooling import AttentionPooling
from elman.layers.base import Layer
from elman.layers.bidirectional import Bidirectional
from elman.layers.dense import Dense
from elman.layers.dropout import Dropout, SpatialDropout1D
from elman.layers.embedding import Embedding
from elman.layers.gru import GRU
from elman.layers.lstm import LSTM
from elman.layers.noise import GaussianNoise
from elman.layers.norm import LayerNorm, LayerNormalization
from elman.layers.pooling import GlobalAveragePooling1D, GlobalMaxPooling1D, Pooling
from elman.layers.recurrent import Recurrent
from elman.layers.registry import LAYERS, from_config
from elman.layers.repeat import RepeatVector
from elman.layers.residual import Residual
from elman.layers.rnn import RNN, SimpleRNN
from elman.layers.spec_augment import SpecAugment
from elman.layers.stack import check_carry, check_stack
from elman.layers.wrapper import Wrapper

__all__ = [
    "GRU",
    "LAYERS",
    "LSTM",
    "RNN",
    "AttentionPooling",
    "Bidirectional",
    "Dense",
    "Dropout",
    "Embedding",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalMaxPooling1D",
    "Layer",
    "LayerNorm",
    "LayerNormalization",
    "Pooling",
    "Recurrent",
    "RepeatVector",
    "Residual",
    "SimpleRNN",
    "SpatialDropout1D",
    "SpecAugment",
    "Wrapper",
    "check_carry",
    "check_stack",
    "from_config",
]

LAYERS |= {
    layer.type_name(): layer
    for layer in (
        Embedding,
        RNN,
        LSTM,
        GRU,
        Bidirectional,
        Dense,
        Dropout,
        GaussianNoise,
        SpecAugment,
        LayerNorm,
        Residual,
        Pooling,
        AttentionPooling,
        RepeatVector,
    )
}

# Layers of Keras that nothing here needs, and what is done instead.
_NOT_NEEDED = {
    "Masking": "Sequences have the lengths they have: give a list of arrays, a Ragged, lengths= or pad_value=.",
    "TimeDistributed": "Dense, Dropout and LayerNorm act on every step of a sequence by themselves.",
    "Input": "Leave it out: sizes are found in the first data, or given to model.build(input_size).",
    "InputLayer": "Leave it out: sizes are found in the first data, or given to model.build(input_size).",
    "Flatten": "To make one row of a sequence use Pooling, AttentionPooling or return_sequences=False.",
    "Activation": "Give activation= to the layer before it, such as Dense(64, activation='tanh').",
}


def __getattr__(name: str) -> Any:
    cure = _NOT_NEEDED.get(name)
    if cure is None:
        raise AttributeError(f"module 'elman.layers' has no attribute {name!r}")
    raise NotNeededError(say("elman.layers", f"there is no {name}, nor a need for it", cure=cure))
