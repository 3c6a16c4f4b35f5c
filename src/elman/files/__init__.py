"""Durable saving and the `.elman` model file.

`durable` writes any file so that a crash leaves the old one or the new one; `format` is the safetensors container and
`plain` its JSON, both checked before anything is allocated; `model_file` is what a model says about itself in there.
"""

from elman.files.durable import check_target, write_atomic
from elman.files.format import TensorInfo
from elman.files.model_file import FORMAT, Header, Meta, Quantized, not_accepted, open_model, save

__all__ = [
    "FORMAT",
    "Header",
    "Meta",
    "Quantized",
    "TensorInfo",
    "check_target",
    "not_accepted",
    "open_model",
    "save",
    "write_atomic",
]
