"""Recurrent layers: a cell run over sequences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.random import Generator

from elman import cells
from elman.cells.gate_orders import gate_block
from elman.errors import UsageError, say
from elman.layers.base import Array, Flow, Layer, LayerConfig, Size, State
from elman.layers.initial import glorot_uniform, orthogonal
from elman.ops import recurrence
from elman.ops.recurrence import RecurrenceTape
from elman.ragged import Ragged

__all__ = ["GRU", "LSTM", "RNN", "Recurrent", "SimpleRNN"]


class RecurrentConfig(LayerConfig):
    """Options that all recurrent layers have."""

    units: Size
    return_sequences: bool = False
    vocab_size: Size | None = None


class Recurrent(Layer):
    """A layer that runs one of the cells over sequences.

    Token ids may come in directly: they stand for one-hot rows, and the product is a lookup.

    Attributes:
        cell: what is run.
        units: H.
        return_sequences: whether h of every step comes out, or that of the last one.
    """

    needs_sequences = True
    takes_ids = True

    cell: cells.Cell
    units: int
    return_sequences: bool

    def __init__(self, units: int, *, stateful: bool = False, return_state: bool = False, **options: Any) -> None:
        super().__init__(units=units, **options)
        for habit, given in (("stateful", stateful), ("return_state", return_state)):
            if given:
                cure = (
                    "State is given and returned by calls: predict(x, state=state, return_state=True), "
                    "gradients(x, y, state=state)."
                )
                raise UsageError(say(self.title, f"{habit}=True is not an option of layers", cure=cure))

    def param_shapes(self, input_size: int) -> dict[str, tuple[int, ...]]:
        """Give the shapes of weight_ih (G·H, I), weight_hh (G·H, H), bias (G·H,) and the cell's extras."""
        return self.cell.param_shapes(input_size, self.units)

    def init(self, rng: Generator, input_size: int) -> dict[str, Array]:
        """Draw first values: per gate, Glorot uniform for W and orthogonal for R; the forget bias is 1.

        References:
            Saxe, McClelland & Ganguli 2014 (orthogonal); Glorot & Bengio 2010; Jozefowicz, Zaremba &
            Sutskever 2015 (forget bias).
        """
        cell, units = self.cell, self.units
        values = {name: np.zeros(shape) for name, shape in self.param_shapes(input_size).items()}
        for gate in cell.gates:
            gate_block(values["weight_ih"], gate, order=cell.gates)[:] = glorot_uniform(rng, units, input_size)
            gate_block(values["weight_hh"], gate, order=cell.gates)[:] = orthogonal(rng, units)
        if "f" in cell.gates:
            gate_block(values["bias"], "f", order=cell.gates)[:] = 1
        return values

    def kept_per_step(self, input_size: int) -> int:
        """Count y, the cell state, the gates and their gradients, and dx; see `Layer.kept_per_step`."""
        blocks = self.cell.n_gates + sum(self.cell.extras.values())
        return (len(self.cell.states) + 2 * blocks) * self.units + input_size

    def output_size(self, input_size: int) -> int:
        """Give H."""
        return self.units

    def gives_sequences(self, takes_sequences: bool) -> bool:
        """Say whether h of every step comes out."""
        return self.return_sequences

    def forward(
        self, x: Ragged, *, state: State | None = None, rng: Generator | None = None, tape: bool = True
    ) -> tuple[Flow, State, RecurrenceTape | None]:
        """Run the cell over a batch of sequences.

        Args:
            x: values (N, I) or token ids (N,), lengths >= 0.
            state: parts as in `cell.states`, each (B, H); zeros if None.
            rng: not used.
            tape: whether `backward` will follow.

        Returns:
            h of every step, a Ragged with values (N, H), or that of the last step (B, H), the initial
            one where a sequence has no step; the last state, each (B, H); the tape or None.
        """
        y, last, kept = recurrence.forward(self.cell, x, self.weights, state=state, tape=tape)
        return (x.with_values(y) if self.return_sequences else last[0]), last, kept

    def backward(
        self,
        dy: Any,
        tape: RecurrenceTape,
        grads: Mapping[str, Array],
        *,
        dstate: State | None = None,
        want_dx: bool = True,
        keep_dh: bool = False,
    ) -> tuple[Ragged | None, State, Array | None]:
        """Take the recurrence back through time; see `Layer.backward`.

        Args:
            dy: a Ragged with values (N, H), or (B, H) for the last step; None for zeros.
            tape: from `forward`.
            grads: gradients are added into these.
            dstate: gradient with respect to the last state, each (B, H); None for zeros.
            want_dx: whether dx is needed; of token ids there is none.
            keep_dh: whether dh is needed.
        """
        dy_values = None
        if dy is not None:
            if self.return_sequences:
                dy_values = dy.values
            elif dstate is None:  # what came out is the h of the last state
                dstate = (dy, *[np.zeros_like(dy) for _ in self.cell.states[1:]])
            else:
                dstate = (dy + dstate[0], *dstate[1:])
        dx, dstate, dh = recurrence.backward(
            self.cell, dy_values, tape, self.weights, grads, dstate=dstate, want_dx=want_dx, keep_dh=keep_dh
        )
        return (None if dx is None else tape.x.with_values(dx)), dstate, dh


