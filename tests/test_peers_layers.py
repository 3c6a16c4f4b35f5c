"""Layers that hold, normalise and pool against torch, live; every sequence alone, as torch knows no ragged batch."""

import numpy as np
import pytest

import elman
from elman import layers
from elman.ops.weights import Weights
from elman.ragged import Ragged

torch = pytest.importorskip("torch", reason="torch is not installed (make test-peers installs it)")
from torch import nn  # noqa: E402

pytestmark = pytest.mark.peers

TOLERANCE = 1e-12  # float64, of the norm
LENGTHS = [5, 1, 7, 2, 7, 3]
KINDS = {"rnn": (layers.RNN, nn.RNN), "lstm": (layers.LSTM, nn.LSTM), "gru": (layers.GRU, nn.GRU)}


def assert_close(found, expected, name):
    expected = expected.detach().numpy() if isinstance(expected, torch.Tensor) else np.asarray(expected)
    assert np.shape(found) == expected.shape, name
    off = np.linalg.norm(np.asarray(found) - expected) / max(np.linalg.norm(expected), 1e-300)
    assert off <= TOLERANCE, f"{name} is off by {off:.1e} of its norm"


def batch(features, lengths=LENGTHS, seed=0):
    return Ragged(np.random.default_rng(seed).standard_normal((sum(lengths), features)), lengths)


def copy_directions(module, kind, n_layers):
    """Give torch's weights under elman's names, layer by layer; its second bias is made zero but for GRU's n."""
    found = []
    for k in range(n_layers):
        arrays = {}
        for way, suffix in (("forward", ""), ("backward", "_reverse")):

            def pick(name, end=f"_l{k}{suffix}"):
                return getattr(module, name + end)

            with torch.no_grad():
                keep = 2 * module.hidden_size if kind == "gru" else None
                pick("bias_hh")[:keep] = 0
            arrays[f"{way}.weight_ih"] = pick("weight_ih").detach().numpy().copy()
            arrays[f"{way}.weight_hh"] = pick("weight_hh").detach().numpy().copy()
            arrays[f"{way}.bias"] = pick("bias_ih").detach().numpy().copy()
            if kind == "gru":
                arrays[f"{way}.bias_hn"] = pick("bias_hh").detach().numpy()[keep:].copy()
        found.append(arrays)
    return found


def grads_of_directions(module, kind, k):
    arrays = {}
    for way, suffix in (("forward", ""), ("backward", "_reverse")):
        for name in ("weight_ih", "weight_hh"):
            arrays[f"{way}.{name}"] = getattr(module, f"{name}_l{k}{suffix}").grad
        arrays[f"{way}.bias"] = getattr(module, f"bias_ih_l{k}{suffix}").grad
        if kind == "gru":
            arrays[f"{way}.bias_hn"] = getattr(module, f"bias_hh_l{k}{suffix}").grad[2 * module.hidden_size :]
    return arrays


def run(stack, x, dy):
    """Run forward and back; give the outputs, the last states, dx and the gradients of every layer."""
    flow, tapes, ends = x, [], []
    for layer in stack:
        flow, last, tape = layer.forward(flow)
        tapes.append(tape)
        ends.append(last)
    out = flow
    flow = out.with_values(dy) if isinstance(out, Ragged) else dy
    grads = [{name: np.zeros_like(array) for name, array in layer.weights.items()} for layer in stack]
    for layer, tape, into in reversed(list(zip(stack, tapes, grads, strict=True))):
        flow, _, _ = layer.backward(flow, tape, into)
    return out, ends, flow, grads


@pytest.mark.parametrize("kind", KINDS)
def test_two_layers_both_ways(kind):
    """Outputs of every step, last states, dx and all gradients of a bidirectional stack of two."""
    ours, theirs = KINDS[kind]
    torch.manual_seed(0)
    module = theirs(4, 6, num_layers=2, bidirectional=True, batch_first=True, dtype=torch.float64)
    stack = [layers.Bidirectional(ours(6, return_sequences=True)) for _ in range(2)]
    for layer, arrays in zip(stack, copy_directions(module, kind, 2), strict=True):
        layer.bind(Weights(arrays))
    x = batch(4)
    dy = np.random.default_rng(1).standard_normal((x.n_steps, 12))
    out, ends, dx, grads = run(stack, x, dy)
    for b, steps in enumerate(x):
        given = torch.tensor(steps[None], requires_grad=True)
        y, state = module(given)
        y.backward(torch.tensor(out.with_values(dy)[b][None]))
        assert_close(out[b], y[0], f"y of {b}")
        assert_close(dx[b], given.grad[0], f"dx of {b}")
        for k in range(2):
            for way in range(2):
                parts = state if isinstance(state, tuple) else (state,)
                for j, part in enumerate(parts):
                    assert_close(ends[k][way * len(parts) + j][b], part[2 * k + way, 0], f"state {k} {way} {j} of {b}")
    for k in range(2):
        for name, grad in grads_of_directions(module, kind, k).items():
            assert_close(grads[k][name], grad, f"d_{name} of layer {k}")


@pytest.mark.parametrize("kind", KINDS)
def test_last_of_both_ways(kind):
    """return_sequences=False gives torch's h_n of both directions."""
    ours, theirs = KINDS[kind]
    torch.manual_seed(1)
    module = theirs(4, 6, bidirectional=True, batch_first=True, dtype=torch.float64)
    layer = layers.Bidirectional(ours(6))
    layer.bind(Weights(copy_directions(module, kind, 1)[0]))
    x = batch(4)
    out, _, _ = layer.forward(x)
    for b, steps in enumerate(x):
        state = module(torch.tensor(steps[None]))[1]
        h = state[0] if isinstance(state, tuple) else state
        assert_close(out[b], h[:, 0].reshape(-1), f"h of {b}")


