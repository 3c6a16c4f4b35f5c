"""Who remembers how far: cells compared on problems that ask for nothing but memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.errors import UsageError, say
from elman.inspection import memory_picture
from elman.inspection.gradients import LagCurve, gradient_by_lag
from elman.inspection.plain import plain
from elman.layers import LAYERS, Dense, Layer, Recurrent
from elman.model import Sequential
from elman.tasks.memory import adding_problem, copy_memory
from elman.training import progress
from elman.training.checks import check_count
from elman.training.optimizers import Adam
from elman.training.seeds import Seed, spawn

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MemoryComparison", "compare_memory"]

Array = NDArray[Any]

# Sequences of an update, of the test at a lag, and of those whose gradients are looked at.
_BATCH, _TEST, _LOOKED = 32, 400, 32
# A lag is learned in so many parts; after each it is asked whether that was enough.
_PARTS = 8
# Who remembers so much of a lag has learned it; who remembers no more than so little is lost, and longer ones for it.
_LEARNED, _LOST = 0.98, 0.25
# What is remembered counts as remembered from here on.
_REMEMBERED = 0.9


class _Problem(NamedTuple):
    """A problem of memory.

    Attributes:
        title: what it is called.
        layers: of a network for it, from a recurrent layer's class and its units.
        input_size: features that come in, or the number of token ids.
        loss: of such a network.
        figure: what `evaluate` calls the figure that is looked at.
        guessing: that figure of who remembers nothing.
        perfect: and of who remembers all.
        draw: gives x, y and options such as sample_weight, for n sequences of a lag.
    """

    title: str
    layers: Callable[[type[Recurrent], int], list[Layer]]
    input_size: int
    loss: str
    figure: str
    guessing: float
    perfect: float
    draw: Callable[[int, int, np.random.Generator], tuple[Any, Any, dict[str, Any]]]


# Of copy memory: how many symbols there are, and how many have to be kept. One alone is kept by an RNN, too.
_SYMBOLS, _LENGTH = 8, 3


def _draw_adding(n: int, lag: int, rng: np.random.Generator) -> tuple[Any, Any, dict[str, Any]]:
    x, y = adding_problem(n, steps=lag, rng=rng)
    return x, y, {}


def _draw_copy(n: int, lag: int, rng: np.random.Generator) -> tuple[Any, Any, dict[str, Any]]:
    x, y, weight = copy_memory(n, lag=lag, symbols=_SYMBOLS, length=_LENGTH, rng=rng)
    return x, y, {"sample_weight": weight}


_PROBLEMS = {
    "adding": _Problem(
        "adding problem", lambda kind, units: [kind(units), Dense(1)], 2, "mse", "loss", 1 / 6, 0.0, _draw_adding
    ),
    "copy": _Problem(
        "copy memory",
        lambda kind, units: [kind(units, return_sequences=True), Dense(_SYMBOLS + 1)],
        _SYMBOLS + 2, "cross_entropy", "accuracy", 1 / _SYMBOLS, 1.0, _draw_copy,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class MemoryComparison:
    """How much of a problem of memory each cell has learned at growing lags; see `compare_memory`.

    Attributes:
        problem: "adding" or "copy".
        lags: (L,) ascending.
        remembered: cell -> (L,) 0 for guessing, 1 for all: of the variance of the sums, or of the symbols beyond what
            guessing gets right.
        updates: cell -> (L,) steps of training that each lag took; 0 where the one before was lost already.
        curves: cell -> gradient by lag after the training, on sequences of the longest lag.
    """

    problem: str
    lags: NDArray[np.int64]
    remembered: Mapping[str, Array]
    updates: Mapping[str, NDArray[np.int64]]
    curves: Mapping[str, LagCurve]

    @property
    def title(self) -> str:
        """What the problem is called."""
        return _PROBLEMS[self.problem].title

    def reach(self, cell: str) -> int:
        """Give the longest lag up to which a cell remembers nine tenths; 0 if it is none.

        Args:
            cell: a key of `remembered`.
        """
        short = np.flatnonzero(self.remembered[cell] < _REMEMBERED)
        first = int(short[0]) if len(short) else len(self.lags)
        return int(self.lags[first - 1]) if first else 0

    @property
    def verdict(self) -> str:
        """Who remembers how far, in one sentence."""
        reaches = {cell: self.reach(cell) for cell in self.remembered}
        shortest = f"not even {self.lags[0]}"
        told = [f"{cell} {f'{reach} steps' if reach else shortest}" for cell, reach in reaches.items()]
        return f"{self.title.capitalize()}: remembered over {', '.join(told)} of {self.lags[-1]}."

    def to_dict(self) -> dict[str, Any]:
        """Give everything that is drawn as plain values."""
        cells = {
            cell: {
                "reach": self.reach(cell),
                "remembered": plain(values),
                "updates": plain(self.updates[cell]),
                "gradient": plain(self.curves[cell].quantile(0.5)),
                "horizon": self.curves[cell].horizon(),
            }
            for cell, values in self.remembered.items()
        }
        return {"problem": self.problem, "verdict": self.verdict, "lags": plain(self.lags), "cells": cells}

    def plot(self, path: str | os.PathLike[str] | None = None, *, title: str | None = None) -> Figure:
        """Draw what is remembered over the lag, and beside it how far gradients reach.

        Args:
            path: .png, .svg or .pdf to write, if any.
            title: a line above the picture.
        """
        return memory_picture.memory([self], path, title=title)


def compare_memory(
    problem: str = "adding",
    *,
    cells: Sequence[str] = ("rnn", "gru", "lstm"),
    lags: Sequence[int] = (5, 10, 25, 50, 100, 200),
    units: int = 48,
    updates: int = 800,
    learning_rate: float = 1e-2,
    random_state: int | None = 0,
    verbose: progress.Verbose = "auto",
) -> MemoryComparison:
    """Train cells on a problem of memory with growing lags, and measure how far each remembers.

    Every cell begins at the shortest lag and goes on to the next with what it has learned; a lag ends when it is
    learned, or after so many updates of 32 sequences. What is lost stays lost: once less than a quarter is
    remembered, longer lags are only measured. All examples are drawn anew.

    Args:
        problem: "adding" (`elman.tasks.adding_problem`) or "copy" (`elman.tasks.copy_memory`, three of eight symbols).
        cells: "rnn", "lstm", "gru".
        lags: ascending, from 4 on; of the adding problem, the steps of a sequence.
        units: of each net's one layer.
        updates: greatest number of training steps for a lag.
        learning_rate: of Adam.
        random_state: seed of first weights and examples, the same for all cells.
        verbose: 0 is silent; else progress is shown once it takes long.

    Raises:
        UsageError: if there is no such problem or cell, or a number is out of range.

    Example:
        >>> found = compare_memory("copy", cells=["gru"], lags=[4, 6], units=8, updates=8, verbose=0)
        >>> found.remembered["gru"].shape, found.curves["gru"].lags
        ((2,), 6)
    """
    where = "compare_memory"
    if problem not in _PROBLEMS:
        raise UsageError(say(where, "problem is unknown", expected=f"one of {sorted(_PROBLEMS)}", got=repr(problem)))
    known = {name: kind for name, kind in LAYERS.items() if issubclass(kind, Recurrent)}
    for cell in cells:
        if cell not in known:
            raise UsageError(say(where, "cell is not accepted", expected=f"one of {sorted(known)}", got=repr(cell)))
    for name, value in (("units", units), ("updates", updates), *(("lags", lag) for lag in lags)):
        check_count(name, value)
    if not len(lags) or list(lags) != sorted(set(lags)) or lags[0] <= _LENGTH:
        expected = f"integers from {_LENGTH + 1} on, each once"
        raise UsageError(say(where, "lags do not ascend", expected=expected, got=list(lags)))
    progress.check_verbose(verbose, where)
    task = _PROBLEMS[problem]
    learners = {cell: _Learner(task, known[cell], units, learning_rate, random_state) for cell in cells}
    pairs = [(cell, lag) for cell in cells for lag in lags]
    for cell, lag in progress.watch(pairs, total=len(pairs), what=task.title, verbose=verbose):
        learners[cell].learn(int(lag), updates)
    return MemoryComparison(
        problem,
        np.array(lags, np.int64),
        {cell: np.array(learner.remembered) for cell, learner in learners.items()},
        {cell: np.array(learner.updates, np.int64) for cell, learner in learners.items()},
        {cell: learner.curve(cell, int(lags[-1])) for cell, learner in learners.items()},
    )


class _Learner:
    """A net with one recurrent layer that learns a problem at one lag after the other.

    Attributes:
        remembered: at every lag so far.
        updates: of training, at every lag so far.
    """

    def __init__(self, task: _Problem, kind: type[Recurrent], units: int, learning_rate: float, seed: Seed) -> None:
        seeds = spawn(seed, where="random_state")
        self.task, self.draws, self.tests = task, seeds.shuffle, seeds.sampling
        self.model = Sequential(task.layers(kind, units))
        classes = task.loss == "cross_entropy"  # of token ids
        self.model.compile(Adam(learning_rate), task.loss, ["accuracy"] if classes else None, clip=1.0)
        self.model.build(task.input_size, ids=classes, rng=seeds.init)
        self.remembered: list[float] = []
        self.updates: list[int] = []

    def learn(self, lag: int, updates: int) -> None:
        """Train at a lag until it is learned or there were so many updates."""
        test_x, test_y, test_how = self.task.draw(_TEST, lag, self.tests)
        share, done = 0.0, 0
        lost = bool(self.remembered) and self.remembered[-1] < _LOST
        for part in np.diff(np.linspace(0, 0 if lost else updates, _PARTS + 1).round().astype(int)):
            if part:
                x, y, how = self.task.draw(_BATCH * int(part), lag, self.draws)
                self.model.fit(x, y, batch_size=_BATCH, shuffle=False, verbose=0, rng=0, **how)
                done += int(part)
            figures: Any = self.model.evaluate(test_x, test_y, return_dict=True, verbose=0, **test_how)
            share = self._share(figures[self.task.figure])
            if lost or share >= _LEARNED:
                break
        self.remembered.append(share)
        self.updates.append(done)

    def _share(self, figure: float) -> float:
        """Give what is remembered, between 0 for guessing and 1 for all."""
        guessing, perfect = self.task.guessing, self.task.perfect
        return min(1.0, max(0.0, (figure - guessing) / (perfect - guessing)))

    def curve(self, name: str, lag: int) -> LagCurve:
        """Give the gradient by lag on fresh sequences."""
        x, y, how = self.task.draw(_LOOKED, lag, self.tests)
        (curve,) = gradient_by_lag(self.model, x, y, lags=lag, positions=_LOOKED, verbose=0, **how).curves.values()
        return LagCurve(name, curve.norms)
