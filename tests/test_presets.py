"""A language model takes what it is not told from a preset that fits the text; weights may be tied, gradients noisy."""

import numpy as np
import pytest

import elman
from elman import layers
from elman.errors import UsageError
from elman.ops import kernels
from elman.tasks import LanguageModel, load
from elman.tasks.presets import FILLED, filled
from elman.training import StreamBatches

TEXT = "The quick brown fox jumps over the lazy dog.\n" * 30
TINY = {"layers": 1, "hidden": 12, "batch": 4, "steps": 10, "epochs": 2, "random_state": 0, "verbose": 0}


def of_size(n_units, preset="quick", **given):
    none = dict.fromkeys(FILLED)
    return filled(preset, none | given, n_units=n_units, of_letters=True, tied=False)[0]


def test_settings_grow_and_fall_with_the_text():
    sizes = [of_size(n) for n in (100, 10_000, 100_000, 1_000_000, 50_000_000)]
    assert [s["hidden"] for s in sizes] == sorted(s["hidden"] for s in sizes)
    assert [s["epochs"] for s in sizes] == sorted((s["epochs"] for s in sizes), reverse=True)
    assert sizes[-1]["epochs"] == 1 and sizes[-1]["hidden"] == sizes[-2]["hidden"] == 384
    best = of_size(1_000_000, "best")
    assert best["hidden"] > 384 and best["epochs"] > sizes[-2]["epochs"] and best["dropout"] > 0.4
    # Of what is said, nothing changes.
    assert of_size(1_000_000, "best", hidden=64, lr=0.5, epochs=3) | {"hidden": 64, "lr": 0.5, "epochs": 3} == of_size(
        1_000_000, "best", hidden=64, lr=0.5, epochs=3
    )
    assert of_size(1_000_000, hidden=8)["dropout"] == 0


def test_products_are_in_float32_where_bfloat16_is_not_made(monkeypatch):
    monkeypatch.setattr(kernels, "note_on", lambda precision: f"{precision}: avx2 has no products of it")
    settings, note = filled("best", dict.fromkeys(FILLED), n_units=10**6, of_letters=True, tied=False)
    assert settings["precision"] == "float32" and note == "bfloat16: avx2 has no products of it"
    settings, note = filled("best", dict.fromkeys(FILLED), n_units=10**3, of_letters=True, tied=False)
    assert settings["precision"] == "float32" and note is None
    monkeypatch.setattr("elman.tasks.presets._FASTER", 1)
    with pytest.warns(UserWarning, match="avx2 has no products"):
        assert LanguageModel(**TINY).fit(TEXT).settings_["precision"] == "float32"


def test_what_was_used_stands_in_the_file(tmp_path):
    model = LanguageModel(layers=1, epochs=1, random_state=0, verbose=0).fit(TEXT)
    assert model.hidden is None and model.settings_["hidden"] == 64 and model.settings_["epochs"] == 1
    model.save(tmp_path / "m.elman")
    again = load(tmp_path / "m.elman")
    assert again.hidden == 64 and again.settings_ == model.settings_
    model.set_params(hidden=99)  # means the next fit
    model.save(tmp_path / "m.elman")
    assert load(tmp_path / "m.elman").score(TEXT) == model.score(TEXT)


def test_there_is_no_such_preset():
    with pytest.raises(UsageError, match="preset is not accepted, expected one of 'quick', 'best', got 'better'"):
        LanguageModel(preset="better").fit(TEXT)


def test_the_learning_rate_rises_and_falls():
    rates = []

    class Look(elman.callbacks.Callback):
        def on_batch_begin(self, batch, logs):
            rates.append(model.model_.optimizer.learning_rate)

    model = LanguageModel(**TINY | {"epochs": 5, "lr": 0.01, "warmup": 0.2})
    model.fit(TEXT, callbacks=[Look()])
    top = int(np.argmax(rates))
    assert top == round(0.2 * len(rates)) and rates[top] == 0.01 and rates[0] == pytest.approx(0.001)
    assert np.all(np.diff(rates[:top]) > 0) and np.all(np.diff(rates[top:]) < 0) and rates[-1] < 1e-3
    rates.clear()
    model.set_params(schedule="constant", warmup=0.0).fit(TEXT, callbacks=[Look()])
    assert set(rates) == {0.01}


