"""A language model learns any script, scores by its definition, and writes only what it knows."""

import math
import re

import numpy as np
import pytest

from elman import files
from elman.errors import (
    DivergedError,
    ModelFileError,
    UsageError,
)
from elman.tasks import LanguageModel, SaveEachEpoch, load, text_answers
from elman.training.callbacks import Callback

ENGLISH = "The quick brown fox jumps over the lazy dog.\n" * 20
SCRIPTS = {
    "chinese": "床前明月光,疑是地上霜。\n举头望明月,低头思故乡。\n" * 8,
    "emoji and combining marks": "👩‍👩‍👧 e\u0301a\u0300 🇩🇪🇨🇳 नमस्ते " * 12,
    "controls": "a\0b\r\n\x1b[0m\t" * 30,
    "thirty": "thirty characters, not one mor",
}


def tiny(**arguments) -> LanguageModel:
    return LanguageModel(
        **{"layers": 1, "hidden": 12, "batch": 4, "steps": 10, "epochs": 2, "random_state": 0, "verbose": 0} | arguments
    )


@pytest.fixture(scope="module")
def english() -> LanguageModel:
    return tiny(layers=2, epochs=3).fit(ENGLISH)


@pytest.mark.filterwarnings("ignore:.*the text is short")
@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS)
def test_every_script_gives_a_working_model(text, tmp_path):
    model = tiny().fit(text)
    assert model.vocabulary_.symbols == "".join(sorted(set(text)))
    written = "".join(model.sample(200, temperature=5.0, random_state=1))
    assert len(written) == 200 and set(written) <= set(text)
    assert written.encode().decode() == written
    model.save(tmp_path / "m.elman")
    again = load(tmp_path / "m.elman")
    assert "".join(again.sample(200, temperature=5.0, random_state=1)) == written
    assert again.score(text) == model.score(text)
    # What a preset gave is said in the file.
    assert {name: value for name, value in again.get_params().items() if model.get_params()[name] is not None} == {
        name: value for name, value in model.get_params().items() if value is not None
    } | {"verbose": "auto"}
    assert again.history_.history.keys() == model.history_.history.keys()
    np.testing.assert_array_equal(again.history_.batches, model.history_.batches)


def test_thirty_characters_lower_the_batch_first_then_the_steps():
    with pytest.warns(UserWarning, match="batch is lowered from 50 to 1, steps from 50 to 26"):
        LanguageModel(layers=1, hidden=8, batch=50, steps=50, epochs=1, verbose=0).fit(SCRIPTS["thirty"])
    with pytest.warns(UserWarning, match=r"\(809 characters to learn\): batch is lowered from 50 to 16\.$") as caught:
        model = LanguageModel(layers=1, hidden=8, batch=50, steps=50, epochs=1, verbose=0).fit(ENGLISH)
    assert len(caught) == 1
    assert (model.training_["batch"], model.training_["steps"]) == (16, 50)
    assert (model.training_["train"], model.training_["validation"]) == (810, 90)


def test_a_long_text_is_not_commented_on(recwarn):
    tiny(epochs=1).fit(ENGLISH)
    assert not recwarn.list


@pytest.mark.filterwarnings("ignore:.*the text is short")
@pytest.mark.parametrize("n", [2, 3, 9, 11, 20])
def test_a_handful_of_characters_is_enough(n):
    model = tiny(epochs=1).fit("ab" * n)
    assert math.isfinite(model.history_.history["loss"][0])


def test_the_vocabulary_holds_the_validation_text_too():
    model = tiny().fit(ENGLISH + "ЖЯ")
    assert {"Ж", "Я"} <= set(model.vocabulary_.symbols)
    assert model.score("ЖЯ")["unseen"] == 0


def test_a_list_of_texts_is_joined():
    parts = ["The quick ", "brown", " fox " * 30]
    one, other = tiny().fit(parts), tiny().fit("".join(parts))
    np.testing.assert_array_equal(one.history_.batches, other.history_.batches)


def nats_by_definition(model: LanguageModel, text: str) -> float:
    """Run the whole text at once, in double precision after the logits."""
    ids = model.vocabulary_.encode(text).astype(np.int64)
    logits = np.asarray(model.model_.predict(ids[None, :-1])[0], np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-log_p[np.arange(len(ids) - 1), ids[1:]].mean())


@pytest.mark.parametrize("window", [1, 7, 89, 90, 2000])
def test_score_is_one_stream_from_the_zero_state(english, window, monkeypatch):
    monkeypatch.setattr(text_answers, "SCORE_STEPS", window)
    text = ENGLISH[100:190] + "ж"
    score = english.score(text)
    assert score["count"] == 90 and score["unseen"] == 1
    assert score["nats_per_char"] == pytest.approx(nats_by_definition(english, text), rel=1e-5)
    assert score["bits_per_char"] == pytest.approx(score["nats_per_char"] / math.log(2))
    assert score["perplexity"] == pytest.approx(math.exp(score["nats_per_char"]))


