"""Metrics: over batches and weights as over the whole at once, by hand, and where they cannot be used."""

from __future__ import annotations

import math

import numpy as np
import pytest

from elman.errors import DataError, UsageError
from elman.ops import losses
from elman.ragged import Ragged
from elman.training import metrics
from elman.training.metrics import F1, Accuracy, Meter, Perplexity, TopK, edit_distance

CLASSES = losses.CrossEntropy()
ONE_HOT = losses.CategoricalCrossEntropy()
YES_NO = losses.BinaryCrossEntropy()
NUMBERS = losses.SquaredError()


def measure(given, loss, prediction, target, weights=None, *, cuts=(3, 4, 4, 9)):
    """Give the figure of an epoch of uneven batches, one of them empty."""
    meter = Meter(metrics.get(given, loss))
    for part in np.split(np.arange(len(target)), cuts):
        meter.observe(prediction[part], target[part], None if weights is None else weights[part])
    (figure,) = meter.results().values()
    return figure


@pytest.fixture(params=[False, True], ids=["alike", "weighted"])
def weights(request, rng):
    return rng.random(20) * 3 if request.param else None


def mean(each, weights):
    return pytest.approx(float(np.average(each, weights=weights)), rel=1e-12)


class TestAccuracy:
    def test_of_classes(self, rng, weights):
        scores, target = rng.normal(size=(20, 3)), rng.integers(0, 3, 20)
        expected = mean(scores.argmax(1) == target, weights)
        for name in ("accuracy", "acc", "sparse_categorical_accuracy", Accuracy()):
            assert measure(name, CLASSES, scores, target, weights) == expected
        for name in ("accuracy", "categorical_accuracy"):
            assert measure(name, ONE_HOT, scores, np.eye(3)[target], weights) == expected

    def test_of_numbers(self, rng, weights):
        """The nearer of 0 and 1 for a single output; the greatest of several."""
        scores, target = rng.random((20, 1)), rng.integers(0, 2, (20, 1)).astype(float)
        expected = mean(((scores > 0.5) == (target > 0.5))[:, 0], weights)
        assert measure("accuracy", NUMBERS, scores, target, weights) == expected
        scores, classes = rng.random((20, 3)), rng.integers(0, 3, 20)
        assert measure("accuracy", NUMBERS, scores, np.eye(3)[classes], weights) == mean(
            scores.argmax(1) == classes, weights
        )

    def test_of_logits_the_threshold_is_a_probability(self, rng, weights):
        """A logit of 0.3 is a probability of 0.57: yes, though it is less than 0.5."""
        logits, target = rng.normal(size=(20, 1)), rng.integers(0, 2, (20, 1)).astype(float)
        for threshold in (0.5, 0.2, 0.9):
            said = 1 / (1 + np.exp(-logits)) > threshold
            expected = mean((said == (target > 0.5))[:, 0], weights)
            assert measure(Accuracy(threshold), YES_NO, logits, target, weights) == expected
        assert ((logits > 0.5) != (logits > 0)).any()
        assert measure("binary_accuracy", YES_NO, np.full((20, 1), 0.3), np.ones((20, 1)), weights) == 1

    def test_of_several_answers_each_counts(self, rng, weights):
        logits, target = rng.normal(size=(20, 4)), rng.integers(0, 2, (20, 4)).astype(float)
        expected = mean(((logits > 0) == (target > 0.5)).mean(1), weights)
        assert measure("accuracy", YES_NO, logits, target, weights) == expected


class TestTopK:
    @pytest.mark.parametrize("k", [1, 2, 5])
    def test_by_sorting(self, rng, weights, k):
        scores, target = rng.normal(size=(20, 7)), rng.integers(0, 7, 20)
        greatest = np.argsort(scores, axis=1)[:, -k:]
        expected = mean([label in row for label, row in zip(target, greatest, strict=True)], weights)
        assert measure(TopK(k), CLASSES, scores, target, weights) == expected
        assert measure({"type": "top_k_accuracy", "k": k}, ONE_HOT, scores, np.eye(7)[target], weights) == expected

    def test_nan_is_never_right_and_ties_count(self):
        assert measure(TopK(1), CLASSES, np.full((2, 3), np.nan), np.array([0, 1]), cuts=()) == 0
        assert measure(TopK(1), CLASSES, np.ones((2, 3)), np.array([0, 2]), cuts=()) == 1

    def test_more_than_there_are(self):
        with pytest.raises(DataError, match="metric 'top_k_accuracy': all of 3 outputs are among the 5 greatest"):
            measure("top_k_accuracy", CLASSES, np.ones((2, 3)), np.array([0, 1]), cuts=())


