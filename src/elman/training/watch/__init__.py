"""Gradients through time: what reaches every recurrence of a model, step by step."""

from __future__ import annotations

from elman.training.watch.by_lag import lag_norms, lag_zero
from elman.training.watch.listening import Heard, Recurrence, listen, recurrences
from elman.training.watch.sampling import Sampling
from elman.training.watch.steps import Forward, Way, forward_steps, gates_of, input_product, pull_back, way_back
from elman.training.watch.verdicts import Complaints, Dead, Sample, figures_of, is_gradient, lines_of

__all__ = [
    "Complaints",
    "Dead",
    "Forward",
    "Heard",
    "Recurrence",
    "Sample",
    "Sampling",
    "Way",
    "figures_of",
    "forward_steps",
    "gates_of",
    "input_product",
    "is_gradient",
    "lag_norms",
    "lag_zero",
    "lines_of",
    "listen",
    "pull_back",
    "recurrences",
    "way_back",
]