def test_the_validation_loss_is_the_score_of_the_last_part(english):
    n_train = english.training_["train"]
    assert n_train == 810
    assert english.history_.history["val_loss"][-1] == english.score(ENGLISH[n_train:])["nats_per_char"]
    assert english.training_["val_loss"] == english.history_.history["val_loss"][-1]
    assert english.training_["epochs"] == 3


def test_without_validation_all_the_text_is_trained_on():
    model = tiny(val_split=0.0).fit(ENGLISH)
    assert list(model.history_.history) == ["loss", "learning_rate"]
    assert model.training_["train"] == len(ENGLISH)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_every_cell_learns_a_pattern(cell):
    model = tiny(cell=cell, hidden=24, epochs=12, lr=2e-2, val_split=0.0).fit("abcabd" * 200)
    # Telling c from d takes a memory of more than one character.
    assert "".join(model.sample(12, prime="abcab", greedy=True)) == "dabcabdabcab"
    assert model.history_.history["loss"][-1] < 0.1


def test_samples_depend_on_the_seed_only(english):
    texts = ["".join(english.sample(80, prime="The ", random_state=seed)) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert "".join(english.sample(50, prime="The ", random_state=1)) == texts[0][:50]
    assert "".join(english.sample(600, random_state=3))[:300] == "".join(english.sample(300, random_state=3))


def test_the_prime_is_read_into_the_state(english):
    expected, text = [], "The quick"
    for _ in range(15):
        logits = english.model_.predict(english.vocabulary_.encode(text)[None].astype(np.int64))[0, -1].copy()
        logits[0] = -np.inf
        text += english.vocabulary_.symbols[int(logits.argmax()) - 1]
        expected.append(text[-1])
    assert list(english.sample(15, prime="The quick", greedy=True)) == expected


def test_without_prime_a_line_begins(english):
    assert "".join(english.sample(30, random_state=5)) == "".join(english.sample(30, prime="\n", random_state=5))


def test_without_lines_any_character_may_begin():
    model = tiny().fit("abcdefgh" * 40)
    firsts = {next(iter(model.sample(1, random_state=seed))) for seed in range(60)}
    assert firsts == set("abcdefgh")
    assert [len("".join(model.sample(n, random_state=0))) for n in (0, 1, 2)] == [0, 1, 2]


# The contract of scikit-learn ------------------------------------------------------------------------------------


def test_the_constructor_stores_and_nothing_else():
    odd = object()
    model = LanguageModel(hidden=odd, lr="x")
    assert model.get_params()["hidden"] is odd and model.lr == "x"
    assert repr(LanguageModel(hidden=8)) == "LanguageModel(hidden=8)"
    assert not [name for name in vars(model) if name.endswith("_")]


def test_params_are_set_by_name_or_not_at_all():
    model = tiny()
    assert model.set_params(hidden=5, lr=0.1) is model and model.hidden == 5
    with pytest.raises(UsageError, match=r"no argument 'hiden', expected some of preset, units, cell"):
        model.set_params(hidden=6, hiden=7)
    assert model.hidden == 5


def test_scikit_learn_clones_it(english):
    base = pytest.importorskip("sklearn.base")
    clone = base.clone(english)
    assert clone.get_params() == english.get_params()
    assert not hasattr(clone, "model_")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cell": "transformer"}, "cell is not accepted, expected one of rnn, lstm, gru, got 'transformer'"),
        ({"layers": 0}, "layers is not accepted, expected int >= 1, got 0"),
        ({"hidden": 10**9}, "hidden is not accepted, expected int <= 65536"),
        ({"hidden": 2.5}, "hidden is not accepted, expected int, got 2.5"),
        ({"batch": 0}, "batch is not accepted"),
        ({"steps": True}, "steps is not accepted"),
        ({"epochs": -1}, "epochs is not accepted"),
        ({"lr": 0.0}, "lr is not accepted, expected float > 0"),
        ({"lr": float("nan")}, "lr is not accepted"),
        ({"clip": -1.0}, "clip is not accepted"),
        ({"val_split": 1.0}, "val_split is not accepted, expected float < 1"),
        ({"random_state": -1}, "random_state is not accepted"),
        ({"verbose": "loud"}, "verbose is out of range"),
    ],
)
def test_arguments_out_of_range_are_refused_by_fit(arguments, message):
    model = tiny(**arguments)
    with pytest.raises(UsageError, match=re.escape(message)):
        model.fit(ENGLISH)
    assert not hasattr(model, "model_")


@pytest.mark.parametrize(("clip", "used"), [(5.0, 5.0), (0.25, 0.25), (0, None), (None, None)])
def test_the_training_is_as_asked(clip, used):
    model = (
        tiny(clip=clip, lr=3e-3, schedule="constant", layers=3, cell="gru", embedding=7, epochs=1).fit(ENGLISH).model_
    )
    assert model.clip == used and model.optimizer.learning_rate == 3e-3
    assert [layer.type_name() for layer in model.layers] == ["embedding", "gru", "gru", "gru", "dense"]
    assert model.named_weights()["gru.weight_ih"].shape == (36, 7)