class TestF1:
    def f1_of(self, said, truth, weights):
        """Give the F1 of one class by its precision and recall."""
        weights = np.ones(len(said)) if weights is None else weights
        right = weights[said & truth].sum()
        if right == 0:
            return 0.0
        precision, recall = right / weights[said].sum(), right / weights[truth].sum()
        return 2 * precision * recall / (precision + recall)

    def test_of_classes(self, rng, weights):
        scores, target = rng.normal(size=(20, 5)), rng.integers(0, 4, 20)
        scores[np.arange(20), target] += 1  # no F1 is 0
        scores[:, 4] = -9  # a class that neither is there nor is said: left out
        said = scores.argmax(1)
        each = [self.f1_of(said == k, target == k, weights) for k in range(4)]
        assert len(set(each)) > 2
        for average in (None, "macro"):
            assert measure(F1(average), CLASSES, scores, target, weights) == pytest.approx(np.mean(each), rel=1e-12)
        assert measure("f1_score", ONE_HOT, scores, np.eye(5)[target], weights) == pytest.approx(np.mean(each))
        # Every wrong answer is one too many for a class and one too few for another.
        assert measure(F1("micro"), CLASSES, scores, target, weights) == mean(said == target, weights)

    def test_of_two_classes(self, rng, weights):
        logits, target = rng.normal(size=(20, 1)), rng.integers(0, 2, (20, 1)).astype(float)
        said, truth = logits[:, 0] > 0, target[:, 0] > 0.5
        yes, no = self.f1_of(said, truth, weights), self.f1_of(~said, ~truth, weights)
        assert yes != no
        as_classes = np.concatenate([np.zeros_like(logits), logits], 1), truth.astype(int)
        for average, expected in ((None, yes), ("binary", yes), ("macro", (yes + no) / 2)):
            assert measure(F1(average), YES_NO, logits, target, weights) == pytest.approx(expected, rel=1e-12)
            assert measure(F1(average), CLASSES, *as_classes, weights) == pytest.approx(expected, rel=1e-12)
        assert measure(F1("micro"), YES_NO, logits, target, weights) == mean(said == truth, weights)

    @pytest.mark.parametrize("n_labels", [2, 3])
    def test_of_labels_that_go_together(self, rng, weights, n_labels):
        logits, target = rng.normal(size=(20, n_labels)), rng.integers(0, 2, (20, n_labels)).astype(float)
        said, truth = logits > math.log(0.3 / 0.7), target > 0.5
        each = [self.f1_of(said[:, k], truth[:, k], weights) for k in range(n_labels)]
        for average in (None, "macro"):
            got = measure(F1(average, threshold=0.3), YES_NO, logits, target, weights)
            assert got == pytest.approx(np.mean(each), rel=1e-12)
        together = None if weights is None else np.repeat(weights, n_labels)
        expected = self.f1_of(said.ravel(), truth.ravel(), together)
        assert measure(F1("micro", 0.3), YES_NO, logits, target, weights) == pytest.approx(expected, rel=1e-12)

    def test_of_a_single_class(self):
        """There is no other answer, so it is always right."""
        for loss, target in ((CLASSES, np.zeros(4, int)), (ONE_HOT, np.ones((4, 1)))):
            for metric in (F1(), F1("macro"), F1("micro")):
                assert measure(metric, loss, np.array([[-1.0], [0.0], [1.0], [2.0]]), target) == 1.0

    def test_it_is_no_mean_of_batches(self, rng):
        scores, target = rng.normal(size=(20, 3)), rng.integers(0, 3, 20)
        whole = measure("f1", CLASSES, scores, target, cuts=())
        assert measure("f1", CLASSES, scores, target) == pytest.approx(whole, rel=1e-14)
        parts = [measure("f1", CLASSES, scores[p], target[p], cuts=()) for p in (slice(7), slice(7, 20))]
        assert not math.isclose(np.mean(parts), whole)

    @pytest.mark.parametrize(
        ("loss", "target", "got"),
        [(CLASSES, np.array([0, 1]), "3 classes"), (YES_NO, np.ones((2, 3)), "3 labels that may go together")],
    )
    def test_binary_needs_two_classes(self, loss, target, got):
        with pytest.raises(UsageError, match=f"there are not two classes, expected two, got {got}"):
            measure(F1("binary"), loss, np.ones((2, 3)), target, cuts=())


