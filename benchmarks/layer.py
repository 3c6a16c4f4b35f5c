"""One recurrent layer, everybody on the same numbers: forward, and forward with backward."""

from collections.abc import Callable

import numpy as np

from benchmarks.answers import Answer, compare
from benchmarks.grid import PASSES, Point
from benchmarks.peers import Problem, Side
from benchmarks.peers import elman_side as ours
from benchmarks.peers.problem import LeftOutError
from benchmarks.peers.roll import Roll
from benchmarks.timing import Contestant
from elman.ragged import Ragged

#: From so many units on products are most of the time, and those in bfloat16 are timed as well.
BFLOAT16_UNITS = 128
#: The reference walks time in Python; beyond so many operations a call would take seconds.
NUMPY_FLOPS = 3e9


class Layer:
    """All sides at one point, their answers compared with torch's (without torch: with the NumPy reference's).

    Attributes:
        contestants: pass -> name -> work.
        left_out: name -> why.
        notes: name -> what has to be known about its figure.
    """

    def __init__(self, cell: str, point: Point, roll: Roll, *, dtype: str, threads: int, flops: float) -> None:
        problem = Problem(cell, point, dtype=dtype, threads=threads)
        self.left_out = dict(roll.absent)
        sides: dict[str, Side] = {"elman": ours.elman(problem)}
        for name, make in _makers(roll, flops).items():
            try:
                sides[name] = make(problem)
            except LeftOutError as reason:
                self.left_out[name] = str(reason)
        self.notes: dict[str, str] = {}
        judge = "torch" if "torch" in sides else "numpy"
        other_answers: set[str] = set()
        if problem.cell == "bilstm" and point.ragged:  # in one direction what is past the end comes last, here first
            judge, other_answers = "torch packed", {"torch"}
            self.notes["torch"] = "computes something else: on padded sequences the way back begins in the padding"
        if problem.cell == "bilstm" and "torch" not in sides:
            raise LeftOutError("two directions are compared with torch alone, which is not here")
        self.contestants: dict[str, dict[str, Contestant]] = {}
        for what in PASSES:
            taking = {name: side for name, side in sides.items() if what in side.passes}
            answers = {name: _answer(side, what) for name, side in taking.items()}
            expected = answers.get(judge) or _answer(ours.numpy_reference(problem), what)
            for name in answers.keys() - other_answers:
                title = f"{cell} {what} {name} beside {judge}"
                compare(title, answers[name], expected, dtype=dtype, steps=int(problem.lengths.max(initial=0)))
            self.contestants[what] = {name: side.passes[what] for name, side in taking.items()}
        if point.ragged:
            self._add_equal(problem)
        elif dtype == "float32" and point.hidden >= BFLOAT16_UNITS:
            side = ours.elman(problem, precision="bfloat16")
            for what in PASSES:
                self.contestants[what]["elman, bfloat16"] = side.passes[what]

    def _add_equal(self, problem: Problem) -> None:
        """Add us on as many steps in sequences of one length: raggedness shall cost nothing."""
        rng, batch = np.random.default_rng(1), problem.point.batch
        n = int(problem.lengths.sum())
        lengths = np.full(batch, n // batch)
        lengths[: n % batch] += 1
        x = Ragged(rng.standard_normal((n, problem.point.input_size)).astype(problem.dtype), lengths)
        side = ours.elman(problem, x=x, dy=x.with_values(problem.dy.values))
        for what in PASSES:
            self.contestants[what]["elman, equal lengths"] = side.passes[what]


def _answer(side: Side, what: str) -> Answer:
    """Run a pass once and read what it gave."""
    answer = side.read(side.passes[what]())
    return answer if what == "forward+backward" else answer._replace(grads=None)


def _makers(roll: Roll, flops: float) -> dict[str, Callable[[Problem], Side]]:
    """Give what builds each peer's side."""
    found: dict[str, Callable[[Problem], Side]] = {}
    if "torch" in roll.present:
        from benchmarks.peers import torch_side

        found |= {"torch": torch_side.padded, "torch packed": torch_side.packed}
    if "onnxruntime" in roll.present:
        from benchmarks.peers import onnx_side

        found["onnxruntime"] = onnx_side.layer
    if "jax" in roll.present:
        from benchmarks.peers import jax_side

        found["jax"] = jax_side.layer
    if "numpy" in roll.present:
        found["numpy"] = ours.numpy_reference if flops <= NUMPY_FLOPS else _too_large
    if (keras := roll.keras) is not None:
        from benchmarks.peers import keras_side

        found["keras"] = lambda problem: keras_side.layer(problem, keras)
    return found


def _too_large(problem: Problem) -> Side:
    raise LeftOutError("the reference would take seconds a call here")
