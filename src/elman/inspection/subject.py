"""What a report looks at: a network, and a part of its data with everything that is known by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import UsageError, say
from elman.inspection.opened import unwrapped
from elman.inspection.states import text_labels
from elman.layers import check_stack
from elman.model import Sequential
from elman.model.data import own_steps, read_data, read_input
from elman.ragged import Ragged
from elman.tasks import Task
from elman.tasks.network import choose
from elman.training.history import History
from elman.training.watch import recurrences

__all__ = ["Subject", "subject_of"]

Array = NDArray[Any]

# So many numbers per step, at most, are labels of their own that units may track.
_CHANNELS = 4


@dataclass(frozen=True)
class Subject:
    """A network and data that is looked at.

    Attributes:
        model: built.
        x: sequences that have steps; None if there is no data.
        y: their targets, as `fit` takes them; None if there are none, or the model is not compiled.
        steps: (N,) what the steps are called, or None.
        outputs: what the outputs stand for, or None.
        sample: which part of the data it is, in words.
        remark: what else should be known, in a sentence.
        history: of the training, or None.
    """

    model: Sequential
    x: Ragged | None
    y: Any
    steps: list[str] | None
    outputs: list[str] | None
    sample: str
    remark: str
    history: History | None

    @property
    def answers_each_step(self) -> bool:
        """Whether the network has an output for every step that comes in."""
        ends = check_stack(self.model.layers, input_size=self.model.input_size or 1, ids=bool(self.model.ids))
        return ends.sequences and own_steps(self.model.layers) is None

    @property
    def weights_of_recurrences(self) -> int:
        """How many numbers the matrices of all recurrences have, on which the time to look at a step depends."""
        found = recurrences(self.model.layers).values()
        return sum(w.size for layer, _ in found for w in layer.weights.values() if w.ndim == 2)

    def first(self, count: int) -> tuple[list[str] | None, Array | None]:
        """Give names, or else the numbers, of the first steps of the first sequence.

        Args:
            count: how many.
        """
        assert self.x is not None, "only a subject with data has steps"
        end = min(count, int(self.x.lengths[0]))
        names = None if self.steps is None else self.steps[:end]
        return names, self.x.values[:end] if self.steps is None and self.x.features is not None else None

    def labels(self) -> dict[str, Array]:
        """Give what units may track: of texts, of numbers and of targets, each (N,)."""
        assert self.x is not None, "only a subject with data has labels"
        x, found = self.x, dict[str, Array]()
        if self.steps is not None:
            parts = [self.steps[int(a) : int(b)] for a, b in zip(x.offsets[:-1], x.offsets[1:], strict=True)]
            if all(len(step) == 1 for step in self.steps):
                by_text = [text_labels("".join(part)) for part in parts]
                found |= {name: np.concatenate([each[name] for each in by_text]) for name in by_text[0]}
            else:
                found["letters of the word"] = np.array([len(step) for step in self.steps], float)
                found["upper case"] = np.array([step[:1].isupper() for step in self.steps])
        elif x.features is not None and x.features <= _CHANNELS:
            found |= {f"input {k}": x.values[:, k].astype(float) for k in range(x.features)}
        rows = self._rows()
        if rows is not None and rows.dtype.kind in "iu" and self.x.features is not None:
            names = None if self.outputs is None else np.array(self.outputs)
            found["class"] = rows.astype(str) if names is None else names[rows]
        elif rows is not None and rows.dtype.kind == "f":
            found["target"] = rows.astype(float)
        # What never changes cannot be tracked.
        return {name: values for name, values in found.items() if len(values) and (values != values[0]).any()}

    def _rows(self) -> Array | None:
        """Give one target per step, (N,); None where there is no such thing."""
        assert self.x is not None, "only a subject with data has targets"
        if self.y is None:
            return None
        rows = np.asarray(self.y.values if isinstance(self.y, Ragged) else self.y)
        rows = rows[:, 0] if rows.ndim == 2 and rows.shape[1] == 1 else rows
        if rows.ndim != 1:
            return None
        if len(rows) == len(self.x) and not self.answers_each_step:
            return np.repeat(rows, self.x.lengths)
        return rows if len(rows) == self.x.n_steps else None


def subject_of(model: Any, x: Any, y: Any, *, steps: int, where: str, **options: Any) -> Subject:
    """Read what is to be looked at, and choose a part of it.

    Args:
        model: a Sequential, or a fitted task.
        x: sequences as the model, or the task, takes them; None: a task that can make some does so.
        y: targets, or None.
        steps: about so many steps are taken.
        where: who asks, for messages.
        options: lengths and pad_value of a Sequential's x.

    Raises:
        UsageError: if it is no model, or options are given for a task.
        NotFittedError: if it has no weights.
        DataError, DataTypeError: if the data does not fit.
    """
    if isinstance(model, Task):
        if options:
            cure = "Give sequences as the task takes them"
            raise UsageError(say(where, f"a task takes no {next(iter(options))}", cure=cure))
        if x is None and not model.makes_data:
            return Subject(unwrapped(model, where), None, None, None, None, "no data", "", model.history_)
        found = model.to_network(x, y, steps=steps)
        whole = found.model.loss is not None
        return Subject(
            found.model, found.x, found.y if whole else None, found.steps, found.outputs, found.sample, found.remark,
            model.history_,
        )  # fmt: skip
    model = unwrapped(model, where)
    history = model.history if model.history is not None and (model.history.epoch or model.history.n_batches) else None
    model.named_weights()  # refuses a model without any
    if x is None:
        return Subject(model, None, None, None, None, "no data", "", history)
    if y is None or model.loss is None:
        batch, per_step = read_input(model, x, where=where, **options)[0], False
        rows: Any = None
    else:
        data = read_data(model, x, y, where=where, **options)
        batch, rows, per_step = data.x, data.target, data.per_step
    if per_step and len(batch) == 1 and int(batch.lengths[0]) > steps:
        # One long stream: its beginning says what the model does with it.
        sample = f"the first {steps:,} of {batch.n_steps:,} steps"
        batch, rows = Ragged(batch.values[:steps], [steps]), rows[:steps]
        return Subject(model, batch, batch.with_values(rows), None, None, sample, "", history)
    chosen = choose(batch.lengths, steps)
    total, count = len(batch), len(chosen)
    sample = f"{count:,} of {total:,} sequences" if count < total else f"{total:,} sequence{'s' * (total > 1)}"
    if rows is not None:
        if per_step and not isinstance(rows, Ragged):
            rows = batch.with_values(rows)
        rows = rows.select(chosen) if isinstance(rows, Ragged) else rows[chosen]
    return Subject(model, batch.select(chosen), rows, None, None, sample, "", history)
