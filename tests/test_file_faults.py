"""Broken, hostile and foreign model files: each gets its message, none gets memory or another exception."""

import gzip
import json
import os
import pickle
import subprocess
import sys
import tracemalloc
import zipfile
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman import files
from elman.errors import ModelFileError, UsageError

META = {"format": 1, "version": "0.1.0", "task": "model", "config": {}}
SHAPES = {"w": (2, 3), "b": (2,)}
DATA = np.arange(8, dtype="<f4").tobytes()
W = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
B = {"dtype": "F32", "shape": [2], "data_offsets": [24, 32]}


def container(header, data=DATA, *, length=None):
    """Return the bytes of a container: header as a dict or as raw JSON."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(raw) if length is None else length).to_bytes(8, "little") + raw + data


def whole(**changes):
    """Return the header of a good file with some of its entries changed; None takes one out."""
    header = {"__metadata__": {"elman": json.dumps(META)}, "w": W, "b": B, **changes}
    return {name: entry for name, entry in header.items() if entry is not None}


def meta(text=None, **changes):
    """Return a good file whose description is changed."""
    return container(whole(__metadata__={"elman": json.dumps({**META, **changes}) if text is None else text}))


def zipped(name):
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, b"x" * 100)
    return file.getvalue()


GOOD = container(whole())
BEGIN = len(GOOD) - len(DATA)
NAN = b'{"__metadata__":{"elman":"{\\"format\\":1}"},"w":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}'
TWICE = json.dumps(whole()).replace('"b"', '"w"').encode()
TWICE_ALIKE = json.dumps(whole(b=None)).encode()[:-1] + b',"w":' + json.dumps(W).encode() + b"}"
TWICE_INSIDE = json.dumps(whole()).replace('"shape": [2]', '"shape": [1], "shape": [2]').encode()

FAULTS = [
    # Row 24: truncated, empty, 7 bytes, trailing bytes.
    (24, "empty", b"", r"the file is empty"),
    (24, "one byte", b"\x00", r"has only 1 byte, "),
    (24, "seven bytes", GOOD[:7], r"has only 7 bytes, expected more than 8"),
    (24, "eight bytes", GOOD[:8], rf"cut short, expected {BEGIN} bytes, got 8"),
    (24, "half a header", GOOD[:50], rf"cut short, expected {BEGIN} bytes, got 50"),
    (24, "no data", GOOD[:BEGIN], rf"cut short, expected {len(GOOD)} bytes, got {BEGIN}"),
    (24, "last byte missing", GOOD[:-1], rf"cut short, expected {len(GOOD)} bytes, got {len(GOOD) - 1}"),
    (24, "a byte too many", GOOD + b"\0", rf"1 bytes follow the last array, expected {len(GOOD)} bytes"),
    (24, "no header at all", bytes(8), r"header is not that of a model file"),
    (24, "zeros, as a crash leaves them", bytes(4096), r"this is no elman model file, got 4,096 bytes"),
    # Row 25: header lengths.
    (25, "2^60 bytes of header", container(b"{}", length=2**60), r"claims 1,152,921,504,606,846,976 bytes.*16,777,216"),
    (25, "2^64 - 1 bytes of header", container(b"{}", length=2**64 - 1), r"claims 18,446,744,073,709,551,615 bytes"),
    (25, "100 MB of header", container(b"{}", length=10**8), r"claims 100,000,000 bytes, expected at most 16,777,216"),
    # Row 26: headers that do not add up.
    (26, "name twice", container(TWICE), r"'w' stands in it twice"),
    (26, "same array twice", container(TWICE_ALIKE, DATA[:24]), r"'w' stands in it twice"),
    (26, "key of an array twice", container(TWICE_INSIDE), r"'shape' stands in it twice"),
    (26, "overlap", container(whole(b={**B, "data_offsets": [16, 24]}), DATA[:24]), r"'b' overlaps another array"),
    (26, "the same bytes twice", container(whole(b={**W}), DATA[:24]), r"overlaps another array"),
    (26, "hole", container(whole(b={**B, "data_offsets": [28, 36]}), DATA + b"1234"), r"'b' leaves a hole before it"),
    (26, "hole at the start", container(whole(w=None, b={**B, "data_offsets": [8, 16]}), DATA[:16]), r"hole before it"),
    (26, "beyond the end", container(whole(b={**B, "data_offsets": [2**62, 2**62 + 8]})), r"cut short"),
    (
        26,
        "ends before it begins",
        container(whole(b={**B, "data_offsets": [32, 24]})),
        r"'b' of shape \[2\] needs 8 bytes",
    ),
    (26, "product overflows to 0", container(whole(b={**B, "shape": [2**32, 2**32]})), r"'b' has the impossible shape"),
    (26, "product overflows to 8", container(whole(b={**B, "shape": [2**62 + 1, 2]})), r"'b' has the impossible shape"),
    (26, "[0, 2^62]", container(whole(b={**B, "shape": [0, 2**62]})), r"'b' has the impossible shape \[0, 46116"),
    (26, "beyond 64 bits", container(whole(b={**B, "shape": [2**70]})), r"'b' has numbers below 0 or beyond 63 bits"),
    (26, "negative shape", container(whole(b={**B, "shape": [-2]})), r"'b' has numbers below 0 or beyond 63 bits"),
    (26, "negative product", container(whole(b={**B, "shape": [-1, -2]})), r"'b' has numbers below 0"),
    (26, "negative offset", container(whole(b={**B, "data_offsets": [-8, 0]})), r"'b' has numbers below 0"),
    (26, "fraction", container(whole(b={**B, "shape": [2.0]})), r"Expected `int`, got `float` - at `\$.shape"),
    (26, "text for a number", container(whole(b={**B, "shape": ["2"]})), r"Expected `int`, got `str`"),
    (26, "truth for a number", container(whole(b={**B, "shape": [True]})), r"Expected `int`, got `bool`"),
    (26, "nine dimensions", container(whole(b={**B, "shape": [1] * 8 + [2]})), r"length <= 8"),
    (26, "key too many", container(whole(b={**B, "more": 1})), r"unknown field `more`"),
    (26, "key missing", container(whole(b={"dtype": "F32", "shape": [2]})), r"missing required field `data_offsets`"),
    (26, "NaN", container(NAN), r"header is not that of a model file"),
    (26, "deep", container(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), r"too deep or has too many values"),
    (26, "deeper than json goes", container(b'{"a":' + b"[" * 10_000_000), r"too deep or has too many values"),
    (26, "many empty objects", container(b'{"a":[' + b"{}," * 5_000_000 + b"0]}"), r"too many values"),
    (26, "not UTF-8", container(b'{"\xff": 1}'), r"can't decode byte 0xff in position 2"),
    (26, "surrogate in UTF-8", container(b'{"\xed\xa0\x80": 1}'), r"can't decode byte 0xed"),
    (26, "not JSON", container(b"{hello}"), r"header is not that of a model file"),
    (26, "second value", container(b"{}{}"), r"header is not that of a model file"),
    (26, "metadata not text", container(whole(__metadata__={"elman": 3})), r"Expected `str`, got `int`"),
    (26, "metadata no object", container(whole(__metadata__="elman")), r"Expected `object`, got `str`"),
    (
        26,
        "metadata missing",
        container(whole(__metadata__=None)),
        r"not one that elman saved, expected .*'elman', got none",
    ),
    (
        26,
        "metadata of another",
        container(whole(__metadata__={"format": "pt"})),
        r"not one that elman saved.*got 'format'",
    ),
    # Row 27: dtypes that NumPy lacks.
    (
        27,
        "F8_E4M3",
        container(whole(b={**B, "dtype": "F8_E4M3"})),
        r"'b' is stored as 'F8_E4M3'; elman reads BF16, F64",
    ),
    (
        27,
        "two at once",
        container(whole(w={**W, "dtype": "F4"}, b={**B, "dtype": "?"})),
        r"'w' .*'F4'.*; 'b' .*'\?'",
    ),
    # Row 29: a sound container that describes nonsense.
    (29, "no JSON", meta(text="hello"), r"header is not that of a model file"),
    (29, "empty", meta(text=""), r"header is not that of a model file"),
    (
        29,
        "NaN",
        meta(text=json.dumps({**META, "config": {"rate": float("nan")}})),
        r"header is not that of a model file",
    ),
    (29, "1e999", meta(text=json.dumps({**META, "config": {"r": 1}}).replace('"r": 1', '"r": 1e999')), r"out of range"),
    (29, "2^63", meta(config={"units": 2**63}), r"config.units is beyond 64 bits"),
    (29, "key twice", meta(text='{"task": "model", ' + json.dumps(META)[1:]), r"'task' stands in it twice"),
    (29, "key too many", meta(extra=1), r"unknown field `extra`"),
    (29, "key missing", meta(text='{"format": 1, "version": "0.1.0"}'), r"missing required field `task`"),
    (29, "task with a path", meta(task="../task"), r"matching regex"),
    (29, "task ending in a new line", meta(task="model\n"), r"matching regex"),
    (29, "config a list", meta(config=[1]), r"Expected `object`, got `array`"),
    (29, "format no number", meta(format="1"), r"Expected `int`, got `str`"),
    (29, "format 0", meta(format=0), r"Expected `int` >= 1"),
    (29, "deep config", meta(text=json.dumps(META)[:-3] + '{"a":' * 30 + "1" + "}" * 31), r"nested more than 24 deep"),
    # Row 30: a file from the future, with keys that are not known yet.
    (
        30,
        "newer",
        meta(format=3, version="7.1.0", new=[]),
        r"written by elman 7.1.0 in file format 3, expected format 2",
    ),
    # Row 31: other kinds of files.
    (31, "pickle", pickle.dumps({"w": [1.0] * 20}), r"a Python pickle. Loading one can run any code"),
    (31, "pickle 2, as torch wrote", pickle.dumps({"w": 1.0}, 2), r"a Python pickle. Loading one can run any code"),
    (31, "torch", zipped("archive/data.pkl"), r"zip archive, such as a PyTorch checkpoint.*can run any code"),
    (31, "HDF5", b"\x89HDF\r\n\x1a\n" + bytes(90), r"an HDF5 file, such as Keras weights"),
    (31, "gzip", gzip.compress(GOOD), r"compressed with gzip. Decompress it with gunzip first"),
    (31, "NumPy", b"\x93NUMPY\x01\x00v\x00{'descr'", r"a NumPy array file"),
    (31, "Git LFS", b"version https://git-lfs.github.com/spec/v1\noid", r"Git LFS pointer.*git lfs pull"),
    (31, "web page", b"<!DOCTYPE html><html>", r"a web page.*Download it again"),
    (
        31,
        "text",
        b"To be, or not to be, that is the question",
        r"no elman model file, got 41 bytes beginning with b'To be",
    ),
]


@pytest.mark.parametrize(
    ("content", "told"), [fault[2:] for fault in FAULTS], ids=[f"row {row}: {name}" for row, name, *_ in FAULTS]
)
def test_each_broken_file_gets_its_message_and_no_memory(tmp_path, content, told):
    path = tmp_path / "m.elman"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=told) as caught:
            files.open_model(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(f"model file {os.fspath(path)!r}: ")
    assert len(str(caught.value)) < 1000
    assert caught.value.exit_code == 4
    # What was read may be in memory a few times over, never what was claimed.
    assert peak < 200_000 + 6 * len(content)


def test_the_good_file_that_the_others_are_made_of_is_good(tmp_path):
    (tmp_path / "m").write_bytes(GOOD)
    with files.open_model(tmp_path / "m") as header:
        found = header.read(SHAPES, dtype="float32")
    assert found["w"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["b"].tolist() == [6, 7]


@pytest.mark.parametrize("pad", [b" ", b"\n", b"\t  \r\n "])
def test_space_after_the_header_is_not_a_fault(tmp_path, pad):
    (tmp_path / "m").write_bytes(container(json.dumps(whole()).encode() + pad))
    with files.open_model(tmp_path / "m") as header:
        assert header.read(SHAPES)["b"].tolist() == [6, 7]


def test_a_header_whose_length_looks_like_a_pickle_is_not_taken_for_one(tmp_path):
    raw = json.dumps(whole()).encode().ljust(0x0280)
    assert container(raw)[:2] == b"\x80\x02"
    (tmp_path / "m").write_bytes(container(raw))
    with files.open_model(tmp_path / "m") as header:
        assert header.read(SHAPES)["b"].tolist() == [6, 7]


def test_names_of_arrays_are_never_paths(tmp_path):
    (tmp_path / "m").write_bytes(container({"__metadata__": whole()["__metadata__"], "../w": W, "/etc/b\n": B}))
    with (
        files.open_model(tmp_path / "m") as header,
        pytest.raises(ModelFileError, match=r"'/etc/b\\n' \(2,\) is one too"),
    ):
        header.read({"../w": (2, 3)})
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_megabyte_of_name_makes_a_short_message(tmp_path):
    (tmp_path / "m").write_bytes(container(whole(b=None, **{"n" * 2**20: {**B, "dtype": "BF16"}})))
    with pytest.raises(ModelFileError) as caught:
        files.open_model(tmp_path / "m")
    assert len(str(caught.value)) < 1000


def test_arrays_far_larger_than_memory_are_refused_by_their_shape(tmp_path):
    # The file is sparse: its length is real, its bytes are not.
    size = 2**42
    raw = json.dumps(whole(w={**W, "shape": [size // 4], "data_offsets": [0, size]}, b=None)).encode()
    with open(tmp_path / "m", "wb") as file:
        file.write(container(raw, b""))
        try:
            file.truncate(8 + len(raw) + size)
        except OSError:
            pytest.skip("this file system holds no file of 4 TiB")
    with (
        files.open_model(tmp_path / "m") as header,
        pytest.raises(ModelFileError, match=r"'w' has shape \(1099511627776,\)"),
    ):
        header.read({"w": (2, 3)})


def test_a_file_that_is_cut_while_it_is_read_is_told(tmp_path):
    (tmp_path / "m").write_bytes(GOOD)
    with files.open_model(tmp_path / "m") as header:
        os.truncate(tmp_path / "m", len(GOOD) - 4)
        with pytest.raises(ModelFileError, match="became shorter"):
            header.read(SHAPES)


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (lambda folder: folder, ModelFileError, "it is a folder, expected a regular file"),
        (lambda folder: folder / "no", UsageError, "there is no such file"),
        (lambda folder: folder / "hanging", UsageError, "there is no such file"),
        (lambda folder: "", UsageError, "there is no such file"),
        (lambda folder: "a\0b", UsageError, "NUL"),
        (lambda folder: folder / "fifo", ModelFileError, "a device or a pipe"),
        (lambda folder: folder / "link", ModelFileError, "a device or a pipe"),
        (lambda folder: "/dev/zero", ModelFileError, "a device or a pipe"),
        (lambda folder: folder / "loop", ModelFileError, "cannot be read: Too many levels"),
    ],
)
def test_paths_that_are_no_regular_files_are_refused_at_once(tmp_path, make, error, told):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "hanging").symlink_to(tmp_path / "gone")
    with pytest.raises(error, match=told):
        files.open_model(make(tmp_path))


def test_a_disk_that_cannot_read_is_told(tmp_path, monkeypatch):
    (tmp_path / "m").write_bytes(GOOD)
    header = files.open_model(tmp_path / "m")
    os.close(header._file.fileno())  # every read now fails as the system's own error
    with pytest.raises(ModelFileError, match="cannot be read: Bad file descriptor"):
        header.read(SHAPES)
    os.open(tmp_path / "m", os.O_RDONLY)  # give the descriptor back, so that closing it closes nothing else


IN_ANOTHER_LAND = """
import os, sys
import numpy as np
from elman import files
path = os.fsdecode(sys.argv[1])
meta = files.Meta(version="0.1.0", task="model", config={"rate": 0.1, "text": "\\u6587"})
for _ in range(2):
    files.save(path, {"w": np.ones(2)}, meta)
