"""The pictures of an inspection: drawn without a screen, for every finding there can be."""

import json

import numpy as np
import pytest
from test_plots import has_color, pixels, texts

from elman import SequenceTagger, Sequential, layers
from elman.errors import DataError, DataTypeError, UsageError
from elman.inspection import (
    attribute,
    contributions,
    dynamics,
    gates_and_states,
    gradient_by_lag,
    tagged_text,
    truncation_bias,
)

pytest.importorskip("matplotlib", reason="needs the extra [plot]")
pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def found():
    """Give every finding about one small model of two recurrences."""
    parts = [layers.LSTM(5, return_sequences=True), layers.GRU(4, return_sequences=True), layers.Dense(2)]
    model = Sequential(parts, dtype="float64")
    model.compile("sgd", "mse")
    model.build(3, rng=0)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((3, 25, 3)), rng.standard_normal((3, 25, 2))
    return {
        "lags": gradient_by_lag(model, x, y),
        "terms": contributions(model, x, y),
        "truncation": truncation_bias(model, x, y),
        "states": gates_and_states(model, x),
        "attribution": attribute(model, x, method="occlusion", window=10),
        "dynamics": dynamics(model, x),
    }


@pytest.mark.parametrize("name", ["lags", "terms", "truncation", "states", "attribution", "dynamics"])
def test_every_finding_is_drawn(found, name, tmp_path):
    path = tmp_path / "picture.png"
    figure = found[name].plot(path)
    image = pixels(path)
    assert image.shape[0] > 300 and image.std() > 0.01
    assert figure.get_size_inches()[0] >= 7
    with pytest.raises(UsageError, match=r"cannot draw .*, expected \.png, \.svg, \.pdf"):
        found[name].plot(tmp_path / "picture.jpg")


def test_curves_are_labelled(found, tmp_path):
    found["lags"].plot(tmp_path / "lags.svg", title="two layers")
    shown = texts(tmp_path / "lags.svg")
    assert {"h", "c", "h and c", "10 to 90 %", "two layers", "share of lag 0"} <= set(shown)
    assert any(text.startswith("lstm: ") for text in shown) and any(text.startswith("gru: ") for text in shown)


def test_a_text_is_written_below_states_and_coloured_by_attribution(found, tmp_path):
    text = "Now is the winter of our\n"
    found["states"].plot(tmp_path / "states.svg", recurrence="lstm", text=text)
    assert "⏎" in texts(tmp_path / "states.svg")
    found["attribution"].plot(tmp_path / "text.png", text=text)
    assert has_color(pixels(tmp_path / "text.png"), "#D55E00") or has_color(pixels(tmp_path / "text.png"), "#0072B2")


def test_a_recurrence_that_is_not_there_is_refused(found):
    with pytest.raises(UsageError, match=r"there is no such recurrence, expected one of \['lstm', 'gru'\], got 'rnn'"):
        found["states"].plot(recurrence="rnn")


def test_a_dead_network_is_drawn_and_called_so(tmp_path):
    model = Sequential([layers.RNN(4, activation="relu", return_sequences=True), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.build(2, rng=0)
    model.set_weights([np.zeros((4, 2)), np.zeros((4, 4)), -np.ones(4), np.zeros((1, 4)), np.zeros(1)])
    x = np.ones((1, 12, 2))
    lags = gradient_by_lag(model, x, np.ones((1, 12, 1)))
    assert lags.words == {"rnn": "none"}
    assert lags.verdict.startswith("No gradient reaches rnn at all")
    lags.plot(tmp_path / "lags.png")
    contributions(model, x, np.ones((1, 12, 1))).plot(tmp_path / "terms.png")
    dynamics(model, x).plot(tmp_path / "dynamics.png")


@pytest.fixture(scope="module")
def tagger():
    """Give a tagger of words and one of characters."""
    X = [["a", "cat", "sat"], ["the", "dog", "ran"], ["a", "dog", "sat"]] * 10
    words, letters = (
        SequenceTagger(hidden=8, layers=1, epochs=8, random_state=0, verbose=0).fit(texts, labels)
        for texts, labels in ((X, [["DET", "NOUN", "VERB"]] * 30), (["ab", "ba"] * 8, ["xy", "yx"] * 8))
    )
    return words, letters


def test_a_tagged_text_shows_words_labels_and_what_is_wrong(tagger, tmp_path):
    words, letters = tagger
    right = tagged_text(words, [["the", "cat", "ran"]], [["DET", "NOUN", "VERB"]])
    assert right.labels == [["DET", "NOUN", "VERB"]] and not right.wrong[0].any()
    assert right.verdict.startswith("3 of 3 words are labelled right; the least sure is '")
    right.plot(tmp_path / "right.png")
    texts_ = [["the", "cat", "ran"], [], ["a", "dog"] * 40]
    found = tagged_text(words, texts_, [["DET", "VERB", "VERB"], [], ["DET", "NOUN"] * 40])
    assert found.wrong[0].tolist() == [False, True, False] and len(found.probabilities[1]) == 0
    figure = found.plot(tmp_path / "wrong.svg", title="two texts")
    shown = texts(tmp_path / "wrong.svg")
    assert {"cat", "DET", "NOUN, not VERB", "two texts"} <= set(shown) and shown.count("dog") == 40
    assert figure.get_size_inches()[1] > 3  # the long text takes several lines
    assert has_color(pixels(tmp_path / "right.png"), "#CC0000") is False
    found.plot(tmp_path / "wrong.png")
    assert has_color(pixels(tmp_path / "wrong.png"), "#CC0000")
    told = json.loads(json.dumps(found.to_dict()))
    assert told["texts"][0]["truth"] == ["DET", "VERB", "VERB"] and told["classes"] == ["DET", "NOUN", "VERB"]
    free = tagged_text(letters, ["abb"])
    assert free.words == [["a", "b", "b"]] and free.wrong is None and free.verdict.startswith("3 words are labelled; ")
    assert "truth" not in free.to_dict()["texts"][0]
    assert tagged_text(words, ["the cat ran"]).words == [["the", "cat", "ran"]]
    assert tagged_text(words, [""]).verdict == "There are no words."


def test_what_cannot_be_tagged_is_refused(tagger):
    words, _ = tagger
    one = "X is no list of texts, expected a list of texts, each a list of words or a string, got one string"
    for wrong, X, y, kind in (
        (one, "ab", None, DataTypeError),
        ("X is no list of texts", [3], None, DataTypeError),
        ("X and y differ in length", [["a", "cat"]], [["DET"]], DataError),
    ):
        with pytest.raises(kind, match=wrong):
            tagged_text(words, X, y)
    with pytest.raises(UsageError, match="tagged_text: tagger is none, expected a SequenceTagger, got int"):
        tagged_text(3, [["a"]])
