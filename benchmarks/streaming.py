"""One step at a time, the state carried: what a live service does."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np

import elman
from benchmarks.answers import TOLERANCES, check
from benchmarks.grid import Point
from benchmarks.peers import Problem
from benchmarks.peers.elman_side import LAYERS
from benchmarks.peers.roll import Roll
from benchmarks.timing import Contestant, Local
from elman.cells import CELLS
from elman.ops import reference
from elman.ragged import Ragged

CHECKED_STEPS = 4
#: Weights in fewer bytes, beside the same model; what rounding may do to an output, whose largest is about 1.
ROUNDED = {"int8": 0.05, "bfloat16": 0.05}


class Stream(Protocol):
    """Something that goes on from where it was."""

    def step(self, x: np.ndarray) -> np.ndarray:
        """Take x (B, I) in, give y (B, H) out."""


def elman_stream(problem: Problem, storage: str | None = None) -> Stream:
    """Give our door to streaming.

    Args:
        problem: of which the weights and sizes are taken.
        storage: of the weights, such as "int8"; None for the problem's type.
    """
    layer = LAYERS[problem.cell](problem.point.hidden)
    layer.name = "layer"
    model = elman.Sequential([layer], dtype=problem.dtype)
    model.build(problem.point.input_size)
    model.set_weights(problem.named(problem.directions))
    return (model if storage is None else model.quantize(storage)).stream(problem.point.batch)


class NumpyStream:
    """The reference, one step at a time.

    Args:
        problem: of which the weights and sizes are taken.
    """

    def __init__(self, problem: Problem) -> None:
        self.cell, self.weights, self.state = CELLS[problem.cell](), problem.directions[0], None
        self.lengths = np.ones(problem.point.batch, np.int64)

    def step(self, x: np.ndarray) -> np.ndarray:
        """Take x (B, I) in, give h (B, H) out."""
        batch = Ragged(x, self.lengths)
        y, self.state, _ = reference.forward(self.cell, batch, self.weights, state=self.state, tape=False)
        return y


def streams(roll: Roll, dtype: str) -> tuple[dict[str, Callable[[Problem], Stream]], dict[str, str]]:
    """Give what opens a stream of everybody, and why others are left out."""
    found: dict[str, Callable[[Problem], Stream]] = {"elman": elman_stream}
    if dtype == "float32":
        found |= {f"elman, {storage}": partial(elman_stream, storage=storage) for storage in ROUNDED}
    left_out = dict(roll.absent)
    if "torch" in roll.present:
        from benchmarks.peers import torch_side

        found["torch"] = torch_side.Stream
    if "onnxruntime" in roll.present and dtype == "float32":
        from benchmarks.peers import onnx_side

        found["onnxruntime"] = onnx_side.Stream
    elif "onnxruntime" in roll.present:
        left_out["onnxruntime"] = "its recurrent operators take float32 only"
    if "jax" in roll.present:
        from benchmarks.peers import jax_side

        found["jax"] = jax_side.Stream
    if "numpy" in roll.present:
        found["numpy"] = NumpyStream
    if roll.keras is not None:
        left_out["keras"] = "a call of its functions alone takes more than a step of everybody else"
    return found, left_out


def contestants(
    cell: str, point: Point, roll: Roll, *, dtype: str, threads: int
) -> tuple[dict[str, Contestant], dict[str, str]]:
    """Open a stream of everybody, compare first steps with the reference's, and return one step's work of each."""
    problem = Problem(cell, point, dtype=dtype, threads=threads)
    makers, left_out = streams(roll, dtype)
    rng, judge = np.random.default_rng(2), NumpyStream(problem)
    inputs = [rng.standard_normal((point.batch, point.input_size)).astype(dtype) for _ in range(CHECKED_STEPS)]
    expected = [judge.step(x).copy() for x in inputs]
    found: dict[str, Contestant] = {}
    for name, make in makers.items():
        stream = make(problem)
        tolerance = ROUNDED.get(name.removeprefix("elman, "), TOLERANCES[dtype])
        for number, (x, y) in enumerate(zip(inputs, expected, strict=True), start=1):
            check(f"{cell} stream, step {number}, {name} beside numpy", stream.step(x), y, tolerance)
        found[name] = Local(_one_step(stream, inputs[0]))
    return found, left_out


def _one_step(stream: Stream, x: np.ndarray) -> Callable[[], object]:
    return lambda: stream.step(x)