try:
    files.open_model(path + "x")
except Exception as error:
    sys.stderr.write(str(error))
header = files.open_model(path)
assert header.meta == meta and os.listdir(os.path.dirname(path)) == [os.path.basename(path)]
"""


@pytest.mark.parametrize("locale", ["C", "POSIX", "de_DE.UTF-8", "tr_TR.UTF-8", "zh_CN.GB18030"])
def test_locale_and_time_zone_change_nothing(tmp_path, locale):
    settings_of_land = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TZ": "Pacific/Kiritimati"}
    path = tmp_path / "模型 😀.elman"
    done = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_LAND, path],
        env={**os.environ, **settings_of_land, "HOME": "/nonexistent"},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    files.open_model(path).read({"w": (2,)})


# --- fuzzing ----------------------------------------------------------------------------------------------------------

REAL = container(
    {**whole(), "history.loss": {"dtype": "F32", "shape": [2], "data_offsets": [32, 40]}},
    DATA + b"\0\0\0\0\0\0\xc0\x7f",
)
POSITIONS = st.integers(0, len(REAL) - 1)
EDITS = st.one_of(
    st.tuples(st.just("set"), POSITIONS, st.binary(min_size=1, max_size=8)),
    st.tuples(st.just("cut"), POSITIONS, st.integers(1, 20)),
    st.tuples(st.just("insert"), POSITIONS, st.binary(min_size=1, max_size=20)),
    st.tuples(st.just("end"), POSITIONS, st.none()),
)
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 40),
    st.sampled_from([2**31, 2**32, 2**62, 2**63, 2**64, -(2**63), 10**30]),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["F32", "F64", "U8", "BF16", "w", "elman"]),
    st.lists(st.integers(-1, 9), max_size=4),
)


def load_or_refuse(content, path):
    """Load a file in all the ways there are; the one exception allowed is the library's."""
    path.write_bytes(content)
    try:
        with files.open_model(path) as header:
            weights = header.read(allow_nonfinite=True)
            header.read_history()
        assert sum(array.nbytes for array in weights.values()) <= len(content)
    except ModelFileError:
        return


