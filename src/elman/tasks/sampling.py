"""How the next unit of a text is drawn from a model's logits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import UsageError, say
from elman.tasks.units import UNKNOWN

__all__ = ["REPEATED", "Sampler", "is_integer"]

#: How many of the last tokens the repetition penalty looks at: a line of characters, some sentences of words.
REPEATED = 64

_UNKNOWN = np.array([UNKNOWN])


@dataclass(frozen=True)
class Sampler:
    """A rule for choosing the next token; `<unk>` is never chosen.

    Log-probabilities of tokens among the last 64 are multiplied by the repetition penalty (after Keskar et al. 2019,
    who divide logits), then all are divided by the temperature, then only the `top_k` most probable tokens stay, then
    only the fewest of those whose probabilities, scaled to sum to 1, reach `top_p` (nucleus sampling, Holtzman et al.
    2020), then only those that have at least the share `min_p` of the probability of the most probable one (Nguyen et
    al. 2024). Of equally probable tokens the one with the lower id counts as the more probable.

    Args:
        temperature: below 1 is bolder, above 1 is wilder; 0 always takes the most probable token.
        top_k: how many tokens may be chosen from; None is all.
        top_p: in (0, 1]; None is all.
        min_p: in [0, 1]; None is 0.
        repetition_penalty: 1 or more; 1 is none.
        greedy: always take the most probable token; excludes temperature, top_k, top_p and min_p.

    Raises:
        UsageError: if an argument is out of range or greedy is combined with another rule.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0
    greedy: bool = False

    def __post_init__(self) -> None:
        if not _is_number(self.temperature) or not 0 <= self.temperature < math.inf:
            raise _refused("temperature", self.temperature, expected="a number, 0 or more")
        if self.top_k is not None and (not is_integer(self.top_k) or self.top_k < 1):
            raise _refused("top_k", self.top_k, expected="an integer >= 1")
        if self.top_p is not None and (not _is_number(self.top_p) or not 0 < self.top_p <= 1):
            raise _refused("top_p", self.top_p, expected="a number in (0, 1]")
        if self.min_p is not None and (not _is_number(self.min_p) or not 0 <= self.min_p <= 1):
            raise _refused("min_p", self.min_p, expected="a number in [0, 1]")
        if not _is_number(self.repetition_penalty) or not 1 <= self.repetition_penalty < math.inf:
            raise _refused("repetition_penalty", self.repetition_penalty, expected="a number, 1 or more")
        given = self.temperature != 1.0 or any(rule is not None for rule in (self.top_k, self.top_p, self.min_p))
        if self.greedy and given:
            wrong = "greedy takes no temperature, top_k, top_p or min_p"
            raise UsageError(say("sample", wrong, cure="Give one or the other"))

    @property
    def draws(self) -> bool:
        """Whether chance has a part in the choice."""
        return not self.greedy and self.temperature > 0

    def probabilities(
        self,
        logits: NDArray[np.floating],
        *,
        unwritable: NDArray[np.integer] = _UNKNOWN,
        allowed: NDArray[np.bool_] | None = None,
        before: Sequence[int] = (),
    ) -> NDArray[np.float64]:
        """Return the probability (V,) of each token.

        Args:
            logits: (V,) of the model.
            unwritable: ids that are never chosen; that of `<unk>` if not said.
            allowed: (V,) which tokens may be chosen; None is all others.
            before: the tokens so far, for the repetition penalty.
        """
        p = np.array(logits, np.float64)
        p[unwritable] = -np.inf
        if allowed is not None:
            p[~allowed] = -np.inf
        # Subtracting the largest before dividing keeps any temperature, however small, from overflowing.
        p -= p.max()
        if self.repetition_penalty != 1.0 and len(before):
            p -= math.log(np.exp(p).sum())  # a log-probability is at most 0, so that the factor makes it less
            p[np.unique(before[-REPEATED:])] *= self.repetition_penalty
            p -= p.max()
        if not self.draws:
            best = p.argmax()
            p[:] = 0.0
            p[best] = 1.0
            return p
        if self.temperature != 1.0:
            p /= self.temperature
        np.exp(p, out=p)
        if self.top_k is not None or self.top_p is not None:
            self._keep_most_probable(p)
        if self.min_p:
            p[p < self.min_p * p.max()] = 0.0
        p /= p.sum()
        return p

    def _keep_most_probable(self, p: NDArray[np.float64]) -> None:
        order = np.argsort(-p, kind="stable")
        if self.top_k is not None:
            p[order[self.top_k :]] = 0.0
        if self.top_p is not None:
            cumulated = np.cumsum(p[order])
            # The token at which the sum reaches top_p still belongs to the nucleus.
            p[order[np.searchsorted(cumulated, self.top_p * cumulated[-1]) + 1 :]] = 0.0

    def choose(self, logits: NDArray[np.floating], uniform: float, **rules: Any) -> int:
        """Return a token id.

        Args:
            logits: (V,) of the model.
            uniform: a number drawn evenly from [0, 1).
            rules: as `probabilities` takes them.
        """
        p = self.probabilities(logits, **rules)
        # "right" steps over tokens of probability 0. Rounding may leave the last sum a hair below 1, hence the scaling.
        cumulated = p.cumsum()
        return int(cumulated.searchsorted(uniform * cumulated[-1], side="right"))


def is_integer(value: object) -> bool:
    """Tell whether a value is an integer, Python's or NumPy's, and no truth value."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return is_integer(value) or isinstance(value, float | np.floating)


def _refused(name: str, value: object, *, expected: str) -> UsageError:
    return UsageError(say("sample", f"{name} is out of range", expected=expected, got=repr(value)))