def test_without_embedding_characters_go_in_directly(tmp_path):
    model = tiny(embedding=0, layers=2).fit(ENGLISH)
    size = model.vocabulary_.size
    assert [layer.type_name() for layer in model.model_.layers] == ["lstm", "lstm", "dense"]
    assert model.model_.named_weights()["lstm.weight_ih"].shape == (48, size)
    model.save(tmp_path / "m.elman")
    assert load(tmp_path / "m.elman").score(ENGLISH) == model.score(ENGLISH)


def test_numpy_numbers_are_numbers():
    model = tiny(hidden=np.int64(8), lr=np.float32(1e-3), epochs=1).fit(ENGLISH)
    assert model.model_.named_weights()["lstm.weight_hh"].shape == (32, 8)


def test_the_seed_decides_the_weights():
    weights = [tiny(epochs=1, random_state=seed).fit(ENGLISH).model_.named_weights() for seed in (1, 1, 2)]
    for name in weights[0]:
        np.testing.assert_array_equal(weights[0][name], weights[1][name])
    assert not np.array_equal(weights[0]["lstm.weight_hh"], weights[2]["lstm.weight_hh"])


# Nothing is lost -------------------------------------------------------------------------------------------------


def test_the_file_is_rewritten_after_each_epoch(tmp_path):
    path, seen = tmp_path / "m.elman", []

    class Look(Callback):
        def on_epoch_end(self, epoch, logs):
            stored = load(path)
            seen.append((stored.training_["epochs"], stored.training_["loss"], stored.history_.history["loss"]))

    model = tiny(epochs=3)
    model.fit(ENGLISH, callbacks=[SaveEachEpoch(model, path), Look()])
    losses = np.float32(model.history_.history["loss"]).tolist()
    assert [epochs for epochs, _, _ in seen] == [1, 2, 3]
    assert [history for _, _, history in seen] == [losses[:1], losses[:2], losses]


def test_weights_that_spoil_the_validation_are_a_divergence():
    adam = {"lr": 2e37, "warmup": 0.0, "schedule": "constant", "weight_decay": 0.0, "beta_2": 0.999, "clip": 5.0}
    sizes = {"layers": 1, "hidden": 64, "embedding": 64, "dropout": 0.0, "batch": 10, "steps": 100, "epochs": 3}
    model = LanguageModel(**sizes, **adam, random_state=0, verbose=0)
    with pytest.warns(UserWarning, match="short"), pytest.raises(DivergedError, match="the validation loss became"):
        model.fit("to be or not to be that is " * 30)
    assert np.isfinite(model.model_.parameters.flat).all() and not model.history_.epoch
    assert math.isfinite(model.score("to be or not")["nats_per_char"])


def test_divergence_leaves_the_last_finite_epoch(tmp_path):
    path = tmp_path / "m.elman"

    class Explode(Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch == 1:
                kept.append(model.model_.named_weights()["dense.bias"].copy())
                model.model_.optimizer.learning_rate = 1e38

    kept = []
    model = tiny(epochs=5, clip=None, warmup=0.0, schedule="constant")
    with pytest.raises(DivergedError):
        model.fit(ENGLISH, callbacks=[SaveEachEpoch(model, path), Explode()])
    np.testing.assert_array_equal(model.model_.named_weights()["dense.bias"], kept[0])
    assert load(path).training_["epochs"] == 2


@pytest.mark.parametrize(
    "change",
    [
        {"hidden": 10**9},
        {"hidden": 13},
        {"embedding": 0},
        {"embedding": -1},
        {"layers": 10**6},
        {"layers": 2},
        {"cell": "gru"},
        {"cell": "attention"},
        {"surprise": 1},
    ],
    ids=str,
)
def test_a_file_whose_config_does_not_fit_is_refused(english, change, tmp_path):
    path = tmp_path / "m.elman"
    tiny(epochs=1).fit(ENGLISH).save(path)
    with files.open_model(path) as header:
        tensors, meta = header.read(), header.meta
    forged = files.Meta(
        version=meta.version,
        task=meta.task,
        config=meta.config | change,
        vocabulary=meta.vocabulary,
        training=meta.training,
    )
    files.save(path, tensors, forged)
    with pytest.raises(ModelFileError, match=re.escape(f"model file '{path}': ")):
        load(path)


def test_a_file_with_another_vocabulary_is_refused(tmp_path):
    path = tmp_path / "m.elman"
    tiny(epochs=1).fit(ENGLISH).save(path)
    with files.open_model(path) as header:
        tensors, meta = header.read(), header.meta
    for vocabulary in (None, {"unit": "code point", "symbols": "abc"}):
        forged = files.Meta(version="1", task=meta.task, config=meta.config, vocabulary=vocabulary)
        files.save(path, tensors, forged)
        with pytest.raises(ModelFileError, match=re.escape(f"model file '{path}': ")):
            load(path)
