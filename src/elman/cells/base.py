"""What every cell declares, and the few array functions its equations are written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["ACTIVATIONS", "Activation", "Cell", "NumpyNamespace", "State", "numpy_namespace"]

Array = NDArray[Any]
State = tuple[Array, ...]


class NumpyNamespace:
    """The array functions of `xp` by NumPy: float32, float64 and complex128.

    On complex128 each is the analytic continuation of the real function next to the real axis,
    which is what a gradient check by complex step needs: no absolute value, no conjugate, and
    branches decided by the real part.
    """

    @staticmethod
    def tanh(a: Array) -> Array:
        """Hyperbolic tangent."""
        out: Array = np.tanh(a)
        return out

    @staticmethod
    def sigmoid(a: Array) -> Array:
        """1 / (1 + exp(−a)), without overflow and with full relative precision far below zero."""
        positive = a.real >= 0
        e = np.exp(np.where(positive, -a, a))  # |e| <= 1
        out: Array = np.where(positive, 1, e) / (1 + e)
        return out

    @staticmethod
    def relu(a: Array) -> Array:
        """The positive part of a."""
        return np.where(a.real > 0, a, a.dtype.type(0))

    @staticmethod
    def split(a: Array, n_blocks: int) -> list[Array]:
        """Cut (B, n·H) into n views (B, H)."""
        width = a.shape[-1] // n_blocks
        return [a[..., k * width : (k + 1) * width] for k in range(n_blocks)]

    @staticmethod
    def concat(blocks: list[Array]) -> Array:
        """Join blocks (B, H) to (B, n·H)."""
        return np.concatenate(blocks, axis=-1)

    @staticmethod
    def mean(a: Array) -> Array:
        """Mean over the last axis, which stays with length 1."""
        out: Array = a.mean(axis=-1, keepdims=True)
        return out

    @staticmethod
    def sqrt(a: Array) -> Array:
        """Square root."""
        out: Array = np.sqrt(a)
        return out


numpy_namespace = NumpyNamespace()


class Activation(NamedTuple):
    """A pointwise function and its derivative as a function of its value.

    Attributes:
        value: (xp, a) -> y.
        slope: y -> dy/da.
    """

    value: Callable[[Any, Any], Any]
    slope: Callable[[Any], Any]


ACTIVATIONS: dict[str, Activation] = {
    "tanh": Activation(lambda xp, a: xp.tanh(a), lambda y: 1 - y * y),
    "sigmoid": Activation(lambda xp, a: xp.sigmoid(a), lambda y: y * (1 - y)),
    "relu": Activation(lambda xp, a: xp.relu(a), lambda y: y > 0),
}


@dataclass(frozen=True)
class Cell:
    """A recurrent cell: what it is called, what it keeps, its equations and their derivative.

    A cell is pointwise. The driver computes the products ax = W x + b and ah = R h, calls `step`,
    and on the way back turns the d_ax and d_ah of `step_backward` into gradients of W, b, R, x and h.
    They stay apart because a GRU multiplies one of the two by a gate before it adds them.

    Attributes:
        name: key in `CELLS`, in files and in kernels.
        gates: names of the blocks of W, R and b, in order.
        states: names of the state's parts, h first.
        extras: parameters beside W, R and b that `step` reads from `p`: name -> blocks of H.
    """

    name: ClassVar[str]
    gates: ClassVar[tuple[str, ...]]
    states: ClassVar[tuple[str, ...]]
    extras: ClassVar[Mapping[str, int]] = {}

    @property
    def n_gates(self) -> int:
        """G, the number of blocks in W, R and b."""
        return len(self.gates)

    def config(self) -> dict[str, Any]:
        """Give the options by name, such that `type(cell)(**cell.config()) == cell`."""
        return asdict(self)

    def param_shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Give the shape of every parameter.

        Args:
            input_size: I, features of the input, or the number of token ids.
            hidden_size: H.
        """
        rows = self.n_gates * hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, input_size),
            "weight_hh": (rows, hidden_size),
            "bias": (rows,),
        }
        for name, blocks in self.extras.items():
            shapes[name] = (blocks * hidden_size,)
        return shapes

    def step(
        self, xp: Any, ax: Array, ah: Array, state: State, p: Mapping[str, Array]
    ) -> tuple[State, tuple[Array, ...]]:
        """Make one step.

        Args:
            xp: the array functions to use.
            ax: W x + b, (B, G·H).
            ah: R h, (B, G·H).
            state: parts as named by `states`, each (B, H).
            p: the layer's weights; only those in `extras` are read.

        Returns:
            The new state, and what `step_backward` needs: a tuple of (B, ·) arrays.
        """
        raise NotImplementedError

    def step_backward(
        self, xp: Any, d_state: State, tape: tuple[Array, ...], p: Mapping[str, Array]
    ) -> tuple[Array, Array, tuple[Array | None, ...], dict[str, Array]]:
        """Take one step back.

        Args:
            xp: the array functions to use.
            d_state: gradient of the loss with respect to the new state, each (B, H).
            tape: from `step`.
            p: the layer's weights.

        Returns:
            d_ax and d_ah, (B, G·H) each; the gradient with respect to the old state along every way
            but ah (None where there is no such way); the gradients of the `extras`, summed over rows.
        """
        raise NotImplementedError
