"""Models of the layers that hold, drop, normalise, pool and repeat: trained, asked, saved, explained."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

import elman
from elman import layers, losses
from elman.errors import DataError, NotFittedError, UsageError
from elman.model.explain import LayerFacts
from elman.model.memory import batch_bytes
from elman.ragged import Ragged

STACKS = {
    "recipe": lambda: [
        layers.Dropout(0.1),
        layers.Bidirectional(layers.GRU(6, return_sequences=True)),
        layers.Pooling("mean_max"),
        layers.Dropout(0.5),
        layers.Dense(2),
    ],
    "deep": lambda: [
        layers.Bidirectional(layers.LSTM(5, return_sequences=True), merge_mode="sum"),
        layers.LayerNorm(),
        layers.Residual(layers.Bidirectional(layers.GRU(5, return_sequences=True), merge_mode="mean")),
        layers.Dropout(0.3, per_sequence=True),
        layers.AttentionPooling(4),
        layers.Dense(2),
    ],
    "last of both ways": lambda: [
        layers.Bidirectional(layers.RNN(5), backward_layer=layers.LSTM(3)),
        layers.Residual(layers.Dense(8, activation="tanh")),
        layers.Dense(2),
    ],
}
LENGTHS = [5, 0, 7, 2, 7, 1, 4, 3]


def sequences(features=3, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((steps, features)) for steps in LENGTHS]


def fitted(case, x=None, y=None, **options):
    model = elman.Sequential(STACKS[case](), **options)
    model.compile("adam", "mse")
    x = sequences() if x is None else x
    y = np.random.default_rng(1).standard_normal((len(x), 2)) if y is None else y
    model.fit(x, y, epochs=2, batch_size=3, verbose=0, rng=0)
    return model


@pytest.mark.parametrize("case", STACKS)
def test_learns(case):
    """What a sequence holds at its beginning and its end, of sequences of any lengths."""
    rng = np.random.default_rng(0)
    x = [rng.standard_normal((steps, 3)) for steps in rng.integers(1, 9, 200)]
    y = np.array([[steps[0, 0], steps[-1, 1]] for steps in x])
    model = elman.Sequential(STACKS[case]())
    model.compile(elman.training.optimizers.Adam(1e-2), "mse")
    history = model.fit(x, y, epochs=15, verbose=0, rng=0)
    losses = history.history["loss"]
    assert losses[-1] < 0.75 * losses[0]
    assert model.evaluate(x, y) < 0.6 * float(np.mean(y**2))


@pytest.mark.parametrize("case", STACKS)
def test_saved_and_loaded(case, tmp_path):
    model = fitted(case)
    model.save(tmp_path / "model.elman")
    again = elman.load(tmp_path / "model.elman")
    assert again.config() == model.config()
    np.testing.assert_array_equal(again.predict(sequences()), model.predict(sequences()))
    for name, array in model.named_weights().items():
        np.testing.assert_array_equal(again.named_weights()[name], array)


def test_names_in_files():
    model = fitted("deep")
    names = list(model.named_weights())
    assert names[0] == "bidirectional.forward.weight_ih" and "bidirectional.backward.bias" in names
    assert "residual.layer.backward.bias_hn" in names and "attention_pooling.query" in names
    assert [layer.name for layer in model.layers] == [
        "bidirectional", "layer_norm", "residual", "dropout", "attention_pooling", "dense",
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", STACKS)
def test_alone_and_in_a_batch(case, dtype):
    """64 sequences of up to 500 steps give, bit for bit, what each gives alone."""
    model = fitted(case, dtype=dtype)
    rng = np.random.default_rng(2)
    x = [rng.standard_normal((steps, 3)) for steps in rng.integers(0, 500, 64)]
    together = model.predict(x)
    for steps, row in zip(x[::7], together[::7], strict=True):
        np.testing.assert_array_equal(model.predict([steps])[0], row)


def test_one_seed_one_model():
    flats = [fitted("recipe").parameters.flat for _ in range(2)]
    np.testing.assert_array_equal(*flats)
    model = elman.Sequential(STACKS["recipe"]())
    model.compile("adam", "mse")
    model.fit(sequences(), np.zeros((8, 2)), epochs=1, verbose=0, rng=1)
    assert (model.parameters.flat != flats[0]).any()


def test_predict_drops_nothing():
    model = fitted("recipe")
    np.testing.assert_array_equal(model.predict(sequences()), model.predict(sequences()))


def test_threads_do_not_change_the_bits():
    model = fitted("deep")
    before = elman.show_config()["threads"]
    try:
        outputs = []
        for threads in (1, 2, 3):
            elman.set_threads(threads)
            outputs.append(model.predict(sequences()))
    finally:
        elman.set_threads(before)
    for one, other in itertools.pairwise(outputs):
        np.testing.assert_array_equal(one, other)


def test_shared_layers():
    """One layer that stands twice has one set of weights, wrapped or not."""
    shared = layers.Residual(layers.LSTM(3, return_sequences=True))
    model = elman.Sequential([shared, layers.LayerNorm(), shared, layers.Dense(1)], dtype="float64")
    model.compile("sgd", "mse")
    model.fit(sequences(), [np.ones((steps, 1)) for steps in LENGTHS], verbose=0, rng=0)
    assert sum(name.startswith("residual.") for name in model.named_weights()) == 3
    again = elman.Sequential.from_config(model.config())
    again.load_weights(model.named_weights())
    for one, other in zip(again.predict(sequences()), model.predict(sequences()), strict=True):
        np.testing.assert_array_equal(one, other)


def test_token_ids_both_ways():
    """Ids go into both directions as they are; their number comes from the data or the inner layer."""
    ids = [np.array([3, 0, 6]), np.array([], int), np.array([1]), np.array([5, 5, 2, 4])]
    for layer in (layers.LSTM(4), layers.GRU(4, vocab_size=9)):
        model = elman.Sequential([layers.Bidirectional(layer), layers.Dense(3, activation="softmax")])
        model.compile("adam", "cross_entropy")
        model.fit(ids, [0, 2, 1, 2], verbose=0, rng=0)
        assert model.input_size == (9 if layer.vocab_size else 7)
        one_hot = [np.eye(model.input_size)[part].reshape(len(part), model.input_size) for part in ids]
        plain = elman.Sequential.from_config(model.config() | {"ids": False})
        plain.load_weights(model.named_weights())
        np.testing.assert_allclose(plain.predict(one_hot), model.predict(ids), rtol=1e-5)


# --- state ----------------------------------------------------------------------------------------------------------


def test_states_of_both_ways():
    model = fitted("last of both ways", dtype="float64")
    out, state = model.predict(sequences(), return_state=True)
    assert [[part.shape for part in parts] for parts in state] == [[(8, 5), (8, 3), (8, 3)], [], []]
    zeros = tuple(tuple(np.zeros_like(part) for part in parts) for parts in state)
    np.testing.assert_array_equal(model.predict(sequences(), state=zeros), out)
    other = model.predict(sequences(), state=(tuple(part + 1 for part in state[0]), (), ()))
    assert (other != out).any(axis=1).all()
    _, _, last = model.gradients(sequences(), np.zeros((8, 2)), state=state)
    assert [part.shape for part in last[0]] == [(8, 5), (8, 3), (8, 3)]
    said = r"state of layer 'bidirectional' is that of 8 sequences, and x has 2, .* A state goes with its sequences"
    with pytest.raises(UsageError, match=said):
        model.predict(sequences()[:2], state=state)
    with pytest.raises(UsageError, match=r"'bidirectional' does not fit, expected \[\(8, 5\), \(8, 3\), \(8, 3\)\]"):
        model.predict(sequences(), state=((state[0][0],), (), ()))


def test_no_steps_one_by_one_through_both_ways():
    model = elman.Sequential(
        [layers.Residual(layers.Bidirectional(layers.LSTM(3, return_sequences=True), merge_mode="sum"))]
    )
    model.build(3)
    with pytest.raises(
        UsageError, match=r"stream: Residual 'residual' \(Residual\(Bidirectional\(LSTM\)\)\) needs whole"
    ):
        model.stream()


def test_state_goes_around_and_through():
    """Cut in two, with the state carried through a Residual: the same bits as in one run; step by step as well."""
    model = elman.Sequential(
        [
            layers.Residual(layers.LSTM(3, return_sequences=True)),
            layers.LayerNorm(),
            layers.GRU(4, return_sequences=True),
        ]
    )
    model.build(3, rng=0)
    x = np.random.default_rng(0).standard_normal((4, 9, 3))
    whole, end = model.predict(x, return_state=True)
    first, between = model.predict(x[:, :5], return_state=True)
    second, end_too = model.predict(x[:, 5:], state=between, return_state=True)
    np.testing.assert_array_equal(np.concatenate([first, second], axis=1), whole)
    assert [len(parts) for parts in end] == [2, 0, 1]
    for one, other in zip(itertools.chain(*end), itertools.chain(*end_too), strict=True):
        np.testing.assert_array_equal(one, other)
    stream = model.stream()
    for step in range(9):
        np.testing.assert_array_equal(stream.step(x[0, step]), whole[0, step])


def test_no_state_is_carried_over_batches_both_ways():
    model = elman.Sequential(
        [layers.Embedding(5, 3), layers.Bidirectional(layers.GRU(3, return_sequences=True)), layers.Dense(5)]
    )
    model.compile("adam", "cross_entropy")
    model.build(5)
    stream = elman.training.StreamBatches(np.arange(40) % 5, n_streams=2, steps=5)
    said = r"Bidirectional 'bidirectional' \(Bidirectional\(GRU\)\) needs whole sequences, so no state can be carried"
    with pytest.raises(UsageError, match=f"fit: {said}"):
        model.fit_batches(stream)
    with pytest.raises(UsageError, match=f"evaluate: {said}"):
        model.evaluate_batches(stream)
    x, y = np.arange(40).reshape(4, 10) % 5, np.arange(40).reshape(4, 10) % 5
    with pytest.raises(UsageError, match=said):
        model.fit(x, y, batch_size=2, carry_state=True)
    model.fit(x, y, batch_size=2, verbose=0)


# --- one to many ----------------------------------------------------------------------------------------------------


def one_to_many(dtype="float32"):
    model = elman.Sequential(
        [layers.GRU(8), layers.RepeatVector(4), layers.LSTM(8, return_sequences=True), layers.Dense(2)], dtype=dtype
    )
    model.compile(elman.training.optimizers.Adam(1e-2), "mse")
    return model


def test_one_to_many():
    """Targets have the model's steps, not those of x, which may be longer, shorter or none."""
    x, rng = sequences(), np.random.default_rng(1)
    y = rng.standard_normal((8, 4, 2))
    model = one_to_many()
    history = model.fit(x, y, epochs=60, batch_size=3, verbose=0, rng=0, validation_split=0.25)
    out = model.predict(x)
    assert [part.shape for part in out] == [(4, 2)] * 8
    np.testing.assert_allclose(model.evaluate(x, y), np.mean((np.stack(out) - y) ** 2), rtol=1e-5)
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
    dense = np.zeros((8, 6, 3))
    for index, steps in enumerate(x):
        dense[index, : len(steps[:6])] = steps[:6]
    out = model.predict(dense, lengths=np.minimum(LENGTHS, 6))
    assert out.shape == (8, 4, 2)
    np.testing.assert_array_equal(out[0], model.predict([x[0]])[0])
    assert model.predict(dense[:, :3]).shape == (8, 4, 2)
    assert model.predict(Ragged.from_list(x)).lengths.tolist() == [4] * 8


