"""What a file holds: sequences, perhaps their answers, and what its columns were taken for."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, say
from elman.readers.words import listed, some

__all__ = ["Columns", "Dataset", "Purpose"]

Array = NDArray[Any]
Purpose = Literal["classify", "regress", "tag"]

_SHOWN = 8  # classes and names of columns that a line lists


class Columns(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which column of a table is what; None leaves it to be found by its name.

    Attributes:
        id: says which sequence a row belongs to.
        time: rises within every sequence.
        label: the answer.
        features: the numbers of a step, or the texts.
        form: "long" has a row for each step, "wide" one for each sequence.
    """

    id: str | None = None
    time: str | None = None
    label: str | None = None
    features: tuple[str, ...] | None = None
    form: Literal["long", "wide"] | None = None

    @property
    def flags(self) -> str:
        """The options of the command that say the same."""
        named = [("--id", self.id), ("--time", self.time), ("--label", self.label)]
        named += [("--features", name) for name in self.features or ()]
        return " ".join(f"{flag} {shlex.quote(name)}" for flag, name in named if name is not None)


@dataclass(frozen=True)
class Dataset:
    """Sequences from a file, and what is known of them.

    Attributes:
        path: where they were read.
        X: sequences as the estimators take them: arrays (steps, features), strings, or lists of words.
        y: their answers, None if there are none: an array (n,) or (n, k), or for tags a list with an array each.
        ids: how each sequence is called in the file: an id, a line, a name of a file.
        purpose: "classify", "regress" or "tag".
        form: what the file is, such as "CSV in long form".
        format: one of `elman.readers.FORMATS`.
        columns: of a table, as they were taken; else empty.
        taken: what was taken for what: role -> description.

    Example:
        >>> data = Dataset("a.npz", [np.zeros((3, 2)), np.ones((5, 2))], np.array(["no", "yes"]), [0, 1])
        >>> print(data.account())
        a.npz: arrays
          sequences  2 of 3 to 5 steps, 8 steps in all
          features   2
          label      2 classes: no (1), yes (1)
    """

    path: str
    X: list[Any]
    y: Any
    ids: list[Any]
    purpose: Purpose = "classify"
    form: str = "arrays"
    format: str = ""
    columns: Columns = field(default_factory=Columns)
    taken: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.X)

    @property
    def kind(self) -> str:
        """What the sequences are: "numbers", "strings" or "tokens"."""
        if isinstance(self.X[0], str):
            return "strings"
        return "tokens" if isinstance(self.X[0], list) else "numbers"

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of every sequence, (n,): characters of strings."""
        return np.array([len(x) for x in self.X], np.int64)

    def account(self) -> str:
        """Say what was read, and what the columns were taken for."""
        lines = {"sequences": self._sequences()}
        if self.kind == "numbers" and "features" not in self.taken:
            lines["features"] = f"{self.X[0].shape[1]:,}"
        lines |= self.taken
        if self.y is not None:
            label = self.taken.get("label")
            lines["label"] = f"{label}: {self._answers()}" if label else self._answers()
        width = max(map(len, lines))
        return "\n".join([f"{self.path}: {self.form}", *(f"  {name:{width}}  {what}" for name, what in lines.items())])

    def _sequences(self) -> str:
        lengths, unit = self.lengths, {"numbers": "step", "strings": "character", "tokens": "word"}[self.kind]
        low, high = int(lengths.min()), int(lengths.max())
        span = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        return f"{len(self):,} of {span} {unit}{'' if high == 1 else 's'}, {some(int(lengths.sum()), unit)} in all"

    def _answers(self) -> str:
        if self.purpose == "regress":
            numbers = np.asarray(self.y, np.float64)
            if numbers.ndim == 2:
                return f"{numbers.shape[1]:,} numbers each"
            spread = f"mean {numbers.mean():.4g}, standard deviation {numbers.std():.4g}"
            return f"numbers from {numbers.min():.4g} to {numbers.max():.4g}, {spread}"
        labels = np.concatenate(self.y) if self.purpose == "tag" else self.y
        counts = Counter(labels.tolist())
        shown = [f"{label} ({count:,})" for label, count in sorted(counts.items())[:_SHOWN]]
        more = " …" if len(counts) > _SHOWN else ""
        return f"{some(len(counts), 'class', 'classes')}: {', '.join(shown)}{more}"

    @property
    def constant(self) -> str | None:
        """The one answer that there is; None if they differ."""
        if self.y is None:
            return None
        answers = np.concatenate(self.y) if isinstance(self.y, list) else self.y
        return str(answers[0]) if len(answers) and (answers == answers[0]).all() else None

    def select(self, rows: Array) -> Dataset:
        """Give some of the sequences.

        Args:
            rows: their indices.
        """
        picked = rows.tolist()
        y = [self.y[row] for row in picked] if isinstance(self.y, list) else None if self.y is None else self.y[rows]
        return replace(self, X=[self.X[row] for row in picked], y=y, ids=[self.ids[row] for row in picked])

    def split(self, share: float, *, seed: int | None) -> tuple[Dataset, Dataset | None]:
        """Keep a part back, with all classes in proportion.

        Args:
            share: of the sequences, in [0, 1); 0 keeps nothing.
            seed: of the choice; the same seed and data give the same parts.

        Returns:
            What is left, and the part; None if the sequences are too few to give one away.
        """
        rng = np.random.default_rng(seed)
        strata = np.zeros(len(self), np.int64)
        if self.purpose == "classify":
            strata = np.unique(np.asarray(self.y), return_inverse=True)[1]
        kept: list[Array] = []
        owed = 0.0  # what the classes before gave less than their share
        for stratum in np.unique(strata):
            members = rng.permutation(np.flatnonzero(strata == stratum))
            owed += share * len(members)
            count = min(math.floor(owed + 0.5), len(members) - 1)
            owed -= count
            kept.append(members[:count])
        back = np.sort(np.concatenate(kept))
        if not len(back):
            return self, None
        return self.select(np.setdiff1d(np.arange(len(self)), back)), self.select(back)

    def check_answers(self) -> None:
        """Refuse a file that has no answers where they are needed.

        Raises:
            DataError: saying what would be taken for them.
        """
        if self.y is None:
            cure = f"Its columns are {listed(self.columns.features)}" if self.columns.features else None
            raise DataError(say(self.path, "there are no labels in it", expected="one for each sequence", cure=cure))