class RNN(Recurrent):
    """The simple recurrent layer of Elman 1990: h' = φ(W x + b + R h).

    Args:
        units: H, 1 to 65536.
        activation: φ, "tanh", "sigmoid" or "relu".
        return_sequences: whether h of every step comes out, or that of the last one.
        vocab_size: how many token ids may come in, if they do; found in the data if None.
        name: key of its weights; the model gives one if None.
        stateful: not an option; the error says what to do.
        return_state: not an option; the error says what to do.

    Raises:
        UsageError: if an option is out of its bounds.

    Example:
        >>> RNN(16, activation="sigmoid", return_sequences=True).param_shapes(input_size=2)
        {'weight_ih': (16, 2), 'weight_hh': (16, 16), 'bias': (16,)}
    """

    class Config(RecurrentConfig, tag="rnn"):
        """Options, with their bounds."""

        activation: Literal["tanh", "sigmoid", "relu"] = "tanh"

    activation: str

    def __init__(
        self,
        units: int,
        *,
        activation: str = "tanh",
        return_sequences: bool = False,
        vocab_size: int | None = None,
        name: str | None = None,
        stateful: bool = False,
        return_state: bool = False,
    ) -> None:
        super().__init__(
            units,
            activation=activation,
            return_sequences=return_sequences,
            vocab_size=vocab_size,
            name=name,
            stateful=stateful,
            return_state=return_state,
        )
        self.cell = cells.RNN(activation=self.activation)


SimpleRNN = RNN


class _Gated(Recurrent):
    """A recurrent layer whose cell has no options."""

    cell_type: ClassVar[type[cells.Cell]]

    def __init__(
        self,
        units: int,
        *,
        return_sequences: bool = False,
        vocab_size: int | None = None,
        name: str | None = None,
        stateful: bool = False,
        return_state: bool = False,
    ) -> None:
        super().__init__(
            units,
            return_sequences=return_sequences,
            vocab_size=vocab_size,
            name=name,
            stateful=stateful,
            return_state=return_state,
        )
        self.cell = self.cell_type()


class LSTM(_Gated):
    """Long short-term memory, Hochreiter & Schmidhuber 1997, with forget gate; see `elman.cells.LSTM`.

    Args:
        units: H, 1 to 65536.
        return_sequences: whether h of every step comes out, or that of the last one.
        vocab_size: how many token ids may come in, if they do; found in the data if None.
        name: key of its weights; the model gives one if None.
        stateful: not an option; the error says what to do.
        return_state: not an option; the error says what to do.

    Raises:
        UsageError: if an option is out of its bounds.

    Example:
        >>> LSTM(128, return_sequences=True).param_shapes(input_size=65)["weight_ih"]
        (512, 65)
    """

    class Config(RecurrentConfig, tag="lstm"):
        """Options, with their bounds."""

    cell_type = cells.LSTM


class GRU(_Gated):
    """Gated recurrent unit, Cho et al. 2014, reset after the product; see `elman.cells.GRU`.

    Args:
        units: H, 1 to 65536.
        return_sequences: whether h of every step comes out, or that of the last one.
        vocab_size: how many token ids may come in, if they do; found in the data if None.
        name: key of its weights; the model gives one if None.
        stateful: not an option; the error says what to do.
        return_state: not an option; the error says what to do.

    Raises:
        UsageError: if an option is out of its bounds.

    Example:
        >>> GRU(8).param_shapes(input_size=3)["bias_hn"]
        (8,)
    """

    class Config(RecurrentConfig, tag="gru"):
        """Options, with their bounds."""

    cell_type = cells.GRU
