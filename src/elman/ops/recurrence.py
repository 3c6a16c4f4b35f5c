"""The recurrence over a ragged batch: native where there is a kernel, NumPy elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.cells import Cell
from elman.ops import reference
from elman.ops.core import native, note_slow_path
from elman.ops.kernels import of_recurrence
from elman.ops.noise import QUIET, Noise
from elman.ops.steps import Stepper
from elman.ops.tape import RecurrenceTape
from elman.ops.weights import Weights
from elman.ops.workspace import Workspace, current, empty_aligned
from elman.ragged import Ragged

__all__ = ["RecurrenceTape", "backward", "forward", "stepper"]

Array = NDArray[Any]
State = tuple[Array, ...]


def forward(
    cell: Cell, x: Ragged, weights: Weights, *, state: State | None, tape: bool, noise: Noise = QUIET
) -> tuple[Array, State, RecurrenceTape | None]:
    """Run a recurrence over a batch of sequences.

    Args:
        cell: what to run.
        x: values (N, I), or token ids (N,) below I, which stand for one-hot rows.
        weights: weight_ih (G·H, I), weight_hh (G·H, P), bias (G·H,), the cell's extras and, if it has a
            projection, weight_hr (P, H).
        state: the state before the first step, parts as in `cell.states`, h (B, P), c (B, H); zeros if None.
        tape: whether `backward` will follow.
        noise: what training does at random.

    Returns:
        y, the output h of every step (N, P); the state after the last step of every sequence, shaped as the
        initial one, and that one where there is no step; the tape, or None.
    """
    workspace = current()
    kernel = workspace.kernel(weights, _make_kernel, cell)
    if kernel is None:
        return reference.forward(cell, x, weights, state=state, tape=tape, noise=noise)
    return kernel.forward(workspace, x, weights.clock.ticks, state, tape, noise)  # type: ignore[no-any-return]


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
        dy: gradient with respect to y (N, P); None for zeros.
        tape: from `forward`.
        weights: as in `forward`.
        grads: gradients of the weights are added into these.
        dstate: gradient with respect to the last state, shaped as it; None for zeros.
        want_dx: whether dx is needed.
        keep_dh: whether dh is needed.

    Returns:
        dx (N, I), or None if not wanted or x is token ids; the gradient with respect to the initial
        state; dh (N, P), the whole gradient that reaches h at every step, or None.
    """
    workspace = current()
    kernel = workspace.kernel(weights, _make_kernel, cell)
    if kernel is None:
        return reference.backward(cell, dy, tape, weights, grads, dstate=dstate, want_dx=want_dx, keep_dh=keep_dh)
    return kernel.backward(  # type: ignore[no-any-return]
        workspace, dy, tape, weights.clock.ticks, grads, dstate, want_dx, keep_dh
    )


def stepper(cell: Cell, x: Array, weights: Weights, *, state: State, noise: Noise = QUIET) -> Stepper | None:
    """Bind a recurrence over sequences of one step to places in memory.

    Args:
        cell: what to run.
        x: where the input lies, values (n, I) or token ids (n,).
        weights: as in `forward`.
        state: where the state lies, each part (2, n, ·): two sides, used in turn.
        noise: the means of what training does at random.

    Returns:
        None where there is no native kernel.
    """
    kernel = current().kernel(weights, _make_kernel, cell)
    return None if kernel is None else kernel.stepper(x, state, noise)


def _make_kernel(weights: Weights, cell: Cell) -> _Kernel | None:
    dtype = weights["weight_hh"].dtype
    kernel, reason = of_recurrence(cell, dtype)
    if kernel is not None:
        return _Kernel(cell, weights)
    if native is not None and dtype in (np.float32, np.float64):  # complex numbers are for checks alone
        note_slow_path(str(reason))
    return None