def test_adamw_dropout_and_noise_are_as_asked():
    model = LanguageModel(
        **TINY | {"layers": 2, "dropout": 0.3, "weight_decay": 0.2, "beta_1": 0.8, "beta_2": 0.9, "gradient_noise": 0.1}
    ).fit(TEXT)
    made = model.model_
    assert [layer.type_name() for layer in made.layers] == ["embedding", *["lstm", "dropout"] * 2, "dense"]
    assert (made.optimizer.weight_decay, made.optimizer.beta_1, made.optimizer.beta_2) == (0.2, 0.8, 0.9)
    assert made.gradient_noise == 0.1
    same, quiet = (LanguageModel(**TINY | {"gradient_noise": noise}).fit(TEXT).history_.batches for noise in (0.0, 0.0))
    noisy = LanguageModel(**TINY | {"gradient_noise": 0.01}).fit(TEXT).history_.batches
    np.testing.assert_array_equal(same, quiet)
    assert noisy[0] == same[0] and not np.array_equal(noisy, same)


def test_noise_falls_with_the_steps_and_leaves_gaps_alone(rng):
    model = elman.Sequential([layers.Dense(41)])
    model.compile("sgd", "mse")
    model.build(50, rng=0)
    parameters = model.parameters
    for step, expected in ((0, 0.3), (99, 0.3 * 100 ** (-0.55 / 2))):
        parameters.grads.fill(0)
        elman.optimizers.add_gradient_noise(parameters, rng, variance=0.09, step=step)
        values = np.concatenate([grad.ravel() for grad in parameters.named_grads().values()])
        # 2,091 draws: the standard deviation is known to 1.6 %.
        assert values.std() == pytest.approx(expected, rel=0.07) and abs(values.mean()) < expected / 10
        assert np.count_nonzero(parameters.grads) == values.size


def test_noise_is_refused_where_it_is_no_number():
    with pytest.raises(UsageError, match=r"compile: gradient_noise is out of range, expected a number in \[0, inf\)"):
        elman.Sequential([layers.Dense(1)]).compile("sgd", "mse", gradient_noise=-1)


# Tied weights ----------------------------------------------------------------------------------------------------


def tied(embedding=6, units=6, **arguments):
    between = [layers.Dense(embedding)] if embedding != units else []
    model = elman.Sequential(
        [layers.Embedding(11, embedding), layers.GRU(units, return_sequences=True), *between,
         layers.Dense(11, tied_to="embedding")], **arguments
    )  # fmt: skip
    model.compile("adam", "cross_entropy")
    model.build(11, ids=True, rng=0)
    return model


@pytest.mark.parametrize("units", [6, 9])
def test_gradients_of_tied_weights_are_exact(units, rng):
    model, x, y = tied(units=units), rng.integers(0, 11, (3, 7)), rng.integers(0, 11, (3, 7))
    check = elman.check_gradients(model, x, y, verbose=0)
    assert check.verdict.endswith("are right, to rounding.")
    names = [parameter.name for parameter in check.parameters]
    assert "embedding.weight" in names and f"{model.layers[-1].name}.weight" not in names


def test_the_gradient_is_the_sum_of_both(rng):
    x, y = rng.integers(0, 11, (3, 7)), rng.integers(0, 11, (3, 7))
    model = tied(dtype="float64")
    apart = elman.Sequential(
        [layers.Embedding(11, 6), layers.GRU(6, return_sequences=True), layers.Dense(11)], dtype="float64"
    )
    apart.compile("adam", "cross_entropy")
    apart.build(11, ids=True)
    weights = model.named_weights()
    apart.set_weights({**weights, "dense.weight": weights["embedding.weight"]})
    loss, grads, _ = model.gradients(x, y)
    loss_apart, grads_apart, _ = apart.gradients(x, y)
    assert loss == loss_apart
    total = grads_apart["embedding.weight"] + grads_apart["dense.weight"]
    np.testing.assert_allclose(grads["embedding.weight"], total, rtol=1e-12, atol=1e-15)


