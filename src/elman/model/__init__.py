"""A model: layers one after another, with what trains them."""

from __future__ import annotations

from elman.model.sequential import Sequential
from elman.model.stream import Stream

__all__ = ["Sequential", "Stream"]
