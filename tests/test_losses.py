"""Losses: by hand, exact gradients by complex step, at their edges, and what is refused."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from complex_step import check_gradients

from elman.errors import DataError, UsageError
from elman.ops import losses

# Every loss of rows, with options that change something.
LOSSES = {
    "squared": losses.SquaredError(),
    "absolute": losses.AbsoluteError(),
    "huber": losses.Huber(),
    "huber 0.3": losses.Huber(delta=0.3),
    "cosine": losses.Cosine(),
    "cross-entropy": losses.CrossEntropy(),
    "cross-entropy smoothed": losses.CrossEntropy(label_smoothing=0.2),
    "categorical": losses.CategoricalCrossEntropy(),
    "categorical smoothed": losses.CategoricalCrossEntropy(label_smoothing=0.2),
    "binary": losses.BinaryCrossEntropy(),
    "binary smoothed": losses.BinaryCrossEntropy(label_smoothing=0.2),
}


def make_target(loss, n_rows, n_columns, rng):
    if loss.targets == "class":
        return rng.integers(0, n_columns, n_rows)
    if loss.targets in ("distribution", "binary"):  # rows that do not sum to 1, too: a row without a class
        return rng.random((n_rows, n_columns))
    return rng.standard_normal((n_rows, n_columns))


def each(prediction, target, f):
    """Sum f over the columns of a row, in plain Python."""
    return [sum(f(p, t) for p, t in zip(*row, strict=True)) for row in zip(prediction, target, strict=True)]


def by_hand(loss, prediction, target):
    """Give the loss of every row by its textbook formula."""
    n_columns = prediction.shape[1]
    if loss.targets == "class":
        target = np.eye(n_columns)[target]
    if loss.targets in ("class", "distribution"):
        target = target * (1 - loss.label_smoothing) + loss.label_smoothing / n_columns
        probability = np.exp(prediction) / np.exp(prediction).sum(1, keepdims=True)
        return each(probability, target, lambda p, t: -t * np.log(p))
    if loss.targets == "binary":
        target = target * (1 - loss.label_smoothing) + loss.label_smoothing / 2
        probability = 1 / (1 + np.exp(-prediction))
        return [
            row / n_columns for row in each(probability, target, lambda p, t: -t * np.log(p) - (1 - t) * np.log(1 - p))
        ]
    if isinstance(loss, losses.Cosine):
        return [1 - p @ t / np.linalg.norm(p) / np.linalg.norm(t) for p, t in zip(prediction, target, strict=True)]

    def formula(p, t):
        distance = abs(p - t)
        if isinstance(loss, losses.SquaredError):
            return distance**2
        if isinstance(loss, losses.AbsoluteError):
            return distance
        return distance**2 / 2 if distance <= loss.delta else loss.delta * (distance - loss.delta / 2)

    return [row / n_columns for row in each(prediction, target, formula)]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_the_formula(name, weighted, rng):
    loss = LOSSES[name]
    prediction = 2 * rng.standard_normal((9, 4))
    target = make_target(loss, 9, 4, rng)
    weights = rng.random(9) * 3 if weighted else None
    value, total, _ = loss(prediction, target, weights=weights)
    assert total == pytest.approx(9 if weights is None else weights.sum(), rel=1e-15)
    assert value == pytest.approx(np.average(by_hand(loss, prediction, target), weights=weights), rel=1e-13)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n_rows", "n_columns"), [(1, 1), (1, 5), (7, 1), (6, 4)])
@pytest.mark.parametrize("name", LOSSES)
def test_gradients(name, n_rows, n_columns, weighted, rng):
    loss = LOSSES[name]
    if n_columns == 1 and name in ("cosine", "cross-entropy smoothed"):
        pytest.skip("of one column nothing can be learned: the gradient is rounding and nothing else")
    prediction = 2 * rng.standard_normal((n_rows, n_columns))
    target = make_target(loss, n_rows, n_columns, rng)
    weights = rng.random(n_rows) + 0.1 if weighted else None
    value, total, gradient = loss(prediction, target, weights=weights)
    assert isinstance(value, float)
    assert total == pytest.approx(n_rows if weights is None else weights.sum(), rel=1e-15)
    assert loss(prediction, target, weights=weights, want_grad=False) == (value, total, None)

    def f(p):
        return loss(p["prediction"], target, weights=weights, want_grad=False)[0]

    check_gradients(f, {"prediction": prediction}, {"prediction": gradient}, rng)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LOSSES)
def test_float32_is_float64_rounded(name, dtype, rng):
    loss = LOSSES[name]
    prediction, target = rng.standard_normal((40, 5)), make_target(LOSSES[name], 40, 5, rng)
    weights = rng.random(40)
    value, _, gradient = loss(prediction, target, weights=weights)
    narrow = target if target.dtype.kind == "i" else target.astype(dtype)
    value_32, _, gradient_32 = loss(prediction.astype(dtype), narrow, weights=weights)
    assert gradient_32.dtype == dtype
    assert value_32 == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(gradient_32, gradient, rtol=1e-4, atol=1e-7)


# --- edges ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cross_entropy_of_huge_logits(dtype):
    """Neither overflow nor log of zero: the loss is the gap between the logits."""
    logits = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]], dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        loss, _, gradient = losses.CrossEntropy()(logits, np.array([0, 2]))
    assert loss == 5000.0
    assert gradient.dtype == dtype
    np.testing.assert_allclose(gradient, [[0, 0, 0], [0, 0.5, -0.5]], atol=1e-30)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_binary_cross_entropy_of_huge_logits(dtype):
    logits = np.array([[1e3], [-1e3], [1e3], [-1e3], [0.0]], dtype)
    target = np.array([[1.0], [0.0], [0.0], [1.0], [0.25]], dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        loss, _, gradient = losses.BinaryCrossEntropy()(logits, target)
    assert loss == pytest.approx((2000 + np.log(2)) / 5, rel=1e-7)
    np.testing.assert_allclose(gradient[:, 0], [0, 0, 0.2, -0.2, 0.05], atol=1e-8)


@pytest.mark.parametrize("scale", [1e3, -1e3])
@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if loss.activation])
def test_saturated_logits_stay_finite(name, scale, rng):
    loss = LOSSES[name]
    logits = scale * np.eye(3)[[0, 1, 2, 0]]
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        value, _, gradient = loss(logits, make_target(loss, 4, 3, rng))
    assert np.isfinite(value) and np.isfinite(gradient).all()


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if loss.activation])
def test_gradients_at_zero(name, rng):
    """Where the two ways to write a sigmoid meet, and where all logits are the greatest."""
    loss, logits = LOSSES[name], np.zeros((4, 3))
    target = make_target(loss, 4, 3, rng)

    def f(p):
        return loss(p["logits"], target, want_grad=False)[0]

    check_gradients(f, {"logits": logits}, {"logits": loss(logits, target)[2]}, rng)


def test_subgradients_where_prediction_meets_target():
    """A prediction that is right stays; on Huber's edge both formulas agree."""
    at = np.array([[1.5, -2.0, 0.0]])
    assert losses.AbsoluteError()(at, at)[2].tolist() == losses.Huber()(at, at)[2].tolist() == [[0, 0, 0]]
    for side in (1, -1):
        value, _, gradient = losses.Huber(delta=2.0)(np.array([[2.0 * side]]), np.array([[0.0]]))
        assert (value, gradient.item()) == (2.0, 2.0 * side)


