"""JAX: jit over a scan, as its users write a recurrent layer; the input product is taken out of the scan."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.answers import Answer
from benchmarks.peers.problem import Problem, Side
from benchmarks.timing import Local
from elman.cells import CELLS

jax.config.update("jax_enable_x64", True)  # arrays keep the dtype they have: float32 stays float32
jax.config.update("jax_platforms", "cpu")


def _step(cell: str, weights: dict[str, Any], state: tuple[Any, ...], ax: Any) -> tuple[tuple[Any, ...], Any]:
    """Take one step of a cell from a = W x + b."""
    h = state[0]
    ah = h @ weights["weight_hh"].T
    if cell == "rnn":
        state = (jnp.tanh(ax + ah),)
    elif cell == "lstm":
        i, f, g, o = jnp.split(ax + ah, 4, axis=-1)
        c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
        state = (jax.nn.sigmoid(o) * jnp.tanh(c), c)
    else:
        (ax_r, ax_z, ax_n), (ah_r, ah_z, ah_n) = jnp.split(ax, 3, axis=-1), jnp.split(ah, 3, axis=-1)
        r, z = jax.nn.sigmoid(ax_r + ah_r), jax.nn.sigmoid(ax_z + ah_z)
        n = jnp.tanh(ax_n + r * (ah_n + weights["bias_hn"]))
        state = ((1 - z) * n + z * h,)
    return state, state[0]


def _zeros(cell: str, batch: int, hidden: int, dtype: Any) -> tuple[Any, ...]:
    return tuple(jnp.zeros((batch, hidden), dtype) for _ in CELLS[cell].states)


def _run(cell: str, weights: dict[str, Any], x: Any) -> Any:
    """Give the outputs (T, B, H) of x (T, B, I)."""
    ax = x @ weights["weight_ih"].T + weights["bias"]
    first = _zeros(cell, x.shape[1], weights["weight_hh"].shape[1], x.dtype)
    return jax.lax.scan(partial(_step, cell, weights), first, ax)[1]


def _back(cell: str, weights: dict[str, Any], x: Any, dy: Any) -> tuple[Any, Any]:
    y, pull = jax.vjp(lambda given: _run(cell, given, x), weights)
    return y, pull(dy)[0]


def layer(problem: Problem) -> Side:
    """Build the layer over a batch, time first; turning x around and compiling are not part of the time."""
    problem.only(*CELLS)
    weights = {name: jnp.asarray(array) for name, array in problem.directions[0].items()}
    x, dy = (jnp.asarray(np.ascontiguousarray(a.swapaxes(0, 1))) for a in (problem.padded, problem.padded_dy))
    forward = jax.jit(partial(_run, problem.cell))
    both = jax.jit(partial(_back, problem.cell))

    def read(result: Any) -> Answer:
        y, grads = result if isinstance(result, tuple) else (result, None)
        rows = problem.true_steps(np.asarray(y).swapaxes(0, 1))
        return Answer(rows, None if grads is None else problem.named([{k: np.asarray(v) for k, v in grads.items()}]))

    return Side(
        {
            "forward": Local(lambda: jax.block_until_ready(forward(weights, x))),
            "forward+backward": Local(lambda: jax.block_until_ready(both(weights, x, dy))),
        },
        read,
    )


class Stream:
    """One step after the other through a compiled step, the state carried.

    Args:
        problem: of which the weights and sizes are taken.
    """

    def __init__(self, problem: Problem) -> None:
        self.weights = {name: jnp.asarray(array) for name, array in problem.directions[0].items()}
        self.state = _zeros(problem.cell, problem.point.batch, problem.point.hidden, problem.dtype)
        self.run = jax.jit(partial(self._step, problem.cell))

    @staticmethod
    def _step(cell: str, weights: dict[str, Any], state: tuple[Any, ...], x: Any) -> tuple[tuple[Any, ...], Any]:
        return _step(cell, weights, state, x @ weights["weight_ih"].T + weights["bias"])

    def step(self, x: np.ndarray) -> np.ndarray:
        """Take x (B, I) in, give h (B, H) out."""
        self.state, y = self.run(self.weights, self.state, x)
        return np.asarray(y)
