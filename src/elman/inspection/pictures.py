"""What the findings of an inspection look like; see `plots` for what all pictures share."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elman.inspection.plots import canvas, finish, font_family, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from elman.inspection.attribution import Attribution
    from elman.inspection.dynamical import Motion
    from elman.inspection.gradients import GradientByLag
    from elman.inspection.origins import Origins
    from elman.inspection.states import GatesAndStates
    from elman.inspection.terms import Contributions
    from elman.inspection.truncation import TruncationBias

__all__ = ["attribution", "contribution_map", "heat_maps", "lag_curves", "motion", "origins", "truncation", "visible"]

Array = NDArray[Any]
Path = str | os.PathLike[str] | None
Text = Sequence[str] | None  # a string, or the names of the steps

# Okabe & Ito (2008): told apart by every eye. Blue, vermilion and green also differ in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_FOR, _AGAINST = "#D55E00", "#0072B2"
_TEXT_WIDTH = 64  # letters of a coloured text in a line
_ROWS = 128  # units that a heat map has room for
_FLOOR = 1e-12  # shares below are rounding


def lag_curves(found: GradientByLag, path: Path, *, title: str | None) -> Figure:
    """Draw a panel per recurrence: median and spread of the gradient over the lag."""
    n = len(found.curves)
    figure, grid = canvas("plot", n, 1, size=(7.5, 0.9 + 2.5 * n), sharex=True)
    right = 1
    for axes, (name, curve) in zip(grid[:, 0], found.curves.items(), strict=True):
        parts = ["state"] if len(curve.norms) == 1 else ["h", "c", "state"]
        for part in parts:
            colour = {"state": COLOURS[0], "h": COLOURS[1], "c": COLOURS[2]}[part]
            style = {"linewidth": 2.0, "zorder": 3} if part == "state" else {"linewidth": 1.2, "linestyle": "--"}
            median = curve.quantile(0.5, part)
            lag = np.arange(len(median))
            shown = np.where(median > _FLOOR, median, np.nan)
            axes.plot(
                lag, shown, color=colour, label="h and c" if part == "state" and len(parts) > 1 else part, **style
            )
            if part == "state":
                low, high = (np.maximum(curve.quantile(q, part), _FLOOR) for q in (0.1, 0.9))
                axes.fill_between(lag, low, high, color=colour, alpha=0.18, linewidth=0, label="10 to 90 %")
        axes.axhline(0.01, color="#888888", linewidth=0.8, linestyle=":")
        seen = np.flatnonzero(curve.quantile(0.9) > _FLOOR)
        right = max(right, int(seen[-1]) if len(seen) else 1)
        horizon = curve.horizon()
        reach = "never below 1 %" if horizon is None else f"1 % after {horizon} steps"
        if horizon is not None:
            axes.axvline(horizon, color="#888888", linewidth=0.8, linestyle=":")
        if not len(seen):
            axes.set_ylim(1e-3, 1)  # nothing arrives, and nothing is drawn
        axes.set_yscale("log")
        axes.set_title(f"{name}: {curve.word(found.needs)}, {reach}", fontsize=10, loc="left")
        axes.set_ylabel("share of lag 0")
        tidy(axes)
        axes.legend(frameon=False, fontsize=8, ncols=4)
    grid[-1, 0].set_xlim(-0.01 * right, 1.02 * right)
    grid[-1, 0].set_xlabel("lag k: steps back from t (ahead, where a layer reads from the end)")
    return finish(figure, path, title)


def contribution_map(found: Contributions, names: list[str], path: Path, *, title: str | None) -> Figure:
    """Draw a heat map per parameter: the norm of every term over t and k."""
    figure, grid = canvas("plot", len(names), 1, size=(7.5, 0.9 + 2.6 * len(names)))
    for axes, name in zip(grid[:, 0], names, strict=True):
        norms = found.norms[name]
        top = np.nanmax(norms, initial=0)
        shown = np.where(norms > 0, norms, np.nan)
        # Six decades say where the gradient comes from; all of them would say how floats end.
        image = axes.imshow(
            np.maximum(shown, top * 1e-6) / (top or 1),
            norm="log", aspect="auto", origin="lower", interpolation="none", cmap="viridis",
        )  # fmt: skip
        image.set_clim(1e-6, 1)
        visible = np.flatnonzero((norms > top * 1e-6).any(axis=0))
        axes.set_xlim(-0.5, max(10, int(visible[-1]) if len(visible) else 0) + 0.5)
        steps = found.places.step
        ticks = np.unique(np.linspace(0, len(steps) - 1, min(6, len(steps))).round().astype(int))
        axes.set_yticks(ticks, [str(steps[k]) for k in ticks])
        axes.set_ylabel("loss at step t")
        half = found.half(name)
        axes.set_title(f"{name}: half of it from {half} step{'s' * (half > 1)}", fontsize=10, loc="left")
        figure.colorbar(image, ax=axes, label="norm of the term")
    grid[-1, 0].set_xlabel("steps back k")
    return finish(figure, path, title)


def truncation(found: TruncationBias, path: Path, *, title: str | None) -> Figure:
    """Draw angle and ratio of norms over the number of steps."""
    figure, grid = canvas("plot", 2, 1, size=(7.5, 5.2), sharex=True)
    names = sorted(found.angles, key=lambda name: name == "all")
    for name, colour in zip(names, COLOURS * len(names), strict=False):
        style = {"color": "#555555", "linestyle": "--"} if name == "all" else {"color": colour, "marker": "o"}
        label = "all parameters" if name == "all" else name
        for axes, values in zip(grid[:, 0], (found.angles, found.ratios), strict=True):
            axes.plot(found.steps, values[name], markersize=4, label=label, **style)
    grid[0, 0].set_ylabel("angle, degrees")
    grid[0, 0].set_ylim(bottom=0)
    grid[0, 0].legend(frameon=False, fontsize=9)
    grid[1, 0].axhline(1, color="#888888", linewidth=0.8, linestyle=":")
    grid[1, 0].set(ylabel="norm, relative to the exact", xlabel="steps that each loss is taken back", ylim=(0, None))
    for axes in grid[:, 0]:
        axes.set_xscale("log", base=2)
        axes.set_xticks(found.steps, [str(k) for k in found.steps])
        axes.minorticks_off()
        tidy(axes)
    return finish(figure, path, title)


def heat_maps(
    found: GatesAndStates,
    name: str,
    sequence: int,
    steps: int,
    text: Text,
    path: Path,
    *,
    signal: Array | None,
    title: str | None,
) -> Figure:
    """Draw gates and states of one recurrence over one sequence, and how saturated its gates are."""
    parts = [*found.gates[name], *found.states[name]]
    above = 0 if signal is None else 1
    n = len(parts) + above
    sizes = {"height_ratios": [1.0] * n, "width_ratios": [5, 1]}
    figure, grid = canvas("plot", n, 2, size=(9.5, 0.8 + 1.5 * n), **sizes)
    if signal is not None:
        _signal(grid[0, 0], signal[:steps])
        grid[0, 1].axis("off")
    for (axes, beside), part in zip(grid[above:], parts, strict=True):
        values = found.of(name, part, sequence)[:steps]
        limit = max(1.0, float(np.abs(values).max(initial=0)))
        signed = part in found.states[name] or values.min(initial=0) < 0
        # As it is, a small map makes a small file and stays sharp; a large one is made as large as it is shown.
        how = "none" if values.shape[1] <= _ROWS else "nearest"
        axes.imshow(
            values.T, aspect="auto", interpolation=how, cmap="RdBu_r" if signed else "viridis",
            vmin=-limit if signed else 0, vmax=limit,
        )  # fmt: skip
        axes.set_ylabel(part, rotation=0, labelpad=12, fontsize=11)
        axes.set_yticks([])
        if part != parts[-1]:
            axes.set_xticks([])
        _beside(beside, found, name, part)
    last = grid[-1, 0]
    if text is not None and len(text[:steps]) <= 100:
        _name_steps(last, text[:steps])
    else:
        last.set_xlabel("step")
    figure.suptitle(title or f"{name}: gates and states, one row per unit", fontsize=11, family=font_family())
    return finish(figure, path, None)


def _signal(axes: Axes, signal: Array) -> None:
    """Draw the numbers that came in: some as curves, many as the picture they make."""
    if signal.shape[1] <= 6:
        for values, colour in zip(signal.T, COLOURS, strict=False):
            axes.plot(values, color=colour, linewidth=1.0)
        axes.set_xlim(-0.5, len(signal) - 0.5)
    else:
        axes.imshow(signal.T, aspect="auto", interpolation="none", cmap="gray_r")
    axes.set_ylabel("x", rotation=0, labelpad=12, fontsize=11)
    axes.set_xticks([])
    axes.set_yticks([])


def _name_steps(axes: Axes, text: Sequence[str]) -> None:
    """Write characters or words below the steps."""
    shown = [visible(part) for part in text]
    turned = 90 if any(len(part) > 1 for part in shown) else 0
    axes.set_xticks([])  # ticks would take three times as long as texts
    below, family = axes.get_xaxis_transform(), font_family()
    for k, part in enumerate(shown):
        axes.text(k, -0.03, part, transform=below, ha="center", va="top", fontsize=7, family=family, rotation=turned)


def visible(step: str) -> str:
    """Give the name of a step so that white space is seen.

    Args:
        step: a character or a word.

    Example:
        >>> [visible(step) for step in ("a", " ", "word")]
        ['a', '␣', 'word']
    """
    return {" ": "␣", "\n": "⏎", "\r": "␍", "\t": "⇥"}.get(step, step)


def _beside(axes: Axes, found: GatesAndStates, name: str, part: str) -> None:
    """Draw the histogram of a gate over all sequences."""
    if part not in found.gates[name]:
        axes.axis("off")
        return
    saturation = found.saturation[name][part]
    middles = (saturation.edges[1:] + saturation.edges[:-1]) / 2
    axes.bar(middles, saturation.counts, width=np.diff(saturation.edges), color=COLOURS[0])
    axes.set_title(f"{saturation.low:.0%} low, {saturation.high:.0%} high", fontsize=8)
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(labelbottom=True, labelsize=7)


def attribution(found: Attribution, sequence: int, text: Text, path: Path, *, title: str | None) -> Figure:
    """Draw the scores of a sequence as bars, or its text coloured by them."""
    scores = found.of(sequence)
    heading = title or (
        f"{found.method.replace('_', ' ')}: output {found.output[sequence]} at step {found.at[sequence]} "
        f"= {found.value[sequence]:.3g}"
    )
    if text is None or any(len(part) > 1 for part in text):
        figure, ((axes,),) = canvas("plot", 1, 1, size=(7.5, 2.8))
        _bars(axes, scores)
        axes.set(xlabel="step", ylabel="for (+) or against (−)")
        if text is not None and len(text) <= 100:
            _name_steps(axes, text)
        return finish(figure, path, heading)
    lines = [range(k, min(k + _TEXT_WIDTH, len(text))) for k in range(0, len(text), _TEXT_WIDTH)]
    figure, ((axes,),) = canvas("plot", 1, 1, size=(9.0, 0.7 + 0.28 * len(lines)))
    limit = float(np.nanmax(np.abs(scores), initial=0)) or 1.0
    for row, line in enumerate(lines):
        for column, k in enumerate(line):
            score = 0.0 if k >= len(scores) or np.isnan(scores[k]) else float(scores[k]) / limit
            box = {
                "facecolor": _FOR if score >= 0 else _AGAINST,
                "alpha": abs(score) ** 0.7,
                "linewidth": 0,
                "pad": 1.5,
            }
            letter = {"\n": "⏎", " ": " "}.get(text[k], text[k])
            axes.text(column, row, letter, fontsize=9, ha="center", va="center", bbox=box, family=font_family())
    axes.set(xlim=(-1, _TEXT_WIDTH), ylim=(len(lines) - 0.4, -0.6))
    axes.axis("off")
    return finish(figure, path, heading)


def _bars(axes: Axes, scores: Array) -> None:
    """Draw scores for and against."""
    axes.bar(np.arange(len(scores)), np.nan_to_num(scores), color=np.where(scores >= 0, _FOR, _AGAINST), width=0.9)
    axes.axhline(0, color="#555555", linewidth=0.6)
    tidy(axes)


def origins(found: Origins, path: Path, *, title: str | None) -> Figure:
    """Draw what part of an answer comes from how far, and the first answer by every method."""
    n = 1 + len(found.first)
    figure, grid = canvas("plot", n, 1, size=(7.5, 1.2 + 1.5 * n), height_ratios=[1.4] + [1.0] * (n - 1))
    top = grid[0, 0]
    sums = np.cumsum(found.by_distance)
    top.step(np.arange(len(sums)), 100 * sums, where="mid", color=COLOURS[0])
    top.axvline(found.half(), color="#888888", linewidth=0.8, linestyle=":")
    top.set(xlabel="steps from the answer", ylabel="% of what counts", ylim=(0, 103), xlim=(-0.5, len(sums) - 0.5))
    top.set_title(f"all {len(found.found.lengths)} answers: half within {found.half()} steps", fontsize=10, loc="left")
    tidy(top)
    names = None if found.steps is None else found.steps[: int(found.found.lengths[0])]
    for axes, (method, one) in zip(grid[1:, 0], found.first.items(), strict=True):
        _bars(axes, one.of())
        axes.set_title(f"the first, {found.output()}: {method.replace('_', ' ')}", fontsize=9, loc="left")
        axes.set_xlim(-0.6, len(one.of()) - 0.4)
        if axes is not grid[-1, 0]:
            axes.tick_params(labelbottom=False)
        elif names is not None and len(names) <= 100:
            _name_steps(axes, names)
        else:
            axes.set_xlabel("step")
    return finish(figure, path, title)


def motion(name: str, found: Motion, colours: Array | None, path: Path, *, title: str | None) -> Figure:
    """Draw spectral radii along the steps, and trajectories with fixed points."""
    figure, grid = canvas("plot", 1, 2, size=(10.0, 4.2), width_ratios=[1, 1.15])
    left, right = grid[0]
    left.plot(found.rows, found.radii, color=COLOURS[0], marker=".", linewidth=1.0)
    left.axhline(1, color="#888888", linewidth=0.8, linestyle=":")
    top = 1.05 * max(1.0, float(found.radii.max()))
    left.set(xlabel="step", ylabel="spectral radius of the Jacobian", ylim=(0, top))
    left.set_title(f"{name}: Lyapunov exponent {found.lyapunov:.3f}", fontsize=10, loc="left")
    tidy(left)
    begins = np.cumsum(found.lengths) - found.lengths
    number = np.arange(len(found.plane)) - np.repeat(begins, found.lengths) if colours is None else colours
    for begin, length in zip(begins[:50], found.lengths[:50], strict=True):
        part = found.plane[begin : begin + length]
        right.plot(part[:, 0], part[:, 1], color="#BBBBBB", linewidth=0.5, zorder=1)
    points = right.scatter(*found.plane.T, c=number, s=6, cmap="viridis", zorder=2, rasterized=True)
    for kind, marker, colour in (("attracts", "o", COLOURS[1]), ("repels", "X", "#000000")):
        some = [p for p in found.fixed_points or () if (p.unstable == 0) == (kind == "attracts")]
        if some:
            plane = np.array([p.plane for p in some])
            right.scatter(*plane.T, marker=marker, s=70, color=colour, edgecolor="white", zorder=3,
                          label=f"fixed point that {kind}")  # fmt: skip
            right.legend(frameon=False, fontsize=8)
    x, y = found.explained
    right.set(xlabel=f"first axis, {x:.0%} of the variance", ylabel=f"second axis, {y:.0%}")
    right.set_title("h in two dimensions", fontsize=10, loc="left")
    figure.colorbar(points, ax=right, label="step" if colours is None else None)
    tidy(right)
    return finish(figure, path, title)