def test_gradients_of_one_to_many_with_weights():
    """Σ w l / Σ w over the model's own steps, batch by batch as a whole."""
    x, rng = sequences(), np.random.default_rng(1)
    y, each = rng.standard_normal((8, 4, 2)), rng.random((8, 4))
    model = one_to_many("float64")
    model.build(3, rng=0)
    out = np.stack(model.predict(x))
    error = ((out - y) ** 2).mean(2)
    for weight, expected in ((each, (error * each).sum() / each.sum()), (None, error.mean())):
        loss, grads, _ = model.gradients(x, y, sample_weight=weight)
        assert loss == pytest.approx(expected, rel=1e-12)
        assert model.evaluate(x, y, sample_weight=weight, batch_size=3) == pytest.approx(expected, rel=1e-12)
        assert all(np.abs(grad).max() > 0 for grad in grads.values())
    per_sequence = each[:, 0]
    loss = model.evaluate(x, y, sample_weight=per_sequence)
    assert loss == pytest.approx((error.mean(1) * per_sequence).sum() / per_sequence.sum(), rel=1e-12)


def test_targets_of_other_steps_than_the_models():
    model = one_to_many()
    with pytest.raises(DataError, match="fit: "):
        model.fit(sequences(), [np.zeros((steps, 2)) for steps in LENGTHS], verbose=0)
    with pytest.raises(DataError, match="fit: "):
        model.fit(sequences(), np.zeros((8, 5, 2)), verbose=0)
    assert not model.built


