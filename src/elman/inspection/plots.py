"""Pictures, drawn by matplotlib, which is imported only here and only when a picture is asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.errors import UsageError, say
from elman.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from elman.training.history import History

__all__ = ["training_curve"]

# Blue and vermilion of Okabe & Ito (2008): told apart by every eye and in grey.
_TRAINING, _VALIDATION, _BATCHES = "#0072B2", "#D55E00", "#8FB8D6"
_FORMATS = ("png", "svg", "pdf")
_N_BINS = 400  # batches are gathered into so many columns; a picture has no room for more
# DejaVu, which matplotlib brings, has no Chinese; these do, and matplotlib goes through the list letter by letter.
_CHINESE_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei"),
    *("Microsoft YaHei", "PingFang SC", "SimHei", "Arial Unicode MS"),
)


class _Run(NamedTuple):
    """What is drawn: the number of the last epoch of each value, the named values, the losses of all batches."""

    epochs: NDArray[np.float64]
    columns: dict[str, NDArray[np.float64]]
    batches: NDArray[np.float64]


def training_curve(history: History, path: str | os.PathLike[str], *, title: str | None = None) -> None:
    """Draw how the loss fell, batch by batch and epoch by epoch.

    The losses of single batches lie as a band behind the curves of the epochs; every other measure that was taken, such
    as accuracy, gets a panel of its own. The file is written atomically.

    Args:
        history: what `fit` returned.
        path: where to draw; its ending, .png, .svg or .pdf, says how.
        title: a line above the picture, in any script.

    Raises:
        UsageError: if matplotlib is missing, the ending is another one, or nothing was trained yet.
        SaveError: if the picture cannot be written.
    """
    ending = os.path.splitext(os.fspath(path))[1][1:].lower()
    if ending not in _FORMATS:
        expected = ", ".join(f".{known}" for known in _FORMATS)
        raise UsageError(say("training_curve", f"cannot draw {os.fspath(path)!r}", expected=expected))
    run = _collect(history)
    if not run.batches.size and not run.columns:
        raise UsageError(say("training_curve", "the history is empty", cure="Train the model first: model.fit(x, y)"))
    try:
        from matplotlib import font_manager
        from matplotlib.figure import Figure
    except ImportError as error:
        cure = "Install it with: pip install 'elman[plot]'"
        raise UsageError(say("training_curve", "matplotlib is not installed", cure=cure)) from error

    known = set(font_manager.get_font_names())
    family = ["DejaVu Sans", *(font for font in _CHINESE_FONTS if font in known)]
    # A Figure by itself draws without a screen and without pyplot's global list of open windows.
    panels = _measures(run)
    figure = Figure(figsize=(7.5, 3.2 + 2.0 * (len(panels) - 1)), dpi=150, layout="constrained")
    ratios = [2.0] + [1.2] * (len(panels) - 1)
    grid = figure.subplots(len(panels), sharex=True, squeeze=False, height_ratios=ratios)
    for axes, measure in zip(grid[:, 0], panels, strict=True):
        _draw(axes, run, measure, family=family)
    grid[-1, 0].set_xlabel("epoch" if run.epochs.size else "batches", family=family)
    if title:
        figure.suptitle(title, family=family, fontsize=11)
    write_atomic(path, lambda file: figure.savefig(file, format=ending))


def _collect(history: History) -> _Run:
    """Read a history into arrays."""
    columns = {name: np.asarray(values, np.float64) for name, values in history.history.items() if len(values)}
    epochs = np.asarray(history.epoch, np.float64) + 1  # epochs count from 0 and are drawn where they end
    return _Run(epochs, columns, np.asarray(history.batches, np.float64).reshape(-1))


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
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, prop={"family": family, "size": 9})


def _draw_batches(axes: Axes, run: _Run) -> NDArray[np.float64]:
    """Draw the losses of the batches, gathered into a band and a line; return the line."""
    losses = np.where(np.isfinite(run.batches), run.batches, np.nan)
    # How many batches an epoch had is not recorded: they are spread evenly over the epochs of the picture.
    stop = run.epochs[-1] if run.epochs.size else float(losses.size)
    begin = run.epochs[0] - 1 if run.epochs.size else 0.0
    bins = np.array_split(losses, min(losses.size, _N_BINS))
    x = begin + (stop - begin) * np.cumsum([part.size for part in bins]) / losses.size
    # NaN makes its whole bin a gap in the line: a divergence should be seen.
    means = np.array([part.mean() for part in bins])
    label = "batches"
    if losses.size > _N_BINS:
        low, high = np.transpose([np.percentile(part, (10, 90)) for part in bins])
        axes.fill_between(x, low, high, color=_BATCHES, alpha=0.3, linewidth=0, label="batches, 10 to 90 %")
        label = "batches, mean"
    axes.plot(x, means, color=_BATCHES, linewidth=0.9, marker="o" if losses.size == 1 else None, label=label)
    return means


def _spans_decades(drawn: list[NDArray[np.float64]]) -> bool:
    """Tell whether values span so much that only a logarithmic axis shows them."""
    values = np.concatenate([np.ravel(part) for part in drawn]) if drawn else np.empty(0)
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and values.max() > 50 * values.min())
