"""Gradients through time: what reaches every recurrence of a model, step by step.

A pass of the engine is listened to; what was heard is then taken apart by the cell's own definition, in NumPy. So
one piece of maths serves every cell, and what it says is exact.
"""

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

__all__ = [
    "Forward",
    "Heard",
    "Recurrence",
    "Way",
    "forward_steps",
    "gates_of",
    "input_product",
    "listen",
    "pull_back",
    "recurrences",
    "way_back",
]

Array = NDArray[Any]
State = tuple[Array, ...]

# Two ways of computing the same numbers in float64 differ by less.
_SAME = 1e-9


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


class Forward(NamedTuple):
    """A recurrence that was heard, taken apart step by step; every row is one step.

    Attributes:
        before: the state before every step, each part (N, ·).
        after: the state after it.
        kept: what the cell keeps of every step, each (N, ·).
    """

    before: State
    after: State
    kept: tuple[Array, ...]


def forward_steps(layer: Recurrent, heard: Heard) -> Forward:
    """Work out every part of the state before and after every step, and what the cell keeps.

    Args:
        layer: that was heard.
        heard: of it.
    """
    cell, x, tape = layer.cell, heard.x, heard.tape
    initial = tape.initial or (None,) * len(cell.states)
    if len(heard.others) == len(cell.states) - 1:
        # All parts are known at every step, so that no step has to wait for the one before.
        after = (tape.y, *heard.others)
        before = _before(after, x, initial)
        new, kept = reference.step(cell, input_product(layer, x), before, layer.weights, zones=tape.noise.zones)
        # Trusted only where the definition says the same: the layout of the tape is the kernel's own affair.
        if all(np.allclose(part, known, rtol=_SAME, atol=_SAME) for part, known in zip(new, after, strict=True)):
            return Forward(before, after, kept)
    steps = reference.unroll(cell, x, layer.weights, state=tape.initial, tape=True, noise=tape.noise)
    return Forward(_before(steps.states, x, initial), steps.states, steps.kept)


def _before(after: State, x: Ragged, initial: Sequence[Array | None]) -> State:
    """Give the state before every step from that after it."""
    return tuple(reference.previous(part, x, first) for part, first in zip(after, initial, strict=True))


def input_product(layer: Recurrent, x: Ragged) -> Array:
    """Give W x + b of every step, or W x where the cell adds b itself, (N, G·H).

    Args:
        layer: with its weights.
        x: values (N, I) or token ids (N,).
    """
    weight = layer.weights["weight_ih"]
    ax = weight.T[x.values] if x.values.ndim == 1 else x.values @ weight.T
    return ax if layer.cell.bias_after else ax + layer.weights["bias"]


def gates_of(layer: Recurrent, heard: Heard, before: State) -> dict[str, Array]:
    """Give the value of every gate at every step by the cell's own names, (N, H) each.

    What is both a gate and a part of the state, such as h of a simple recurrent cell, is left to the states.

    Args:
        layer: that was heard.
        heard: of it.
        before: the state before every step, from `forward_steps`.
    """
    cell = layer.cell
    _, kept = reference.step(cell, input_product(layer, heard.x), before, layer.weights, zones=heard.tape.noise.zones)
    names = getattr(kept, "_fields", cell.tape_gates)
    known = {*cell.gates, *cell.tape_gates} - set(cell.states)
    found = {name: part for name, part in zip(names, kept, strict=False) if name in known}
    order = [name for name in cell.gates if name in found]
    return {name: found[name] for name in (*[name for name in found if name not in order], *order)}


def pull_back(layer: Recurrent, d_state: State, kept: tuple[Array, ...], zones: tuple[Any, ...]) -> State:
    """Give the gradient of the old state from that of the new one, through one step of every row.

    Args:
        layer: with its weights.
        d_state: gradient with respect to the state after the step, each part (R, ·).
        kept: of these steps, each (R, ·).
        zones: as in `reference.step_back`.
    """
    back = reference.step_back(layer.cell, d_state, kept, layer.weights, zones=zones)
    return (back.d_prev[0] + back.d_ah @ layer.cell.weight_of_h(layer.weights), *back.d_prev[1:])


