"""elman: one layer as a model runs it, its arrays in one workspace; and the NumPy reference."""

from collections.abc import Callable

import numpy as np

from benchmarks.answers import Answer
from benchmarks.peers.problem import Problem, Side
from benchmarks.timing import Local
from elman import layers
from elman.cells import CELLS
from elman.ops import reference
from elman.ops.workspace import Workspace, activate
from elman.ragged import Ragged
from elman.training.parameters import Parameters

LAYERS: dict[str, Callable[..., layers.Layer]] = {
    "rnn": layers.RNN,
    "lstm": layers.LSTM,
    "gru": layers.GRU,
    "bilstm": lambda *args, **options: layers.Bidirectional(layers.LSTM(*args, **options)),
}


def elman(problem: Problem, *, x: Ragged | None = None, dy: Ragged | None = None, precision: str | None = None) -> Side:
    """Build our side.

    On the way back the weights count as changed since the last call, as they are in training: packing them again is
    part of the time.

    Args:
        problem: weights and sizes.
        x: other input than the problem's.
        dy: other gradient of the outputs.
        precision: of the products, as a model takes it; None for the problem's type.
    """
    x, dy = problem.x if x is None else x, problem.dy if dy is None else dy
    layer = LAYERS[problem.cell](problem.point.hidden, return_sequences=True)
    layer.name = "layer"
    size = problem.point.input_size
    parameters = Parameters.build([layer], size, dtype=problem.dtype, rng=None, precision=precision)
    parameters.set(problem.named(problem.directions))
    grads, workspace = parameters.grads_of(layer), Workspace()

    def forward() -> np.ndarray:
        workspace.begin()
        with activate(workspace):
            return layer.forward(x, tape=False)[0].values

    def both() -> np.ndarray:
        parameters.clock.ticks += 1
        parameters.grads.fill(0)
        workspace.begin()
        with activate(workspace):
            y, _, tape = layer.forward(x, tape=True)
            layer.backward(dy, tape, grads, want_dx=False)
        return y.values

    def read(y: np.ndarray) -> Answer:
        return Answer(y.copy(), {name: gradient.copy() for name, gradient in parameters.named_grads().items()})

    return Side({"forward": Local(forward), "forward+backward": Local(both)}, read)


def numpy_reference(problem: Problem) -> Side:
    """Build the definition's side: the cell's own lines over NumPy."""
    problem.only(*CELLS)
    cell, (weights,) = CELLS[problem.cell](), problem.directions
    grads = {name: np.zeros_like(array) for name, array in weights.items()}

    def forward() -> np.ndarray:
        return reference.forward(cell, problem.x, weights, state=None, tape=False)[0]

    def both() -> np.ndarray:
        for gradient in grads.values():
            gradient.fill(0)
        y, _, tape = reference.forward(cell, problem.x, weights, state=None, tape=True)
        reference.backward(cell, problem.dy.values, tape, weights, grads, dstate=None, want_dx=False, keep_dh=False)
        return y

    def read(y: np.ndarray) -> Answer:
        return Answer(y, problem.named([{name: gradient.copy() for name, gradient in grads.items()}]))

    return Side({"forward": Local(forward), "forward+backward": Local(both)}, read)
