"""Callbacks: what listens to training, under Keras's names.

Public as `elman.callbacks`.

Example:
    >>> from elman import callbacks
    >>> listeners = [callbacks.EarlyStopping(patience=5), callbacks.CSVLogger("log.csv")]
"""

from __future__ import annotations

from elman.training.callbacks.base import Callback, check_callbacks, overridden
from elman.training.callbacks.lambdas import LambdaCallback
from elman.training.callbacks.monitor import Monitor
from elman.training.callbacks.rates import LearningRateScheduler, ReduceLROnPlateau
from elman.training.callbacks.saving import CSVLogger, ModelCheckpoint
from elman.training.callbacks.stopping import EarlyStopping, TerminateOnNaN
from elman.training.callbacks.tensorboard import TensorBoard

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "Monitor",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
    "check_callbacks",
    "overridden",
]
