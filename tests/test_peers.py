"""Whole models against torch, live: training, ragged batches through several layers, losses, optimizers."""

import numpy as np
import pytest
from test_training_parity import build, compare_training

import elman
from elman import layers
from elman.ops import losses
from elman.training.optimizers import SGD, Adam, clip_global_norm
from elman.training.parameters import Parameters

torch = pytest.importorskip("torch", reason="torch is not installed (make test-peers installs it)")
from make_golden import training  # noqa: E402
from torch_net import elman_arrays, recurrent  # noqa: E402

pytestmark = pytest.mark.peers

TOLERANCE = 1e-12  # float64, of the norm
KINDS = ("rnn", "lstm", "gru")


def assert_close(found, expected, name, tolerance=TOLERANCE):
    expected = np.asarray(expected)
    off = np.linalg.norm(np.asarray(found) - expected) / max(np.linalg.norm(expected), 1e-300)
    assert off <= tolerance, f"{name} is off by {off:.1e} of its norm"


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_fifty_losses_agree_with_a_live_torch(kind, seed):
    compare_training(kind, training(kind, seed))


@pytest.mark.parametrize("kind", KINDS)
def test_golden_files_are_what_torch_says_today(kind):
    stored, fresh = np.load(f"{__file__.rpartition('/')[0]}/golden/training_{kind}.npz"), training(kind)
    assert set(stored.files) == set(fresh)
    for name, value in fresh.items():
        assert_close(stored[name], value, name, 1e-10)  # 50 steps, perhaps on a processor that rounds otherwise


class Stack(torch.nn.Module):
    """Embedding, two recurrent layers of different kinds, and a dense layer on the last step."""

    def __init__(self, first, second):
        super().__init__()
        self.embedding = torch.nn.Embedding(9, 4, dtype=torch.float64)
        self.first, self.second = recurrent(first, 4, 6, layers=1), recurrent(second, 6, 5, layers=1)
        self.dense = torch.nn.Linear(5, 3, dtype=torch.float64)

    def forward(self, ids):
        y, _ = self.second(self.first(self.embedding(ids)[None])[0])
        return self.dense(y[0, -1])

    def arrays(self, *, grad=False):
        named = {}
        for name, module in (("first", self.first), ("second", self.second)):
            named |= {f"{name}.{key}": value for key, value in elman_arrays(module, 0, grad=grad).items()}
        for name, tensor in [
            ("embedding.weight", self.embedding.weight),
            ("dense.weight", self.dense.weight),
            ("dense.bias", self.dense.bias),
        ]:
            named[name] = (tensor.grad if grad else tensor).detach().numpy().copy()
        return named


@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", KINDS)
def test_a_deep_model_on_a_ragged_batch(first, second, rng):
    torch.manual_seed(3)
    theirs = Stack(first, second)
    make = {"rnn": layers.RNN, "lstm": layers.LSTM, "gru": layers.GRU}
    ours = elman.Sequential(
        [
            layers.Embedding(9, 4, name="embedding"),
            make[first](6, return_sequences=True, name="first"),
            make[second](5, name="second"),
            layers.Dense(3, name="dense"),
        ],
        dtype="float64",
    )
    ours.compile("sgd", "sparse_categorical_crossentropy")
    ours.build(9)
    ours.set_weights(theirs.arrays())
    x = [rng.integers(0, 9, length) for length in (5, 1, 8, 3, 8, 2)]
    y = rng.integers(0, 3, len(x))
    weights = rng.random(len(x))

    loss, grads, _ = ours.gradients(x, y, sample_weight=weights)
    logits = torch.stack([theirs(torch.from_numpy(ids)) for ids in x])
    each = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y), reduction="none")
    expected = (each * torch.from_numpy(weights)).sum() / weights.sum()
    expected.backward()

    assert_close(ours.predict(x), logits.detach(), "logits")
    assert_close(loss, expected.item(), "loss")
    expected_grads = theirs.arrays(grad=True)
    assert set(grads) == set(expected_grads)
    for name, value in expected_grads.items():
        assert_close(grads[name], value, name)