def test_vectors_without_a_direction():
    prediction = np.array([[0.0, 0.0], [3.0, 4.0], [1e-9, 0.0], [1.0, 1.0]])
    target = np.array([[1.0, 2.0], [0.0, 0.0], [1.0, 0.0], [-2.0, -2.0]])
    with np.errstate(all="raise"):
        value, total, gradient = losses.Cosine()(prediction, target)
    assert (value, total) == (pytest.approx((1 + 1 + 1 + 2) / 4), 4)
    np.testing.assert_allclose(gradient, 0, atol=1e-16)


def test_cosine_does_not_overflow():
    huge = np.array([[3e30, 4e30]], np.float32)
    with np.errstate(over="raise", invalid="raise"):
        value, _, gradient = losses.Cosine()(huge, -huge)
    assert value == pytest.approx(2, abs=1e-12) and np.isfinite(gradient).all()


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_counts(name):
    """All weights zero: a loss of 0 and no gradient, said aloud, never NaN."""
    loss = LOSSES[name]
    prediction = np.ones((2, 3))
    target = np.array([0, 2]) if loss.targets == "class" else np.zeros((2, 3))
    for part, weights in ((2, np.zeros(2)), (0, np.ones(0)), (0, None)):
        with pytest.warns(RuntimeWarning, match="the loss is 0 and nothing is learned"):
            value, total, gradient = loss(prediction[:part], target[:part], weights=weights)
        assert (value, total) == (0.0, 0.0)
        np.testing.assert_array_equal(gradient, np.zeros((part, 3)))


