"""The CTC loss against torch's, live: value and gradient, in float64, and both against each other in float32."""

import numpy as np
import pytest
from test_ctc import CASES, make_problem

from elman.ops.ctc import ctc
from elman.ragged import Ragged

torch = pytest.importorskip("torch", reason="torch is not installed (make test-peers installs it)")

pytestmark = pytest.mark.peers

# float64; torch adds logarithms of size 1e3, so its own gradient carries some 1e-12.
TOLERANCE = 1e-10


def theirs(problem, *, dtype=torch.float64):
    """Mean loss over the sequences and its gradient, by log_softmax and ctc_loss on a padded batch."""
    values = torch.tensor(problem.logits, dtype=dtype)
    logits = Ragged(problem.logits, problem.lengths)
    steps = max(max(problem.lengths), 1)
    padded = torch.zeros(steps, len(problem.lengths), problem.logits.shape[1], dtype=dtype)
    for b, rows in enumerate(logits):
        start = int(logits.offsets[b])
        padded[: len(rows), b] = values[start : start + len(rows)]
    padded.requires_grad_()
    losses = torch.nn.functional.ctc_loss(
        torch.log_softmax(padded, -1),
        torch.tensor(problem.labels.values),
        torch.tensor(problem.lengths),
        torch.tensor(problem.labels.lengths),
        blank=problem.blank,
        reduction="none",
    )
    weights = torch.ones(len(problem.lengths)) if problem.weights is None else torch.tensor(problem.weights)
    loss = (weights.to(dtype) * losses).sum() / weights.sum()
    loss.backward()
    gradient = [padded.grad[:length, b].numpy() for b, length in enumerate(problem.lengths)]
    return loss.item(), np.concatenate(gradient)


def assert_agrees(problem):
    loss, _, gradient = problem.loss()
    expected, d_expected = theirs(problem)
    assert loss == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE)
    assert np.linalg.norm(gradient - d_expected) <= TOLERANCE * max(np.linalg.norm(d_expected), 1)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_every_case(case, weighted, rng):
    sizes, n_classes = CASES[case]
    assert_agrees(make_problem(rng, sizes, n_classes, blank=n_classes - 1, weighted=weighted))


@pytest.mark.parametrize("seed", range(20))
def test_random_batches(seed):
    rng = np.random.default_rng(seed)
    n_classes = int(rng.integers(2, 50))
    steps = rng.integers(1, 90, int(rng.integers(1, 12)))
    sizes = [(int(n), int(rng.integers(0, (n + 1) // 2 + 1))) for n in steps]
    assert_agrees(make_problem(rng, sizes, n_classes, blank=int(rng.integers(n_classes)), spread=rng.uniform(0.1, 20)))


def test_a_blank_that_drowns_the_labels():
    """What a network says early in training, and what one scale for all places would lose: torch keeps it, so do we."""
    logits = np.zeros((300, 5))
    logits[:, 0] = 60
    problem = make_problem(np.random.default_rng(0), [(300, 100)], 5)._replace(logits=logits)
    assert_agrees(problem)
    assert problem.loss()[0] > 5000


def test_float32_is_nearer_to_the_truth_than_torch(rng):
    problem = make_problem(rng, [(200, 40)] * 4, 30, dtype="float32")
    _, exact = theirs(problem)
    _, single = theirs(problem, dtype=torch.float32)
    _, _, gradient = ctc(problem.logits, problem.lengths, problem.labels)
    ours, torchs = (np.linalg.norm(found - exact) / np.linalg.norm(exact) for found in (gradient, single))
    assert ours < 1e-6 < torchs
