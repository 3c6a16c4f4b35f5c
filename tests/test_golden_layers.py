"""One recurrent layer over a ragged batch against torch's numbers, empty sequences included."""

from pathlib import Path

import numpy as np
import pytest
from shapes import CELL_VARIANTS

from elman.ops import recurrence, reference
from elman.ops.weights import Weights
from elman.ragged import Ragged

GOLDEN = sorted((Path(__file__).parent / "golden").glob("layer_*.npz"))

# A few dozen float64 operations per number, in another order than torch's.
TOLERANCE = 1e-12


@pytest.mark.mutants
@pytest.mark.parametrize("runner", [reference, recurrence], ids=["reference", "chosen"])
@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_outputs_and_gradients_agree_with_torch(path, runner):
    golden = dict(np.load(path))
    cell = CELL_VARIANTS[path.stem.removeprefix("layer_")]
    weights = Weights({k.removeprefix("weights."): v for k, v in golden.items() if k.startswith("weights.")})
    grads = {name: np.zeros_like(value) for name, value in weights.items()}
    parts = range(len(cell.states))
    state, dlast = (tuple(golden[f"{name}{k}"] for k in parts) for name in ("state", "dlast"))
    x = Ragged(golden["x"], golden["lengths"])

    y, last, tape = runner.forward(cell, x, weights, state=state, tape=True)
    dx, dstate, _ = runner.backward(cell, golden["dy"], tape, weights, grads, dstate=dlast, want_dx=True, keep_dh=False)

    found = {"y": y, "dx": dx, **grads}
    for k in parts:
        found |= {f"last {k}": last[k], f"dstate {k}": dstate[k]}
    expected = {k.removeprefix("torch."): v for k, v in golden.items() if k.startswith("torch.")}
    assert set(found) == set(expected)
    for name, value in expected.items():
        off = np.linalg.norm(found[name] - value) / np.linalg.norm(value)
        assert off <= TOLERANCE, f"{name} is off by {off:.1e} of its norm"


def test_the_golden_files_are_there():
    assert [path.stem for path in GOLDEN] == ["layer_gru", "layer_lstm", "layer_rnn-relu", "layer_rnn-tanh"]
    assert sum(path.stat().st_size for path in GOLDEN[0].parent.iterdir()) <= 200_000
