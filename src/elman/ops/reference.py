"""The recurrence in NumPy: the meaning that the native core is judged by.

Step by step with the cell's own equations, for float32, float64 and complex128.
Werbos 1990, "Backpropagation through time: what it does and how to do it".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.cells import Cell, numpy_namespace
from elman.ops.noise import QUIET, Noise
from elman.ops.tape import RecurrenceTape
from elman.ragged import Ragged

__all__ = ["Order", "StepBack", "Steps", "backward", "forward", "previous", "step", "step_back", "unroll"]

Array = NDArray[Any]
State = tuple[Array, ...]


class Order:
    """Who is still running at each step, when the longest sequences stand first.

    Attributes:
        order: (B,) the caller's index of each place; longest first.
        steps: the greatest length.
    """

    def __init__(self, x: Ragged) -> None:
        self.order = np.argsort(-x.lengths, kind="stable")
        self.steps = int(x.lengths.max(initial=0))
        self._starts = x.offsets[:-1][self.order]
        # active[t] = number of sequences longer than t
        self._active = len(x) - np.cumsum(np.bincount(x.lengths, minlength=self.steps + 1))

    def rows(self, t: int) -> Array:
        """Give the row of step t of every sequence that has one."""
        return self._starts[: self._active[t]] + t

    def back(self, parts: list[Array]) -> State:
        """Bring (B, H) arrays into the caller's order."""
        back = np.empty_like(self.order)
        back[self.order] = np.arange(len(back))
        return tuple(part[back] for part in parts)


class Steps(NamedTuple):
    """A recurrence, step by step.

    Attributes:
        states: the state after every step, each part (N, ·), rows as in x.
        last: the state after the last step of every sequence, each (B, ·).
        kept: what the way back needs of every step, each (N, ·); empty if it was not asked for.
    """

    states: State
    last: State
    kept: tuple[Array, ...]


def forward(
    cell: Cell, x: Ragged, weights: Mapping[str, Array], *, state: State | None, tape: bool, noise: Noise = QUIET
) -> tuple[Array, State, RecurrenceTape | None]:
    """Run a recurrence over a batch; see `elman.ops.recurrence.forward`."""
    (y, *_), last, kept = unroll(cell, x, weights, state=state, tape=tape, noise=noise)
    return y, last, RecurrenceTape(x, y, state, kept, noise) if tape else None


