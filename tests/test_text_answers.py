"""What a language model answers is what its probabilities say: candidates, fillings, beams, figures per unit."""

import itertools
import math
import re

import numpy as np
import pytest

from elman.errors import DataError, DataTypeError, UsageError
from elman.tasks import LanguageModel
from elman.tasks.sampling import REPEATED, Sampler

TEXT = "the cat sat. the cat ran. a dog sat. a dog ran fast.\n" * 12


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return LanguageModel(
        layers=1, hidden=24, batch=4, steps=20, epochs=8, dropout=0.0, lr=1e-2, random_state=0, verbose=0
    ).fit(TEXT)


@pytest.fixture(scope="module")
def words() -> LanguageModel:
    return LanguageModel(
        units="words",
        layers=1,
        hidden=16,
        batch=4,
        steps=10,
        epochs=60,
        dropout=0.0,
        lr=1e-2,
        random_state=0,
        verbose=0,
    ).fit(TEXT)


def log_p(model, before, text):
    """Give log p(text | before) by the definition, one pass over all of it."""
    ids = model.vocabulary_.encode(before + text).astype(np.int64)
    logits = np.asarray(model.model_.predict(ids[None, :-1])[0], np.float64)
    steps = (
        logits
        - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))
        - logits.max(1, keepdims=True)
    )
    begin = len(model.vocabulary_.encode(before))
    return float(steps[np.arange(begin - 1, len(ids) - 1), ids[begin:]].sum())


def test_candidates_are_the_probabilities_after_a_text(model):
    found = model.candidates("the c", 3)
    assert found[0][0] == "a" and [p for _, p in found] == sorted((p for _, p in found), reverse=True)
    everything = model.candidates("the c", 10_000)
    assert len(everything) == model.vocabulary_.size - 1 and sum(p for _, p in everything) == pytest.approx(1)
    # <unk> takes no part, so ratios are those of the model.
    (first, p), (second, q) = everything[:2]
    assert math.log(p / q) == pytest.approx(log_p(model, "the c", first) - log_p(model, "the c", second), abs=1e-4)
    assert model.candidates("", 2) == model.candidates("\n", 2)


def test_candidates_do_not_depend_on_how_the_text_came(words):
    stream = words.stream()
    for character in "a dog s":
        stream.feed(character)
    stream.feed("at")
    assert stream.candidates(3) == words.candidates("a dog sat", 3)
    stream.feed(". a ")
    assert stream.candidates(1)[0][0] == "dog"
    assert stream.candidates(1) == stream.candidates(1) == words.candidates("a dog sat. a ", 1)


def test_after_a_space_words_begin_without_it(words):
    assert words.candidates("the ", 1)[0][0] == "cat" and words.candidates("the", 1)[0][0] == " cat"
    assert "".join(words.sample(3, prime="a dog ", greedy=True))[:3] in ("sat", "ran")
    assert "".join(words.sample(3, prime="a dog", greedy=True))[:4] in (" sat", " ran")


@pytest.mark.parametrize("left, right", [("the c", "t ran."), ("", "he cat"), ("a do", "")])
def test_a_filling_has_the_probability_of_the_whole_text(model, left, right):
    found = dict(model.fill(left + "____" + right, 1000, longest=1, beam=1000))
    before = left or "\n"
    symbols = [s for s in model.vocabulary_.symbols if s]
    logs = np.array([log_p(model, before, symbol + right) for symbol in symbols])
    expected = np.exp(logs - logs.max()) / np.exp(logs - logs.max()).sum()
    assert set(found) == set(symbols)
    np.testing.assert_allclose([found[symbol] for symbol in symbols], expected, rtol=1e-4, atol=1e-9)


