"""Classifier, regressor and tagger: data in every form, the same answers to the bit, and what fit leaves behind."""

import copy
import inspect
import pickle

import numpy as np
import pytest

import elman
from elman import layers
from elman.callbacks import LambdaCallback
from elman.errors import ModelFileError
from elman.files import open_model
from elman.ops.core import native
from elman.ragged import Ragged
from elman.tasks.lexicon import Lexicon, split_words
from elman.tasks.scaling import Scaler
from elman.tasks.word_encoder import WordEncoder

KINDS = [elman.SequenceClassifier, elman.SequenceRegressor, elman.SequenceTagger]
SMALL = {"hidden": 8, "epochs": 12, "random_state": 0, "verbose": 0}


def classifier(**options):
    return elman.SequenceClassifier(**SMALL | options)


def regressor(**options):
    return elman.SequenceRegressor(**SMALL | options)


def tagger(**options):
    return elman.SequenceTagger(**SMALL | {"layers": 1, "embedding": 8} | options)


@pytest.fixture(scope="module")
def series():
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(steps, 2)) for steps in rng.integers(3, 12, 48)]
    return X, np.array(["up" if x[:, 0].mean() > 0 else "down" for x in X])


SENTENCES = [["The", "cat", "sat"], ["dogs", "ran", "off", "."], ["The", "dogs", "sat"], ["cat", "ran"]] * 6
TAGS = [["DET", "NOUN", "VERB"], ["NOUN", "VERB", "ADV", "PUNCT"], ["DET", "NOUN", "VERB"], ["NOUN", "VERB"]] * 6


def fitted(kind, series):
    X, y = series
    if kind is elman.SequenceClassifier:
        return classifier().fit(X, y), X
    if kind is elman.SequenceRegressor:
        return regressor().fit(X, [x[:, 0].sum() for x in X]), X
    return tagger().fit(SENTENCES, TAGS), SENTENCES


def answers(model, X):
    if hasattr(model, "predict_proba"):
        found = model.predict_proba(X)
        return np.concatenate(found) if isinstance(found, list) else found
    return model.predict(X)


# --- the contract -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_constructor_stores_and_nothing_else(kind):
    odd = {name: object() for name in inspect.signature(kind).parameters}
    model = kind(**odd)
    assert vars(model) == odd == model.get_params()