@pytest.mark.parametrize("name", LOSSES)
def test_weight_zero_is_absent(name, rng):
    loss = LOSSES[name]
    prediction, target = rng.standard_normal((5, 3)), make_target(loss, 5, 3, rng)
    weights = np.array([1.0, 0, 2, 0, 0])
    kept = weights > 0
    value, total, gradient = loss(prediction, target, weights=weights)
    alone, total_alone, gradient_alone = loss(prediction[kept], target[kept], weights=weights[kept])
    assert value == pytest.approx(alone, rel=1e-14)
    assert total == total_alone
    np.testing.assert_allclose(gradient[kept], gradient_alone, rtol=1e-13)
    np.testing.assert_array_equal(gradient[~kept], 0)


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_given_is_changed(name, rng):
    loss = LOSSES[name]
    for dtype in (np.float32, np.float64):
        prediction, target = rng.standard_normal((5, 3)).astype(dtype), make_target(loss, 5, 3, rng)
        if target.dtype.kind == "f":
            target = target.astype(dtype)
        for weights in (None, np.ones(5, dtype), np.ones(5)):
            for array in (prediction, target, *([] if weights is None else [weights])):
                array.flags.writeable = False
            _, _, gradient = loss(prediction, target, weights=weights)
            assert gradient.dtype == dtype


# --- names, options, errors -----------------------------------------------------------------------------------------

KERAS = {
    "mse": losses.SquaredError,
    "mean_squared_error": losses.SquaredError,
    "mae": losses.AbsoluteError,
    "mean_absolute_error": losses.AbsoluteError,
    "huber": losses.Huber,
    "binary_crossentropy": losses.BinaryCrossEntropy,
    "categorical_crossentropy": losses.CategoricalCrossEntropy,
    "sparse_categorical_crossentropy": losses.CrossEntropy,
    "cosine_similarity": losses.Cosine,
    "ctc": losses.CTC,
}


@pytest.mark.parametrize("name", KERAS)
def test_names_of_keras(name):
    assert losses.get(name) == KERAS[name]()


@pytest.mark.parametrize("name", losses.LOSSES)
def test_every_name_says_the_same_as_its_object(name):
    loss = losses.get(name)
    assert losses.get(loss) is loss
    assert loss.config() == loss.name and losses.get(loss.config()) == loss
    assert losses.LOSSES[loss.name] is type(loss)


