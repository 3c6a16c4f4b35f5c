"""What a model file holds, as plain data."""

from __future__ import annotations

import os
from typing import Any

from elman import files
from elman.tasks.loading import load

__all__ = ["describe"]


def describe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Load a model file and say what it holds.

    Args:
        path: a model file; it is loaded whole, so all of its checks are made.

    Returns:
        path, bytes, format, version, task, dtype, weights ("int8", "bfloat16" or None), parameters, layers (name, type,
        units, parameters of each), arguments of the task, vocabulary, training and the report of `quantize`; JSON
        values throughout.

    Raises:
        UsageError: if there is no such file.
        ModelFileError: if it is not a whole, sane model file.
    """
    loaded = load(path)
    model = getattr(loaded, "model_", loaded)
    with files.open_model(path) as header:
        meta = header.meta
    weights = model.named_weights()
    counts = {
        layer.name: sum(w.size for name, w in weights.items() if name.startswith(f"{layer.name}."))
        for layer in model.layers
    }
    return {
        "path": os.fspath(path),
        "bytes": os.path.getsize(path),
        "format": meta.format,
        "version": meta.version,
        "task": meta.task,
        "dtype": str(model.dtype),
        "weights": None if model.quantization is None else model.quantization.weights,
        "parameters": sum(counts.values()),
        "layers": [
            {
                "name": layer.name,
                "type": layer.type_name(),
                "units": getattr(layer, "units", None),
                "parameters": counts[layer.name],
            }
            for layer in model.layers
        ],
        "arguments": {} if loaded is model else meta.config,
        "vocabulary": meta.vocabulary,
        "training": meta.training or {},
        "quantization": None if model.quantization is None else model.quantization.to_dict(),
    }
