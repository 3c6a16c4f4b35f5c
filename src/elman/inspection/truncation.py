"""How far truncated backpropagation is from the exact gradient."""

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
from elman.inspection.terms import check_causal
from elman.model.data import DataOptions
from elman.ragged import Ragged
from elman.training import progress
from elman.training.batches import Batch
from elman.training.checks import check_count
from elman.training.loop import State

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TruncationBias", "truncation_bias"]

Array = NDArray[Any]

# An angle up to which the truncated gradient is taken to point where the exact one does.
_CLOSE = 10.0


@dataclass(frozen=True)
class TruncationBias:
    """Angle and length of truncated gradients relative to the exact one; see `truncation_bias`.

    Attributes:
        steps: k, ascending, (S,).
        angles: name -> degrees between the truncated gradient of k steps and the exact one, (S,). Names are those
            of the recurrences, and "all", all parameters together.
        ratios: name -> norm of the truncated gradient relative to that of the exact one, (S,).
        places: the steps t whose losses were summed.
    """

    steps: NDArray[np.int64]
    angles: Mapping[str, Array]
    ratios: Mapping[str, Array]
    places: Places

    def enough(self, name: str = "all") -> int | None:
        """Give the least k from which on the angle stays within 10 degrees; None if there is none.

        Args:
            name: a key of `angles`.
        """
        far = np.flatnonzero(~(self.angles[name] <= _CLOSE))
        first = 0 if not len(far) else int(far[-1]) + 1
        return int(self.steps[first]) if first < len(self.steps) else None

    @property
    def verdict(self) -> str:
        """What it means, in one sentence."""
        names = [name for name in self.angles if name != "all"]
        needed = {name: self.enough(name) for name in names}
        never = [name for name, steps in needed.items() if steps is None]
        if never:
            angle = float(self.angles[never[0]][-1])
            return (
                f"Even {self.steps[-1]} steps are not enough: in {never[0]} the truncated gradient is "
                f"{angle:.0f} degrees away from the exact one."
            )
        name = max(names, key=lambda name: needed[name] or 0)
        angle, steps = float(self.angles[name][0]), needed[name]
        if steps == self.steps[0]:
            return f"Truncation costs little: in {name} {steps} step gives the direction to {angle:.0f} degrees."
        return (
            f"Truncated backpropagation needs {steps} steps: from there on the gradient of {name} is within "
            f"{_CLOSE:.0f} degrees of the exact one, with {self.steps[0]} it is {angle:.0f} away."
        )

    def to_dict(self) -> dict[str, Any]:
        """Give everything that is drawn as plain values."""
        parts = {
            name: {"angle": plain(self.angles[name]), "ratio": plain(self.ratios[name]), "enough": self.enough(name)}
            for name in self.angles
        }
        places = {"sequence": plain(self.places.sequence), "step": plain(self.places.step)}
        return {"verdict": self.verdict, "steps": plain(self.steps), "positions": places, "parts": parts}

    def plot(self, path: str | os.PathLike[str] | None = None, *, title: str | None = None) -> Figure:
        """Draw angle and ratio over k.

        Args:
            path: .png, .svg or .pdf to write, if any.
            title: a line above the picture.
        """
        return pictures.truncation(self, path, title=title)


