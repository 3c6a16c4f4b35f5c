"""The model file: what goes in comes out, and what could not come out does not go in."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors import safe_open
from safetensors.numpy import save_file

from elman import files
from elman.errors import DataTypeError, ModelFileError, SaveError, UsageError

META = files.Meta(version="0.1.0", task="model", config={"layers": [{"type": "lstm", "units": 3}], "rate": 0.1})
WEIGHTS = {
    "lstm.weight_ih": np.arange(24, dtype=np.float32).reshape(12, 2),
    "lstm.bias": np.linspace(-1, 1, 12, dtype=np.float32),
}
SHAPES = {"lstm.weight_ih": (12, 2), "lstm.bias": (12,)}


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


# --- round trips ------------------------------------------------------------------------------------------------------

DTYPES = st.sampled_from(["<f4", ">f4", "<f8", ">f8", "<f2", "i1", ">i4", "<i8", "u1", ">u2", "<u8"])
LAYOUTS = {
    "as it is": lambda a: a,
    "transposed": lambda a: a.T,
    "Fortran": np.asfortranarray,
    "sliced": lambda a: a[::2] if a.ndim else a,
    "backwards": lambda a: a[::-1] if a.ndim else a,
    "last axis sliced": lambda a: a[..., 1:] if a.ndim else a,
    "broadcast": lambda a: np.broadcast_to(a, (2, *a.shape)),
    "read-only": lambda a: (a.setflags(write=False), a)[1],
}


@given(
    array=DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0, max_side=5))),
    layout=st.sampled_from(sorted(LAYOUTS)),
)
def test_any_array_comes_back_bit_equal(array, layout, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "trip.elman"
    given_array = LAYOUTS[layout](array)
    before = given_array.copy()
    files.save(path, {"w": given_array, "other": np.float32(1)}, META, allow_nonfinite=True)
    with files.open_model(path) as header:
        found = header.read(allow_nonfinite=True)["w"]
    native = before.astype(before.dtype.newbyteorder("="))
    assert (found.dtype, found.shape) == (native.dtype, native.shape)
    assert found.dtype.isnative
    assert found.flags.c_contiguous and found.flags.writeable
    assert found.tobytes() == native.tobytes()
    assert given_array.tobytes() == before.tobytes()
    with safe_open(path, "np") as peer:
        assert peer.get_tensor("w").tobytes() == native.tobytes()


def test_files_that_the_safetensors_library_writes_are_read(tmp_path):
    path = tmp_path / "peer.elman"
    text = '{"format":1,"version":"0.1.0","task":"model","config":{}}'
    save_file(WEIGHTS, path, metadata={"elman": text})
    with files.open_model(path) as header:
        found = header.read(SHAPES, dtype=np.float32)
    assert all(np.array_equal(found[name], WEIGHTS[name]) for name in WEIGHTS)


def test_equal_models_are_equal_bytes(tmp_path):
    files.save(tmp_path / "a", WEIGHTS, META)
    files.save(tmp_path / "b", dict(reversed(WEIGHTS.items())), META)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_arrays_lie_aligned_whatever_their_dtypes(tmp_path):
    tensors = {"a": np.ones(3, np.uint8), "b": np.ones(3, np.float32), "c": np.ones(1), "d": np.ones(1, np.int16)}
    files.save(tmp_path / "m", tensors, META)
    with files.open_model(tmp_path / "m") as header:
        assert list(header.shapes) == ["c", "b", "d", "a"]
        assert all(header._starts[name] % tensors[name].itemsize == 0 for name in tensors)


def test_meta_comes_back_equal(tmp_path):
    meta = files.Meta(
        version="0.1.0",
        task="language_model",
        config={"units": 128, "rate": 2e-3, "tiny": 5e-324, "big": 2**62, "on": True, "none": None, "nest": [[1], {}]},
        vocabulary={"characters": '\0\n"\\中文👩‍👩‍👧é\u2028\ufeff', "unseen": 3},
        training={"epochs": 6},
    )
    files.save(tmp_path / "m", {}, meta)
    with files.open_model(tmp_path / "m") as header:
        assert header.meta == meta
        assert header.shapes == {}
        assert header.read({}) == {}


def test_history_is_read_apart_from_the_weights(tmp_path):
    loss = np.array([2.5, np.nan, np.inf], np.float32)
    files.save(tmp_path / "m", {**WEIGHTS, "history.loss": loss}, META)
    with files.open_model(tmp_path / "m") as header:
        assert header.shapes["history.loss"] == ("float32", (3,))
        assert list(header.read(SHAPES)) == list(SHAPES)
        assert list(header.read()) == sorted(WEIGHTS)
        assert header.read_history()["loss"].tobytes() == loss.tobytes()


@pytest.mark.parametrize("figures", [np.ones(3), np.ones((3, 1), np.float32), np.ones(3, np.int32), np.float32(1)])
def test_a_history_of_another_form_is_refused(tmp_path, figures):
    files.save(tmp_path / "m", {"history.loss": figures}, META)
    with (
        files.open_model(tmp_path / "m") as header,
        pytest.raises(ModelFileError, match=r"'history.loss' is .*, expected"),
    ):
        header.read_history()


def test_a_layer_may_be_called_history(tmp_path):
    files.save(tmp_path / "m", {"history.bias": np.ones(2)}, META)
    with files.open_model(tmp_path / "m") as header:
        assert header.read({"history.bias": (2,)})["history.bias"].tolist() == [1, 1]


# --- reading ----------------------------------------------------------------------------------------------------------


def test_all_differences_are_told_at_once(tmp_path):
    files.save(tmp_path / "m", {**WEIGHTS, "dense.bias": np.ones(2)}, META)
    wanted = {"lstm.weight_ih": (12, 3), "lstm.weight_hh": (12, 3), "dense.bias": (2,)}
    with files.open_model(tmp_path / "m") as header, pytest.raises(ModelFileError) as caught:
        header.read(wanted, dtype="float32")
    told = str(caught.value)
    assert "'lstm.weight_ih' has shape (12, 2), expected (12, 3)" in told
    assert "'lstm.weight_hh' (12, 3) is missing" in told
    assert "'lstm.bias' (12,) is one too many" in told
    assert "'dense.bias' has dtype float64, expected float32" in told


def test_thousands_of_differences_still_make_a_readable_message(tmp_path):
    files.save(tmp_path / "m", {f"w{i}": np.float32(i) for i in range(3000)}, META)
    with files.open_model(tmp_path / "m") as header, pytest.raises(ModelFileError, match="and 2950 more") as caught:
        header.read({})
    assert len(str(caught.value)) < 5000


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused_unless_asked_for(tmp_path, value):
    bad = {**WEIGHTS, "lstm.weight_ih": WEIGHTS["lstm.weight_ih"].copy()}
    bad["lstm.weight_ih"][3, 1] = value
    with pytest.raises(SaveError, match=r"'lstm.weight_ih' holds .* at \[3, 1\] \(1 of 24\)"):
        files.save(tmp_path / "m", bad, META)
    assert names(tmp_path) == []
    files.save(tmp_path / "m", bad, META, allow_nonfinite=True)
    with files.open_model(tmp_path / "m") as header:
        with pytest.raises(ModelFileError, match=r"'lstm.weight_ih' holds .* at \[3, 1\] .*allow_nonfinite=True"):
            header.read(SHAPES)
        assert header.read(SHAPES, allow_nonfinite=True)["lstm.weight_ih"].tobytes() == bad["lstm.weight_ih"].tobytes()


def test_an_open_header_reads_the_file_it_checked_though_another_took_its_place(tmp_path):
    path = tmp_path / "m"
    files.save(path, WEIGHTS, META)
    header = files.open_model(path)
    files.save(path, {"other": np.ones(5)}, META)
    assert np.array_equal(header.read(SHAPES)["lstm.bias"], WEIGHTS["lstm.bias"])
    header.close()
    with pytest.raises(UsageError, match="closed"):
        header.read(SHAPES)


def test_no_file_stays_open(tmp_path):
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else pytest.skip("no /proc here")
    files.save(tmp_path / "m", WEIGHTS, META)
    (tmp_path / "bad").write_bytes(b"not a model")
    for _ in range(3):
        files.open_model(tmp_path / "m").read(SHAPES)
        with pytest.raises(ModelFileError):
            files.open_model(tmp_path / "bad")
    assert len(os.listdir("/proc/self/fd")) == before


# --- what cannot be saved ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.array([1 + 2j]), "dtype complex128"),
        (np.array(["a"]), "dtype <U1"),
        (np.array([None]), "dtype object"),
        (np.array(["2026-01-01"], "M8[D]"), r"dtype datetime64\[D\]"),
        (np.array([True]), "dtype bool"),
        (np.ones(2, np.longdouble), "dtype"),
    ],
)
def test_arrays_of_other_kinds_are_refused(tmp_path, array, told):
    with pytest.raises(DataTypeError, match=rf"'w' cannot be stored, expected float64, float32.*{told}"):
        files.save(tmp_path / "m", {"w": array}, META)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"rate": float("nan")}, "config.rate is nan"),
        ({"rate": [1.0, float("inf")]}, r"config.rate\[1\] is inf"),
        ({"units": 2**63}, "config.units is beyond 64 bits"),
        ({"units": np.int64(3)}, "config.units is of type int64"),
        ({"rate": np.float64(3)}, "config.rate is of type float64"),
        ({"text": "\ud800"}, "config.text holds half of a surrogate pair"),
        ({3: 1}, "config has the key 3, which is not text"),
        ({"layer": object()}, "config.layer is of type object"),
    ],
)
def test_settings_that_would_not_come_back_are_refused(tmp_path, config, told):
    with pytest.raises(DataTypeError, match=told):
        files.save(tmp_path / "m", {}, files.Meta(version="0", task="model", config=config))
    assert names(tmp_path) == []


def test_settings_that_hold_themselves_are_refused(tmp_path):
    config = {}
    config["config"] = config
    with pytest.raises(DataTypeError, match="nested more than 24 deep"):
        files.save(tmp_path / "m", {}, files.Meta(version="0", task="model", config=config))


def test_a_header_that_could_not_be_read_again_is_not_written(tmp_path):
    meta = files.Meta(version="0", task="model", config={"text": "x" * 17 * 2**20})
    with pytest.raises(SaveError, match="too long, expected at most 16,777,216 bytes"):
        files.save(tmp_path / "m", {}, meta)
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["", "__metadata__"])
def test_impossible_names_of_arrays_are_refused(tmp_path, name):
    with pytest.raises(DataTypeError, match="is no name for an array"):
        files.save(tmp_path / "m", {name: np.ones(1)}, META)
