"""One recurrent layer over a ragged batch against torch's numbers, an empty sequence included."""

from pathlib import Path

import numpy as np
import pytest

from elman.cells import GRU, LSTM, RNN
from elman.ops import recurrence, reference
from elman.ops.weights import Weights
from elman.ragged import Ragged

GOLDEN = Path(__file__).parent / "golden"
CELLS = {"rnn": RNN(), "rnn_relu": RNN("relu"), "lstm": LSTM(), "gru": GRU()}
RUNNERS = {"reference": reference, "chosen": recurrence}

# A few dozen float64 operations per number, in another order than torch's.
TOLERANCE = 1e-12


@pytest.mark.mutants
@pytest.mark.parametrize("runner", RUNNERS.values(), ids=RUNNERS.keys())
@pytest.mark.parametrize("kind", CELLS)
def test_outputs_and_gradients_agree_with_torch(kind, runner):
    golden = dict(np.load(GOLDEN / f"layer_{kind}.npz"))
    compare_layer(CELLS[kind], golden, runner)


def compare_layer(cell, golden, runner, *, dtype=np.float64, tolerance=TOLERANCE):
    """Run `runner` on the case and compare everything that comes out with what torch says."""
    given = {key: value if value.dtype.kind == "i" else value.astype(dtype) for key, value in golden.items()}
    weights = Weights({k.removeprefix("weights."): v for k, v in given.items() if k.startswith("weights.")})
    grads = {name: np.zeros_like(value) for name, value in weights.items()}
    state = tuple(given[f"{name}0"] for name in cell.states)
    dstate = tuple(given[f"d_{name}_last"] for name in cell.states)
    x = Ragged(given["x"], given["lengths"])

    y, last, tape = runner.forward(cell, x, weights, state=state, tape=True)
    dx, dstate0, _ = runner.backward(
        cell, given["dy"], tape, weights, grads, dstate=dstate, want_dx=True, keep_dh=False
    )

    found = {"y": y, "dx": dx} | {f"grads.{name}": value for name, value in grads.items()}
    for k, name in enumerate(cell.states):
        found |= {f"{name}_last": last[k], f"d_{name}0": dstate0[k]}
    for name, value in found.items():
        off = np.linalg.norm(value - golden[name]) / np.linalg.norm(golden[name])
        assert off <= tolerance, f"{name} is off by {off:.1e} of its norm"
