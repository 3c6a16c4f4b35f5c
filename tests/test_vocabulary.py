"""Characters become ids and come back exactly; what cannot be a character is refused by name."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import DataError, DataTypeError, ModelFileError, UsageError
from elman.tasks.language_model import LanguageModel
from elman.tasks.sampling import Sampler
from elman.tasks.text_files import decode_text, read_text
from elman.tasks.vocabulary import UNKNOWN, Vocabulary

TEXTS = {
    "english": "the cat sat",
    "chinese": "床前明月光,疑是地上霜。",
    "emoji": "👩‍👩‍👧 family, e\u0301 is not é, 🇩🇪",
    "bidi": "שלום \u202eabc\u202c العربية",
    "controls": "a\0b\r\nc\td\x1b[0m\x7f",
    "edges": "\0\ud7ff\ue000\uffff\U0010ffff",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_round_trip_is_exact(text):
    vocabulary = Vocabulary.from_text(text)
    ids = vocabulary.encode(text)
    assert ids.shape == (len(text),) and ids.dtype == np.int32
    assert ids.min() >= 1 and ids.max() == vocabulary.size - 1 == len(set(text))
    assert vocabulary.decode(ids) == text
    assert vocabulary.symbols == "".join(sorted(set(text)))
    assert Vocabulary.from_dict(vocabulary.to_dict()) == vocabulary


@given(st.text(), st.text())
def test_unseen_characters_become_unk_and_only_those(known, text):
    vocabulary = Vocabulary.from_text(known)
    ids = vocabulary.encode(text)
    assert [i == UNKNOWN for i in ids] == [character not in known for character in text]
    assert vocabulary.decode(ids) == "".join(c if c in known else "\ufffd" for c in text)
    assert all(vocabulary.symbols[i - 1] == c for i, c in zip(ids, text, strict=True) if i)


def test_of_all_code_points_only_the_known_have_an_id():
    everything = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    ids = Vocabulary.from_text("ac\u4e16").encode(everything)
    assert np.flatnonzero(ids).tolist() == [ord("a"), ord("c"), 0x4E16]


def test_zwj_family_is_five_code_points():
    assert len(Vocabulary.from_text("👩‍👩‍👧").encode("👩‍👩‍👧")) == 5


def test_empty_text_has_unk_only():
    vocabulary = Vocabulary.from_text("")
    assert vocabulary.size == 1
    assert vocabulary.encode("ab").tolist() == [0, 0]


@pytest.mark.parametrize("text", ["ab\ud800", "ab\udfffcd"])
def test_lone_surrogates_are_refused(text):
    for refuse in (Vocabulary.from_text, Vocabulary.from_text("ab").encode):
        with pytest.raises(DataError, match=rf"lone surrogate, U\+{ord(text[2]):04X}, at index 2"):
            refuse(text)


def test_require_names_code_point_and_index():
    vocabulary = Vocabulary.from_text("abc")
    assert vocabulary.require("cab", where="prime").tolist() == [3, 1, 2]
    with pytest.raises(DataError, match=r"prime: the character U\+4E16 \(世\) at index 2"):
        vocabulary.require("ab世", where="prime")
    with pytest.raises(DataError, match=r"U\+001B at index 0"):
        vocabulary.require("\x1b", where="prime")


@pytest.mark.parametrize("ids", [[-1], [4], [1, 99]])
def test_decode_refuses_ids_out_of_range(ids):
    with pytest.raises(DataError, match=f"expected 0 to 3, got {ids[-1]}"):
        Vocabulary.from_text("abc").decode(ids)


@pytest.mark.parametrize(
    "stored",
    [
        None,
        {},
        {"unit": "byte", "symbols": "ab"},
        {"unit": "code point", "symbols": ["a"]},
        {"unit": "code point", "symbols": "ba"},
        {"unit": "code point", "symbols": "aa"},
        {"unit": "code point", "symbols": "a\ud800"},
        {"unit": "code point", "symbols": "a", "more": 1},
    ],
)
def test_stored_vocabulary_is_checked(stored):
    with pytest.raises(ModelFileError):
        Vocabulary.from_dict(stored)


# Text files ---------------------------------------------------------------------------------------------------------


def test_crlf_and_nul_are_kept(tmp_path):
    path = tmp_path / "a text.txt"
    path.write_bytes("a\r\nb\0é\n".encode())
    assert read_text(path) == "a\r\nb\0é\n"


def test_byte_order_mark_is_dropped_with_a_notice(tmp_path):
    path = tmp_path / "bom.txt"
    path.write_bytes(b"\xef\xbb\xbfabc")
    with pytest.warns(UserWarning, match=r"bom\.txt: the byte order mark .* dropped"):
        assert read_text(path) == "abc"


def test_bad_bytes_are_named_by_offset():
    with pytest.raises(DataError, match=r"f: byte 0xe9 at offset 3 is not UTF-8 .*--encoding") as caught:
        decode_text(b"caf\xe9 noir", name="f")
    assert caught.value.exit_code == 3
    assert decode_text(b"caf\xe9 noir", name="f", encoding="latin-1") == "café noir"
    assert decode_text(b"caf\xe9 noir", name="f", errors="ignore") == "caf noir"
    with pytest.raises(DataError, match=r"offset 0 .*--encoding utf-16"):
        decode_text("abc".encode("utf-16"), name="f")
    assert decode_text("abc".encode("utf-16"), name="f", encoding="utf-16") == "abc"


@pytest.mark.parametrize("encoding", ["utf-9", "rot13", "hex"])
def test_unknown_encoding_is_a_usage_error(encoding):
    with pytest.raises(UsageError, match=f"unknown encoding '{encoding}'"):
        decode_text(b"abc", name="f", encoding=encoding)


def test_missing_file_and_folder_are_usage_errors(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        read_text(tmp_path / "none.txt")
    with pytest.raises(UsageError, match="is a directory"):
        read_text(tmp_path)


# Sampling -----------------------------------------------------------------------------------------------------------


def brute_force(logits, *, temperature=1.0, top_k=None, top_p=None):
    """Compute the distribution one token at a time, with Python's own floats, from the definition."""
    tokens = range(1, len(logits))
    largest = max(logits[t] for t in tokens)
    weight = {t: float(np.exp((logits[t] - largest) / temperature)) for t in tokens}
    ranked = sorted(tokens, key=lambda t: (-weight[t], t))
    if top_k is not None:
        ranked = ranked[:top_k]
    if top_p is not None:
        total, reached, nucleus = sum(weight[t] for t in ranked), 0.0, []
        for t in ranked:
            nucleus.append(t)
            reached += weight[t]
            if reached >= top_p * total:
                break
        ranked = nucleus
    total = sum(weight[t] for t in ranked)
    return [weight[t] / total if t in ranked else 0.0 for t in range(len(logits))]


