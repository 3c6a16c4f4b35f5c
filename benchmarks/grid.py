"""The points that are measured, and what one layer costs there in operations and bytes."""

from typing import NamedTuple

import numpy as np

GATES = {"rnn": 1, "lstm": 4, "gru": 3, "bilstm": 4}
CELLS = ("rnn", "lstm", "gru")
PASSES = ("forward", "forward+backward")
LARGEST_GFLOP = 100.0  # forward and backward; beyond it a point takes seconds a call and says nothing new


class Point(NamedTuple):
    """A place of the grid, and why it is there."""

    batch: int
    steps: int
    input_size: int
    hidden: int
    reason: str
    ragged: bool = False

    def lengths(self) -> np.ndarray:
        """Give the steps of every sequence (B,): all of them, or uniform in [T/10, T]."""
        if not self.ragged:
            return np.full(self.batch, self.steps)
        return np.random.default_rng(0).integers(self.steps // 10, self.steps + 1, self.batch)


NAMED = {
    "adder": Point(1, 8, 2, 16, "nothing but overhead"),
    "small": Point(32, 50, 32, 64, "small nets, where most people start"),
    "mnist": Point(50, 28, 28, 100, "images as sequences of rows; widths that fit no register"),
    "char": Point(50, 50, 65, 128, "one layer of the character model"),
    "mid": Point(64, 100, 128, 128, "weights fit the first caches"),
    "large": Point(32, 128, 512, 512, "weights do not"),
}
RAGGED = {
    "ragged": Point(64, 400, 40, 64, "speech: lengths uniform in [T/10, T]", ragged=True),
    "ragged100": Point(32, 100, 64, 128, "sentences: lengths uniform in [T/10, T]", ragged=True),
}
GRID = {
    f"b{batch}-t{steps}-h{hidden}": Point(batch, steps, hidden, hidden, "a place of the even grid")
    for batch in (1, 16, 64)
    for steps in (16, 128, 1000)
    for hidden in (16, 64, 256, 1024)
}
STREAMING = {
    **{f"stream-h{hidden}": Point(1, 1, hidden, hidden, "one step of one stream") for hidden in (64, 256, 512)},
    "streams-1000": Point(1000, 1, 64, 64, "one step of a thousand streams in one batch"),
}
POINTS = {**NAMED, **RAGGED, **GRID, **STREAMING}


class Cost(NamedTuple):
    """What a pass has to do at least.

    Attributes:
        flops: operations of the matrix products; a multiplication and an addition are two.
        once: bytes of all arrays, each read or written once, or once in each direction.
        again: bytes of R that are read once more at every step but the first: step t + 1 cannot begin before step t is
            done, and registers do not hold R.
        held: bytes of R.
    """

    flops: float
    once: float
    again: float
    held: float

    @property
    def bytes(self) -> float:
        """All bytes that move."""
        return self.once + self.again


def cost(cell: str, point: Point, what: str, dtype: str = "float32") -> Cost:
    """Count operations and bytes of one layer's pass.

    Forward: W x and R h. Backward: dW, dR and Rᵀ da; Wᵀ da, the gradient of x, is not asked for, because the first
    layer of a net needs none.

    Args:
        cell: of `GATES`; two directions cost twice as much.
        point: sizes.
        what: of `PASSES`.
        dtype: of all arrays.
    """
    directions = 2 if cell == "bilstm" else 1
    _, _, inputs, hidden, _, _ = point
    lengths = point.lengths()
    n, longest, rows = int(lengths.sum()), int(lengths.max(initial=0)), GATES[cell] * hidden
    flops = 2.0 * rows * n * (inputs + hidden)
    held = rows * hidden
    numbers = n * inputs + rows * (inputs + 1) + held + n * hidden  # x, W, b, R, y
    again = max(longest - 1, 0) * held
    if what == "forward+backward":
        flops += 2.0 * rows * n * (inputs + 2 * hidden)
        kept = n * rows + (n * hidden if GATES[cell] == 4 else 0)
        # The tape is written and read; dy, y and x are read; R again; dW, dR and db are written. da need never leave a
        # cache: the gradients of the weights can be taken a few steps at a time.
        numbers += 2 * kept + n * (2 * hidden + inputs) + held + rows * (inputs + hidden + 1)
        again *= 2
    size = directions * np.dtype(dtype).itemsize
    return Cost(directions * flops, float(size * numbers), float(size * again), float(size * held))


def affordable(cell: str, point: Point) -> bool:
    """Tell whether a point is small enough to be measured."""
    return cost(cell, point, "forward+backward").flops <= LARGEST_GFLOP * 1e9