# --- the pad value --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pad", [0, -1.0, np.nan])
def test_pad_value(pad):
    """A padded array, cut at the door, is the list of its sequences."""
    x = sequences()
    y = np.random.default_rng(1).standard_normal((8, 2))
    padded = np.full((8, 9, 3), float(pad))
    for index, steps in enumerate(x):
        padded[index, : len(steps)] = steps
    padded[0, 2] = x[0][2] = 0  # inside of a sequence it is a step like others
    one, other = fitted("recipe", x, y), elman.Sequential(STACKS["recipe"]())
    other.compile("adam", "mse")
    other.fit(padded, y, epochs=2, batch_size=3, verbose=0, rng=0, pad_value=pad, validation_data=(padded, y))
    np.testing.assert_array_equal(one.parameters.flat, other.parameters.flat)
    np.testing.assert_array_equal(other.predict(padded, pad_value=pad), one.predict(x))
    assert other.evaluate(padded, y, pad_value=pad) == one.evaluate(x, y)
    assert other.gradients(padded, y, pad_value=pad)[0] == one.gradients(x, y)[0]


def test_pad_value_of_ids_and_targets_per_step():
    """Targets per step are cut where x is; what comes back is padded as before."""
    ids = np.array([[4, 0, 2, 0, 0], [1, 2, 3, 4, 5], [0, 0, 0, 0, 0]])
    model = elman.Sequential(
        [layers.Embedding(6, 3), layers.Bidirectional(layers.GRU(3, return_sequences=True)), layers.Dense(4)]
    )
    model.compile("adam", "cross_entropy")
    y = np.array([[1, 2, 3, 9, 9], [0, 1, 2, 3, 0], [9, 9, 9, 9, 9]])  # 9 is no class, and not looked at
    model.fit(ids, y, verbose=0, rng=0, pad_value=0)
    out = model.predict(ids, pad_value=0)
    assert out.shape == (3, 5, 4)
    np.testing.assert_array_equal(out[0, :3], model.predict([ids[0, :3]])[0])
    assert not out[0, 3:].any() and not out[2].any()