@pytest.mark.parametrize("kind", KINDS)
def test_file_pickle_and_copy_answer_the_same(kind, series, tmp_path):
    model, X = fitted(kind, series)
    model.save(tmp_path / "model.elman")
    loaded = elman.load(tmp_path / "model.elman")
    for other in (loaded, pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(answers(other, X), answers(model, X))
        assert other.get_params() | {"verbose": 0} == model.get_params()
        assert other.history_.history.keys() == model.history_.history.keys()
        np.testing.assert_array_equal(other.history_.batches, model.history_.batches)
    if kind is not elman.SequenceRegressor:
        assert loaded.classes_.tolist() == model.classes_.tolist()
    assert getattr(loaded, "n_features_in_", None) == getattr(model, "n_features_in_", None)
    loaded.save(tmp_path / "again.elman")
    assert (tmp_path / "again.elman").read_bytes() == (tmp_path / "model.elman").read_bytes()
    loaded.verbose = 0
    loaded.set_params(warm_start=True).fit(X, series[1] if kind is elman.SequenceClassifier else targets(kind, X))


def targets(kind, X):
    return TAGS if kind is elman.SequenceTagger else [x[:, 0].sum() for x in X]


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_the_same_bits_for_any_number_of_threads(kind, series):
    before = native.get_threads() if native is not None else 1
    found = []
    try:
        for threads in (1, 2, 3):
            elman.set_threads(threads)
            found.append(answers(*fitted(kind, series)))
    finally:
        elman.set_threads(before)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("kind", KINDS)
def test_answers_do_not_depend_on_what_is_asked_beside(kind, series):
    model, X = fitted(kind, series)
    alone = np.concatenate([answers(model, X[index : index + 1]) for index in range(len(X))])
    np.testing.assert_array_equal(alone, answers(model, X))


def test_saving_while_training(series, tmp_path):
    model = classifier(epochs=3)
    model.fit(*series, callbacks=[elman.tasks.SaveEachEpoch(model, tmp_path / "model.elman")])
    np.testing.assert_array_equal(
        elman.load(tmp_path / "model.elman").predict_proba(series[0]), answers(model, series[0])
    )


# --- forms of input ---------------------------------------------------------------------------------------------------


def test_arrays_lists_and_raggeds_are_the_same(rng):
    X = rng.normal(size=(30, 6, 2))
    y = X[:, :, 0].mean(1) > 0
    expected = classifier(epochs=2).fit(X, y).predict_proba(X)
    for form in (list(X), X.tolist(), Ragged.from_dense(X), X.astype(">f8"), np.asfortranarray(X), X[::-1][::-1]):
        np.testing.assert_array_equal(classifier(epochs=2).fit(form, y).predict_proba(form), expected)
    table, column = X[:, :, 0], X[:, :, :1]
    np.testing.assert_array_equal(
        classifier(epochs=2).fit(table, y).predict_proba(table),
        classifier(epochs=2).fit(column, y).predict_proba(column),
    )


def test_a_table_has_a_width_and_a_list_has_none(rng):
    X, y = rng.normal(size=(20, 6)), np.arange(20) % 2
    model = classifier(epochs=1).fit(X, y)
    assert model.n_features_in_ == 6
    assert model.predict([X[0], X[1, :3]]).shape == (2,)
    with pytest.raises(ValueError, match="X has 5 features, but SequenceClassifier is expecting 6 features as input"):
        model.predict(X[:, :5])
    assert classifier(epochs=1).fit(rng.normal(size=(20, 4, 3)), y).n_features_in_ == 3


def test_the_callers_data_stay_as_they_are(series):
    X = [x.copy() for x in series[0]]
    for x in X:
        x.setflags(write=False)
    model = classifier(epochs=1).fit(X, series[1])
    model.predict(X)
    assert all((x == given).all() for x, given in zip(X, series[0], strict=True))


def test_texts_by_character_and_by_word(rng):
    names = [("".join(rng.choice(list("aeiou"), 5)), "vowels") for _ in range(30)]
    names += [("".join(rng.choice(list("bcdfg"), 5)), "consonants") for _ in range(30)]
    X, y = [list(part) for part in zip(*names, strict=True)]
    model = classifier(noise=0.0, epochs=20).fit(X, y)
    assert model.score(["aeiaei", "bcdbcd!"], ["vowels", "consonants"]) == 1
    assert isinstance(model.model_.layers[0], layers.Embedding) and not hasattr(model, "n_features_in_")

    X = ["good film, really good", "bad film, so bad", "a good one", "a bad one, bad"] * 10
    y = ["+", "-", "+", "-"] * 10
    texts = classifier(epochs=15).fit(X, y)
    assert isinstance(texts.model_.layers[0], WordEncoder)
    assert texts.predict(["good", "so bad film"]).tolist() == ["+", "-"]
    tokens = classifier(epochs=15).fit([split_words(text) for text in X], y)
    np.testing.assert_array_equal(tokens.predict_proba([["good"]]), texts.predict_proba(["good"]))
    assert isinstance(classifier(unit="characters", epochs=1).fit(X, y).model_.layers[0], layers.Embedding)


def test_strings_of_numpy_and_in_arrays_of_objects(tmp_path):
    """As `Generator.choice` gives them; files hold plain ones."""
    X, y = [list(np.array(["a", "cat"])), ["dogs"]] * 8, np.array([np.str_("yes"), "no"] * 8, object)
    model = classifier(epochs=1).fit(X, y)
    model.save(tmp_path / "model.elman")
    loaded = elman.load(tmp_path / "model.elman")
    assert loaded.classes_.tolist() == ["no", "yes"] and loaded.classes_.dtype == object
    assert loaded.predict(X).tolist() == model.predict(X).tolist()


def test_regression_on_text_and_several_targets(rng):
    X = ["a" * n + "b" * m for n, m in rng.integers(1, 9, (80, 2))]
    y = np.array([[text.count("a"), 1000 + text.count("b")] for text in X])
    model = regressor(hidden=16, epochs=40, noise=0.0).fit(X, y)
    assert model.predict(X).shape == (80, 2) and model.score(X, y) > 0.9


def test_a_tagger_of_characters_and_of_numbers(rng):
    X = ["".join(rng.choice(list("abc "), size)) for size in rng.integers(0, 9, 60)]
    y = [text.replace("a", "V").replace("b", "C").replace("c", "C") for text in X]
    model = tagger(epochs=40).fit(X, y)
    assert model.score(X, y) == 1 and "".join(model.predict(["ab c"])[0]) == "VC C"

    X = rng.normal(size=(40, 7, 1))
    y = (np.cumsum(X[..., 0], 1) > 0).astype(int)
    model = tagger(epochs=40, noise=0.0).fit(X, y)
    assert model.predict(X).shape == y.shape and model.predict_proba(X).shape == (40, 7, 2)
    assert model.score(X, y) > 0.85


def test_words_never_seen_are_known_by_their_letters():
    """Made-up words ending in -ly are adverbs and in -ed verbs; the test has other beginnings."""
    rng = np.random.default_rng(0)
    stems = [
        "".join(rng.choice(list("bdfgklmnprst") if k % 2 == 0 else list("aeiou")) for k in range(5)) for _ in range(120)
    ]
    X = [[stem + ("ly" if k % 2 else "ed")] for k, stem in enumerate(stems)]
    y = [["ADV" if k % 2 else "VERB"] for k in range(120)]
    model = tagger(epochs=15).fit(X[:80], y[:80])
    assert model.score(X[80:], y[80:]) > 0.95


# --- scaling ----------------------------------------------------------------------------------------------------------


def test_scales_are_those_of_what_is_trained_on(rng):
    X = rng.normal(size=(40, 5, 3)) * [1, 1e6, 0] + [0, 1e9, 7]
    y = np.arange(40) % 2
    model = classifier(epochs=1).fit(X, y)
    np.testing.assert_allclose(model._form.scaler.mean, X.mean((0, 1)), rtol=1e-12)
    assert model._form.scaler.scale[2] == 1 and model._form.scaler.mean[2] == 7
    weights = np.repeat([1, 0], 20)
    half = classifier(epochs=1).fit(X, y, sample_weight=weights)
    np.testing.assert_array_equal(half._form.scaler.mean, Scaler.learn(X[:20].reshape(-1, 3)).mean)
    held = classifier(epochs=1, early_stopping=True, val_split=0.5).fit(X, y)
    assert held._form.scaler != model._form.scaler and held.training_["validation"] == 20


def test_the_units_of_numbers_do_not_matter(series):
    X, _ = series
    y = np.array([x[:, 0].sum() for x in X])
    plain = regressor().fit(X, y).predict(X)
    # Powers of two: scaling by them is exact, so the same bits come out.
    other = regressor().fit([1024 * x for x in X], 4096 * y).predict([1024 * x for x in X])
    np.testing.assert_array_equal(other, 4096 * plain)


def test_a_rounded_constant_is_a_constant():
    scaler = Scaler.learn(np.array([[0.1 + 0.2], [0.3], [0.3]]))
    assert scaler.scale == [1.0]


def test_constant_targets_and_single_classes(series):
    X, _ = series
    model = regressor(epochs=30, hidden=16).fit(X, np.full(len(X), 5.0))
    np.testing.assert_allclose(model.predict(X), 5, atol=0.3)  # of scaled targets, all 0
    one = classifier(epochs=1).fit(X, ["same"] * len(X))
    assert set(one.predict(X)) == {"same"} and (one.predict_proba(X) == 1).all()


# --- weights, stopping, going on ------------------------------------------------------------------------------------


def test_weights_move_the_answers(rng):
    X = rng.normal(size=(60, 4, 1))
    y = (rng.random(60) < 0.1).astype(int)  # noise, one in ten
    rare = [classifier(class_weight=w).fit(X, y).predict_proba(X)[:, 1].mean() for w in (None, "balanced", {1: 100.0})]
    assert rare[0] < 0.3 < rare[1] < rare[2]
    # The same as weights of the sequences: a weight is a weight.
    given = classifier(class_weight={1: 3.0}).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(classifier().fit(X, y, sample_weight=1 + 2 * y).predict_proba(X), given)


def test_a_sequence_without_weight_is_not_there(series):
    X, y = series
    weights = np.ones(len(X))
    weights[40:] = 0
    some = classifier().fit(X, y, sample_weight=weights)
    np.testing.assert_array_equal(classifier().fit(X[:40], y[:40]).predict_proba(X), some.predict_proba(X))


def test_score_counts_with_weights_and_unseen_labels_are_wrong(series):
    X, y = series
    model = classifier().fit(X, y)
    other = y.astype("U9")
    other[:12] = "sideways"
    right = model.predict(X) == other
    assert model.score(X, other) == right.mean()
    weights = np.arange(len(X))
    assert model.score(X, other, weights) == pytest.approx(np.average(right, weights=weights))


def test_early_stopping_keeps_classes_in_proportion_and_the_best_epoch(rng):
    X = rng.normal(size=(80, 4, 1))
    y = np.repeat([0, 0, 0, 1], 20)  # there is nothing to learn, so it stops
    seen = []
    watch = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["val_loss"]))
    model = classifier(early_stopping=True, val_split=0.2, patience=3, epochs=100, lr=0.05)
    model.fit(X, y, callbacks=[watch])
    assert model.training_["sequences"], model.training_["validation"] == (64, 16)
    assert len(seen) < 100 and len(seen) == int(np.argmin(seen)) + 4
    assert len(model.history_.history["val_loss"]) == len(seen)