@given(
    st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=12),
    st.sampled_from([0.3, 1.0, 2.5]),
    st.sampled_from([None, 1, 2, 5, 100]),
    st.sampled_from([None, 0.2, 0.5, 0.93]),
)
def test_probabilities_agree_with_the_definition(logits, temperature, top_k, top_p):
    rules = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    p = Sampler(**rules).probabilities(np.array(logits, np.float32))
    np.testing.assert_allclose(p, brute_force(logits, **rules), rtol=1e-12, atol=1e-300)
    assert p[UNKNOWN] == 0


def test_unk_is_never_chosen_even_when_it_is_by_far_the_likeliest():
    logits = np.array([1e30, 0.0, -1e30, 1.0], np.float32)
    for sampler in (Sampler(), Sampler(greedy=True), Sampler(temperature=0), Sampler(top_k=4), Sampler(top_p=1.0)):
        chosen = {sampler.choose(logits, u) for u in np.linspace(0, 1, 500, endpoint=False)}
        assert chosen <= {1, 3}
        assert sampler.draws == (len(chosen) == 2)


def test_top_k_keeps_exactly_k_of_equals():
    assert np.count_nonzero(Sampler(top_k=2).probabilities(np.zeros(6))) == 2
    assert np.count_nonzero(Sampler(top_p=0.5).probabilities(np.zeros(5))) == 2


@pytest.mark.parametrize("temperature", [1e-300, 1e-3, 1e300])
def test_extreme_temperatures_stay_finite(temperature):
    p = Sampler(temperature=temperature).probabilities(np.array([0.0, 5.0, 80.0, -80.0]))
    np.testing.assert_allclose(p.sum(), 1.0)
    assert np.isfinite(p).all()


def test_choices_follow_the_probabilities():
    logits = np.log([0.2, 0.1, 0.6, 0.3])
    uniforms = (np.arange(10_000) + 0.5) / 10_000
    sampler = Sampler(temperature=0.7, top_p=0.95)
    counts = np.bincount([sampler.choose(logits, u) for u in uniforms], minlength=4)
    np.testing.assert_allclose(counts / 10_000, sampler.probabilities(logits), atol=2e-4)


def test_the_largest_uniform_chooses_a_possible_token():
    rng = np.random.default_rng(0)
    for _ in range(200):
        logits = rng.normal(size=50) * 10
        sampler = Sampler(top_k=7)
        assert sampler.probabilities(logits)[sampler.choose(logits, np.nextafter(1.0, 0.0))] > 0


@pytest.mark.parametrize(
    "rules",
    [
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.01},
        {"top_p": float("nan")},
        {"temperature": "hot"},
        {"temperature": None},
        {"temperature": True},
        {"temperature": [1.0]},
        {"top_k": 2.5},
        {"top_k": True},
        {"top_k": "3"},
        {"top_p": "0.5"},
        {"top_p": np.array([0.5])},
        {"greedy": True, "top_k": 3},
        {"greedy": True, "temperature": 0.5},
    ],
)
def test_rules_out_of_range_are_refused(rules):
    with pytest.raises(UsageError, match="sample: "):
        Sampler(**rules)


def test_rules_may_be_numpy_numbers():
    assert Sampler(temperature=np.float32(0.5), top_k=np.int8(3), top_p=np.float64(0.5)).draws
    assert Sampler(temperature=1, top_p=1).draws


@pytest.mark.parametrize("prime", [b"to", None, 3, ["to"]])
def test_a_prime_that_is_no_text_is_refused_at_the_call(prime):
    model = LanguageModel(layers=1, hidden=4, batch=2, steps=5, epochs=1, verbose=0).fit("to be or not to be " * 5)
    told = f"sample: prime is no text, expected str, got {type(prime).__name__}."
    with pytest.raises(DataTypeError, match=re.escape(told)):
        model.sample(3, prime=prime)
