"""Models with weights in fewer bytes: what they cost, how they are saved, what they refuse."""

from __future__ import annotations

import copy
import json
import math
import pickle

import numpy as np
import pytest

import elman
from elman import Sequential, files, layers
from elman.cli.main import main
from elman.errors import AccuracyError, DataError, ElmanError, ModelFileError, NotFittedError, UsageError
from elman.files.format import little_endian
from elman.ops.rounding import STORAGES, rounded, to_int8
from elman.tasks import BinaryAdder, LanguageModel, describe

V, K = 11, 5
TEXT = "the quick brown fox jumps over the lazy dog. " * 40


def make(*parts: layers.Layer, dtype: str = "float32") -> Sequential:
    """A model over token ids whose weights all differ, biases and gains too."""
    stack = parts or (
        layers.Embedding(V, 12),
        layers.Bidirectional(layers.LSTM(16, peephole=True, projection=9, return_sequences=True)),
        layers.Residual(layers.GRU(18, return_sequences=True, reset_after=False)),
        layers.GRU(20, return_sequences=True, layer_norm=True, initial_state="learned"),
        layers.Dense(K),
    )
    model = Sequential(list(stack), dtype=dtype)
    model.compile("adam", "cross_entropy", metrics=["accuracy"])
    model.build(V, ids=True, rng=0)
    rng = np.random.default_rng(1)
    noise = {name: 0.1 * rng.standard_normal(w.shape) for name, w in model.named_weights().items()}
    model.set_weights({name: w + noise[name] for name, w in model.named_weights().items()})
    return model


@pytest.fixture(scope="module")
def model() -> Sequential:
    return make()


@pytest.fixture(scope="module")
def data() -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(2)
    lengths = (7, 1, 0, 23, 12)
    return [rng.integers(0, V, n) for n in lengths], [rng.integers(0, K, n) for n in lengths]


@pytest.fixture(scope="module")
def language_model() -> LanguageModel:
    return LanguageModel(layers=1, hidden=24, embedding=8, batch=8, epochs=2, random_state=0, verbose=0).fit(TEXT)


def values(predicted) -> np.ndarray:
    return np.concatenate(predicted)


@pytest.mark.parametrize("weights", STORAGES)
def test_a_new_model_with_rounded_matrices(model, data, weights):
    before = model.named_weights()
    small = model.quantize(weights, data)
    assert small is not model and model.quantization is None
    for name, now in small.named_weights().items():
        matrix = name.rpartition(".")[2].startswith("weight")
        assert before[name].ndim == 1 or matrix
        np.testing.assert_array_equal(now, rounded(before[name], weights) if matrix else before[name])
        np.testing.assert_array_equal(model.named_weights()[name], before[name])
    report = small.quantization
    assert report.weights == weights and report.before.keys() == report.after.keys() == {"loss", "accuracy"}
    assert report.before["loss"] == pytest.approx(model.evaluate(*data, return_dict=True)["loss"], rel=1e-12)
    assert report.after["loss"] == pytest.approx(small.evaluate(*data, return_dict=True)["loss"], rel=1e-12)
    assert report.increase == pytest.approx(report.after["loss"] / report.before["loss"] - 1)


@pytest.mark.parametrize("weights", STORAGES)
def test_the_report_names_the_worst_case(model, data, weights):
    small = model.quantize(weights, data[0])  # without targets
    was, now = (part.predict(data[0]) for part in (model, small))
    differences = [np.abs(a - b) for a, b in zip(was, now, strict=True)]
    worst = max((d.max(), i, int(d.max(axis=1).argmax())) for i, d in enumerate(differences) if d.size)
    report = small.quantization
    assert (report.worst.sequence, report.worst.step) == worst[1:]
    assert report.worst.difference == pytest.approx(worst[0], rel=1e-6)
    assert report.outputs == values(was).size and report.before is None and report.increase is None
    assert report.mean_difference == pytest.approx(values(differences).mean(), rel=1e-6)
    rms = np.linalg.norm(values(was) - values(now)) / np.linalg.norm(values(was))
    assert report.rms_difference == pytest.approx(rms, rel=1e-5) and 0 < rms < 0.02
    assert f"sequence {worst[1]}, step {worst[2]}" in str(report)


