"""Sequences of any lengths, without padding: the batch type and the door that users' data comes in by."""

from __future__ import annotations

from elman.ragged.batch import Ragged
from elman.ragged.door import Restore, as_ragged, refuse_masked

__all__ = ["Ragged", "Restore", "as_ragged", "refuse_masked"]
