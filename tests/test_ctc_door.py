"""The public decoders take what `predict` gives."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from elman.errors import DataError, UsageError
from elman.ops import ctc as ops


def test_every_form_of_outputs_reads_alike(rng):
    lengths = [5, 0, 8, 3]
    outputs = [2 * rng.standard_normal((n, 4)) for n in lengths]
    rows = np.concatenate(outputs)
    expected = ops.greedy_decode(rows, lengths)
    beams = ops.beam_decode(rows, lengths, width=5)
    ragged = elman.Ragged(rows, lengths)
    for given, told in ((outputs, {}), (ragged, {}), (ragged.to_dense(), {"lengths": lengths})):
        for got, right in zip(elman.ctc.greedy_decode(given, **told), expected, strict=True):
            np.testing.assert_array_equal(got, right)
        for got, right in zip(elman.ctc.beam_decode(given, width=5, **told), beams, strict=True):
            assert [(ids.tolist(), p) for ids, p in got] == [(ids.tolist(), p) for ids, p in right]


def test_from_training_to_reading(rng):
    labels = [rng.integers(1, 4, n).tolist() for n in (2, 3, 1, 2)]
    x = [np.eye(4)[[step for label in y for step in (label, label, 0)]] for y in labels]  # two steps each, then a pause
    model = elman.Sequential([elman.layers.GRU(16, return_sequences=True), elman.layers.Dense(4)])
    model.compile(elman.optimizers.Adam(0.03), "ctc")
    model.fit(x, labels, epochs=100, verbose=0, rng=0)
    read = elman.ctc.greedy_decode(model.predict(x))
    assert [ids.tolist() for ids in read] == labels
    assert [best[0][0].tolist() for best in elman.ctc.beam_decode(model.predict(x))] == labels


def softmax(rows):
    shares = np.exp(rows)
    return shares / shares.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_probabilities_read_as_their_logits(rng, dtype):
    """What a model that ends in a softmax predicts gives the same readings and the same log probabilities."""
    logits = [2 * rng.standard_normal((n, 6)) for n in (5, 0, 8)]
    shares = [softmax(part).astype(dtype) for part in logits]
    expected = elman.ctc.beam_decode(logits, width=7)
    for got, right in zip(elman.ctc.beam_decode(shares, width=7, probabilities=True), expected, strict=True):
        assert [ids.tolist() for ids, _ in got] == [ids.tolist() for ids, _ in right]
        np.testing.assert_allclose(
            [p for _, p in got], [p for _, p in right], rtol=1e-5 if dtype == "float32" else 1e-12
        )
    for got, right in zip(elman.ctc.greedy_decode(shares), elman.ctc.greedy_decode(logits), strict=True):
        np.testing.assert_array_equal(got, right)


def test_a_probability_of_zero_is_no_error():
    shares = np.eye(4)[[0, 3, 3, 0, 3, 1]]
    [readings] = elman.ctc.beam_decode([shares], width=3, probabilities=True)
    assert readings[0][0].tolist() == [3, 3, 1] and readings[0][1] == pytest.approx(0, abs=1e-12)
    assert all(p == -np.inf for _, p in readings[1:])


def test_a_model_that_ends_in_a_softmax(rng):
    """Its predictions are refused as logits and taken as what they are: log probabilities are minus the loss."""
    model = elman.Sequential(
        [elman.layers.GRU(5, return_sequences=True), elman.layers.Dense(4, activation="softmax")], dtype="float64"
    )
    model.compile("adam", "ctc")
    model.build(3, rng=0)
    x = [rng.standard_normal((n, 3)) for n in (4, 6)]
    with pytest.raises(UsageError, match=r"beam_decode: .*look like probabilities.*Say probabilities=True"):
        elman.ctc.beam_decode(model.predict(x))
    for one, readings in zip(x, elman.ctc.beam_decode(model.predict(x), probabilities=True, width=500), strict=True):
        for ids, log_probability in readings[:5]:
            assert log_probability == pytest.approx(-model.evaluate([one], [ids]), rel=1e-9)


def test_logits_that_look_like_probabilities_are_taken_if_one_says_so():
    rows = [np.eye(3)[[0, 1, 2]]]
    told = elman.ctc.beam_decode(rows, probabilities=False, width=4)[0]
    other = elman.ctc.beam_decode([rows[0] - 5.0], width=4)[0]
    assert [ids.tolist() for ids, _ in told] == [ids.tolist() for ids, _ in other]
    np.testing.assert_allclose([p for _, p in told], [p for _, p in other], rtol=1e-12)


def test_what_is_no_probability_is_refused(rng):
    shares = softmax(rng.standard_normal((5, 4)))
    for place, value, got in (((2, 1), -0.5, "-0.5"), ((3, 0), 4.0, "a sum of")):
        wrong = shares.copy()
        wrong[place] = value
        with pytest.raises(
            DataError, match=rf"beam_decode: .*no probabilities.* got {got}.*sequence 1, step {place[0] - 1}"
        ):
            elman.ctc.beam_decode([wrong[:1], wrong[1:]], probabilities=True)
    assert elman.ctc.beam_decode([np.zeros((0, 4))])[0][0][0].tolist() == []  # no rows look like nothing


def test_refused():
    with pytest.raises(DataError, match="greedy_decode: x has 4 axes, expected numbers"):
        elman.ctc.greedy_decode(np.zeros((2, 3, 4, 5)))
    with pytest.raises(UsageError, match="width"):
        elman.ctc.beam_decode([np.zeros((2, 3))], width=0)


def test_errors_are_counted_per_label():
    """One label too many, one too few, one exchanged: three edits of eight labels."""
    meant = [[1, 2, 3], [], [2, 2], np.array([3, 1, 2])]
    read = [[1, 2, 3, 3], [], [2], [3, 3, 2]]
    assert elman.ctc.label_error_rate(read, meant) == 3 / 8
    assert elman.ctc.label_error_rate(meant, meant) == 0
    assert elman.ctc.label_error_rate([[1, 2, 3]], [[4]]) == 3
    with pytest.raises(DataError, match="label_error_rate: read and labels differ in length, expected 1 sequences"):
        elman.ctc.label_error_rate([[1], [2]], [[1]])
    with pytest.raises(DataError, match="label_error_rate: there are no labels, expected at least one"):
        elman.ctc.label_error_rate([[1]], [[]])
