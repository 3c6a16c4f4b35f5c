"""Ragged: index arithmetic against plain lists, and the door with every bad input in one table."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

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


def test_right_form_is_not_copied():
    x = np.zeros((2, 3, 4), np.float32)
    assert np.shares_memory(enter(x)[0].values, x)
