"""Callbacks, which hear of batches and epochs: the public door of `elman.training.callbacks`."""

from elman.training.callbacks import *  # noqa: F403
from elman.training.callbacks import __all__ as __all__
