"""Listening to recurrences: what every one of a model did in a pass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.layers import Layer, Recurrent, Wrapper
from elman.ops import reference
from elman.ops.recurrence import RecurrenceTape
from elman.ragged import Ragged

__all__ = ["Heard", "Recurrence", "State", "listen", "recurrences"]

Array = NDArray[Any]
State = tuple[Array, ...]


class Recurrence(NamedTuple):
    """A recurrent layer of a model, however deep it is wrapped.

    Attributes:
        layer: it.
        turned: whether it reads from the end.
    """

    layer: Recurrent
    turned: bool


def recurrences(layers: Sequence[Layer]) -> dict[str, Recurrence]:
    """Give all recurrences of a model by name, from the input up.

    Args:
        layers: all named.

    Returns:
        "<layer>" or "<layer>.<part>" -> recurrence; a layer that stands twice is there once.

    Example:
        >>> from elman import Sequential, layers
        >>> model = Sequential([layers.Bidirectional(layers.GRU(4, return_sequences=True)), layers.LSTM(4)])
        >>> list(recurrences(model.layers))
        ['bidirectional.forward', 'bidirectional.backward', 'lstm']
    """
    found: dict[str, Recurrence] = {}
    for layer in layers:
        _collect(str(layer.name), layer, False, found)
    return found


def _collect(name: str, layer: Layer, turned: bool, found: dict[str, Recurrence]) -> None:
    if isinstance(layer, Recurrent):
        found.setdefault(name, Recurrence(layer, turned))
    elif isinstance(layer, Wrapper):
        for part, inner in layer.parts.items():
            # The part that reads from the end is called so, in the names of its weights, too.
            _collect(f"{name}.{part}", inner, turned != (part == "backward"), found)


class Heard(NamedTuple):
    """What one recurrence did in a pass, in its own order of time.

    Attributes:
        x: what came in, values (N, I) or token ids (N,).
        tape: of the recurrence, without what the kernel kept.
        others: the parts of the state besides h after every step, each (N, ·), as the kernel's tape has them.
        dh: the whole gradient that reached h at every step, (N, P); None where the pass did not come back.
        dlast: gradient with respect to the last state, if it was used; else None.
    """

    x: Ragged
    tape: RecurrenceTape
    others: tuple[Array, ...]
    dh: Array | None
    dlast: State | None


@contextlib.contextmanager
def listen(found: Mapping[str, Recurrence]) -> Iterator[dict[str, Heard]]:
    """Listen to recurrences while the block runs; nothing of what they compute is changed.

    The layers must belong to the caller alone: another thread that ran them would be heard, too. Of a layer that
    runs more than once in a pass, the last run counts.

    Args:
        found: from `recurrences`.

    Yields:
        What was heard, by name; copies, which outlive the pass.
    """
    heard: dict[str, Heard] = {}
    layers = {name: recurrence.layer for name, recurrence in found.items()}
    for name, layer in layers.items():
        _tap(name, layer, heard)
    try:
        yield heard
    finally:
        for layer in layers.values():
            del layer.forward, layer.backward  # the instance's own: what the class defines is seen again


def _tap(name: str, layer: Recurrent, heard: dict[str, Heard]) -> None:
    """Put functions in front of a layer's two ways that note what passes."""
    forward, backward = layer.forward, layer.backward

    def heard_forward(x: Ragged, **how: Any) -> Any:
        out, last, tape = forward(x, **(how | {"tape": True}))
        kept = tape.recurrence  # type: ignore[union-attr]  # it was asked for
        x = kept.x.with_values(kept.x.values.copy())
        others = _others(layer, kept)
        heard[name] = Heard(x, kept._replace(x=x, y=kept.y.copy(), kept=()), others, None, None)
        return out, last, tape

    def heard_backward(dy: Any, tape: Any, grads: Any, **how: Any) -> Any:
        dx, begin, dh = backward(dy, tape, grads, **(how | {"keep_dh": True}))
        heard[name] = heard[name]._replace(dh=dh.copy(), dlast=how.get("dstate"))  # type: ignore[union-attr]
        return dx, begin, dh

    layer.forward, layer.backward = heard_forward, heard_backward  # type: ignore[method-assign]


def _others(layer: Recurrent, tape: RecurrenceTape) -> tuple[Array, ...]:
    """Read the parts of the state besides h out of a native tape, if this is one, rows as in x."""
    sizes, order = layer.state_sizes(), reference.Order(tape.x)
    if len(sizes) != 2 or len(tape.kept) != 2 or tape.kept[1].shape[1] < sizes[1]:
        return ()
    # src/native/views.h: step after step, in each the longest sequences first, the width padded.
    rows = np.concatenate([order.rows(t) for t in range(order.steps)] or [np.empty(0, np.int64)])
    part = np.empty((len(rows), sizes[1]), tape.y.dtype)
    part[rows] = tape.kept[1][:, : sizes[1]]
    return (part,)
