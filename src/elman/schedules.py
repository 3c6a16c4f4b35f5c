"""Learning rates that change from step to step: the public door of `elman.training.schedules`."""

from elman.training.schedules import *  # noqa: F403
from elman.training.schedules import __all__ as __all__
