"""Models whose products are made in fewer bits: what users say, see, save and are refused."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

import elman
from elman import layers
from elman.errors import UsageError
from elman.ops.core import native

needs_native = pytest.mark.skipif(native is None, reason="without the native core products are made in float32")


def stack() -> list[layers.Layer]:
    return [layers.Bidirectional(layers.LSTM(24, return_sequences=True)), layers.GRU(16), layers.Dense(4)]


def built(precision: str | None, dtype: str = "float32") -> elman.Sequential:
    model = elman.Sequential(stack(), dtype=dtype, precision=precision)
    model.compile(elman.optimizers.Adam(0.01), "cross_entropy")
    model.build(5, rng=0)
    return model


def digits(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of noise with a step of a height that tells their class."""
    y = rng.integers(0, 4, 256)
    x = 0.3 * rng.standard_normal((256, 12, 5))
    x[np.arange(256), rng.integers(0, 12, 256), y] += 2
    return x.astype(np.float32), y


@needs_native
def test_products_are_rounded_in_both_directions_and_nothing_else_is(rng: np.random.Generator) -> None:
    x, y = digits(rng)
    full, rough = built(None), built("bfloat16")
    assert all(np.array_equal(a, b) for a, b in zip(full.get_weights(), rough.get_weights(), strict=True))
    difference = np.abs(full.predict(x) - rough.predict(x)).max()
    assert 1e-5 < difference < 0.05  # 2^-9 of each of a few dozen factors
    (_, exact, _), (_, rounded, _) = full.gradients(x, y), rough.gradients(x, y)
    for name, gradient in exact.items():
        error = np.linalg.norm(gradient - rounded[name]) / np.linalg.norm(gradient)
        assert 1e-5 < error < 0.05, name
        assert rounded[name].dtype == np.float32
    assert not np.array_equal(np.float32(rough.get_weights()[0]).view(np.uint32) & 0xFFFF, 0)  # masters keep all bits


@needs_native
def test_training_reaches_what_float32_reaches(rng: np.random.Generator) -> None:
    x, y = digits(rng)
    losses = {}
    for precision in ("float32", "bfloat16"):
        model = built(precision)
        losses[precision] = model.fit(x, y, epochs=8, batch_size=32, verbose=0, rng=1).history["loss"]
    assert losses["bfloat16"][-1] < 0.1 < 1 < losses["bfloat16"][0]
    assert abs(losses["bfloat16"][-1] - losses["float32"][-1]) < 0.02


@needs_native
@pytest.mark.parametrize("option", ["layer_norm", "peephole", "projection", "recurrent_dropout", "weight_drop"])
def test_every_option_trains(option: str, rng: np.random.Generator) -> None:
    value = {"projection": 12, "recurrent_dropout": 0.2, "weight_drop": 0.2}.get(option, True)
    model = elman.Sequential([layers.LSTM(16, **{option: value}), layers.Dense(4)], precision="bfloat16")
    model.compile(elman.optimizers.Adam(0.01), "cross_entropy")
    x, y = digits(rng)
    loss = model.fit(x, y, epochs=6, batch_size=32, verbose=0, rng=1).history["loss"]
    assert loss[-1] < 0.85 * loss[0]


def test_the_precision_is_kept_by_files_copies_and_configs(tmp_path: Path, rng: np.random.Generator) -> None:
    model = built("bfloat16")
    assert model.precision == "bfloat16" and "precision='bfloat16'" in repr(model)
    model.save(tmp_path / "m.elman")
    x, _ = digits(rng)
    for other in (elman.load(tmp_path / "m.elman"), copy.deepcopy(model)):
        assert other.precision == "bfloat16"
        np.testing.assert_array_equal(other.predict(x), model.predict(x))
    assert elman.Sequential.from_config(model.config()).precision == "bfloat16"


def test_a_precision_of_the_dtype_itself_is_no_option() -> None:
    for precision in (None, "float32"):
        model = built(precision)
        assert model.precision == "float32" and model.config()["precision"] is None
        assert "precision" not in repr(model)
    assert built("float64", dtype="float64").precision == "float64"
    config = built(None).config()
    del config["precision"]  # files of before have none
    assert elman.Sequential.from_config(config).precision == "float32"


@pytest.mark.parametrize(
    ("given", "dtype", "says"),
    [
        ("bf16", "float32", "precision is not accepted, expected one of ['float32', 'bfloat16'], got 'bf16'"),
        ("float64", "float32", "Write dtype='float64' for float64 throughout"),
        (16, "float32", "precision is not accepted"),
        ("bfloat16", "float64", "expected dtype='float32', got dtype='float64'"),
        ("float32", "float64", "precision is not accepted"),
    ],
)
def test_what_is_no_precision_is_refused(given: object, dtype: str, says: str) -> None:
    with pytest.raises(UsageError) as refusal:
        elman.Sequential([layers.Dense(1)], dtype=dtype, precision=given)
    assert says in str(refusal.value)


def test_explain_names_the_precision(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    told = built("bfloat16").explain()
    text = capsys.readouterr().out
    assert told.precision == "bfloat16" and "float32, products in bfloat16" in text
    assert ("widened" in text) == (native is not None and native.isa() != "avx512bf16")
    monkeypatch.setattr("elman.ops.kernels.native", None)
    built("bfloat16").explain()
    assert "products are made in float32" in capsys.readouterr().out
    built(None).explain()
    assert "products" not in capsys.readouterr().out


def test_a_language_model_takes_it(tmp_path: Path) -> None:
    options = {"layers": 1, "hidden": 16, "batch": 4, "epochs": 1, "random_state": 0, "verbose": 0}
    model = elman.LanguageModel(precision="bfloat16", **options).fit("to be or not to be, " * 30)
    assert model.model_.precision == "bfloat16"
    model.save(tmp_path / "m.elman")
    assert elman.load(tmp_path / "m.elman").model_.precision == "bfloat16"
    with pytest.raises(UsageError, match=r"precision is not accepted.*'bfloat16'"):
        elman.LanguageModel(precision="int4", **options).fit("to be or not to be")


@pytest.mark.parametrize("precision", [None, "bfloat16"])
def test_a_stream_gives_what_predict_gives(precision: str | None, rng: np.random.Generator) -> None:
    model = elman.Sequential([layers.GRU(40, return_sequences=True), layers.Dense(3)], precision=precision)
    model.build(5, rng=0)
    x = rng.standard_normal((2, 9, 5)).astype(np.float32)
    stream = model.stream(batch=2)
    steps = np.stack([np.array(stream.step(x[:, t])) for t in range(9)], axis=1)
    np.testing.assert_array_equal(steps, model.predict(x))