@pytest.mark.parametrize(
    ("x", "options", "error", "message"),
    [
        (np.ones((2, 3, 1)), {"lengths": [1, 2], "pad_value": 0}, UsageError, "lengths and pad_value say the same"),
        (np.ones((2, 3, 1)), {"pad_value": "0"}, UsageError, "pad_value is no number, .* got '0'"),
        (np.ones((2, 3, 1)), {"pad_value": True}, UsageError, "pad_value is no number, .* got True"),
        ([np.ones((3, 1))], {"pad_value": 0}, DataError, "pad_value is for arrays; a list or a Ragged has its own"),
        (Ragged(np.ones((3, 1)), [3]), {"pad_value": 0}, DataError, "pad_value is for arrays"),
    ],
)
def test_pad_values_that_are_not_accepted(x, options, error, message):
    model = elman.Sequential([layers.LSTM(2)])
    model.build(1)
    with pytest.raises(error, match=f"predict: {message}"):
        model.predict(x, **options)


def test_pad_value_at_the_edges():
    assert Ragged.from_dense(np.zeros((3, 0, 2)), pad_value=0).lengths.tolist() == [0, 0, 0]
    assert Ragged.from_dense(np.zeros((0, 4, 2)), pad_value=0).lengths.tolist() == []
    rows = np.array([[[0, 1], [0, 0]], [[1, 0], [2, 0]]])
    assert Ragged.from_dense(rows, pad_value=0).lengths.tolist() == [1, 2]
    assert Ragged.from_dense(rows, pad_value=7).lengths.tolist() == [2, 2]


