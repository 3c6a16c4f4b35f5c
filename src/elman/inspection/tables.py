"""The numbers behind the pictures of a report, as tables."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from elman.inspection.course import TrainingCourse
from elman.inspection.dynamical import Dynamics
from elman.inspection.gradients import GradientByLag
from elman.inspection.origins import Origins
from elman.inspection.states import GatesAndStates
from elman.inspection.terms import Contributions
from elman.inspection.truncation import TruncationBias

__all__ = ["Table", "tables_of"]


class Table(NamedTuple):
    """Rows of text under a heading.

    Attributes:
        caption: what it shows.
        head: of the columns.
        rows: of cells; the first one names the row.
    """

    caption: str
    head: list[str]
    rows: list[list[str]]


def tables_of(finding: Any) -> list[Table]:
    """Give the tables of what a section found.

    Args:
        finding: of any of the sections; of None there are none.
    """
    match finding:
        case GradientByLag():
            return _lags(finding)
        case Contributions():
            return _terms(finding)
        case TruncationBias():
            return _truncation(finding)
        case GatesAndStates():
            return _saturation(finding)
        case Origins():
            return _distances(finding)
        case Dynamics():
            return _motions(finding)
        case TrainingCourse():
            return _epochs(finding)
    return []


def _lags(found: GradientByLag) -> list[Table]:
    longest = max(curve.lags for curve in found.curves.values())
    lags = [k for k in _powers(longest) if k <= longest]
    rows = []
    for name, curve in found.curves.items():
        for part in curve.norms:
            median = curve.quantile(0.5, part)
            horizon = curve.horizon(part)
            called = f"{name}, h and c" if part == "state" and len(curve.norms) > 1 else f"{name}, {_part(part)}"
            beyond = f"beyond {curve.lags}" if horizon is None else str(horizon)
            shares = [_number(median[k]) if k < len(median) else "–" for k in lags]
            rows.append([called, curve.word(found.needs), beyond, *shares])
    head = ["state of", "verdict", "memory horizon", *(f"lag {k}" for k in lags)]
    return [
        Table("Median over t of the gradient that arrives, as a share of that of the whole state at lag 0", head, rows)
    ]


def _terms(found: Contributions) -> list[Table]:
    rows = [
        [name, str(found.half(name)), *(_share(found.near(name, steps)) for steps in (1, 4, 16, 64))]
        for name in found.norms
    ]
    head = ["parameter", "steps that make half", *(f"share of the last {k}" for k in (1, 4, 16, 64))]
    return [Table("Terms of the gradient, means over t; shares beyond 100 % are taken back by later terms", head, rows)]


def _truncation(found: TruncationBias) -> list[Table]:
    names = list(found.angles)
    rows = [
        [str(k), *(f"{found.angles[name][i]:.1f}°, {found.ratios[name][i]:.2f}" for name in names)]
        for i, k in enumerate(found.steps)
    ]
    head = ["steps back", *("all parameters" if name == "all" else name for name in names)]
    return [Table("Angle to the exact gradient, and norm relative to it", head, rows)]


def _saturation(found: GatesAndStates) -> list[Table]:
    rows = [
        [f"{name}, {gate}", _share(both.low), _share(both.high)]
        for name, gates in found.saturation.items()
        for gate, both in gates.items()
    ]
    return [
        Table("How much of the time a gate is at an end of its range", ["gate", "lowest tenth", "highest tenth"], rows)
    ]


def _distances(found: Origins) -> list[Table]:
    sums = np.cumsum(found.by_distance)
    rows = [[str(k), _share(sums[k])] for k in [0, *_powers(len(sums) - 1)] if k < len(sums)]
    return [Table("Share of an answer that comes from so many steps away or fewer", ["steps", "share"], rows)]


def _motions(found: Dynamics) -> list[Table]:
    rows = []
    for name, motion in found.motions.items():
        points = motion.fixed_points
        attract = (
            "not looked for" if points is None else f"{len(points)}, {sum(p.unstable == 0 for p in points)} attract"
        )
        radii = f"{np.median(motion.radii):.3f} ({motion.radii.min():.3f} to {motion.radii.max():.3f})"
        rows.append([name, radii, f"{motion.lyapunov:.4f}", attract, _share(float(motion.explained.sum()))])
    head = ["recurrence", "spectral radius, median and range", "Lyapunov exponent", "fixed points", "shown by two axes"]
    return [Table("Recurrences as dynamical systems", head, rows)]


def _epochs(found: TrainingCourse) -> list[Table]:
    rows = []
    for name, column in found.epochs.items():
        best = np.nanmax if "accuracy" in name or name.removeprefix("val_") in ("f1", "topk") else np.nanmin
        extreme = f"{best(column):.4g}" if np.isfinite(column).any() else "–"
        rows.append([name, f"{column[0]:.4g}", f"{column[-1]:.4g}", extreme])
    if not rows:
        return []
    return [Table("Figures of the epochs", ["measure", "first epoch", "last epoch", "greatest or least"], rows)]


def _powers(longest: int) -> list[int]:
    return [2**k for k in range(max(int(np.log2(max(longest, 1))), 0) + 1)]


def _part(part: str) -> str:
    return "the whole state" if part == "state" else part


def _number(value: float) -> str:
    return "–" if not np.isfinite(value) else f"{value:.2g}"


def _share(value: float) -> str:
    return "–" if not np.isfinite(value) else f"{100 * value:.3g} %"
