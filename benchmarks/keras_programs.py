"""The tutorials' programs, per training step: elman, torch and Keras side by side.

Run as `python -m benchmarks.keras_programs --keras PYTHON [--programs mnist_rows] [--threads 2] [--rounds 11]`; PYTHON
is that of an environment with Keras: `python -m venv keras && keras/bin/pip install tensorflow-cpu keras`.

All train by whole calls: `fit` in elman and Keras, a plain loop over slices in torch, which is faster than its
DataLoader. elman and torch share this process, Keras has its own and is asked over a pipe, which costs microseconds a
call; the three take turns. Before timing, the same weights must give the same loss. All run as their defaults have it.
"""

import argparse
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from torch import nn

import elman
from benchmarks import report
from benchmarks.recurrence import TOLERANCE
from benchmarks.timing import Timing, alternate
from benchmarks.torch_models import MODULES, one_bias
from elman import layers

LAYERS = {"rnn": layers.RNN, "lstm": layers.LSTM}
WORKER = Path(__file__).with_name("keras_worker.py")


@dataclass(frozen=True)
class Program:
    """What is trained on what; the numbers are random, as the time does not depend on them."""

    shape: tuple[int, int, int]
    cell: str
    units: int
    outputs: int
    loss: str
    batch_size: int
    epochs: int  # per call
    recurrent_dropout: float = 0.0

    @property
    def steps(self) -> int:
        """Training steps of a call."""
        return self.epochs * -(-self.shape[0] // self.batch_size)

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Draw x, and y as numbers (B, outputs) or classes (B,)."""
        rng = np.random.default_rng(0)
        x = rng.random(self.shape, dtype=np.float32)
        if self.loss == "cross_entropy":
            return x, rng.integers(0, self.outputs, len(x))
        return x, rng.random((len(x), self.outputs), dtype=np.float32)


PROGRAMS = {
    "keras_style": Program((100, 10, 3), "rnn", 5, 1, "mse", 10, 10),
    "mnist_rows": Program((3000, 28, 28), "lstm", 100, 10, "cross_entropy", 50, 1),
    "mnist_dropout": Program((3000, 28, 28), "lstm", 100, 10, "cross_entropy", 50, 1, 0.2),
}


class TorchProgram(nn.Module):
    """What one would write in torch."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.body = MODULES[program.cell](program.shape[2], program.units, batch_first=True)
        self.head = nn.Linear(program.units, program.outputs)
        self.loss = nn.functional.cross_entropy if program.loss == "cross_entropy" else nn.functional.mse_loss
        self.optimizer = torch.optim.Adam(self.parameters())

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the loss of a batch."""
        return self.loss(self.head(self.body(x)[0][:, -1]), y)

    def fit(self, x: torch.Tensor, y: torch.Tensor, *, epochs: int, batch_size: int) -> None:
        """Train on shuffled batches."""
        for _ in range(epochs):
            for rows in torch.randperm(len(x)).split(batch_size):
                self.optimizer.zero_grad()
                self(x[rows], y[rows]).backward()
                self.optimizer.step()


def ask(worker: Connection, request: object) -> object:
    """Send a request and wait for the answer."""
    worker.send(request)
    return worker.recv()


def prepare(program: Program, worker: Connection | None) -> dict[str, Callable[[], object]]:
    """Build all sides with the weights of torch, compare their losses, and return one call's work of each."""
    torch.manual_seed(0)
    x, y = program.data()
    theirs = TorchProgram(program)
    weights = {f"{program.cell}.{name}": array for name, array in one_bias(theirs.body, 0).items()}
    weights |= {f"dense.{name}": p.detach().numpy().copy() for name, p in theirs.head.named_parameters()}

    options = {"recurrent_dropout": program.recurrent_dropout} if program.recurrent_dropout else {}
    model = elman.Sequential([LAYERS[program.cell](program.units, **options), layers.Dense(program.outputs)])
    model.compile("adam", program.loss)
    model.build(program.shape[2], ids=False)
    model.set_weights(weights)

    batch, tensors = slice(program.batch_size), (torch.from_numpy(x), torch.from_numpy(y))
    losses = {"elman": model.evaluate(x[batch], y[batch]), "torch": theirs(*(part[batch] for part in tensors)).item()}
    how = {"epochs": program.epochs, "batch_size": program.batch_size}
    contestants: dict[str, Callable[[], object]] = {"elman": lambda: model.fit(x, y, verbose=0, **how)}
    if not program.recurrent_dropout:  # which torch does not have
        contestants["torch"] = lambda: theirs.fit(*tensors, **how)
    if worker is not None:
        transposed = [array.T for array in weights.values()]  # Keras has (inputs, outputs), and the same gate order
        losses["keras"] = ask(worker, asdict(program) | {"x": x, "y": y, "weights": transposed})
        contestants["keras"] = lambda: ask(worker, program.epochs)
    for who, loss in losses.items():
        if not abs(loss - losses["elman"]) <= TOLERANCE * losses["elman"]:
            raise AssertionError(f"the same weights, other losses: {who} {loss}, elman {losses['elman']}")
    return contestants


def compare(names: list[str], worker: Connection | None, rounds: int) -> list[dict[str, object]]:
    """Time all programs; print a table and return its rows."""
    grid = report.table(
        "per training step: forward, loss, backward, Adam, and a step's share of fit, ms; how many times elman's",
        "point", "elman", "torch", "ratio", "keras", "ratio",
    )  # fmt: skip
    rows: list[dict[str, object]] = []
    for name in names:
        program = PROGRAMS[name]
        calls = alternate(prepare(program, worker), rounds=rounds)
        timings = {who: Timing(tuple(t / program.steps for t in timing.rounds)) for who, timing in calls.items()}
        ours, cells = timings["elman"], [name, report.milliseconds(timings["elman"])]
        for who in ("torch", "keras"):
            other = timings.get(who)
            cells += [report.milliseconds(other), f"{other.over(ours):.1f}x" if other else ""]
        grid.add_row(*cells)
        rows += [
            {"program": name, "who": who, **timing.as_dict(), "over_elman": round(timing.over(ours), 3)}
            for who, timing in timings.items()
        ]
    report.console.print(grid)
    return rows


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keras", help="the Python of an environment that has Keras; without it torch alone is timed")
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=list(PROGRAMS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--name", default="keras_programs", help="results/NAME.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    elman.set_threads(options.threads)
    report.console.print(report.machine())
    if options.keras is None:
        report.save(options.name, compare(options.programs, None, options.rounds))
        return
    worker, other_end = Pipe()
    command = [options.keras, WORKER, str(other_end.fileno()), str(options.threads)]
    # The pipe is closed before the worker is waited for: that ends it, whatever has happened here.
    with subprocess.Popen(command, pass_fds=[other_end.fileno()]), worker:
        other_end.close()  # so that a worker that ends is noticed
        versions = worker.recv()
        report.console.print(versions)
        rows = compare(options.programs, worker, options.rounds)
    report.save(options.name, [versions, *rows])


if __name__ == "__main__":
    main()
