"""Watching gradients while a model is trained; nothing of the training is changed."""

from __future__ import annotations

import contextlib
import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.layers import Dense, Layer, Wrapper
from elman.model.data import own_steps
from elman.model.double import copy_weights, doubled, widened
from elman.model.foundation import Foundation
from elman.ops.flat import sum_of_squares
from elman.ragged import Ragged
from elman.training.batches import Batch
from elman.training.loop import State
from elman.training.watch import (
    Complaints,
    Dead,
    Forward,
    Sample,
    Sampling,
    Way,
    figures_of,
    forward_steps,
    lag_norms,
    lag_zero,
    lines_of,
    listen,
    recurrences,
    way_back,
)

__all__ = ["GradientWatch"]

Array = NDArray[Any]

#: The lags that are shown: twice as far each time, as far as the sequences of a sample reach.
LAGS = (1, 2, 4, 8, 16, 32, 64, 128)

# Losses E_t of a sample, each of another sequence, and the most steps that their windows have together.
_POSITIONS, _STEPS = 4, 8192

# A unit hands on nothing where less than this share of the gradient that reaches its layer comes out of it.
_NOTHING = 1e-3


class _Windows(NamedTuple):
    """What a sample runs over.

    Attributes:
        batch: a window of every sequence that was chosen, with one loss in each.
        at: (P,) step of the loss in its window.
        state: in which the windows begin; None for the first state.
    """

    batch: Batch
    at: NDArray[np.int64]
    state: State | None


