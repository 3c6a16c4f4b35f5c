"""One seed, fixed children: what each kind of randomness draws from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from elman.errors import UsageError, say

__all__ = ["Seed", "Seeds", "spawn"]

Seed = int | np.random.SeedSequence | np.random.Generator | None


class Seeds(NamedTuple):
    """The generators of one run; the order is fixed, so that a new kind goes to the end."""

    init: np.random.Generator
    shuffle: np.random.Generator
    dropout: np.random.Generator
    sampling: np.random.Generator


def spawn(seed: Seed, *, where: str = "rng") -> Seeds:
    """Spawn the generators for initialisation, shuffling, dropout and sampling.

    They are independent: how often one is drawn from never changes what another gives.

    Args:
        seed: an integer >= 0 (always the same children), a SeedSequence or a Generator (further
            children at each call), or None (fresh entropy).
        where: the argument that a message names.

    Raises:
        UsageError: if it is none of these.

    Example:
        >>> bool(spawn(7).init.integers(1000) == spawn(7).init.integers(1000))
        True
    """
    if isinstance(seed, np.random.Generator):
        return Seeds(*seed.spawn(len(Seeds._fields)))
    if isinstance(seed, bool | np.bool_) or not (
        seed is None or isinstance(seed, np.random.SeedSequence) or (isinstance(seed, int | np.integer) and seed >= 0)
    ):
        raise UsageError(
            say(
                where,
                "this is no seed",
                expected="an integer >= 0, a SeedSequence, a Generator or None",
                got=repr(seed),
            )
        )
    sequence = (
        seed
        if isinstance(seed, np.random.SeedSequence)
        else np.random.SeedSequence(None if seed is None else int(seed))
    )
    return Seeds(*(np.random.default_rng(child) for child in sequence.spawn(len(Seeds._fields))))
