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


def test_refused():
    with pytest.raises(DataError, match="greedy_decode: x has 4 axes, expected numbers"):
        elman.ctc.greedy_decode(np.zeros((2, 3, 4, 5)))
    with pytest.raises(UsageError, match="width"):
        elman.ctc.beam_decode([np.zeros((2, 3))], width=0)