def test_every_layer_with_a_matrix_and_one_that_stands_twice(tmp_path):
    twice = layers.GRU(8, return_sequences=True)
    stack = [layers.Dense(8), twice, layers.LayerNorm(), twice, layers.AttentionPooling(6), layers.Dense(2)]
    model = Sequential(stack)
    model.build(8, rng=0)
    x = np.random.default_rng(1).standard_normal((3, 9, 8))
    small = model.quantize("int8", x)
    rounded_names = {name for name, w in model.named_weights().items() if (small.named_weights()[name] != w).any()}
    matrices = {"dense.weight", "gru.weight_ih", "gru.weight_hh", "attention_pooling.weight", "dense_2.weight"}
    assert rounded_names == matrices
    small.save(tmp_path / "m")
    np.testing.assert_array_equal(elman.load(tmp_path / "m").predict(x), small.predict(x))


def test_one_output_for_a_sequence_has_no_step(data):
    model = make(layers.Embedding(V, 6), layers.LSTM(9), layers.Dense(K))
    x, y = [part for part in data[0] if len(part)], np.arange(4)
    report = model.quantize("int8", (x, y), bound=1.0).quantization
    difference = np.abs(model.quantize("int8").predict(x) - model.predict(x)).max(axis=1)
    assert (report.worst.sequence, report.worst.step) == (int(difference.argmax()), None)


def test_data_in_many_batches_is_numbered_through(monkeypatch, data):
    model = make()
    data = tuple([row for row in part if len(row)] for part in data)
    whole = model.quantize("int8", data).quantization
    monkeypatch.setattr("elman.model.data.STEPS_AT_ONCE", 30)
    cut = model.quantize("int8", data).quantization
    assert cut.worst == whole.worst and cut.after["loss"] == pytest.approx(whole.after["loss"], rel=1e-6)


def test_padded_data_and_weights_as_in_fit(model, data):
    lengths = np.array([len(part) for part in data[0]])
    x, y = np.zeros((5, 23), int), np.zeros((5, 23), int)
    for row, (a, b) in enumerate(zip(*data, strict=True)):
        x[row, : len(a)], y[row, : len(b)] = a, b
    padded = model.quantize("int8", (x, y), lengths=lengths).quantization
    assert padded.after["loss"] == pytest.approx(model.quantize("int8", data).quantization.after["loss"], rel=1e-6)


def test_a_float64_model_becomes_one_of_float32(data):
    model = make(dtype="float64")
    small = model.quantize("int8", data)
    assert small.dtype == np.float32 and small.quantization.bytes_before > 7 * small.quantization.bytes_after * 0.7
    assert 0 < small.quantization.rms_difference < 0.02


def test_beyond_the_bound_it_is_refused(model, data):
    x = data[0]
    was, now = (part.predict(x) for part in (model, model.quantize("int8")))
    # The classes whose probabilities fall most: so the loss rises, by however little.
    y = [np.argmin(b - a, axis=1) for a, b in zip(was, now, strict=True)]
    for given, bound, told in (
        ((x, y), 1e-5, "the loss rises by"),
        (x, 1e-4, r"outputs differ \(root mean square\) by"),
    ):
        accepted = model.quantize("int8", given, bound=math.inf).quantization
        pattern = told + r" .* at most 0\.0. %.*Store them as bfloat16.*accept a bound of 0\."
        with pytest.raises(AccuracyError, match=pattern) as caught:
            model.quantize("int8", given, bound=bound)
        assert caught.value.report == accepted and caught.value.exit_code == 2
    with pytest.raises(AccuracyError, match="Keep the weights as they are, or accept"):
        model.quantize("bfloat16", x, bound=0.0)


@pytest.mark.parametrize("weights", STORAGES)
def test_saved_and_loaded_it_has_the_same_bits(model, data, weights, tmp_path):
    small = model.quantize(weights, data)
    path = tmp_path / "small.elman"
    small.save(path)
    again = elman.load(path)
    assert again.quantization == small.quantization
    np.testing.assert_array_equal(values(again.predict(data[0])), values(small.predict(data[0])))
    again.save(tmp_path / "again.elman")
    assert (tmp_path / "again.elman").read_bytes() == path.read_bytes()
    for copied in (copy.deepcopy(small), pickle.loads(pickle.dumps(small))):
        assert copied.quantization == small.quantization
        np.testing.assert_array_equal(values(copied.predict(data[0])), values(small.predict(data[0])))
    with files.open_model(path) as header:
        assert header.meta.format == 2 and header.meta.quantized.weights == weights
        kinds = {name: info.dtype for name, info in header.shapes.items() if name.endswith(("weight_hh", "weight"))}
    assert set(kinds.values()) == {weights}


