"""The arrays of a model file: parameters as they are, or in fewer bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from elman import files
from elman.errors import ModelFileError, say
from elman.files.plain import refusal
from elman.model.quantization import Quantization, matrices
from elman.ops.rounding import from_int8, to_int8

if TYPE_CHECKING:
    from elman.model.foundation import Foundation

__all__ = ["Stored", "read_quantization", "read_weights", "stored"]

Array = NDArray[Any]

#: What the scales of an int8 array are called in a file, after its own name.
_SCALE = ".scale"


class Stored(NamedTuple):
    """What a file holds of a model's parameters.

    Attributes:
        tensors: arrays by name.
        halved: names of those that are stored as bfloat16.
        quantized: what the file says about them, or nothing.
    """

    tensors: dict[str, Array]
    halved: tuple[str, ...]
    quantized: files.Quantized | msgspec.UnsetType


def stored(model: Foundation) -> Stored:
    """Give what a file holds of a model's parameters.

    Args:
        model: built.

    Raises:
        NotFittedError: if it is not.
    """
    parameters, report = model.parameters, model.quantization
    views = parameters.named()
    if report is None:
        return Stored(views, (), msgspec.UNSET)
    names = matrices(model.layers)
    quantized = files.Quantized(weights=report.weights, report=report.to_dict())
    if report.weights == "bfloat16":
        return Stored(views, tuple(names), quantized)
    tensors: dict[str, Array] = {}
    for name, view in views.items():
        if name in names:
            tensors[name], tensors[name + _SCALE] = to_int8(view)
        else:
            tensors[name] = view
    return Stored(tensors, (), quantized)


def read_quantization(header: files.Header) -> Quantization | None:
    """Give what a file says of weights in fewer bytes, or None.

    Args:
        header: of an open file.

    Raises:
        ModelFileError: if it does not add up.
    """
    said = header.meta.quantized
    if isinstance(said, msgspec.UnsetType):
        return None
    try:
        report = msgspec.convert(said.report, Quantization)
    except msgspec.ValidationError as error:
        raise files.not_accepted(header, "report", refusal(error).sentence) from None
    if report.weights != said.weights:
        wrong = f"its weights are {said.weights} and its report is on {report.weights}"
        raise ModelFileError(say(header.where, wrong))
    return report


def read_weights(header: files.Header, model: Foundation, *, allow_nonfinite: bool) -> dict[str, Array]:
    """Read the parameters of a model; names, shapes and dtypes are compared before anything is allocated.

    Args:
        header: of an open file.
        model: not built, its input size known, `quantization` as `read_quantization` gives it.
        allow_nonfinite: accept NaN and infinity.

    Raises:
        ModelFileError: listing everything that does not fit.
    """
    shapes, report = model.weight_shapes(), model.quantization
    if report is None:
        return header.read(shapes, dtype=model.dtype, allow_nonfinite=allow_nonfinite)
    names = matrices(model.layers)
    dtypes = dict.fromkeys(shapes, "float32") | dict.fromkeys(names, report.weights)
    if report.weights == "int8":
        scales = {name + _SCALE: shapes[name][:1] for name in names}
        shapes, dtypes = shapes | scales, dtypes | dict.fromkeys(scales, "float32")
    arrays = header.read(shapes, dtypes=dtypes, allow_nonfinite=allow_nonfinite)
    if report.weights == "int8":
        for name in names:
            whole, scale = arrays[name], arrays.pop(name + _SCALE)
            arrays[name] = from_int8(whole, scale)
            again, scale_again = to_int8(arrays[name])
            if not (np.array_equal(again, whole) and np.array_equal(scale_again, scale)):
                expected = "whole numbers whose greatest is 127 in each row, and scales of 17 bits above 0"
                wrong = f"'{name}' and its scales are not as quantizing leaves them"
                raise ModelFileError(say(header.where, wrong, expected=expected))
    return arrays
