"""Keras on TensorFlow, in a process of its own, asked over a pipe."""

import subprocess
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, Self

import numpy as np

from benchmarks.answers import Answer
from benchmarks.peers.problem import LeftOutError, Problem, Side
from elman.cells import CELLS
from elman.cells.gate_orders import ORDERS, reorder

WORKER = Path(__file__).resolve().parent.parent / "keras_worker.py"
VENV_PYTHON = WORKER.parent / ".venv-keras" / "bin" / "python"


class Keras:
    """The worker, from the first request to `close`.

    Args:
        python: of an environment with Keras.
        threads: of TensorFlow.

    Attributes:
        versions: of keras and tensorflow.
    """

    def __init__(self, python: Path, threads: int) -> None:
        if not python.exists():
            raise LeftOutError("no environment with Keras (make bench makes one, --keras names another)")
        self.pipe, other_end = Pipe()
        command = [str(python), str(WORKER), str(other_end.fileno()), str(threads)]
        self.process = subprocess.Popen(  # TensorFlow greets on stderr; what goes wrong comes over the pipe
            command, pass_fds=[other_end.fileno()], stderr=subprocess.DEVNULL
        )
        other_end.close()  # so that a worker that ends is noticed
        try:
            self.versions: dict[str, str] = self._receive()
        except EOFError:
            raise LeftOutError("its environment has no working Keras") from None

    def ask(self, what: str, **options: Any) -> Any:
        """Send a request and wait for the answer."""
        self.pipe.send((what, options))
        return self._receive()

    def _receive(self) -> Any:
        done, answer = self.pipe.recv()
        if not done:
            raise RuntimeError(f"the Keras worker says:\n{answer}")
        return answer

    def close(self) -> None:
        """End the worker: it goes when the pipe does."""
        self.pipe.close()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Remote:
    """Work that the worker does and times.

    Args:
        keras: the worker, which has built it.
        name: of the work there.
    """

    def __init__(self, keras: Keras, name: str) -> None:
        self.keras, self.name = keras, name

    def __call__(self) -> Any:
        return self.keras.ask("call", name=self.name)

    def seconds(self, calls: int) -> float:
        """Let the worker time so many calls."""
        return self.keras.ask("seconds", name=self.name, calls=calls)


def keras_weights(cell: str, weights: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Give weights as Keras has them: (inputs, outputs), its gate order, and two biases for GRU."""
    ours, theirs = ORDERS[cell]["elman"], ORDERS[cell]["keras"]
    bias = weights["bias"]
    if cell == "gru":
        recurrent = np.zeros_like(bias)
        recurrent[-len(weights["bias_hn"]) :] = weights["bias_hn"]
        bias = np.stack([reorder(bias, ours, theirs), reorder(recurrent, ours, theirs)])
    else:
        bias = reorder(bias, ours, theirs)
    return [*(reorder(weights[name], ours, theirs).T for name in ("weight_ih", "weight_hh")), bias]


def from_keras(cell: str, arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Give the gradients of Keras's weights by elman's names."""
    ours, theirs = ORDERS[cell]["elman"], ORDERS[cell]["keras"]
    named = {
        name: reorder(array.T, theirs, ours) for name, array in zip(("weight_ih", "weight_hh"), arrays, strict=False)
    }
    if cell != "gru":
        return named | {"bias": reorder(arrays[2], theirs, ours)}
    recurrent = reorder(arrays[2][1], theirs, ours)
    return named | {"bias": reorder(arrays[2][0], theirs, ours), "bias_hn": recurrent[-len(recurrent) // 3 :]}


def layer(problem: Problem, keras: Keras) -> Side:
    """Let the worker build the layer over a batch, padded where lengths differ."""
    problem.only(*CELLS)
    keras.ask(
        "build_layer",
        cell=problem.cell,
        units=problem.point.hidden,
        dtype=problem.dtype,
        weights=keras_weights(problem.cell, problem.directions[0]),
        x=problem.padded,
        dy=problem.padded_dy,
    )

    def read(result: Any) -> Answer:
        y, grads = result if isinstance(result, tuple) else (result, None)
        return Answer(
            problem.true_steps(y), None if grads is None else problem.named([from_keras(problem.cell, grads)])
        )

    return Side({what: Remote(keras, what) for what in ("forward", "forward+backward")}, read)