def test_warm_start_goes_on_and_a_new_fit_begins_anew(series):
    X, y = series
    model = classifier(epochs=4)
    first = model.fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(model.fit(X, y).predict_proba(X), first)
    model.set_params(warm_start=True).fit(X, y)
    assert (model.predict_proba(X) != first).any()
    assert model.training_["epochs"] == 8 and len(model.history_.epoch) == 8
    assert model.history_.history["loss"][-1] < model.history_.history["loss"][0]


@pytest.mark.parametrize("kind", KINDS)
def test_partial_fit_learns_step_by_step(kind, series):
    X, y = (SENTENCES, TAGS) if kind is elman.SequenceTagger else series
    if kind is elman.SequenceRegressor:
        y = [x[:, 0].sum() for x in X]
    model = kind(**SMALL | {"lr": 0.01})
    named = {} if kind is elman.SequenceRegressor else {"classes": np.unique(np.concatenate(y) if y is TAGS else y)}
    model.partial_fit(X[:20], y[:20], **named)
    for _ in range(25):
        model.partial_fit(X[:24], y[:24])
        model.partial_fit(X[24:], y[24:]) if len(X) > 24 else None
    assert model.score(X, y) > 0.75
    assert model.model_.optimizer.learning_rate == 0.01


# --- words ------------------------------------------------------------------------------------------------------------


