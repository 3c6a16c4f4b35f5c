"""Optimizers: the public door of `elman.training.optimizers`."""

from elman.training.optimizers import *  # noqa: F403
from elman.training.optimizers import __all__ as __all__