def test_tied_weights_are_counted_saved_and_copied_once(tmp_path, rng):
    import copy

    model, x = tied(units=9), rng.integers(0, 11, (2, 5))
    model.fit(x, x, epochs=3, verbose=0, rng=0)
    assert model.count_params() == sum(w.size for w in model.get_weights())
    last = model.explain(batch_size=1, steps=1).layers[-1]
    assert (last.flops, last.parameters) == (2 * 11 * 6, 11)
    model.save(tmp_path / "m.elman")
    out = model.predict(x)
    for other in (elman.load(tmp_path / "m.elman"), copy.deepcopy(model)):
        np.testing.assert_array_equal(other.predict(x), out)
    stream = model.stream()
    np.testing.assert_array_equal([stream.step(token) for token in x[0]], out[0])
    for weights in ("int8", "bfloat16"):
        small = model.quantize(weights)
        small.save(tmp_path / "q.elman")
        np.testing.assert_array_equal(elman.load(tmp_path / "q.elman").predict(x), small.predict(x))


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        ([layers.Embedding(11, 6), layers.LSTM(9), layers.Dense(11, tied_to="embedding")],
         r"layer 'embedding', expected shape \(11, 9\), got \(11, 6\)\. Put Dense\(6\) before it\.$"),
        ([layers.Embedding(11, 6), layers.LSTM(6), layers.Dense(12, tied_to="embedding")], r"got \(11, 6\)\.$"),
        ([layers.Embedding(11, 6), layers.Dense(11, tied_to="table")], "'table', which has none, expected one of"),
        ([layers.Embedding(11, 6), layers.Dense(11, tied_to="dense")], "'dense', which has none"),
    ],
)  # fmt: skip
def test_weights_that_cannot_be_tied_are_refused(stack, message):
    model = elman.Sequential([layers.from_config(layer.config()) for layer in stack])
    with pytest.raises(UsageError, match=message):
        model.build(11, ids=True)


def test_a_wrapped_layer_cannot_be_tied():
    with pytest.raises(UsageError, match="has weights of another layer, which is out of reach"):
        layers.Residual(layers.Dense(4, tied_to="embedding"))


@pytest.mark.parametrize("embedding", [None, 7])
def test_a_language_model_ties_its_weights(embedding, tmp_path):
    model = LanguageModel(**TINY, tie_weights=True, embedding=embedding).fit(TEXT)
    size = model.vocabulary_.size
    named = model.model_.named_weights()
    assert named["embedding.weight"].shape == (size, embedding or 12) and (size, 12) not in (
        w.shape for name, w in named.items() if name != "embedding.weight"
    )
    model.save(tmp_path / "m.elman")
    assert load(tmp_path / "m.elman").score(TEXT) == model.score(TEXT)
    with pytest.raises(UsageError, match="tie_weights needs an embedding, and embedding is 0"):
        LanguageModel(**TINY, tie_weights=True).set_params(embedding=0).fit(TEXT)


# Where epochs begin ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_streams", "steps"), [(1, 7), (3, 4), (5, 1)])
def test_epochs_begin_anywhere_and_learn_every_transition_once(n_streams, steps):
    ids = np.arange(30)
    batches = StreamBatches(ids, n_streams=n_streams, steps=steps, rng=np.random.default_rng(0))
    firsts = set()
    for _ in range(20):
        pairs = [pair for batch in batches for pair in zip(batch.x.values.tolist(), batch.target.tolist(), strict=True)]
        assert sorted(pairs) == [(token, token + 1) for token in range(29)]
        assert len(list(batches)) == len(batches)
        firsts.add(pairs[0])
    assert len(firsts) > 5


def test_documents_begin_anew_wherever_an_epoch_begins():
    batches = StreamBatches(np.arange(30), n_streams=3, steps=4, documents=[0, 10, 20], rng=np.random.default_rng(0))
    for _ in range(10):
        pairs = [pair for batch in batches for pair in zip(batch.x.values.tolist(), batch.target.tolist(), strict=True)]
        assert sorted(pairs) == [(token, token + 1) for token in range(29) if token not in (9, 19)]
