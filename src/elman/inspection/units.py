"""The states of units as a page holds them, to colour steps by: eight bits each."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.inspection.states import GatesAndStates
from elman.inspection.subject import Subject

__all__ = ["unit_data"]

# Numbers that a page holds; each is 1.33 bytes of it.
_MOST = 600_000
_FEWEST_STEPS = 200


def unit_data(found: GatesAndStates, subject: Subject) -> dict[str, Any]:
    """Give the states of the first sequences, every unit scaled by its greatest size.

    Where there are too many units for that, those that track something best are kept.

    Args:
        found: of the subject.
        subject: with the names of its steps.

    Returns:
        "steps": how many there are; "sequences": names (or None), start and length of each; "parts": name, units,
        scales and values (units, steps), eight bits in base64; "first": the part and unit to begin with.
    """
    assert subject.x is not None, "whoever has findings has data"
    parts = [
        (name, part, values)
        for name, states in found.states.items()
        for part, values in states.items()
        if len(values) == subject.x.n_steps
    ]
    n_units = sum(values.shape[1] for _, _, values in parts)
    steps = int(np.clip(_MOST // max(n_units, 1), min(_FEWEST_STEPS, subject.x.n_steps), subject.x.n_steps))
    share = min(1.0, _MOST / (n_units * steps))
    sequences = _sequences(subject, steps)
    steps = sum(sequence["length"] for sequence in sequences)
    told = []
    for name, part, values in parts:
        kept = _kept(found, name, part, values, share)
        some = values[:steps, kept].T
        scales = np.maximum(np.abs(some).max(axis=1, initial=0), 1e-12)
        eighths = np.round(127 * some / scales[:, None]).astype(np.int8)
        told.append(
            {
                "name": f"{name}, {part}",
                "units": kept.tolist(),
                "scales": [float(f"{scale:.3g}") for scale in scales],
                "values": base64.b64encode(eighths.tobytes()).decode(),
            }
        )
    best = max((units[0] for units in found.tracked.values() if units), key=lambda unit: abs(unit.score), default=None)
    places = [(name, part) for name, part, _ in parts]
    first = {"part": 0, "unit": 0}
    if best is not None and (best.recurrence, best.part) in places:
        first = {"part": places.index((best.recurrence, best.part)), "unit": best.unit}
    return {"steps": steps, "sequences": sequences, "parts": told, "first": first}


def _sequences(subject: Subject, steps: int) -> list[dict[str, Any]]:
    """Give the sequences that begin among the first steps, the last one as far as they go."""
    x = subject.x
    assert x is not None, "whoever has findings has data"
    out = []
    for start, length in zip(x.offsets[:-1].tolist(), x.lengths.tolist(), strict=True):
        if start >= steps:
            break
        length = min(length, steps - start)
        names = None if subject.steps is None else subject.steps[start : start + length]
        out.append({"names": names, "start": start, "length": length})
    return out


def _kept(found: GatesAndStates, name: str, part: str, values: NDArray[Any], share: float) -> NDArray[np.int64]:
    """Choose the units that are kept: all, or those that rank highest by any label."""
    count = max(1, int(values.shape[1] * share))
    if count >= values.shape[1]:
        return np.arange(values.shape[1])
    rank: dict[int, int] = {}
    for units in found.tracked.values():
        own = [unit.unit for unit in units if (unit.recurrence, unit.part) == (name, part)]
        for place, unit in enumerate(own):
            rank[unit] = min(rank.get(unit, place), place)
    return np.sort(np.array(sorted(rank, key=lambda unit: rank[unit])[:count], np.int64))