@pytest.mark.parametrize("epsilon", [1e-5, 1e-2])
def test_layer_norm(epsilon):
    torch.manual_seed(0)
    module = nn.LayerNorm(7, eps=epsilon, dtype=torch.float64)
    with torch.no_grad():
        module.weight.normal_()
        module.bias.normal_()
    layer = layers.LayerNorm(epsilon)
    layer.bind(Weights({name: getattr(module, name).detach().numpy().copy() for name in ("weight", "bias")}))
    x = batch(7)
    x = x.with_values(3 * x.values + 5)
    dy = np.random.default_rng(1).standard_normal(x.values.shape)
    out, _, dx, (grads,) = run([layer], x, dy)
    given = torch.tensor(x.values, requires_grad=True)
    y = module(given)
    y.backward(torch.tensor(dy))
    assert_close(out.values, y, "y")
    assert_close(dx.values, given.grad, "dx")
    assert_close(grads["weight"], module.weight.grad, "d_weight")
    assert_close(grads["bias"], module.bias.grad, "d_bias")


def test_attention():
    """Yang et al. 2016 by hand, sequence after sequence."""
    rng = np.random.default_rng(0)
    layer = layers.AttentionPooling(5)
    layer.bind(Weights({name: rng.standard_normal(shape) for name, shape in layer.param_shapes(4).items()}))
    x = batch(4)
    dy = rng.standard_normal((len(x), 4))
    out, _, dx, (grads,) = run([layer], x, dy)
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in layer.weights.items()}
    for b, steps in enumerate(x):
        h = torch.tensor(steps, requires_grad=True)
        u = torch.tanh(h @ tensors["weight"].T + tensors["bias"])
        y = torch.softmax(u @ tensors["query"], 0) @ h
        y.backward(torch.tensor(dy[b]))
        assert_close(out[b], y, f"y of {b}")
        assert_close(dx[b], h.grad, f"dx of {b}")
    for name, tensor in tensors.items():
        assert_close(grads[name], tensor.grad, f"d_{name}")


@pytest.mark.parametrize("mode", ["last", "mean", "max", "mean_max"])
def test_pooling(mode):
    layer = layers.Pooling(mode)
    layer.bind(Weights({}))
    x = batch(4)
    x = x.with_values(np.round(x.values))  # so that some steps share the greatest value
    dy = np.random.default_rng(1).standard_normal((len(x), layer.output_size(4)))
    out, _, dx, _ = run([layer], x, dy)
    for b, steps in enumerate(x):
        h = torch.tensor(steps, requires_grad=True)
        parts = {"last": [h[-1]], "mean": [h.mean(0)], "max": [h.amax(0)], "mean_max": [h.mean(0), h.amax(0)]}[mode]
        y = torch.cat(parts)
        y.backward(torch.tensor(dy[b]))
        assert_close(out[b], y, f"y of {b}")
        assert_close(dx[b], h.grad, f"dx of {b}")


class Tagger(nn.Module):
    """Two bidirectional layers, the second with a way around it, layer norm, and a class for every step."""

    def __init__(self):
        super().__init__()
        self.first = nn.LSTM(4, 5, bidirectional=True, batch_first=True, dtype=torch.float64)
        self.norm = nn.LayerNorm(10, dtype=torch.float64)
        self.second = nn.LSTM(10, 5, bidirectional=True, batch_first=True, dtype=torch.float64)
        self.dense = nn.Linear(10, 3, dtype=torch.float64)

    def forward(self, x):
        x = self.norm(self.first(x)[0])
        return self.dense(x + self.second(x)[0])[0]


def test_thirty_steps_of_training():
    """From the same weights, batches of all lengths: the losses agree."""
    torch.manual_seed(3)
    peer = Tagger()
    arrays = {}
    for name, module in (("first", peer.first), ("second.layer", peer.second)):
        (found,) = copy_directions(module, "lstm", 1)
        arrays |= {f"{name}.{key}": value for key, value in found.items()}
        for suffix in ("", "_reverse"):
            getattr(module, f"bias_hh_l0{suffix}").requires_grad_(False)
    for name, module in (("norm", peer.norm), ("dense", peer.dense)):
        arrays |= {f"{name}.{key}": value.detach().numpy().copy() for key, value in module.named_parameters()}
    model = elman.Sequential(
        [
            layers.Bidirectional(layers.LSTM(5, return_sequences=True), name="first"),
            layers.LayerNorm(name="norm"),
            layers.Residual(layers.Bidirectional(layers.LSTM(5, return_sequences=True)), name="second"),
            layers.Dense(3, name="dense"),
        ],
        dtype="float64",
    )
    model.build(4)
    model.set_weights(arrays)
    model.compile(elman.training.optimizers.Adam(1e-2), "cross_entropy")
    optimizer = torch.optim.Adam([p for p in peer.parameters() if p.requires_grad], lr=1e-2)
    rng = np.random.default_rng(0)
    first = None
    for step in range(30):
        lengths = rng.integers(1, 9, 6)
        x = [rng.standard_normal((n, 4)) for n in lengths]
        y = [(steps.cumsum(0)[:, 0] > 0) + (steps[::-1].cumsum(0)[::-1, 1] > 0).astype(int) for steps in x]
        logits = torch.cat([peer(torch.tensor(steps[None])) for steps in x])
        expected = nn.functional.cross_entropy(logits, torch.tensor(np.concatenate(y)))
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()
        loss = model.train_on_batch(x, y)
        assert loss == pytest.approx(expected.item(), rel=1e-9), step
        first = loss if first is None else first
    assert loss < first
