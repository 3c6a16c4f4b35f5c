"""By how much resident memory grows in training: every side in a process of its own.

The process runs `python -m benchmarks.memory WHO CELL POINT THREADS` and prints the bytes. Libraries are loaded, data
is made and a small other model is trained before; what counts is everything from building the model to the end of its
third training step, at its highest.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.grid import NAMED, Point
from benchmarks.peers.problem import LeftOutError

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
OUTPUTS = 10
STEPS = 3
SMALL = Point(2, 3, 4, 8, "whatever is loaded at the first step is loaded by it")


def status(field: str) -> int:
    """Read a field of this process's status, in bytes."""
    row = next(row for row in STATUS.read_text().splitlines() if row.startswith(field))
    return int(row.split()[1]) * 1024


def data(point: Point) -> tuple[np.ndarray, np.ndarray]:
    """Draw x (B, T, I) and one target per step (B, T, K)."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((point.batch, point.steps, point.input_size), dtype=np.float32)
    return x, rng.standard_normal((point.batch, point.steps, OUTPUTS), dtype=np.float32)


def train_elman(cell: str, point: Point, x: np.ndarray, y: np.ndarray) -> object:
    """Build a model and train it; give what keeps it alive."""
    import elman
    from benchmarks.peers.elman_side import LAYERS

    model = elman.Sequential([LAYERS[cell](point.hidden, return_sequences=True), elman.layers.Dense(OUTPUTS)])
    model.compile("adam", "mse")
    for _ in range(STEPS):
        model.train_on_batch(x, y)
    return model


def train_torch(cell: str, point: Point, x: np.ndarray, y: np.ndarray) -> object:
    """Build a model and train it; give what keeps it alive."""
    import torch

    from benchmarks.torch_models import MODULES

    body, head = MODULES[cell](point.input_size, point.hidden, batch_first=True), torch.nn.Linear(point.hidden, OUTPUTS)
    optimizer = torch.optim.Adam([*body.parameters(), *head.parameters()], fused=True)
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(STEPS):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(head(body(inputs)[0]), targets).backward()
        optimizer.step()
    return body, head, optimizer


SIDES: dict[str, Callable[[str, Point, np.ndarray, np.ndarray], object]] = {"elman": train_elman, "torch": train_torch}


def growth(who: str, cell: str, point: Point) -> int:
    """Measure in this process; return bytes."""
    train = SIDES[who]
    train(cell, SMALL, *data(SMALL))
    x, y = data(point)
    CLEAR.write_text("5")  # the highest mark begins anew
    before = status("VmRSS")
    kept = train(cell, point, x, y)
    highest = status("VmHWM")
    del kept
    return highest - before


def measure(who: str, cell: str, name: str, *, threads: int) -> int:
    """Measure in a process of its own; return bytes.

    Args:
        who: of `SIDES`.
        cell: "rnn", "lstm" or "gru".
        name: of a point in `NAMED`.
        threads: of the side.
    """
    if not CLEAR.exists():
        raise LeftOutError("resident memory is read from /proc, which is not here")
    command = [sys.executable, "-m", "benchmarks.memory", who, cell, name, str(threads)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main(who: str, cell: str, name: str, threads: str) -> None:
    """Measure and print."""
    if who == "torch":
        import torch

        torch.set_num_threads(int(threads))
    else:
        import elman

        elman.set_threads(int(threads))
    print(growth(who, cell, NAMED[name]))


if __name__ == "__main__":
    main(*sys.argv[1:])