# --- what is said about a model -------------------------------------------------------------------------------------


def test_summary(capsys):
    model = elman.Sequential(
        [
            layers.Residual(layers.Bidirectional(layers.GRU(4, return_sequences=True), merge_mode="sum")),
            layers.Pooling("mean_max"),
            layers.RepeatVector(6),
            layers.Dense(2),
        ]
    )
    model.build(4)
    model.summary()
    rows = [[cell.strip() for cell in line.split("  ") if cell] for line in capsys.readouterr().out.splitlines()]
    for words in (
        ["residual (Residual(Bidirectional(GRU)))", "(batch, steps, 4)", "224"],
        ["pooling (Pooling)", "(batch, 8)", "0"],
        ["repeat_vector (RepeatVector)", "(batch, 6, 8)", "0"],
        ["dense (Dense)", "(batch, 6, 2)", "18"],
    ):
        assert any(all(word in row for word in words) for row in rows), (words, rows)


def test_explain(capsys):
    model = elman.Sequential(
        [
            layers.Embedding(50, 10),
            layers.Bidirectional(layers.LSTM(16, return_sequences=True)),
            layers.Residual(layers.GRU(32, return_sequences=True)),
            layers.LayerNorm(),
            layers.Pooling("mean"),
            layers.Dense(7),
        ],
        name="reader",
    )
    model.build(50)
    told = model.explain(batch_size=8, steps=20)
    text = capsys.readouterr().out
    facts = {layer.name: layer for layer in told.layers}
    assert list(facts) == [
        "embedding", "bidirectional", "bidirectional.forward", "bidirectional.backward", "residual", "residual.layer",
        "layer_norm", "pooling", "dense",
    ]  # fmt: skip
    assert facts["embedding"].flops == 0
    assert facts["bidirectional.forward"].flops == 2 * 4 * 16 * (10 + 16)
    assert facts["residual.layer"].flops == 2 * 3 * 32 * (32 + 32)
    assert facts["dense"].flops == 2 * 7 * 32
    assert [facts[name].rows for name in ("embedding", "pooling", "dense")] == [160, 160, 8]
    assert told.flops == 160 * (2 * 3328 + 12_288) + 8 * 448
    assert told.parameters == model.count_params() == sum(layer.parameters for layer in told.layers)
    assert told.kept_bytes == batch_bytes(model.layers, input_size=50, n_steps=160, itemsize=4, n_sequences=8)
    assert facts["layer_norm"].kernel is None and "no matrix product" in facts["layer_norm"].reason
    config = elman.show_config()
    if config["native"]:
        assert [facts[f"bidirectional.{way}"].kernel for way in ("forward", "backward")] == ["lstm", "lstm"]
        assert facts["residual.layer"].kernel == "gru" and facts["residual.layer"].reason is None
        assert facts["residual.layer"].threads == min(config["threads"], 8)
        assert told.instruction_set in text
    assert facts["dense"].threads == 1  # too little work for more
    assert "reader" in text and "forward (LSTM)" in text and "12,288" in text
    assert told.to_dict()["layers"][5]["kind"] == "GRU"
    assert repr(told) == "<Explanation of 'reader': 9 rows, 3,034,624 FLOP forward>"