def test_a_filling_is_found_from_both_sides(model, words):
    assert model.fill("the ____ sat.", 1)[0][0] == "cat" and model.fill("a ____ sat.", 1)[0][0] == "dog"
    assert words.fill("a ____ ran", 1)[0][0] == "dog"
    # What comes before says nothing; what comes behind decides.
    chinese = LanguageModel(layers=1, hidden=32, epochs=15, lr=1e-2, dropout=0.0, random_state=0, verbose=0)
    chinese.fit("我买书。我喝茶。" * 80)
    assert [chinese.fill(f"我____{thing}。", 1)[0][0] for thing in "书茶"] == ["买", "喝"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.fill("no blank"), DataError, "fill: the text has 0 blanks, expected one blank, such as ____."),
        (lambda m: m.fill("__ and __"), DataError, "fill: the text has 2 blanks"),
        (lambda m: m.fill("the cat", blank="dog"), DataError, "the text has 0 blanks, expected 'dog' once."),
        (lambda m: m.fill(b"a __"), DataTypeError, "fill: it is no text, expected str, got bytes."),
        (lambda m: m.fill("a __", 0), UsageError, "fill: k is out of range, expected an integer >= 1, got 0."),
        (lambda m: m.fill("a __", beam=0), UsageError, "fill: beam is out of range"),
        (lambda m: m.fill("a __", longest=1.5), UsageError, "fill: longest is out of range"),
        (lambda m: m.fill("Ж__"), DataError, "the character U+0416"),
        (lambda m: m.candidates("a", 0), UsageError, "candidates: n is out of range"),
        (lambda m: m.candidates(3), DataTypeError, "feed: it is no text"),
        (lambda m: m.sample(5, beam=0), UsageError, "sample: beam is out of range, expected an integer >= 1, got 0."),
        (lambda m: m.sample(5, beam=2, top_k=3), UsageError, "sample: beam takes no temperature, top_k"),
        (lambda m: m.sample(5, min_p=1.5), UsageError, "sample: min_p is out of range, expected a number in [0, 1]"),
        (lambda m: m.sample(5, repetition_penalty=0.5), UsageError, "repetition_penalty is out of range"),
        (lambda m: m.sample(5, greedy=True, min_p=0.1), UsageError, "greedy takes no temperature"),
    ],
)
def test_what_cannot_be_answered_is_refused(model, call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call(model)


def test_a_wide_beam_finds_the_most_probable_text(model):
    symbols = model.vocabulary_.symbols
    every = ["".join(pair) for pair in itertools.product(symbols, repeat=2)]
    best = max(every, key=lambda text: log_p(model, "a d", text))
    assert "".join(model.sample(2, prime="a d", beam=len(symbols) ** 2)) == best


def test_a_beam_of_one_is_greedy(model):
    greedy = "".join(model.sample(25, prime="the", greedy=True))
    assert "".join(model.sample(25, prime="the", beam=1)) == greedy
    assert log_p(model, "the", "".join(model.sample(25, prime="the", beam=8))) >= log_p(model, "the", greedy) - 1e-6


def test_min_p_keeps_what_is_near_the_best():
    logits = np.log([0.1, 0.4, 0.25, 0.05, 0.2])
    p = Sampler(min_p=0.5).probabilities(logits)  # of 0.4: 0.2 and above; <unk> never
    np.testing.assert_allclose(p, np.array([0, 0.4, 0.25, 0, 0.2]) / 0.85, rtol=1e-12)
    assert Sampler(min_p=0).probabilities(logits)[3] > 0


def test_the_repetition_penalty_multiplies_log_probabilities():
    logits = np.log([0.1, 0.4, 0.25, 0.05, 0.2]) + 7  # whatever is added to all
    p = Sampler(repetition_penalty=1.5).probabilities(logits, before=[1, 1])
    known = np.array([0, 0.4, 0.25, 0.05, 0.2]) / 0.9
    known[1] **= 1.5
    np.testing.assert_allclose(p, known / known.sum(), rtol=1e-12)
    far = [1] + [2] * REPEATED
    assert Sampler(repetition_penalty=2.0).probabilities(logits, before=far)[1] > p[1]


def test_figures_per_token_add_up(model, words):
    for one in (model, words):
        text = TEXT[:60] + "zebra"
        figures = one.score(text, per_token=True)
        assert figures["nats_per_char"] > 0 and len(figures["per_token"]) == figures["count"]
        pieces, nats = zip(*figures["per_token"], strict=True)
        assert text.endswith("".join(pieces)) and len(text) - len("".join(pieces)) in (1, 3)
        assert math.exp(np.mean(nats)) == pytest.approx(figures["perplexity"], rel=1e-5)
