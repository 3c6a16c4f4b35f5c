"""Looking at a model through time, and at how it was trained.

Each function takes a model and data and gives an object with numbers, `.plot()`, `.to_dict()` and one sentence,
`.verdict`.

Example:
    >>> from elman import Sequential, layers
    >>> model = Sequential([layers.LSTM(16), layers.Dense(2)])
    >>> model.compile("adam", "cross_entropy")
    >>> model.build(3, rng=0)
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((40, 25, 3))
    >>> gradient_by_lag(model, x, np.arange(40) % 2).words
    {'lstm': 'vanishing'}
"""

from elman.inspection.attribution import Attribution, attribute
from elman.inspection.check import GradientCheck, ParameterCheck, check_gradients
from elman.inspection.course import TrainingCourse, training_course
from elman.inspection.curves import training_curve
from elman.inspection.dynamical import Dynamics, FixedPoint, Motion, dynamics
from elman.inspection.gradients import GradientByLag, LagCurve, gradient_by_lag
from elman.inspection.memory import MemoryComparison, compare_memory
from elman.inspection.origins import Origins, origins
from elman.inspection.report import Report, inspect
from elman.inspection.sections import Section
from elman.inspection.states import GatesAndStates, Saturation, Unit, gates_and_states, text_labels
from elman.inspection.tagged import TaggedText, tagged_text
from elman.inspection.terms import Contributions, contributions
from elman.inspection.truncation import TruncationBias, truncation_bias

__all__ = [
    "Attribution",
    "Contributions",
    "Dynamics",
    "FixedPoint",
    "GatesAndStates",
    "GradientByLag",
    "GradientCheck",
    "LagCurve",
    "MemoryComparison",
    "Motion",
    "Origins",
    "ParameterCheck",
    "Report",
    "Saturation",
    "Section",
    "TaggedText",
    "TrainingCourse",
    "TruncationBias",
    "Unit",
    "attribute",
    "check_gradients",
    "compare_memory",
    "contributions",
    "dynamics",
    "gates_and_states",
    "gradient_by_lag",
    "inspect",
    "origins",
    "tagged_text",
    "text_labels",
    "training_course",
    "training_curve",
    "truncation_bias",
]