class TestNumbers:
    @pytest.mark.parametrize("n_columns", [1, 3])
    def test_by_hand(self, rng, weights, n_columns):
        prediction, target = rng.normal(size=(2, 20, n_columns))
        d = prediction - target
        for loss in (NUMBERS, losses.AbsoluteError(), losses.Huber(), losses.Cosine()):
            for name in ("mae", "mean_absolute_error"):
                assert measure(name, loss, prediction, target, weights) == mean(abs(d).mean(1), weights)
            for name in ("mse", "mean_squared_error"):
                assert measure(name, loss, prediction, target, weights) == mean((d**2).mean(1), weights)
            expected = np.sqrt(np.average((d**2).mean(1), weights=weights))
            for name in ("rmse", "root_mean_squared_error"):
                assert measure(name, loss, prediction, target, weights) == pytest.approx(expected, rel=1e-12)


class TestPerplexity:
    @pytest.mark.parametrize("loss", [CLASSES, losses.CrossEntropy(label_smoothing=0.3)])
    def test_by_hand(self, rng, weights, loss):
        logits, target = rng.normal(size=(20, 6)), rng.integers(0, 6, 20)
        probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        nats = -np.log(probability[np.arange(20), target])
        expected = pytest.approx(math.exp(np.average(nats, weights=weights)), rel=1e-12)
        assert measure("perplexity", loss, logits, target, weights) == expected
        assert measure(Perplexity(), ONE_HOT, logits, np.eye(6)[target], weights) == expected

    def test_of_equal_classes_and_beyond_all_numbers(self):
        assert measure("perplexity", CLASSES, np.zeros((4, 7)), np.arange(4), cuts=()) == pytest.approx(7)
        assert measure("perplexity", CLASSES, 1e4 * np.eye(2), np.array([1, 0]), cuts=()) == math.inf


class TestLabels:
    @pytest.mark.parametrize(
        ("a", "b", "distance"),
        [("", "", 0), ("abc", "", 3), ("", "ab", 2), ("kitten", "sitting", 3), ("abc", "abc", 0), ("ab", "ba", 2)],
    )
    def test_edit_distance(self, a, b, distance):
        one, two = (np.array([ord(mark) for mark in text], int) for text in (a, b))
        assert edit_distance(one, two) == edit_distance(two, one) == distance

    def test_edit_distance_by_the_textbook(self, rng):
        for _ in range(30):
            a, b = (rng.integers(0, 4, rng.integers(0, 12)) for _ in range(2))
            table = np.zeros((len(a) + 1, len(b) + 1), int)
            table[:, 0], table[0] = np.arange(len(a) + 1), np.arange(len(b) + 1)
            for i in range(1, len(a) + 1):
                for j in range(1, len(b) + 1):
                    changed = table[i - 1, j - 1] + (a[i - 1] != b[j - 1])
                    table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, changed)
            assert edit_distance(a, b) == table[-1, -1]

    @pytest.mark.parametrize("blank", [0, 2])
    def test_label_error_rate(self, rng, blank):
        said = [[1, 1, blank, 1, 3], [3, blank], [], [1, 3, 3]]  # reads 1 1 3, 3, nothing, 1 3
        labels = [[1, 1, 3], [1, 3, 3], [], [3]]  # 0, 2, 0 and 1 edits
        logits = Ragged.from_list([np.eye(4)[np.array(path, int)] * 2 for path in said])
        target = Ragged(np.concatenate(labels).astype(int), [len(part) for part in labels])
        loss = losses.CTC(blank=blank)
        for weights, expected in ((None, 3 / 7), (np.array([1.0, 0.5, 2, 3]), (0.5 * 2 + 3) / (3 + 0.5 * 3 + 3))):
            meter = Meter(metrics.get("label_error_rate", loss))
            for part in (slice(0, 1), slice(1, 4)):
                meter.observe(logits[part], target[part], None if weights is None else weights[part])
            assert meter.results() == {"label_error_rate": pytest.approx(expected)}


