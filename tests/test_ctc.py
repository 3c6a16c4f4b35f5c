"""Connectionist temporal classification: the definition against all paths, the native core against the definition."""

from __future__ import annotations

import itertools
import math
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from complex_step import check_gradients
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import DataError, UsageError
from elman.ops import ctc as ops
from elman.ops import ctc_reference as reference
from elman.ops.core import native
from elman.ops.ctc import beam_decode, ctc, greedy_decode
from elman.ragged import Ragged

needs_native = pytest.mark.skipif(native is None, reason="the native core is not built")
ISAS = ("avx512", "avx2", "baseline")
THREADS = (1, 2, 3, 7)
# Rounding, relative to the norm. float32 logits are worked on in float64, and only the gradient is rounded back; the
# definition adds logarithms of size 1e3 over 1e2 steps.
TOLERANCE = {"float64": 1e-12, "float32": 1e-6}


class Problem(NamedTuple):
    """A batch with its labels."""

    logits: np.ndarray
    lengths: list[int]
    labels: Ragged
    blank: int
    weights: np.ndarray | None

    def loss(self, **options):
        return ctc(self.logits, self.lengths, self.labels, blank=self.blank, weights=self.weights, **options)


def make_problem(
    rng: np.random.Generator,
    sizes: list[tuple[int, int]],
    n_classes: int,
    *,
    blank: int = 0,
    dtype: str = "float64",
    spread: float = 3.0,
    weighted: bool = False,
) -> Problem:
    """Draw sequences of (steps, labels); labels are drawn again without repeats where there is no room for blanks."""
    lengths = [steps for steps, _ in sizes]
    logits = (spread * rng.standard_normal((sum(lengths), n_classes))).astype(dtype)
    choices = np.array([k for k in range(n_classes) if k != blank])
    targets = []
    for steps, n_labels in sizes:
        labels = rng.choice(choices, n_labels) if n_labels else np.zeros(0, np.int64)
        if n_labels + np.count_nonzero(labels[1:] == labels[:-1]) > steps:
            labels = choices[(rng.integers(len(choices)) + np.arange(n_labels)) % len(choices)]
        targets.append(labels)
    labels = Ragged(np.concatenate(targets).astype(np.int64), [len(target) for target in targets])
    weights = rng.uniform(0.2, 2, len(sizes)) if weighted else None
    return Problem(logits, lengths, labels, blank, weights)


#: (steps, labels) of the sequences, and the number of classes, each with the reason it is there.
CASES = {
    "one step": ([(1, 1)], 2),
    "no labels": ([(5, 0), (1, 0)], 4),
    "no steps": ([(0, 0), (4, 2), (0, 0)], 3),
    "no room to spare": ([(6, 6), (9, 9)], 5),
    "repeats": ([(12, 6), (20, 9)], 2),  # one label only, so every neighbour is equal
    "many places": ([(60, 17), (70, 33), (66, 8), (67, 7)], 9),  # rows past one vector, and at its edge
    "many classes": ([(7, 3), (6, 2)], 131),
    "ragged": ([(3, 1), (0, 0), (31, 12), (1, 0), (9, 4), (2, 2)], 7),
    "long": ([(300, 40), (170, 60)], 12),  # mantissas are moved back several times
}


@pytest.fixture
def threads():
    """Share even the smallest batch out among threads, and put everything back."""
    before = native.get_threads()
    native.set_small_work(0.0)
    yield native.set_threads
    native.set_small_work(1e6)
    native.set_threads(before)


def readings_of(logits: np.ndarray, blank: int) -> dict[tuple[int, ...], float]:
    """Probability of every reading, by going through all paths."""
    steps, n_classes = logits.shape
    y = np.exp(reference.log_softmax(logits))
    found: dict[tuple[int, ...], float] = defaultdict(float)
    for path in itertools.product(range(n_classes), repeat=steps):
        reading = tuple(k for k, _ in itertools.groupby(path) if k != blank)
        found[reading] += math.prod(y[t, k] for t, k in enumerate(path))
    return found


def by_definition(problem: Problem, monkeypatch: pytest.MonkeyPatch, **options):
    """Give what `ctc` gives without the native core, worked out in float64."""
    with monkeypatch.context() as patch:
        patch.setattr(ops, "native", None)
        return problem._replace(logits=problem.logits.astype(np.float64)).loss(**options)


