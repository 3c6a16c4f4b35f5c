"""Recurrent neural networks: fast on the machine you have, proved exact, visible through time.

Everything is loaded when it is first asked for, so that `import elman` costs next to nothing.

Example:
    >>> import elman
    >>> elman.layers.LSTM(128).units
    128
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from elman._version import __version__

if TYPE_CHECKING:
    from elman import (
        callbacks,
        cells,
        ctc,
        errors,
        inspection,
        layers,
        losses,
        metrics,
        optimizers,
        readers,
        schedules,
        tasks,
        training,
    )
    from elman.errors import ElmanError
    from elman.inspection import check_gradients, inspect
    from elman.model import Sequential
    from elman.ops.core import set_threads, show_config
    from elman.ragged import Ragged
    from elman.tasks import (
        BinaryAdder,
        LanguageModel,
        SequenceClassifier,
        SequenceRegressor,
        SequenceTagger,
        Vocabulary,
        load,
    )
    from elman.training import History
# Public name -> (module, name in it); None stands for the module itself.
_PUBLIC: dict[str, tuple[str, str | None]] = {
    "BinaryAdder": ("elman.tasks", "BinaryAdder"),
    "ElmanError": ("elman.errors", "ElmanError"),
    "History": ("elman.training", "History"),
    "LanguageModel": ("elman.tasks", "LanguageModel"),
    "Ragged": ("elman.ragged", "Ragged"),
    "SequenceTagger": ("elman.tasks", "SequenceTagger"),
    "SequenceRegressor": ("elman.tasks", "SequenceRegressor"),
    "SequenceClassifier": ("elman.tasks", "SequenceClassifier"),
    "Sequential": ("elman.model", "Sequential"),
    "Vocabulary": ("elman.tasks", "Vocabulary"),
    "callbacks": ("elman.callbacks", None),
    "check_gradients": ("elman.inspection", "check_gradients"),
    "ctc": ("elman.ctc", None),
    "cells": ("elman.cells", None),
    "errors": ("elman.errors", None),
    "inspect": ("elman.inspection", "inspect"),
    "inspection": ("elman.inspection", None),
    "layers": ("elman.layers", None),
    "load": ("elman.tasks", "load"),
    "losses": ("elman.losses", None),
    "metrics": ("elman.metrics", None),
    "optimizers": ("elman.optimizers", None),
    "readers": ("elman.readers", None),
    "schedules": ("elman.schedules", None),
    "set_threads": ("elman.ops.core", "set_threads"),
    "show_config": ("elman.ops.core", "show_config"),
    "tasks": ("elman.tasks", None),
    "training": ("elman.training", None),
}

__all__ = [
    "BinaryAdder",
    "ElmanError",
    "History",
    "LanguageModel",
    "Ragged",
    "SequenceClassifier",
    "SequenceRegressor",
    "SequenceTagger",
    "Sequential",
    "Vocabulary",
    "__version__",
    "callbacks",
    "cells",
    "check_gradients",
    "ctc",
    "errors",
    "inspect",
    "inspection",
    "layers",
    "load",
    "losses",
    "metrics",
    "optimizers",
    "readers",
    "schedules",
    "set_threads",
    "show_config",
    "tasks",
    "training",
]


def __getattr__(name: str) -> Any:
    try:
        module, attribute = _PUBLIC[name]
    except KeyError:
        wrong = f"module 'elman' has no attribute {name!r}"
        if name[0].isupper():  # a class; modules of the package itself ask for others, while they are imported
            homes = ("layers", "losses", "metrics", "optimizers", "schedules", "callbacks")
            home = next((home for home in homes if name in __getattr__(home).__all__), None)
            wrong += f"; it is elman.{home}.{name}" if home else ""
        raise AttributeError(wrong) from None
    found = importlib.import_module(module)
    value = found if attribute is None else getattr(found, attribute)
    globals()[name] = value  # the next look finds it without this function
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
