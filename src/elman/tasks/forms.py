"""The form of the input: what was learned about it from the training data, and what a network is given of it."""

from __future__ import annotations

import warnings
from typing import Annotated, Any, Literal, NamedTuple, Self

import msgspec
import numpy as np

from elman.errors import DataError, DataTypeError, UsageError, say
from elman.ragged import Ragged
from elman.tasks.inputs import Sequences
from elman.tasks.lexicon import Forms, Lexicon, split_words
from elman.tasks.scaling import Scaler
from elman.tasks.vocabulary import Vocabulary

__all__ = ["Characters", "Encoded", "InputForm", "Numbers", "Unit", "encode", "learn_form"]

Unit = Literal["auto", "characters", "words"]


class Encoded(NamedTuple):
    """What batches are cut from.

    Attributes:
        x: values (N, F) float32, ids of characters (N,), or numbers of forms (N,).
        forms: of words; None for the others.
    """

    x: Ragged
    forms: Forms | None = None


class Numbers(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="numbers"):
    """Sequences of numbers.

    Attributes:
        features: numbers per step.
        scaler: of the channels.
        width: columns of a table; None for sequences of any lengths.
        names: of the columns of a frame, if it had some.
    """

    features: Annotated[int, msgspec.Meta(ge=1, le=2**24)]
    scaler: Scaler
    width: Annotated[int, msgspec.Meta(ge=1)] | None = None
    names: list[str] | None = None

    def __post_init__(self) -> None:
        if len(self.scaler.mean) != self.features:
            raise ValueError("the scaler must have one mean for each feature")

    @classmethod
    def learn(cls, sequences: Sequences) -> Self:
        """Find the scale of every channel."""
        values = sequences.parts.values
        return cls(values.shape[1], Scaler.learn(values), sequences.width, sequences.names)


class Characters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="characters"):
    """Texts, character by character.

    Attributes:
        symbols: the characters of the training data, in the order of their code points.
    """

    symbols: Annotated[str, msgspec.Meta(max_length=65_535)]

    def __post_init__(self) -> None:
        Vocabulary(self.symbols)  # refuses what is not in order


InputForm = Numbers | Characters | Lexicon


def learn_form(sequences: Sequences, unit: Unit, *, per_step: bool, where: str) -> InputForm:
    """Find the form of the input in the training data.

    Args:
        sequences: of the training data.
        unit: what one step of a text is. "auto": words where most texts have white space, else characters.
        per_step: whether there is an answer for each step, which words of a whole text have no names for.
        where: who asks, for messages.

    Raises:
        UsageError: if the unit does not go with the data.
        DataError: if there is nothing to learn from.
    """
    if sequences.kind == "numbers":
        if not len(sequences.parts.values):
            raise DataError(say(where, "all sequences are empty", expected="at least one step"))
        return Numbers.learn(sequences)
    if sequences.kind == "tokens":
        if unit == "characters":
            cure = "Give strings, or leave unit out"
            raise UsageError(say(where, "lists of tokens are read as words", got="unit='characters'", cure=cure))
        return Lexicon.learn(sequences.parts)
    if unit == "auto" and not per_step:
        spaced = sum(len(text.split()) > 1 for text in sequences.parts)
        unit = "words" if 2 * spaced >= len(sequences) else "characters"
    if unit == "words":
        if per_step:
            cure = "Cut each text into a list of words"
            raise UsageError(say(where, "words of a whole string have no labels of their own", cure=cure))
        return Lexicon.learn(map(split_words, sequences.parts))
    known = set[str]().union(*sequences.parts)
    if len(known) >= 65_536:
        raise DataError(say(where, f"the texts have {len(known):,} different characters", expected="at most 65,535"))
    return Characters(Vocabulary.from_text("".join(sorted(known))).symbols)


def encode(form: InputForm, sequences: Sequences, *, who: str, where: str, needs_steps: bool) -> Encoded:
    """Give sequences as a network takes them.

    Args:
        form: of the training data.
        sequences: any.
        who: the class, for messages.
        where: the method, for messages.
        needs_steps: whether empty sequences are refused.

    Raises:
        DataError: if a sequence is empty, or does not have the features of the training data.
        DataTypeError: if text comes for numbers, or the other way round.
    """
    if isinstance(form, Numbers):
        encoded = Encoded(_scaled(form, sequences, who, where))
    elif isinstance(form, Characters):
        if sequences.kind != "strings":
            raise _other_kind(sequences, "strings", who, where)
        lengths = np.array([len(text) for text in sequences.parts], np.int64)
        ids = Vocabulary(form.symbols).encode("".join(sequences.parts)).astype(np.int64)
        encoded = Encoded(Ragged.trusted(ids, lengths))
    else:
        if sequences.kind == "numbers":
            raise _other_kind(sequences, "strings or lists of tokens", who, where)
        words = sequences.parts if sequences.kind == "tokens" else [split_words(text) for text in sequences.parts]
        encoded = Encoded(*form.encode(words))
    if needs_steps and (encoded.x.lengths == 0).any():
        index = int(np.argmin(encoded.x.lengths))
        what = "has no steps" if sequences.kind != "strings" or not sequences.parts[index] else "has no words"
        cure = "Leave it out: nothing can be said about nothing"
        least = "at least one word" if what == "has no words" else "at least one step"
        raise DataError(say(where, f"sequence {index} {what}", expected=least, cure=cure))
    return encoded


def _scaled(form: Numbers, sequences: Sequences, who: str, where: str) -> Ragged:
    if sequences.kind != "numbers":
        raise _other_kind(sequences, "numbers", who, where)
    _check_names(form, sequences, who)
    x: Ragged = sequences.parts
    tables = sequences.dense and sequences.width is not None and form.width is not None
    expected, got = (form.width, sequences.width) if tables else (form.features, x.features)
    if got != expected:
        wrong = f"X has {got} features, but {who} is expecting {expected} features as input"
        steps = "a table of as many columns" if tables else "as many numbers at each step"
        raise DataError(say(where, wrong, cure=f"Give {steps} as fit was given"))
    return x.with_values(np.ascontiguousarray(form.scaler.apply(x.values, where=where), np.float32))


def _check_names(form: Numbers, sequences: Sequences, who: str) -> None:
    """Compare names of columns, in the words that scikit-learn's users know."""
    ours, theirs = form.names, sequences.names
    if ours == theirs:
        return
    if theirs is None:
        warnings.warn(f"X does not have valid feature names, but {who} was fitted with feature names", stacklevel=6)
    elif ours is None:
        warnings.warn(f"X has feature names, but {who} was fitted without feature names", stacklevel=6)
    else:
        unexpected, missing = sorted(set(theirs) - set(ours)), sorted(set(ours) - set(theirs))
        message = "The feature names should match those that were passed during fit.\n"
        for title, names in (
            ("Feature names unseen at fit time:\n", unexpected),
            ("Feature names seen at fit time, yet now missing:\n", missing),
        ):
            if names:
                message += title + "".join(f"- {name}\n" for name in names[:5]) + ("- ...\n" if len(names) > 5 else "")
        if not missing and not unexpected:
            message += "Feature names must be in the same order as they were in fit.\n"
        raise DataError(message)


def _other_kind(sequences: Sequences, expected: str, who: str, where: str) -> DataTypeError:
    got: Any = {"numbers": "numbers", "strings": "strings", "tokens": "lists of tokens"}[sequences.kind]
    return DataTypeError(say(where, f"X is of another kind than {who} was fitted on", expected=expected, got=got))