def assert_close(got: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    assert np.linalg.norm(got - expected) <= tolerance * np.linalg.norm(expected) + 1e-15


# --- the definition -------------------------------------------------------------------------------------------------


@pytest.mark.mutants
@pytest.mark.parametrize("blank", [0, 1, 2])
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5])
def test_the_loss_is_that_of_all_paths(steps, blank, rng, monkeypatch):
    logits = 2 * rng.standard_normal((steps, 3))
    readings = readings_of(logits, blank)
    assert sum(readings.values()) == pytest.approx(1)
    for reading, probability in readings.items():
        problem = Problem(logits, [steps], Ragged(np.array(reading, np.int64), [len(reading)]), blank, None)
        for loss, total, _ in (problem.loss(), by_definition(problem, monkeypatch)):
            assert loss == pytest.approx(-math.log(probability), rel=1e-13, abs=1e-13)
            assert total == 1


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_is_exact(case, rng, monkeypatch):
    sizes, n_classes = CASES[case]
    problem = make_problem(rng, sizes, n_classes, blank=n_classes - 1, weighted=True)
    monkeypatch.setattr(ops, "native", None)
    _, _, gradient = problem.loss()

    def loss(arrays):
        return problem._replace(logits=arrays["logits"]).loss(want_grad=False)[0]

    check_gradients(loss, {"logits": problem.logits}, {"logits": gradient}, rng)


# --- the native core ------------------------------------------------------------------------------------------------


