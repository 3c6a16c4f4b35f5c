"""Ragged: index arithmetic against plain lists, and the door with every bad input in one table."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from elman.errors import DataError, DataTypeError, ElmanError
from elman.ragged import Ragged, as_ragged


@st.composite
def lists(draw):
    """Lists of sequences, of numbers or of ids, empty ones among them."""
    ids = draw(st.booleans())
    features = draw(st.integers(1, 3))
    lengths = draw(st.lists(st.integers(0, 5), min_size=1, max_size=6))
    tails = () if ids else (features,)
    dtype = np.int64 if ids else np.float64
    elements = st.integers(0, 9) if ids else st.integers(-9, 9).map(float)
    return [draw(hnp.arrays(dtype, (length, *tails), elements=elements)) for length in lengths]


def same(ragged, expected):
    """Assert that a Ragged holds these sequences, and that its parts fit together."""
    assert len(ragged) == ragged.n_sequences == len(expected)
    assert ragged.lengths.dtype == ragged.offsets.dtype == np.int64
    assert ragged.lengths.tolist() == [len(sequence) for sequence in expected]
    assert ragged.offsets.tolist() == np.cumsum([0, *ragged.lengths]).tolist()
    assert ragged.values.flags.c_contiguous
    assert ragged.n_steps == len(ragged.values) == ragged.lengths.sum()
    for got, sequence in zip(ragged, expected, strict=True):
        np.testing.assert_array_equal(got, sequence)
    lengths = set(ragged.lengths.tolist())
    assert ragged.uniform == (lengths.pop() if len(lengths) == 1 else None)


@given(lists())
def test_a_list_comes_back(sequences):
    ragged = Ragged.from_list(sequences)
    same(ragged, sequences)
    same(Ragged(ragged.values, ragged.lengths), sequences)
    same(ragged.with_values(ragged.values.copy()), sequences)
    for index in range(-len(sequences), len(sequences)):
        np.testing.assert_array_equal(ragged[index], sequences[index])
    assert all(np.shares_memory(view, ragged.values) for view in ragged.split() if view.size)


@given(lists())
def test_reverse(sequences):
    ragged = Ragged.from_list(sequences)
    same(ragged.reverse(), [sequence[::-1] for sequence in sequences])
    same(ragged.reverse().reverse(), sequences)


@given(lists())
def test_padded_and_back(sequences):
    ragged = Ragged.from_list(sequences)
    dense = ragged.to_dense(fill=-99)
    steps = max(map(len, sequences))
    assert dense.shape == (len(sequences), steps, *ragged.values.shape[1:])
    for row, sequence in zip(dense, sequences, strict=True):
        np.testing.assert_array_equal(row[: len(sequence)], sequence)
        assert (row[len(sequence) :] == -99).all()
    same(Ragged.from_dense(dense, lengths=ragged.lengths), sequences)


@given(lists(), st.sampled_from([0, 3, -1, np.nan]), st.integers(0, 3))
def test_padded_by_a_value_and_back(sequences, pad, more):
    """The last steps that hold nothing but the pad value go; all others stay, whatever they hold."""
    ragged = Ragged.from_list(sequences)
    assume(pad == pad or ragged.features is not None)  # there is no NaN among integers
    kept = []
    for sequence in ragged:
        length = len(sequence)
        while length and (sequence[length - 1] == pad).all():
            length -= 1
        kept.append(sequence[:length])
    padded = ragged.to_dense(fill=pad)
    padded = np.concatenate([padded, np.full((len(padded), more, *padded.shape[2:]), pad, padded.dtype)], axis=1)
    before = padded.copy()
    same(Ragged.from_dense(padded, pad_value=pad), kept)
    np.testing.assert_array_equal(padded, before)


@given(lists())
def test_reverse_keeps_its_order_for_other_values(sequences):
    """What the lengths say about the order is worked out once, and serves all values of these lengths."""
    ragged = Ragged.from_list(sequences)
    turned = ragged.reverse()
    other = turned.with_values(2 * turned.values)
    same(other.reverse(), [2 * sequence for sequence in ragged])
    out = np.empty_like(ragged.values)
    assert other.reverse(out=out).values is out
    np.testing.assert_array_equal(out, 2 * ragged.values)


@given(lists())
def test_last(sequences):
    ragged = Ragged.from_list(sequences)
    initial = np.full((len(ragged), *ragged.values.shape[1:]), 77, ragged.dtype)
    for row, sequence in zip(ragged.last(initial), sequences, strict=True):
        np.testing.assert_array_equal(row, sequence[-1] if len(sequence) else np.full_like(row, 77))
    for row, sequence in zip(ragged.last(), sequences, strict=True):
        np.testing.assert_array_equal(row, sequence[-1] if len(sequence) else np.zeros_like(row))


@given(lists(), st.data())
def test_select(sequences, data):
    ragged = Ragged.from_list(sequences)
    indices = data.draw(st.lists(st.integers(-len(sequences), len(sequences) - 1), max_size=8))
    same(ragged.select(np.array(indices, int)), [sequences[index] for index in indices])
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(ragged), max_size=len(ragged))))
    same(ragged.select(mask), [sequence for sequence, chosen in zip(sequences, mask, strict=True) if chosen])


@given(lists(), st.integers(0, 6), st.integers(0, 6))
def test_window(sequences, start, steps):
    ragged = Ragged.from_list(sequences)
    same(ragged.window(start, start + steps), [sequence[start : start + steps] for sequence in sequences])


def test_what_needs_no_copy_is_none():
    dense = np.arange(24.0).reshape(2, 3, 4)
    ragged = Ragged.from_dense(dense)
    assert np.shares_memory(ragged.values, dense)
    assert np.shares_memory(ragged.to_dense(), dense)
    assert ragged.with_values(ragged.values).offsets is ragged.offsets
    assert np.shares_memory(Ragged.from_dense(dense[:1]).window(1, 2).values, dense)


def test_repr():
    assert repr(Ragged(np.zeros((3, 2), np.float32), [1, 2])) == "Ragged(2 sequences, 3 steps, 2 features, float32)"
    assert repr(Ragged(np.array([4, 5]), [0, 2])) == "Ragged(2 sequences, 2 steps, token ids, int64)"


def test_features():
    assert Ragged(np.zeros((3, 2)), [3]).features == 2
    assert Ragged(np.zeros(3, int), [3]).features is None


ZEROS = np.zeros((2, 3, 4))

# what is done, the built-in error, and words of the message
BAD_RAGGED = {
    "negative length": (lambda: Ragged(np.zeros((2, 1)), [3, -1]), r"lengths\[1\] is negative, expected >= 0, got -1"),
    "lengths do not add up": (lambda: Ragged(np.zeros((5, 1)), [3, 1]), r"a sum of 5 .*\(5, 1\).*got 4"),
    "lengths of two axes": (lambda: Ragged(np.zeros((2, 1)), [[2]]), r"lengths has the wrong number of axes"),
    "values of three axes": (lambda: Ragged(ZEROS, [2]), r"values has the wrong number of axes.*\(2, 3, 4\)"),
    "lengths > T": (lambda: Ragged.from_dense(ZEROS, [3, 4]), r"lengths\[1\] goes past the end.*at most 3.*got 4"),
    "too few lengths": (lambda: Ragged.from_dense(ZEROS, [3]), r"expected 2 lengths .*\(2, 3, 4\).*got 1"),
    "empty list": (lambda: Ragged.from_list([]), r"0 samples.*at least 1 sequence"),
    "other features": (lambda: Ragged.from_list([ZEROS[0], ZEROS[0, :, :2]]), r"x\[1\].*\(steps, 4\).*\(3, 2\)"),
    "window backwards": (lambda: Ragged.from_dense(ZEROS).window(2, 1), r"0 <= start <= stop, got \(2, 1\)"),
}


@pytest.mark.parametrize("case", BAD_RAGGED)
def test_bad_ragged(case):
    make, words = BAD_RAGGED[case]
    with pytest.raises(DataError, match=words):
        make()


def test_lengths_that_are_not_whole():
    with pytest.raises(DataTypeError, match=r"lengths must be whole numbers.*float64"):
        Ragged(np.zeros((2, 1)), [1.5, 0.5])


# --- the door -------------------------------------------------------------------------------------------------------


def enter(x, **options):
    return as_ragged(x, **{"where": "fit", "dtype": np.float32, **options})


def test_forms_that_come_in_go_out_again():
    """(B, T, F), a list and a Ragged hold the same sequences, and outputs take the form that came in."""
    dense = np.arange(24.0).reshape(2, 3, 4)
    outputs = np.arange(12.0).reshape(6, 2)
    for x, form in ((dense, np.ndarray), (list(dense), list), (tuple(dense), list), (Ragged.from_dense(dense), Ragged)):
        batch, restore = enter(x)
        same(batch, dense.astype(np.float32))
        assert batch.dtype == np.float32
        out = restore(batch.with_values(outputs))
        assert type(out) is form
        for got, expected in zip(out, outputs.reshape(2, 3, 2), strict=True):
            np.testing.assert_array_equal(got, expected)
        rows = np.zeros((2, 5))
        assert restore(rows) is rows


def test_padded_with_lengths_comes_back_padded():
    dense = np.ones((2, 4, 1))
    batch, restore = enter(dense, lengths=[3, 1])
    same(batch, [np.ones((3, 1)), np.ones((1, 1))])
    np.testing.assert_array_equal(restore(batch)[..., 0], [[1, 1, 1, 0], [1, 0, 0, 0]])


def test_token_ids():
    for x in (np.array([[1, 2], [3, 0]], np.uint8), [[1, 2], [3, 0]], [np.array([1, 2]), np.array([3, 0])]):
        batch, _ = enter(x, vocab_size=4)
        same(batch, [[1, 2], [3, 0]])
        assert batch.dtype == np.int64
        assert batch.features is None
    ragged = Ragged(np.array([1, 2, 3]), [1, 2])
    assert enter(ragged, vocab_size=4)[0].values is ragged.values


def test_empty_sequences():
    """They may stand anywhere, written with their features or as []."""
    same(enter([np.zeros((0, 2)), np.ones((1, 2))])[0], [np.zeros((0, 2)), np.ones((1, 2))])
    same(enter([[], [[1, 2]]], features=2)[0], [np.zeros((0, 2)), [[1, 2]]])
    same(enter([[], [1, 2]], vocab_size=3)[0], [[], [1, 2]])
    batch, _ = enter([[], []], features=3)
    assert batch.values.shape == (0, 3)
    batch, _ = enter(np.zeros((2, 0, 3)))
    assert batch.values.shape == (0, 3)


def memory_mapped(array, folder):
    path = folder / "x.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


# name -> how the same numbers may lie in memory (the second argument is a folder)
LAYOUTS = {
    "fortran": lambda a, _: np.asfortranarray(a),
    "every second": lambda a, _: np.repeat(a, 2, axis=1)[:, ::2],
    "negative strides": lambda a, _: a[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
    "transposed": lambda a, _: np.ascontiguousarray(a.swapaxes(0, 1)).swapaxes(0, 1),
    "broadcast": lambda a, _: np.broadcast_to(a[:1], a.shape),
    "unaligned": lambda a, _: np.frombuffer(b"\0" + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
    "read-only": lambda a, _: read_only(a),
    "memory-mapped": memory_mapped,
    "big-endian": lambda a, _: a.astype(a.dtype.newbyteorder(">")),
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout, dtype, tmp_path, rng):
    """However it lies in memory: the same bits as a plain copy, and the caller's array as it was."""
    plain = rng.integers(-100, 100, (3, 4, 2)).astype(dtype)
    if dtype != "int64":
        plain += rng.random((3, 4, 2)).astype(dtype)
    x = LAYOUTS[layout](plain, tmp_path)
    before = np.array(x)
    batch, _ = enter(x)
    expected, _ = enter(np.array(x, dtype))
    np.testing.assert_array_equal(batch.values, expected.values)
    assert batch.values.flags.c_contiguous
    assert batch.values.dtype == np.float32
    assert batch.values.dtype.isnative
    np.testing.assert_array_equal(x, before)
    ids = abs(x[:, :, 0].astype(x.dtype if dtype == "int64" else np.int64))
    np.testing.assert_array_equal(enter(ids)[0].values, np.array(ids).reshape(-1))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble", "int8", "uint64", "bool", "object"])