@pytest.mark.parametrize(("weights", "share"), [("int8", 0.30), ("bfloat16", 0.52)])
def test_the_file_is_as_small_as_promised(weights, share, tmp_path):
    model = Sequential([layers.Embedding(65, 64), layers.LSTM(96, return_sequences=True), layers.Dense(65)])
    model.build(65, ids=True, rng=0)
    model.save(tmp_path / "whole")
    small = model.quantize(weights)
    small.save(tmp_path / "small")
    sizes = [(tmp_path / name).stat().st_size for name in ("small", "whole")]
    assert sizes[0] <= share * sizes[1]
    report = small.quantization
    assert abs(report.bytes_after - sizes[0]) < 4000 and abs(report.bytes_before - sizes[1]) < 4000
    assert f"{report.weights}: " in str(report) and report.worst is None


@pytest.mark.parametrize("weights", STORAGES)
def test_a_stream_has_the_bits_of_predict(weights):
    model = Sequential([layers.LSTM(20, return_sequences=True), layers.GRU(70, return_sequences=True), layers.Dense(3)])
    model.build(5, rng=0)
    small = model.quantize(weights)
    x = np.random.default_rng(3).standard_normal((2, 6, 5)).astype(np.float32)
    stream = small.stream(batch=2)
    outs = np.stack([stream.step(x[:, t]) for t in range(6)], axis=1)
    np.testing.assert_array_equal(outs, small.predict(x))
    assert (outs != model.predict(x)).any()


def test_a_model_that_is_not_quantized_is_saved_in_the_old_format(model, tmp_path):
    model.save(tmp_path / "m")
    assert b'"format":1,' in (tmp_path / "m").read_bytes().replace(b"\\", b"")[:500]
    assert b"quantized" not in (tmp_path / "m").read_bytes()


def tampered(path, target, *, change=None, **parts) -> None:
    """Write the int8 file at `path` again with other arrays or another description."""
    with files.open_model(path) as header:
        tensors = header.read()
        meta = {name: getattr(header.meta, name) for name in header.meta.__struct_fields__}
    if change is not None:
        change(tensors)
    files.save(target, tensors, files.Meta(**{**meta, **parts}))


def _set(name: str, place, value):
    def change(tensors):
        tensors[name][place] = value

    return change


