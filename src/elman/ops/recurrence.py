"""The recurrence over a ragged batch: native where there is a kernel, NumPy elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.cells import Cell
from elman.ops import reference
from elman.ops.core import native, note_slow_path
from elman.ops.tape import RecurrenceTape
from elman.ops.weights import Weights
from elman.ops.workspace import Workspace, current
from elman.ragged import Ragged

__all__ = ["RecurrenceTape", "backward", "forward"]

Array = NDArray[Any]
State = tuple[Array, ...]


def forward(
    cell: Cell, x: Ragged, weights: Weights, *, state: State | None, tape: bool
) -> tuple[Array, State, RecurrenceTape | None]:
    """Run a recurrence over a batch of sequences.

    Args:
        cell: what to run.
        x: values (N, I), or token ids (N,) below I, which stand for one-hot rows.
        weights: weight_ih (G·H, I), weight_hh (G·H, H), bias (G·H,) and the cell's extras.
        state: the state before the first step, parts as in `cell.states`, each (B, H); zeros if None.
        tape: whether `backward` will follow.

    Returns:
        y, the output h of every step (N, H); the state after the last step of every sequence, each
        (B, H), the initial one where there is no step; the tape, or None.
    """
    workspace = current()
    kernel = workspace.kernel(weights, _make_kernel, cell)
    if kernel is None:
        return reference.forward(cell, x, weights, state=state, tape=tape)
    return kernel.forward(workspace, x, weights.clock.ticks, state, tape)  # type: ignore[no-any-return]


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
    """Take a recurrence back through time.

    Args:
        cell: what was run.
        dy: gradient with respect to y (N, H); None for zeros.
        tape: from `forward`.
        weights: as in `forward`.
        grads: gradients of the weights are added into these.
        dstate: gradient with respect to the last state, each (B, H); None for zeros.
        want_dx: whether dx is needed.
        keep_dh: whether dh is needed.

    Returns:
        dx (N, I), or None if not wanted or x is token ids; the gradient with respect to the initial
        state, each (B, H); dh (N, H), the whole gradient that reaches h at every step, or None.
    """
    workspace = current()
    kernel = workspace.kernel(weights, _make_kernel, cell)
    if kernel is None:
        return reference.backward(cell, dy, tape, weights, grads, dstate=dstate, want_dx=want_dx, keep_dh=keep_dh)
    return kernel.backward(  # type: ignore[no-any-return]
        workspace, dy, tape, weights.clock.ticks, grads, dstate, want_dx, keep_dh
    )


def _make_kernel(weights: Weights, cell: Cell) -> _Kernel | None:
    dtype = weights["weight_hh"].dtype
    if native is None or dtype not in (np.float32, np.float64):
        return None
    # A cell's options choose among kernels of one family: "rnn.tanh".
    name = ".".join((cell.name, *map(str, cell.config().values())))
    if not native.has_cell(name):
        note_slow_path(f"there is no native kernel for the cell {cell}")
        return None
    return _Kernel(cell, name, weights)


class _Kernel:
    """One layer's native kernel, with the arrays it is to write into."""

    __slots__ = ("_bias_hn", "_cells", "_dtype", "_hidden", "_native", "_width", "_width_cells")

    def __init__(self, cell: Cell, name: str, weights: Weights) -> None:
        weight_hh = weights["weight_hh"]
        self._dtype = weight_hh.dtype
        make = getattr(native, "Recurrence32" if self._dtype == np.float32 else "Recurrence64")
        self._native = make(name, weights["weight_ih"], weight_hh, weights["bias"], weights.get("bias_hn"))
        self._hidden = weight_hh.shape[1]
        self._cells = len(cell.states) == 2
        self._bias_hn = "bias_hn" in weights
        self._width = self._native.tape_width
        self._width_cells = self._native.cell_width

    def forward(
        self, workspace: Workspace, x: Ragged, ticks: int, state: State | None, tape: bool
    ) -> tuple[Array, State, RecurrenceTape | None]:
        values, lengths, take = x.values, x.lengths, workspace.take
        dtype = self._dtype
        n_rows, shape = len(values), (len(lengths), self._hidden)
        y = take((n_rows, self._hidden), dtype)
        h_last = take(shape, dtype)
        gates = take((n_rows, self._width), dtype) if tape else None
        rows, ids = self._input(values)
        h0, c0 = self._two(state)
        if not self._cells:
            self._native.forward(ticks, rows, ids, lengths, h0, None, y, h_last, None, gates, None)
            return y, (h_last,), RecurrenceTape(x, y, state, (gates,)) if gates is not None else None
        c_last = take(shape, dtype)
        cells = take((n_rows, self._width_cells), dtype) if tape else None
        self._native.forward(ticks, rows, ids, lengths, h0, c0, y, h_last, c_last, gates, cells)
        kept = None if gates is None or cells is None else RecurrenceTape(x, y, state, (gates, cells))
        return y, (h_last, c_last), kept

    def backward(
        self,
        workspace: Workspace,
        dy: Array | None,
        tape: RecurrenceTape,
        ticks: int,
        grads: Mapping[str, Array],
        dstate: State | None,
        want_dx: bool,
        keep_dh: bool,
    ) -> tuple[Array | None, State, Array | None]:
        x, y, state, kept = tape
        values, lengths, take = x.values, x.lengths, workspace.take
        dtype = self._dtype
        shape = (len(lengths), self._hidden)
        rows, ids = self._input(values)
        h0, c0 = self._two(state)
        dh_last, dc_last = self._two(dstate)
        if dy is not None:
            dy = np.ascontiguousarray(dy, dtype)
        da = take(kept[0].shape, dtype)
        dx = take(values.shape, dtype) if want_dx and ids is None else None
        dh = take(y.shape, dtype) if keep_dh else None
        dh0 = take(shape, dtype)
        dc0 = take(shape, dtype) if self._cells else None
        self._native.backward(
            ticks,
            dy,
            rows,
            ids,
            lengths,
            h0,
            c0,
            y,
            kept[0],
            kept[1] if self._cells else None,
            dh_last,
            dc_last,
            da,
            dx,
            dh0,
            dc0,
            dh,
            grads["weight_ih"],
            grads["weight_hh"],
            grads["bias"],
            grads["bias_hn"] if self._bias_hn else None,
        )
        return dx, (dh0,) if dc0 is None else (dh0, dc0), dh

    def _input(self, values: Array) -> tuple[Array | None, Array | None]:
        """Give rows of numbers or token ids, the other None, in the kernel's layout."""
        if values.ndim == 2:
            return np.ascontiguousarray(values, self._dtype), None
        return None, np.ascontiguousarray(values, np.int64)

    def _two(self, state: State | None) -> tuple[Array | None, Array | None]:
        """Give h and c of a state in the kernel's layout."""
        if state is None:
            return None, None
        h = np.ascontiguousarray(state[0], self._dtype)
        return h, np.ascontiguousarray(state[1], self._dtype) if self._cells else None
