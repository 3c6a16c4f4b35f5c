"""A recurrence as a dynamical system: Jacobians, Lyapunov exponents, fixed points, trajectories."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.inspection import pictures
from elman.inspection.opened import look
from elman.inspection.plain import plain
from elman.layers import Recurrent
from elman.ops import reference
from elman.training.checks import check_count
from elman.training.watch import Forward, Heard, forward_steps, input_product, pull_back

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Dynamics", "FixedPoint", "Motion", "dynamics"]

Array = NDArray[Any]
State = tuple[Array, ...]

# Eigenvalues of 256 x 256 take some 0.1 s: so many numbers of all matrices together, cubed, are affordable.
_BUDGET = 1.3e8
_STARTS, _ROUNDS, _CONVERGED, _SAME = 64, 100, 1e-10, 1e-5
_ROWS_OF_PCA = 4096
_STEPS_OF_LYAPUNOV = 1000  # enough for two digits; each costs a step back in NumPy


class FixedPoint(NamedTuple):
    """A state that a constant input leaves as it is.

    Attributes:
        state: all parts, one after another, (D,).
        radius: the greatest modulus of the eigenvalues of the Jacobian there.
        unstable: how many eigenvalues lie outside the unit circle; 0 for one that attracts.
        plane: the point among the trajectories, (2,).
    """

    state: Array
    radius: float
    unstable: int
    plane: Array


@dataclass(frozen=True)
class Motion:
    """One recurrence as a dynamical system.

    Attributes:
        rows: (S,) steps at which the Jacobian was taken, sequence after sequence.
        radii: (S,) its spectral radius there.
        lyapunov: the largest Lyapunov exponent, per step: how fast two nearby states of the driven recurrence part
            (above 0) or meet; the median over the sequences.
        fixed_points: under the mean input; None where there are too many units to look for them.
        plane: (N, 2) h of every step in the plane of its greatest variance, rows as in x.
        explained: (2,) the shares of the variance that the two axes show.
        lengths: of the sequences, (B,).
    """

    rows: NDArray[np.int64]
    radii: Array
    lyapunov: float
    fixed_points: list[FixedPoint] | None
    plane: Array
    explained: Array
    lengths: NDArray[np.int64]


@dataclass(frozen=True)
class Dynamics:
    """All recurrences of a model as dynamical systems; see `dynamics`.

    Attributes:
        motions: by recurrence, from the input up.
    """

    motions: Mapping[str, Motion]

    @property
    def verdict(self) -> str:
        """What it means, in one sentence."""
        name, motion = max(self.motions.items(), key=lambda item: item[1].lyapunov)
        rate = motion.lyapunov
        if rate > 0.01:
            what = f"chaotic: nearby states part, {np.exp(rate):.3g} times each step"
        elif rate < -0.01:
            steps = np.log(0.01) / rate
            what = f"forgetful: two states are within 1 % of their distance after {steps:.0f} steps of the same input"
        else:
            what = "at the edge: nearby states neither part nor meet"
        points = motion.fixed_points
        more = ""
        if points is not None:
            stable = sum(point.unstable == 0 for point in points)
            if len(points) == 1:
                more = f"; one fixed point was found, which {'attracts' if stable else 'repels'}"
            elif points:
                more = f"; {len(points)} fixed points were found, of which {stable} attract{'s' * (stable == 1)}"
        return f"Driven by this data, {name} is {what} (Lyapunov exponent {rate:.3f}){more}."

    def to_dict(self) -> dict[str, Any]:
        """Give everything that is drawn as plain values."""
        found = {}
        for name, motion in self.motions.items():
            points = motion.fixed_points
            found[name] = plain(vars(motion)) | {
                "fixed_points": None if points is None else [plain(point._asdict()) for point in points]
            }
        return {"verdict": self.verdict, "motions": found}

    def plot(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        recurrence: str | None = None,
        colours: Array | None = None,
        title: str | None = None,
    ) -> Figure:
        """Draw spectral radii along the steps, and the trajectories in their plane.

        Args:
            path: .png, .svg or .pdf to write, if any.
            recurrence: which; the last one if None.
            colours: (N,) a number per step to colour trajectories by; the step within its sequence if None.
            title: a line above the picture.
        """
        name = list(self.motions)[-1] if recurrence is None else recurrence
        return pictures.motion(name, self.motions[name], colours, path, title=title)


def dynamics(model: Any, x: Any, *, samples: int = 64, fixed_point_units: int = 64, **options: Any) -> Dynamics:
    """Look at every recurrence as a dynamical system that the data drives.

    The state is all that is carried, h and c together. Of each recurrence: the spectral radius of the Jacobian of
    a step along the sequences; the largest Lyapunov exponent; fixed points under the mean input, by Newton's method
    from states that were visited, with their stability (small nets; Sussillo & Barak 2013); and h in two
    dimensions, by principal components. Everything is in float64.

    Args:
        model: built, or a task that holds such a model; it is left as it is.
        x: sequences.
        samples: steps at which the Jacobian is taken, at most; fewer for large states.
        fixed_point_units: largest state, in numbers, whose fixed points are looked for.
        options: lengths and pad_value, as in `fit`.

    Raises:
        UsageError: if the model has no recurrent layer.
        NotFittedError: if it has no weights.
        DataError: if the data does not fit.

    Example:
        >>> from elman import Sequential, layers
        >>> model = Sequential([layers.RNN(1)])
        >>> model.build(1)
        >>> model.set_weights([[[1.0]], [[2.0]], [0.0]])  # h' = tanh(2 h) rests at 0 and at two other points
        >>> motion = dynamics(model, np.random.default_rng(0).standard_normal((4, 50, 1)) * 1e-6).motions["rnn"]
        >>> sorted((round(float(p.state[0]), 2) + 0.0, p.unstable) for p in motion.fixed_points)
        [(-0.96, 0), (0.0, 1), (0.96, 0)]
    """
    check_count("samples", samples)
    check_count("fixed_point_units", fixed_point_units)
    looked = look(model, x, "dynamics", **options)
    motions = {}
    for name, (layer, turned) in looked.found.items():
        heard = looked.heard[name]
        steps = forward_steps(layer, heard)
        size = sum(part.shape[1] for part in steps.after)
        n_steps = heard.x.n_steps
        count = int(np.clip(_BUDGET / size**3, min(3, samples), samples))
        rows = np.unique(np.linspace(0, n_steps - 1, min(count, n_steps)).round().astype(int))
        jacobians = _jacobians(layer, tuple(part[rows] for part in steps.kept), heard)
        radii = np.array([np.abs(np.linalg.eigvals(jacobian)).max() for jacobian in jacobians])
        mean, axes, explained = _principal(steps.after[0])
        points = _fixed_points(layer, heard, steps, mean, axes) if size <= fixed_point_units else None
        plane = (steps.after[0] - mean) @ axes.T
        if turned:  # back into the user's order of time
            ends = np.repeat(heard.x.offsets[:-1] + heard.x.offsets[1:] - 1, heard.x.lengths)
            plane, rows = plane[ends - np.arange(n_steps)], (ends - np.arange(n_steps))[rows]
        order = np.argsort(rows)
        exponent = _lyapunov(layer, heard, steps)
        motions[name] = Motion(rows[order], radii[order], exponent, points, plane, explained, heard.x.lengths)
    return Dynamics(motions)


def _jacobians(layer: Recurrent, kept: tuple[Array, ...], heard: Heard) -> Array:
    """Give the derivative of the new state by the old one at every row, (S, D, D)."""
    sizes = layer.state_sizes()
    total, n_rows = sum(sizes), len(kept[0])
    d_state = tuple(np.tile(part, (n_rows, 1)) for part in np.split(np.eye(total), np.cumsum(sizes)[:-1], axis=1))
    each = tuple(np.repeat(part, total, axis=0) for part in kept)
    return np.concatenate(pull_back(layer, d_state, each, heard.tape.noise.zones), axis=1).reshape(n_rows, total, -1)


def _lyapunov(layer: Recurrent, heard: Heard, steps: Forward) -> float:
    """Give the median over the sequences of the rate at which gradients grow on their way back.

    A Jacobian product and its transpose have the same singular values, so the way back, which is at hand, shows
    the rate at which neighbouring states part. The first tenth of the way finds the direction and does not count.
    """
    x, sizes = heard.x, layer.state_sizes()
    order = reference.Order(x)
    start = np.random.default_rng(0).standard_normal((len(x), sum(sizes)))
    vector = start / np.linalg.norm(start, axis=1, keepdims=True)
    growth, counted = np.zeros(len(x)), np.zeros(len(x))
    lengths = np.minimum(x.lengths[order.order], _STEPS_OF_LYAPUNOV)
    for t in reversed(range(min(order.steps, _STEPS_OF_LYAPUNOV))):
        rows = order.rows(t)
        now = vector[: len(rows)]
        parts = tuple(np.split(now, np.cumsum(sizes)[:-1], axis=1))
        kept = tuple(part[rows] for part in steps.kept)
        now = np.concatenate(pull_back(layer, parts, kept, heard.tape.noise.zones), axis=1)
        norm = np.maximum(np.linalg.norm(now, axis=1), 1e-300)
        settled = lengths[: len(rows)] - t > 0.1 * lengths[: len(rows)]
        growth[: len(rows)] += np.where(settled, np.log(norm), 0)
        counted[: len(rows)] += settled
        vector[: len(rows)] = now / norm[:, None]
    has = counted > 0
    return float(np.median(growth[has] / counted[has]))


def _principal(h: Array) -> tuple[Array, Array, Array]:
    """Give the mean (P,), two axes (2, P) and the shares of the variance that they show (2,)."""
    mean = h.mean(axis=0)
    some = h[np.unique(np.linspace(0, len(h) - 1, min(len(h), _ROWS_OF_PCA)).round().astype(int))]
    _, scales, axes = np.linalg.svd(some - some.mean(axis=0), full_matrices=False)
    both, shares = np.zeros((2, h.shape[1])), np.zeros(2)
    n_axes = min(2, len(axes))
    both[:n_axes] = axes[:n_axes]
    shares[:n_axes] = scales[:n_axes] ** 2 / max(float((scales**2).sum()), 1e-300)
    return mean, both, shares


def _fixed_points(layer: Recurrent, heard: Heard, steps: Forward, mean: Array, axes: Array) -> list[FixedPoint]:
    """Find states that the mean input leaves as they are, by Newton's method from states near those visited."""
    sizes, zones = layer.state_sizes(), heard.tape.noise.zones
    cuts = np.cumsum(sizes)[:-1]
    visited = np.concatenate(steps.after, axis=1)
    rng = np.random.default_rng(0)
    chosen = visited[rng.integers(0, len(visited), _STARTS)]
    # Half of the starts leave the visited states, so that points no trajectory came near are found as well.
    spread = np.where(np.arange(_STARTS)[:, None] % 2, 1.0, 0.0)
    points = chosen + spread * rng.standard_normal(chosen.shape)
    ax = np.broadcast_to(input_product(layer, heard.x).mean(axis=0), (_STARTS, layer.weights["weight_ih"].shape[0]))

    def moved(states: Array) -> tuple[Array, tuple[Array, ...]]:
        parts = tuple(np.split(states, cuts, axis=1))
        new, kept = reference.step(layer.cell, ax[: len(states)], parts, layer.weights, zones=zones)
        return np.concatenate(new, axis=1), kept

    new, kept = moved(points)
    error = np.linalg.norm(new - points, axis=1)
    for _ in range(_ROUNDS):
        if (error < _CONVERGED).all():
            break
        slope = _jacobians(layer, kept, heard) - np.eye(points.shape[1])
        step = _solved(slope, new - points)
        for length in (1.0, 0.5, 0.1, 0.01):  # the longest that gets nearer
            trial = points - length * step
            reached, _ = moved(trial)
            better = np.linalg.norm(reached - trial, axis=1) < error
            points = np.where(better[:, None], trial, points)
            error = np.linalg.norm(moved(points)[0] - points, axis=1)
            step[better] = 0
        new, kept = moved(points)
    found: list[FixedPoint] = []
    scale = 1 + np.abs(points).max(initial=0)
    for k in np.flatnonzero(error < _CONVERGED * scale):
        if any(np.abs(points[k] - known.state).max() < _SAME * scale for known in found):
            continue
        moduli = np.abs(np.linalg.eigvals(_jacobians(layer, tuple(part[k : k + 1] for part in kept), heard)[0]))
        plane = axes @ (points[k][: sizes[0]] - mean)
        found.append(FixedPoint(points[k], float(moduli.max()), int((moduli > 1).sum()), plane))
    return found


def _solved(slope: Array, error: Array) -> Array:
    """Solve every system, by least squares where a matrix has no inverse."""
    try:
        out: Array = np.linalg.solve(slope, error[..., None])[..., 0]
    except np.linalg.LinAlgError:
        out = np.stack([np.linalg.lstsq(a, b, rcond=None)[0] for a, b in zip(slope, error, strict=True)])
    return out
