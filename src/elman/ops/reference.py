"""The recurrence in NumPy: the meaning that the native core is judged by.

Step by step with the cell's own equations, for float32, float64 and complex128.
Werbos 1990, "Backpropagation through time: what it does and how to do it".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.cells import Cell, numpy_namespace
from elman.ops.noise import QUIET, Noise
from elman.ops.tape import RecurrenceTape
from elman.ragged import Ragged

__all__ = ["backward", "forward"]

Array = NDArray[Any]
State = tuple[Array, ...]


class _Order:
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


def forward(
    cell: Cell, x: Ragged, weights: Mapping[str, Array], *, state: State | None, tape: bool, noise: Noise = QUIET
) -> tuple[Array, State, RecurrenceTape | None]:
    """Run a recurrence over a batch; see `elman.ops.recurrence.forward`."""
    used = _dropped(weights, noise)
    weight_ih, weight_h, weight_u = used["weight_ih"], cell.weight_of_h(used), cell.weight_of_operand(used)
    # Of a one-hot row the product W x is a column of W.
    ax = weight_ih.T[x.values] if x.values.ndim == 1 else x.values @ weight_ih.T
    if not cell.bias_after:
        ax = ax + used["bias"]
    sizes = cell.state_sizes(weight_ih.shape[0] // cell.n_gates)
    dtype = np.result_type(ax, weight_h, *(state or ()))
    schedule = _Order(x)
    if state is None:
        running = [np.zeros((len(x), size), dtype) for size in sizes]
    else:
        running = [part[schedule.order].astype(dtype) for part in state]
    y = np.empty((x.n_steps, sizes[0]), dtype)
    kept: list[Array] = []
    for t in range(schedule.steps):
        rows = schedule.rows(t)
        old = tuple(part[: len(rows)] for part in running)
        mask = 1 if noise.h_mask is None else noise.h_mask[schedule.order[: len(rows)]]
        new, keep = cell.step(numpy_namespace, ax[rows], (old[0] * mask) @ weight_h.T, old, used)
        if weight_u is not None:
            operand = new * mask if cell.operand_is_state else new
            new, keep = cell.finish(numpy_namespace, operand @ weight_u.T, keep, used)
            keep = (*keep, operand)
        # Whatever stays of the old state is mixed in last (Krueger et al. 2017).
        new = tuple(
            part + _of_rows(zone, rows) * (before - part)
            for part, before, zone in zip(new, old, noise.zones, strict=False)
        )
        y[rows] = new[0]
        if tape:
            if not kept:
                kept = [np.empty((x.n_steps, part.shape[1]), dtype) for part in keep]
            for whole, part in zip(kept, keep, strict=True):
                whole[rows] = part
        for part, value in zip(running, new, strict=True):  # last: what was kept may be a view of the old state
            part[: len(rows)] = value
    return y, schedule.back(running), RecurrenceTape(x, y, state, tuple(kept), noise) if tape else None


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
    weight_ih, weight_h, weight_u = used["weight_ih"], cell.weight_of_h(used), cell.weight_of_operand(used)
    d_weight_u = cell.weight_of_operand(into)
    n_rows, sizes = len(y), cell.state_sizes(weight_ih.shape[0] // cell.n_gates)
    schedule = _Order(x)
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
        zones = [_of_rows(zone, rows) for zone in noise.zones[: len(d_state)]]
        stays = [zone * part for zone, part in zip(zones, d_state, strict=True)]
        back: tuple[Any, ...] = tuple(part - stay for part, stay in zip(d_state, stays, strict=True))
        step_tape = tuple(part[rows] for part in kept)
        if weight_u is not None and d_weight_u is not None:
            *step_tape, operand = step_tape  # type: ignore[assignment]
            d_product, carried = cell.finish_backward(numpy_namespace, back, tuple(step_tape), used)
            _add(d_weight_u, d_product.T @ operand)
            back = ((d_product @ weight_u) * (mask if cell.operand_is_state else 1), *carried)
        d_ax_t, d_ah_t, d_prev, d_extras = cell.step_backward(numpy_namespace, back, tuple(step_tape), used)
        d_ax[rows], d_ah[rows] = d_ax_t, d_ah_t
        for part, stay, value in zip(running, stays, d_prev, strict=True):
            part[: len(rows)] = stay if value is None else stay + value
        running[0][: len(rows)] += (d_ah_t @ weight_h) * mask
        for name, value in d_extras.items():
            _add(into[name], value)
    if x.values.ndim == 1:
        np.add.at(into["weight_ih"].T, x.values, d_ax)
    else:
        _add(into["weight_ih"], d_ax.T @ x.values)
    h_prev = _previous(y, x, initial)
    if noise.h_mask is not None:
        h_prev *= np.repeat(noise.h_mask, x.lengths, axis=0)
    _add(cell.weight_of_h(into), d_ah.T @ h_prev)
    if not cell.bias_after:
        _add(into["bias"], d_ax.sum(0))
    if noise.weight_mask is not None:
        _add(grads["weight_hh"], into["weight_hh"] * noise.weight_mask)
    dx = d_ax @ weight_ih if want_dx and x.values.ndim == 2 else None
    return dx, schedule.back(running), dh


def _dropped(weights: Mapping[str, Array], noise: Noise) -> Mapping[str, Array]:
    """Give the weights as they are used: R without what weight drop takes away."""
    if noise.weight_mask is None:
        return weights
    return {**weights, "weight_hh": weights["weight_hh"] * noise.weight_mask}


def _of_rows(zone: Array | float, rows: Array) -> Array | float:
    return zone[rows] if isinstance(zone, np.ndarray) else zone


def _previous(y: Array, x: Ragged, initial: State | None) -> Array:
    """Give h of the step before every step, (N, H)."""
    h_prev = np.empty_like(y)
    h_prev[1:] = y[:-1]
    begins = x.lengths > 0
    h_prev[x.offsets[:-1][begins]] = 0 if initial is None else initial[0][begins]
    return h_prev


def _add(total: Array, part: Array) -> None:
    total += part
