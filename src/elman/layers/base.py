"""What a layer is, how its options are checked, and how it is written down."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

import msgspec
import numpy as np
from msgspec.structs import fields
from numpy.random import Generator
from numpy.typing import DTypeLike, NDArray

from elman.errors import NotFittedError, say
from elman.layers.options import LayerConfig, Size, check_options
from elman.ops import kernels
from elman.ops.kernels import Kernel
from elman.ops.steps import Stepper
from elman.ops.weights import Weights
from elman.ops.workspace import activate, current, empty_aligned
from elman.ragged import Ragged

__all__ = ["Array", "Flow", "Layer", "LayerConfig", "Size", "State"]

Array = NDArray[Any]
Flow = Ragged | Array  #: what runs between layers: sequences, or one row per sequence (B, F)
State = tuple[Array, ...]


class _Unbound(Weights):
    """The weights of a layer that has none yet: says so when one is asked for."""

    __slots__ = ("layer",)

    def __missing__(self, key: str) -> Array:
        cure = "Build the model first: fit it, or call model.build(input_size=...)."
        raise NotFittedError(say(self.layer.title, f"has no {key} yet", cure=cure))

    layer: Layer


class Layer:
    """Parameters with a way forward and a way back.

    A layer keeps nothing between the two: what the way back needs is the tape, where gradients go
    is given. So one layer may stand twice in a model, and two threads may run it.

    Attributes:
        name: key of its weights in a model and in files; the model gives one if None.
        weights: arrays by name, views into the model's one buffer once bound.
        built: whether weights are bound.
    """

    Config: ClassVar[type[LayerConfig]]
    causal: bool = True  #: whether step t depends on steps up to t only
    needs_sequences: bool = False  #: whether (B, F) rows are refused as input
    needs_rows: bool = False  #: whether sequences are refused as input
    passes_values: bool = False  #: whether numbers come out as they came in: chosen, weighed, averaged or repeated
    takes_ids: bool = False  #: whether token ids may come in
    needs_ids: bool = False  #: whether nothing but token ids may come in

    vocab_size: int | None = None  #: how many token ids it knows by its options
    makes_steps: int | None = None  #: how many steps it makes of one row, if it does
    name: str | None
    weights: Weights
    built: bool

    def __init__(self, **options: Any) -> None:
        """Check the options against `Config` and keep them as attributes."""
        checked = check_options(self.Config, options)
        for field in checked.__struct_fields__:
            setattr(self, field, getattr(checked, field))
        self._unbind()

    @classmethod
    def type_name(cls) -> str:
        """Give the name of this kind of layer in files, such as "lstm"."""
        return str(cls.Config.__struct_config__.tag)

    @property
    def title(self) -> str:
        """How messages call the layer, such as "LSTM 'encoder'"."""
        return type(self).__name__ + (f" '{self.name}'" if self.name else "")

    @property
    def kind(self) -> str:
        """What the layer is in a word, such as "LSTM" or "Bidirectional(LSTM)"."""
        return type(self).__name__

    def config(self) -> dict[str, Any]:
        """Give type, name and options as plain values, from which `from_config` makes the layer again."""
        fields = self.Config.__struct_fields__
        return {"type": self.type_name(), **{field: getattr(self, field) for field in fields}}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a layer from what `config` gave; anything else in it is refused.

        Args:
            config: options by name, with "type" or without.

        Raises:
            UsageError: if an option is unknown, missing or out of its bounds.
        """
        return cls(**msgspec.structs.asdict(check_options(cls.Config, config)))

    def state_sizes(self) -> tuple[int, ...]:
        """Give the width of every part of the state, such as (H, H) for an LSTM; () without state."""
        return ()

    def check_input(self, input_size: int, *, sequences: bool) -> None:
        """Refuse input that fits the layer's kind but not its options; see `check_stack`.

        Args:
            input_size: features that come in, or the number of token ids.
            sequences: whether sequences come in, rather than one row per sequence.

        Raises:
            UsageError: naming what does not fit and what to change.
        """

    def check_ids(self) -> None:
        """Refuse to be trained on token ids where they do not go with the layer's options.

        Raises:
            UsageError: naming the option.
        """

    def kept_per_step(self, input_size: int) -> int:
        """Count the numbers that training holds for every step that comes in, tape and gradients.

        Args:
            input_size: features that come in.
        """
        return 2 * self.output_size(input_size)

    def runs_on(self, dtype: DTypeLike) -> Kernel:
        """Say which code runs the layer; see `Sequential.explain`.

        Args:
            dtype: of the model.
        """
        return kernels.ARITHMETIC

    def param_shapes(self, input_size: int) -> dict[str, tuple[int, ...]]:
        """Give the shape of every parameter by name.

        Args:
            input_size: features that come in, or the number of token ids.
        """
        raise NotImplementedError

    def borrowed(self, input_size: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Name the parameters that are those of another layer of the model: name -> (layer, shape).

        They are among `weights` and `grads` like its own, under the same name; their gradients are summed.

        Args:
            input_size: features that come in.
        """
        return {}

    def product_weights(self) -> tuple[str, ...]:
        """Name the matrices that rows are multiplied with or taken from: what `quantize` stores in fewer bytes."""
        return ()

    def init(self, rng: Generator, input_size: int) -> dict[str, Array]:
        """Draw first values for every parameter, float64.

        Args:
            rng: where randomness comes from.
            input_size: features that come in, or the number of token ids.
        """
        raise NotImplementedError

    def bind(self, weights: Weights) -> None:
        """Use these arrays from now on, without a copy.

        Args:
            weights: one array per parameter, shaped as `param_shapes` says.
        """
        self.weights = weights
        self.built = True

    def unbound(self) -> Self:
        """Give a copy without weights; layers that it holds are copied likewise."""
        twin, made = copy.copy(self), dict[int, Layer]()
        for name, value in vars(self).items():
            if isinstance(value, Layer):
                if id(value) not in made:
                    made[id(value)] = value.unbound()
                setattr(twin, name, made[id(value)])
        twin._unbind()
        return twin

    def _unbind(self) -> None:
        """Be without weights."""
        self.built = False
        unbound = _Unbound({})
        unbound.layer = self
        self.weights = unbound

    def output_size(self, input_size: int) -> int:
        """Give the number of features that come out.

        Args:
            input_size: features that come in, or the number of token ids.
        """
        raise NotImplementedError

    def gives_sequences(self, takes_sequences: bool) -> bool:
        """Say whether sequences come out, rather than one row per sequence.

        Args:
            takes_sequences: whether sequences come in.
        """
        return takes_sequences

    def forward(
        self, x: Any, *, state: State | None = None, rng: Generator | None = None, tape: bool = True
    ) -> tuple[Any, State, Any]:
        """Run the layer over a batch.

        Args:
            x: a Ragged of values (N, I) or token ids (N,), or an array (B, I).
            state: where the layer begins, each part (B, H); zeros if None. Layers without state ignore it.
            rng: given while training, None otherwise.
            tape: whether `backward` will follow.

        Returns:
            The output, a Ragged or an array (B, O); the last state, () for layers without; the tape or None.
        """
        raise NotImplementedError

    def backward(
        self,
        dy: Any,
        tape: Any,
        grads: Mapping[str, Array],
        *,
        dstate: State | None = None,
        want_dx: bool = True,
        keep_dh: bool = False,
    ) -> tuple[Any, State, Array | None]:
        """Take the layer back.

        Args:
            dy: gradient with respect to the output, in the output's form.
            tape: from `forward`.
            grads: gradients of the parameters are added into these.
            dstate: gradient with respect to the last state; None for zeros.
            want_dx: whether dx is needed.
            keep_dh: whether dh is needed.

        Returns:
            dx in the form of x, or None; the gradient with respect to the first state; dh (N, H), the
            whole gradient that reaches the hidden state at every step, or None.
        """
        raise NotImplementedError

    def first_state(self, n_sequences: int, dtype: DTypeLike) -> State:
        """Give the state in which sequences begin, each part (B, ·).

        Args:
            n_sequences: B.
            dtype: of the model.
        """
        return tuple(np.zeros((n_sequences, size), dtype) for size in self.state_sizes())

    def stepper(self, x: Array, *, state: State, input_size: int, sequences: bool, dtype: DTypeLike) -> Stepper:
        """Bind the layer to places in memory, for streams that go on step by step without noise.

        This is `forward` on sequences of one step; layers that have a quicker way to the same bits say so.

        Args:
            x: where the input of every step lies, (n, F) or token ids (n,).
            state: where the state lies, each part (2, n, ·): two sides, used in turn.
            input_size: features that come in, or the number of token ids.
            sequences: whether sequences come in, rather than one row for each.
            dtype: of the model.
        """
        out = empty_aligned((len(x), self.output_size(input_size)), dtype)
        flow: Flow = Ragged.trusted(x, np.ones(len(x), np.int64)) if sequences else x
        workspace = current()

        def advance(_: int, side: int) -> None:
            with activate(workspace):
                workspace.begin()
                begin = tuple(part[side] for part in state)
                y, last, _ = self.forward(flow, state=begin if begin else None, tape=False)
                out[...] = y.values if isinstance(y, Ragged) else y
                for part, after in zip(state, last, strict=True):
                    part[1 - side] = after

        return Stepper(out, advance)

    def __repr__(self) -> str:
        options = ((field.name, getattr(self, field.name), field.default) for field in fields(self.Config))
        shown = ", ".join(f"{name}={value!r}" for name, value, default in options if value != default)
        return f"{type(self).__name__}({shown})"


class Ends(NamedTuple):
    """What comes out of a stack of layers."""

    size: int
    sequences: bool
