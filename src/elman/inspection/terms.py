"""What every step adds to the gradient of the weights, and what is lost when the sum is cut short."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

import numpy as np
from numpy.typing import NDArray

from elman.inspection import pictures
from elman.inspection.opened import Opened, Passed, Places, open_model
from elman.inspection.plain import plain
from elman.layers import Recurrent, check_carry
from elman.model.data import DataOptions
from elman.ops.reference import previous
from elman.training import progress
from elman.training.checks import check_count
from elman.training.watch import Heard, forward_steps, way_back

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Contributions", "contributions"]

Array = NDArray[Any]

# Steps that count as just seen.
_FEW = 3


class Term(NamedTuple):
    """A product whose sum over steps is the gradient of a parameter, or of some of its rows.

    Attributes:
        parameter: its name in the layer.
        rows: the rows of it that the sum is the gradient of.
        d: gradient with respect to the product, (N, R).
        by: what the rows were multiplied with, (N, C); token ids (N,); or None for a bias.
    """

    parameter: str
    rows: slice
    d: Array
    by: Array | None


@dataclass(frozen=True)
class Contributions:
    """The sum over earlier steps that makes the gradient of a weight, term by term; see `contributions`.

    Attributes:
        norms: "<recurrence>.<parameter>" -> norm of the term of step t − k in dE_t/dW, (P, K + 1); NaN before the
            sequence begins.
        shares: likewise the part of the gradient that the term makes: its component along dE_t/dW, relative to
            that one's norm. Over k they add up to 1 where there is a gradient.
        places: the steps t, ascending.
        residual: greatest difference between the sum of the terms and the gradient that training takes, relative
            to the norm of that gradient.
    """

    norms: Mapping[str, Array]
    shares: Mapping[str, Array]
    places: Places
    residual: float

    def near(self, parameter: str, steps: int = 1) -> float:
        """Give the share of the gradient that the last steps make, a mean over t.

        Args:
            parameter: a key of `shares`.
            steps: how many, that of t included.
        """
        shares = self.shares[parameter]
        has = np.isfinite(shares).any(axis=1)
        return float(np.nansum(shares[has][:, :steps], axis=1).mean()) if has.any() else float("nan")

    def half(self, parameter: str) -> int:
        """Give the number of steps whose norms make half of the sum of all norms, the median over t.

        Args:
            parameter: a key of `norms`.
        """
        sums = np.nancumsum(self.norms[parameter], axis=1)
        return int(np.median((sums < 0.5 * sums[:, -1:]).sum(axis=1) + 1))

    @property
    def verdict(self) -> str:
        """What it means, in one sentence."""
        ending = ".weight_hh"
        recurrent = {name.removesuffix(ending): self.half(name) for name in self.norms if name.endswith(ending)}
        ordered = sorted(recurrent.items(), key=lambda item: item[1])
        (least, few), (most, many) = ordered[0], ordered[-1]
        reach = f"the last {few} steps" if few > 1 else "the step of the loss alone"
        if many > few:
            reach += f" in {least}, from the last {many} in {most}"
        else:
            reach += f" in {least}" if len(ordered) == 1 else " in every recurrence"
        learns = "it learns from what it has just seen" if many <= _FEW else "the other half from further back"
        return f"Half of the gradient of the recurrent weights comes from {reach}: {learns}."

    def to_dict(self) -> dict[str, Any]:
        """Give everything that is drawn as plain values."""
        return {
            "verdict": self.verdict,
            "residual": self.residual,
            "positions": {"sequence": plain(self.places.sequence), "step": plain(self.places.step)},
            "parameters": {
                name: {"norms": plain(self.norms[name]), "shares": plain(self.shares[name]), "half": self.half(name)}
                for name in self.norms
            },
        }

    def plot(
        self, path: str | os.PathLike[str] | None = None, *, parameter: str | None = None, title: str | None = None
    ) -> Figure:
        """Draw the norms over t and k as a heat map.

        Args:
            path: .png, .svg or .pdf to write, if any.
            parameter: a key of `norms`; every weight_hh if None.
            title: a line above the picture.
        """
        chosen = [name for name in self.norms if name.endswith(".weight_hh")] if parameter is None else [parameter]
        return pictures.contribution_map(self, chosen, path, title=title)


def contributions(
    model: Any,
    x: Any,
    y: Any,
    *,
    positions: int = 32,
    lags: int = 256,
    at: int | None = None,
    verbose: progress.Verbose = "auto",
    **options: Unpack[DataOptions],
) -> Contributions:
    """Take the gradient of the weights apart into what every earlier step adds to it.

    dE_t/dW is a sum over the steps t − k, each of which multiplied by W (the chain rule of the textbooks). For
    up to so many steps t, and every matrix and bias of every recurrence, the terms are computed exactly, in
    float64, back to the beginning of the sequence, and compared with the gradient that training takes.

    Args:
        model: built and compiled, or a task that holds such a model; of layers that look back only.
        x: sequences.
        y: targets.
        positions: at most so many steps t, spread evenly over the first `lags` + 1 steps of all sequences.
        lags: how far into a sequence a step t may be; the heat map is that wide.
        at: one step t of the first sequence, in the place of these.
        verbose: 0 silent; else what takes long shows how far it is.
        options: sample_weight, lengths and pad_value, as in `fit`.

    Raises:
        UsageError: if the model is not compiled, has no recurrent layer or reads from the end, or a number is out
            of range.
        NotFittedError: if the model has no weights.
        DataError: if the data does not fit.

    Example:
        >>> from elman import Sequential, layers
        >>> model = Sequential([layers.RNN(8, return_sequences=True), layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> model.build(2, rng=0)
        >>> x = np.random.default_rng(0).standard_normal((4, 30, 2))
        >>> found = contributions(model, x, x[:, :, :1])
        >>> found.residual < 1e-10
        True
        >>> found.shares["rnn.weight_hh"].shape
        (32, 30)
    """
    for name, value in (("positions", positions), ("lags", lags)):
        check_count(name, value)
    opened = open_model(model, x, y, "contributions", verbose=verbose, **options)
    check_causal(opened, "contributions")
    if at is None:
        places = opened.places(positions, lags=1, latest=lags)
        order = np.argsort(places.step, kind="stable")
        places = Places(places.sequence[order], places.step[order])
    else:
        places = opened.place(at)
    width = int(places.step.max()) + 1
    norms: dict[str, Array] = {}
    shares: dict[str, Array] = {}
    residual = 0.0
    for passed in opened.passes(places, lags=width):
        for name, (layer, _) in opened.found.items():
            terms = _terms(layer, passed.heard[name], passed.scale)
            for parameter in dict.fromkeys(term.parameter for term in terms):
                mine = [term for term in terms if term.parameter == parameter]
                shape = layer.weights[parameter].shape
                whole = _spread(*_taken_apart(passed, mine, shape), passed, width)
                residual = max(residual, _residual(opened, f"{name}.{parameter}", mine, shape, passed.scale))
                for into, part in zip((norms, shares), whole, strict=True):
                    store = into.setdefault(f"{name}.{parameter}", np.full((len(places.step), width), np.nan))
                    store[passed.first : passed.first + len(part)] = part
    return Contributions(norms, shares, places, residual)


def check_causal(opened: Opened, where: str) -> None:
    """Refuse models that look both ways: their sum over earlier steps has no beginning.

    Args:
        opened: model and data.
        where: who asks, for messages.
    """
    check_carry(opened.engine.layers, where=where)


def _terms(layer: Recurrent, heard: Heard, scale: float) -> list[Term]:
    """Give the products whose sums over the steps are the gradients of a layer's parameters."""
    cell, weights, x = layer.cell, layer.weights, heard.x
    way = way_back(layer, heard, forward_steps(layer, heard))
    initial = heard.tape.initial
    h_prev = previous(heard.tape.y, x, None if initial is None else initial[0])
    everything = slice(None)
    rows_of_h = len(cell.weight_of_h(weights))
    terms = [
        Term("weight_ih", everything, scale * way.d_ax, x.values),
        Term("weight_hh", slice(0, rows_of_h), scale * way.d_ah, h_prev),
    ]
    if way.d_product is not None:
        own = "weight_hr" in weights  # a projection; else the last block of R, which a GRU multiplies apart
        rows = everything if own else slice(rows_of_h, None)
        terms.append(Term("weight_hr" if own else "weight_hh", rows, scale * way.d_product, way.operand))
    if not cell.bias_after:
        terms.append(Term("bias", everything, scale * way.d_ax, None))
    return terms


def _sum_of(term: Term, rows: slice, into: Array) -> None:
    """Add the terms of some steps to the gradient of their parameter."""
    d, part = term.d[rows], into[term.rows]
    if term.by is None:
        part += d.sum(axis=0)
    elif term.by.ndim == 1:
        np.add.at(part.T, term.by[rows], d)
    else:
        part += d.T @ term.by[rows]


def _taken_apart(passed: Passed, terms: list[Term], shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Give norm and share of the term of every step, (N,) each."""
    n_steps = passed.x.n_steps
    squares, along = np.zeros(n_steps), np.zeros(n_steps)
    for p in range(len(passed.x)):
        rows = slice(int(passed.x.offsets[p]), int(passed.x.offsets[p + 1]))
        total = np.zeros(shape)
        for term in terms:
            _sum_of(term, rows, total)
        square = float((total * total).sum())
        for _, block, d, by in terms:
            mine, toward = d[rows], total[block]
            if by is None:
                squares[rows] += (mine * mine).sum(axis=1)
                along[rows] += mine @ toward
            elif by.ndim == 1:  # a one-hot row picks a column
                squares[rows] += (mine * mine).sum(axis=1)
                along[rows] += (mine * toward.T[by[rows]]).sum(axis=1)
            else:
                squares[rows] += (mine * mine).sum(axis=1) * (by[rows] * by[rows]).sum(axis=1)
                along[rows] += (mine * (by[rows] @ toward.T)).sum(axis=1)
        along[rows] = along[rows] / square if square > 0 else np.nan
    return np.sqrt(squares), along


def _spread(norms: Array, along: Array, passed: Passed, width: int) -> tuple[Array, Array]:
    """Give (P, K + 1) by lag of what is given by row."""
    begins = passed.x.offsets[:-1, None]
    rows = begins + passed.at[:, None] - np.arange(width)
    inside = np.maximum(rows, 0)
    beyond = rows < begins
    return np.where(beyond, np.nan, norms[inside]), np.where(beyond, np.nan, along[inside])


def _residual(opened: Opened, name: str, terms: list[Term], shape: tuple[int, ...], scale: float) -> float:
    """Say how far the sum of all terms is from the gradient that the engine computed."""
    total = np.zeros(shape)
    for term in terms:
        _sum_of(term, slice(None), total)
    expected = scale * opened.engine.parameters.named_grads()[name]
    norm = float(np.linalg.norm(expected))
    difference = float(np.linalg.norm(total - expected))
    return difference / norm if norm > 0 else difference
