"""The options of layers: declared with their bounds, and checked against that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin, get_type_hints

import msgspec
import numpy as np

from elman.errors import UsageError, say
from elman.files.plain import Refusal, refusal

__all__ = ["LayerConfig", "Name", "Size", "check_options", "choices_of"]

#: Units, vocabulary sizes: wide enough for every real model, narrow enough that a forged file cannot ask for terabytes.
Size = Annotated[int, msgspec.Meta(ge=1, le=65_536)]

#: A name becomes the first part of "lstm.weight_ih" in files, so it holds no dot; "history" is taken there.
Name = Annotated[str, msgspec.Meta(pattern=r"^(?!history\Z)[^\s.\x00-\x1f\x7f\ud800-\udfff]{1,64}\Z")]


class LayerConfig(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, tag_field="type"):
    """The options of a layer, with their bounds; what stands in a file."""

    cures: ClassVar[Mapping[str, str]] = {}  #: value that is not accepted -> what to do instead

    name: Name | None = None


# Options that layers of other libraries have, and what is done here.
_ELSEWHERE = {
    ("input_shape", "batch_input_shape", "input_dim", "input_size"): "Leave it out: sizes are found in the first data.",
    (
        "mask_zero",
        "input_length",
    ): "Lengths are said where data comes in: give a list of arrays, lengths= or pad_value=.",
    ("go_backwards", "bidirectional"): "Wrap the layer: Bidirectional(LSTM(64)).",
    ("num_layers",): "Put layers one after another, all but the last with return_sequences=True.",
    ("batch_first",): "Leave it out: arrays are (batch, steps, features).",
    ("hidden_size", "output_dim"): "The size is called units.",
}


def check_options(config: type[LayerConfig], options: Mapping[str, Any]) -> LayerConfig:
    """Check options by name against the declaration of a layer.

    Args:
        config: names, types and bounds.
        options: values; NumPy's numbers and truths are taken as Python's.

    Raises:
        UsageError: if an option is unknown, missing or out of its bounds.
    """
    plain = {name: _plain(value) for name, value in options.items()}
    plain.setdefault("type", config.__struct_config__.tag)
    try:
        return msgspec.convert(plain, config)
    except msgspec.ValidationError as error:
        raise UsageError(_explain(config, plain, refusal(error))) from None


def _plain(value: Any) -> Any:
    """Give NumPy's numbers and truths as Python's, which is what the declaration names."""
    return value.item() if isinstance(value, np.generic) else value


def _explain(config: type[LayerConfig], options: Mapping[str, Any], told: Refusal) -> str:
    where = f"layer '{config.__struct_config__.tag}'"
    field, expected = told.name, told.expected
    if field in options:
        choices = choices_of(get_type_hints(config, include_extras=True).get(field))
        if choices:
            expected = "one of " + ", ".join(map(repr, choices))
        if field == "type":
            expected = repr(config.__struct_config__.tag)
        if field == "name":
            expected = "1 to 64 characters without a dot or white space, other than 'history'"
        cure = config.cures.get(options[field]) if isinstance(options[field], str) else None
        return say(where, f"{field} is not accepted", expected=expected, got=repr(options[field]), cure=cure)
    expected = "the options " + ", ".join(config.__struct_fields__)
    if odd := sorted(options.keys() - {"type", *config.__struct_fields__}):
        cure = next((cure for names, cure in _ELSEWHERE.items() if odd[0] in names), None)
        return say(where, "there is no option " + " and no ".join(odd), expected=expected, cure=cure)
    return say(where, told.sentence, expected=expected)


def choices_of(hint: Any) -> tuple[Any, ...]:
    """Give the values that a hint such as Literal["a", "b"] | None names.

    Args:
        hint: of a field.
    """
    if get_origin(hint) is Literal:
        return get_args(hint)
    return tuple(choice for part in get_args(hint) if get_origin(part) is Literal for choice in get_args(part))
