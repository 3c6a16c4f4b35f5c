"""Bytes, words and tokens are ids and text again, however a text is cut; the model file keeps what they need."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman import files
from elman.errors import DataError, ModelFileError, UsageError
from elman.tasks import ByteVocabulary, Corpus, LanguageModel, TokenVocabulary, Vocabulary, WordVocabulary, load
from elman.tasks.known_units import as_units
from elman.tasks.units import segments
from elman.tasks.word_vocabulary import split_pieces

ENGLISH = "The quick brown fox doesn't jump over the lazy dog.\n" * 20
CHINESE = "床前明月光，疑是地上霜。\n举头望明月，低头思故乡。\n" * 20
TEXTS = st.text(st.sampled_from("ab '’\n.床é\u0301👩\u200d\r\t\0"), max_size=30) | st.text(max_size=20)


def tokenizer(tmp_path, *, kind="bytes"):
    tokenizers = pytest.importorskip("tokenizers")
    spaces = kind == "spaces"
    made = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="[UNK]" if spaces else None))
    pre, post = tokenizers.pre_tokenizers, tokenizers.decoders
    made.pre_tokenizer = pre.Metaspace() if spaces else pre.ByteLevel(add_prefix_space=False)
    made.decoder = post.Metaspace() if spaces else post.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=200, special_tokens=["[UNK]", "[PAD]"], show_progress=False)
    made.train_from_iterator([ENGLISH + CHINESE], trainer)
    path = tmp_path / f"{kind}.json"
    made.save(str(path))
    return path


def tiny(**arguments):
    return LanguageModel(
        **{"layers": 1, "hidden": 12, "batch": 4, "steps": 10, "epochs": 2, "random_state": 0, "verbose": 0} | arguments
    )


# A text and its ids ----------------------------------------------------------------------------------------------


@given(TEXTS)
def test_bytes_and_words_are_the_text_again(text):
    for units in (ByteVocabulary(), WordVocabulary.from_texts([text, "x"], least=1)):
        ids = units.encode(text)
        assert units.decode(ids) == text and ids.dtype == np.int32
        spell = units.speller()
        assert "".join(map(spell, ids.tolist())) == text
    assert "".join(split_pieces(text)) == text


@given(TEXTS, st.lists(st.integers(0, 30), max_size=5))
def test_words_are_the_same_however_the_text_is_cut(text, cuts):
    units = WordVocabulary.from_texts([text + "x"], least=1)
    places = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    pieces = [(text[a:b], np.zeros(0, np.int64)) for a, b in itertools.pairwise(places)]
    found = [units.encode(part) for part, _ in segments(pieces, units)]
    np.testing.assert_array_equal(np.concatenate([np.zeros(0, np.int32), *found]), units.encode(text))


def test_words_far_from_a_space_are_the_same_however_the_text_is_cut():
    text = "don't " + "床前明月光" * 100 + "don't"
    units = WordVocabulary.from_texts([text], least=1)
    for cut in (*range(500, len(text)), 20):
        pieces = [(part, np.zeros(0, np.int64)) for part in (text[:cut], text[cut:])]
        assert [piece for part, _ in segments(pieces, units) for piece in split_pieces(part)] == split_pieces(text)


def test_words_keep_the_space_before_them_and_scripts_without_spaces_come_apart():
    assert split_pieces("To be, or  not.\n") == ["To", " be", ",", " or", " ", " not", ".", "\n"]
    assert split_pieces("我想买 手机。สวัสดี") == [*"我想买", " 手", *"机。สวัสดี"]
    assert split_pieces("नमस्ते, don’t") == ["नमस्ते", ",", " don’t"]


def test_rare_words_are_unknown_and_the_most_frequent_are_kept():
    texts = ["a a a b b c", " b"]
    assert WordVocabulary.from_texts(texts).words == (" b", " a")
    assert WordVocabulary.from_texts(texts, most=1).words == (" b",)
    assert WordVocabulary.from_texts(["x y z"]).words == (" y", " z", "x")  # none comes twice
    units = WordVocabulary.from_texts(texts)
    assert units.encode("a a c").tolist() == [0, 2, 0] and units.decode([0, 2]) == "\ufffd a"
    assert units.require("never seen", where="prime").tolist() == [0, 0]
    assert units.require("b b", where="prime").tolist() == [1, 1]  # a beginning has no space before it


@given(st.text(max_size=12), st.randoms())
def test_bytes_that_may_follow_are_those_that_make_text(text, random):
    units, ids = ByteVocabulary(), ByteVocabulary().encode(text).tolist()
    for place, token in enumerate(ids):
        assert units.allowed(ids[:place])[token]
    walk = list(ids)
    for _ in range(20):
        walk.append(random.choice(np.flatnonzero(units.allowed(walk)).tolist()))
    while not units.ends(walk):
        walk.append(random.choice(np.flatnonzero(units.allowed(walk)).tolist()))
    spelled = units.decode(walk)
    assert spelled.encode().decode() == spelled and spelled.count("\ufffd") == text.count("\ufffd") + sum(
        spelled[len(text) :].count(sign) for sign in "\ufffd"
    )
    assert units.encode(spelled).tolist() == walk


@pytest.mark.parametrize("kind", ["bytes", "spaces"])
def test_tokens_are_the_tokenizers(kind, tmp_path):
    units = TokenVocabulary.from_file(tokenizer(tmp_path, kind=kind))
    text = ENGLISH[:104] + CHINESE[:26]
    ids = units.encode(text)
    assert (
        ids.min() >= 1
        and ids.max() < units.size
        and "".join(units.pieces(text)).replace("▁", " ").strip() == text.strip()
    )
    assert units.decode(ids).strip() == text.strip()
    spell = units.speller()
    assert "".join(map(spell, ids.tolist())).strip() == text.strip()
    assert set(units.unwritable.tolist()) == {0, 1, 2}
    (quick,) = (token for token in range(1, units.size) if units.piece(token) == " quick")
    assert units.opens_with_space[quick]
    assert units == TokenVocabulary(units.content) != ByteVocabulary()


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("letters", UsageError, "units is not accepted, expected one of characters, bytes, words, or the JSON file"),
        ("missing.json", UsageError, "missing.json: the tokenizer cannot be read: no such file"),
        (3, UsageError, "units is not accepted"),
    ],
)
def test_units_that_are_none_are_refused(given, error, message):
    with pytest.raises(error, match=re.escape(message)):
        as_units(given, where="LanguageModel")


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path):
    pytest.importorskip("tokenizers")
    for content in ("{", "{}", "[1]", '{"version": "1.0", "model": {"type": "BPE"}}'):
        (tmp_path / "t.json").write_text(content)
        with pytest.raises(DataError, match="this is no tokenizer"):
            tiny(units=str(tmp_path / "t.json")).fit(ENGLISH)


@pytest.mark.parametrize("units", ["bytes", "words"])
def test_half_of_a_pair_is_refused(units):
    with pytest.raises(DataError, match="lone surrogate"):
        tiny(units=units).fit("to be \ud800" * 5)


# A corpus of them ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("units", ["bytes", "words"])
def test_a_corpus_of_units_is_that_of_its_texts(units, mapped, tmp_path):
    texts = [ENGLISH, "", "one", CHINESE, "two"]
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.txt").write_text(text, encoding="utf-8")
    from_texts = Corpus.from_texts(texts, units=units)
    from_files = Corpus.from_files(tmp_path, units=units, memory_map=mapped)
    expected = [from_texts.vocabulary.encode(text) for text in texts]
    assert from_files.vocabulary == from_texts.vocabulary and from_files.mapped == mapped
    for corpus in (from_texts, from_files):
        np.testing.assert_array_equal(corpus.ids, np.concatenate(expected))
        assert np.diff(corpus.starts).tolist() == [len(ids) for ids in expected]
        assert corpus.n_characters == sum(map(len, texts))
        assert f" {units}, 5 documents" in repr(corpus)


def test_a_corpus_of_other_units_is_refused():
    with pytest.raises(UsageError, match=re.escape("a corpus of bytes. Write LanguageModel(units='bytes')")):
        tiny().fit(Corpus.from_texts(ENGLISH, units="bytes"))


# A model of them -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("units", ["characters", "bytes", "words", "tokens"])
@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["english", "chinese"])
def test_a_model_of_any_units_is_loaded_anywhere(units, text, tmp_path):
    path = tokenizer(tmp_path) if units == "tokens" else None
    model = tiny(units=units if path is None else str(path), tie_weights=units == "words").fit(text)
    model.save(tmp_path / "m.elman")
    if path is not None:
        path.unlink()
    again = load(tmp_path / "m.elman")
    assert again.vocabulary_ == model.vocabulary_ and again.vocabulary_.kind == units
    assert again.score(text) == model.score(text)
    written = "".join(model.sample(60, prime=text[:7], temperature=3.0, random_state=1))
    assert "".join(again.sample(60, prime=text[:7], temperature=3.0, random_state=1)) == written
    assert written and written.encode().decode() == written
    assert again.candidates(text[:7]) == model.candidates(text[:7])
    assert tiny(units=again.units).fit(text).score(text)["count"] == model.score(text)["count"]


def test_figures_per_character_are_those_of_the_whole_text():
    model = tiny(units="bytes").fit(CHINESE)
    figures = model.score(CHINESE[:50])
    assert figures["count"] == len(CHINESE[:50].encode()) - 1
    assert figures["nats_per_char"] == pytest.approx(figures["nats_per_byte"] * figures["count"] / 49)


@pytest.mark.parametrize(
    "vocabulary",
    [
        {"unit": "rune", "symbols": "abc"},
        {"unit": "byte", "symbols": "abc"},
        {"unit": "word", "words": ["a", "a"]},
        {"unit": "word", "words": [""]},
        {"unit": "word", "words": "abc"},
        {"unit": "token", "size": 5, "sha256": "0"},
        {"unit": "token", "size": -5},
        None,
    ],
    ids=str,
)
def test_a_forged_vocabulary_is_refused(vocabulary, tmp_path):
    path = tmp_path / "m.elman"
    tiny(units="words", epochs=1).fit(ENGLISH).save(path)
    with files.open_model(path) as header:
        tensors, meta = header.read(), header.meta
    files.save(path, tensors, files.Meta(version="1", task=meta.task, config=meta.config, vocabulary=vocabulary))
    with pytest.raises(ModelFileError, match=re.escape(f"model file '{path}': ")):
        load(path)


def test_another_tokenizer_in_a_file_is_refused(tmp_path):
    path = tmp_path / "m.elman"
    tiny(units=tokenizer(tmp_path), epochs=1).fit(ENGLISH).save(path)
    with files.open_model(path) as header:
        tensors, meta, kept = header.read(), header.meta, header.read_tokenizer()
    (name,) = kept
    for content, message in ((kept[name][:-1], "no tokenizer"), (np.append(kept[name], 32), "another"),
                             (kept[name].astype(np.uint16), "expected bytes")):  # fmt: skip
        files.save(path, tensors | {name: content.astype(content.dtype)}, meta)
        with pytest.raises(ModelFileError, match=message):
            load(path)


def test_characters_are_what_vocabulary_always_was():
    assert as_units("characters", where="x") is Vocabulary and as_units("bytes", where="x") == ByteVocabulary()
