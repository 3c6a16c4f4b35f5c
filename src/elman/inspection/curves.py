"""How a training went: losses, measures and figures of single steps, drawn."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.errors import UsageError, say
from elman.inspection.plots import canvas, check_ending, finish, font_family, tidy
from elman.training.watch import is_gradient

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from elman.training.history import History

__all__ = ["training_curve", "training_figure"]

# Blue and vermilion of Okabe & Ito (2008): told apart by every eye and in grey.
_TRAINING, _VALIDATION, _BATCHES = "#0072B2", "#D55E00", "#8FB8D6"
_N_BINS = 400  # batches are gathered into so many columns; a picture has no room for more
_SETTING = "learning_rate"  # stands in a history, but is not measured
_OF_STEPS = {
    "gradient_norm": "gradient norm",
    _SETTING: "learning rate",
    "update_ratio": "update / weights",
}


class _Run(NamedTuple):
    """What is drawn: the number of the last epoch of each value, the named values, all batches, and some steps."""

    epochs: NDArray[np.float64]
    columns: dict[str, NDArray[np.float64]]
    batches: NDArray[np.float64]
    steps: dict[str, NDArray[np.float64]]

    @property
    def stop(self) -> float:
        """Where the last batch is drawn."""
        return float(self.epochs[-1] if self.epochs.size else self.batches.size)

    @property
    def begin(self) -> float:
        """Where the first batch is drawn."""
        return float(self.epochs[0] - 1 if self.epochs.size else 0.0)


def training_curve(history: History, path: str | os.PathLike[str] | None = None, *, title: str | None = None) -> Figure:
    """Draw how the loss fell, batch by batch and epoch by epoch.

    The losses of single batches lie as a band behind the curves of the epochs; every other measure that was taken, such
    as accuracy, gets a panel of its own. The file is written atomically.

    Args:
        history: what `fit` returned.
        path: a file to write; its ending, .png, .svg or .pdf, says how. None writes nothing.
        title: a line above the picture, in any script.

    Returns:
        The picture.

    Raises:
        UsageError: if matplotlib is missing, the ending is another one, or nothing was trained yet.
        SaveError: if the picture cannot be written.
    """
    if path is not None:
        check_ending("training_curve", path)
    return training_figure(history, path, steps=False, title=title)


def training_figure(
    history: History, path: str | os.PathLike[str] | None, *, steps: bool, title: str | None = None
) -> Figure:
    """Draw a panel for the loss, one for every other measure, and, if asked for, for figures of single steps.

    Args:
        history: what `fit` returned.
        path: .png, .svg or .pdf to write, if any.
        steps: whether gradient norm, learning rate and size of the updates are drawn, where the history has them.
        title: a line above the picture, in any script.

    Raises:
        UsageError: if nothing was trained yet; else as `training_curve`.
        SaveError: if the picture cannot be written.
    """
    run = _collect(history)
    if not run.batches.size and not run.columns.keys() - {_SETTING}:
        raise UsageError(say("training_curve", "the history is empty", cure="Train the model first: model.fit(x, y)"))
    extra = [name for name in _OF_STEPS if steps and len(run.steps["step"])]
    panels = [name for name in _measures(run) if name not in (*extra, _SETTING)]
    ratios = [2.0] + [1.2] * (len(panels) + len(extra) - 1)
    n = len(ratios)
    figure, grid = canvas(
        "training_curve", n, 1, size=(7.5, 3.2 + (2.0 if n < 4 else 1.5) * (n - 1)), sharex=True, height_ratios=ratios
    )
    family = font_family()
    for axes, measure in zip(grid[:, 0], panels, strict=False):
        _draw(axes, run, measure, family=family)
    for axes, name in zip(grid[len(panels) :, 0], extra, strict=True):
        _draw_steps(axes, run, name)
    grid[-1, 0].set_xlabel("epoch" if run.epochs.size else "batches", family=family)
    return finish(figure, path, title)


def _collect(history: History) -> _Run:
    """Read a history into arrays."""
    columns = {
        name: np.asarray(values, np.float64)
        for name, values in history.history.items()
        if len(values) and not is_gradient(name)
    }
    epochs = np.asarray(history.epoch, np.float64) + 1  # epochs count from 0 and are drawn where they end
    steps = {name: column.astype(np.float64) for name, column in history.steps.items()}
    return _Run(epochs, columns, np.asarray(history.batches, np.float64).reshape(-1), steps)


def _measures(run: _Run) -> list[str]:
    """Return what was measured, each once, with or without its validation; the loss first."""
    names = dict.fromkeys(name.removeprefix("val_") for name in run.columns)
    with_loss = run.batches.size > 0 or "loss" in names
    return ["loss"] * with_loss + [name for name in names if name != "loss"]


def _draw(axes: Axes, run: _Run, measure: str, *, family: list[str]) -> None:
    """Draw one panel."""
    style: dict[str, Any] = {"marker": "o", "markersize": 3.5 if run.epochs.size <= 40 else 0, "linewidth": 1.6}
    drawn: list[NDArray[np.float64]] = []
    if measure == "loss" and run.batches.size:
        drawn.append(_draw_batches(axes, run))
    for name, label, color in (
        (measure, "training", _TRAINING),
        (f"val_{measure}", "validation", _VALIDATION),
    ):
        if name in run.columns:
            values = run.columns[name]
            axes.plot(run.epochs[-values.size :], values, color=color, label=label, zorder=3, **style)
            drawn.append(values)
    if _spans_decades(drawn):
        axes.set_yscale("log")
    axes.locator_params(axis="x", integer=True)
    axes.set_xlim(left=run.epochs[0] - 1 if run.epochs.size else 0)
    axes.set_ylabel(measure, family=family)
    tidy(axes)
    axes.legend(frameon=False, prop={"family": family, "size": 9})


def _draw_batches(axes: Axes, run: _Run) -> NDArray[np.float64]:
    """Draw the losses of the batches, gathered into a band and a line; return the line."""
    losses = np.where(np.isfinite(run.batches), run.batches, np.nan)
    # How many batches an epoch had is not recorded: they are spread evenly over the epochs of the picture.
    bins = np.array_split(losses, min(losses.size, _N_BINS))
    x = run.begin + (run.stop - run.begin) * np.cumsum([part.size for part in bins]) / losses.size
    # NaN makes its whole bin a gap in the line: a divergence should be seen.
    means = np.array([part.mean() for part in bins])
    label = "batches"
    if losses.size > _N_BINS:
        low, high = np.transpose([np.percentile(part, (10, 90)) for part in bins])
        axes.fill_between(x, low, high, color=_BATCHES, alpha=0.3, linewidth=0, label="batches, 10 to 90 %")
        label = "batches, mean"
    axes.plot(x, means, color=_BATCHES, linewidth=0.9, marker="o" if losses.size == 1 else None, label=label)
    return means


def _draw_steps(axes: Axes, run: _Run, name: str) -> None:
    """Draw a panel of figures of single steps."""
    x = run.begin + (run.stop - run.begin) * (run.steps["step"] + 1) / max(run.batches.size, 1)
    values = run.steps[name]
    axes.plot(x, values, color=_TRAINING, linewidth=1.2, marker="." if values.size <= 40 else None)
    axes.set_ylabel(_OF_STEPS[name])
    if _spans_decades([values]):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    tidy(axes)


def _spans_decades(drawn: list[NDArray[np.float64]]) -> bool:
    """Tell whether values span so much that only a logarithmic axis shows them."""
    values = np.concatenate([np.ravel(part) for part in drawn]) if drawn else np.empty(0)
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and values.max() > 50 * values.min())