def test_numbers_of_every_kind_become_the_dtype(dtype):
    x = np.array([[[0, 1], [1, 0]]]).astype(dtype)
    for target in (np.float32, np.float64):
        batch, _ = as_ragged(x, where="fit", dtype=target)
        assert batch.dtype == target
        np.testing.assert_array_equal(batch.values, [[0, 1], [1, 0]])


def test_objects_that_are_numbers():
    x = [[[Decimal("0.5"), Fraction(1, 4), 3, np.float32(2)]]]
    np.testing.assert_array_equal(enter(x)[0].values, [[0.5, 0.25, 3, 2]])


def test_right_form_is_not_copied():
    x = np.zeros((2, 3, 4), np.float32)
    assert np.shares_memory(enter(x)[0].values, x)


def with_value(value, dtype=np.float64):
    x = np.zeros((2, 3, 4), dtype)
    x[1, 2, 3] = value
    return x


class Thing:
    pass


ids = np.array([[0, 1, 2], [2, 1, 0]])

# name -> (x, options, error, words of the message); the numbers are the rows of the design's table of faults
BAD_INPUTS = {
    "1 no sample": (np.zeros((0, 3, 4)), {}, DataError, r"fit: x has 0 samples, .* at least 1, got shape \(0, 3, 4\)"),
    "1 empty list": ([], {}, DataError, r"x has 0 samples, expected at least 1"),
    "1 empty Ragged": (Ragged(np.zeros((0, 1)), []), {}, DataError, r"x has 0 samples"),
    "2 no feature": (np.zeros((2, 3, 0)), {}, DataError, r"x has 0 features.*\(batch, steps, features\).*\(2, 3, 0\)"),
    "2 number": (3.0, {}, DataError, r"x has 0 axes.*\(batch, steps, features\).*list of \(steps, features\)"),
    "2 one axis": (np.zeros(3), {}, DataError, r"x has 1 axes.*shape \(3,\), float64"),
    "2 two axes": (np.zeros((2, 3)), {}, DataError, r"x has 2 axes.*one feature per step pass x\[:, :, None\]"),
    "2 two axes, bool": (np.zeros((2, 3), bool), {}, DataError, r"x has 2 axes.*bool"),
    "2 four axes": (np.zeros((2, 3, 4, 5)), {}, DataError, r"x has 4 axes.*shape \(2, 3, 4, 5\)"),
    "2 list of floats": ([np.zeros(3)], {}, DataError, r"one number per step.*float64.*x\[:, None\]"),
    "2 list of cubes": ([ZEROS], {}, DataError, r"x\[0\] has the wrong number of axes"),
    "2 list, mixed features": ([ZEROS[0], np.zeros((3, 5))], {}, DataError, r"x\[1\].*\(steps, 4\).*\(3, 5\)"),
    "2 uneven rows": ([[[1, 2], [3]]], {}, DataError, r"x\[0\] is not an array"),
    "6 lengths > T": (ZEROS, {"lengths": [3, 9]}, DataError, r"lengths\[1\] goes past the end.*at most 3.*got 9"),
    "6 negative length": (ZEROS, {"lengths": [3, -9]}, DataError, r"lengths\[1\] is negative.*-9"),
    "6 too few lengths": (ZEROS, {"lengths": [3]}, DataError, r"expected 2 lengths.*got 1"),
    "6 lengths of a list": ([ZEROS[0]], {"lengths": [3]}, DataError, r"lengths is for arrays"),
    "7 NaN": (with_value(np.nan), {}, DataError, r"input x contains NaN.*sequence 1, step 2, feature 3"),
    "7 infinity": (with_value(-np.inf), {}, DataError, r"infinity.*-inf at sequence 1, step 2, feature 3"),
    "7 NaN, Ragged": (
        Ragged(np.array([[0.0], [0.0], [np.nan]]), [2, 0, 1]),
        {},
        DataError,
        r"NaN.*sequence 2, step 0, feature 0",
    ),
    "7 NaN, float16": (with_value(np.nan, np.float16), {}, DataError, r"contains NaN"),
    "9 too large": (with_value(1e300), {}, DataError, r"too large for float32.*1e\+300 at sequence 1, step 2"),
    "9 too large an int": ([[[10**300]]], {}, DataError, r"too large for float32, .*1e\+300"),
    "9 far too large an int": ([[[10**400]]], {}, DataError, r"a number in x\[0\] is too large"),
    "10 id too large": (ids, {"vocab_size": 2}, DataError, r"token id out of range.* 0 to 1, got 2 at sequence 0"),
    "10 id negative": (ids - 1, {"vocab_size": 9}, DataError, r"expected 0 to 8, got -1 at sequence 0, step 0"),
    "10 id negative, no vocabulary": (ids - 1, {}, DataError, r"expected at least 0, got -1"),
    "10 id of 64 bits": (np.array([[2**64 - 1]], np.uint64), {}, DataError, r"got 18446744073709551615"),
    "10 id in a Ragged": (Ragged(np.array([0, 7]), [1, 1]), {"vocab_size": 7}, DataError, r"got 7 at sequence 1"),
    "10 ids for features": (ids, {"features": 4}, DataError, r"token ids.*4 features per step.*x\[\.\.\., None\]"),
    "10 features for ids": (ZEROS, {"vocab_size": 4}, DataError, r"4 numbers per step.*integers below 4"),
    "16 complex": (ZEROS + 0j, {}, DataTypeError, r"Complex data not supported.*complex128"),
    "16 complex objects": (np.array([[[1 + 2j]]], object), {}, DataTypeError, r"Complex data not supported"),
    "16 complex Ragged": (Ragged(np.zeros((1, 1), complex), [1]), {}, DataTypeError, r"Complex data not supported"),
    "16 dates": (np.zeros((1, 2, 3), "datetime64[s]"), {}, DataTypeError, r"dates not supported"),
    "16 time spans": (np.zeros((1, 2, 3), "timedelta64[s]"), {}, DataTypeError, r"time spans not supported"),
    "16 text": ("hello", {}, DataTypeError, r"text where numbers belong.*token ids"),
    "16 list of text": (["hello", "you"], {}, DataTypeError, r"x\[0\] is text where numbers belong"),
    "16 bytes": ([b"hello"], {}, DataTypeError, r"bytes where numbers belong"),
    "16 text among numbers": (np.array([[["1.5", 2]]], object), {}, DataTypeError, r"text where numbers belong"),
    "16 text among objects": (np.array([[["1", None]]], object), {}, DataTypeError, r"objects that are not numbers"),
    "16 None": ([None], {}, DataTypeError, r"x\[0\] holds objects that are not numbers"),
    "16 None within": ([[[1.0], [None]]], {}, DataTypeError, r"x\[0\] holds objects that are not numbers"),
    "16 objects": (Thing(), {}, DataTypeError, r"x holds objects that are not numbers"),
    "16 masked": (np.ma.masked_array(ZEROS, ZEROS == 0), {}, DataTypeError, r"masked array.*lengths="),
    "43 other features": (ZEROS, {"features": 5}, DataError, r"x has 4 features, expected 5 .*got shape \(2, 3, 4\)"),
    "43 features where steps are": (ZEROS, {"features": 3}, DataError, r"x\.swapaxes\(1, 2\)"),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_inputs(case):
    x, options, error, words = BAD_INPUTS[case]
    with pytest.raises(error, match=words) as caught:
        enter(x, **options)
    assert isinstance(caught.value, TypeError if error is DataTypeError else ElmanError)
    assert caught.value.exit_code == 3
    assert re.match(r"fit: .*\.$", str(caught.value), re.DOTALL)
