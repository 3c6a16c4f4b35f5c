"""The door: whatever form users give their sequences in, checked once and made a `Ragged`.

The rule of conversion, for every array that comes in:

- floats of any width and byte order, integers, booleans and objects that are numbers become the
  model's dtype; a number too large for it is an error, never infinity;
- integers with one axis per sequence, (batch, steps) or a list of (steps,), are token ids;
- complex numbers, dates and text are never accepted.

The caller's arrays are not changed; one that already has the right form is used without a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from elman.errors import DataError, DataTypeError, say
from elman.ragged.batch import Ragged, dense_to_ragged, list_to_ragged

__all__ = ["Restore", "as_ragged", "refuse_masked"]

Array = NDArray[Any]
Restore = Callable[[Any], Any]

_FORMS = (
    "numbers (batch, steps, features), token ids (batch, steps), "
    "a list of (steps, features) or (steps,) arrays, or a Ragged"
)
_REFUSED = {"c": "Complex data not supported", "M": "dates not supported", "m": "time spans not supported"}
_TEXT = {"U": "text where numbers belong", "S": "bytes where numbers belong", "T": "text where numbers belong"}


def as_ragged(
    x: Any,
    *,
    where: str,
    dtype: DTypeLike,
    features: int | None = None,
    vocab_size: int | None = None,
    lengths: ArrayLike | None = None,
    pad_value: float | None = None,
) -> tuple[Ragged, Restore]:
    """Check sequences and make them a Ragged.

    Args:
        x: numbers (B, T, F), integers (B, T), a list of (T_i, F) numbers or (T_i,) integers, or a Ragged.
        where: who asks, for messages.
        dtype: float32 or float64, what numbers become; token ids become int64.
        features: F that numbers must have. With `vocab_size` alone numbers are refused; with neither, any F will do.
        vocab_size: token ids must be below it. With `features` alone ids are refused; with neither, any id will do.
        lengths: (B,) how many steps of each row count, for arrays only.
        pad_value: what stands past the end of a short row, for arrays only; see `Ragged.from_dense`.

    Returns:
        The batch, and a function that gives outputs the form that x had: a Ragged stays one, or becomes
        a (B, T, K) array (zeros past the end) or a list; an array (B, K) stays as it is.

    Raises:
        DataError: if shapes, lengths, values or ids are outside of what is accepted.
        DataTypeError: if x holds complex numbers, dates, text or other objects.
        UsageError: if lengths and pad_value are given, or pad_value is no number.

    Example:
        >>> batch, restore = as_ragged([[[1, 2]], [[3, 4], [5, 6]]], where="predict", dtype="float32")
        >>> batch
        Ragged(2 sequences, 3 steps, 2 features, float32)
        >>> restore(batch)[1].tolist()
        [[3.0, 4.0], [5.0, 6.0]]
    """
    restore: Restore
    if isinstance(x, np.ndarray) and x.dtype.kind == "O" and x.ndim == 1:
        x = list(x)  # an array of arrays of several lengths, as older data sets come
    if isinstance(x, Ragged) and lengths is None and pad_value is None:
        shape, raw, restore = repr(x), x, _keep
    elif isinstance(x, list | tuple | Ragged):
        for name, given in (("lengths", lengths), ("pad_value", pad_value)):
            if given is not None:
                wrong = f"{name} is for arrays; a list or a Ragged has its own lengths"
                raise DataError(say(where, wrong, got=type(x).__name__))
        raw, restore = list_to_ragged(_arrays(x, where), where=where), _split
        shape = f"a list of {len(raw)}"
    else:
        array = _array(x, where, "x")
        shape = f"shape {array.shape}"
        _check_axes(array, where, wants_ids=vocab_size is not None and features is None)
        raw = dense_to_ragged(array, lengths, pad_value=pad_value, where=where)
        restore = _padded_to(array.shape[1], raw)
    if len(raw) == 0:
        raise DataError(say(where, "x has 0 samples", expected="at least 1", got=shape))
    values = raw.values
    if values.ndim == 1 and len(values) == 0 and vocab_size is None and features is not None:
        values = values.reshape(0, features)  # only empty sequences: nothing says what they would have held
        raw = raw.with_values(values)
    if values.ndim == 1:
        values = _checked_ids(raw, where, shape, features, vocab_size)
    else:
        values = _checked_numbers(raw, where, shape, np.dtype(dtype), features, vocab_size)
    return raw.with_values(values), restore


def refuse_masked(x: Any, where: str, name: str, *, cure: str | None = None) -> None:
    """Refuse masked arrays, alone or in a list: NumPy would take what they hide for data.

    Args:
        x: what came, not yet an array.
        where: who asks, for messages.
        name: of x.
        cure: what says the same without a mask.

    Raises:
        DataTypeError: naming x.
    """
    alone = _is_masked(x)
    if alone or (isinstance(x, list | tuple) and any(map(_is_masked, x))):
        wrong = f"{name} {'is' if alone else 'holds'} a masked array, whose mask would be lost"
        raise DataTypeError(say(where, wrong, cure=cure))


def _is_masked(x: Any) -> bool:
    return hasattr(x, "mask") and hasattr(x, "filled")


def _keep(out: Any) -> Any:
    return out


def _split(out: Any) -> Any:
    return out.split() if isinstance(out, Ragged) else out


def _padded_to(steps: int, x: Ragged) -> Restore:
    def restore(out: Any) -> Any:
        if not isinstance(out, Ragged):
            return out
        dense = out.to_dense()
        # A model that makes steps of its own (RepeatVector) has no use for the number that came in.
        if dense.shape[1] == steps or out.lengths is not x.lengths:
            return dense
        # lengths= was given and no sequence is as long as the array was.
        return np.pad(dense, [(0, 0), (0, steps - dense.shape[1])] + [(0, 0)] * (dense.ndim - 2))

    return restore


def _array(x: Any, where: str, name: str) -> Array:
    """Give x as a plain array of numbers, or say why it is none."""
    refuse_masked(x, where, name, cure="Give the sequences their true lengths: a list of arrays, or lengths=.")
    try:
        array = np.asarray(x)
        if array.dtype.kind == "O":
            array = np.array(array.tolist())  # objects that are NumPy's kinds of number find their dtype here
        if array.dtype.kind == "O" and all(isinstance(number, Real | Decimal) for number in array.flat):
            array = array.astype(np.float64)
    except OverflowError as error:
        raise DataError(say(where, f"a number in {name} is too large ({error})", expected="smaller numbers")) from None
    except (ValueError, TypeError) as error:
        cure = "Sequences of several lengths go into a list, one array each."
        raise DataError(say(where, f"{name} is not an array ({error})", expected=_FORMS, cure=cure)) from None
    kind = array.dtype.kind
    if kind in "fiub":
        return array
    if kind in _REFUSED:
        raise DataTypeError(say(where, _REFUSED[kind], expected="real numbers", got=f"{name} of dtype {array.dtype}"))
    if kind in _TEXT:
        cure = "Turn text into token ids first (elman.Vocabulary), or use a task such as LanguageModel."
        raise DataTypeError(say(where, f"{name} is {_TEXT[kind]}", expected="numbers", got=array.dtype, cure=cure))
    raise DataTypeError(say(where, f"{name} holds objects that are not numbers", expected=_FORMS, got=array.dtype))


def _arrays(x: Any, where: str) -> list[Array]:
    return [_array(sequence, where, f"x[{index}]") for index, sequence in enumerate(x)]


def _check_axes(array: Array, where: str, *, wants_ids: bool) -> None:
    if array.ndim == 3 or (array.ndim == 2 and array.dtype.kind in "iu"):
        return
    cure = None
    if array.ndim == 2:
        cure = "For one feature per step pass x[:, :, None]; for one sequence pass x[None]."
        if wants_ids:
            cure = "Token ids are integers: pass x.astype(int)."
    raise DataError(
        say(where, f"x has {array.ndim} axes", expected=_FORMS, got=f"shape {array.shape}, {array.dtype}", cure=cure)
    )


def _position(batch: Ragged, row: int) -> str:
    """Name the sequence and the step that a row of the values is."""
    sequence = int(np.searchsorted(batch.offsets, row, side="right")) - 1
    return f"sequence {sequence}, step {row - int(batch.offsets[sequence])}"


def _laid_out(values: Array, dtype: np.dtype[Any]) -> Array:
    """Give values as the native core takes them: without a copy where they are so already."""
    plain = np.ascontiguousarray(values, dtype)
    return plain if plain.flags.aligned else plain.copy()


def _checked_ids(batch: Ragged, where: str, shape: str, features: int | None, vocab_size: int | None) -> Array:
    ids = batch.values
    if len(ids) == 0:
        return ids.astype(np.int64)
    if ids.dtype.kind not in "iu":
        wrong = f"x has one number per step, of dtype {ids.dtype}"
        cure = "One feature per step is a (steps, 1) array: x[:, None]; token ids are integers."
        raise DataError(say(where, wrong, expected=_FORMS, got=shape, cure=cure))
    if vocab_size is None and features is not None:
        wrong = "x holds token ids (integers, one axis per sequence)"
        cure = "One feature per step needs a last axis of 1: x[..., None]."
        raise DataError(say(where, wrong, expected=f"{features} features per step", got=shape, cure=cure))
    top = np.iinfo(np.int64).max if vocab_size is None else vocab_size - 1
    if int(ids.min()) < 0 or int(ids.max()) > top:
        row = int(np.argmax((ids < 0) | (ids > top)))
        expected = "at least 0" if vocab_size is None else f"0 to {top}"
        got = f"{int(ids[row])} at {_position(batch, row)}"
        raise DataError(say(where, "token id out of range", expected=expected, got=got))
    return _laid_out(ids, np.dtype(np.int64))


def _checked_numbers(
    batch: Ragged, where: str, shape: str, dtype: np.dtype[Any], features: int | None, vocab_size: int | None
) -> Array:
    values = batch.values
    if values.dtype.kind not in "fiub":  # only a Ragged comes here with its dtype not looked at
        values = _array(values, where, "x")
    n_features = values.shape[1]
    if n_features == 0:
        raise DataError(say(where, "x has 0 features", expected=_FORMS, got=shape))
    if features is None and vocab_size is not None:
        wrong = f"x holds {n_features} numbers per step"
        raise DataError(say(where, wrong, expected=f"token ids, integers below {vocab_size}", got=shape))
    if features is not None and n_features != features:
        wrong, expected = f"x has {n_features} features", f"{features} (read as batch, steps, features)"
        cure = None
        if batch.uniform == features:
            cure = "If your array is (batch, features, steps), pass x.swapaxes(1, 2)."
        raise DataError(say(where, wrong, expected=expected, got=shape, cure=cure))
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        if not finite.all():
            row, feature = divmod(int(np.argmin(finite)), n_features)
            value = values[row, feature]
            kind = "NaN" if np.isnan(value) else "infinity"
            got = f"{value} at {_position(batch, row)}, feature {feature}"
            raise DataError(say(where, f"input x contains {kind}", expected="finite numbers", got=got))
    with np.errstate(over="ignore"):
        converted = _laid_out(values, dtype)
    # Only a wider kind of number can have grown to infinity on its way.
    if values.dtype.kind in "fiu" and not np.can_cast(values.dtype, dtype, "safe"):
        finite = np.isfinite(converted)
        if not finite.all():
            row, feature = divmod(int(np.argmin(finite)), n_features)
            got = f"{values[row, feature]} at {_position(batch, row)}, feature {feature}"
            raise DataError(say(where, f"a number is too large for {dtype}", expected="smaller numbers", got=got))
    return converted
