"""What gates and states do over the sequence, and what single units track."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import DataError, UsageError, say
from elman.inspection import pictures
from elman.inspection.opened import Looked, look
from elman.inspection.plain import plain
from elman.ragged import Ragged
from elman.training.watch import forward_steps, gates_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["GatesAndStates", "Saturation", "Unit", "gates_and_states", "text_labels"]

Array = NDArray[Any]

# A gate nearer to one of its ends than this share of its range hardly moves any more.
_MARGIN = 0.1
_BINS = 20


class Unit(NamedTuple):
    """How well one unit tracks a label.

    Attributes:
        recurrence: such as "lstm".
        part: of the state, "h" or "c".
        unit: its index.
        score: correlation with a number, or the correlation ratio of classes: 1 for a unit that tells the label,
            0 for one that has nothing to do with it. Negative where the unit falls as the number rises.
    """

    recurrence: str
    part: str
    unit: int
    score: float


class Saturation(NamedTuple):
    """How much of the time a gate stands at one of its ends.

    Attributes:
        low: share of values in the lowest tenth of the gate's range; of one that takes both signs, near −1.
        high: share in the highest tenth.
        counts: values by bin, (20,).
        edges: of the bins, (21,).
    """

    low: float
    high: float
    counts: Array
    edges: Array


@dataclass(frozen=True)
class GatesAndStates:
    """All gates and states of a pass over sequences; see `gates_and_states`.

    Attributes:
        gates: recurrence -> gate -> values (N, H), rows as in x, by the cell's own names.
        states: recurrence -> part of the state -> values after every step (N, ·).
        lengths: of the sequences, (B,).
        saturation: recurrence -> gate -> how much of the time it is shut or wide open.
        tracked: label -> units, the best first.
    """

    gates: Mapping[str, Mapping[str, Array]]
    states: Mapping[str, Mapping[str, Array]]
    lengths: NDArray[np.int64]
    saturation: Mapping[str, Mapping[str, Saturation]]
    tracked: Mapping[str, list[Unit]]

    def of(self, recurrence: str, part: str, sequence: int = 0) -> Array:
        """Give a gate or a part of the state over one sequence, (T, ·).

        Args:
            recurrence: such as "lstm".
            part: "h", "c", or a gate such as "f".
            sequence: its index.
        """
        ends = np.cumsum(self.lengths)
        values = {**self.states[recurrence], **self.gates[recurrence]}[part]
        return values[int(ends[sequence] - self.lengths[sequence]) : int(ends[sequence])]

    @property
    def verdict(self) -> str:
        """What it means, in one sentence."""
        gates = [(name, gate, s) for name, by_gate in self.saturation.items() for gate, s in by_gate.items()]
        words = ""
        if gates:
            name, gate, most = max(gates, key=lambda item: item[2].low + item[2].high)
            words = f"Gate {gate} of {name} is at one of its ends {100 * (most.low + most.high):.0f} % of the time"
        known = [(label, units[0]) for label, units in self.tracked.items() if units]
        if not known:
            return f"{words or 'There is no gate and no label'}."
        label, best = max(known, key=lambda item: abs(item[1].score))
        unit = f"unit {best.unit} of {best.recurrence} ({best.part}) tracks {label} best, at {abs(best.score):.2f}"
        return f"{words}; {unit}." if words else f"{unit[0].upper()}{unit[1:]}."

    def to_dict(self) -> dict[str, Any]:
        """Give saturation and tracked units as plain values; the arrays themselves are left out."""
        return {
            "verdict": self.verdict,
            "lengths": plain(self.lengths),
            "saturation": {
                name: {gate: plain(found._asdict()) for gate, found in by_gate.items()}
                for name, by_gate in self.saturation.items()
            },
            "tracked": {label: [plain(unit._asdict()) for unit in units[:10]] for label, units in self.tracked.items()},
        }

    def plot(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        recurrence: str | None = None,
        sequence: int = 0,
        steps: int = 200,
        text: Sequence[str] | None = None,
        signal: Array | None = None,
        title: str | None = None,
    ) -> Figure:
        """Draw gates and states of one recurrence over one sequence as heat maps.

        Args:
            path: .png, .svg or .pdf to write, if any.
            recurrence: which; the last one if None.
            sequence: index of the sequence.
            steps: at most so many of its steps, from the first.
            text: one character or word for every step of the sequence, written below up to 100 of them.
            signal: what came in, (T, F), drawn above.
            title: a line above the picture.
        """
        name = list(self.states)[-1] if recurrence is None else recurrence
        if name not in self.states:
            expected = f"one of {list(self.states)}"
            raise UsageError(say("plot", "there is no such recurrence", expected=expected, got=repr(name)))
        return pictures.heat_maps(self, name, sequence, steps, text, path, signal=signal, title=title)


def gates_and_states(
    model: Any, x: Any, *, labels: Mapping[str, ArrayLike] | None = None, **options: Any
) -> GatesAndStates:
    """Record every gate and every state over sequences, and rank units by what they track.

    Args:
        model: built, or a task that holds such a model; it is left as it is.
        x: sequences.
        labels: name -> one value per step of all sequences, (N,): numbers, truths, or classes (text). "position"
            within the sequence is always there.
        options: lengths and pad_value, as in `fit`.

    Raises:
        UsageError: if the model has no recurrent layer.
        NotFittedError: if it has no weights.
        DataError: if the data does not fit, or a label has not one value per step.

    Example:
        >>> from elman import Sequential, layers
        >>> model = Sequential([layers.LSTM(8, return_sequences=True)])
        >>> model.build(2, rng=0)
        >>> x = np.random.default_rng(0).standard_normal((3, 20, 2))
        >>> found = gates_and_states(model, x, labels={"sign": x[:, :, 0].reshape(-1) > 0})
        >>> list(found.gates["lstm"]), found.of("lstm", "f").shape
        (['i', 'f', 'g', 'o'], (20, 8))
        >>> sorted(found.tracked)
        ['position', 'sign']
    """
    looked = look(model, x, "gates_and_states", **options)
    gates: dict[str, dict[str, Array]] = {}
    states: dict[str, dict[str, Array]] = {}
    for name, (layer, turned) in looked.found.items():
        heard = looked.heard[name]
        steps = forward_steps(layer, heard)
        parts = dict(zip(layer.cell.states, steps.after, strict=True))
        kept = gates_of(layer, heard, steps.before)

        def in_order(values: Array, x: Ragged = heard.x, turned: bool = turned) -> Array:
            return x.with_values(values).reverse().values if turned else values

        gates[name] = {gate: in_order(values) for gate, values in kept.items()}
        states[name] = {part: in_order(values) for part, values in parts.items()}
    saturation = {name: {gate: _saturation(v) for gate, v in by_gate.items()} for name, by_gate in gates.items()}
    return GatesAndStates(gates, states, looked.x.lengths, saturation, _tracked(looked, states, labels or {}))


def text_labels(text: str) -> dict[str, Array]:
    """Give what a character-level model might track in a text: one value per character, (N,) each.

    Args:
        text: as the model reads it.

    Returns:
        "position in line", "position in word", "inside quotes" (after an odd number of double quotation marks),
        "upper case" and "space".

    Example:
        >>> text_labels('a "b" c')["inside quotes"].astype(int).tolist()
        [0, 0, 1, 1, 0, 0, 0]
    """
    in_line, in_word, quoted = [], [], []
    line = word = 0
    inside = False
    for letter in text:
        in_line.append(line)
        in_word.append(word)
        inside = letter == "“" or (inside and letter != "”") if letter in "“”" else inside != (letter == '"')
        quoted.append(inside)
        line, word = (0 if letter == "\n" else line + 1), (word + 1 if letter.isalnum() else 0)
    return {
        "position in line": np.asarray(in_line, float),
        "position in word": np.asarray(in_word, float),
        "inside quotes": np.asarray(quoted, bool),
        "upper case": np.asarray([letter.isupper() for letter in text], bool),
        "space": np.asarray([letter.isspace() for letter in text], bool),
    }


def _saturation(values: Array) -> Saturation:
    """Count how often a gate stands at its ends."""
    low = -1.0 if values.size and values.min() < 0 else 0.0
    margin = _MARGIN * (1 - low)
    inside = np.clip(values, low, 1)  # an activation without bounds may pass its ends
    counts, edges = np.histogram(inside, bins=_BINS, range=(low, 1))
    shares = (values < low + margin).mean(), (values > 1 - margin).mean()
    return Saturation(float(shares[0]), float(shares[1]), counts, edges)


def _tracked(
    looked: Looked, states: Mapping[str, Mapping[str, Array]], labels: Mapping[str, ArrayLike]
) -> dict[str, list[Unit]]:
    """Rank all units by every label."""
    x = looked.x
    position = np.arange(x.n_steps) - np.repeat(x.offsets[:-1], x.lengths)
    found: dict[str, list[Unit]] = {}
    for label, given in {"position": position, **labels}.items():
        values = given.values if isinstance(given, Ragged) else np.asarray(given)
        if values.shape != (x.n_steps,):
            cure = "Give one value for every step, sequence after sequence"
            raise DataError(
                say("labels", f"'{label}' does not fit", expected=f"({x.n_steps},)", got=values.shape, cure=cure)
            )
        units = [
            Unit(name, part, int(unit), float(score))
            for name, parts in states.items()
            for part, state in parts.items()
            if len(state) == x.n_steps
            for unit, score in enumerate(_scores(state, values))
        ]
        found[label] = sorted(units, key=lambda unit: -abs(unit.score))
    return found


def _scores(state: Array, labels: Array) -> Array:
    """Give the correlation, or correlation ratio, of every unit with labels, (H,)."""
    centred = state - state.mean(axis=0)
    variance = (centred * centred).mean(axis=0)
    safe = np.where(variance > 0, variance, 1)
    if labels.dtype.kind in "biuf":
        numbers = labels.astype(float) - labels.astype(float).mean()
        spread = float(np.sqrt((numbers * numbers).mean()))
        out: Array = (centred * numbers[:, None]).mean(axis=0) / np.sqrt(safe) / (spread or 1)
        return out
    _, classes = np.unique(labels, return_inverse=True)
    counts = np.bincount(classes)
    sums = np.zeros((len(counts), state.shape[1]))
    np.add.at(sums, classes, centred)
    between = (sums * sums / counts[:, None]).sum(axis=0) / len(state)
    ratio: Array = np.sqrt(between / safe)
    return ratio