@settings(max_examples=300)
@given(edits=st.lists(EDITS, min_size=1, max_size=4))
def test_bytes_changed_at_random_load_or_are_refused(edits, tmp_path_factory):
    content = bytearray(REAL)
    for kind, at, what in edits:
        if kind == "set":
            content[at : at + len(what)] = what
        elif kind == "cut":
            del content[at : at + what]
        elif kind == "insert":
            content[at:at] = what
        else:
            del content[at:]
    load_or_refuse(bytes(content), tmp_path_factory.getbasetemp() / "fuzz.elman")


@settings(max_examples=300)
@given(
    changes=st.dictionaries(
        st.sampled_from(["w", "b", "history.loss", "__metadata__", ""]),
        st.one_of(
            ODD,
            st.fixed_dictionaries({"dtype": ODD, "shape": ODD, "data_offsets": ODD}),
            st.builds(lambda key, odd: {**B, key: odd}, st.sampled_from(list(B)), ODD),
            st.builds(
                lambda key, odd: {"elman": json.dumps({**META, key: odd})},
                st.sampled_from([*META, "training", "x"]),
                ODD,
            ),
        ),
        min_size=1,
    )
)
def test_headers_changed_at_random_load_or_are_refused(changes, tmp_path_factory):
    load_or_refuse(container({**whole(), **changes}), tmp_path_factory.getbasetemp() / "fuzz.elman")


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "m"
    for size in range(len(REAL)):
        path.write_bytes(REAL[:size])
        with pytest.raises(ModelFileError):
            files.open_model(path)


@pytest.mark.parametrize("bit", range(8))
def test_every_flipped_bit_of_the_header_loads_or_is_refused(tmp_path, bit):
    for at in range(8 + int.from_bytes(REAL[:8], "little")):
        content = bytearray(REAL)
        content[at] ^= 1 << bit
        load_or_refuse(bytes(content), tmp_path / "m")