class _Kernel:
    """One layer's native kernel, with the arrays it is to write into."""

    __slots__ = (
        "_dropped", "_dtype", "_extras", "_has_c", "_make", "_native", "_own_bias", "_sizes",
        "_weight_hh", "_width", "_width_cells", "_width_grads",
    )  # fmt: skip

    def __init__(self, cell: Cell, weights: Weights) -> None:
        self._weight_hh = weights["weight_hh"]
        self._dtype = self._weight_hh.dtype
        self._sizes = cell.state_sizes(len(self._weight_hh) // cell.n_gates)
        # A cell whose bias comes after something has it among its own parameters, last.
        self._own_bias = not cell.bias_after
        self._extras = (*cell.extras, *(() if self._own_bias else ("bias",)))
        make = getattr(native, "Recurrence32" if self._dtype == np.float32 else "Recurrence64")
        options = cell.config()
        fixed = {
            "cell": cell.kernel,
            "activation": options["activation"],
            "gate_activation": options.get("recurrent_activation", "sigmoid"),
            "weight_ih": weights["weight_ih"],
            "weight_hr": weights.get("weight_hr"),
            "bias": weights["bias"] if self._own_bias else None,
            "extras": [weights[name] for name in self._extras],
            "format": weights.precision or "",
        }
        self._make = partial(make, **fixed)
        self._native = self._make(weight_hh=self._weight_hh)
        self._dropped: _Dropped | None = None
        self._has_c = len(self._sizes) > 1
        self._width = self._native.tape_width
        self._width_cells = self._native.cell_width

    def forward(
        self, workspace: Workspace, x: Ragged, ticks: int, state: State | None, tape: bool, noise: Noise
    ) -> tuple[Array, State, RecurrenceTape | None]:
        values, lengths, take, dtype = x.values, x.lengths, workspace.take, self._dtype
        n_rows, n_sequences = len(values), len(lengths)
        y = take((n_rows, self._sizes[0]), dtype)
        h_last = take((n_sequences, self._sizes[0]), dtype)
        has_c = self._has_c
        c_last = take((n_sequences, self._sizes[1]), dtype) if has_c else None
        last = (h_last,) if c_last is None else (h_last, c_last)
        gates = take((n_rows, self._width), dtype) if tape else None
        cells = take((n_rows, self._width_cells), dtype) if tape and has_c else None
        rows, ids = self._input(values)
        h0, c0 = self._two(state)
        kernel, masks = self._native, None
        if noise is not QUIET:
            kernel, ticks, masks = self._with_noise(ticks, noise)
        kernel.forward(ticks, rows, ids, lengths, h0, c0, masks, y, h_last, c_last, gates, cells)
        if gates is None:
            return y, last, None
        return y, last, RecurrenceTape(x, y, state, (gates,) if cells is None else (gates, cells), noise)

    def stepper(self, x: Array, state: State, noise: Noise) -> Stepper:
        y = empty_aligned((len(x), self._sizes[0]), self._dtype)
        masks = None if noise is QUIET else self._with_noise(0, noise)[2]
        rows, ids = self._input(x)
        sides = [(part[0], part[1]) for part in state]
        make = getattr(native, "RecurrenceSteps32" if self._dtype == np.float32 else "RecurrenceSteps64")
        lengths = np.ones(len(x), np.int64)
        bound = make(self._native, rows, ids, lengths, sides[0], sides[1] if self._has_c else None, masks, y)
        return Stepper(y, bound.advance)

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
        x, y, state, kept, noise = tape
        values, lengths, take, dtype = x.values, x.lengths, workspace.take, self._dtype
        rows, ids = self._input(values)
        h0, c0 = self._two(state)
        dh_last, dc_last = self._two(dstate)
        if dy is not None:
            dy = np.ascontiguousarray(dy, dtype)
        dx = take(values.shape, dtype) if want_dx and ids is None else None
        dh = take(y.shape, dtype) if keep_dh else None
        has_c = self._has_c
        dh0 = take((len(lengths), self._sizes[0]), dtype)
        dc0 = take((len(lengths), self._sizes[1]), dtype) if has_c else None
        d_weight_hh = grads["weight_hh"]
        kernel, masks = self._native, None
        if noise is not QUIET:
            kernel, ticks, masks = self._with_noise(ticks, noise)
            if noise.weight_mask is not None:
                d_weight_hh = take(d_weight_hh.shape, dtype)
                d_weight_hh.fill(0)
        kernel.backward(
            ticks,
            dy,
            rows,
            ids,
            lengths,
            h0,
            c0,
            masks,
            y,
            kept[0],
            kept[1] if has_c else None,
            dh_last,
            dc_last,
            dx,
            dh0,
            dc0,
            dh,
            grads["weight_ih"],
            d_weight_hh,
            grads.get("weight_hr"),
            grads["bias"] if self._own_bias else None,
            [grads[name] for name in self._extras] if self._extras else _NOTHING,
        )
        if noise.weight_mask is not None:
            d_weight_hh *= noise.weight_mask
            np.add(grads["weight_hh"], d_weight_hh, out=grads["weight_hh"])
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
        return h, np.ascontiguousarray(state[1], self._dtype) if len(state) > 1 else None

    def _with_noise(self, ticks: int, noise: Noise) -> tuple[Any, int, tuple[Any, ...]]:
        """Give the kernel to use, when its weights changed last, and masks and means in its layout."""
        zones: list[Any] = []
        for zone in noise.zones[: len(self._sizes)]:
            zones += [np.ascontiguousarray(zone, self._dtype), 0.0] if isinstance(zone, np.ndarray) else [None, zone]
        mask = None if noise.h_mask is None else np.ascontiguousarray(noise.h_mask, self._dtype)
        masks = (mask, *zones, *([] if self._has_c else [None, 0.0]))
        if noise.weight_mask is None:
            return self._native, ticks, masks
        if self._dropped is None:
            weight_hh = empty_aligned(self._weight_hh.shape, self._dtype)
            self._dropped = _Dropped(weight_hh, self._make(weight_hh=weight_hh))
        dropped = self._dropped
        if noise.weight_mask is not dropped.mask or ticks != dropped.made_at:
            np.multiply(self._weight_hh, noise.weight_mask, out=dropped.weight_hh)
            dropped.mask, dropped.made_at, dropped.ticks = noise.weight_mask, ticks, dropped.ticks + 1
        return dropped.native, dropped.ticks, masks


_NOTHING: list[Array] = []


class _Dropped:
    """A second kernel of a layer, over a copy of R that weight drop has thinned."""

    __slots__ = ("made_at", "mask", "native", "ticks", "weight_hh")

    def __init__(self, weight_hh: Array, native: Any) -> None:
        self.weight_hh, self.native = weight_hh, native
        self.mask: Array | None = None
        self.made_at = self.ticks = 0