EVERY = {name: next(kind for kind in metrics.METRICS[name].fits) for name in metrics.METRICS}
LOSS_OF = {"class": CLASSES, "distribution": ONE_HOT, "binary": YES_NO, "numbers": NUMBERS, "labels": losses.CTC()}


class TestNames:
    @pytest.mark.parametrize("name", metrics.METRICS)
    def test_a_figure_is_called_as_it_was_asked_for(self, name):
        (found,) = metrics.get([name], LOSS_OF[EVERY[name]])
        assert found.name == ("accuracy" if name == "acc" else name)
        assert metrics.get([found.config], found.loss) == (found,)

    def test_objects_have_names_of_their_own(self):
        given = [TopK(k=3), TopK(), F1("micro"), F1(), {"type": "f1_score", "average": "macro"}, "perplexity"]
        found = metrics.get(given, CLASSES)
        names = ["top_3_accuracy", "top_k_accuracy", "f1_micro", "f1", "f1_score", "perplexity"]
        assert [one.name for one in found] == names
        assert metrics.get([one.config for one in found], CLASSES) == found

    @pytest.mark.parametrize("name", metrics.METRICS)
    def test_nothing_counts(self, name, recwarn):
        """NaN where nothing has counted yet, or weighs nothing; no warning of NumPy's."""
        if name == "label_error_rate":
            return
        loss = LOSS_OF[EVERY[name]]
        meter = Meter(metrics.get(name, loss))
        (figure,) = meter.results().values()
        assert math.isnan(figure)
        target = np.array([0, 1]) if loss is CLASSES else np.eye(6)[:2]
        meter.observe(np.ones((2, 6)), target, np.zeros(2))
        (figure,) = meter.results().values()
        assert math.isnan(figure) and not recwarn.list


REFUSED = {
    "no list": (lambda: metrics.get(5, CLASSES), "compile: metrics is no list of names, .*got 5"),
    "no such metric": (lambda: metrics.get("auc", CLASSES), "there is no such metric, .*got 'auc'"),
    "a list in a list": (lambda: metrics.get([["accuracy"]], CLASSES), "there is no such metric"),
    "a class": (lambda: metrics.get([TopK], CLASSES), r"there is no such metric, .*write TopK\(\)"),
    "an option": (
        lambda: metrics.get({"type": "f1", "beta": 2}, CLASSES),
        "metric 'f1': there is no such option, expected average, threshold, got beta",
    ),
    "twice": (lambda: metrics.get(["accuracy", "acc"], CLASSES), "two metrics are called 'accuracy'"),
    "mae of classes": (
        lambda: metrics.get("mae", CLASSES),
        "metric 'mae' does not fit the loss, expected a loss whose targets are numbers, "
        "got loss 'cross_entropy', whose targets are classes",
    ),
    "rmse of logits": (lambda: metrics.get("rmse", YES_NO), "metric 'rmse' does not fit the loss"),
    "f1 of numbers": (lambda: metrics.get(F1("micro"), NUMBERS), "metric 'f1_micro' does not fit the loss"),
    "top-k of yes and no": (lambda: metrics.get(TopK(2), YES_NO), "metric 'top_2_accuracy' does not fit"),
    "perplexity of numbers": (lambda: metrics.get("perplexity", NUMBERS), "metric 'perplexity' does not fit"),
    "accuracy of labels": (lambda: metrics.get("accuracy", losses.CTC()), "metric 'accuracy' does not fit"),
    "errors of classes": (lambda: metrics.get("label_error_rate", CLASSES), "targets are label sequences, got"),
    "k": (lambda: TopK(0), "k: this is no count, expected an integer >= 1, got 0"),
    "average": (lambda: F1("weighted"), "there is no such average, expected 'macro', .*got 'weighted'"),
    "threshold": (lambda: Accuracy(1), r"threshold is out of range, expected a number in \(0, 1\), got 1"),
    "threshold of f1": (lambda: F1(threshold=-1), r"metric 'f1': threshold is out of range"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    call, words = REFUSED[case]
    with pytest.raises(UsageError, match=words):
        call()