@pytest.mark.parametrize(
    ("loss", "config"),
    [
        (losses.Huber(delta=2), {"type": "huber", "delta": 2.0}),
        (losses.Huber(1.0), "huber"),
        (losses.CrossEntropy(label_smoothing=0.1), {"type": "cross_entropy", "label_smoothing": 0.1}),
        (losses.CTC(blank=np.int64(3)), {"type": "ctc", "blank": 3}),
    ],
)
def test_options_come_back(loss, config):
    assert loss.config() == config and losses.get(config) == loss
    assert pickle.loads(pickle.dumps(loss)) == copy.deepcopy(loss) == loss
    assert hash(losses.get(config)) == hash(loss)


REFUSED = {
    "no such loss": (lambda: losses.get("hinge"), r"there is no such loss, expected one of .*'mse'.* got 'hinge'"),
    "a class": (lambda: losses.get(losses.Huber), r"got <class .*Huber'>, a class; write Huber\(\)"),
    "a number": (lambda: losses.get(5), r"there is no such loss, .*got 5"),
    "no type": (lambda: losses.get({"delta": 2.0}), r"there is no such loss, .*got \{'delta': 2.0\}"),
    "no such option": (
        lambda: losses.get({"type": "huber", "beta": 2.0}),
        r"loss 'huber': there is no such option, expected delta, got beta",
    ),
    "delta 0": (
        lambda: losses.Huber(0),
        r"loss 'huber': delta is out of range, expected a number in \(0, inf\), got 0",
    ),
    "delta infinite": (lambda: losses.Huber(np.inf), r"delta is out of range, .*got inf"),
    "delta true": (lambda: losses.Huber(True), r"delta is out of range, .*got True"),
    "delta text": (lambda: losses.Huber("1"), r"delta is out of range, .*got '1'"),
    "smoothing 1": (
        lambda: losses.CrossEntropy(1),
        r"loss 'cross_entropy': label_smoothing is out of range, expected a number in \[0, 1\), got 1",
    ),
    "smoothing NaN": (lambda: losses.BinaryCrossEntropy(np.nan), r"label_smoothing is out of range, .*got nan"),
    "smoothing negative": (lambda: losses.CategoricalCrossEntropy(-0.1), r"label_smoothing is out of range"),
    "blank negative": (lambda: losses.CTC(-1), r"loss 'ctc': blank is no class, expected an integer >= 0, got -1"),
    "blank real": (lambda: losses.CTC(0.5), r"blank is no class, .*got 0.5"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    call, words = REFUSED[case]
    with pytest.raises(UsageError, match=words):
        call()


ONES = np.ones((2, 3))

BAD_TARGETS = {
    "too large": (losses.CrossEntropy(), np.array([0, 3]), r"is not a class.* 0 to 2, got 3 at target 1"),
    "negative": (losses.CrossEntropy(), np.array([-1, 2]), r"expected 0 to 2, got -1 at target 0"),
    "too few": (losses.CrossEntropy(), np.array([0]), r"the target does not fit, expected \(2,\), got \(1,\)"),
    "real": (
        losses.CrossEntropy(),
        np.array([0.0, 1.0]),
        r"targets are no classes, expected integers, got dtype float64",
    ),
    "one-hot for classes": (losses.CrossEntropy(), ONES, r"expected \(2,\), got \(2, 3\)"),
    "classes for one-hot": (losses.CategoricalCrossEntropy(), np.array([0, 1]), r"expected \(2, 3\), got \(2,\)"),
    "binary": (losses.BinaryCrossEntropy(), np.ones(2), r"expected \(2, 3\), got \(2,\)"),
    "a row for a column": (losses.SquaredError(), np.ones((2, 1)), r"expected \(2, 3\), got \(2, 1\)"),
    "huber": (losses.Huber(), np.ones((2, 1)), r"expected \(2, 3\), got \(2, 1\)"),
    "cosine": (losses.Cosine(), np.ones((3, 2)), r"expected \(2, 3\), got \(3, 2\)"),
}


@pytest.mark.parametrize("case", BAD_TARGETS)
def test_bad_targets(case):
    loss, target, words = BAD_TARGETS[case]
    with pytest.raises(DataError, match=words):
        loss(ONES, target)
