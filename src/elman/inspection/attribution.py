"""Which steps of the input an output came from."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import UsageError, say
from elman.inspection import pictures
from elman.inspection.opened import engine_of, unwrapped, widened
from elman.inspection.plain import plain
from elman.layers import Dense, Embedding, Layer
from elman.model.data import read_input
from elman.ops.workspace import Workspace, activate
from elman.ragged import Ragged
from elman.training.checks import check_count

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Attribution", "attribute"]

Array = NDArray[Any]
Method = Literal["gradient_x_input", "integrated_gradients", "occlusion"]

# Steps that variants of a sequence are run with at once.
_STEPS_AT_ONCE = 16_384


@dataclass(frozen=True)
class Attribution:
    """How much every step of the input speaks for an output, or against it; see `attribute`.

    Attributes:
        method: by which it was found.
        scores: (N,), one per step, sequence after sequence; NaN for steps that were not occluded.
        features: (N, F) by feature, or by number of the embedding; None for occlusion.
        lengths: of the sequences, (B,).
        output: (B,) index of the output that is explained.
        at: (B,) the step it was given at, the last one where there is one output per sequence.
        value: (B,) that output; of a softmax or sigmoid what goes into it.
        gap: (B,) integrated gradients: how far the sum of the scores is from the change of the output between
            baseline and input, which it would be exactly; 0 for other methods.
    """

    method: str
    scores: Array
    features: Array | None
    lengths: NDArray[np.int64]
    output: NDArray[np.int64]
    at: NDArray[np.int64]
    value: Array
    gap: Array

    def of(self, sequence: int = 0) -> Array:
        """Give the scores of one sequence, (T,).

        Args:
            sequence: its index.
        """
        ends = np.cumsum(self.lengths)
        return self.scores[int(ends[sequence] - self.lengths[sequence]) : int(ends[sequence])]

    def top(self) -> NDArray[np.int64]:
        """Give the step of every sequence that counts most, for or against, (B,); −1 where there is none."""
        parts = [np.nan_to_num(np.abs(self.of(b))) for b in range(len(self.lengths))]
        return np.array([int(part.argmax()) if len(part) else -1 for part in parts], np.int64)

    @property
    def verdict(self) -> str:
        """What it means, in one sentence."""
        sizes = np.nan_to_num(np.abs(self.of(0)))
        top = int(self.top()[0])
        share = sizes[top] / max(float(sizes.sum()), 1e-300)
        word = "for" if self.of(0)[top] >= 0 else "against"
        more = "" if len(self.lengths) == 1 else f" (first of {len(self.lengths)} sequences)"
        return (
            f"Of output {self.output[0]} at step {self.at[0]}, step {top} counts most{more}: it speaks {word} it and "
            f"makes {share:.0%} of all that counts."
        )

    def to_dict(self) -> dict[str, Any]:
        """Give everything that is drawn as plain values."""
        names = ("method", "output", "at", "value", "gap")
        sequences = [plain(self.of(b)) for b in range(len(self.lengths))]
        return {
            "verdict": self.verdict,
            **{name: plain(getattr(self, name)) for name in names},
            "scores": sequences,
            "top": plain(self.top()),
        }

    def plot(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        sequence: int = 0,
        text: Sequence[str] | None = None,
        title: str | None = None,
    ) -> Figure:
        """Draw the scores of one sequence, or colour its text by them.

        Args:
            path: .png, .svg or .pdf to write, if any.
            sequence: its index.
            text: one character or word for every step.
            title: a line above the picture.
        """
        return pictures.attribution(self, sequence, text, path, title=title)


class _Question(NamedTuple):
    """What is asked: layers over rows of numbers, and which output of each sequence.

    Attributes:
        layers: without those that make numbers of token ids, and without a softmax or sigmoid at the end.
        at: (B,) step of the output, or None where there is one per sequence.
        output: (B,) index of the output.
    """

    layers: Sequence[Layer]
    at: NDArray[np.int64] | None
    output: NDArray[np.int64]

    def of(self, which: Array, *, begin: int = 0) -> _Question:
        """Ask the same of some sequences, repeats allowed, whose first steps are left out."""
        at = None if self.at is None else self.at[which] - begin
        return _Question(self.layers, at, self.output[which])

    def values(self, x: Ragged, state: Any = None) -> Array:
        """Give the output asked for of every sequence, (B,)."""
        return self._ask(x, state, back=False)[0]

    def gradient(self, x: Ragged) -> Array:
        """Give its gradient with respect to every number that comes in, (N, F)."""
        return self._ask(x, None, back=True)[1]

    def _ask(self, x: Ragged, state: Any, *, back: bool) -> tuple[Array, Array]:
        output, at = self.output, self.at
        with activate(Workspace()):
            out, _, tapes = _forward(self.layers, x, state=state, tape=back)
            rows = np.arange(len(output)) if at is None else out.offsets[:-1] + at
            values = out.values if isinstance(out, Ragged) else out
            chosen = values[rows, output].copy()
            if not back:
                return chosen, chosen
            d_values = np.zeros_like(values)
            d_values[rows, output] = 1
            d: Any = out.with_values(d_values) if isinstance(out, Ragged) else d_values
            for layer, tape in zip(reversed(self.layers), reversed(tapes), strict=True):
                grads = {name: np.zeros_like(array) for name, array in layer.weights.items()}
                d, _, _ = layer.backward(d, tape, grads, want_dx=True)
            return chosen, d.values.copy()


def attribute(
    model: Any,
    x: Any,
    *,
    method: Method = "integrated_gradients",
    output: int | ArrayLike | None = None,
    at: int | ArrayLike = -1,
    baseline: Literal["zeros", "mean"] | ArrayLike = "zeros",
    points: int = 16,
    window: int = 256,
    **options: Any,
) -> Attribution:
    """Say how much every step of the input counts for an output.

    - "gradient_x_input": gradient of the output times the input; what a small change of each number would do.
    - "integrated_gradients": (x − baseline) times the gradient, averaged on the way from the baseline to x
      (Sundararajan, Taly & Yan 2017); the scores add up to the change of the output.
    - "occlusion": what the output loses when a step is replaced by the baseline (Zeiler & Fergus 2014).

    Token ids count through their embedding, or their one-hot rows. Everything is in float64.

    Args:
        model: built, or a task that holds such a model; it is left as it is.
        x: sequences.
        method: see above.
        output: index of the output, one for all or one per sequence; the greatest if None.
        at: step of the output where there is one per step, one for all or one per sequence; the last by default.
        baseline: what stands for "nothing": "zeros", "mean" (of all steps given), or numbers (F,).
        points: of integrated gradients, on the way (Gauss-Legendre).
        window: of occlusion, how many steps up to `at`, and as many after it where layers look both ways.
        options: lengths and pad_value, as in `fit`.

    Raises:
        UsageError: if the method is unknown, or there is no such output or step.
        NotFittedError: if the model has no weights.
        DataError: if x does not fit.

    Example:
        >>> from elman import Sequential, layers
        >>> model = Sequential([layers.Embedding(10, 4), layers.GRU(8), layers.Dense(2)])
        >>> model.build(10, rng=0)
        >>> found = attribute(model, [[1, 2, 3], [4, 5]])
        >>> found.scores.shape, found.features.shape
        ((5,), (5, 4))
        >>> bool(abs(found.gap).max() < 1e-6)
        True
    """
    methods: dict[str, Callable[..., tuple[Array, Array | None]]] = {
        "gradient_x_input": _gradient_x_input,
        "integrated_gradients": _integrated,
        "occlusion": _occluded,
    }
    if method not in methods:
        expected = "one of " + ", ".join(map(repr, methods))
        raise UsageError(say("attribute", "unknown method", expected=expected, got=repr(method)))
    check_count("points", points)
    check_count("window", window)
    model = unwrapped(model, "attribute")
    batch, _ = read_input(model, x, where="attribute", **options)
    if not (batch.lengths > 0).all():
        empty = int(np.argmin(batch.lengths))
        raise UsageError(say("attribute", f"sequence {empty} has no steps", expected="at least one in each"))
    layers = list(engine_of(model, "attribute").layers)
    layers, rows = _numbers(layers, batch, model.input_size or 1)
    if isinstance(last := layers[-1], Dense) and last.activation in ("softmax", "sigmoid"):
        layers[-1] = last.logits()
    question = _ask_for(layers, rows, output, at)
    base = _baseline(baseline, rows)
    causal = all(layer.causal and layer.makes_steps is None for layer in layers)
    scores, features = methods[method](question, rows, base, points=points, window=window, causal=causal)
    value = question.values(rows)
    gap = np.zeros(len(rows))
    if method == "integrated_gradients":
        begins = rows.with_values(np.broadcast_to(base, rows.values.shape).copy())
        sums = np.add.reduceat(scores, rows.offsets[:-1])
        gap = np.abs(sums - (value - question.values(begins)))
    step = rows.lengths - 1 if question.at is None else question.at
    return Attribution(method, scores, features, rows.lengths, question.output, step, value, gap)


def _forward(layers: Sequence[Layer], x: Any, *, state: Any = None, tape: bool) -> tuple[Any, list[Any], list[Any]]:
    """Give what comes out, the last states and the tapes."""
    lasts, tapes = [], []
    for index, layer in enumerate(layers):
        x, last, kept = layer.forward(x, state=None if state is None else state[index], tape=tape)
        lasts.append(last)
        tapes.append(kept)
    return x, lasts, tapes


def _numbers(layers: list[Layer], batch: Ragged, vocab_size: int) -> tuple[list[Layer], Ragged]:
    """Give rows of numbers, and the layers that take them: of token ids the embedding, or one-hot rows."""
    if batch.features is not None:
        return layers, widened(batch)
    if isinstance(layers[0], Embedding):
        return layers[1:], batch.with_values(layers[0].forward(batch, tape=False)[0].values.copy())
    return layers, batch.with_values(np.eye(vocab_size)[batch.values])


def _ask_for(layers: Sequence[Layer], x: Ragged, output: Any, at: Any) -> _Question:
    """Check which output is asked for."""
    out, _, _ = _forward(layers, x, tape=False)
    step = None
    values = out
    if isinstance(out, Ragged):
        asked = np.broadcast_to(np.asarray(at), len(x)).astype(np.int64)
        step = np.where(asked < 0, asked + out.lengths, asked)
        outside = (step < 0) | (step >= out.lengths)
        if outside.any():
            b = int(np.argmax(outside))
            expected = f"one of {out.lengths[b]} steps"
            raise UsageError(say("attribute", f"sequence {b} has no such step", expected=expected, got=int(asked[b])))
        values = out.values[out.offsets[:-1] + step]
    if output is None:
        return _Question(layers, step, values.argmax(axis=1))
    chosen = np.broadcast_to(np.asarray(output), len(x)).astype(np.int64)
    if not ((chosen >= 0) & (chosen < values.shape[1])).all():
        expected = f"an index from 0 to {values.shape[1] - 1}"
        raise UsageError(say("attribute", "there is no such output", expected=expected, got=output))
    return _Question(layers, step, chosen)


def _baseline(given: Any, x: Ragged) -> Array:
    """Give the numbers that stand for nothing, (F,)."""
    if isinstance(given, str):
        if given not in ("zeros", "mean"):
            expected = "'zeros', 'mean' or numbers"
            raise UsageError(say("attribute", "unknown baseline", expected=expected, got=repr(given)))
        return x.values.mean(axis=0) if given == "mean" else np.zeros(x.values.shape[1])
    numbers = np.asarray(given, np.float64)
    if numbers.shape != x.values.shape[1:]:
        raise UsageError(say("attribute", "the baseline does not fit", expected=x.values.shape[1:], got=numbers.shape))
    return numbers


def _gradient_x_input(question: _Question, x: Ragged, base: Array, **_: Any) -> tuple[Array, Array]:
    features = question.gradient(x) * (x.values - base)
    return features.sum(axis=1), features


def _integrated(question: _Question, x: Ragged, base: Array, *, points: int, **_: Any) -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(points)
    change = x.values - base
    mean = np.zeros_like(change)
    everyone = np.arange(len(x))
    at_once = max(1, _STEPS_AT_ONCE // x.n_steps)
    for first in range(0, points, at_once):
        some = slice(first, first + at_once)
        way = (nodes[some, None, None] + 1) / 2
        values = (base + way * change).reshape(-1, change.shape[1])
        batch = Ragged(values, np.tile(x.lengths, len(way)))
        gradients = question.of(np.tile(everyone, len(way))).gradient(batch).reshape(len(way), *change.shape)
        mean += np.tensordot(weights[some] / 2, gradients, axes=1)
    features = change * mean
    return features.sum(axis=1), features


def _occluded(
    question: _Question, x: Ragged, base: Array, *, window: int, causal: bool, **_: Any
) -> tuple[Array, None]:
    scores = np.full(x.n_steps, np.nan)
    whole = question.values(x)
    for b, steps in enumerate(x):
        at = len(steps) - 1 if question.at is None else min(int(question.at[b]), len(steps) - 1)
        first, last = max(0, at - window + 1), at + 1 if causal else min(len(steps), at + window)
        begin = 0
        state: list[Any] = []
        if causal:  # what comes before the first step that is hidden is the same for all, what comes after `at` unseen
            state = _forward(question.layers, Ragged(steps[:first], [first]), tape=False)[1]
            begin, steps = first, steps[first:last]
        at_once = max(1, _STEPS_AT_ONCE // len(steps))
        for start in range(first, last, at_once):
            hidden = np.arange(start, min(start + at_once, last))
            variants = np.repeat(steps[None], len(hidden), axis=0)
            variants[np.arange(len(hidden)), hidden - begin] = base
            begins = [[part.repeat(len(hidden), 0) for part in parts] for parts in state] or None
            asked = question.of(np.full(len(hidden), b), begin=begin)
            scores[int(x.offsets[b]) + hidden] = whole[b] - asked.values(Ragged.from_dense(variants), begins)
        if causal:
            scores[int(x.offsets[b]) + last : int(x.offsets[b + 1])] = 0  # what comes later was not seen
    return scores, None