@needs_native
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_native_is_the_definition(case, weighted, dtype, rng, threads, monkeypatch):
    sizes, n_classes = CASES[case]
    problem = make_problem(rng, sizes, n_classes, blank=n_classes // 2, dtype=dtype, weighted=weighted)
    expected, total, d_expected = by_definition(problem, monkeypatch)
    results = []
    for n_threads in THREADS:
        threads(n_threads)
        results.append(problem.loss())
    loss, weight_sum, d_logits = results[0]
    assert weight_sum == total
    # The loss of a float32 batch is as exact as of a float64 one: only the logits were rounded, before.
    assert loss == pytest.approx(expected, rel=1e-12, abs=1e-14)
    assert d_logits.dtype == dtype
    assert_close(d_logits, d_expected, TOLERANCE[dtype])
    for other, _, d_other in results[1:]:
        assert other == loss
        np.testing.assert_array_equal(d_other, d_logits)
    again, _, none = problem.loss(want_grad=False)
    assert again == loss and none is None


@needs_native
@pytest.mark.parametrize("spread", [30.0, 1e3, 1e5])
def test_probabilities_beyond_the_range_of_double(spread, rng, monkeypatch):
    """Logits that leave the right paths e^-10000 and less, beside wrong ones of nearly 1."""
    problem = make_problem(rng, [(200, 60), (90, 30)], 11, spread=spread)
    expected, _, d_expected = by_definition(problem, monkeypatch)
    loss, _, d_logits = problem.loss()
    assert expected > 50 * spread
    assert loss == pytest.approx(expected, rel=1e-12)
    # The definition's own rounding grows with the size of its logarithms.
    assert_close(d_logits, d_expected, 1e-14 * expected)


@needs_native
@pytest.mark.parametrize("spread", [0.01, 8.0])
def test_a_sequence_of_thousands_of_steps(spread, rng, monkeypatch):
    """Mantissas grow threefold a step where classes are alike; nobody moving them back, they would overflow."""
    problem = make_problem(rng, [(4000, 30)], 4, spread=spread)
    expected, _, d_expected = by_definition(problem, monkeypatch)
    loss, _, d_logits = problem.loss()
    assert loss == pytest.approx(expected, rel=1e-12)
    # The definition's logarithms, of size 1e3 to 1e4, round in each of 4000 steps.
    assert_close(d_logits, d_expected, 1e-9)
    np.testing.assert_allclose(d_logits.sum(axis=1), 0, atol=1e-12)


@needs_native
def test_a_blank_that_drowns_the_labels(monkeypatch):
    """Every path must pass labels of e^-60 at each of 100 places; one scale for all places would lose them."""
    logits = np.zeros((300, 5))
    logits[:, 0] = 60
    problem = Problem(logits, [300], Ragged(np.arange(100) % 4 + 1, [100]), 0, None)
    expected, _, d_expected = by_definition(problem, monkeypatch)
    loss, _, d_logits = problem.loss()
    assert loss == pytest.approx(expected, rel=1e-12) and loss > 5000
    assert_close(d_logits, d_expected, 1e-11)


@needs_native
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 20)), min_size=1, max_size=9),
    st.integers(2, 40),
    st.sampled_from(["float32", "float64"]),
    st.integers(0, 1000),
)
def test_a_sequence_has_its_bits_in_every_batch(sizes, n_classes, dtype, seed):
    rng = np.random.default_rng(seed)
    sizes = [(steps, min(n_labels, steps if n_classes > 2 else (steps + 1) // 2)) for steps, n_labels in sizes]
    problem = make_problem(rng, sizes, n_classes, dtype=dtype)
    _, total, together = problem.loss()
    assert np.abs(together.sum(axis=1, dtype=np.float64)).max(initial=0) <= 1e-6  # p and the paths both sum to 1
    for b, (row, labels) in enumerate(
        zip(problem.labels.with_values(problem.labels.values), problem.labels, strict=True)
    ):
        start = sum(problem.lengths[:b])
        rows = slice(start, start + problem.lengths[b])
        # The scale of a mean is part of the gradient, so the sequence alone gets the others' weight beside it.
        alone = Problem(
            problem.logits[rows],
            [problem.lengths[b], 0],
            Ragged(row, [len(labels), 0]),
            0,
            np.array([1, total - 1]),
        )
        _, _, d_alone = alone.loss()
        np.testing.assert_array_equal(d_alone, together[rows])


@needs_native
@given(st.integers(1, 30), st.integers(2, 9), st.integers(0, 1000))
def test_a_shift_of_all_logits_changes_nothing(steps, n_classes, seed):
    rng = np.random.default_rng(seed)
    problem = make_problem(rng, [(steps, (steps + 1) // 2)], n_classes)
    loss, _, gradient = problem.loss()
    moved, _, d_moved = problem._replace(logits=problem.logits + 1024 * rng.integers(-9, 9, (steps, 1))).loss()
    assert moved == pytest.approx(loss, rel=1e-9)  # adding 1024 takes ten bits of the logits
    np.testing.assert_allclose(d_moved, gradient, atol=1e-9)
    assert loss >= 0


@needs_native
def test_inputs_need_not_be_contiguous_and_are_not_changed(rng):
    problem = make_problem(rng, [(9, 3), (6, 2)], 5)
    wide = np.repeat(problem.logits, 2, axis=1)
    before = wide.copy()
    loss, _, gradient = problem._replace(logits=wide[:, ::2]).loss()
    expected, _, d_expected = problem.loss()
    assert loss == expected
    np.testing.assert_array_equal(gradient, d_expected)
    np.testing.assert_array_equal(wide, before)
    narrow = Ragged(problem.labels.values.astype(np.uint8), problem.labels.lengths)
    assert problem._replace(labels=narrow).loss()[0] == expected


# --- edges ----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["native", "NumPy"])
def core(request, monkeypatch):
    """Run with the native core, then without."""
    if request.param == "NumPy":
        monkeypatch.setattr(ops, "native", None)
    elif native is None:
        pytest.skip("the native core is not built")


@pytest.mark.usefixtures("core")
class TestEdges:
    def test_by_hand(self):
        logits = np.log([[0.5, 0.5], [0.25, 0.75]])
        loss, total, gradient = ctc(logits, [2], Ragged(np.array([1]), [1]))
        assert (math.exp(-loss), total) == (pytest.approx(0.875), 1)
        # y − (share of the 0.875 that passes there): 0 1 and 1 0 and 1 1 have 0.375, 0.125 and 0.375.
        np.testing.assert_allclose(gradient, [[0.5 - 3 / 7, 0.5 - 4 / 7], [0.25 - 1 / 7, 0.75 - 6 / 7]], rtol=1e-12)

    def test_nothing_to_say_in_no_time(self):
        loss, total, gradient = ctc(np.zeros((0, 3)), [0, 0], Ragged(np.zeros(0, np.int64), [0, 0]))
        assert (loss, total, gradient.shape) == (0, 2, (0, 3))

    def test_weight_zero_is_absent(self, rng):
        problem = make_problem(rng, [(9, 3), (2, 2), (6, 2), (3, 0)], 5)
        weights = np.array([1.0, 0, 3, 0])
        # Too short, too: what does not count need not be possible.
        problem = problem._replace(labels=Ragged(np.array([1, 2, 3, 4, 4, 1, 2]), [3, 2, 2, 0]), weights=weights)
        loss, total, gradient = problem.loss()
        rows = np.r_[0:9, 11:17]
        kept = Problem(problem.logits[rows], [9, 6], problem.labels.select([0, 2]), 0, weights[[0, 2]])
        expected, total_kept, d_expected = kept.loss()
        assert (loss, total) == (pytest.approx(expected, rel=1e-15), total_kept)
        np.testing.assert_array_equal(gradient[rows], d_expected)
        assert not np.delete(gradient, rows, axis=0).any()

    def test_nothing_counts(self, rng):
        problem = make_problem(rng, [(3, 1), (2, 1)], 4)
        for part in (
            problem._replace(weights=np.zeros(2)),
            Problem(np.ones((0, 4)), [], Ragged(np.ones(0, int), []), 0, None),
        ):
            with pytest.warns(RuntimeWarning, match="the loss is 0 and nothing is learned"):
                loss, total, gradient = part.loss()
            assert (loss, total) == (0, 0)
            np.testing.assert_array_equal(gradient, np.zeros_like(part.logits))

    def test_a_path_that_is_barred(self):
        """Logits of −inf may leave no path: the loss says so, and the other sequences keep their gradients."""
        logits = np.zeros((4, 3))
        logits[:2, 1] = -np.inf
        labels = Ragged(np.array([1, 1]), [1, 1])
        loss, _, gradient = ctc(logits, [2, 2], labels)
        assert loss == math.inf
        assert np.isnan(gradient[:2]).all() and np.isfinite(gradient[2:]).all()
        loss, _, gradient = ctc(logits, [2, 2], Ragged(np.array([2, 1]), [1, 1]))
        assert loss == pytest.approx(-(math.log(3 / 4) + math.log(3 / 9)) / 2)
        assert not gradient[:2, 1].any()

    def test_a_number_that_is_none(self):
        logits = np.zeros((4, 3))
        logits[1, 2] = np.nan
        loss, _, _ = ctc(logits, [4], Ragged(np.array([1]), [1]))
        assert math.isnan(loss)


BAD = {
    "too short": (
        lambda: ctc(np.zeros((7, 4)), [4, 3], Ragged(np.array([1, 2, 2, 2]), [1, 3])),
        DataError,
        "ctc: sequence 1 is too short for its labels, expected at least 5 steps (3 labels and 2 blanks between equal "
        "neighbours), got 3. Leave it out or give it weight 0; if all are short, let the network keep more steps.",
    ),
    "too short without repeats": (
        lambda: ctc(np.zeros((1, 4)), [1, 0], Ragged(np.array([2, 2]), [1, 1])),
        DataError,
        "ctc: sequence 1 is too short for its labels, expected at least 1 steps (1 labels), got 0.",
    ),
    "blank as label": (
        lambda: ctc(np.zeros((7, 4)), [4, 3], Ragged(np.array([1, 2, 0]), [1, 2])),
        DataError,
        "ctc: a label is no class or the blank, expected 0 to 3 but not the blank 0, got 0 at label 1 of sequence 1. "
        "Shift the labels by one, or name another blank.",
    ),
    "no class": (
        lambda: ctc(np.zeros((7, 4)), [4, 0, 3], Ragged(np.array([1, 4]), [1, 0, 1]), blank=2),
        DataError,
        "ctc: a label is no class or the blank, expected 0 to 3 but not the blank 2, got 4 at label 0 of sequence 2.",
    ),
    "negative label": (
        lambda: ctc(np.zeros((7, 4)), [7], Ragged(np.array([-1]), [1])),
        DataError,
        "got -1 at label 0 of sequence 0",
    ),
    "no whole labels": (
        lambda: ctc(np.zeros((7, 4)), [7], Ragged(np.array([1.0]), [1])),
        DataError,
        "ctc: labels are no classes, expected integers, got dtype float64",
    ),
    "one label for each step": (
        lambda: ctc(np.zeros((7, 4)), [4, 3], Ragged(np.ones((7, 1)), [4, 3])),
        DataError,
        "ctc: the labels do not fit, expected 2 sequences of ids, one for each of logits, got Ragged(2 sequences",
    ),
    "too few labels": (
        lambda: ctc(np.zeros((7, 4)), [4, 3], Ragged(np.array([1]), [1])),
        DataError,
        "ctc: the labels do not fit",
    ),
    "lengths": (lambda: ctc(np.zeros((7, 4)), [4, 4], Ragged(np.ones(2, int), [1, 1])), DataError, "do not add up"),
    "weights": (
        lambda: ctc(np.zeros((7, 4)), [4, 3], Ragged(np.ones(2, int), [1, 1]), weights=np.ones(7)),
        DataError,
        "ctc: weights do not fit, expected (2,), got (7,).",
    ),
    "negative weight": (
        lambda: ctc(np.zeros((7, 4)), [4, 3], Ragged(np.ones(2, int), [1, 1]), weights=np.array([1.0, -0.5])),
        DataError,
        "ctc: a weight cannot be used, expected finite numbers >= 0, got -0.5 for sequence 1.",
    ),
    "blank": (
        lambda: ctc(np.zeros((7, 4)), [7], Ragged(np.array([1]), [1]), blank=4),
        UsageError,
        "ctc: the blank is not a class, expected 0 to 3, got 4.",
    ),
    "greedy blank": (lambda: greedy_decode(np.zeros((7, 4)), [7], blank=-1), UsageError, "greedy_decode: the blank"),
    "axes": (
        lambda: greedy_decode(np.zeros((2, 7, 4)), [7, 7]),
        DataError,
        "greedy_decode: logits has the wrong number of axes, expected (N, K), got (2, 7, 4).",
    ),
    "width": (
        lambda: beam_decode(np.zeros((7, 4)), [7], width=0),
        UsageError,
        "beam_decode: the width is out of range, expected an integer >= 1, got 0.",
    ),
    "not a number": (
        lambda: beam_decode(np.array([[0, 1], [0, np.nan]]), [2]),
        DataError,
        "beam_decode: row 1 of logits cannot be made probabilities, expected a finite largest logit, got nan.",
    ),
    "all barred": (
        lambda: greedy_decode(np.full((1, 2), -np.inf), [1]),
        DataError,
        "greedy_decode: row 0 of logits cannot be made probabilities",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused_and_how(case):
    call, kind, message = BAD[case]
    with pytest.raises(kind) as caught:
        call()
    assert message in str(caught.value)


@needs_native
def test_the_door_of_the_native_core_is_closed():
    """The checks that keep the kernel within its arrays stand in the binding, whatever Python lets through."""
    logits, labels = np.zeros((3, 4)), np.array([1, 2])
    good = dict(lengths=np.array([3]), labels=labels, label_lengths=np.array([2]), blank=0, weights=None)
    rest = dict(scale=1.0, losses=np.zeros(1), d_logits=None)
    native.ctc(logits, **good, **rest)
    for wrong, words in [
        (dict(lengths=np.array([4])), "lengths must add up"),
        (dict(lengths=np.array([-1])), "lengths must add up"),
        (dict(lengths=np.array([2])), "lengths must add up"),
        (dict(label_lengths=np.array([1])), "label_lengths must add up"),
        (dict(label_lengths=np.array([1, 1])), "label_lengths has the wrong shape"),
        (dict(labels=np.array([1, 4])), "label out of range"),
        (dict(labels=np.array([1, 0])), "a label is the blank"),
        (dict(blank=4), "blank out of range"),
        (dict(weights=np.ones(2)), "weights has the wrong shape"),
    ]:
        with pytest.raises(ValueError, match=words):
            native.ctc(logits, **{**good, **wrong}, **rest)
    with pytest.raises(ValueError, match="d_logits has the wrong shape"):
        native.ctc(logits, **good, **{**rest, "d_logits": np.zeros((3, 3))})
    for wrong, words in [
        ((np.array([2]), 0, 4), "lengths"),
        ((np.array([3]), 9, 4), "blank"),
        ((np.array([3]), 0, 0), "width"),
    ]:
        with pytest.raises(ValueError, match=words):
            native.ctc_beams(logits, *wrong)


# --- reading --------------------------------------------------------------------------------------------------------


def test_greedy_by_hand():
    path = [0, 3, 3, 0, 3, 1, 1, 0, 0, 2, 2]
    found = greedy_decode(np.eye(4)[path], [6, 0, 2, 3])
    assert [ids.tolist() for ids in found] == [[3, 3, 1], [], [1], [2]]
    assert all(ids.dtype == np.int64 for ids in found)
    assert [ids.tolist() for ids in greedy_decode(np.eye(4)[path], [11], blank=3)] == [[0, 0, 1, 0, 2]]


@given(st.integers(1, 6), st.integers(2, 4), st.integers(0, 1000))
def test_greedy_is_the_reading_of_the_likeliest_path(steps, n_classes, seed):
    logits = np.random.default_rng(seed).standard_normal((steps, n_classes))
    best = max(itertools.product(range(n_classes), repeat=steps), key=lambda path: logits[range(steps), path].sum())
    expected = [k for k, _ in itertools.groupby(best) if k != 1]
    assert greedy_decode(logits, [steps], blank=1)[0].tolist() == expected


@pytest.mark.usefixtures("core")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("steps", [0, 1, 2, 4, 6])
def test_a_wide_beam_finds_all_readings(steps, blank, dtype, rng):
    logits = (2 * rng.standard_normal((steps, 3))).astype(dtype)
    expected = sorted(readings_of(logits.astype(np.float64), blank).items(), key=lambda item: -item[1])
    (found,) = beam_decode(logits, [steps], width=1000, blank=blank)
    assert [tuple(ids.tolist()) for ids, _ in found] == [reading for reading, _ in expected]
    np.testing.assert_allclose(np.exp([p for _, p in found]), [p for _, p in expected], rtol=1e-12)


@needs_native
@pytest.mark.parametrize("width", [1, 2, 7, 40])
def test_native_search_is_the_definition(width, rng, threads, monkeypatch):
    lengths = [30, 0, 1, 12, 25]
    logits = 2 * rng.standard_normal((sum(lengths), 6))
    results = []
    for n_threads in (1, 3):
        threads(n_threads)
        results.append(beam_decode(logits, lengths, width=width, blank=3))
    monkeypatch.setattr(ops, "native", None)
    expected = beam_decode(logits, lengths, width=width, blank=3)
    for found, other, defined in zip(*results, expected, strict=True):
        assert len(found) <= width
        assert [ids.tolist() for ids, _ in found] == [ids.tolist() for ids, _ in defined]
        np.testing.assert_allclose([p for _, p in found], [p for _, p in defined], rtol=1e-12, atol=1e-13)
        assert [(ids.tolist(), p) for ids, p in found] == [(ids.tolist(), p) for ids, p in other]


@needs_native
@given(st.integers(1, 25), st.integers(2, 6), st.integers(1, 30), st.integers(0, 1000))
def test_readings_are_no_likelier_than_they_are(steps, n_classes, width, seed):
    """The loss counts all paths of a reading, the search those it kept; and no reading comes twice."""
    logits = 2 * np.random.default_rng(seed).standard_normal((steps, n_classes))
    (found,) = beam_decode(logits, [steps], width=width)
    log_probabilities = [p for _, p in found]
    assert log_probabilities == sorted(log_probabilities, reverse=True)
    assert len({tuple(ids.tolist()) for ids, _ in found}) == len(found) <= width
    assert np.exp(log_probabilities).sum() <= 1 + 1e-12
    for ids, p in found:
        assert p <= -ctc(logits, [steps], Ragged(ids, [len(ids)]), want_grad=False)[0] + 1e-9


@pytest.mark.usefixtures("core")
def test_what_cannot_be_is_not_read():
    logits = np.array([[0.0, -np.inf, -np.inf], [0.0, 0.0, -np.inf]])
    (found,) = beam_decode(logits, [2], width=100)
    assert [(ids.tolist(), round(math.exp(p), 12)) for ids, p in found] in (
        [([], 0.5), ([1], 0.5)],
        [([1], 0.5), ([], 0.5)],
    )


# --- interrupts -----------------------------------------------------------------------------------------------------

LONG = np.random.default_rng(1).standard_normal((200_000, 3))
SLOW = {
    "loss": lambda: ctc(LONG, [100_000] * 2, Ragged(np.arange(10_000) % 2 + 1, [5_000] * 2), want_grad=False),
    "gradient": lambda: ctc(LONG, [2_000] * 100, Ragged(np.arange(50_000) % 2 + 1, [500] * 100)),
    "beam": lambda: beam_decode(LONG, [100_000] * 2, width=200),
}


@needs_native
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers that send signals")
@pytest.mark.parametrize("name", SLOW)
def test_an_interrupt_is_heard(name):
    def raise_interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, raise_interrupt)
    start = time.perf_counter()
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            for _ in range(100):  # many seconds, whatever the machine
                SLOW[name]()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.perf_counter() - start < 2


# --- every instruction set ------------------------------------------------------------------------------------------


@needs_native
@pytest.mark.parametrize("isa", ISAS)
def test_every_instruction_set(isa: str) -> None:
    """Run this file once more for each instruction set that this machine has, in a process of its own."""
    if os.environ.get("ELMAN_ISA"):
        pytest.skip("already forced")
    environment = {**os.environ, "ELMAN_ISA": isa}
    probe = [sys.executable, "-c", "import elman._native"]
    if isa != "baseline" and subprocess.run(probe, env=environment, capture_output=True, check=False).returncode != 0:
        pytest.skip(f"this machine has no {isa}")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", Path(__file__)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
