"""Looking at a model and at how it was trained."""

from elman.inspection.plots import training_curve

__all__ = ["training_curve"]
