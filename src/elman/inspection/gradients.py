"""How far back the gradient of a loss reaches."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from elman.inspection import pictures
from elman.inspection.opened import Opened, Places, open_model
from elman.inspection.plain import plain
from elman.model.data import DataOptions
from elman.training import progress
from elman.training.checks import check_count
from elman.training.watch import forward_steps, lag_norms, lag_zero, way_back
from elman.training.watch.by_lag import GROWN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["GradientByLag", "LagCurve", "gradient_by_lag"]

Array = NDArray[Any]

#: The share of the gradient at lag 0 under which it is taken to be gone.
GONE = 0.01
#: Lags that a model must reach to be called healthy, where nobody said what the task needs.
NEEDS = 32


@dataclass(frozen=True)
class LagCurve:
    """The gradient that reaches the state of one recurrence, by lag.

    Attributes:
        name: of the recurrence, such as "lstm" or "bidirectional.backward"; there the lag counts steps ahead.
        norms: part of the state ("state", all of it together; "h"; "c") -> norm of the gradient of E_t with
            respect to it k steps from t, (P, K + 1); NaN beyond the ends of a sequence.
    """

    name: str
    norms: Mapping[str, Array]

    def shares(self, part: str = "state") -> Array:
        """Give the norms of a part relative to the gradient of the whole state at lag 0, (P, K + 1).

        Args:
            part: "state", "h" or "c".
        """
        whole = self.norms["state"][:, :1]
        return self.norms[part] / np.where(whole > 0, whole, np.nan)

    def quantile(self, q: float, part: str = "state") -> Array:
        """Give a quantile over the positions of the shares at every lag, (K + 1,).

        Args:
            q: in [0, 1]; 0.5 is the median.
            part: "state", "h" or "c".
        """
        # np.nanquantile goes column by column; sorted, with what is missing last, all are found at once.
        shares = np.sort(self.shares(part), axis=0)
        seen = np.isfinite(shares).sum(axis=0)
        place = q * (np.maximum(seen, 1) - 1)
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, np.maximum(seen, 1) - 1)
        column = np.arange(shares.shape[1])
        a, b = shares[low, column], shares[high, column]
        out: Array = a + (place - low) * (b - a)
        return out

    def horizon(self, part: str = "state") -> int | None:
        """Give the memory horizon: the lag at which the median falls under 1 % of lag 0; None if it never does.

        Args:
            part: "state", "h" or "c"; a c that begins at 0 is asked from lag 1 on.
        """
        median = self.quantile(0.5, part)
        gone = np.flatnonzero(median[1:] < GONE)
        return int(gone[0]) + 1 if len(gone) else None

    @property
    def lags(self) -> int:
        """The longest lag that was measured."""
        measured = np.flatnonzero(np.isfinite(self.norms["state"]).any(axis=0))
        return int(measured[-1]) if len(measured) else 0

    def word(self, needs: int) -> str:
        """Give "vanishing", "healthy", "exploding", or "none" where no gradient arrives at all.

        Args:
            needs: lags that must be reached to be called healthy; those that the data has if it has fewer.
        """
        median = self.quantile(0.5)
        if not np.isfinite(median).any():
            return "none"
        if np.nanmax(median) >= GROWN:
            return "exploding"
        horizon = self.horizon()
        return "vanishing" if horizon is not None and horizon < min(needs, self.lags) else "healthy"


@dataclass(frozen=True)
class GradientByLag:
    """The norm of the gradient of E_t with respect to the state at t − k, exact; see `gradient_by_lag`.

    Attributes:
        curves: by recurrence, from the input up.
        places: the steps t whose losses were taken back.
        needs: lags that must be reached to be called healthy.
    """

    curves: Mapping[str, LagCurve]
    places: Places
    needs: int

    @property
    def words(self) -> dict[str, str]:
        """The verdict of every recurrence: "vanishing", "healthy", "exploding" or "none"."""
        return {name: curve.word(self.needs) for name, curve in self.curves.items()}

    @property
    def verdict(self) -> str:
        """What it means, in one sentence; of several recurrences the one that reaches farthest."""
        words = self.words
        # What is wrong anywhere is said; memory needs one layer that has it, so else the farthest speaks.
        name = next((n for bad in ("none", "exploding") for n, word in words.items() if word == bad), None)
        name = max(self.curves, key=lambda n: self.curves[n].horizon() or np.inf) if name is None else name
        curve, word = self.curves[name], words[name]
        horizon = curve.horizon()
        if word == "none":
            return f"No gradient reaches {name} at all: it is dead, or the loss is at its minimum."
        if word == "exploding":
            peak = float(np.nanmax(curve.quantile(0.5)))
            at = int(np.nanargmax(curve.quantile(0.5)))
            return (
                f"Exploding: in {name} the gradient has grown {peak:.3g} times after {at} steps; compile with clip=1.0."
            )
        if horizon is None:
            return f"Healthy: in {name} the gradient still stands above 1 % after all {curve.lags} steps."
        reach = f"in {name} the gradient falls under 1 % after {horizon} steps"
        if word == "healthy":
            return f"Healthy: {reach}, which is how far back it learns."
        needs = min(self.needs, curve.lags)
        return f"Vanishing: {reach}, so it hardly learns from anything further back ({needs} would be healthy)."

    def to_dict(self) -> dict[str, Any]:
        """Give everything that is drawn as plain values."""
        curves = {
            name: {
                "verdict": curve.word(self.needs),
                "lags": curve.lags,
                "n": plain(np.isfinite(curve.norms["state"]).sum(axis=0)),
                "parts": {
                    part: {
                        "horizon": curve.horizon(part),
                        **{key: plain(curve.quantile(q, part)) for key, q in _QUANTILES.items()},
                    }
                    for part in curve.norms
                },
            }
            for name, curve in self.curves.items()
        }
        places = {"sequence": plain(self.places.sequence), "step": plain(self.places.step)}
        return {"verdict": self.verdict, "needs": self.needs, "positions": places, "curves": curves}

    def plot(self, path: str | os.PathLike[str] | None = None, *, title: str | None = None) -> Figure:
        """Draw the curves on a logarithmic scale.

        Args:
            path: .png, .svg or .pdf to write, if any.
            title: a line above the picture.
        """
        return pictures.lag_curves(self, path, title=title)


_QUANTILES = {"low": 0.1, "median": 0.5, "high": 0.9}


def gradient_by_lag(
    model: Any,
    x: Any,
    y: Any,
    *,
    lags: int = 512,
    positions: int = 64,
    needs: int = NEEDS,
    verbose: progress.Verbose = "auto",
    **options: Unpack[DataOptions],
) -> GradientByLag:
    """Measure how strongly the loss of a step depends on the state of the model so many steps before.

    For up to 64 steps t, spread evenly over the data, the gradient of the loss E_t with respect to the state
    (h, c) at t − k is computed exactly, in float64, for every recurrence and direction. h is asked for all that
    reaches it, through time and through the layers above; c for what it carries into the steps after it. Where a
    layer reads from the end, the lag counts the steps after t. A model of one loss per sequence is asked at its
    last step. Of models that look one way, the steps before t − k are run but not gone back through.

    Args:
        model: built and compiled, or a task that holds such a model; it is left as it is.
        x: sequences.
        y: targets.
        lags: the longest lag.
        positions: at most so many steps t.
        needs: lags that the task needs: a gradient that is gone before is called vanishing.
        verbose: 0 silent; else what takes long shows how far it is.
        options: sample_weight, lengths and pad_value, as in `fit`.

    Returns:
        Curves by recurrence, with medians, spread and memory horizons.

    Raises:
        UsageError: if the model is not compiled or has no recurrent layer, or a number is out of range.
        NotFittedError: if the model has no weights.
        DataError: if the data does not fit.

    Example:
        >>> from elman import Sequential, layers
        >>> model = Sequential([layers.RNN(8, return_sequences=True), layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> model.build(2, rng=0)
        >>> x = np.zeros((1, 60, 2))
        >>> found = gradient_by_lag(model, x, np.ones((1, 60, 1)))
        >>> found.words
        {'rnn': 'healthy'}
        >>> found.verdict
        'Healthy: in rnn the gradient still stands above 1 % after all 59 steps.'
    """
    for name, value in (("lags", lags), ("positions", positions), ("needs", needs)):
        check_count(name, value)
    opened = open_model(model, x, y, "gradient_by_lag", verbose=verbose, **options)
    return lags_of(opened, lags=lags, positions=positions, needs=needs)


def lags_of(opened: Opened, *, lags: int, positions: int, needs: int) -> GradientByLag:
    """Measure the gradient by lag of a model that is open already.

    Args:
        opened: model and data.
        lags: the longest lag.
        positions: at most so many steps t.
        needs: lags that the task needs.
    """
    longest = int(opened.x.lengths.max()) - 1
    lags = max(1, min(lags, longest))
    places = opened.places(positions, lags=lags)
    norms: dict[str, dict[str, Array]] = {}
    for passed in opened.passes(places, lags=lags):
        for name, (layer, turned) in opened.found.items():
            heard = passed.heard[name]
            way = way_back(layer, heard, forward_steps(layer, heard))
            begin = lag_zero(heard.x.lengths, passed.at, turned=turned, per_step=opened.per_step)
            for part, found in lag_norms(layer, heard.x, way.d_state, begin, lags=lags).items():
                whole = norms.setdefault(name, {}).setdefault(part, np.full((len(places.step), lags + 1), np.nan))
                whole[passed.first : passed.first + len(begin)] = passed.scale * found
    return GradientByLag({name: LagCurve(name, parts) for name, parts in norms.items()}, places, needs)
