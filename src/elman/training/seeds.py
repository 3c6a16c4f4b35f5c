"""One seed, fixed children: what each kind of randomness draws from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from elman.errors import UsageError, say

__all__ = ["Seed", "Seeds", "spawn"]

Seed = int | np.random.SeedSequence | np.random.Generator | None


class Seeds:
    """The generators of one run, each made when it is first asked for.

    Attributes:
        init: for first weights.
        shuffle: for the order of sequences.
        dropout: for what layers drop.
        sampling: for what is drawn from a model.
    """

    def __init__(self, sequences: Sequence[np.random.SeedSequence]) -> None:
        self._sequences = sequences

    @cached_property
    def init(self) -> np.random.Generator:
        """For first weights."""
        return np.random.default_rng(self._sequences[0])

    @cached_property
    def shuffle(self) -> np.random.Generator:
        """For the order of sequences."""
        return np.random.default_rng(self._sequences[1])

    @cached_property
    def dropout(self) -> np.random.Generator:
        """For what layers drop."""
        return np.random.default_rng(self._sequences[2])

    @cached_property
    def sampling(self) -> np.random.Generator:
        """For what is drawn from a model."""
        return np.random.default_rng(self._sequences[3])


_KINDS = 4  # the order above is fixed: a new kind goes to the end


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
        return Seeds(seed.bit_generator.seed_seq.spawn(_KINDS))  # type: ignore[attr-defined]  # numpy's stubs lack it
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
    return Seeds(sequence.spawn(_KINDS))
