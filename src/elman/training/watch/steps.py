"""What was heard, taken apart step by step by the cell's own definition, in NumPy.

So one piece of maths serves every cell, and what it says is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.layers import Recurrent
from elman.ops import reference
from elman.ragged import Ragged
from elman.training.watch.listening import Heard, State

__all__ = ["Forward", "Way", "forward_steps", "gates_of", "input_product", "pull_back", "way_back"]

Array = NDArray[Any]

# Two ways of computing the same numbers in float64 differ by less.
_SAME = 1e-9


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
