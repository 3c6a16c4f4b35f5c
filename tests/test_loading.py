"""Loading: what a file describes is checked before it is built, and every refusal names the file."""

import re

import numpy as np
import pytest

import elman
from elman import files, layers
from elman.errors import ModelFileError

TEXT = "To be, or not to be: that is the question.\n" * 8


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A file of each task: its name -> path."""
    folder = tmp_path_factory.mktemp("models")
    model = elman.Sequential([layers.LSTM(3), layers.Dense(2)])
    model.build(4, rng=0)
    made = {
        "model": model,
        "language_model": elman.LanguageModel(layers=1, hidden=4, batch=2, steps=5, epochs=1, verbose=0).fit(TEXT),
        "addition": elman.BinaryAdder(examples=1).fit(),
        "sequence_classifier": elman.SequenceClassifier(hidden=4, epochs=1, verbose=0).fit(["a b", "b"], [0, 1]),
        "sequence_regressor": elman.SequenceRegressor(hidden=4, epochs=1, verbose=0).fit([[1.0], [2.0]], [0, 1]),
        "sequence_tagger": elman.SequenceTagger(hidden=4, epochs=1, verbose=0).fit([["a"], ["b"]], ["x", "y"]),
    }
    for name, one in made.items():
        one.save(folder / f"{name}.elman")
    return {name: folder / f"{name}.elman" for name in made}


def forge(source, target, *, weights=None, **changes):
    """Copy a model file with parts of its description changed, each by what it is updated with."""
    with files.open_model(source) as header:
        stored, meta = header.read(), header.meta
        stored |= {f"history.{name}": column for name, column in header.read_history().items()}
    parts = {name: (getattr(meta, name) or {}) | change for name, change in changes.items()}
    kept = {name: getattr(meta, name) for name in ("task", "config", "vocabulary", "training")}
    files.save(target, stored | (weights or {}), files.Meta(version="1", **{**kept, **parts}), allow_nonfinite=True)


@pytest.mark.parametrize(
    ("task", "change", "told"),
    [
        ("model", {"layers": []}, "its config is not accepted ("),
        ("model", {"surprise": 1}, "its config is not accepted ("),
        ("model", {"input_size": None}, "its config is not accepted ("),
        ("language_model", {"hidden": 10**9}, "its config is not accepted (Expected int <= 65536 - at $.hidden)."),
        ("language_model", {"cell": "attention"}, "its config is not accepted (LanguageModel: cell is not accepted"),
        ("language_model", {"surprise": 1}, "its config is not accepted (Object contains unknown field surprise)."),
        ("language_model", {"hidden": 5}, "its weights do not fit: "),
        ("addition", {"bits": 63}, "its config is not accepted (Expected int <= 62 - at $.bits)."),
        ("addition", {"hidden": 5}, "its weights do not fit: "),
    ],
)
def test_a_config_that_does_not_fit_is_refused_with_the_file(saved, task, change, told, tmp_path):
    path = tmp_path / "m.elman"
    forge(saved[task], path, config=change)
    with pytest.raises(ModelFileError, match=re.escape(f"model file '{path}': {told}")) as caught:
        elman.load(path)
    assert not re.search(r"\.[.)]", str(caught.value)) and str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"unit": "byte"}, "vocabulary: unknown form, expected unit 'byte' and nothing else"),
        ({"unit": "rune"}, "vocabulary: unknown form, expected unit 'code point', 'byte', 'word' or 'token'"),
        ({"symbols": ["a"]}, "vocabulary: symbols must be one string"),
        ({"symbols": "ba"}, "Vocabulary: symbols must differ and stand in the order of their code points"),
    ],
)
def test_a_vocabulary_that_is_none_is_refused_with_the_file(saved, change, told, tmp_path):
    path = tmp_path / "m.elman"
    forge(saved["language_model"], path, vocabulary=change)
    with pytest.raises(
        ModelFileError, match=re.escape(f"model file '{path}': its vocabulary is not accepted ({told}).")
    ):
        elman.load(path)


def test_an_unknown_task_is_refused_with_the_file(saved, tmp_path):
    files.save(tmp_path / "m", {}, files.Meta(version="1", task="chess", config={}))
    tasks = "model, language_model, sequence_classifier, sequence_regressor, sequence_tagger, addition"
    told = f"model file '{tmp_path / 'm'}': unknown task, expected one of {tasks}, got 'chess'."
    with pytest.raises(ModelFileError, match=re.escape(told)):
        elman.load(tmp_path / "m")


def test_the_state_of_a_stream_says_what_it_is(saved, tmp_path):
    model = elman.load(saved["model"])
    stream = model.stream(2)
    stream.save(tmp_path / "state")
    told = (
        f"model file '{tmp_path / 'state'}': it holds the state of a stream, and no model. "
        "Load the model it belongs to, and give its stream this file: model.stream().load(path)."
    )
    with pytest.raises(ModelFileError, match=re.escape(told)):
        elman.load(tmp_path / "state")
    model.stream().load(tmp_path / "state")


@pytest.mark.parametrize("task", elman.tasks.TASKS)
def test_weights_that_are_not_finite_are_loaded_only_if_told(saved, task, tmp_path):
    path, name = tmp_path / "m.elman", "dense.bias"
    with files.open_model(saved[task]) as header:
        bias = header.read()[name]
    bias[0] = np.nan
    forge(saved[task], path, weights={name: bias})
    with pytest.raises(ModelFileError, match=r"'dense.bias' holds nan at \[0\].*give allow_nonfinite=True"):
        elman.load(path)
    loaded = elman.load(path, allow_nonfinite=True)
    np.testing.assert_array_equal(getattr(loaded, "model_", loaded).named_weights()[name], bias)
