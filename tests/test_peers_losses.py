"""Losses and metrics against torch, live, in float64."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
functional = torch.nn.functional

import elman  # noqa: E402
from elman import layers  # noqa: E402
from elman.ops import losses  # noqa: E402
from elman.training import metrics  # noqa: E402
from elman.training.metrics import Meter  # noqa: E402

pytestmark = pytest.mark.peers


def one_by_one(f, **options):
    """Give the mean over the columns of a loss that torch computes for every number."""
    return lambda prediction, target: f(prediction, target, reduction="none", **options).mean(1)


def of_rows(f, **options):
    return lambda prediction, target: f(prediction, target, reduction="none", **options)


def smoothed_yes(logits, target):
    return functional.binary_cross_entropy_with_logits(logits, 0.8 * target + 0.1, reduction="none").mean(1)


CASES = {
    "squared": (losses.SquaredError(), one_by_one(functional.mse_loss)),
    "absolute": (losses.AbsoluteError(), one_by_one(functional.l1_loss)),
    "huber": (losses.Huber(), one_by_one(functional.huber_loss)),
    "huber 0.3": (losses.Huber(0.3), one_by_one(functional.huber_loss, delta=0.3)),
    "huber 2": (
        losses.Huber(2.0),
        lambda p, t: 2 * functional.smooth_l1_loss(p, t, reduction="none", beta=2.0).mean(1),
    ),
    "cosine": (losses.Cosine(), lambda p, t: 1 - functional.cosine_similarity(p, t, dim=1)),
    "cross-entropy": (losses.CrossEntropy(), of_rows(functional.cross_entropy)),
    "smoothed": (losses.CrossEntropy(0.2), of_rows(functional.cross_entropy, label_smoothing=0.2)),
    "probabilities": (losses.CategoricalCrossEntropy(), of_rows(functional.cross_entropy)),
    "smoothed probabilities": (
        losses.CategoricalCrossEntropy(0.2),
        of_rows(functional.cross_entropy, label_smoothing=0.2),
    ),
    "binary": (losses.BinaryCrossEntropy(), one_by_one(functional.binary_cross_entropy_with_logits)),
    "smoothed binary": (losses.BinaryCrossEntropy(0.2), smoothed_yes),
}


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_losses(name, weighted, scale, rng):
    loss, their_loss = CASES[name]
    prediction = scale * rng.normal(size=(23, 6))
    if loss.targets == "class":
        target = rng.integers(0, 6, 23)
    elif loss.targets == "distribution":
        target = rng.dirichlet(np.ones(6), 23)
    else:
        target = rng.random((23, 6)) if loss.targets == "binary" else rng.normal(size=(23, 6))
    weights = rng.random(23) if weighted else None
    theirs = torch.from_numpy(prediction).requires_grad_()
    each = their_loss(theirs, torch.from_numpy(target))
    expected = each.mean() if weights is None else (each * torch.from_numpy(weights)).sum() / weights.sum()
    expected.backward()
    value, _, gradient = loss(prediction, target, weights=weights)
    assert abs(value - expected.item()) <= 1e-12 * abs(expected.item())
    their_gradient = theirs.grad.numpy()
    assert np.linalg.norm(gradient - their_gradient) <= 1e-12 * np.linalg.norm(their_gradient)


@pytest.mark.parametrize("k", [1, 3])
def test_top_k(k, rng):
    scores, labels = rng.normal(size=(50, 8)), rng.integers(0, 8, 50)
    greatest = torch.from_numpy(scores).topk(k, dim=1).indices.numpy()
    meter = Meter(metrics.get(metrics.TopK(k), losses.CrossEntropy()))
    meter.observe(scores, labels, None)
    assert list(meter.results().values()) == [pytest.approx((greatest == labels[:, None]).any(1).mean())]


@pytest.mark.parametrize("average", ["macro", "micro", "binary"])
@pytest.mark.parametrize("weighted", [False, True])
def test_f1_of_scikit_learn(average, weighted, rng):
    f1_score = pytest.importorskip("sklearn.metrics").f1_score
    n_classes = 2 if average == "binary" else 5
    scores, labels = rng.normal(size=(60, n_classes)), rng.integers(0, min(n_classes, 4), 60)
    weights = rng.random(60) if weighted else None
    meter = Meter(metrics.get(metrics.F1(average), losses.CrossEntropy()))
    for part in (slice(0, 7), slice(7, 60)):
        meter.observe(scores[part], labels[part], None if weights is None else weights[part])
    expected = f1_score(labels, scores.argmax(1), average=average, sample_weight=weights)
    assert list(meter.results().values()) == [pytest.approx(expected, rel=1e-12)]


@pytest.mark.parametrize("blank", [0, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_model_with_ctc(weighted, blank, rng):
    """The batch is padded for torch only; its loss is not divided by the number of labels."""
    n_classes, steps = 5, [9, 4, 6, 1]
    x = [rng.normal(size=(length, 3)) for length in steps]
    y = [rng.permutation(np.delete(np.arange(n_classes), blank))[:length] for length in (3, 1, 2, 0)]
    y[0][1] = y[0][0]  # needs a blank between
    weights = rng.random(4) if weighted else None
    model = elman.Sequential([layers.GRU(6, return_sequences=True), layers.Dense(n_classes)], dtype="float64")
    model.compile("sgd", losses.CTC(blank=blank))
    model.build(3, rng=1)
    loss, gradients, _ = model.gradients(x, y, sample_weight=weights)

    logits = [torch.from_numpy(part).requires_grad_() for part in model.predict(x)]
    each = functional.ctc_loss(
        torch.nn.utils.rnn.pad_sequence(logits).log_softmax(2),
        torch.from_numpy(np.concatenate(y)),
        torch.tensor(steps),
        torch.tensor([len(part) for part in y]),
        blank=blank,
        reduction="none",
    )
    expected = each.mean() if weights is None else (each * torch.from_numpy(weights)).sum() / weights.sum()
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-10)
    d_bias = np.concatenate([part.grad.numpy() for part in logits]).sum(0)
    np.testing.assert_allclose(gradients["dense.bias"], d_bias, rtol=1e-10, atol=1e-12)
