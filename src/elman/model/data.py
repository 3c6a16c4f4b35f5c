"""The model's door: what comes in, checked against the layers before anything is changed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import DataError, DataTypeError, UsageError, say
from elman.layers import Layer, check_stack
from elman.model.foundation import Foundation
from elman.ragged import Ragged, Restore, as_ragged, refuse_masked
from elman.training.batches import SequenceBatches, part_of
from elman.training.loop import State
from elman.training.targets import TargetForm, as_target, as_weights

__all__ = ["Data", "DataOptions", "at_once", "checked_state", "own_steps", "read_data", "read_input", "split"]

Array = NDArray[Any]

# Steps that predict and evaluate run at once: enough to keep the processor busy, and 134 MB of scratch for LSTM(512).
STEPS_AT_ONCE = 16_384


class DataOptions(TypedDict, total=False):
    """What may be said about x and y wherever both are given; see `read_data`."""

    sample_weight: Any
    class_weight: Mapping[int, float] | None
    lengths: ArrayLike | None
    pad_value: float | None


class Data(NamedTuple):
    """Checked input and targets, and what they say about the model.

    Attributes:
        x: the input.
        target: (M,) or (M, K), one row per step or per sequence; or a Ragged of labels, or of the steps that
            the model makes of its own.
        weights: (M,), or a Ragged like the target, or None.
        per_step: which of the two.
        input_size: features of a step, or the number of token ids.
        ids: whether x is token ids; None where a built model leaves it open.
        sample_weights: the weights without those of classes, which count in validation.
    """

    x: Ragged
    target: Array | Ragged
    weights: Array | Ragged | None
    per_step: bool
    input_size: int
    ids: bool | None
    sample_weights: Array | Ragged | None

    def part(self, start: int, stop: int) -> Data:
        """Give the sequences [start, stop), as views."""
        rows = slice(int(self.x.offsets[start]), int(self.x.offsets[stop])) if self.per_step else slice(start, stop)
        weights, own = (None if w is None else w[rows] for w in (self.weights, self.sample_weights))
        target = self.target[rows]
        return self._replace(x=part_of(self.x, start, stop), target=target, weights=weights, sample_weights=own)

    def batches(self, batch_size: int | None, **options: Any) -> SequenceBatches:
        """Cut into batches.

        Args:
            batch_size: None takes as many sequences at once as are good for speed, or as go into a token_budget.
            options: of `SequenceBatches`.
        """
        size = at_once(self.x) if batch_size is None and options.get("token_budget") is None else batch_size
        return SequenceBatches(self.x, self.target, self.weights, batch_size=size, per_step=self.per_step, **options)


def at_once(x: Ragged) -> int:
    """Say how many sequences to run at once."""
    longest = int(x.lengths.max(initial=1))
    return max(1, STEPS_AT_ONCE // max(longest, 1))


def split(data: Data, share: float) -> tuple[Data, Data]:
    """Cut off the last sequences for validation, where classes have no weights.

    Args:
        data: in the order given.
        share: of the sequences, in (0, 1).

    Raises:
        UsageError: if one side would be empty.
    """
    n_sequences = len(data.x)
    accepted = isinstance(share, int | float | np.floating) and 0 < share < 1
    n_train = math.floor(n_sequences * (1 - share)) if accepted else 0
    if not 0 < n_train < n_sequences:
        got = f"{share!r} of {n_sequences} sequences"
        expected = "a share that leaves at least one sequence on both sides"
        raise UsageError(say("fit", "validation_split is out of range", expected=expected, got=got))
    held_out = data.part(n_train, n_sequences)
    return data.part(0, n_train), held_out._replace(weights=held_out.sample_weights)


def read_input(
    model: Foundation,
    x: Any,
    *,
    where: str,
    lengths: ArrayLike | None = None,
    pad_value: float | None = None,
    like: Data | None = None,
) -> tuple[Ragged, Restore]:
    """Check sequences against what a model takes.

    Args:
        model: built or not.
        x: as users give it.
        where: who asks, for messages.
        lengths: (B,) how many steps count, if x is padded.
        pad_value: what stands past the end, if x is padded.
        like: data that a model not yet built will be built for.

    Raises:
        DataError, DataTypeError: as `as_ragged` does.
    """
    first = model.layers[0]
    size, ids = (model.input_size, model.ids) if like is None else (like.input_size, like.ids)
    tokens = first.takes_ids and ids is not False
    return as_ragged(
        x,
        where=where,
        dtype=model.dtype,
        features=None if first.needs_ids else size,
        vocab_size=(first.vocab_size if size is None else size) if tokens else None,
        lengths=lengths,
        pad_value=pad_value,
    )


def read_data(
    model: Foundation,
    x: Any,
    y: Any,
    *,
    where: str,
    like: Data | None = None,
    sample_weight: Any = None,
    class_weight: Mapping[int, float] | None = None,
    lengths: ArrayLike | None = None,
    pad_value: float | None = None,
    **others: Any,
) -> Data:
    """Check input, targets and weights; the model is not changed.

    Args:
        model: compiled, built or not.
        x: as users give it.
        y: likewise.
        where: who asks, for messages.
        like: data that a model not yet built will be built for.
        sample_weight: (B,), or one per step.
        class_weight: class -> weight.
        lengths: (B,) how many steps count, if x is padded.
        pad_value: what stands past the end, if x is padded; targets per step are cut like x.
        others: none; they are let in to be refused in the name of the caller.

    Raises:
        TypeError: if there are others.
        DataError, DataTypeError: if the data is not accepted.
        UsageError: if the layers do not fit the data.
    """
    if others:
        raise TypeError(f"{where}() got an unexpected keyword argument {next(iter(others))!r}")
    batch, _ = read_input(model, x, where=where, lengths=lengths, pad_value=pad_value, like=like)
    ids = batch.features is None
    size = model.input_size if like is None else like.input_size
    if size is None:
        size = batch.features or model.layers[0].vocab_size or int(batch.values.max(initial=0)) + 1
    ends = check_stack(model.layers, input_size=size, ids=ids)
    form = TargetForm.of(model.loss, ends, model.dtype, where)
    for measure in model.metrics:
        measure.metric.check_outputs(ends.size, measure.loss)
    made = own_steps(model.layers)
    timed, padded = batch, None
    if made is not None:  # the steps that come out are not those of x
        timed = Ragged.trusted(np.empty((len(batch) * made, 0)), np.full(len(batch), made, np.int64))
    elif lengths is not None or pad_value is not None:
        padded = np.shape(x)[1]
    target = as_target(y, x=timed, form=form, where=where, padded=padded)
    own = as_weights(sample_weight, None, x=timed, target=target, form=form, where=where, padded=padded)
    weights = own
    if class_weight is not None:
        weights = as_weights(sample_weight, class_weight, x=timed, target=target, form=form, where=where, padded=padded)
    data = Data(batch, target, weights, form.per_step, size, model.ids if model.built else ids, own)
    if made is None or not form.per_step:
        return data
    # Targets of steps that are not those of x go with the sequences.
    rows = timed.with_values(target)  # type: ignore[arg-type]  # labels have no row per step
    both = [None if w is None else timed.with_values(w) for w in (weights, own)]
    return data._replace(target=rows, weights=both[0], sample_weights=both[1], per_step=False)


def own_steps(layers: tuple[Layer, ...]) -> int | None:
    """Give how many steps of its own a model makes, or None where a step that comes out is one that came in.

    Args:
        layers: of the model.
    """
    made: int | None = None
    for layer in layers:
        made = layer.makes_steps or made
    return made


def checked_state(
    layers: tuple[Layer, ...], state: Any, *, n_sequences: int, dtype: np.dtype[Any], where: str, who: str = "x"
) -> State:
    """Check a state that a user gave and bring it to the model's dtype.

    Args:
        layers: of the model.
        state: a tuple over the layers, each a tuple of (B, H) arrays.
        n_sequences: B.
        dtype: of the model.
        where: who asks, for messages.
        who: has n_sequences, for messages.

    Raises:
        UsageError: naming the layer whose state does not fit.
        DataError, DataTypeError: naming the layer whose state holds what is no finite number.
    """
    if not isinstance(state, tuple | list) or len(state) != len(layers):
        got = f"{type(state).__name__} of {len(state)}" if isinstance(state, tuple | list) else type(state).__name__
        expected = f"a tuple over {len(layers)} layers, as return_state=True gives it"
        raise UsageError(say(where, "state does not fit", expected=expected, got=got))
    checked: list[tuple[Array, ...]] = []
    for layer, parts in zip(layers, state, strict=True):
        shapes = [(n_sequences, size) for size in layer.state_sizes()]
        name = f"the state of layer '{layer.name}'"
        if not isinstance(parts, tuple | list):
            expected = f"a tuple of {len(shapes)} arrays"
            raise UsageError(say(where, f"{name} is no tuple", expected=expected, got=type(parts).__name__))
        arrays = tuple(_state_array(part, name, dtype, where) for part in parts)
        found = [array.shape for array in arrays]
        if found != shapes:
            n_found = {shape[0] if shape else 1 for shape in found}
            if [shape[1:] for shape in found] == [shape[1:] for shape in shapes] and len(n_found) == 1:
                wrong = f"{name} is that of {n_found.pop()} sequences, and {who} has {n_sequences}"
                cure = "A state goes with its sequences: give one row each, or leave it out to begin with zeros."
            else:
                wrong, cure = f"{name} does not fit", None
            raise UsageError(say(where, wrong, expected=str(shapes), got=str(found), cure=cure))
        checked.append(arrays)
    return tuple(checked)


def _state_array(part: Any, name: str, dtype: np.dtype[Any], where: str) -> Array:
    """Give one array of a state in the model's dtype."""
    # What the step before gave: sampling asks twice per layer and character.
    ready = type(part) is np.ndarray and part.dtype == dtype and part.flags.c_contiguous and part.flags.aligned
    if ready and np.isfinite(part).all():
        return part  # type: ignore[no-any-return]
    refuse_masked(part, where, name)
    try:
        array = np.asarray(part)
    except (ValueError, TypeError) as error:
        raise DataError(say(where, f"{name} is not an array of numbers ({error})")) from None
    if array.dtype.kind not in "fiub":
        got = f"dtype {array.dtype}"
        raise DataTypeError(say(where, f"{name} holds no real numbers", expected="arrays of numbers", got=got))
    with np.errstate(over="ignore"):
        converted: Array = np.require(array, dtype, ["C", "A"])
    finite = np.isfinite(converted)
    if not finite.all():
        wrong = f"{name} is not finite in {dtype}"
        raise DataError(say(where, wrong, expected="finite numbers", got=f"{array.flat[int(np.argmin(finite))]}"))
    return converted
