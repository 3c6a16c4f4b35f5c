"""One layer on one batch, the same numbers for everybody, and what a peer makes of it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.answers import Answer
from benchmarks.grid import GATES, Point
from benchmarks.timing import Contestant
from elman.ragged import Ragged


class Side(NamedTuple):
    """What a peer does at one point.

    Attributes:
        passes: "forward" and "forward+backward" -> the work; one that the peer cannot do is left out.
        read: what a call returned -> the answer in our form.
    """

    passes: dict[str, Contestant]
    read: Callable[[Any], Answer]


class LeftOutError(Exception):
    """Says why a peer is not measured: it is not installed, or cannot do this."""


class Problem:
    """Input, weights and the gradient that comes from above.

    Everybody computes outputs, and on the way back the gradients of all weights, not of x and not of the initial
    state, which is zero.

    Attributes:
        cell: "rnn", "lstm", "gru" or "bilstm".
        x: values (N, I), the steps there are.
        dy: gradient of the outputs, (N, H), or (N, 2H) in two directions.
        directions: the weights of one direction after the other, by elman's names.
        threads: of everybody.
    """

    def __init__(self, cell: str, point: Point, *, dtype: str, threads: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.cell, self.point, self.dtype, self.threads = cell, point, dtype, threads
        self.kind = "lstm" if cell == "bilstm" else cell
        n_directions = 2 if cell == "bilstm" else 1
        self.lengths = point.lengths()
        n, inputs, hidden = int(self.lengths.sum()), point.input_size, point.hidden
        self.x = Ragged(rng.standard_normal((n, inputs)).astype(dtype), self.lengths)
        self.dy = self.x.with_values(rng.standard_normal((n, n_directions * hidden)).astype(dtype))
        self.directions = [self._draw(rng, inputs, hidden) for _ in range(n_directions)]

    def _draw(self, rng: np.random.Generator, inputs: int, hidden: int) -> dict[str, np.ndarray]:
        """Draw the weights of one direction as torch does, other ones in every gate."""
        rows = GATES[self.cell] * hidden
        shapes = {"weight_ih": (rows, inputs), "weight_hh": (rows, hidden), "bias": (rows,)}
        if self.kind == "gru":
            shapes["bias_hn"] = (hidden,)
        bound = 1 / np.sqrt(hidden)
        return {name: rng.uniform(-bound, bound, shape).astype(self.dtype) for name, shape in shapes.items()}

    def named(self, directions: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Name the arrays of every direction as a layer called "layer" does."""
        prefixes = ("layer.forward.", "layer.backward.") if self.cell == "bilstm" else ("layer.",)
        pairs = zip(prefixes, directions, strict=True)
        return {f"{prefix}{name}": array for prefix, arrays in pairs for name, array in arrays.items()}

    @property
    def padded(self) -> np.ndarray:
        """x (B, T, I), zeros past the end of a sequence."""
        return self.x.to_dense()

    @property
    def padded_dy(self) -> np.ndarray:
        """dy (B, T, H), likewise."""
        return self.dy.to_dense()

    def true_steps(self, y: np.ndarray) -> np.ndarray:
        """Pick from padded outputs (B, T, H) those of the steps there are, (N, H)."""
        return y[np.arange(y.shape[1]) < self.lengths[:, None]]

    def only(self, *cells: str) -> None:
        """Raise unless the cell is among those that a peer can do."""
        if self.cell not in cells:
            raise LeftOutError(f"not set up for {self.cell}")
