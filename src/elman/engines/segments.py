"""Batches run one segment of time after the other, for sequences that memory has no room for at once.

A segment is a window of time over all sequences of a batch; one that has ended passes its state on. Forward,
only the states at the borders are kept. Backward, from the last segment to the first, each is run again from
the state at its beginning, this time with a tape, and hands the gradient of that state to the one before it:
so gradients are those of the pass over whole sequences (Chen et al. 2016; Gruslys et al. 2016). Where even
the states at all borders are too many, some are kept, and the rest is found again from those, on as many
levels as it takes.

What comes after the last layer over time, such as the Dense layer of a classifier, sees one row per sequence
and is run once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.engines.native import Engine, Flow
from elman.engines.plans import FORWARD_SHARE, Plan, borders_of, count_over_time, steps_ahead, stride_of
from elman.layers import Layer
from elman.ops.losses.base import nothing_counts
from elman.ops.noise import WindowDraws
from elman.ops.workspace import activate
from elman.ragged import Ragged
from elman.training.batches import Batch
from elman.training.loop import Observe, State
from elman.training.parameters import Parameters

__all__ = ["Between", "Segmented"]

Array = NDArray[Any]

#: Called before every segment with the share of the batch that is done, [0, 1); what it raises ends the batch.
Between = Callable[[float], None]


class Segmented:
    """An engine that runs a batch in segments where a plan says so, and at once elsewhere.

    Masks are drawn as for the pass over whole sequences. Outputs are shown to metrics segment by segment.

    Args:
        engine: runs segments, and batches that need none. The layers over time have to be causal.
        plan: says of a batch how it is cut, or None to run it at once.
        between: called before every segment of a batch.

    Example:
        >>> from elman import layers
        >>> parts = [layers.GRU(8, return_sequences=True, name="gru"), layers.Dense(1, name="dense")]
        >>> parameters = Parameters.build(parts, 3, dtype="float64", rng=np.random.default_rng(0))
        >>> engine = Engine(parts, parameters, "squared_error")
        >>> x = Ragged.from_dense(np.random.default_rng(1).normal(size=(2, 30, 3)))
        >>> batch = Batch(x, np.ones((60, 1)), None, True)
        >>> loss, *_ = engine.loss_and_gradients(batch)
        >>> gradients = parameters.grads.copy()
        >>> again, *_ = Segmented(engine, lambda batch: Plan(7, kept=2)).loss_and_gradients(batch)
        >>> abs(again - loss) < 1e-14, bool(abs(parameters.grads - gradients).max() < 1e-14)
        (True, True)
    """

    def __init__(self, engine: Engine, plan: Callable[[Batch], Plan | None], between: Between | None = None) -> None:
        self.engine, self.plan, self.between = engine, plan, between

    @property
    def parameters(self) -> Parameters:
        """The parameters it computes with."""
        return self.engine.parameters

    def forward(
        self, x: Ragged, *, state: State | None = None, rng: np.random.Generator | None = None
    ) -> tuple[Flow, State]:
        """Run a batch through all layers; see `Engine.forward`."""
        batch = Batch(x, _NO_ROWS, None, True)
        plan = self.plan(batch)
        if plan is None:
            return self.engine.forward(x, state=state, rng=rng)
        return _Pass(self.engine, self.engine.layers, batch, plan, rng, None, self.between).forward(state)

    def loss_only(
        self, batch: Batch, *, state: State | None = None, observe: Observe | None = None, want_state: bool = True
    ) -> tuple[float, float, State | None]:
        """Compute the loss of a batch; see `Engine.loss_only`."""
        plan = self.plan(batch)
        if plan is None:
            return self.engine.loss_only(batch, state=state, observe=observe, want_state=want_state)
        run = _Pass(self.engine, self.engine._loss_layers, batch, plan, None, observe, self.between)
        return run.measure(state)

    def loss_and_gradients(
        self,
        batch: Batch,
        *,
        state: State | None = None,
        rng: np.random.Generator | None = None,
        observe: Observe | None = None,
        want_state: bool = True,
    ) -> tuple[float, float, State | None]:
        """Compute the loss of a batch and its gradient; see `Engine.loss_and_gradients`."""
        plan = self.plan(batch)
        if plan is None:
            return self.engine.loss_and_gradients(batch, state=state, rng=rng, observe=observe, want_state=want_state)
        run = _Pass(self.engine, self.engine._loss_layers, batch, plan, rng, observe, self.between)
        return run.train(state)


class _Pass:
    """One batch on its way through the segments.

    Attributes:
        over_time: how many layers see steps; the rest sees the rows that the last of them gives.
        rows: (B, F) what that one gives, where it gives one row per sequence.
        d_rows: (B, F) their gradient, once known.
        d_state: gradient of the state at the end of the segments still to come, layer by layer.
        done: what has been run, in times of a segment forward and back.
        work: what there is to run; infinite where nobody can say what comes after.
    """

    def __init__(
        self,
        engine: Engine,
        layers: tuple[Layer, ...],
        batch: Batch,
        plan: Plan,
        rng: np.random.Generator | None,
        observe: Observe | None,
        between: Between | None,
    ) -> None:
        self.between, self.done, self.work = between, 0.0, math.inf
        self.engine, self.batch, self.kept, self.rng, self.observe = engine, batch, plan.kept, rng, observe
        self.workspace = engine._free_workspace()
        self.over_time, self.gives_rows = count_over_time(layers)
        self.layers, self.after = layers[: self.over_time], layers[self.over_time :]
        self.borders = borders_of(batch.x.lengths, plan.n_segments)
        self.draws = None if rng is None else WindowDraws(rng, batch.x)
        self.rows: Array | None = None
        self.d_rows: Array | None = None
        self.d_state: list[Any] = [None] * self.over_time
        self.state_after: State = ()
        self.loss = 0.0
        weights = batch.weights
        self.weight = float(len(batch.target)) if weights is None else float(self._values(weights).sum())

    @property
    def n_segments(self) -> int:
        """How many segments there are: fewer than were asked for where there are not as many steps."""
        return len(self.borders) - 1

    def forward(self, state: State | None) -> tuple[Flow, State]:
        """Give the outputs and the last state."""
        begin, out_rows, x = state, _NO_ROWS, self.batch.x
        with activate(self.workspace):
            for index in range(self.n_segments):
                out, last, _ = self._segment(index, begin, tape=False)
                if isinstance(out, Ragged):
                    if not index:
                        out_rows = np.empty((x.n_steps, out.values.shape[1]), out.dtype)
                    out_rows[x.window_rows(*self.borders[index : index + 2])] = out.values
                begin = _copied(last)
            self._finish_draws()
            if not self.gives_rows:
                return x.with_values(out_rows), begin or ()
            out, last, _ = self._run_after(state, tape=False)
            return (out.with_values(out.values.copy()) if isinstance(out, Ragged) else out.copy()), (
                *(begin or ()),
                *_copied(last),
            )

    def measure(self, state: State | None) -> tuple[float, float, State]:
        """Give the mean loss, Σ w and the last state."""
        begin = state
        self.work = self.n_segments * FORWARD_SHARE
        self._check_weight()
        with activate(self.workspace):
            for index in range(self.n_segments):
                out, last, _ = self._segment(index, begin, tape=False)
                if not self.gives_rows:
                    self._judge_steps(index, out, want_grad=False)
                begin = _copied(last)
            if self.gives_rows:
                self._judge_rows(state, want_grad=False)
        return self.loss, self.weight, (*(begin or ()), *self.state_after)

    def train(self, state: State | None) -> tuple[float, float, State]:
        """Give the mean loss, Σ w and the last state, and put the gradients where they go."""
        self._check_weight()
        self.work = self.n_segments + steps_ahead(self.n_segments, self.kept) * FORWARD_SHARE
        self._first_state = state
        self._last_state: State = ()
        self.engine.parameters.grads.fill(0)
        with activate(self.workspace):
            self._back(0, self.n_segments, state)
        return self.loss, self.weight, (*self._last_state, *self.state_after)

    def _back(self, first: int, stop: int, state: State | None) -> None:
        """Take segments [first, stop) back; `state` is that at the beginning of the first."""
        if stop - first == 1:
            self._back_one(first, state)
            return
        begins = [*range(first, stop, stride_of(stop - first, self.kept))]
        states = [state]
        for begin, after in itertools.pairwise(begins):
            for index in range(begin, after):
                _, last, _ = self._segment(index, state, tape=False)
                state = _copied(last)
            states.append(state)
        for begin, after in zip(reversed(begins), reversed([*begins[1:], stop]), strict=True):
            self._back(begin, after, states.pop())

    def _back_one(self, index: int, state: State | None) -> None:
        """Run a segment with a tape, and take it back."""
        out, last, tapes = self._segment(index, state, tape=True)
        if index == self.n_segments - 1:
            self._last_state = _copied(last)
            self._finish_draws()
        if not self.gives_rows:
            dy = self._judge_steps(index, out, want_grad=True)
        else:
            d_rows = self.d_rows
            if d_rows is None:
                place = self.workspace.place
                d_rows = self.d_rows = self._judge_rows(self._first_state, want_grad=True)
                self.workspace.begin(place)  # so that the way back takes the same memory in every segment
            dy = np.where(self._ended(index)[:, None], d_rows, d_rows.dtype.type(0))
        d_state = self.d_state
        for place, layer, grads, want_dx in self.engine._backward:
            if place < self.over_time:
                d_last = d_state[place] or None
                dy, begin, _ = layer.backward(dy, tapes[place], grads, dstate=d_last, want_dx=want_dx)
                d_state[place] = tuple(part.copy() for part in begin)

    def _segment(self, index: int, state: State | None, *, tape: bool) -> tuple[Flow, Any, list[Any]]:
        """Run the layers over time forward over a segment; the results lie in the workspace."""
        start, stop = self.borders[index : index + 2]
        if self.between is not None:
            self.between(self.done / self.work)
        self.done += 1 if tape else FORWARD_SHARE
        self.workspace.begin()
        if self.draws is not None:
            self.draws.begin(start)
        out, last, tapes = self.engine._run(self.layers, self.batch.x.window(start, stop), state, self.draws, tape=tape)
        if not isinstance(out, Ragged) and self.d_rows is None:
            ended = self._ended(index)
            if self.rows is None:
                self.rows = np.zeros(out.shape, out.dtype)
            self.rows[ended] = out[ended]
        return out, last, tapes

    def _ended(self, index: int) -> NDArray[np.bool_]:
        """Say which sequences end in a segment; those of no steps end in the first."""
        start, stop = self.borders[index : index + 2]
        lengths = self.batch.x.lengths
        ended: NDArray[np.bool_] = (lengths <= stop) & ((lengths > start) | (index == 0))
        return ended

    def _judge_steps(self, index: int, out: Any, *, want_grad: bool) -> Any:
        """Compute the share that a segment has in the loss, and the gradient of its outputs."""
        rows = self.batch.x.window_rows(*self.borders[index : index + 2])
        target: Any = self.batch.target[rows]
        weights: Any = None if self.batch.weights is None else self.batch.weights[rows]
        d_rows = None
        share = (len(out.values) if weights is None else float(weights.sum())) / (self.weight or 1.0)
        if share:
            loss, _, d_rows = self.engine._compute(out.values, target, weights=weights, want_grad=want_grad)
            self.loss += loss * share
        if self.observe is not None:
            self.observe(out.values, target, weights)
        if not want_grad:
            return None
        if d_rows is None:
            return out.with_values(np.zeros_like(out.values))
        return out.with_values(np.multiply(d_rows, share, out=d_rows))

    def _judge_rows(self, state: State | None, *, want_grad: bool) -> Array:
        """Run what comes after the layers over time, and give the gradient of what it is given."""
        out, last, tapes = self._run_after(state, tape=want_grad)
        self.state_after = _copied(last)
        shown, target, weights = (self.engine._shown(part) for part in (out, self.batch.target, self.batch.weights))
        self.loss, _, d_out = self.engine._compute(shown, target, weights=weights, want_grad=want_grad)
        if self.observe is not None:
            self.observe(shown, target, weights)
        dy: Any = out.with_values(d_out) if isinstance(out, Ragged) and d_out is not None else d_out
        if not want_grad:
            return _NO_ROWS
        for place, layer, grads, want_dx in self.engine._backward:
            if place >= self.over_time:
                dy, _, _ = layer.backward(dy, tapes[place - self.over_time], grads, want_dx=want_dx)
        # Where no parameters are below, nobody asked for the gradient, and nobody will.
        return np.zeros_like(self.rows) if dy is None else np.array(dy)  # a copy of scratch memory

    def _run_after(self, state: State | None, *, tape: bool) -> tuple[Flow, Any, list[Any]]:
        """Run what comes after the layers over time."""
        begin = None if state is None else state[self.over_time :]
        return self.engine._run(self.after, self.rows, begin, self.rng, tape=tape)  # type: ignore[arg-type]  # a segment ran

    def _finish_draws(self) -> None:
        """Let what comes after the layers over time draw after them, as in a pass over whole sequences."""
        if self.draws is not None:
            self.draws.finish()

    def _check_weight(self) -> None:
        """Say it if nothing counts, as the loss of the whole batch would; what comes after time says so itself."""
        if not self.weight and not self.gives_rows:
            nothing_counts(_NO_ROWS, False)

    @staticmethod
    def _values(rows: Array | Ragged) -> Array:
        return rows.values if isinstance(rows, Ragged) else rows


_NO_ROWS = np.empty((0, 0))


def _copied(state: Sequence[tuple[Array, ...]]) -> State:
    """Take states out of scratch memory."""
    return tuple(tuple(part.copy() for part in parts) for parts in state)
