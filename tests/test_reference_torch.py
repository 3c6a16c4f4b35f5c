"""The definition against torch's autograd, float64: outputs, last state and every gradient."""

from __future__ import annotations

import numpy as np
import pytest
from shapes import CELL_VARIANTS, SHAPES, make_problem

from elman.ops import recurrence, reference

torch = pytest.importorskip("torch", reason="torch is not installed (make test-peers installs it)")

pytestmark = pytest.mark.peers

#: float64 rounding, relative to the norm of what is compared.
TOLERANCE = 1e-12

MODULES = {
    "rnn-tanh": lambda i, h, p: torch.nn.RNN(i, h, nonlinearity="tanh", batch_first=True),
    "rnn-relu": lambda i, h, p: torch.nn.RNN(i, h, nonlinearity="relu", batch_first=True),
    "lstm": lambda i, h, p: torch.nn.LSTM(i, h, batch_first=True),
    "lstm-projection": lambda i, h, p: torch.nn.LSTM(i, h, batch_first=True, proj_size=p if p < h else 0),
    "gru": lambda i, h, p: torch.nn.GRU(i, h, batch_first=True),
}


def assert_close(got, expected, name):
    norm = max(float(np.linalg.norm(expected)), 1e-300)
    error = float(np.linalg.norm(np.asarray(got) - expected)) / norm
    assert error <= TOLERANCE, f"{name}: {error:.1e} of the norm"


def hidden_size_of(problem):
    return len(problem.weights["bias"]) // problem.cell.n_gates


def torch_module(problem, variant):
    """Give torch's layer with the same weights: bias_hh is zero, but for GRU's new gate."""
    input_size, hidden_size = problem.weights["weight_ih"].shape[1], hidden_size_of(problem)
    module = MODULES[variant](input_size, hidden_size, problem.weights["weight_hh"].shape[1]).double()
    bias_hh = np.zeros_like(problem.weights["bias"])
    if "bias_hn" in problem.weights:
        bias_hh[2 * hidden_size :] = problem.weights["bias_hn"]
    with torch.no_grad():
        for name, array in (
            ("weight_ih_l0", problem.weights["weight_ih"]),
            ("weight_hh_l0", problem.weights["weight_hh"]),
            ("bias_ih_l0", problem.weights["bias"]),
            ("bias_hh_l0", bias_hh),
            *((("weight_hr_l0", problem.weights["weight_hr"]),) if "weight_hr" in problem.weights else ()),
        ):
            getattr(module, name).copy_(torch.from_numpy(array))
    return module


def run_torch(problem, variant):
    """Run every sequence alone, as torch has no ragged batch; one backward over all."""
    module = torch_module(problem, variant)
    x = torch.from_numpy(problem.x.values.copy()).requires_grad_()
    state = [torch.from_numpy(part.copy()).requires_grad_() for part in problem.state]
    outputs, ends = [], []
    for b, length in enumerate(problem.x.lengths):
        begin = [part[b : b + 1][None] for part in state]
        if length == 0:
            ends.append([part[0] for part in begin])
            continue
        rows = x[int(problem.x.offsets[b]) : int(problem.x.offsets[b + 1])]
        y, end = module(rows[None], tuple(begin) if len(begin) > 1 else begin[0])
        outputs.append(y[0])
        ends.append([part[0] for part in (end if isinstance(end, tuple) else (end,))])
    y = torch.cat(outputs)
    y.retain_grad()
    last = [torch.cat(parts) for parts in zip(*ends, strict=True)]
    loss = (y * torch.from_numpy(problem.dy)).sum()
    loss = loss + sum((part * torch.from_numpy(d)).sum() for part, d in zip(last, problem.dstate, strict=True))
    loss.backward()
    answers = {
        "y": y,
        "dx": x.grad,
        "weight_ih": module.weight_ih_l0.grad,
        "weight_hh": module.weight_hh_l0.grad,
        "bias": module.bias_ih_l0.grad,
        **{f"last {k}": part for k, part in enumerate(last)},
        **{f"dstate {k}": part.grad for k, part in enumerate(state)},
    }
    if "bias_hn" in problem.weights:
        answers["bias_hn"] = module.bias_hh_l0.grad[2 * hidden_size_of(problem) :]
    if "weight_hr" in problem.weights:
        answers["weight_hr"] = module.weight_hr_l0.grad
    return {name: value.detach().numpy() for name, value in answers.items()}


@pytest.mark.parametrize("runner", [reference, recurrence], ids=["reference", "chosen"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("variant", MODULES)
def test_torch_agrees(variant, shape, runner):
    problem = make_problem(CELL_VARIANTS[variant], SHAPES[shape])
    expected = run_torch(problem, variant)
    grads = {name: np.zeros_like(array) for name, array in problem.weights.items()}
    y, last, tape = runner.forward(problem.cell, problem.x, problem.weights, state=problem.state, tape=True)
    dx, dstate, _ = runner.backward(
        problem.cell, problem.dy, tape, problem.weights, grads, dstate=problem.dstate, want_dx=True, keep_dh=False
    )
    got = {
        "y": y,
        "dx": dx,
        **grads,
        **{f"last {k}": part for k, part in enumerate(last)},
        **{f"dstate {k}": part for k, part in enumerate(dstate)},
    }
    assert set(got) == set(expected)
    for name, array in expected.items():
        assert_close(got[name], array, name)


def test_every_cell_that_torch_has_is_compared():
    """What torch's modules cannot do is compared in test_peers_options.py."""
    plain = {"activation": ("tanh", "relu"), "reset_after": (True,), "recurrent_activation": ("sigmoid",)}
    for variant, cell in CELL_VARIANTS.items():
        options = cell.config()
        options.pop("projection", None)
        can = cell.name in ("rnn", "lstm", "gru")
        for option, value in options.items():
            can = can and value in plain.get(option, (False,))
        assert can == (variant in MODULES), variant
