"""Losses and metrics through whole models: gradients, training, files, copies, class weights, and messages."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest

import elman
from elman import layers, losses
from elman.errors import DataError, ModelFileError, UsageError
from elman.ragged import Ragged
from elman.training.metrics import F1, Accuracy, TopK
from elman.training.optimizers import SGD, Adam

LENGTHS = [4, 2, 1, 7, 3]


def make(loss, *, outputs=3, per_step=True, activation=None, dtype="float64", **compiled):
    """Give a compiled model that is not built."""
    model = elman.Sequential(
        [layers.GRU(5, return_sequences=per_step), layers.Dense(outputs, activation=activation)], dtype=dtype
    )
    model.compile(**{"optimizer": SGD(0.1), "loss": loss, **compiled})
    return model


def sequences(rng):
    return [rng.normal(size=(n, 4)) for n in LENGTHS]


def targets(loss, rng, *, outputs=3, per_step=True):
    rows = sum(LENGTHS) if per_step else len(LENGTHS)
    loss = losses.get(loss)
    if loss.targets == "class":
        y = rng.integers(0, outputs, rows)
    elif loss.targets == "distribution":
        y = rng.dirichlet(np.ones(outputs), rows)
    elif loss.targets == "binary":
        y = rng.integers(0, 2, (rows, outputs)).astype(float)
    else:
        y = rng.normal(size=(rows, outputs))
    return np.split(y, np.cumsum(LENGTHS)[:-1]) if per_step else y


CASES = {
    "absolute": {"loss": "mae"},
    "huber": {"loss": losses.Huber(0.5), "per_step": False},
    "cosine": {"loss": "cosine_similarity"},
    "smoothed": {"loss": losses.CrossEntropy(0.1)},
    "smoothed softmax": {"loss": {"type": "cross_entropy", "label_smoothing": 0.1}, "activation": "softmax"},
    "smoothed one-hot": {"loss": losses.CategoricalCrossEntropy(0.1), "per_step": False},
    "binary": {"loss": "binary_crossentropy", "outputs": 1},
    "binary sigmoid": {"loss": "binary_crossentropy", "activation": "sigmoid", "outputs": 1, "per_step": False},
    "several answers": {"loss": losses.BinaryCrossEntropy(0.2), "activation": "sigmoid"},
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_gradients_are_the_slopes_of_the_loss(rng, case, weighted):
    model = make(**CASES[case])
    shape = {key: value for key, value in CASES[case].items() if key in ("outputs", "per_step")}
    x, y = sequences(rng), targets(model.loss, rng, **shape)
    sample_weight = rng.random(len(LENGTHS)) if weighted else None
    model.build(4, rng=1)
    weights = {name: rng.normal(size=w.shape) for name, w in model.named_weights().items()}
    model.set_weights(weights)
    loss, gradients, _ = model.gradients(x, y, sample_weight=sample_weight)
    assert loss == pytest.approx(model.evaluate(x, y, sample_weight=sample_weight), rel=1e-13)
    for _ in range(3):
        direction = {name: rng.normal(size=w.shape) for name, w in weights.items()}
        found = []
        for step in (1e-6, -1e-6):
            model.set_weights({name: w + step * direction[name] for name, w in weights.items()})
            found.append(model.gradients(x, y, sample_weight=sample_weight)[0])
        slope = sum((gradients[name] * direction[name]).sum() for name in weights)
        assert (found[0] - found[1]) / 2e-6 == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_a_fused_sigmoid_is_the_model_with_logits(rng):
    x, y = rng.normal(size=(6, 5, 4)), rng.integers(0, 2, 6)
    options = {"outputs": 1, "per_step": False, "metrics": ["accuracy", "f1"]}
    fused, plain = (make("binary_crossentropy", activation=a, **options) for a in ("sigmoid", None))
    fused.build(4, rng=3)
    fused.set_weights({name: 2 * w + 0.1 for name, w in fused.named_weights().items()})
    plain.build(4)
    plain.set_weights(fused.named_weights())
    assert fused.evaluate(x, y) == plain.evaluate(x, y)
    probability, logits = fused.predict(x), plain.predict(x)
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-logits)), rtol=1e-12)
    loss, right, _ = fused.evaluate(x, y)
    assert right == ((probability[:, 0] > 0.5) == y).mean()
    p = probability[:, 0]
    assert loss == pytest.approx(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)), rel=1e-12)
    assert fused.train_on_batch(x, y) == plain.train_on_batch(x, y)


def test_accuracy_of_a_single_logit_is_not_asked_at_one_half(rng):
    """A logit between 0 and 0.5 is a probability above one half."""
    model = make("binary_crossentropy", outputs=1, per_step=False, metrics="accuracy")
    model.build(4)
    model.set_weights({name: np.zeros_like(w) for name, w in model.named_weights().items()} | {"dense.bias": [0.3]})
    assert model.evaluate(rng.normal(size=(8, 3, 4)), np.ones(8))[1] == 1


def parity(rng, n=240):
    """Give sequences of different lengths and whether their numbers add up to more than 0."""
    x = [rng.normal(size=(rng.integers(1, 6), 1)) for _ in range(n)]
    return x, np.array([part.sum() > 0 for part in x])


@pytest.mark.parametrize("activation", [None, "sigmoid"])
def test_binary_learns(rng, activation):
    x, y = parity(rng)
    model = make(
        "binary_crossentropy",
        outputs=1,
        per_step=False,
        activation=activation,
        dtype="float32",
        optimizer=Adam(0.03),
        metrics=["accuracy", "f1"],
    )
    history = model.fit(x, y, epochs=8, batch_size=16, verbose=0, rng=0, validation_split=0.25)
    figures = history.history
    assert set(figures) == {"loss", "accuracy", "f1", "val_loss", "val_accuracy", "val_f1"}
    assert figures["val_accuracy"][-1] > 0.9 and figures["f1"][-1] > 0.9
    yes = model.predict(x)[:, 0] > (0.5 if activation else 0)
    assert model.evaluate(x, y, return_dict=True)["accuracy"] == (yes == y).mean()


@pytest.mark.parametrize("loss", ["mae", "huber", "mse", "cosine"])
def test_losses_of_numbers_learn(rng, loss):
    x = rng.normal(size=(200, 4, 2))
    y = np.stack([x[:, :, 0].mean(1), x[:, -1, 1]], 1)
    model = make(loss, outputs=2, per_step=False, optimizer=Adam(0.02), metrics=["mae", "rmse", "mse"])
    figures = model.fit(x, y, epochs=12, batch_size=20, verbose=0, rng=0).history
    assert figures["loss"][-1] < 0.6 * figures["loss"][0]
    distance = model.predict(x) - y
    assert model.evaluate(x, y)[1:] == pytest.approx(
        [abs(distance).mean(), np.sqrt((distance**2).mean()), (distance**2).mean()]
    )


def test_figures_of_an_epoch_are_those_of_all_its_targets(rng):
    """Batches of other sizes, another weight everywhere, one output per step: the same figures."""
    x, y = sequences(rng), targets("cross_entropy", rng, outputs=6)
    sample_weight = rng.random(len(LENGTHS))
    model = make("cross_entropy", outputs=6, metrics=["accuracy", "f1", TopK(2), "perplexity"])
    model.build(4, rng=0)
    whole = model.evaluate(x, y, sample_weight=sample_weight, batch_size=5)
    assert model.evaluate(x, y, sample_weight=sample_weight, batch_size=2) == pytest.approx(whole, rel=1e-12)
    weights, labels = np.repeat(sample_weight, LENGTHS), np.concatenate(y)
    logits = np.concatenate(model.predict(x))
    assert whole[1] == pytest.approx(np.average(logits.argmax(1) == labels, weights=weights))
    assert whole[4] == pytest.approx(np.exp(whole[0]))


class TestFiles:
    COMPILED = (
        ("mse", []),
        (losses.Huber(delta=0.25), ["mae", "root_mean_squared_error"]),
        (losses.CrossEntropy(label_smoothing=0.125), ["acc", TopK(k=2), F1("micro")]),
        ("binary_crossentropy", [Accuracy(threshold=0.25), {"type": "f1_score", "average": "macro"}]),
        (losses.CTC(blank=2), ["label_error_rate"]),
    )

    @pytest.mark.parametrize("way", ["file", "pickle", "copy"])
    @pytest.mark.parametrize(("loss", "metrics"), COMPILED)
    def test_loss_and_metrics_come_back(self, tmp_path, rng, loss, metrics, way):
        model = make(loss, metrics=metrics)
        model.build(4, rng=0)
        if way == "file":
            model.save(tmp_path / "model.elman")
            again = elman.load(tmp_path / "model.elman")
        else:
            again = pickle.loads(pickle.dumps(model)) if way == "pickle" else copy.deepcopy(model)
        assert again.loss == model.loss and again.metrics == model.metrics
        assert again.config() == model.config()
        if model.loss.targets != "labels":
            x, y = sequences(rng), targets(model.loss, rng)
            assert again.evaluate(x, y) == model.evaluate(x, y)

    def test_what_has_no_options_is_a_name_as_in_older_files(self):
        config = make("mean_squared_error", metrics=["acc", "mean_absolute_error"]).config()["compile"]
        assert config["loss"] == "squared_error"
        assert config["metrics"] == ["accuracy", "mean_absolute_error"]

    @pytest.mark.parametrize("name", ["mse", "cross_entropy", "categorical_crossentropy"])
    def test_older_files_say_a_name(self, name):
        config = make("mse").config()
        config["compile"] |= {"loss": name, "metrics": ["accuracy"]}
        model = elman.Sequential.from_config(config)
        assert model.loss == losses.get(name) and model.metrics[0].name == "accuracy"

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"loss": {"type": "huber", "delta": -1}}, "delta is out of range"),
            ({"loss": {"type": "huber", "delta": [1]}}, "delta is out of range"),
            ({"loss": {"delta": 1}}, "there is no such loss"),
            ({"loss": 3}, "its config is not accepted"),
            ({"metrics": [{"type": "top_k_accuracy", "k": "5"}]}, "k: this is no count"),
            ({"metrics": [None]}, "its config is not accepted"),
            ({"metrics": ["perplexity"]}, "metric 'perplexity' does not fit the loss"),
        ],
    )
    def test_forged_options_are_refused(self, tmp_path, monkeypatch, change, words):
        model = make("mse")
        model.build(4, rng=0)
        config = model.config()
        config["compile"] |= change
        with pytest.raises(UsageError, match=words):
            elman.Sequential.from_config(config)
        monkeypatch.setattr(elman.Sequential, "config", lambda self: config)
        model.save(tmp_path / "forged.elman")
        with pytest.raises(ModelFileError, match=words):
            elman.load(tmp_path / "forged.elman")


class TestClassWeights:
    @pytest.mark.parametrize("loss", ["cross_entropy", "categorical_crossentropy", "binary_crossentropy"])
    @pytest.mark.parametrize("per_step", [False, True])
    def test_they_are_weights_of_targets(self, rng, loss, per_step):
        outputs = 1 if loss == "binary_crossentropy" else 2
        x, labels = sequences(rng), rng.integers(0, 2, sum(LENGTHS) if per_step else len(LENGTHS))
        y = np.eye(2)[labels] if loss == "categorical_crossentropy" else labels
        each = np.where(labels == 0, 0.25, 3.0)
        if per_step:
            y, each = (np.split(rows, np.cumsum(LENGTHS)[:-1]) for rows in (y, each))
        results = []
        for weights in ({"class_weight": {0: 0.25, 1: 3}}, {"sample_weight": each}):
            model = make(loss, outputs=outputs, per_step=per_step)
            model.build(4, rng=5)
            results.append((model.train_on_batch(x, y, **weights), *model.get_weights()))
        for one, two in zip(*results, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-12)

    X = np.zeros((4, 3, 2))
    REFUSED = (
        (
            {"loss": "mse", "outputs": 1},
            np.zeros(4),
            UsageError,
            "class_weight needs one class per target, got numbers",
        ),
        (
            {"loss": "huber", "outputs": 2},
            np.zeros((4, 2)),
            UsageError,
            "one class per target, got numbers. Give sample",
        ),
        ({"loss": "binary_crossentropy", "outputs": 2}, np.zeros((4, 2)), UsageError, "got 2 answers per target"),
        (
            {"loss": "binary_crossentropy", "outputs": 1},
            np.array([0, 1, 0.5, 1]),
            DataError,
            "class_weight needs targets that are 0 or 1, got 0.5 at target 2",
        ),
    )

    @pytest.mark.parametrize(("options", "y", "error", "words"), REFUSED)
    def test_where_there_are_no_classes(self, options, y, error, words):
        with pytest.raises(error, match=words):
            make(**options, per_step=False).fit(self.X, y, class_weight={0: 2.0, 1: 1.0}, verbose=0)

    def test_a_class_that_is_neither_yes_nor_no(self):
        with pytest.raises(
            UsageError, match="class_weight names what is no class, expected classes from 0 to 1, got 2"
        ):
            make("binary_crossentropy", outputs=1, per_step=False).fit(
                self.X, np.array([0, 1, 0, 1]), class_weight={2: 1.0}, verbose=0
            )


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "binary_crossentropy"])
@pytest.mark.parametrize(("bad", "shown"), [(1.5, "1.5"), (-0.25, "-0.25"), (2, "2.0")])
def test_targets_that_are_no_probabilities(loss, bad, shown):
    y = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y[1, 0] = bad
    with pytest.raises(
        DataError, match=rf"y holds what is no probability, .*0 to 1, got \[{shown}, 0.0\] at sequence 1"
    ):
        make(loss, outputs=2, per_step=False).fit(np.zeros((3, 2, 4)), y, verbose=0)


def test_two_classes_of_one_output_are_told_their_loss():
    with pytest.raises(
        DataError, match="at least 2 units, or take loss='binary_crossentropy', which one unit is enough"
    ):
        make("cross_entropy", outputs=1, per_step=False).fit(np.zeros((3, 2, 4)), [0, 1, 1], verbose=0)


COMPILE_REFUSED = (
    (
        {"loss": "binary_crossentropy", "activation": "softmax"},
        "binary cross-entropy takes logits or sigmoid, .*softmax",
    ),
    ({"loss": "binary_crossentropy", "activation": "tanh"}, "expected no activation or sigmoid, .*'dense'.*tanh"),
    ({"loss": "cross_entropy", "activation": "sigmoid"}, "takes logits or softmax.* take loss='binary_crossentropy'"),
    ({"loss": "categorical_crossentropy", "activation": "relu"}, "cross-entropy takes logits or softmax"),
    (
        {"loss": "ctc", "activation": "sigmoid"},
        "ctc takes logits or softmax.*softmax'\\); predict then gives logits, or probabilities, .*probabilities=True",
    ),
    ({"loss": "mse", "metrics": ["perplexity"]}, "metric 'perplexity' does not fit the loss"),
    ({"loss": "ctc", "metrics": ["accuracy"]}, "metric 'accuracy' does not fit the loss"),
    ({"loss": {"type": "huber", "sigma": 1}}, "loss 'huber': there is no such option"),
    ({"loss": losses.Huber}, r"write Huber\(\)"),
)


@pytest.mark.parametrize(("options", "words"), COMPILE_REFUSED)
def test_what_compile_refuses(options, words):
    with pytest.raises(UsageError, match=words):
        make(**options)


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_crossentropy", "ctc"])
def test_a_recurrent_layer_gives_no_logits(loss):
    with pytest.raises(UsageError, match=r"takes logits or .*'gru' \(GRU.*End with Dense"):
        elman.Sequential([layers.GRU(3, return_sequences=True)]).compile("sgd", loss)


@pytest.mark.parametrize(
    ("end", "loss", "got"),
    [
        (
            [layers.Dense(3, activation="softmax"), layers.Dropout(0.1)],
            "cross_entropy",
            "layer 'dense' (Dense, softmax) before the last layer 'dropout' (Dropout)",
        ),
        (
            [layers.Dense(1, activation="sigmoid"), layers.Pooling("mean")],
            "binary_crossentropy",
            "layer 'dense' (Dense, sigmoid) before the last layer 'pooling' (Pooling)",
        ),
        (
            [layers.Dense(3, activation="softmax"), layers.Dropout(0.1), layers.AttentionPooling()],
            "categorical_crossentropy",
            "layer 'dense' (Dense, softmax) before the last layer 'attention_pooling' (AttentionPooling)",
        ),
        ([layers.Dropout(0.1)], "ctc", "layer 'gru' (GRU, tanh) before the last layer 'dropout' (Dropout)"),
        (
            [layers.Residual(layers.Dense(4, activation="softmax"))],
            "cross_entropy",
            "the last layer 'residual' (Residual(Dense), softmax)",
        ),
    ],
)
def test_what_hands_a_softmax_on_gives_no_logits(end, loss, got):
    with pytest.raises(UsageError, match=rf"takes logits or .*, got {re.escape(got)}\. End with Dense"):
        elman.Sequential([layers.GRU(4, return_sequences=True), *end]).compile("sgd", loss)


def test_logits_may_be_handed_on(rng):
    model = elman.Sequential(
        [layers.GRU(4, return_sequences=True), layers.Dense(3), layers.Dropout(0.1), layers.Pooling("mean")]
    )
    model.compile("adam", "cross_entropy", metrics=["accuracy"])
    history = model.fit(rng.normal(size=(6, 5, 2)), rng.integers(0, 3, 6), verbose=0, rng=0)
    assert np.isfinite(history.history["loss"]).all()


def test_a_refused_compile_changes_nothing():
    model = make("mse", metrics=["mae"])
    before = model.config()
    with pytest.raises(UsageError):
        model.compile("adam", "cross_entropy", metrics=["mae"])
    assert model.config() == before


def test_a_batch_may_be_a_ragged(rng):
    """What batches of label sequences are cut by: `Ragged` under slices and arrays of positions."""
    whole = Ragged(np.arange(17), LENGTHS)
    parts = whole.split()
    for index in (slice(1, 4), slice(None), slice(3, 1), slice(-2, None), slice(4, None, -2)):
        for one, two in zip(whole[index].split(), parts[index], strict=True):
            np.testing.assert_array_equal(one, two)
    assert np.shares_memory(whole[1:3].values, whole.values)
    for index in (np.array([3, 0, 3]), np.array([True, False, False, True, False])):
        np.testing.assert_array_equal(whole[index].values, whole.select(index).values)
    np.testing.assert_array_equal(whole[np.int64(2)], parts[2])
