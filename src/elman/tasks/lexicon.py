"""Words, their spelling, and what of both a network has seen."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from elman.ragged import Ragged
from elman.training.batches import Batch, SequenceBatches

__all__ = ["Forms", "Lexicon", "WordBatches", "Words", "split_words"]

Array = NDArray[Any]

# What a layer may have of units; rarer words are known by their spelling.
_MAX_WORDS = 65_535
# Words this rare are known by their spelling alone: what is learned of them is mostly chance.
_MIN_COUNT = 2
_AFFIX = 3

_WORD = re.compile(r"\w+|[^\w\s]")


def split_words(text: str) -> list[str]:
    """Cut a text into words and signs; white space is left out.

    Args:
        text: any.

    Example:
        >>> split_words("Don't panic, 42!")
        ['Don', "'", 't', 'panic', ',', '42', '!']
    """
    return _WORD.findall(text)


class Words(NamedTuple):
    """A batch of sequences of words, each different word spelled once.

    Attributes:
        places: (N,) which of the forms stands at each step.
        words: (U,) ids of the forms in the vocabulary, 0 where it has none.
        prefixes: (U,) ids.
        suffixes: (U,) ids.
        letters: the spelling of the U forms.
    """

    places: Ragged
    words: Array
    prefixes: Array
    suffixes: Array
    letters: Ragged


class Forms(NamedTuple):
    """All different words of a data set; see `Words`."""

    words: Array
    prefixes: Array
    suffixes: Array
    letters: Ragged

    def batch(self, ids: Ragged) -> Words:
        """Give the batch of these sequences.

        Args:
            ids: (N,) forms.
        """
        found, places = np.unique(ids.values, return_inverse=True)
        return Words(
            ids.with_values(places),
            self.words[found],
            self.prefixes[found],
            self.suffixes[found],
            self.letters.select(found),
        )


class WordBatches:
    """Batches of `Words`, cut as `SequenceBatches` cuts; every `iter` is one epoch.

    Args:
        batches: of sequences of forms.
        forms: the words that they are.
    """

    carries_state = False
    unit = "sequences"

    def __init__(self, batches: SequenceBatches, forms: Forms) -> None:
        self.batches, self.forms, self.n_items = batches, forms, batches.n_items

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.batches:
            yield batch._replace(x=self.forms.batch(batch.x))  # type: ignore[arg-type]  # what the first layer takes


class Lexicon(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="words"):
    """The words, beginnings, ends and letters of the training data; id 0 stands for all others.

    Attributes:
        words: with id 1, 2, …; those that stand there at least twice, most frequent first.
        counts: how often each stands there.
        prefixes: first three letters.
        suffixes: last three letters.
        letters: code points, each once.
    """

    words: list[str]
    counts: list[int]
    prefixes: list[str]
    suffixes: list[str]
    letters: str

    def __post_init__(self) -> None:
        if len(self.words) != len(self.counts):
            raise ValueError("there must be one count for each word")
        for name in ("words", "prefixes", "suffixes", "letters"):
            known = getattr(self, name)
            if len(set(known)) != len(known) or len(known) > _MAX_WORDS:
                raise ValueError(f"{name} must differ, and be at most {_MAX_WORDS:,}")

    @classmethod
    def learn(cls, sequences: Iterable[list[str]]) -> Self:
        """Collect the words of a data set.

        Args:
            sequences: of words.
        """
        counts = Counter(itertools.chain.from_iterable(sequences))
        # Sorted by themselves where they are as frequent: the order of the data decides nothing.
        frequent = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        known = [(word, count) for word, count in frequent if count >= _MIN_COUNT][:_MAX_WORDS]
        prefixes, suffixes, letters = Counter[str](), Counter[str](), Counter[str]()
        for word, count in frequent:
            prefixes[word[:_AFFIX]] += count
            suffixes[word[-_AFFIX:]] += count
            for letter in word:
                letters[letter] += count
        return cls(
            [word for word, _ in known],
            [count for _, count in known],
            _frequent(prefixes),
            _frequent(suffixes),
            "".join(_frequent(letters)),
        )

    @property
    def sizes(self) -> dict[str, int]:
        """How many ids there are of each kind, 0 included."""
        kinds = {"words": self.words, "letters": self.letters, "prefixes": self.prefixes, "suffixes": self.suffixes}
        return {name: len(known) + 1 for name, known in kinds.items()}

    def encode(self, sequences: list[list[str]]) -> tuple[Ragged, Forms]:
        """Give sequences of words as numbers of forms, and the forms.

        Args:
            sequences: of words, known or not.
        """
        number: dict[str, int] = {}
        lengths = np.array([len(words) for words in sequences], np.int64)
        ids = np.fromiter(
            (number.setdefault(word, len(number)) for words in sequences for word in words), np.int64, lengths.sum()
        )
        of_letter = {letter: index for index, letter in enumerate(self.letters, 1)}
        spelled = [of_letter.get(letter, 0) for word in number for letter in word]
        letters = np.array(spelled, np.int64)
        forms = Forms(
            _ids(self.words, number),
            _ids(self.prefixes, (word[:_AFFIX] for word in number)),
            _ids(self.suffixes, (word[-_AFFIX:] for word in number)),
            Ragged.trusted(letters, np.array([len(word) for word in number], np.int64)),
        )
        return Ragged.trusted(ids, lengths), forms


def _frequent(counts: Counter[str]) -> list[str]:
    """Give the keys that stand there at least twice, most frequent first."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [key for key, count in ranked if count >= _MIN_COUNT][:_MAX_WORDS]


def _ids(known: Iterable[str], asked: Iterable[str]) -> NDArray[np.int64]:
    ids = {key: index for index, key in enumerate(known, 1)}
    return np.array([ids.get(key, 0) for key in asked], np.int64)
