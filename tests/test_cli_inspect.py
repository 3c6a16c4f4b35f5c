"""`elman inspect`: what it writes, what it prints where, and which data it takes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from elman import Sequential, layers
from elman.cli.main import main
from elman.inspection.sections import SECTIONS
from elman.tasks import LanguageModel, SequenceClassifier, SequenceTagger

pytest.importorskip("matplotlib")
TEXT = "To be, or not to be: that is the question.\n" * 20


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "writer.elman"
    LanguageModel(layers=1, hidden=8, batch=4, steps=10, epochs=1, random_state=0, verbose=0).fit(TEXT).save(path)
    return path


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "classes.elman"
    x = np.random.default_rng(0).standard_normal((24, 9, 2))
    y = np.array(["up", "down"])[(x[:, :, 0].mean(axis=1) < 0).astype(int)]
    settings = {"hidden": 6, "bidirectional": False, "pooling": "last", "epochs": 1, "random_state": 0, "verbose": 0}
    SequenceClassifier(**settings).fit(x, y).save(path)
    return path, x, y


@pytest.fixture
def no_pictures(monkeypatch):
    """Leave the pictures out of pages, where they are most of the time and not what is tested."""
    monkeypatch.setattr("elman.inspection.page._picture", lambda section, name: "<figure></figure>")


def test_a_page_numbers_and_pictures_are_written(writer, tmp_path, capsys):
    text = tmp_path / "some.txt"
    text.write_text(TEXT)
    page, numbers, pictures = tmp_path / "r.html", tmp_path / "r.json", tmp_path / "pictures"
    words = ["inspect", writer, text, "-o", page, "--json", numbers, "--png", pictures, "--steps", 100]
    assert main(list(map(str, words))) == 0
    out, err = capsys.readouterr()
    assert [line.partition(":")[0] for line in out.splitlines()] == [title for title, _, _ in SECTIONS.values()]
    assert f"Looked at the first 100 of {len(TEXT) - 1} characters of the text." in err and str(page) in err
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert list(json.loads(numbers.read_text())["sections"]) == list(SECTIONS)
    assert {file.name for file in pictures.iterdir()} >= {"gradient_by_lag.png", "training.png"}


def test_the_page_lies_beside_the_model(writer, tmp_path, capsys, no_pictures):
    assert main(["inspect", str(writer), "--text", "to be or not", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert writer.with_suffix(".html").exists() and err == "" and out.count("\n") == len(SECTIONS)


def test_files_like_those_of_the_training_are_read(classifier, tmp_path, capsys, no_pictures):
    model, x, y = classifier
    page = ["-o", str(tmp_path / "r.html")]
    np.savez(tmp_path / "a.npz", x=x, y=y, lengths=np.r_[4, np.full(len(x) - 1, 9)])
    assert main(["inspect", str(model), str(tmp_path / "a.npz"), *page]) == 0
    assert "Needs" not in capsys.readouterr().out
    np.savez(tmp_path / "b.npz", x=x)
    assert main(["inspect", str(model), str(tmp_path / "b.npz"), *page]) == 0
    out, err = capsys.readouterr()
    assert out.count("Needs targets") == 3 and "Looking without answers: " in err
    assert main(["inspect", str(model), *page, "--quiet"]) == 0
    assert capsys.readouterr().out.count("Needs data") == len(SECTIONS) - 1
    tagger = tmp_path / "tagger.elman"
    SequenceTagger(hidden=4, epochs=1, random_state=0, verbose=0).fit([["a", "b"]] * 8, [["A", "B"]] * 8).save(tagger)
    assert main(["inspect", str(tagger), "--text", "a b b a", *page, "--quiet"]) == 0
    assert "Gates and states: " in capsys.readouterr().out


def test_a_bare_model_takes_arrays(tmp_path, capsys, no_pictures):
    model = Sequential([layers.GRU(3, return_sequences=True), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.build(2, rng=0)
    model.save(tmp_path / "bare.elman")
    x = np.random.default_rng(0).standard_normal((4, 9, 2))
    words = ["inspect", str(tmp_path / "bare.elman")]
    for arrays in (
        {"x": x, "y": x[:, :, :1], "lengths": [9, 9, 2, 5]},
        {"x": x.reshape(-1, 2), "y": x.reshape(-1, 2)[:, :1], "lengths": [30, 6]},
    ):
        np.savez(tmp_path / "a.npz", **arrays)
        assert main([*words, str(tmp_path / "a.npz"), "--quiet"]) == 0
        assert capsys.readouterr().out.count("Needs") == 0
    for content, message in ((b"PK\x03\x04 none", "a.npz: it is no archive of arrays"), (None, "there is no array x")):
        if content is None:
            np.savez(tmp_path / "a.npz", z=x)
        else:
            (tmp_path / "a.npz").write_bytes(content)
        assert main([*words, str(tmp_path / "a.npz")]) == 3
        assert message in capsys.readouterr().err
    assert main([*words, "--text", "a"]) == 2
    assert "which takes numbers" in capsys.readouterr().err


FAULTS = [
    (["{model}", "{tmp}/none.npz"], 2, "none.npz: no such file or directory"),
    (["{model}", "{tmp}/bad.npz"], 3, "bad.npz: "),
    (["{model}", "{tmp}/empty.txt"], 3, "empty.txt: "),
    (["{model}", "--text", "good"], 3, "X is of another kind than SequenceClassifier was fitted on"),
    (["{model}", "-o", "{tmp}/r.pdf"], 2, "--output: the report is a page, expected a name that ends in .html"),
    (["{model}", "-o", "{tmp}/none/r.html"], 2, "r.html"),
    (["{model}", "--json", "{tmp}/r.txt"], 2, "expected a name that ends in .json"),
    (["{model}", "{tmp}/empty.txt", "--text", "a"], 2, "there is both DATA and --text"),
    (["{model}", "--steps", "0"], 2, "steps: this is no count"),
    (["{tmp}/none.elman"], 2, "there is no such file"),
]


@pytest.mark.parametrize(("words", "code", "message"), FAULTS, ids=[fault[2] for fault in FAULTS])
def test_faults_are_told(words, code, message, classifier, tmp_path, capsys):
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 no archive")
    (tmp_path / "empty.txt").write_text("\n")
    assert main(["inspect", *[word.format(model=classifier[0], tmp=tmp_path) for word in words]]) == code
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("*.html"))
