"""A model: layers one after another, with what trains them."""

from __future__ import annotations

from elman.model.sequential import Sequential

__all__ = ["Sequential"]
