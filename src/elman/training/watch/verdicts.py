"""What samples of gradients say: figures, lines to be shown, and warnings in words."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.errors import say
from elman.training.watch.by_lag import GROWN

__all__ = ["Complaints", "Dead", "Sample", "figures_of", "is_gradient", "lines_of"]

_PREFIX = "gradient/"

# A gradient of which less than 0.5 % is left after 8 steps vanishes: it halves with every step. Layers as they are made
# stand at 5 to 33 % there with 16 to 128 units over inputs of variance 1, and at 0.6 % with a GRU of 4.
_REACH, _GONE = 8, 0.005

# Samples that must agree before something is said, as one may be a bad moment.
_PATIENCE = 3

# A layer is dead when so many of its units are: what few are left learn for all.
_MOST = 0.9


class Dead(NamedTuple):
    """Units of a layer that hand on no gradient in a sample, each (H,).

    Attributes:
        units: which.
        zero: which units are 0 at every step.
    """

    units: NDArray[np.bool_]
    zero: NDArray[np.bool_]


class Sample(NamedTuple):
    """What one step of training showed.

    Attributes:
        norms: what has weights, such as "lstm" or "bidirectional.forward" -> norm of their gradient in the batch.
        shares: recurrence -> lag -> the gradient of the state so many steps back, as a share of that at lag 0; a median
            over some losses E_t.
        dead: layer -> its dead units.
        uneven: how many times as much as the step at lag 0 another step may have of the loss itself: as many as there
            are steps where one loss looks at all of them, as through pooling.
    """

    norms: dict[str, float]
    shares: dict[str, dict[int, float]]
    dead: dict[str, Dead]
    uneven: float = 1.0


def figures_of(sample: Sample) -> dict[str, float]:
    """Give the figures of a sample by name: "gradient/<layer>" and "gradient/<layer>/lag_<k>".

    Args:
        sample: of a step.
    """
    figures = {f"{_PREFIX}{name}": norm for name, norm in sample.norms.items()}
    for name, shares in sample.shares.items():
        figures |= {f"{_PREFIX}{name}/lag_{lag}": share for lag, share in shares.items()}
    return figures


def is_gradient(name: str) -> bool:
    """Say whether a figure with this name is one of those that watching adds.

    Args:
        name: in logs or a history.
    """
    return name.startswith(_PREFIX)


def lines_of(sample: Sample) -> list[str]:
    """Give what a terminal shows of a sample: a line per recurrence, and one for all other layers.

    Args:
        sample: of a step.

    Example:
        >>> for line in lines_of(Sample({"lstm": 0.5, "dense": 0.25}, {"lstm": {1: 0.8, 2: 0.034}}, {})):
        ...     print(line)
        lstm  gradient 0.5  left after 1 step 80 %, 2 3.4 %
        dense  gradient 0.25
    """
    lines = []
    for name, shares in sample.shares.items():
        left = ", ".join(
            f"{lag}{' step' if not k else ''} {_percent(share)}" for k, (lag, share) in enumerate(shares.items())
        )
        norm = [f"gradient {sample.norms[name]:.3g}"] if name in sample.norms else []
        lines.append("  ".join((name, *norm, *([f"left after {left}"] if left else []))))
    others = [f"{name}  gradient {norm:.3g}" for name, norm in sample.norms.items() if name not in sample.shares]
    return lines + (["    ".join(others)] if others else [])


def _percent(share: float) -> str:
    """Say a share with two figures, and nothing as nothing."""
    percent = 100 * share
    if percent < 0.05:
        return "0 %"
    return f"{percent:.2g} %" if percent < 10 else f"{percent:,.0f} %"


class Complaints:
    """Warn in words when samples say that gradients vanish, explode or a layer is dead; once per kind and layer.

    Args:
        kinds: layer -> what it is, such as "RNN", for the cure.
        clipped: whether gradients are clipped.
    """

    def __init__(self, kinds: Mapping[str, str], *, clipped: bool) -> None:
        self.kinds, self.clipped = kinds, clipped
        self._last: deque[Sample] = deque(maxlen=_PATIENCE)
        self._said: set[tuple[str, str]] = set()

    def hear(self, sample: Sample) -> None:
        """Take a sample, and warn of what the last ones agree on.

        Args:
            sample: of a step.
        """
        self._last.append(sample)
        if len(self._last) == _PATIENCE:
            self.finish()

    def finish(self) -> None:
        """Warn of what the last samples agree on, however few there are."""
        if not self._last:
            return
        found = [_troubles(sample) for sample in self._last]
        for trouble in found[-1]:
            if all(trouble in others for others in found) and trouble not in self._said:
                self._said.add(trouble)
                warnings.warn(self._words(*trouble), UserWarning, stacklevel=2)

    def _words(self, kind: str, name: str) -> str:
        """Say what is wrong with a layer, and what cures it."""
        sample, what = self._last[-1], self.kinds.get(name, "")
        where = "fit, watch"
        if kind == "explode":
            lag, share = max(sample.shares[name].items(), key=lambda item: item[1])
            wrong = f"gradients explode in layer '{name}': {lag} steps back they are {share:.3g} times as large"
            cure = "Lower clip or the learning rate" if self.clipped else "Compile with clip=1.0"
            return say(where, wrong, cure=f"{cure}, or take fewer steps at once with truncate=")
        if kind == "vanish":
            left = _percent(sample.shares[name][_REACH])
            wrong = f"gradients vanish in layer '{name}': after {_REACH} steps {left} of them is left"
            cure = "If the task needs a longer memory, "
            if what == "RNN":
                return say(where, wrong, cure=f"{cure}take LSTM or GRU in place of RNN")
            return say(where, wrong, cure=f"{cure}lower the learning rate, or give the layer layer_norm=True")
        dead = sample.dead[name]
        zero = bool(dead.zero[dead.units].all())
        state = "0 at every step" if zero else "saturated at every step"
        wrong = f"layer '{name}' is dead: {int(dead.units.sum())} of its {dead.units.size} units are {state}"
        wrong += ", and no gradient passes them"
        cure = "Begin again with a lower learning rate, " + (
            "or with activation='tanh'" if zero else "or with smaller inputs: standardise them"
        )
        return say(where, wrong, cure=cure)


def _troubles(sample: Sample) -> list[tuple[str, str]]:
    """Give what is wrong in a sample, as kind and name."""
    # Where every step has its part in the loss, as with pooling, gradients of all of them add up on the way back: that
    # makes k + 1 of one at most, and is no explosion.
    found = [
        ("explode", name)
        for name, shares in sample.shares.items()
        if any(share >= GROWN * (lag + 1) * sample.uneven for lag, share in shares.items())
    ]
    reach: dict[str, Any] = {name: shares.get(_REACH) for name, shares in sample.shares.items()}
    # Memory needs one layer that has it: the others may be short of it.
    if reach and all(share is not None and share < _GONE for share in reach.values()):
        found += [("vanish", name) for name in reach]
    return found + [("dead", name) for name, dead in sample.dead.items() if dead.units.mean() >= _MOST]