def test_sigmoid_network_of_the_adder(rng):
    """torch has no sigmoid RNN, so the steps are written out."""
    ours = elman.Sequential(
        [layers.RNN(16, activation="sigmoid", return_sequences=True, name="rnn"),
         layers.Dense(1, activation="sigmoid", name="dense")],
        dtype="float64",
    )  # fmt: skip
    ours.compile("sgd", "mse")
    ours.build(2, rng=0)
    p = {name: torch.from_numpy(value.copy()).requires_grad_() for name, value in ours.named_weights().items()}
    x, y = rng.integers(0, 2, (3, 8, 2)).astype(float), rng.integers(0, 2, (3, 8, 1)).astype(float)

    h, outputs = torch.zeros(3, 16, dtype=torch.float64), []
    for t in range(8):
        a = torch.from_numpy(x[:, t]) @ p["rnn.weight_ih"].T + p["rnn.bias"] + h @ p["rnn.weight_hh"].T
        h = torch.sigmoid(a)
        outputs.append(torch.sigmoid(h @ p["dense.weight"].T + p["dense.bias"]))
    expected = torch.nn.functional.mse_loss(torch.stack(outputs, 1), torch.from_numpy(y))
    expected.backward()

    loss, grads, _ = ours.gradients(x, y)
    assert_close(loss, expected.item(), "loss")
    for name, tensor in p.items():
        assert_close(grads[name], tensor.grad, name)


def test_losses(rng):
    logits, labels, weights = rng.normal(size=(20, 5)) * 4, rng.integers(0, 5, 20), rng.random(20)
    theirs = torch.from_numpy(logits).requires_grad_()
    each = torch.nn.functional.cross_entropy(theirs, torch.from_numpy(labels), reduction="none")
    expected = (each * torch.from_numpy(weights)).sum() / weights.sum()
    expected.backward()
    loss, total, gradient = losses.CrossEntropy()(logits, labels, weights=weights, want_grad=True)
    assert_close(loss, expected.item(), "cross-entropy")
    assert_close(total, weights.sum(), "sum of weights")
    assert_close(gradient, theirs.grad, "d_logits")

    target = rng.normal(size=(20, 5))
    theirs = torch.from_numpy(logits).requires_grad_()
    expected = torch.nn.functional.mse_loss(theirs, torch.from_numpy(target))
    expected.backward()
    loss, _, gradient = losses.SquaredError()(logits, target, weights=None, want_grad=True)
    assert_close(loss, expected.item(), "squared error")
    assert_close(gradient, theirs.grad, "d_prediction")


OPTIMIZERS = {
    "sgd": (SGD(0.1), lambda p: torch.optim.SGD(p, lr=0.1)),
    "momentum": (SGD(0.1, momentum=0.9), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
    "adam": (Adam(0.01), lambda p: torch.optim.Adam(p, lr=0.01)),
    "adam, other betas": (
        Adam(0.01, beta_1=0.5, beta_2=0.9, epsilon=1e-3),
        lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.5, 0.9), eps=1e-3),
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_and_clipping(name, rng):
    ours, make = OPTIMIZERS[name]
    parameters = Parameters.build([layers.Dense(7, name="dense")], 5, dtype="float64", rng=rng)
    theirs = {key: torch.from_numpy(view.copy()).requires_grad_() for key, view in parameters.named().items()}
    optimizer = make(list(theirs.values()))
    for step in range(20):
        for key, view in parameters.named_grads().items():
            view[...] = rng.normal(size=view.shape) * 10.0 ** rng.integers(-6, 2)
            theirs[key].grad = torch.from_numpy(view.copy())
        norm = clip_global_norm(parameters, 3.0)
        assert_close(norm, torch.nn.utils.clip_grad_norm_(list(theirs.values()), 3.0), f"norm of step {step}")
        ours.step(parameters)
        optimizer.step()
    for key, view in parameters.named().items():
        assert_close(view, theirs[key].detach(), key)


@pytest.mark.parametrize("kind", KINDS)
def test_float32_training_stays_near_torch_in_float64(kind):
    golden = training(kind)
    engine, parameters = build(kind, golden, dtype=np.float32)
    losses_found = compare_training(kind, golden, engine=engine, parameters=parameters, tolerance=1e-3)
    assert_close(losses_found[0], golden["losses"][0], "the first loss", 1e-6)
