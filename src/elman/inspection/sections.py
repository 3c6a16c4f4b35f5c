"""The sections of a report: which function answers each question, asked about how much."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from elman.errors import UsageError, say
from elman.inspection.course import training_course
from elman.inspection.dynamical import dynamics
from elman.inspection.gradients import gradient_by_lag
from elman.inspection.origins import origins
from elman.inspection.states import gates_and_states
from elman.inspection.subject import Subject
from elman.inspection.terms import contributions
from elman.inspection.truncation import truncation_bias
from elman.ragged import Ragged

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SECTIONS", "Finding", "Section", "look"]

Draw = Callable[..., "Figure"]

# Steps that are gone through with the gradient, where the recurrences have as many weights as a 2 x 128 LSTM: 12
# windows of 512 steps then take half a second on two cores. Larger networks get fewer.
_STEPS, _WEIGHTS = 6_144, 230_000
_LEAST, _MOST = 8, 64
_LAGS = 512
_ANSWERS, _WINDOW = 6, 100


class Finding(Protocol):
    """What every function of `elman.inspection` gives."""

    @property
    def verdict(self) -> str:
        """What it means, in one sentence."""

    def to_dict(self) -> dict[str, Any]:
        """Give the numbers as plain values."""


@dataclass(frozen=True)
class Section:
    """One question, and what was found.

    Attributes:
        name: such as "gradient_by_lag".
        title: for readers.
        finding: the numbers, as the function of that name gives them; None if the question could not be asked.
        absent: why there is no finding, in a sentence; "" if there is one.
        sample: what was looked at, in words.
        pictures: name -> function that draws it and takes a path.
    """

    name: str
    title: str
    finding: Finding | None = None
    absent: str = ""
    sample: str = ""
    pictures: Mapping[str, Draw] = field(default_factory=dict, repr=False)

    @property
    def verdict(self) -> str:
        """What it means for this model, in one sentence, or why it could not be told."""
        return self.absent if self.finding is None else self.finding.verdict

    def plot(self, path: str | os.PathLike[str] | None = None, *, picture: str | None = None) -> Figure:
        """Draw a picture of the section.

        Args:
            path: .png, .svg or .pdf to write, if any.
            picture: a key of `pictures`; the first if None.

        Raises:
            UsageError: if there is no such picture, or matplotlib is not installed.
        """
        name = next(iter(self.pictures), "") if picture is None else picture
        if name not in self.pictures:
            expected = f"one of {list(self.pictures)}" if self.pictures else None
            cure = None if self.pictures else self.absent.rstrip(".")
            raise UsageError(say(self.name, "there is no such picture", expected=expected, got=picture, cure=cure))
        return self.pictures[name](path)

    def to_dict(self) -> dict[str, Any]:
        """Give everything that was found as plain values."""
        found = {} if self.finding is None else self.finding.to_dict()
        return found | {"title": self.title, "verdict": self.verdict, "sample": self.sample, "absent": self.absent}


def _gradient(subject: Subject, *, needs: int) -> dict[str, Any]:
    lags, positions = _effort(subject)
    found = gradient_by_lag(subject.model, subject.x, subject.y, lags=lags, positions=positions, needs=needs, verbose=0)
    measured = max(curve.lags for curve in found.curves.values())
    return {
        "finding": found,
        "sample": f"{_counted(found.places.step, 'position')} t, lags 0 to {measured}",
        "pictures": {"gradient_by_lag": found.plot},
    }


def _terms(subject: Subject) -> dict[str, Any]:
    if (absent := _looks_both_ways(subject)) is not None:
        return absent
    lags, positions = _effort(subject, lags=256)
    found = contributions(subject.model, subject.x, subject.y, positions=min(positions, 32), lags=lags, verbose=0)
    return {
        "finding": found,
        "sample": f"{_counted(found.places.step, 'position')} t among the first {lags + 1} steps; terms and gradient "
        f"differ by {found.residual:.1g} of it",
        "pictures": {"contributions": found.plot},
    }


def _truncation(subject: Subject) -> dict[str, Any]:
    if (absent := _looks_both_ways(subject)) is not None:
        return absent
    lags, positions = _effort(subject, lags=256)
    found = truncation_bias(subject.model, subject.x, subject.y, steps=lags, positions=min(positions, 16), verbose=0)
    sample = f"{_counted(found.places.step, 'position')} t, {found.steps[0]} to {found.steps[-1]} steps back"
    return {"finding": found, "sample": sample, "pictures": {"truncation_bias": found.plot}}


def _states(subject: Subject) -> dict[str, Any]:
    assert subject.x is not None, "SECTIONS says that it needs data"
    found = gates_and_states(subject.model, subject.x, labels=subject.labels())
    names, signal = subject.first(100)
    drawn = list(found.states)
    # The lowest sees the input, the highest is what is answered from.
    some = drawn if len(drawn) <= 2 else [drawn[0], drawn[-1]]

    def draw(name: str) -> Draw:
        return lambda path=None: found.plot(path, recurrence=name, steps=100, text=names, signal=signal)

    shown = min(100, int(subject.x.lengths[0]))
    left = "" if len(some) == len(drawn) else f"; of {len(drawn)} recurrences the first and the last are drawn"
    return {
        "finding": found,
        "sample": f"{subject.x.n_steps:,} steps; drawn are the first {shown} of the first sequence{left}",
        "pictures": {f"states_{name.replace('.', '_')}": draw(name) for name in reversed(some)},
    }


def _attribution(subject: Subject) -> dict[str, Any]:
    assert subject.x is not None, "SECTIONS says that it needs data"
    x, steps, at = _answers(subject)
    found = origins(subject.model, x, at=at, window=_WINDOW, names=subject.outputs, steps=steps)
    longest = int(x.lengths.max())
    return {
        "finding": found,
        "sample": f"the most likely outputs of {_counted(x.lengths, 'sequence')} of at most {longest} steps, begun "
        "without memory",
        "pictures": {"attribution": found.plot},
    }


def _dynamics(subject: Subject) -> dict[str, Any]:
    assert subject.x is not None, "SECTIONS says that it needs data"
    found = dynamics(subject.model, subject.x)
    names = list(found.motions)
    some = names if len(names) <= 2 else [names[0], names[-1]]

    def draw(name: str) -> Draw:
        return lambda path=None: found.plot(path, recurrence=name)

    sizes = {len(motion.rows) for motion in found.motions.values()}
    searched = any(motion.fixed_points is not None for motion in found.motions.values())
    points = "" if searched else "; the state is too large to look for fixed points"
    return {
        "finding": found,
        "sample": f"Jacobians at {min(sizes)} of {subject.x.n_steps:,} steps{points}",
        "pictures": {f"dynamics_{name.replace('.', '_')}": draw(name) for name in reversed(some)},
    }


def _training(subject: Subject) -> dict[str, Any]:
    if subject.history is None:
        return {"absent": "The model file keeps no history: the model was not trained by fit."}
    found = training_course(subject.history)
    if not found.history.n_batches and not found.epochs:
        return {"absent": "The history is empty: the model was not trained by fit."}
    sample = "the history that is kept with the model"
    sample += "".join(f"; no {words}" for words in found.missing)
    return {"finding": found, "sample": sample, "pictures": {"training": found.plot}}


_NO_DATA = "Needs data: give sequences to look at."
_NO_TARGETS = "Needs targets: gradients are those of a loss, which compares the output with what it should be."
_NO_LOSS = "The model is not compiled, and gradients are those of a loss: call model.compile first."
_NO_RECURRENCE = "The model has no recurrent layer."

#: Name -> title, what it needs, and the function that looks.
SECTIONS: dict[str, tuple[str, str, Callable[..., dict[str, Any]]]] = {
    "gradient_by_lag": ("Gradient by lag", "targets", _gradient),
    "contributions": ("What each step contributes to the weight gradient", "targets", _terms),
    "truncation_bias": ("Truncation bias", "targets", _truncation),
    "states": ("Gates and states", "data", _states),
    "attribution": ("Where the answer came from", "data", _attribution),
    "dynamics": ("Dynamics", "data", _dynamics),
    "training": ("Training", "nothing", _training),
}


def look(name: str, subject: Subject, *, needs: int) -> Section:
    """Ask one question.

    Args:
        name: a key of SECTIONS.
        subject: of whom it is asked.
        needs: lags that the task needs.
    """
    title, takes, ask = SECTIONS[name]
    if takes != "nothing":
        absent = _NO_DATA if subject.x is None else "" if subject.weights_of_recurrences else _NO_RECURRENCE
        if takes == "targets" and not absent and subject.y is None:
            absent = _NO_LOSS if subject.model.loss is None else _NO_TARGETS
        if absent:
            return Section(name, title, absent=absent)
    options = {"needs": needs} if ask is _gradient else {}
    return Section(name, title, **ask(subject, **options))


def _effort(subject: Subject, *, lags: int = _LAGS) -> tuple[int, int]:
    """Choose lags and positions so that a network of any size is looked at in about the same time."""
    assert subject.x is not None, "whoever asks has data"
    longest = int(subject.x.lengths.max())
    steps = int(min(_MOST * _LAGS, _STEPS * _WEIGHTS / max(subject.weights_of_recurrences, 1)))
    lags = max(1, min(lags, longest - 1, max(steps // _LEAST, 64)))
    window = lags + 1 if all(layer.causal for layer in subject.model.layers) else longest
    return lags, int(np.clip(steps // window, _LEAST, _MOST))


def _answers(subject: Subject) -> tuple[Ragged, list[str] | None, Any]:
    """Choose sequences, or windows of them, and the steps whose answers are explained."""
    assert subject.x is not None, "whoever asks has data"
    x, names = subject.x, subject.steps
    causal = all(layer.causal for layer in subject.model.layers)
    if subject.answers_each_step and causal:
        ends = np.flatnonzero(
            np.arange(x.n_steps) - np.repeat(x.offsets[:-1], x.lengths) >= min(_WINDOW, int(x.lengths.max())) - 1
        )
        ends = ends[np.unique(np.linspace(0, len(ends) - 1, min(_ANSWERS, len(ends))).round().astype(int))]
        begins = np.maximum(ends + 1 - _WINDOW, x.offsets[np.searchsorted(x.offsets, ends, side="right") - 1])
    else:
        some = np.unique(np.linspace(0, len(x) - 1, min(_ANSWERS, len(x))).round().astype(int))
        begins, ends = x.offsets[some], x.offsets[some + 1] - 1
    rows = np.concatenate([np.arange(a, b + 1) for a, b in zip(begins, ends, strict=True)])
    lengths = ends - begins + 1
    # Of layers that look both ways the answer in the middle has most to look at.
    at = lengths // 2 if subject.answers_each_step and not causal else -1
    return Ragged(x.values[rows], lengths), None if names is None else [names[k] for k in rows], at


def _looks_both_ways(subject: Subject) -> dict[str, Any] | None:
    """Say why the sum over earlier steps cannot be taken apart, where it cannot."""
    reader = next((layer for layer in subject.model.layers if not layer.causal), None)
    if reader is None:
        return None
    why = f"{reader.name} needs whole sequences, so that what a step gives depends on later ones, too"
    return {"absent": f"There is no sum over earlier steps here: {why}."}


def _counted(items: Any, what: str) -> str:
    return f"{len(items)} {what}{'s' * (len(items) != 1)}"
