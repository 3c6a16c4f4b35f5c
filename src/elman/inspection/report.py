"""Everything that can be seen of a trained model, in one report."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elman.errors import UsageError, say
from elman.files import write_atomic
from elman.inspection.gradients import NEEDS
from elman.inspection.plain import plain
from elman.inspection.sections import SECTIONS, Section, look
from elman.inspection.subject import Subject, subject_of
from elman.training import progress
from elman.training.checks import check_count

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["Report", "inspect"]


@dataclass(frozen=True)
class Report:
    """What was found out about a model, section by section; see `inspect`.

    Attributes:
        name: of the model, for the title.
        sections: "gradient_by_lag", "contributions", "truncation_bias", "states", "attribution", "dynamics" and
            "training" -> what was found: a sentence, pictures and numbers.
        sample: which part of the data was looked at, in words.
        remark: what else should be known of it, in a sentence; "" if nothing.
        subject: the model and the data that was looked at.
    """

    name: str
    sections: Mapping[str, Section]
    sample: str
    remark: str = ""
    subject: Subject | None = field(default=None, repr=False, compare=False)

    def __getitem__(self, name: str) -> Section:
        return self.sections[name]

    def __iter__(self) -> Iterator[Section]:
        return iter(self.sections.values())

    def __len__(self) -> int:
        return len(self.sections)

    def __str__(self) -> str:
        lines = [f"{self.name}, looked at with {self.sample}", ""]
        return "\n".join(lines + [f"{section.title}: {section.verdict}" for section in self])

    @property
    def layers(self) -> list[dict[str, Any]]:
        """Name, type, units and parameters of every layer of the network."""
        assert self.subject is not None, "`inspect` gives it"
        model = self.subject.model
        weights = model.named_weights()
        return [
            {
                "name": layer.name,
                "type": layer.type_name(),
                "units": getattr(layer, "units", None),
                "parameters": sum(w.size for name, w in weights.items() if name.startswith(f"{layer.name}.")),
            }
            for layer in model.layers
        ]

    def to_dict(self) -> dict[str, Any]:
        """Give all numbers as plain values."""
        return {
            "name": self.name,
            "sample": self.sample,
            "remark": self.remark,
            "layers": plain(self.layers),
            "sections": {name: section.to_dict() for name, section in self.sections.items()},
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the report: .html, one page that needs nothing else, or .json, all numbers.

        Args:
            path: whose ending says which.

        Raises:
            UsageError: if the ending is another one, or matplotlib, which draws the page's pictures, is not installed.
            SaveError: if the file cannot be written; what stood there before is untouched.
        """
        ending = Path(path).suffix.lower()
        if ending == ".json":
            text = json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)
        elif ending in (".html", ".htm"):
            from elman.inspection.page import render

            text = render(self)
        else:
            raise UsageError(say("save", f"cannot write {os.fspath(path)!r}", expected=".html or .json"))
        write_atomic(path, text.encode())

    def save_pictures(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write every picture as a PNG into a folder, which is made if it is not there.

        Args:
            folder: for the files, which have the names of `Section.pictures`.

        Returns:
            The files.

        Raises:
            UsageError: if matplotlib is not installed, or the folder cannot be made.
            SaveError: if a file cannot be written.
        """
        where = Path(folder)
        try:
            where.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UsageError(say("save_pictures", f"the folder cannot be made ({reason})", got=where)) from None
        files = [(section, name, where / f"{name}.png") for section in self for name in section.pictures]
        for section, name, file in files:
            section.plot(file, picture=name)
        return [file for _, _, file in files]


def inspect(
    model: Any,
    x: Any = None,
    y: Any = None,
    *,
    steps: int = 4000,
    needs: int = NEEDS,
    name: str | None = None,
    lengths: ArrayLike | None = None,
    pad_value: float | None = None,
    verbose: progress.Verbose = "auto",
) -> Report:
    """See through a model: how far its memory reaches, why it answered, whether its gradients vanish.

    Seven questions are asked, each answered by numbers, pictures and one sentence: the gradient by lag, what each step
    contributes to the weight gradient, the bias of truncation, gates and states, where answers came from, dynamics, and
    the course of the training. A question that cannot be asked of this model, or without this data, says so. Everything
    is computed in a copy in float64, of a part of the data that is named.

    Args:
        model: a `Sequential` with weights, or a fitted task.
        x: data as the model takes it: for a `LanguageModel` a text or a path; for an estimator what `fit` takes; for a
            `Sequential` sequences. None: a language model writes a text to be looked at itself, an adder makes sums; of
            others only the training is shown.
        y: targets, for the three questions about gradients; a `LanguageModel` needs none.
        steps: about so many steps of the data are looked at.
        needs: lags that the task needs: gradients that are gone before are called vanishing.
        name: of the model, for the title; the name of its class if None.
        lengths: of a Sequential's x, as in `fit`.
        pad_value: likewise.
        verbose: 0 is silent; else what takes long shows progress.

    Returns:
        The report; `report.save("report.html")` writes it as a page.

    Raises:
        UsageError: if model is no model, or an argument is out of range.
        NotFittedError: if the model has no weights.
        DataError, DataTypeError: if the data does not fit.

    Example:
        >>> import numpy as np
        >>> from elman import Sequential, layers
        >>> model = Sequential([layers.LSTM(8), layers.Dense(2)])
        >>> model.compile("adam", "cross_entropy")
        >>> model.build(3, rng=0)
        >>> x = np.random.default_rng(0).standard_normal((10, 20, 3))
        >>> report = inspect(model, x, np.arange(10) % 2)
        >>> report["gradient_by_lag"].finding.words
        {'lstm': 'vanishing'}
        >>> report["training"].verdict
        'The model file keeps no history: the model was not trained by fit.'
    """
    check_count("steps", steps)
    check_count("needs", needs)
    progress.check_verbose(verbose, "inspect")
    options = {"lengths": lengths, "pad_value": pad_value}
    given = {key: value for key, value in options.items() if value is not None}
    subject = subject_of(model, x, y, steps=steps, where="inspect", **given)
    what = name or type(model).__name__
    asked = progress.watch(SECTIONS, total=len(SECTIONS), what=f"looking into {what}", verbose=verbose)
    sections = {key: look(key, subject, needs=needs) for key in asked}
    return Report(what, sections, subject.sample, subject.remark, subject)