class Way(NamedTuple):
    """The way back through a recurrence that was heard; every row is one step.

    Attributes:
        d_state: gradient with respect to the state after every step, each part (N, ·): all that reaches h, by the
            layers above and through time, and what reaches c through time (h being a number of its own).
        d_ax: gradient with respect to W x, (N, G·H).
        d_ah: gradient with respect to the product with h, (N, ·).
        d_product: gradient with respect to the second product (N, ·); None without one.
        operand: what it multiplies, (N, ·); None without one.
    """

    d_state: State
    d_ax: Array
    d_ah: Array
    d_product: Array | None
    operand: Array | None


def way_back(layer: Recurrent, heard: Heard, steps: Forward) -> Way:
    """Work out the gradient of every part of the state, and of every product, at every step.

    Args:
        layer: that was heard.
        heard: of it, with the way back.
        steps: from `forward_steps`.
    """
    cell, weights, zones = layer.cell, layer.weights, heard.tape.noise.zones
    dh = heard.dh
    assert dh is not None, "only a pass that came back has gradients"
    d_state: State = (dh,)
    if len(cell.states) == 1:
        back = reference.step_back(cell, d_state, steps.kept, weights, zones=zones)
    else:
        d_state, back = _carried(layer, heard, steps)
    return Way(d_state, back.d_ax, back.d_ah, back.d_product, back.operand)


def _carried(layer: Recurrent, heard: Heard, steps: Forward) -> tuple[State, reference.StepBack]:
    """Work out the gradient of all parts of the state: those besides h go from step to step; and all steps back."""
    cell, weights, zones, x = layer.cell, layer.weights, heard.tape.noise.zones, heard.x
    dh, order = heard.dh, reference.Order(x)
    assert dh is not None, "only a pass that came back has gradients"
    nothing = tuple(np.zeros((len(x), part.shape[1])) for part in steps.after[1:])
    last = nothing if heard.dlast is None else heard.dlast[1:]

    def through(parts: tuple[Array, ...], rows: Any = slice(None)) -> reference.StepBack:
        kept = tuple(part[rows] for part in steps.kept)
        return reference.step_back(cell, (dh[rows], *parts), kept, weights, zones=zones)

    # A step back is linear. If every unit hands its gradient to itself alone, as in an LSTM, two looks at all steps
    # tell by how much, and what is left to do step by step is a product and a sum.
    added = through(tuple(np.zeros_like(part) for part in steps.after[1:])).d_prev[1:]
    one = through(tuple(np.ones_like(part) for part in steps.after[1:])).d_prev[1:]
    factors = tuple(part - offset for part, offset in zip(one, added, strict=True))

    def unit_by_unit(rows: Array, parts: tuple[Array, ...]) -> tuple[Array, ...]:
        return tuple(f[rows] * part + offset[rows] for f, part, offset in zip(factors, parts, added, strict=True))

    def as_defined(rows: Array, parts: tuple[Array, ...]) -> tuple[Array, ...]:
        return through(parts, rows).d_prev[1:]

    for way in (unit_by_unit, as_defined):
        found = tuple(np.zeros_like(part) for part in steps.after[1:])
        running = [part[order.order].astype(dh.dtype) for part in last]
        for t in reversed(range(order.steps)):
            rows = order.rows(t)
            now = tuple(part[: len(rows)] for part in running)
            for whole, part in zip(found, now, strict=True):
                whole[rows] = part
            for part, value in zip(running, way(rows, now), strict=True):
                part[: len(rows)] = value
        # What the definition makes of it at all steps has to be what arrived at the steps before.
        back = through(found)
        if _fits(back.d_prev[1:], found, x):
            break
    return (dh, *found), back


def _fits(handed: tuple[Array, ...], found: tuple[Array, ...], x: Ragged) -> bool:
    """Say whether what every step hands back is what the step before it was found to get."""
    inner = np.ones(x.n_steps, bool)
    inner[x.offsets[:-1][x.lengths > 0]] = False  # what a first step hands back leaves the sequence
    return all(
        np.abs(a[inner] - b[np.flatnonzero(inner) - 1]).max(initial=0)
        <= _SAME * max(float(np.abs(b).max(initial=0)), 1e-300)
        for a, b in zip(handed, found, strict=True)
    )
