"""Layers that hold other layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import msgspec
from numpy.random import Generator
from numpy.typing import DTypeLike

from elman.errors import UsageError, say
from elman.layers.base import Array, Layer, LayerConfig, State
from elman.layers.options import check_options
from elman.layers.registry import from_config
from elman.ops import kernels
from elman.ops.kernels import Kernel
from elman.ops.weights import Weights

__all__ = ["Wrapper", "WrapperConfig", "part_of_grads"]

# Nobody nests deeper by hand; a forged file that does would end Python's stack.
_MAX_DEPTH = 16


class WrapperConfig(LayerConfig):
    """Options that all layers that hold a layer have.

    Attributes:
        layer: config of the layer that is held.
    """

    layer: dict[str, Any]


class Wrapper(Layer):
    """A layer that holds others, its parts; each part's parameters are named "<part>.<parameter>".

    A part is a copy of the layer that was given, as in Keras: so one layer object can be wrapped
    any number of times, and none is bound twice.

    Attributes:
        layer: the layer that is held.
    """

    layer: Layer

    def __init__(self, layer: Layer, **options: Any) -> None:
        layer = copy_of(layer, type(self).__name__)
        super().__init__(layer=layer.config(), **options)
        self.layer = layer

    @property
    def parts(self) -> dict[str, Layer]:
        """The layers that are held, by the first part of the names of their parameters."""
        return {"layer": self.layer}

    @property
    def kind(self) -> str:
        """What the layer is, such as "Residual(LSTM)"."""
        return f"{type(self).__name__}({self.layer.kind})"

    def config(self) -> dict[str, Any]:
        """Give type, name and options as plain values; layers that are held are nested."""
        return {name: value.config() if isinstance(value, Layer) else value for name, value in super().config().items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a layer from what `config` gave; see `Layer.from_config`."""
        options = msgspec.structs.asdict(check_options(cls.Config, config))
        for name, value in options.items():
            if isinstance(value, dict):
                _check_depth(value)
                options[name] = from_config(value)
        return cls(**options)

    def check_ids(self) -> None:
        """Refuse what a part refuses; see `Layer.check_ids`."""
        for layer in self.parts.values():
            layer.check_ids()

    def runs_on(self, dtype: DTypeLike) -> Kernel:
        """Say that the parts do the work."""
        return kernels.HOLDS

    def param_shapes(self, input_size: int) -> dict[str, tuple[int, ...]]:
        """Give the shapes of all parts' parameters, by "<part>.<parameter>"."""
        return {
            f"{part}.{name}": shape
            for part, layer in self.parts.items()
            for name, shape in layer.param_shapes(input_size).items()
        }

    def init(self, rng: Generator, input_size: int) -> dict[str, Array]:
        """Draw first values, part after part."""
        return {
            f"{part}.{name}": values
            for part, layer in self.parts.items()
            for name, values in layer.init(rng, input_size).items()
        }

    def bind(self, weights: Weights) -> None:
        """Give every part its weights; they keep the clock."""
        super().bind(weights)
        for part, layer in self.parts.items():
            layer.bind(Weights(part_of_grads(weights, part), weights.clock, weights.precision))

    def product_weights(self) -> tuple[str, ...]:
        """Name those of all parts."""
        return tuple(f"{part}.{name}" for part, layer in self.parts.items() for name in layer.product_weights())

    def state_sizes(self) -> tuple[int, ...]:
        """Give the width of every part of the state, part after part."""
        return tuple(size for layer in self.parts.values() for size in layer.state_sizes())

    def first_state(self, n_sequences: int, dtype: DTypeLike) -> State:
        """Give the state in which sequences begin, part after part."""
        return tuple(array for layer in self.parts.values() for array in layer.first_state(n_sequences, dtype))

    def kept_per_step(self, input_size: int) -> int:
        """Count what all parts hold; see `Layer.kept_per_step`."""
        return sum(layer.kept_per_step(input_size) for layer in self.parts.values())

    def output_size(self, input_size: int) -> int:
        """Give the features that come out of the layer that is held."""
        return self.layer.output_size(input_size)

    def gives_sequences(self, takes_sequences: bool) -> bool:
        """Say whether sequences come out of the layer that is held."""
        return self.layer.gives_sequences(takes_sequences)


def part_of_grads(arrays: Mapping[str, Array], part: str) -> dict[str, Array]:
    """Give the arrays of one part under the names that its layer knows.

    Args:
        arrays: "<part>.<parameter>" -> array.
        part: such as "forward".
    """
    start = len(part) + 1
    return {name[start:]: array for name, array in arrays.items() if name.startswith(part + ".")}


def copy_of(layer: Layer, where: str) -> Layer:
    """Make a layer of the same options, without weights.

    Args:
        layer: as the user gave it.
        where: who asks, for messages.

    Raises:
        UsageError: if it is no layer, or has weights already.
    """
    if not isinstance(layer, Layer):
        raise UsageError(say(where, "it wraps a layer", expected="a layer such as LSTM(64)", got=repr(layer)))
    if layer.built:
        cure = "Wrap a new layer, before its model is built: layers.from_config(layer.config())"
        raise UsageError(say(where, f"{layer.title} has weights of another model", cure=cure))
    if layer.borrowed(1):
        cure = "Let it stand in the model itself"
        raise UsageError(say(where, f"{layer.title} has weights of another layer, which is out of reach", cure=cure))
    return type(layer).from_config(layer.config())


def _check_depth(config: Mapping[str, Any]) -> None:
    """Refuse layers in layers in layers, before Python's stack does."""
    level: list[Any] = [config]
    for _ in range(_MAX_DEPTH):
        level = [inner for held in level for inner in held.values() if isinstance(inner, dict)]
        if not level:
            return
    raise UsageError(say("layer", "layers are nested too deep", expected=f"at most {_MAX_DEPTH} levels"))
