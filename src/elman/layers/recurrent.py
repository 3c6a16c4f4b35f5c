"""What all recurrent layers are: a cell run over sequences."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.random import Generator
from numpy.typing import DTypeLike

from elman import cells
from elman.cells.gate_orders import gate_block
from elman.errors import UsageError, say
from elman.layers.base import Array, Flow, Layer, LayerConfig, Size, State
from elman.layers.initial import glorot_uniform, orthogonal
from elman.ops import kernels, recurrence
from elman.ops.kernels import Kernel
from elman.ops.noise import QUIET, Noise, keep_mask, step_coins
from elman.ops.recurrence import RecurrenceTape
from elman.ops.steps import Stepper
from elman.ragged import Ragged

__all__ = ["ActivationName", "Rate", "Recurrent", "RecurrentConfig", "RecurrentTape"]

#: A share that training takes away: [0, 1).
Rate = Annotated[float, msgspec.Meta(ge=0, lt=1)]
ActivationName = Literal["tanh", "sigmoid", "relu", "hard_sigmoid", "identity"]


class RecurrentConfig(LayerConfig):
    """Options that all recurrent layers have."""

    units: Size
    return_sequences: bool = False
    vocab_size: Size | None = None
    initial_state: Literal["zeros", "learned"] = "zeros"
    activation: ActivationName = "tanh"
    layer_norm: bool = False
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    zoneout: Rate = 0.0
    weight_drop: Rate = 0.0


class RecurrentTape(NamedTuple):
    """What the way back needs.

    Attributes:
        recurrence: of the recurrence itself.
        x_mask: (B, I) what the inputs were multiplied by; None for ones.
        learned: whether the initial state was the learned one.
    """

    recurrence: RecurrenceTape
    x_mask: Array | None
    learned: bool

    @property
    def nbytes(self) -> int:
        """Bytes that are kept beyond the input."""
        return self.recurrence.nbytes + (0 if self.x_mask is None else self.recurrence.x.values.nbytes)


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
    initial_state: str
    dropout: float
    recurrent_dropout: float
    zoneout: float
    weight_drop: float

    def __init_subclass__(cls) -> None:
        """Let `help` and editors show the options, which stand in `Config` alone."""
        own = [inspect.Parameter("units", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=int)]
        for field in msgspec.structs.fields(cls.Config):
            if field.name != "units":
                own.append(
                    inspect.Parameter(
                        field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type
                    )
                )
        cls.__signature__ = inspect.Signature(own)  # type: ignore[attr-defined]

    def __init__(self, units: int, *, stateful: bool = False, return_state: bool = False, **options: Any) -> None:
        super().__init__(units=units, **options)
        for habit, given in (("stateful", stateful), ("return_state", return_state)):
            if given:
                cure = (
                    "State is given and returned by calls: fit(..., carry_state=True), "
                    "predict(x, state=state, return_state=True), gradients(x, y, state=state)."
                )
                raise UsageError(say(self.title, f"{habit}=True is not an option of layers", cure=cure))
        self.cell = self._make_cell()
        self._noisy = any((self.dropout, self.recurrent_dropout, self.weight_drop, *self._zones()))

    def _make_cell(self) -> cells.Cell:
        raise NotImplementedError

    def state_sizes(self) -> tuple[int, ...]:
        """Give the width of every part of the state, h first."""
        return self.cell.state_sizes(self.units)

    def param_shapes(self, input_size: int) -> dict[str, tuple[int, ...]]:
        """Give the shapes of weight_ih (G·H, I), weight_hh (G·H, P), bias (G·H,) and the cell's own.

        P is the width of h: H, but for a projection. A learned initial state adds h0 (P,) and c0 (H,).
        """
        shapes = self.cell.param_shapes(input_size, self.units)
        if self.initial_state == "learned":
            shapes |= {name: (size,) for name, size in zip(self._initial, self.state_sizes(), strict=True)}
        return shapes

    @property
    def _initial(self) -> tuple[str, ...]:
        """Names of the parameters that are the learned initial state."""
        return tuple(f"{part}0" for part in self.cell.states)

    def init(self, rng: Generator, input_size: int) -> dict[str, Array]:
        """Draw first values: per gate, Glorot uniform for W and orthogonal for R; the forget bias is 1.

        Gains are 1; peepholes and learned states begin at 0.

        References:
            Saxe, McClelland & Ganguli 2014 (orthogonal); Glorot & Bengio 2010; Jozefowicz, Zaremba &
            Sutskever 2015 (forget bias).
        """
        cell, units = self.cell, self.units
        values = {name: np.zeros(shape) for name, shape in self.param_shapes(input_size).items()}
        width = values["weight_hh"].shape[1]
        for gate in cell.gates:
            gate_block(values["weight_ih"], gate, order=cell.gates)[:] = glorot_uniform(rng, units, input_size)
            gate_block(values["weight_hh"], gate, order=cell.gates)[:] = orthogonal(rng, units)[:, :width]
        if "weight_hr" in values:
            values["weight_hr"][:] = glorot_uniform(rng, width, units)
        if "f" in cell.gates:
            gate_block(values["bias"], "f", order=cell.gates)[:] = 1
        for name, value in values.items():
            if name.startswith("gain_"):
                value[:] = 1
        return values

    def kept_per_step(self, input_size: int) -> int:
        """Count y, the cell state, the tape and its gradients, masks and dx; see `Layer.kept_per_step`.

        The native core holds gradients of the tape for a block of steps only: long segments take less than is counted.
        """
        n_gates, sizes = self.cell.n_gates, self.state_sizes()
        # A second product, and the part of the first that a GRU's reset multiplies, are blocks of their own.
        apart = int(self.cell.operand_is_state or "weight_hr" in self.param_shapes(input_size))
        blocks = 5 * n_gates + 3 if self.cell.bias_after else 2 * (n_gates + apart)
        masks = sum(size for rate, size in zip(self._zones(), sizes, strict=False) if rate)
        masks += input_size if self.dropout else 0
        return sum(sizes) + blocks * self.units + input_size + masks

    def check_ids(self) -> None:
        """Refuse dropout of the inputs, whose one-hot rows are never made; see `Layer.check_ids`."""
        if self.dropout:
            cure = "Put Embedding before it, or Dropout after it"
            raise UsageError(say(self.title, "dropout takes numbers, not token ids", got=repr(self.dropout), cure=cure))

    def runs_on(self, dtype: DTypeLike) -> Kernel:
        """Say which kernel runs the cell; see `Layer.runs_on`."""
        return kernels.of_recurrence(self.cell, dtype)

    def product_weights(self) -> tuple[str, ...]:
        """Name W, R and a projection."""
        names = self.cell.param_shapes(1, self.units)
        return tuple(name for name in ("weight_ih", "weight_hh", "weight_hr") if name in names)

    def output_size(self, input_size: int) -> int:
        """Give the width of h."""
        return self.state_sizes()[0]

    def gives_sequences(self, takes_sequences: bool) -> bool:
        """Say whether h of every step comes out."""
        return self.return_sequences

    def forward(
        self, x: Ragged, *, state: State | None = None, rng: Generator | None = None, tape: bool = True
    ) -> tuple[Flow, State, RecurrentTape | None]:
        """Run the cell over a batch of sequences.

        Args:
            x: values (N, I) or token ids (N,), lengths >= 0.
            state: parts as in `cell.states`, each (B, ·); the layer's own initial state if None.
            rng: draws the masks of training; None is deterministic.
            tape: whether `backward` will follow.

        Returns:
            h of every step, a Ragged with values (N, P), or that of the last step (B, P), the initial
            one where a sequence has no step; the last state; the tape or None.

        Raises:
            UsageError: if token ids come in and their one-hot rows should be dropped from.
        """
        learned = state is None and self.initial_state == "learned"
        if learned:
            state = self.first_state(len(x), self.weights["weight_hh"].dtype)
        x_mask, noise = None, QUIET
        if self._noisy:
            x_mask, noise = self._x_mask(x, rng), self._noise(x, rng)
            if x_mask is not None:
                x = x.with_values(x.values * np.repeat(x_mask, x.lengths, axis=0))
        y, last, kept = recurrence.forward(self.cell, x, self.weights, state=state, tape=tape, noise=noise)
        out = x.with_values(y) if self.return_sequences else last[0]
        return out, last, None if kept is None else RecurrentTape(kept, x_mask, learned)

    def first_state(self, n_sequences: int, dtype: DTypeLike) -> State:
        """Give the state in which sequences begin: zeros, or the learned one."""
        if self.initial_state != "learned":
            return super().first_state(n_sequences, dtype)
        return tuple(np.tile(self.weights[name], (n_sequences, 1)) for name in self._initial)

    def stepper(self, x: Array, *, state: State, **places: Any) -> Stepper:
        """Bind the recurrence; see `Layer.stepper`."""
        bound = recurrence.stepper(self.cell, x, self.weights, state=state, noise=self._means())
        return bound or super().stepper(x, state=state, **places)

    def _x_mask(self, x: Ragged, rng: Generator | None) -> Array | None:
        """Draw what the inputs of every sequence are multiplied by."""
        if rng is None or not self.dropout:
            return None
        if x.features is None:
            self.check_ids()
        return keep_mask(rng, self.dropout, (len(x), x.features or 0), self.weights["weight_hh"].dtype)

    def _noise(self, x: Ragged, rng: Generator | None) -> Noise:
        """Draw what is done at random in training, or give the mean of it."""
        if rng is None:
            return self._means()
        rates = self._zones()
        sizes, dtype = self.state_sizes(), self.weights["weight_hh"].dtype
        drawn: dict[str, Any] = {}
        if self.recurrent_dropout:
            drawn["h_mask"] = keep_mask(rng, self.recurrent_dropout, (len(x), sizes[0]), dtype)
        for name, rate, size in zip(("zone_h", "zone_c"), rates, sizes, strict=False):
            if rate:
                drawn[name] = step_coins(rng, rate, x, size).astype(dtype)
        if self.weight_drop:
            drawn["weight_mask"] = keep_mask(rng, self.weight_drop, self.weights["weight_hh"].shape, dtype)
        return Noise(**drawn) if drawn else QUIET

    def _means(self) -> Noise:
        """Give what the noise of training is on average."""
        rates = self._zones()
        return Noise(zone_h=rates[0], zone_c=rates[1]) if any(rates) else QUIET

    def _zones(self) -> tuple[float, float]:
        """Give the rates of zoneout for h and c."""
        return self.zoneout, float(getattr(self, "zoneout_cell", 0.0))

    def backward(
        self,
        dy: Any,
        tape: RecurrentTape,
        grads: Mapping[str, Array],
        *,
        dstate: State | None = None,
        want_dx: bool = True,
        keep_dh: bool = False,
    ) -> tuple[Ragged | None, State, Array | None]:
        """Take the recurrence back through time; see `Layer.backward`.

        Args:
            dy: a Ragged with values (N, P), or (B, P) for the last step; None for zeros.
            tape: from `forward`.
            grads: gradients are added into these.
            dstate: gradient with respect to the last state; None for zeros.
            want_dx: whether dx is needed; of token ids there is none.
            keep_dh: whether dh is needed.
        """
        dy_values = None
        if dy is not None:
            if self.return_sequences:
                dy_values = dy.values
            elif dstate is None:  # what came out is the h of the last state
                dstate = (dy, *[np.zeros((len(dy), size), dy.dtype) for size in self.state_sizes()[1:]])
            else:
                dstate = (dy + dstate[0], *dstate[1:])
        dx, dstate, dh = recurrence.backward(
            self.cell, dy_values, tape.recurrence, self.weights, grads, dstate=dstate, want_dx=want_dx, keep_dh=keep_dh
        )
        x = tape.recurrence.x
        if dx is not None and tape.x_mask is not None:
            dx *= np.repeat(tape.x_mask, x.lengths, axis=0)
        if tape.learned:
            for name, part in zip(self._initial, dstate, strict=True):
                grads[name][:] += part.sum(0)
        return (None if dx is None else x.with_values(dx)), dstate, dh
