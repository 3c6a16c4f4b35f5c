"""The vocabularies by name: what `units=` and `--units` take, and what a model file holds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from elman.errors import ModelFileError, UsageError, say
from elman.tasks.byte_vocabulary import ByteVocabulary
from elman.tasks.token_vocabulary import TokenVocabulary
from elman.tasks.units import Units
from elman.tasks.vocabulary import Vocabulary
from elman.tasks.word_vocabulary import WordVocabulary

__all__ = ["UNITS", "UnitsLike", "as_units", "stored_units"]

#: How a user names units: a name, the path of a tokenizer, or a vocabulary.
UnitsLike = str | os.PathLike[str] | Units

#: Vocabularies that need no file, by their name.
UNITS: dict[str, type[Any]] = {kind.kind: kind for kind in (Vocabulary, ByteVocabulary, WordVocabulary)}


def as_units(given: UnitsLike, *, where: str) -> Units | type[Any]:
    """Give the vocabulary that a user means, or the class of one that is still to be learned from a text.

    Args:
        given: "characters", "bytes", "words", the path of a tokenizer's JSON file, or a vocabulary.
        where: who asks, for messages.

    Raises:
        UsageError: if it is none of these.
        DataError: if the file is no tokenizer.
    """
    if isinstance(given, Units):
        return given
    if isinstance(given, str) and given in UNITS:
        kind = UNITS[given]
        return kind if kind.learned else kind()
    if isinstance(given, os.PathLike) or (
        isinstance(given, str) and (given.endswith(".json") or os.path.exists(given))
    ):
        return TokenVocabulary.from_file(given)
    expected = f"one of {', '.join(UNITS)}, or the JSON file of a tokenizer"
    raise UsageError(say(where, "units is not accepted", expected=expected, got=repr(given)))


def stored_units(stored: Any, tensors: Mapping[str, NDArray[Any]]) -> Units:
    """Rebuild the vocabulary of a model file.

    Args:
        stored: from its header.
        tensors: from beside it.

    Raises:
        ModelFileError: if it is none.
        UsageError: if it needs an extra that is not installed.
    """
    unit = stored.get("unit") if isinstance(stored, dict) else None
    if unit == ByteVocabulary.one:
        return ByteVocabulary.from_dict(stored)
    if unit == WordVocabulary.one:
        return WordVocabulary.from_dict(stored)
    if unit == TokenVocabulary.one:
        return TokenVocabulary.from_dict(stored, tensors)
    if unit == "code point":
        return Vocabulary.from_dict(stored)
    raise ModelFileError(say("vocabulary", "unknown form", expected="unit 'code point', 'byte', 'word' or 'token'"))
