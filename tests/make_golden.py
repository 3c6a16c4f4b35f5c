"""Write the golden files: what torch says, in float64, kept so that `make test` needs no torch.

Run by hand when a network below changes (needs torch==2.13.0): `.venv/bin/python tests/make_golden.py`.
"""

from pathlib import Path

import numpy as np
import torch
from torch_net import CharModel, ragged_case, text_ids, train

FOLDER = Path(__file__).parent / "golden"
LENGTHS = (4, 0, 1, 7, 2)


def training(kind: str) -> dict[str, np.ndarray]:
    """Train 50 windows; return weights, ids, first gradients, losses and gradient norms."""
    torch.manual_seed(7)
    model, ids = CharModel(kind), text_ids(seed=7)
    arrays = {f"weights.{key}": value for key, value in model.arrays().items()}
    losses, norms = [], []
    for loss, norm in train(model, ids):
        if not losses:  # the step has not been taken yet; the gradients are the clipped ones
            arrays |= {f"grads.{key}": value for key, value in model.arrays(grad=True).items()}
        losses.append(loss)
        norms.append(norm)
    return arrays | {"ids": ids.astype(np.uint8), "losses": np.array(losses), "norms": np.array(norms)}


def main() -> None:
    """Write every golden file and print its size."""
    FOLDER.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    files = {f"training_{kind}": training(kind) for kind in ("rnn", "lstm", "gru")}
    for seed, kind in enumerate(("rnn", "rnn_relu", "lstm", "gru")):
        files[f"layer_{kind}"] = ragged_case(kind, lengths=LENGTHS, input_size=3, hidden_size=5, seed=seed)
    for name, arrays in files.items():
        path = FOLDER / f"{name}.npz"
        np.savez_compressed(path, **arrays)
        print(f"{path.name:20} {path.stat().st_size:8,} bytes")


if __name__ == "__main__":
    main()
