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
from elman.ops.tape import RecurrenceTape
from elman.ops.weights import Weights
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
    cell: Cell, x: Ragged, weights: Weights, *, state: State | None, tape: bool
) -> tuple[Array, State, RecurrenceTape | None]:
    """Run a recurrence over a batch; see `elman.ops.recurrence.forward`."""
    weight_ih, weight_hh = weights["weight_ih"], weights["weight_hh"]
    # Of a one-hot row the product W x is a column of W.
    wx = weight_ih.T[x.values] if x.values.ndim == 1 else x.values @ weight_ih.T
    ax = wx + weights["bias"]
    hidden_size = weight_hh.shape[1]
    dtype = np.result_type(ax, weight_hh, *(state or ()))
    schedule = _Order(x)
    if state is None:
        running = [np.zeros((len(x), hidden_size), dtype) for _ in cell.states]
    else:
        running = [part[schedule.order].astype(dtype) for part in state]
    y = np.empty((x.n_steps, hidden_size), dtype)
    kept: list[Array] = []
    for t in range(schedule.steps):
        rows = schedule.rows(t)
        old = tuple(part[: len(rows)] for part in running)
        new, keep = cell.step(numpy_namespace, ax[rows], old[0] @ weight_hh.T, old, weights)
        y[rows] = new[0]
        if tape:
            if not kept:
                kept = [np.empty((x.n_steps, part.shape[1]), dtype) for part in keep]
            for whole, part in zip(kept, keep, strict=True):
                whole[rows] = part
        for part, value in zip(running, new, strict=True):  # last: what was kept may be a view of the old state
            part[: len(rows)] = value
    return y, schedule.back(running), RecurrenceTape(x, y, state, tuple(kept)) if tape else None


def backward(
    cell: Cell,
    dy: Array | None,
    tape: RecurrenceTape,
    weights: Weights,
    grads: Mapping[str, Array],
    *,
    dstate: State | None,
    want_dx: bool,
    keep_dh: bool,
) -> tuple[Array | None, State, Array | None]:
    """Take a recurrence back through time; see `elman.ops.recurrence.backward`."""
    x, y, initial, kept = tape
    weight_ih, weight_hh = weights["weight_ih"], weights["weight_hh"]
    n_rows, hidden_size = y.shape
    schedule = _Order(x)
    if dstate is None:
        running = [np.zeros((len(x), hidden_size), y.dtype) for _ in cell.states]
    else:
        running = [part[schedule.order].astype(y.dtype) for part in dstate]
    d_ax = np.empty((n_rows, weight_hh.shape[0]), y.dtype)
    d_ah = np.empty_like(d_ax)
    dh = np.empty_like(y) if keep_dh else None
    for t in reversed(range(schedule.steps)):
        rows = schedule.rows(t)
        # A sequence that ends here still holds the gradient of its last state.
        d_state = [part[: len(rows)] for part in running]
        if dy is not None:
            d_state[0] = d_state[0] + dy[rows]
        if dh is not None:
            dh[rows] = d_state[0]
        step_tape = tuple(part[rows] for part in kept)
        d_ax_t, d_ah_t, d_prev, d_extras = cell.step_backward(numpy_namespace, tuple(d_state), step_tape, weights)
        d_ax[rows], d_ah[rows] = d_ax_t, d_ah_t
        for part, value in zip(running, d_prev, strict=True):
            part[: len(rows)] = 0 if value is None else value
        running[0][: len(rows)] += d_ah_t @ weight_hh
        for name, value in d_extras.items():
            _add(grads[name], value)
    if x.values.ndim == 1:
        np.add.at(grads["weight_ih"].T, x.values, d_ax)
    else:
        _add(grads["weight_ih"], d_ax.T @ x.values)
    _add(grads["weight_hh"], d_ah.T @ _previous(y, x, initial))
    _add(grads["bias"], d_ax.sum(0))
    dx = d_ax @ weight_ih if want_dx and x.values.ndim == 2 else None
    return dx, schedule.back(running), dh


def _previous(y: Array, x: Ragged, initial: State | None) -> Array:
    """Give h of the step before every step, (N, H)."""
    h_prev = np.empty_like(y)
    h_prev[1:] = y[:-1]
    begins = x.lengths > 0
    h_prev[x.offsets[:-1][begins]] = 0 if initial is None else initial[0][begins]
    return h_prev


def _add(total: Array, part: Array) -> None:
    total += part
