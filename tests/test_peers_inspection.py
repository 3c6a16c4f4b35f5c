"""The gradient by lag and the terms of the weight gradient beside torch's autograd, float64."""

from __future__ import annotations

import numpy as np
import pytest
import twins
from shapes import CELL_VARIANTS

from elman import Sequential, layers
from elman.inspection import contributions, gradient_by_lag

torch = pytest.importorskip("torch", reason="torch is not installed (make test-peers installs it)")

pytestmark = pytest.mark.peers

#: What was asked for; it comes out near 1e-14.
TOLERANCE = 1e-10
STEPS, UNITS, FEATURES = 12, 6, 3
KINDS = {"rnn": layers.RNN, "lstm": layers.LSTM, "gru": layers.GRU}


def net(variant):
    """Give a two-layer model whose every weight is drawn, and its data."""
    cell = CELL_VARIANTS[variant]
    # Learned, so that no cell state is exactly 0, where relu bends and every library has a slope of its own.
    options = cell.config() | {"initial_state": "learned"}
    if options.get("projection") is not None:
        options["projection"] = 4
    kind = KINDS[cell.name]
    model = Sequential(
        [
            kind(UNITS, return_sequences=True, name="below", **options),
            kind(UNITS, return_sequences=True, name="above", **options),
            layers.Dense(2, name="dense"),
        ],
        dtype="float64",
    )
    model.compile("sgd", "mse")
    model.build(FEATURES, rng=0)
    rng = np.random.default_rng(7)
    model.set_weights({n: w + 0.2 * rng.standard_normal(w.shape) for n, w in model.named_weights().items()})
    x, y = rng.standard_normal((2, STEPS, FEATURES)), rng.standard_normal((2, STEPS, 2))
    return model, x, y


def run(model, x):
    """Run the twins of both layers over one sequence; every state at every step is a number of its own."""
    weights = {name: torch.from_numpy(w).requires_grad_() for name, w in model.named_weights().items()}
    below, above = (model.layers[k].cell for k in range(2))
    states = [[weights[f"{name}.{part}0"] for part in below.states] for name in ("below", "above")]
    marks, outputs = [], []
    for value in torch.from_numpy(x):
        came = value
        marked = []
        for k, (name, cell) in enumerate((("below", below), ("above", above))):
            own = {key.removeprefix(f"{name}."): w for key, w in weights.items() if key.startswith(f"{name}.")}
            new = twins.STEPS[cell.name](torch, SimpleOptions(cell.config()), own, came, states[k], 1.0)
            # Added zeros: the gradient of each is that of its part of the state, the other parts held as they are.
            zeros = [torch.zeros_like(part, requires_grad=True) for part in new]
            states[k] = [part + zero for part, zero in zip(new, zeros, strict=True)]
            marked.append(zeros)
            came = states[k][0]
        marks.append(marked)
        outputs.append(weights["dense.weight"] @ came + weights["dense.bias"])
    return outputs, marks, weights


class SimpleOptions:
    """Options of a cell by attribute, as the twins read them."""

    def __init__(self, options):
        self.__dict__.update(options)


@pytest.mark.parametrize("variant", CELL_VARIANTS)
def test_the_gradient_by_lag_is_autograds(variant):
    model, x, y = net(variant)
    found = gradient_by_lag(model, x, y, positions=64)
    for p, (b, t) in enumerate(zip(found.places.sequence, found.places.step, strict=True)):
        outputs, marks, _ = run(model, x[b])
        loss = ((outputs[t] - torch.from_numpy(y[b, t])) ** 2).mean()
        loss.backward()
        for k, name in enumerate(("below", "above")):
            curve = found.curves[name]
            for lag in range(STEPS):
                got = {part: norms[p, lag] for part, norms in curve.norms.items()}
                if lag > t:
                    assert all(np.isnan(value) for value in got.values())
                    continue
                grads = [np.zeros(1) if m.grad is None else m.grad.numpy() for m in marks[t - lag][k]]
                norms = [float(np.linalg.norm(grad)) for grad in grads]
                expected = {"state": float(np.linalg.norm(norms))}
                if len(norms) == 2:
                    expected |= {"h": norms[0], "c": norms[1]}
                scale = max(float(np.nanmax(curve.norms["state"][p])), 1e-300)
                for part, norm in expected.items():
                    assert abs(got[part] - norm) <= TOLERANCE * scale, (name, part, lag)


@pytest.mark.parametrize("variant", CELL_VARIANTS)
def test_the_terms_add_up_to_autograds_gradient(variant):
    model, x, y = net(variant)
    at = STEPS - 2
    found = contributions(model, x[:1], y[:1], at=at)
    assert found.residual <= TOLERANCE
    outputs, _, weights = run(model, x[0])
    ((outputs[at] - torch.from_numpy(y[0, at])) ** 2).mean().backward()
    for name in found.norms:
        # The share of a term is its component along the whole gradient, so the shares of all make 1 of it.
        assert np.nansum(found.shares[name]) == pytest.approx(1, abs=TOLERANCE)
        norm = np.linalg.norm(weights[name].grad.numpy())
        assert np.nansum(found.norms[name]) >= norm * (1 - TOLERANCE)
