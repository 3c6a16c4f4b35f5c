"""A model: layers one after another, with what trains them."""

from __future__ import annotations

from elman.model.quantization import Quantization
from elman.model.sequential import Sequential
from elman.model.stream import Stream

__all__ = ["Quantization", "Sequential", "Stream"]
