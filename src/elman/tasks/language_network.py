"""The network of a language model: its settings with their bounds, its layers, and how it is trained."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from elman.errors import DataError, UsageError, say
from elman.layers import Dense, Dropout, Embedding, Layer
from elman.model import Sequential
from elman.tasks.base import TaskParams
from elman.tasks.recurrent_stack import recurrent_stack
from elman.training import schedules
from elman.training.optimizers import AdamW
from elman.training.schedules import Schedule

__all__ = ["MAX_SIZE", "LanguageModelParams", "compile_network", "network", "rate_over"]

# What a layer may have of units, and so of outputs.
MAX_SIZE = 65_536

_Count = Annotated[int, msgspec.Meta(ge=1, le=2**31)]
_Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]


class LanguageModelParams(TaskParams, kw_only=True):
    """The arguments of `LanguageModel` as they are used, with their bounds; defaults are those of files of before."""

    preset: str = "quick"
    units: str = "characters"
    cell: str
    layers: Annotated[int, msgspec.Meta(ge=1, le=64)]
    hidden: Annotated[int, msgspec.Meta(ge=1, le=MAX_SIZE)]
    embedding: Annotated[int, msgspec.Meta(ge=0, le=MAX_SIZE)]
    tie_weights: bool = False
    dropout: _Share = 0.0
    batch: _Count
    steps: _Count
    epochs: _Count
    lr: Annotated[float, msgspec.Meta(gt=0)]
    warmup: _Share = 0.0
    schedule: Literal["cosine", "constant"] = "constant"
    weight_decay: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    beta_1: _Share = 0.9
    beta_2: _Share = 0.999
    clip: Annotated[float, msgspec.Meta(ge=0)] | None
    gradient_noise: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    val_split: _Share
    random_state: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None
    precision: str = "float32"


def network(params: LanguageModelParams, size: int) -> Sequential:
    """Give the model for a vocabulary, its input size set, without weights.

    Args:
        params: of its layers.
        size: of the vocabulary.

    Raises:
        DataError: if there are more units than a layer may have.
        UsageError: if settings do not go together.
    """
    if size > MAX_SIZE:
        wrong = f"the text has {size - 1:,} different {params.units}"
        raise DataError(say("LanguageModel", wrong, expected=f"at most {MAX_SIZE - 1:,}", cure="Is it text?"))
    if params.tie_weights and not params.embedding:
        cure = "Give embedding a number above 0, or leave tie_weights out"
        raise UsageError(say("LanguageModel", "tie_weights needs an embedding, and embedding is 0", cure=cure))
    recurrent: list[Layer] = []
    for layer in recurrent_stack(params.cell, params.hidden, layers=params.layers, where="LanguageModel"):
        recurrent += [layer, Dropout(params.dropout)] if params.dropout else [layer]
    # One-hot input learns slowly with Adam, which moves every weight alike: a 2x128 LSTM on Tiny Shakespeare was at
    # 1.73 nats per character after six epochs, with 64 numbers per character at 1.59.
    before = [Embedding(size, params.embedding, name="embedding")] if params.embedding else []
    after = [Dense(params.embedding)] if params.tie_weights and params.embedding != params.hidden else []
    out = Dense(size, tied_to="embedding" if params.tie_weights else None)
    model = Sequential([*before, *recurrent, *after, out], precision=params.precision)
    model.input_size, model.ids = size, True
    return model


def compile_network(model: Sequential, params: LanguageModelParams, rate: float | Schedule) -> None:
    """Say how a model is trained.

    Args:
        model: of `network`.
        params: of its training.
        rate: learning rate.
    """
    optimizer = AdamW(rate, weight_decay=params.weight_decay, beta_1=params.beta_1, beta_2=params.beta_2)
    model.compile(optimizer, "cross_entropy", clip=params.clip or None, gradient_noise=params.gradient_noise)


def rate_over(params: LanguageModelParams, n_updates: int) -> float | Schedule:
    """Give the learning rate over a training.

    Args:
        params: of it.
        n_updates: how many there are.
    """
    rise = round(params.warmup * n_updates)
    fall = schedules.Cosine(params.lr, decay_steps=max(1, n_updates - rise))
    then = fall if params.schedule == "cosine" else params.lr
    return schedules.Warmup(rise, then=then) if rise else then