def unroll(
    cell: Cell, x: Ragged, weights: Mapping[str, Array], *, state: State | None, tape: bool, noise: Noise = QUIET
) -> Steps:
    """Run a recurrence over a batch and give every part of the state at every step.

    Args:
        cell: what to run.
        x: values (N, I) or token ids (N,).
        weights: of the layer.
        state: before the first step, each part (B, ·); zeros if None.
        tape: whether what the way back needs is kept.
        noise: what training does at random.
    """
    used = _dropped(weights, noise)
    weight_ih, weight_h = used["weight_ih"], cell.weight_of_h(used)
    # Of a one-hot row the product W x is a column of W.
    ax = weight_ih.T[x.values] if x.values.ndim == 1 else x.values @ weight_ih.T
    if not cell.bias_after:
        ax = ax + used["bias"]
    sizes = cell.state_sizes(weight_ih.shape[0] // cell.n_gates)
    dtype = np.result_type(ax, weight_h, *(state or ()))
    schedule = Order(x)
    if state is None:
        running = [np.zeros((len(x), size), dtype) for size in sizes]
    else:
        running = [part[schedule.order].astype(dtype) for part in state]
    states = tuple(np.empty((x.n_steps, size), dtype) for size in sizes)
    kept: list[Array] = []
    for t in range(schedule.steps):
        rows = schedule.rows(t)
        old = tuple(part[: len(rows)] for part in running)
        mask = 1 if noise.h_mask is None else noise.h_mask[schedule.order[: len(rows)]]
        zones = [_of_rows(zone, rows) for zone in noise.zones]
        new, keep = step(cell, ax[rows], old, used, mask=mask, zones=zones)
        if tape:
            if not kept:
                kept = [np.empty((x.n_steps, part.shape[1]), dtype) for part in keep]
            for whole, part in zip(kept, keep, strict=True):
                whole[rows] = part
        # Last: what was kept may be a view of the old state.
        for part, whole, value in zip(running, states, new, strict=True):
            part[: len(rows)] = whole[rows] = value
    return Steps(states, schedule.back(running), tuple(kept))


def backward(
    cell: Cell,
    dy: Array | None,
    tape: RecurrenceTape,
    weights: Mapping[str, Array],
    grads: Mapping[str, Array],
    *,
    dstate: State | None,
    want_dx: bool,
    keep_dh: bool,
) -> tuple[Array | None, State, Array | None]:
    """Take a recurrence back through time; see `elman.ops.recurrence.backward`."""
    x, y, initial, kept, noise = tape
    used = _dropped(weights, noise)
    into = dict(grads)  # with weight drop the gradient of R is masked before it is added
    if noise.weight_mask is not None:
        into["weight_hh"] = np.zeros_like(used["weight_hh"])
    weight_ih, weight_h = used["weight_ih"], cell.weight_of_h(used)
    d_weight_u = cell.weight_of_operand(into)
    n_rows, sizes = len(y), cell.state_sizes(weight_ih.shape[0] // cell.n_gates)
    schedule = Order(x)
    if dstate is None:
        running = [np.zeros((len(x), size), y.dtype) for size in sizes]
    else:
        running = [part[schedule.order].astype(y.dtype) for part in dstate]
    d_ax = np.empty((n_rows, weight_ih.shape[0]), y.dtype)
    d_ah = np.empty((n_rows, weight_h.shape[0]), y.dtype)
    dh = np.empty_like(y) if keep_dh else None
    for t in reversed(range(schedule.steps)):
        rows = schedule.rows(t)
        mask = 1 if noise.h_mask is None else noise.h_mask[schedule.order[: len(rows)]]
        # A sequence that ends here still holds the gradient of its last state.
        d_state: tuple[Array, ...] = tuple(part[: len(rows)] for part in running)
        if dy is not None:
            d_state = (d_state[0] + dy[rows], *d_state[1:])
        if dh is not None:
            dh[rows] = d_state[0]
        zones = [_of_rows(zone, rows) for zone in noise.zones]
        back = step_back(cell, d_state, tuple(part[rows] for part in kept), used, mask=mask, zones=zones)
        d_ax[rows], d_ah[rows] = back.d_ax, back.d_ah
        for part, value in zip(running, back.d_prev, strict=True):
            part[: len(rows)] = value
        running[0][: len(rows)] += (back.d_ah @ weight_h) * mask
        if d_weight_u is not None and back.d_product is not None:
            _add(d_weight_u, back.d_product.T @ back.operand)
        for name, value in back.d_extras.items():
            _add(into[name], value)
    if x.values.ndim == 1:
        np.add.at(into["weight_ih"].T, x.values, d_ax)
    else:
        _add(into["weight_ih"], d_ax.T @ x.values)
    h_prev = previous(y, x, None if initial is None else initial[0])
    if noise.h_mask is not None:
        h_prev *= np.repeat(noise.h_mask, x.lengths, axis=0)
    _add(cell.weight_of_h(into), d_ah.T @ h_prev)
    if not cell.bias_after:
        _add(into["bias"], d_ax.sum(0))
    if noise.weight_mask is not None:
        _add(grads["weight_hh"], into["weight_hh"] * noise.weight_mask)
    dx = d_ax @ weight_ih if want_dx and x.values.ndim == 2 else None
    return dx, schedule.back(running), dh


class StepBack(NamedTuple):
    """What a step back gives, row by row.

    Attributes:
        d_ax: gradient with respect to W x + b, or to W x where the cell adds b itself, (R, G·H).
        d_ah: gradient with respect to the product with h, (R, ·).
        d_prev: gradient with respect to the old state along every way but that product, each (R, ·).
        d_extras: gradients of the cell's own parameters, summed over the rows.
        d_product: gradient with respect to the second product (R, ·); None without one.
        operand: what it multiplies, (R, ·); None without one.
    """

    d_ax: Array
    d_ah: Array
    d_prev: State
    d_extras: dict[str, Array]
    d_product: Array | None
    operand: Any


def step(
    cell: Cell, ax: Array, old: State, used: Mapping[str, Array], *, mask: Array | float = 1, zones: Sequence[Any] = ()
) -> tuple[State, tuple[Array, ...]]:
    """Make one step of every row; rows know nothing of each other.

    Args:
        cell: what to run.
        ax: W x + b, or W x where the cell adds b itself, (R, G·H).
        old: the state before, each part (R, ·).
        used: the layer's weights.
        mask: what h is multiplied by before R.
        zones: how much stays of each part of the state; nothing if empty.

    Returns:
        The new state, and what the way back needs, each (R, ·).
    """
    weight_u = cell.weight_of_operand(used)
    new, keep = cell.step(numpy_namespace, ax, (old[0] * mask) @ cell.weight_of_h(used).T, old, used)
    if weight_u is not None:
        operand = new * mask if cell.operand_is_state else new
        new, keep = cell.finish(numpy_namespace, operand @ weight_u.T, keep, used)
        keep = (*keep, operand)
    if zones:  # whatever stays of the old state is mixed in last (Krueger et al. 2017)
        new = tuple(part + zone * (before - part) for part, before, zone in zip(new, old, zones, strict=False))
    return new, keep


def step_back(
    cell: Cell,
    d_state: State,
    kept: tuple[Array, ...],
    used: Mapping[str, Array],
    *,
    mask: Array | float = 1,
    zones: Sequence[Any] = (),
) -> StepBack:
    """Take one step of every row back.

    Args:
        cell: what was run.
        d_state: gradient with respect to the new state, each part (R, ·).
        kept: from `step`.
        used: as in `step`, like mask and zones.
        mask: what h was multiplied by before R.
        zones: how much stayed of each part of the state.
    """
    if zones:
        stays = [zone * part for zone, part in zip(zones, d_state, strict=False)]
    else:
        stays = [np.zeros_like(part) for part in d_state]
    back: tuple[Any, ...] = tuple(part - stay for part, stay in zip(d_state, stays, strict=True))
    d_product, operand, weight_u = None, None, cell.weight_of_operand(used)
    if weight_u is not None:
        *kept, operand = kept  # type: ignore[assignment]
        d_product, carried = cell.finish_backward(numpy_namespace, back, tuple(kept), used)
        back = ((d_product @ weight_u) * (mask if cell.operand_is_state else 1), *carried)
    d_ax, d_ah, d_prev, d_extras = cell.step_backward(numpy_namespace, back, tuple(kept), used)
    old = tuple(stay if value is None else stay + value for stay, value in zip(stays, d_prev, strict=True))
    return StepBack(d_ax, d_ah, old, d_extras, d_product, operand)


def _dropped(weights: Mapping[str, Array], noise: Noise) -> Mapping[str, Array]:
    """Give the weights as they are used: R without what weight drop takes away."""
    if noise.weight_mask is None:
        return weights
    return {**weights, "weight_hh": weights["weight_hh"] * noise.weight_mask}


def _of_rows(zone: Array | float, rows: Array) -> Array | float:
    return zone[rows] if isinstance(zone, np.ndarray) else zone


def previous(part: Array, x: Ragged, first: Array | None) -> Array:
    """Give a part of the state before every step.

    Args:
        part: after every step, (N, ·).
        x: the sequences that the rows belong to.
        first: before the first step of every sequence, (B, ·); zeros if None.

    Returns:
        (N, ·), rows as in x.
    """
    before = np.empty_like(part)
    before[1:] = part[:-1]
    begins = x.lengths > 0
    before[x.offsets[:-1][begins]] = 0 if first is None else first[begins]
    return before


def _add(total: Array, part: Array) -> None:
    total += part
