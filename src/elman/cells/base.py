"""What every cell declares, and the few array functions its equations are written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.errors import UsageError, say

__all__ = [
    "ACTIVATIONS",
    "EPSILON",
    "Activation",
    "Cell",
    "NumpyNamespace",
    "State",
    "check_activation",
    "normalise",
    "normalise_backward",
    "numpy_namespace",
]

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
        return np.where(a.real <= 0, a.dtype.type(0), a)  # NaN stays

    @staticmethod
    def hard_sigmoid(a: Array) -> Array:
        """The sigmoid of straight lines: a / 6 + 1/2, cut at 0 and 1."""
        line = a / 6 + 0.5
        return np.where(a.real <= -3, line.dtype.type(0), np.where(a.real >= 3, line.dtype.type(1), line))

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
    "hard_sigmoid": Activation(lambda xp, a: xp.hard_sigmoid(a), lambda y: ((y > 0) & (y < 1)) * y.dtype.type(1 / 6)),
    "identity": Activation(lambda xp, a: a, lambda y: y * 0 + 1),
}

#: Added to the variance before its root, as in torch: 1e-5.
EPSILON = 1e-5


def check_activation(where: str, option: str, name: str) -> None:
    """Refuse what is no name of `ACTIVATIONS`.

    Args:
        where: who speaks in the message.
        option: what the activation is given as.
        name: to be checked.

    Raises:
        UsageError: naming those there are.
    """
    if name not in ACTIVATIONS:
        expected = f"one of {', '.join(ACTIVATIONS)}"
        raise UsageError(say(where, f"unknown {option}", expected=expected, got=repr(name)))


def normalise(xp: Any, a: Array) -> tuple[Array, Array]:
    """Bring every row to mean 0 and variance 1; Ba, Kiros & Hinton 2016.

    Args:
        xp: the array functions to use.
        a: (B, K).

    Returns:
        The rows (B, K), and what they were multiplied by (B, 1), which `normalise_backward` needs.
    """
    centred = a - xp.mean(a)
    scale = 1 / xp.sqrt(xp.mean(centred * centred) + EPSILON)
    return centred * scale, scale


def normalise_backward(xp: Any, d_normal: Array, normal: Array, scale: Array) -> Array:
    """Take `normalise` back.

    Args:
        xp: the array functions to use.
        d_normal: gradient with respect to the normalised rows (B, K).
        normal: the normalised rows (B, K).
        scale: (B, 1).

    Returns:
        The gradient with respect to the rows before (B, K).
    """
    return scale * (d_normal - xp.mean(d_normal) - normal * xp.mean(d_normal * normal))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Cell:
    """A recurrent cell: what it is called, what it keeps, its equations and their derivative.

    A cell is pointwise. The driver computes the products ax = W x + b and ah = R h, calls `step`,
    and on the way back turns the d_ax and d_ah of `step_backward` into gradients of W, b, R, x and h.
    They stay apart because a GRU multiplies one of the two by a gate before it adds them.

    Some cells need a second product that can only begin when the first has gone through the gates. Then
    `step` gives an operand instead of a state, the driver multiplies it by `weight_of_operand`, and
    `finish` completes the step; on the way back `finish_backward` comes first.

    Attributes:
        name: key in `CELLS` and in files.
        gates: names of the blocks of W, R and b, in order.
        states: names of the state's parts, h first.
        extras: parameters beside W, R and b that `step` reads from `p`: name -> blocks of H.
        bias_after: whether the cell adds b itself, from `p`, because something comes before it.
        operand_is_state: whether the operand stands in the place of h, so that recurrent dropout masks it too.
        tape_gates: names of the gates that the tape of a step begins with, in its order; a tape that is a NamedTuple
            names its arrays itself.
    """

    name: ClassVar[str]
    states: ClassVar[tuple[str, ...]]
    gates: ClassVar[tuple[str, ...]]
    extras: ClassVar[Mapping[str, int]] = {}
    bias_after: ClassVar[bool] = False
    operand_is_state: ClassVar[bool] = False
    tape_gates: ClassVar[tuple[str, ...]] = ()

    @property
    def kernel(self) -> str:
        """The name of the native kernel that computes the same, if there is one."""
        return self.name

    @property
    def n_gates(self) -> int:
        """G, the number of blocks in W, R and b."""
        return len(self.gates)

    def config(self) -> dict[str, Any]:
        """Give the options by name, such that `type(cell)(**cell.config()) == cell`."""
        return asdict(self)

    def state_sizes(self, hidden_size: int) -> tuple[int, ...]:
        """Give the width of each part of the state.

        Args:
            hidden_size: H.
        """
        return (hidden_size,) * len(self.states)

    def param_shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Give the shape of every parameter.

        Args:
            input_size: I, features of the input, or the number of token ids.
            hidden_size: H.
        """
        rows = self.n_gates * hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, input_size),
            "weight_hh": (rows, self.state_sizes(hidden_size)[0]),
            "bias": (rows,),
        }
        for name, blocks in self.extras.items():
            shapes[name] = (blocks * hidden_size,)
        return shapes

    def weight_of_h(self, p: Mapping[str, Array]) -> Array:
        """Give what multiplies h, a view of the weights or of their gradients: all of R for most cells.

        Args:
            p: the layer's weights, or their gradients.
        """
        return p["weight_hh"]

    def weight_of_operand(self, p: Mapping[str, Array]) -> Array | None:
        """Give what multiplies the operand, a view; None for cells of one product.

        Args:
            p: the layer's weights, or their gradients.
        """
        return None

    def step(self, xp: Any, ax: Array, ah: Array, state: State, p: Mapping[str, Array]) -> tuple[Any, tuple[Any, ...]]:
        """Make one step, or the part of it that comes before the second product.

        Args:
            xp: the array functions to use.
            ax: W x + b, (B, G·H); without b where `bias_after`.
            ah: `weight_of_h` times h.
            state: parts as named by `states`, each (B, ·).
            p: the layer's weights; only those in `extras`, and b where `bias_after`, are read.

        Returns:
            The new state, and what `step_backward` needs: a tuple of (B, ·) arrays. Where there is a second
            product: the operand (B, ·), and what `finish` needs.
        """
        raise NotImplementedError

    def finish(
        self, xp: Any, product: Array, kept: tuple[Any, ...], p: Mapping[str, Array]
    ) -> tuple[State, tuple[Any, ...]]:
        """Complete a step after the second product.

        Args:
            xp: the array functions to use.
            product: `weight_of_operand` times the operand.
            kept: from `step`.
            p: the layer's weights.

        Returns:
            The new state, and what the way back needs: a tuple of (B, ·) arrays.
        """
        raise NotImplementedError

    def finish_backward(
        self, xp: Any, d_state: State, tape: tuple[Any, ...], p: Mapping[str, Array]
    ) -> tuple[Array, tuple[Any, ...]]:
        """Take the part of a step back that came after the second product.

        Args:
            xp: the array functions to use.
            d_state: gradient of the loss with respect to the new state, each (B, ·).
            tape: from `finish`.
            p: the layer's weights.

        Returns:
            The gradient with respect to the product, and what `step_backward` goes on with.
        """
        raise NotImplementedError

    def step_backward(
        self, xp: Any, d_state: tuple[Any, ...], tape: tuple[Any, ...], p: Mapping[str, Array]
    ) -> tuple[Array, Array, tuple[Array | None, ...], dict[str, Array]]:
        """Take one step back, or the part of it that came before the second product.

        Args:
            xp: the array functions to use.
            d_state: gradient of the loss with respect to the new state, each (B, ·). Where there is a second
                product: the gradient with respect to the operand, then what `finish_backward` gave.
            tape: from `step` or `finish`.
            p: the layer's weights.

        Returns:
            d_ax and d_ah, shaped as ax and ah; the gradient with respect to the old state along every way
            but the products (None where there is no such way); the gradients of the `extras`, and of b where
            `bias_after`, summed over rows.
        """
        raise NotImplementedError