def test_a_lexicon_knows_what_stands_there_twice():
    lexicon = Lexicon.learn([["the", "cat"], ["the", "hat"]])
    assert (lexicon.words, lexicon.counts) == (["the"], [2])
    assert lexicon.prefixes == ["the"] and lexicon.suffixes == ["the"]
    assert lexicon.letters == "thae"  # c stands there once
    ids, forms = lexicon.encode([["the", "rat", "the"], []])
    assert ids.values.tolist() == [0, 1, 0] and ids.lengths.tolist() == [3, 0]
    assert forms.words.tolist() == [1, 0] and forms.suffixes.tolist() == [1, 0]
    assert [part.tolist() for part in forms.letters.split()] == [[1, 2, 4], [0, 3, 1]]


def test_the_gradient_of_words(rng):
    """Each parameter of the encoder against central differences, in float64 and without hidden words."""
    lexicon = Lexicon.learn([["the", "cat", "the", "cat", "hat", "hats"]] * 2)
    encoder = WordEncoder(lexicon, 3, letter_units=2, spelling_units=2, name="words")
    model = elman.Sequential([encoder, layers.Dense(2)], dtype="float64")
    model.compile("sgd", "mse")
    model.build(lexicon.sizes["words"], ids=True, rng=0)
    ids, forms = lexicon.encode([["the", "hats", "the"], [], ["rat", "cat"]])
    batch = elman.training.Batch(forms.batch(ids), rng.normal(size=(5, 2)), None, True)
    engine = model._engine_for("test")
    engine.loss_and_gradients(batch)
    gradients = {name: g.copy() for name, g in model.parameters.named_grads().items()}
    for name, values in model.parameters.named().items():
        for place in np.ndindex(values.shape):
            kept, step = values[place], 1e-6
            values[place] = kept + step
            model.parameters.clock.ticks += 1
            above, _, _ = engine.loss_only(batch)
            values[place] = kept - step
            model.parameters.clock.ticks += 1
            below, _, _ = engine.loss_only(batch)
            values[place] = kept
            # Central differences are off by the square of the step, and by rounding over the step.
            assert gradients[name][place] == pytest.approx((above - below) / (2 * step), rel=1e-6, abs=1e-8), name


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v["input"].update(extra=1), "unknown field extra"),
        (lambda v: v["input"].update(type="numerals"), "Invalid value 'numerals'"),
        (lambda v: v["input"]["scaler"].update(scale=[0.0, 1.0]), "mean and scale must be as long as each other"),
        (lambda v: v["input"].update(features=3), "the scaler must have one mean for each feature"),
        (lambda v: v["target"].update(values=["a", "a"]), "classes must differ"),
        (lambda v: v["target"].update(values=[1, 2]), "classes must be of the kind"),
        (lambda v: v["target"].update(kind="V"), "Invalid enum value 'V'"),
        (lambda v: v.pop("target"), "unknown form, expected input and target"),
    ],
)
def test_a_forged_vocabulary_is_refused(series, tmp_path, change, message):
    from elman import files

    model = classifier(epochs=1).fit(*series)
    model.save(tmp_path / "model.elman")
    with open_model(tmp_path / "model.elman") as header:
        meta = header.meta
    change(meta.vocabulary)
    files.save(tmp_path / "forged.elman", model.model_.named_weights(), meta)
    with pytest.raises(ModelFileError, match=message):
        elman.load(tmp_path / "forged.elman")