FORGED = {
    "a weight of -128": (_set("dense.weight", (0, 0), -128), "'dense.weight' and its scales are not as quantizing"),
    "a row without 127": (_set("dense.weight", 0, 3), "'dense.weight' and its scales are not as quantizing"),
    "a scale of more bits": (_set("dense.weight.scale", 0, np.float32(0.1)), "and its scales are not as quantizing"),
    "a negative scale": (_set("dense.weight.scale", 0, -0.25), "and its scales are not as quantizing"),
    "a zero scale": (_set("dense.weight.scale", 0, 0.0), "and its scales are not as quantizing"),
    "no scales": (lambda t: t.pop("dense.weight.scale"), r"'dense.weight.scale' \(5,\) is missing"),
    "scales of another length": (
        lambda t: t.update({"dense.weight.scale": np.ones(3, np.float32)}),
        r"'dense.weight.scale' has shape \(3,\), expected \(5,\)",
    ),
    "float32 for int8": (
        lambda t: t.update({"dense.weight": np.ones((K, 20), np.float32)}),
        "'dense.weight' has dtype float32, expected int8",
    ),
    "int8 for float32": (
        lambda t: t.update({"dense.bias": np.ones(K, np.int8)}),
        "'dense.bias' has dtype int8, expected float32",
    ),
    "a scale too many": (lambda t: t.update({"dense.bias.scale": np.ones(K, np.float32)}), "is one too many"),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_arrays_are_refused(model, tmp_path, name):
    change, told = FORGED[name]
    model.quantize("int8").save(tmp_path / "m")
    tampered(tmp_path / "m", tmp_path / "forged", change=change)
    with pytest.raises(ModelFileError, match=told):
        elman.load(tmp_path / "forged")


def test_forged_descriptions_are_refused(model, tmp_path):
    path = tmp_path / "m"
    model.quantize("int8").save(path)
    report = model.quantize("int8").quantization.to_dict()
    for quantized, told in (
        (files.Quantized(weights="bfloat16", report=report), "its weights are bfloat16 and its report is on int8"),
        (files.Quantized(weights="int8", report={}), "its report is not accepted .*missing required field"),
        (files.Quantized(weights="int8", report=report | {"more": 1}), "its report is not accepted .*unknown field"),
        (files.Quantized(weights="int8", report=report | {"outputs": -1}), "its report is not accepted"),
    ):
        tampered(path, tmp_path / "forged", quantized=quantized)
        with pytest.raises(ModelFileError, match=told):
            elman.load(tmp_path / "forged")
    tampered(path, tmp_path / "forged", config=model.config() | {"dtype": "float64"})
    with pytest.raises(ModelFileError, match="quantized weights are not float64"):
        elman.load(tmp_path / "forged")
    raw = path.read_bytes()
    for now, then, told in (
        (b'\\"format\\":2', b'\\"format\\":1', "format 1, which has no quantized weights"),
        (b'\\"weights\\":\\"int8\\"', b'\\"weights\\":\\"int4\\"', "Invalid enum value 'int4'"),
    ):
        assert now in raw
        path.write_bytes(raw.replace(now, then, 1))
        with pytest.raises(ModelFileError, match=told):
            elman.load(path)


def test_what_is_no_bfloat16_is_not_stored_as_one(tmp_path):
    meta = files.Meta(version="1", task="model", config={})
    with pytest.raises(TypeError, match="'w' is no bfloat16"):
        files.save(tmp_path / "m", {"w": np.array([1.1], np.float32)}, meta, halved=["w"])
    files.save(tmp_path / "m", {"w": np.array([1.5], np.float32), "v": np.ones(3, np.float32)}, meta, halved=["w"])
    with files.open_model(tmp_path / "m") as header:
        assert header.shapes["w"].dtype == "bfloat16"
        assert header.read()["w"] == little_endian(np.float32([1.5]), name="w")


REFUSED = {
    "fit": (lambda m, d: m.fit(*d), UsageError, "fit: the model's weights are int8, which answers and is not trained"),
    "train_on_batch": (lambda m, d: m.train_on_batch(*d), UsageError, "train_on_batch: the model's weights are int8"),
    "gradients": (lambda m, d: m.gradients(*d), UsageError, "gradients: .*Train the model that it was made of"),
    "fit_batches": (lambda m, d: m.fit_batches([]), UsageError, "fit: the model's weights are int8"),
    "the gradients' array": (lambda m, d: m.parameters.grads, UsageError, "gradients: the model's weights are int8"),
    "an optimizer": (lambda m, d: m.optimizer.step(m.parameters), UsageError, "the model's weights are int8"),
    "again": (lambda m, d: m.quantize("int8"), UsageError, "the weights are int8 already. Quantize the model that it"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_refuses(model, data, name):
    call, error, told = REFUSED[name]
    small = model.quantize("int8")
    with pytest.raises(error, match=told):
        call(small, data)
    assert values(small.predict(data[0])).shape == (43, K)


BAD = {
    "other weights": (lambda m, d: m.quantize("int4"), UsageError, "expected 'int8' or 'bfloat16', got 'int4'"),
    "a bound below 0": (lambda m, d: m.quantize("int8", d, bound=-1), UsageError, "bound is out of range"),
    "a bound that is none": (lambda m, d: m.quantize("int8", d, bound=math.nan), UsageError, "got nan"),
    "three of data": (lambda m, d: m.quantize("int8", (*d, 1)), UsageError, r"no \(x, y\), got a tuple of 3"),
    "options alone": (lambda m, d: m.quantize("int8", lengths=[1]), UsageError, "lengths is given without data"),
    "bad ids": (lambda m, d: m.quantize("int8", [np.array([V])]), DataError, "quantize"),
    "bad verbose": (lambda m, d: m.quantize("int8", d, verbose=7), UsageError, "verbose is out of range"),
    "not built": (
        lambda m, d: Sequential([layers.LSTM(3)]).quantize(),
        NotFittedError,
        "not built yet",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_messages(model, data, name):
    call, error, told = BAD[name]
    with pytest.raises(error, match=told):
        call(model, data)


def test_new_weights_are_rounded_as_well(model):
    small = model.quantize("int8")
    small.set_weights(make().named_weights())
    whole, scale = to_int8(make().named_weights()["dense.weight"])
    np.testing.assert_array_equal(small.named_weights()["dense.weight"], whole * scale[:, None])


def test_it_says_what_it_is(model, capsys):
    small = model.quantize("int8")
    small.summary()
    assert small.explain().precision == "int8"
    out = capsys.readouterr().out
    assert "total, int8" in out and "products in int8" in out
    assert model.explain().precision == "float32"


@pytest.mark.parametrize("weights", STORAGES)
def test_a_language_model(language_model, weights, tmp_path):
    small = language_model.quantize(weights, TEXT)
    report = small.quantization
    assert report.before["perplexity"] == pytest.approx(language_model.score(TEXT)["perplexity"], rel=1e-9)
    assert report.after["perplexity"] == pytest.approx(small.score(TEXT)["perplexity"], rel=1e-9)
    assert abs(report.increase) < 0.02 and 0 <= report.worst.step < len(TEXT) - 1 and report.worst.sequence == 0
    assert language_model.quantization is None
    small.save(tmp_path / "m")
    again = elman.load(tmp_path / "m")
    assert again.quantization == report and again.vocabulary_.symbols == language_model.vocabulary_.symbols
    prime = {"prime": "the", "random_state": 3}
    assert "".join(again.sample(50, **prime)) == "".join(small.sample(50, **prime))
    assert describe(tmp_path / "m")["weights"] == weights
    again.fit(TEXT)  # anew, as every fit
    assert again.quantization is None


def test_an_adder_brings_its_own_data():
    adder = BinaryAdder(examples=3000, random_state=0).fit()
    small = adder.quantize(bound=math.inf)
    assert small.quantization.outputs == 8000 and small.count_right_of_all()[0] > 0.9 * adder.count_right_of_all()[0]
    with pytest.raises(UsageError, match="an adder takes no data"):
        adder.quantize("int8", [1, 2])


def test_the_command(language_model, tmp_path, capsys):
    path, text = tmp_path / "m.elman", tmp_path / "t.txt"
    language_model.save(path)
    text.write_text(TEXT)
    assert main(["quantize", str(path), "--data", str(text)]) == 0
    out, err = capsys.readouterr()
    assert "perplexity: " in out and "worst case: " in out and "Next: elman info" in out and err == ""
    small = tmp_path / "m.int8.elman"
    assert main(["info", str(small)]) == 0
    assert "of int8" in (told := capsys.readouterr().out) and "quantized: worst case" in told
    assert main(["quantize", str(path), "--to", "bfloat16", "-o", str(tmp_path / "b"), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["weights"] == "bfloat16" and figures["bytes"] == (tmp_path / "b").stat().st_size
    assert main(["quantize", str(path)]) == 0
    assert "not measured" in capsys.readouterr().err
    for words, code, told in (
        (["quantize", str(small)], 2, "int8 already"),
        (["quantize", str(path), "--to", "int4"], 2, "got 'int4'"),
        (["quantize", str(path), "--bound", "-1"], 2, "bound is out of range"),
        (["quantize", str(tmp_path / "none")], 2, "no such file"),
        (["quantize", str(text)], 4, "no elman model file"),
        (["quantize", str(path), "--data", str(tmp_path / "none")], 2, "no such file"),
        (["quantize", str(path), "-o", str(tmp_path / "no" / "m")], 2, "opening its folder failed"),
    ):
        assert main(words) == code, words
        assert told in capsys.readouterr().err


def test_the_command_refuses_beyond_the_bound(model, data, tmp_path, capsys):
    path, arrays = tmp_path / "m.elman", tmp_path / "d.npz"
    model.save(path)
    x = np.stack([data[0][3][:12], data[0][4]])
    np.savez(arrays, x=x)
    assert main(["quantize", str(path), "--data", str(arrays), "--bound", "1e-6"]) == 2
    assert "outputs differ" in capsys.readouterr().err and not (tmp_path / "m.int8.elman").exists()
    np.savez(arrays, x=x, y=np.stack([data[1][3][:12], data[1][4]]))
    assert main(["quantize", str(path), "--data", str(arrays), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["before"].keys() == {"loss", "accuracy"}
    for name, content, told in (
        ("a.npz", {"y": x}, "it has no x, expected an .npz file with x, or x and y, got y"),
        ("b.npz", {}, "it has no x"),
    ):
        np.savez(tmp_path / name, **content)
        assert main(["quantize", str(path), "--data", str(tmp_path / name)]) == 3
        assert told in capsys.readouterr().err
    np.save(tmp_path / "c.npy", x)
    (tmp_path / "d.txt").write_text("hello")
    for name, told in (("c.npy", "it is a single array"), ("d.txt", "it cannot be read")):
        assert main(["quantize", str(path), "--data", str(tmp_path / name)]) == 3
        assert told in capsys.readouterr().err


def test_errors_are_elmans():
    assert issubclass(AccuracyError, ElmanError) and issubclass(AccuracyError, ValueError)