def test_explain_says_why_it_is_numpy(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    """Without the native core, and for a cell that it has no kernel for."""
    model = elman.Sequential([layers.Bidirectional(layers.LSTM(64, peephole=True)), layers.Dense(3)])
    model.build(4)
    monkeypatch.setattr(
        "elman.ops.kernels.native", SimpleNamespace(has_cell=lambda name: False, threads_for=lambda *work: 2)
    )
    assert [layer.kernel for layer in model.explain().layers[1:3]] == [None, None]
    text = capsys.readouterr().out
    [whole] = [line for line in text.splitlines() if "bidirectional" in line]
    assert "see below" in whole and "NumPy" not in whole
    assert "forward (LSTM)" in text and "NumPy (1)" in text and "NumPy (2)" not in text
    assert "(1) NumPy: there is no native kernel for the cell" in text
    monkeypatch.setattr("elman.ops.kernels.native", None)
    expected = LayerFacts("dense", "Dense", None, "the native core is not installed", 1, 387, 768, 24, 32)
    assert model.explain().layers[-1] == expected
    assert "the native core is not installed" in capsys.readouterr().out


LOSSES = {
    "cross-entropy": (losses.CrossEntropy(), "cross_entropy", None),
    "smoothed": (losses.CrossEntropy(label_smoothing=0.1), None, "label smoothing"),
    "probabilities": (losses.CategoricalCrossEntropy(), None, "no matrix product"),
    "numbers": (losses.SquaredError(), None, "no matrix product"),
    "ctc": (losses.CTC(), "ctc", None),
}


@pytest.mark.parametrize("name", LOSSES)
def test_explain_names_the_loss(capsys, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "120")
    loss, kernel, reason = LOSSES[name]
    model = elman.Sequential([layers.GRU(6, return_sequences=True), layers.Dense(3)])
    model.build(4)
    assert model.explain().loss is None and model.explain().to_dict()["loss"] is None
    assert "loss" not in capsys.readouterr().out
    model.compile("adam", loss)
    told = model.explain()
    [line] = [line for line in capsys.readouterr().out.splitlines() if "loss" in line]
    assert told.loss.kind == type(loss).__name__ and told.to_dict()["loss"]["kernel"] == told.loss.kernel
    assert f"loss ({told.loss.kind})" in line and (told.loss.kernel or "NumPy") in line
    if not elman.show_config()["native"]:
        kernel, reason = None, reason or "the native core is not installed"
    assert told.loss.kernel == kernel
    assert (told.loss.reason is None) if reason is None else (reason in told.loss.reason)


@pytest.mark.parametrize("dtype", ["float32", "float64", "longdouble"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_runs_where_it_says(monkeypatch, smoothing, dtype):
    called = []
    spy = SimpleNamespace(cross_entropy=lambda *_: called.append(True) or 1.0)
    monkeypatch.setattr("elman.ops.losses.entropies.native", spy)
    monkeypatch.setattr("elman.ops.kernels.native", spy)
    loss = losses.CrossEntropy(label_smoothing=smoothing)
    loss(np.zeros((2, 3), dtype), np.array([0, 2]), want_grad=False)
    assert bool(called) == (loss.runs_on(dtype).kernel is not None)


@pytest.mark.parametrize("dtype", ["float32", "float64", "longdouble"])
def test_ctc_runs_where_it_says(monkeypatch, dtype):
    called = []
    spy = SimpleNamespace(ctc=lambda *work: (called.append(True), work[7].fill(1.0)))
    monkeypatch.setattr("elman.ops.ctc.native", spy)
    monkeypatch.setattr("elman.ops.kernels.native", spy)
    losses.CTC()(Ragged(np.zeros((3, 3), dtype), [3]), Ragged(np.array([1, 2]), [2]), want_grad=False)
    assert bool(called) == (losses.CTC().runs_on(dtype).kernel is not None)


def test_explain_fits_into_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    fitted("deep").explain()
    assert all(len(line) <= 80 for line in capsys.readouterr().out.splitlines())


def test_explain_over_token_ids_and_shared_layers():
    model = elman.Sequential([layers.LSTM(8, vocab_size=30, return_sequences=True)])
    assert model.explain().layers[0].flops == 2 * 4 * 8 * 8
    shared = layers.Dense(5)
    model = elman.Sequential([shared, shared])
    with pytest.raises(NotFittedError, match="explain: the input size of the model is not known yet"):
        model.explain()
    model.build(5)
    assert [layer.parameters for layer in model.explain().layers] == [30, 0]
    with pytest.raises(UsageError, match="batch_size"):
        model.explain(batch_size=0)
    with pytest.raises(UsageError, match="steps"):
        model.explain(steps=0)


def test_memory_counts_rows_and_made_steps():
    stack = [layers.LSTM(4), layers.RepeatVector(10), layers.Dense(3)]
    step, row = layers.LSTM(4).kept_per_step(2), layers.RepeatVector(10).kept_per_step(4)
    expected = 100 * step + 5 * row + 50 * layers.Dense(3).kept_per_step(4)
    assert batch_bytes(stack, input_size=2, n_steps=100, itemsize=8, n_sequences=5) == 8 * expected


def test_layers_below_the_first_parameters_are_not_taken_back(rng, monkeypatch):
    asked = []
    for kind in (layers.Dropout, layers.LSTM, layers.Dense):
        backward = kind.backward

        def spy(self, *args, backward=backward, **kwargs):
            asked.append((type(self).__name__, kwargs["want_dx"]))
            return backward(self, *args, **kwargs)

        monkeypatch.setattr(kind, "backward", spy)
    model = elman.Sequential([layers.Dropout(0.2), layers.LSTM(3), layers.Dense(2), layers.Dropout(0.1)])
    model.compile("sgd", "mse")
    model.fit(rng.standard_normal((4, 5, 2)), rng.standard_normal((4, 2)), epochs=1, verbose=0)
    assert asked == [("Dropout", True), ("Dense", True), ("LSTM", False)]


def test_a_step_of_training_drops_and_so_do_gradients_if_asked(rng):
    x, y = rng.standard_normal((6, 7, 3)), rng.standard_normal((6, 1))
    model = elman.Sequential([layers.GRU(8, recurrent_dropout=0.5), layers.Dropout(0.5), layers.Dense(1)])
    model.compile(elman.optimizers.SGD(1e-30), "mse")  # the weights stay as they are

    def seeded(seed):
        return np.random.default_rng(seed)

    losses = [model.train_on_batch(x, y) for _ in range(3)]
    assert len(set(losses)) == 3
    whole = model.evaluate(x, y)
    assert whole not in losses
    assert model.gradients(x, y)[0] == model.gradients(x, y)[0] == whole
    assert model.gradients(x, y, rng=5)[0] == model.gradients(x, y, rng=5)[0] == model.train_on_batch(x, y, rng=5)
    draws = seeded(5)
    assert model.train_on_batch(x, y, rng=draws) != model.train_on_batch(x, y, rng=draws)
