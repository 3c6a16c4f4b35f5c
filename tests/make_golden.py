"""Write the golden files: what torch says, in float64, kept so that `make test` needs no torch.

Run by hand when a network below changes (needs torch==2.13.0): `.venv/bin/python tests/make_golden.py`.
"""

from pathlib import Path

import numpy as np
import torch
from shapes import CELL_VARIANTS, SHAPES, make_problem
from test_reference_torch import run_torch
from torch_net import CharModel, text_ids, train

FOLDER = Path(__file__).parent / "golden"
#: One of each cell, the simple one with both of torch's activations: all golden files stay below 200 kB. A projection
#: is compared with torch itself, in test_reference_torch.py.
LAYERS = ("rnn-tanh", "rnn-relu", "lstm", "gru")


def training(kind: str, seed: int = 7) -> dict[str, np.ndarray]:
    """Train 50 windows; return weights, ids, first gradients, losses and gradient norms."""
    torch.manual_seed(seed)
    model, ids = CharModel(kind), text_ids(seed)
    arrays = {f"weights.{key}": value for key, value in model.arrays().items()}
    losses, norms = [], []
    for loss, norm in train(model, ids):
        if not losses:  # the step has not been taken yet; the gradients are the clipped ones
            arrays |= {f"grads.{key}": value for key, value in model.arrays(grad=True).items()}
        losses.append(loss)
        norms.append(norm)
    return arrays | {"ids": ids.astype(np.uint8), "losses": np.array(losses), "norms": np.array(norms)}


def layer(variant: str) -> dict[str, np.ndarray]:
    """Run one layer over a ragged batch, forward and back; return what went in and what came out."""
    problem = make_problem(CELL_VARIANTS[variant], SHAPES["ragged"])
    arrays = {"x": problem.x.values, "lengths": problem.x.lengths, "dy": problem.dy}
    arrays |= {f"state{k}": part for k, part in enumerate(problem.state)}
    arrays |= {f"dlast{k}": part for k, part in enumerate(problem.dstate)}
    arrays |= {f"weights.{name}": array for name, array in problem.weights.items()}
    return arrays | {f"torch.{name}": array for name, array in run_torch(problem, variant).items()}


def main() -> None:
    """Write every golden file and print its size."""
    FOLDER.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    files = {f"training_{kind}": training(kind) for kind in ("rnn", "lstm", "gru")}
    files |= {f"layer_{variant}": layer(variant) for variant in LAYERS}
    for name, arrays in files.items():
        path = FOLDER / f"{name}.npz"
        np.savez_compressed(path, **arrays)
        print(f"{path.name:20} {path.stat().st_size:8,} bytes")


if __name__ == "__main__":
    main()
