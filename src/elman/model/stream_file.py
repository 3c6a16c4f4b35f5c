"""The file of a stream: where it has got to, and of which model."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import msgspec

from elman import files
from elman._version import __version__
from elman.errors import ModelFileError, say
from elman.training.loop import State

if TYPE_CHECKING:
    from elman.model.foundation import Foundation

__all__ = ["STREAM_STATE", "load", "save"]

#: What such a file says it is, where others name their task.
STREAM_STATE = "stream_state"
_Id = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]


class _Layer(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    kind: str
    state: list[int]

    def __str__(self) -> str:
        return f"{self.name} ({self.kind}{''.join(f', {size}' for size in self.state)})"


class _Saved(msgspec.Struct, forbid_unknown_fields=True):
    """What the file says beside the arrays."""

    model: str
    layers: list[_Layer]
    ids: list[_Id]
    next_id: _Id


def save(path: str | os.PathLike[str], model: Foundation, state: State, *, ids: Sequence[int], next_id: int) -> None:
    """Write state and ids of streams, atomically and durably.

    Args:
        path: where.
        model: whose state it is.
        state: a tuple over the layers, each part (n, ·).
        ids: of the n streams.
        next_id: the id of the next one that joins.

    Raises:
        SaveError: if it cannot be written.
    """
    saved = _Saved(model.name, _layers(model), list(ids), next_id)
    arrays = dict(zip(_names(model), (part for parts in state for part in parts), strict=True))
    meta = files.Meta(version=__version__, task=STREAM_STATE, config=msgspec.to_builtins(saved))
    files.save(path, arrays, meta)


def load(path: str | os.PathLike[str], model: Foundation) -> tuple[list[int], State, int]:
    """Read what `save` wrote.

    Args:
        path: the file.
        model: that is to go on.

    Returns:
        The ids, the state, and the id of the next stream that joins.

    Raises:
        UsageError: if there is no such file.
        ModelFileError: if it is no whole file, or holds the state of another model.
    """
    with files.open_model(path) as header:
        if header.meta.task != STREAM_STATE:
            wrong = f"it holds no state of a stream, but a {header.meta.task.replace('_', ' ')}"
            raise ModelFileError(say(header.where, wrong, cure="Give a file that Stream.save wrote"))
        try:
            saved = msgspec.convert(header.meta.config, _Saved)
        except msgspec.ValidationError as error:
            raise files.not_accepted(header, "config", str(error)) from None
        if saved.model != model.name:
            wrong = "it holds the state of another model"
            raise ModelFileError(say(header.where, wrong, expected=f"'{model.name}'", got=f"'{saved.model[:80]}'"))
        if saved.layers != (own := _layers(model)):
            wrong = f"it holds the state of another model named '{model.name}'"
            got = ", ".join(str(layer)[:80] for layer in saved.layers[:20])
            raise ModelFileError(say(header.where, wrong, expected=", ".join(map(str, own)), got=got))
        if len(set(saved.ids)) != len(saved.ids) or saved.next_id <= max(saved.ids, default=-1):
            raise files.not_accepted(header, "config", "its ids cannot be those of one stream")
        sizes = [size for layer in model.layers for size in layer.state_sizes()]
        names = list(_names(model))
        shapes = {name: (len(saved.ids), size) for name, size in zip(names, sizes, strict=True)}
        arrays = iter(header.read(shapes, dtype=model.dtype).values())
        state = tuple(tuple(next(arrays) for _ in layer.state_sizes()) for layer in model.layers)
        return saved.ids, state, saved.next_id


def _layers(model: Foundation) -> list[_Layer]:
    return [_Layer(str(layer.name), layer.kind, list(layer.state_sizes())) for layer in model.layers]


def _names(model: Foundation) -> Iterator[str]:
    """Name the arrays; a layer that stands twice has two states."""
    for place, layer in enumerate(model.layers):
        for part in range(len(layer.state_sizes())):
            yield f"{place}.{layer.name}.{part}"
