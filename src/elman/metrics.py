"""Figures beside the loss: the public door of `elman.training.metrics`."""

from elman.training.metrics import *  # noqa: F403
from elman.training.metrics import __all__ as __all__
