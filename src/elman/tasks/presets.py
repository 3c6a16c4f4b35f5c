"""Settings of a language model that fit the text: what is used where nothing else is said."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from elman.ops import kernels

__all__ = ["FILLED", "PRESETS", "Preset", "filled"]


class Preset(NamedTuple):
    """Settings for a text of a million characters.

    Attributes:
        hidden: units of each layer.
        dropout: between layers of so many units; proportionally less in smaller ones.
        epochs: how often to go through such a text.
        lr: greatest learning rate.
    """

    hidden: int
    dropout: float
    epochs: int
    lr: float


PRESETS = {
    "quick": Preset(hidden=384, dropout=0.4, epochs=5, lr=4e-3),
    "best": Preset(hidden=512, dropout=0.5, epochs=10, lr=3e-3),
}

#: Arguments that a preset gives values to, where they are None.
FILLED = ("hidden", "embedding", "dropout", "batch", "steps", "epochs", "lr", "precision")

_WHOLE = 1e6  # characters of the text that presets are for
_STEPS, _STREAMS = 80, 64
# Updates of an epoch, at least where the text allows it: a short text is cut into fewer streams.
_UPDATES = 32
_MOST_EPOCHS = 60
_EMBEDDING = 128
# From so many units on products in bfloat16 are much faster than in float32: 1.9 times at 384, 1.2 times at 128.
_FASTER = 256


def filled(
    preset: str, given: dict[str, Any], *, n_units: int, of_letters: bool, tied: bool
) -> tuple[dict[str, Any], str | None]:
    """Give the settings that were left to a preset.

    Hidden units grow with the fourth root of the text, epochs fall with its root, so that a text of a thousandth is
    learned in some seconds and one of ten times the size is gone through at least once.

    Args:
        preset: one of `PRESETS`.
        given: all of `FILLED`, with None for what the preset says.
        n_units: of the text that is learned.
        of_letters: whether units are characters or bytes, rather than words.
        tied: whether input and output share their weights.

    Returns:
        All of `FILLED`, and a sentence about what this machine cannot do, or None.

    Example:
        >>> none = dict.fromkeys(FILLED)
        >>> settings, _ = filled("quick", none | {"lr": 0.01}, n_units=100_000, of_letters=True, tied=False)
        >>> {name: settings[name] for name in ("hidden", "dropout", "batch", "epochs", "lr")}
        {'hidden': 224, 'dropout': 0.23, 'batch': 39, 'epochs': 16, 'lr': 0.01}
    """
    whole, share = PRESETS[preset], n_units / _WHOLE
    found = dict(given)

    def fill(name: str, value: Any) -> None:
        if found[name] is None:
            found[name] = value

    fill("hidden", max(32, 32 * round(whole.hidden * min(1.0, share) ** 0.25 / 32)))
    dropout = round(whole.dropout * min(1.0, found["hidden"] / whole.hidden), 2)
    fill("dropout", dropout if dropout >= 0.05 else 0.0)
    fill("embedding", _EMBEDDING if of_letters and not tied else found["hidden"])
    fill("steps", _STEPS)
    fill("batch", max(4, min(_STREAMS, n_units // (found["steps"] * _UPDATES))))
    fill("epochs", max(1, min(_MOST_EPOCHS, round(whole.epochs / math.sqrt(max(share, 1e-9))))))
    fill("lr", whole.lr)
    note = None
    if found["precision"] is None:
        note = kernels.note_on("bfloat16") if found["hidden"] >= _FASTER else None
        found["precision"] = "bfloat16" if found["hidden"] >= _FASTER and note is None else "float32"
    return found, note