def truncation_bias(
    model: Any,
    x: Any,
    y: Any,
    *,
    steps: int = 256,
    positions: int = 32,
    verbose: progress.Verbose = "auto",
    **options: Unpack[DataOptions],
) -> TruncationBias:
    """Compare gradients that look k steps back with the exact gradient, for k = 1, 2, 4 and so on.

    For up to so many steps t, spread evenly over the data, the loss E_t is taken back through k steps, t included,
    from the state that the model is really in; the gradients are summed over t and compared with the exact
    gradient of the same sum, which goes back to the beginning of every sequence. Everything is in float64.

    Args:
        model: built and compiled, or a task that holds such a model; of layers that look back only.
        x: sequences.
        y: targets.
        steps: the greatest k.
        positions: at most so many steps t.
        verbose: 0 silent; else what takes long shows how far it is.
        options: sample_weight, lengths and pad_value, as in `fit`.

    Raises:
        UsageError: if the model is not compiled, has no recurrent layer or reads from the end, or a number is out
            of range.
        NotFittedError: if the model has no weights.
        DataError: if the data does not fit.

    Example:
        >>> from elman import Sequential, layers
        >>> model = Sequential([layers.GRU(8), layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> model.build(2, rng=0)
        >>> x = np.random.default_rng(0).standard_normal((20, 16, 2))
        >>> found = truncation_bias(model, x, x[:, 0, :1])
        >>> found.steps.tolist()
        [1, 2, 4, 8, 16]
        >>> round(float(found.ratios["gru"][-1]), 12)
        1.0
    """
    for name, value in (("steps", steps), ("positions", positions)):
        check_count(name, value)
    opened = open_model(model, x, y, "truncation_bias", verbose=verbose, **options)
    check_causal(opened, "truncation_bias")
    longest = int(opened.x.lengths.max())
    places = opened.places(positions, lags=min(steps, longest - 1))
    exact = _exact(opened, places)
    powers = 2 ** np.arange(int(np.log2(min(steps, longest))) + 1)
    ks = np.unique([*powers, min(steps, longest)])
    angles: dict[str, list[float]] = {}
    ratios: dict[str, list[float]] = {}
    # One walk through the sequences passes by the beginnings of the windows of all k.
    starts = [opened.starts(places, int(k) - 1) for k in ks]
    states = opened.state_at(np.tile(places.sequence, len(ks)), np.concatenate(starts))
    for index, k in enumerate(ks):
        mine = slice(index * len(places.step), (index + 1) * len(places.step))
        state = tuple(tuple(part[mine] for part in parts) for parts in states) if starts[index].any() else None
        truncated = _truncated(opened, places, int(k), state)
        for name, whole in exact.items():
            cut = truncated[name]
            norms = float(np.linalg.norm(cut)), float(np.linalg.norm(whole))
            # By both sums: the arc cosine alone cannot tell small angles from none.
            a, b = cut / (norms[0] or 1), whole / (norms[1] or 1)
            angle = np.degrees(2 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b)))
            angles.setdefault(name, []).append(float(angle) if min(norms) > 0 else float("nan"))
            ratios.setdefault(name, []).append(norms[0] / norms[1] if norms[1] > 0 else float("nan"))
    return TruncationBias(
        ks,
        {name: np.asarray(values) for name, values in angles.items()},
        {name: np.asarray(values) for name, values in ratios.items()},
        places,
    )


def _gradients(opened: Opened) -> dict[str, Array]:
    """Give the gradient that the engine holds: that of every recurrence, and all of it."""
    named = opened.engine.parameters.named_grads()
    parts = {
        name: np.concatenate([grad.reshape(-1) for key, grad in named.items() if key.rpartition(".")[0] == name])
        for name in opened.found
    }
    return {**parts, "all": opened.engine.parameters.grads.copy()}


def _exact(opened: Opened, places: Places) -> dict[str, Array]:
    """Give the gradient of the sum of the losses, through all steps before them."""
    used, place = np.unique(places.sequence, return_inverse=True)
    x = opened.x.select(used)
    if opened.per_step:
        weights = np.zeros(x.n_steps)
        weights[x.offsets[:-1][place] + places.step] = 1
        rows = opened.x.with_values(opened.target).select(used)  # type: ignore[arg-type]  # one row per step
        batch = Batch(x, rows.values, weights, True)
    else:
        target = opened.target
        batch = Batch(x, target.select(used) if isinstance(target, Ragged) else target[used], None, True)
    opened.engine.loss_and_gradients(batch, want_state=False)
    return {name: len(places.step) * grad for name, grad in _gradients(opened).items()}


def _truncated(opened: Opened, places: Places, k: int, state: State | None) -> dict[str, Array]:
    """Give the gradient of the same sum through k steps."""
    total: dict[str, Array] = {}
    for passed in opened.passes(places, lags=k - 1, state=state, listening=False):
        for name, grad in _gradients(opened).items():
            total[name] = total.get(name, 0) + passed.scale * grad
    return total
