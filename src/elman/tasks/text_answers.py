"""What a trained language model answers: how probable a text is, how it goes on, what is missing in it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, DataTypeError, UsageError, say
from elman.tasks.base import Task
from elman.tasks.corpus import Corpus, Texts, as_corpus
from elman.tasks.sampling import REPEATED, Sampler, is_integer
from elman.tasks.search import between, continuation, log_softmax
from elman.tasks.text_stream import TextStream
from elman.tasks.units import UNKNOWN, Units
from elman.training.seeds import spawn
from elman.training.streams import StreamBatches

__all__ = ["SCORE_STEPS", "TextAnswers"]

# Steps per window when one stream is scored: enough that the cost per window vanishes, and the logits of a window of
# 5,000 characters of a Chinese text still take only 40 MB.
SCORE_STEPS = 2000

# Units that a blank may hold at most, unless more are asked for: a word or two.
_LONGEST = {"characters": 12, "bytes": 18, "words": 3, "tokens": 4}
_BLANK = re.compile("_{2,}")


class TextAnswers(Task):
    """The part of a language model that is asked; see `LanguageModel`."""

    vocabulary_: Units
    verbose: str | int

    def score(self, text: Texts | Corpus, y: None = None, *, per_token: bool = False) -> dict[str, Any]:
        """Measure how well a text is predicted, as one stream from the zero state.

        Args:
            text: as for `fit`; a `Corpus` must have been read with `vocabulary=model.vocabulary_`.
            y: ignored; scikit-learn passes it.
            per_token: whether to give the figures of every unit as well.

        Returns:
            nats_per_char, bits_per_char and perplexity, over `count` characters (all but the first), of which `unseen`
            are not in the vocabulary. Of a model of other units also nats_per_byte, nats_per_word or nats_per_token;
            perplexity and count are then of these, and figures per character count the characters that they stand for
            (what is `<unk>` is predicted as that, and not spelled).
            With `per_token` also per_token: a list of (piece of the text, nats), for all units but the first.

        Raises:
            DataError: if the text has fewer than two units.
            NotFittedError: before `fit`.

        Example:
            >>> from elman import LanguageModel
            >>> model = LanguageModel(layers=1, hidden=16, epochs=2, random_state=0, verbose=0).fit("to be, " * 50)
            >>> [piece for piece, nats in model.score("to be", per_token=True)["per_token"]]
            ['o', ' ', 'b', 'e']
        """
        self._check_fitted("score")
        corpus, batches = self._one_stream(text, "score")
        units = self.vocabulary_
        nats = self.model_.evaluate_batches(batches)["loss"]
        n_characters = corpus.n_characters - len(units.decode(corpus.ids[:1]))
        per_char = nats if units.one == "character" else nats * batches.n_items / max(1, n_characters)
        figures: dict[str, Any] = {
            "nats_per_char": per_char,
            "bits_per_char": per_char / math.log(2),
            "perplexity": math.exp(min(nats, 700.0)),
            "count": batches.n_items,
            "unseen": corpus.count(UNKNOWN, start=1),
        }
        if units.one != "character":
            figures[f"nats_per_{units.one}"] = nats
        if per_token:
            pieces = units.pieces(text) if isinstance(text, str) else map(units.piece, corpus.ids.tolist())
            figures["per_token"] = list(zip(list(pieces)[1:], self._nats(batches), strict=True))
        return figures

    def _nats(self, batches: StreamBatches) -> list[float]:
        """Give the nats of every unit of one stream but the first."""
        found: list[float] = []
        state = None
        for batch in batches:
            logits, state = self.model_.predict(batch.x.values[None], state=state, return_state=True, verbose=0)
            log_p = log_softmax(logits[0])
            found += (-log_p[np.arange(len(log_p)), np.asarray(batch.target)]).tolist()
        return found

    def _one_stream(self, text: Texts | Corpus, where: str) -> tuple[Corpus, StreamBatches]:
        """Return a text, and its units as one stream."""
        corpus = as_corpus(text, where=where, vocabulary=self.vocabulary_, verbose=self.verbose)
        units = self.vocabulary_
        if len(corpus.ids) < 2:
            raise DataError(say(where, f"the text has {len(corpus.ids)} {units.kind}", expected="at least 2"))
        return corpus, StreamBatches(corpus.ids, n_streams=1, steps=SCORE_STEPS, unit=units.kind)

    def _measuring(self, data: Any) -> StreamBatches | None:
        return None if data is None else self._one_stream(data, "quantize")[1]

    def sample(
        self,
        length: int = 500,
        *,
        prime: str = "",
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        repetition_penalty: float = 1.0,
        greedy: bool = False,
        beam: int | None = None,
        random_state: int | None = None,
    ) -> Iterator[str]:
        """Write new text, one unit at a time.

        Args:
            length: how many characters, bytes, words or tokens; a character that a byte has begun is finished.
            prime: the text to go on from, not given back. Without it the model begins a line, or with any unit if its
                text had no lines.
            temperature: below 1 is bolder, above 1 is wilder; 0 is greedy.
            top_k: choose among the k most probable units.
            top_p: choose among the most probable that together reach this probability.
            min_p: choose among those with at least this share of the probability of the most probable one.
            repetition_penalty: above 1 makes what is among the last 64 units less probable.
            greedy: always take the most probable unit.
            beam: follow so many texts side by side and give the most probable one; nothing is drawn, and the whole text
                is found before its first character.
            random_state: seed; the same seed gives the same text.

        Returns:
            An iterator over pieces of text, each computed when it is asked for: the characters of a character model.

        Raises:
            DataError: if `prime` holds a character that the model does not know.
            DataTypeError: if `prime` is no text.
            UsageError: if an argument is out of range.
            NotFittedError: before `fit`.
        """
        self._check_fitted("sample")
        if not is_integer(length) or length < 0:
            raise UsageError(say("sample", "length is out of range", expected="an integer >= 0", got=repr(length)))
        sampler = Sampler(
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            repetition_penalty=repetition_penalty,
            greedy=greedy,
        )
        if beam is not None:
            if not is_integer(beam) or beam < 1:
                raise UsageError(say("sample", "beam is out of range", expected="an integer >= 1", got=repr(beam)))
            if sampler != Sampler():
                wrong = "beam takes no temperature, top_k, top_p, min_p, repetition_penalty or greedy"
                raise UsageError(say("sample", wrong, cure="Give one or the other"))
        rng = spawn(random_state, where="random_state").sampling
        if not isinstance(prime, str):
            cure = "Leave it out to begin anew" if prime is None else None
            raise DataTypeError(say("sample", "prime is no text", expected="str", got=type(prime).__name__, cure=cure))
        ids, first = self.vocabulary_.prompt(prime, where="prime")
        return self._sample(int(length), ids, first, sampler, None if beam is None else int(beam), rng)

    def _sample(
        self,
        length: int,
        ids: NDArray[Any],
        first: NDArray[np.bool_] | None,
        sampler: Sampler,
        beam: int | None,
        rng: np.random.Generator,
    ) -> Iterator[str]:
        units = self.vocabulary_
        began = len(ids) > 0
        if not began and not len(ids := units.opening):
            ids = self._any_first(rng)
            if length:
                yield units.speller()(int(ids[0]))
            length -= 1
        if length <= 0:
            return
        before = ids[-REPEATED:].tolist()
        spell = units.speller(before if began else ())
        if beam is None:
            tokens = self._drawn(length, ids, first, sampler, rng)
        else:
            found = continuation(self.model_, units, ids, length=length, width=beam, first=first)
            tokens = iter(found)
        for token in tokens:
            if text := spell(token):
                yield text[1:] if first is not None else text
                first = None

    def _drawn(
        self,
        length: int,
        ids: NDArray[Any],
        first: NDArray[np.bool_] | None,
        sampler: Sampler,
        rng: np.random.Generator,
    ) -> Iterator[int]:
        """Draw tokens after a text, and go on until its last character is whole."""
        units, stream = self.vocabulary_, self.model_.stream()
        before: list[int] = ids[-REPEATED:].tolist()
        logits = stream.chunk(ids)[-1]
        while length > 0:
            # Numbers are drawn by the hundred: one at a time they would cost as much as a layer.
            for uniform in rng.random(min(length, 256)).tolist():
                allowed = units.allowed(before) if first is None else first
                token = sampler.choose(logits, uniform, unwritable=units.unwritable, allowed=allowed, before=before)
                yield token
                first = None
                before = [*before[1 - REPEATED :], token]
                logits = stream.step(token)
            length -= 256
            if length <= 0 and not units.ends(before):
                length = 1

    def _any_first(self, rng: np.random.Generator) -> NDArray[np.int32]:
        """Draw a first unit, each as probable as any other."""
        units = self.vocabulary_
        allowed = units.allowed(())
        writable = np.setdiff1d(np.arange(units.size) if allowed is None else np.flatnonzero(allowed), units.unwritable)
        return writable[rng.integers(len(writable), size=1)].astype(np.int32)

    def candidates(self, text: str, k: int = 5) -> list[tuple[str, float]]:
        """Say what may come after a text.

        Args:
            text: any; "" asks how a line begins.
            k: how many units, at most.

        Returns:
            The likeliest characters, bytes, words or tokens with their probabilities, best first; `<unk>` is none of
            them. After a space, words come without the space before them.

        Raises:
            DataError: if the text holds a character that the model does not know.
            DataTypeError: if it is no text.
            UsageError: if k is no count.
            NotFittedError: before `fit`.

        Example:
            >>> from elman import LanguageModel
            >>> model = LanguageModel(layers=1, hidden=32, epochs=4, random_state=0, verbose=0).fit("to be, " * 100)
            >>> [character for character, probability in model.candidates("to b", 1)]
            ['e']
        """
        stream = self.stream()
        stream.feed(text if text != "" else "\n" if len(self.vocabulary_.opening) else "")
        return stream.candidates(k)

    def fill(
        self, text: str, k: int = 5, *, blank: str | None = None, longest: int | None = None, beam: int = 64
    ) -> list[tuple[str, float]]:
        """Say what may stand in a blank, from what comes before it and what comes behind.

        The model reads from the left. What comes behind speaks through the probability of the whole text:
        p(filling | both sides) is proportional to p(filling | left) · p(right | left, filling), and so every proposal
        is read on with the text behind it. Proposals are those that a beam search from the left finds, of one up to
        `longest` units; of the text behind the first 64 units count.

        Args:
            text: with one blank in it, two or more underscores if `blank` is None.
            k: how many proposals, at most.
            blank: what stands for it.
            longest: units in the blank at most; None is 12 characters, 18 bytes, 3 words, 4 tokens.
            beam: how many proposals of each length are followed.

        Returns:
            Proposals with their probabilities among all that were followed, best first.

        Raises:
            DataError: if there is not one blank, or the text holds a character that the model does not know.
            DataTypeError: if it is no text.
            UsageError: if a count is out of range.
            NotFittedError: before `fit`.

        Example:
            >>> from elman import LanguageModel
            >>> model = LanguageModel(layers=1, hidden=48, epochs=12, random_state=0, verbose=0)
            >>> _ = model.fit("one cat runs. two cats run. " * 100)
            >>> [(before, _)] = model.fill("one ____ runs.", 1)
            >>> before
            'cat'
        """
        self._check_fitted("fill")
        for name, count in (("k", k), ("longest", 1 if longest is None else longest), ("beam", beam)):
            if not is_integer(count) or count < 1:
                raise UsageError(say("fill", f"{name} is out of range", expected="an integer >= 1", got=repr(count)))
        if not isinstance(text, str):
            raise DataTypeError(say("fill", "it is no text", expected="str", got=type(text).__name__))
        sides = _BLANK.split(text) if blank is None else text.split(blank) if blank else [text]
        if len(sides) != 2:
            expected = "one blank, such as ____" if blank is None else f"{blank!r} once"
            raise DataError(say("fill", f"the text has {len(sides) - 1} blanks", expected=expected))
        units = self.vocabulary_
        left, first = units.prompt(sides[0], where="text")
        right = units.require(sides[1], where="text")
        began = len(left) > 0
        if not began and not len(left := units.opening):
            left = np.array([UNKNOWN])  # no line was ever begun: what stands before is not known
        longest = _LONGEST[units.kind] if longest is None else int(longest)
        found = between(self.model_, units, left, right, longest=longest, width=int(beam), first=first)
        best = max((log_p for _, log_p in found), default=0.0)
        weights: dict[str, float] = {}
        for ids, log_p in found:
            pieces = list(map(units.speller(left[-4:].tolist() if began else ()), ids))
            if not pieces[-1]:  # a character has begun and is not whole
                continue
            filling = "".join(pieces)
            filling = filling.removeprefix(" ") if first is not None else filling
            weights[filling] = weights.get(filling, 0.0) + math.exp(log_p - best)
        total = sum(weights.values())
        ranked = sorted(weights.items(), key=lambda pair: -pair[1])
        return [(filling, weight / total) for filling, weight in ranked[: int(k)]]

    def stream(self) -> TextStream:
        """Begin a text that comes piece by piece; see `elman.tasks.TextStream`.

        Raises:
            NotFittedError: before `fit`.
        """
        self._check_fitted("stream")
        return TextStream(self.model_, self.vocabulary_)
