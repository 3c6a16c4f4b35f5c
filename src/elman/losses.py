"""Losses, each with its gradient: the public door of `elman.ops.losses`."""

from elman.ops.losses import *  # noqa: F403
from elman.ops.losses import __all__ as __all__
