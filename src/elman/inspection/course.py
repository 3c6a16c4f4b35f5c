"""How a training went, read from its history."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elman.inspection.curves import training_figure
from elman.inspection.plain import plain
from elman.training.history import History

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TrainingCourse", "training_course"]

Array = NDArray[Any]

# A step usually changes the weights by about a thousandth of their length; ten times more or less is worth a word.
_SMALL, _LARGE = 1e-4, 1e-2
# A loss that still fell by more than this share over the last quarter of the training had not settled.
_FALLING = 0.02


@dataclass(frozen=True)
class TrainingCourse:
    """Losses, metrics and what single steps did, from the first batch to the last; see `training_course`.

    Attributes:
        history: that it is read from.
    """

    history: History

    @property
    def epochs(self) -> dict[str, Array]:
        """One value per epoch, (E,), by name: "loss", "val_loss", metrics."""
        return {name: np.asarray(column, float) for name, column in self.history.history.items() if len(column)}

    @property
    def missing(self) -> list[str]:
        """Curves that the history has not, and why."""
        words = []
        if not len(self.history.steps["step"]):
            words.append(
                "gradient norm, learning rate and size of updates: the model was trained before they were kept"
            )
        if not any(name.startswith("val_") for name in self.epochs):
            words.append("validation: no data was kept for it")
        return words

    @property
    def verdict(self) -> str:
        """What it means, in one sentence."""
        n_epochs = max((len(column) for column in self.epochs.values()), default=0)
        length = f"{n_epochs} epoch{'s' * (n_epochs != 1)} ({self.history.n_batches:,} batches)"
        parts = [f"In {length} {self._fall()}"]
        if (watched := self._validation()) is not None:
            parts.append(watched)
        ratios = self.history.steps["update_ratio"]
        if np.isfinite(ratios).any():
            # The first steps of an optimizer with moments are of another size.
            ratio = float(np.nanmedian(ratios[len(ratios) // 4 :]))
            words = ", which is little: a higher learning rate may do" * (ratio < _SMALL)
            words += ", which is much: a lower learning rate may do better" * (ratio > _LARGE)
            parts.append(f"a step changed the weights by {100 * ratio:.2g} %{words}")
        return "; ".join(parts) + "."

    def _fall(self) -> str:
        """Say how the loss of the batches, or of the epochs, went."""
        losses = self.history.batches.astype(float)
        losses = losses if len(losses) >= 8 else self.epochs.get("loss", losses)
        losses = losses[np.isfinite(losses)]
        if not len(losses):
            return "no loss was finite"
        eighth = max(1, len(losses) // 8)
        first, last = float(losses[:eighth].mean()), float(losses[-eighth:].mean())
        if len(losses) == 1:
            return f"the loss was {last:.3g}"
        how = "fell" if last < first else "rose"
        quarter = losses[-max(2, len(losses) // 4) :]
        middle = len(quarter) // 2
        before, after = float(quarter[:middle].mean()), float(quarter[middle:].mean())
        still = " and was still falling" if before - after > _FALLING * abs(before) and how == "fell" else ""
        return f"the loss {how} from {first:.3g} to {last:.3g}{still}"

    def _validation(self) -> str | None:
        """Say where the validation loss was best."""
        column = self.epochs.get("val_loss")
        if column is None or not np.isfinite(column).any():
            return None
        best = int(np.nanargmin(column))
        if best >= len(column) - 1:
            return "in validation the last epoch was the best"
        rise = float(column[-1] / column[best] - 1) if column[best] > 0 else 0.0
        more = f", since then it overfits: {100 * rise:.2g} % worse" if rise > 0.01 else ""
        return f"in validation epoch {best + 1} was the best{more}"

    def to_dict(self) -> dict[str, Any]:
        """Give everything that is drawn as plain values."""
        return {
            "verdict": self.verdict,
            "epochs": plain(self.epochs),
            "batches": plain(self.history.batches),
            "steps": plain(self.history.steps),
            "missing": self.missing,
        }

    def plot(self, path: str | os.PathLike[str] | None = None, *, title: str | None = None) -> Figure:
        """Draw losses, metrics and the figures of the steps, one above the other.

        Args:
            path: .png, .svg or .pdf to write, if any.
            title: a line above the picture.
        """
        return training_figure(self.history, path, steps=True, title=title)


def training_course(history: History) -> TrainingCourse:
    """Read the course of a training from its history.

    Args:
        history: what `fit` returned, or what `model.history` or `history_` of a task holds.

    Example:
        >>> history = History()
        >>> for loss in (1.0, 0.5, 0.25):
        ...     history.record_batch(loss)
        ...     history.add_epoch({"loss": loss})
        >>> training_course(history).verdict
        'In 3 epochs (3 batches) the loss fell from 1 to 0.25 and was still falling.'
    """
    return TrainingCourse(history)
