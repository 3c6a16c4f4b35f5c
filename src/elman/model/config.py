"""How a model is written down, with the bounds of what is read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from elman import layers as layer_types
from elman.errors import UsageError, say
from elman.layers import Layer

__all__ = ["CompileConfig", "ModelConfig", "check_config", "layer_configs", "layers_from_configs", "name_layers"]

# Wide enough for every real input, narrow enough that a forged file cannot ask for terabytes.
InputSize = Annotated[int, msgspec.Meta(ge=1, le=2**24)]


class CompileConfig(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """How a model is trained; losses and metrics without options are their names."""

    loss: str | dict[str, Any]
    optimizer: dict[str, Any]
    metrics: Annotated[list[str | dict[str, Any]], msgspec.Meta(max_length=100)] = []
    clip: float | None = None
    gradient_noise: float = 0.0


class ModelConfig(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """All that rebuilds a model, but for its weights.

    Attributes:
        name: of the model.
        dtype: of its parameters.
        precision: what its products are made in, None for the dtype.
        input_size: features of a step, or the number of token ids; None before the model is built.
        ids: whether token ids come in; None if that was not said.
        layers: config of each; {"shared": name} for a layer that stood before.
        compile: None if the model is not compiled.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    dtype: Literal["float32", "float64"]
    precision: Literal["bfloat16"] | None = None
    input_size: InputSize | None = None
    ids: bool | None = None
    layers: Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1, max_length=1000)]
    compile: CompileConfig | None = None


def check_config(config: Mapping[str, Any]) -> ModelConfig:
    """Check the config of a model against its declaration.

    Args:
        config: plain values.

    Raises:
        UsageError: if something is unknown, missing or out of its bounds.
    """
    try:
        return msgspec.convert(dict(config), ModelConfig)
    except msgspec.ValidationError as error:
        raise UsageError(say("model", f"its config is not accepted: {str(error).replace('`', chr(39))}")) from None


def layer_configs(layers: Sequence[Layer]) -> list[dict[str, Any]]:
    """Write layers down; one that stands again is a reference to its name.

    Args:
        layers: all named.
    """
    configs: list[dict[str, Any]] = []
    for index, layer in enumerate(layers):
        again = any(layer is other for other in layers[:index])
        configs.append({"shared": layer.name} if again else layer.config())
    return configs


def layers_from_configs(configs: Sequence[Mapping[str, Any]]) -> list[Layer]:
    """Make the layers that `layer_configs` wrote down.

    Args:
        configs: one per place.

    Raises:
        UsageError: if a layer is not accepted, or a reference names no layer before it.
    """
    layers: list[Layer] = []
    for config in configs:
        if "shared" in config:
            found = next((layer for layer in layers if layer.name == config["shared"]), None)
            if found is None or len(config) != 1:
                raise UsageError(
                    say(
                        "model",
                        "a shared layer is not there",
                        expected="the name of a layer before it",
                        got=dict(config),
                    )
                )
            layers.append(found)
        else:
            layers.append(layer_types.from_config(config))
    return layers


def name_layers(layers: Sequence[Layer]) -> None:
    """Give every layer without a name one in Keras's way: lstm, lstm_2, lstm_3.

    Args:
        layers: of one model; their names are set.

    Raises:
        UsageError: if two layers have the same name.
    """
    different = list({id(layer): layer for layer in layers}.values())
    taken = [layer.name for layer in different if layer.name is not None]
    for name in taken:
        if taken.count(name) > 1:
            raise UsageError(say("model", f"two layers are named '{name}'", cure="Give each its own name"))
    for layer in different:
        if layer.name is None:
            kind, number = layer.type_name(), 1
            while (name := kind if number == 1 else f"{kind}_{number}") in taken:
                number += 1
            layer.name = name
            taken.append(name)
