"""Training: parameters, batches, optimizers and the loop that brings them together."""

from __future__ import annotations

from elman.training.batches import Batch, SequenceBatches
from elman.training.callbacks import Callback
from elman.training.history import History
from elman.training.optimizers import SGD, Adam, Optimizer
from elman.training.prefetch import Prefetched
from elman.training.streams import StreamBatches

__all__ = ["SGD", "Adam", "Batch", "Callback", "History", "Optimizer", "Prefetched", "SequenceBatches", "StreamBatches"]
