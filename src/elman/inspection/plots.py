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
    from matplotlib.figure import Figure

    from elman.training.history import History

__all__ = ["canvas", "finish", "tidy", "training_curve"]

# Blue and vermilion of Okabe & Ito (2008): told apart by every eye and in grey.
_TRAINING, _VALIDATION, _BATCHES = "#0072B2", "#D55E00", "#8FB8D6"
_SETTING = "learning_rate"  # in a history, but not measured
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
    run = _collect(history)
    if not run.batches.size and not run.columns.keys() - {_SETTING}:
        raise UsageError(say("training_curve", "the history is empty", cure="Train the model first: model.fit(x, y)"))
    panels = _measures(run)
    ratios = [2.0] + [1.2] * (len(panels) - 1)
    figure, grid = canvas(
        "training_curve", len(panels), 1, size=(7.5, 3.2 + 2.0 * (len(panels) - 1)), sharex=True, height_ratios=ratios
    )
    family = font_family()
    for axes, measure in zip(grid[:, 0], panels, strict=True):
        _draw(axes, run, measure, family=family)
    grid[-1, 0].set_xlabel("epoch" if run.epochs.size else "batches", family=family)
    return finish(figure, path, title)


def check_ending(where: str, path: str | os.PathLike[str]) -> str:
    """Give the format that the ending of a name says.

    Args:
        where: who asks, for messages.
        path: such as "curve.png".

    Raises:
        UsageError: if it is another than .png, .svg and .pdf.
    """
    ending = os.path.splitext(os.fspath(path))[1][1:].lower()
    if ending not in _FORMATS:
        expected = ", ".join(f".{known}" for known in _FORMATS)
        raise UsageError(say(where, f"cannot draw {os.fspath(path)!r}", expected=expected))
    return ending


def canvas(where: str, rows: int, columns: int, *, size: tuple[float, float], **options: Any) -> tuple[Figure, Any]:
    """Make an empty picture with panels.

    Args:
        where: who asks, for messages.
        rows: of panels.
        columns: of panels.
        size: width and height in inches.
        options: of matplotlib's `Figure.subplots`.

    Returns:
        The picture and its panels, an array (rows, columns).

    Raises:
        UsageError: if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        cure = "Install it with: pip install 'elman[plot]'"
        raise UsageError(say(where, "matplotlib is not installed", cure=cure)) from error
    # A Figure by itself draws without a screen and without pyplot's global list of open windows.
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def font_family() -> list[str]:
    """Give the fonts by which text of any script is drawn, as far as this machine has them."""
    from matplotlib import font_manager

    known = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(font for font in _CHINESE_FONTS if font in known)]


def finish(figure: Figure, path: str | os.PathLike[str] | None, title: str | None) -> Figure:
    """Give a picture its title and write it, atomically, if it is to be a file.

    Args:
        figure: drawn.
        path: .png, .svg or .pdf, or None.
        title: a line above it, in any script.

    Raises:
        UsageError: if the ending is another one.
        SaveError: if the file cannot be written.
    """
    if title:
        figure.suptitle(title, family=font_family(), fontsize=11)
    if path is not None:
        ending = check_ending("plot", path)
        write_atomic(path, lambda file: figure.savefig(file, format=ending))
    return figure


def tidy(axes: Axes) -> None:
    """Take away what does not show numbers.

    Args:
        axes: a panel with curves.
    """
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _collect(history: History) -> _Run:
    """Read a history into arrays."""
    columns = {name: np.asarray(values, np.float64) for name, values in history.history.items() if len(values)}
    epochs = np.asarray(history.epoch, np.float64) + 1  # epochs count from 0 and are drawn where they end
    return _Run(epochs, columns, np.asarray(history.batches, np.float64).reshape(-1))


def _measures(run: _Run) -> list[str]:
    """Return what was measured, each once, with or without its validation; the loss first."""
    names = dict.fromkeys(name.removeprefix("val_") for name in run.columns if name != _SETTING)
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