class GradientWatch:
    """Take samples of the gradients of a training: by layer, by lag, and of units that are dead.

    The norms by layer are those of the batch that is trained on. By lag the gradient is that of the losses at a few
    steps of it, taken back exactly and in float64 by a copy of the model, without dropout. Windows that begin in the
    middle of a sequence begin at the first state, so many steps early that it is forgotten.

    Args:
        model: built and compiled.
        per_step: whether there is a loss for every step.
        clock: gives the time in seconds; samples take a tenth of it at most.

    Attributes:
        figures: of the last sample, by name.
        lines: of the last sample, for a terminal.
    """

    def __init__(self, model: Foundation, *, per_step: bool, clock: Callable[[], float] = time.perf_counter) -> None:
        self.per_step = per_step
        self.sampling = Sampling(clock=clock)
        self.figures: dict[str, float] = {}
        self.lines: list[str] = []
        self._known: dict[str, float] = {}
        self._model = model
        self._epoch: defaultdict[str, list[float]] = defaultdict(list)
        # Its own: what training draws is not touched.
        self._rng = np.random.default_rng(0)
        kinds = {name: found.layer.kind for name, found in recurrences(model.layers).items()}
        self._complaints = Complaints(kinds, clipped=model.clip is not None)
        labels = model.loss is not None and model.loss.targets == "labels"
        self._causal = all(layer.causal for layer in model.layers) and own_steps(model.layers) is None
        self._spread = not per_step and (labels or not self._causal)  # one loss that may look at all steps

    @functools.cached_property
    def _twin(self) -> Any:
        """The copy of the model that samples are run with."""
        return doubled(self._model, self._model.loss)

    def begin(self) -> None:
        """Begin an epoch."""
        self.sampling.begin()
        self._epoch.clear()

    def after(self, batch: Batch, state: State | None) -> bool:
        """Hear that the gradients of a batch are there, before they are clipped; take a sample if it is due.

        Args:
            batch: that was run.
            state: in which it began.

        Returns:
            Whether a sample was taken.
        """
        if not self.sampling.due():
            return False
        with self.sampling.taking(), np.errstate(all="ignore"):
            sample = self._sample(batch, state)
            self.figures, self.lines = figures_of(sample), lines_of(sample)
            self._known |= self.figures
            for name, value in self.figures.items():
                self._epoch[name].append(value)
            self._complaints.hear(sample)
        return True

    def epoch(self) -> dict[str, float]:
        """Give the figures of the epoch: medians over its samples, or the last ones known where it had none."""
        return self._known | {name: float(np.median(values)) for name, values in self._epoch.items()}

    def finish(self) -> None:
        """Say what there is to be said at the end of training."""
        self._complaints.finish()

    def _sample(self, batch: Batch, state: State | None) -> Sample:
        squares: defaultdict[str, float] = defaultdict(float)
        for name, grad in self._model.parameters.named_grads().items():
            squares[name.rpartition(".")[0]] += sum_of_squares(grad.reshape(-1))
        norms = {name: float(np.sqrt(square)) for name, square in squares.items()}
        windows = self._windows(batch, state)
        if windows is None:
            return Sample(norms, {}, {})
        twin = self._twin
        copy_weights(self._model.parameters, twin.parameters)
        found = recurrences(twin.layers)
        shares: dict[str, dict[int, float]] = {}
        with listen(found) as heard, _outputs(twin.layers) as outputs:
            twin.loss_and_gradients(windows.batch, state=windows.state, want_state=False)
        dead = {name: _dead_of_outputs(kind, y) for name, (kind, y) in outputs.items()}
        for name, (layer, turned) in found.items():
            if name not in heard or heard[name].dh is None:
                continue  # nothing with weights is below it, so nobody asked for its gradient
            x = heard[name].x
            steps = forward_steps(layer, heard[name])
            way = way_back(layer, heard[name], steps)
            begin = lag_zero(x.lengths, windows.at, turned=turned, per_step=self.per_step)
            lags = [lag for lag in LAGS if lag <= begin.max(initial=0)]
            by_lag = lag_norms(layer, x, way.d_state, begin, lags=max(lags, default=0))["state"]
            left = by_lag / np.where(by_lag[:, :1] > 0, by_lag[:, :1], np.nan)
            shares[name] = {lag: _median(left[:, lag]) for lag in lags if np.isfinite(left[:, lag]).any()}
            dead[name] = _dead_of_steps(layer.units, steps, way)
        steps_seen = float(_steps_of(windows.batch.x).lengths.max()) if self._spread else 1.0
        return Sample(norms, shares, dead, steps_seen)

    def _windows(self, batch: Batch, state: State | None) -> _Windows | None:
        """Choose some sequences of a batch, and of each a window that ends with the loss that is looked at."""
        x, reach = _steps_of(batch.x), 2 * max(LAGS)
        weights: Any = batch.weights  # one for each step or sequence, or those of labels, which say nothing here
        counts = x.lengths > 0
        if isinstance(weights, np.ndarray) and not self.per_step:
            counts &= weights > 0
        # Those that are long enough to look far back in; where none is, the longest.
        far = min(max(LAGS) + 1, int(x.lengths[counts].max(initial=0)))
        long_enough = np.flatnonzero(counts & (x.lengths >= far))
        if not len(long_enough):
            return None
        each = reach if self._causal else int(x.lengths[long_enough].max())
        sequences = np.sort(self._rng.permutation(long_enough)[: max(1, min(_POSITIONS, _STEPS // each))])
        at = x.lengths[sequences] - 1
        if self.per_step:
            # Where something reads from the end, steps on both sides are looked at.
            first, last = (far - 1, at) if self._causal else (at // 4, 3 * at // 4)
            at = self._rng.integers(first, last, endpoint=True)
            if weights is not None:
                inside = weights[x.offsets[sequences] + at] > 0
                sequences, at = sequences[inside], at[inside]
                if not len(sequences):
                    return None
        starts = np.maximum(at - reach, 0) if self._causal else np.zeros_like(at)
        stops = at + 1 if self._causal else x.lengths[sequences]
        begins = x.offsets[sequences]
        rows = np.concatenate([np.arange(b + i, b + j) for b, i, j in zip(begins, starts, stops, strict=True)])
        part = Ragged(widened(x.values[rows]), stops - starts)
        target, losses = batch.target, None
        if self.per_step:
            losses = np.zeros(len(rows))
            losses[part.offsets[:-1] + at - starts] = 1
            target = batch.target[rows]
        else:
            target = target.select(sequences) if isinstance(target, Ragged) else target[sequences]
        window = Batch(_with_steps(batch.x, part), widened(target), losses, True)
        return _Windows(window, at - starts, self._state(state, sequences, starts, part))

    def _state(self, state: State | None, sequences: Array, starts: Array, windows: Ragged) -> State | None:
        """Give the state in which windows begin: that of the batch where they begin with it."""
        if state is None:
            return None
        nothing = Ragged(windows.values[:0], np.zeros(len(sequences), np.int64))
        _, first = self._twin.forward(nothing)
        begins = (starts == 0)[:, None]
        return tuple(
            tuple(np.where(begins, part[sequences], other) for part, other in zip(parts, others, strict=True))
            for parts, others in zip(state, first, strict=True)
        )


def _steps_of(x: Any) -> Ragged:
    """Give the steps of a batch; one of words has them in its places."""
    return x if isinstance(x, Ragged) else x.places


def _with_steps(x: Any, steps: Ragged) -> Any:
    """Give a batch with other steps of the same forms."""
    return steps if isinstance(x, Ragged) else x._replace(places=steps)


def _median(values: Array) -> float:
    return float(np.median(values[np.isfinite(values)]))


@contextlib.contextmanager
def _outputs(layers: Sequence[Layer]) -> Iterator[dict[str, tuple[str, Array]]]:
    """Take down what hidden layers with an activation give while the block runs: name -> activation and rows."""
    heard: dict[str, tuple[str, Array]] = {}
    # What the model answers with may well be saturated: then it is sure.
    last = next((index for index in reversed(range(len(layers))) if not layers[index].passes_values), 0)
    tapped = dict(_activated(layers[:last]))
    for name, layer in tapped.items():
        _tap(name, layer, heard)
    try:
        yield heard
    finally:
        for layer in tapped.values():
            del layer.forward  # the instance's own: what the class defines is seen again


def _activated(layers: Sequence[Layer], prefix: str = "") -> Iterator[tuple[str, Dense]]:
    """Find dense layers with an activation whose slope may vanish, however deep they are wrapped."""
    for layer in layers:
        if isinstance(layer, Dense) and layer.activation in _SLOPES:
            yield prefix or str(layer.name), layer
        elif isinstance(layer, Wrapper):
            for part, inner in layer.parts.items():
                yield from _activated([inner], prefix=f"{prefix or layer.name}.{part}")


def _tap(name: str, layer: Dense, heard: dict[str, tuple[str, Array]]) -> None:
    """Put a function in front of a layer's way forward that notes what comes out."""
    forward = layer.forward

    def heard_forward(x: Any, **how: Any) -> Any:
        out = forward(x, **how)
        values = out[0].values if isinstance(out[0], Ragged) else out[0]
        heard[name] = str(layer.activation), values.copy()
        return out

    layer.forward = heard_forward  # type: ignore[method-assign]


# The slope of an activation by what it gives.
_SLOPES: dict[str, Callable[[Array], Array]] = {
    "relu": lambda y: (y > 0).astype(y.dtype),
    "tanh": lambda y: 1 - y * y,
    "sigmoid": lambda y: y * (1 - y),
}


def _dead_of_outputs(activation: str, y: Array) -> Dead:
    """Find the units of a dense layer that hand on nothing at any row, (N, H) -> (H,)."""
    return Dead(_SLOPES[activation](y).max(axis=0, initial=0) < _NOTHING, (y == 0).all(axis=0))


def _dead_of_steps(units: int, steps: Forward, way: Way) -> Dead:
    """Find the units of a recurrence that hand nothing on at any step, whatever reaches them."""
    reached = np.max([np.abs(part).max(axis=1, initial=0) for part in way.d_state], axis=0)
    rows = reached > 0
    h = steps.after[0]
    zero = (h == 0).all(axis=0) if h.shape[1] == units else np.zeros(units, bool)
    if not rows.any():
        return Dead(zero, zero)
    passed = np.abs(way.d_ax[rows]).reshape(int(rows.sum()), -1, units).max(axis=1)
    return Dead((passed < _NOTHING * reached[rows, None]).all(axis=0), zero)
