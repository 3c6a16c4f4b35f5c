"""Parquet and Arrow: texts of a column, and numbers of one row per step, read in batches of rows."""

import re
import sys

import numpy as np
import pytest

from elman.cli.main import main
from elman.errors import DataError, DataTypeError, UsageError
from elman.tasks import Corpus, LanguageModel, read_sequences, tables

TEXTS = ["to be, or not to be\n", "", "床前明月光\n", "👩‍👩‍👧 e\u0301\r\n"] * 50


def test_without_pyarrow_the_message_says_how_to_get_it(tmp_path, monkeypatch, capsys):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    message = f"{path}: tables need pyarrow, which is not installed. Install it: pip install 'elman[arrow]'."
    for call in (lambda: Corpus.from_files(path, column="text"), lambda: read_sequences(path, ["a"])):
        with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
            call()
    assert main(["train", "text", str(path), "--column", "text"]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.fixture(scope="module")
def pa():
    arrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.feather")
    pytest.importorskip("pyarrow.parquet")
    return arrow


def write(pa, path, columns, kind="parquet"):
    table = pa.table(columns)
    if kind == "parquet":
        pa.parquet.write_table(table, path, row_group_size=70)
    else:
        pa.feather.write_feather(table, str(path), chunksize=70, compression="uncompressed" if "raw" in kind else "lz4")
    return path


KINDS = ["parquet", "feather", "raw feather"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["string", "large_string", "dictionary"])
@pytest.mark.parametrize("rows", [1, 33, 1024])
def test_a_column_of_texts_is_a_corpus_of_documents(pa, kind, form, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_TEXTS", rows)
    column = pa.array(TEXTS, pa.large_string() if form == "large_string" else pa.string())
    if form == "dictionary":
        column = column.dictionary_encode()
    path = write(pa, tmp_path / "a.bin", {"id": range(len(TEXTS)), "text": column}, kind)
    found, expected = Corpus.from_files(path, column="text"), Corpus.from_texts(TEXTS)
    assert found.vocabulary == expected.vocabulary and found.ids.dtype == expected.ids.dtype
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.starts, expected.starts)


def test_the_command_takes_tables_and_folders_of_them(pa, tmp_path, capsys):
    (tmp_path / "many").mkdir()
    write(pa, tmp_path / "many" / "b.parquet", {"text": TEXTS})
    write(pa, tmp_path / "many" / "a.arrow", {"text": TEXTS[:3]}, "feather")
    (tmp_path / "many" / "c.txt").write_text("left")
    model = tmp_path / "m.elman"
    words = ["--layers", "1", "--hidden", "8", "--batch", "4", "--steps", "10", "--epochs", "1", "-o", str(model)]
    assert main(["train", "text", str(tmp_path / "many"), "--column", "text", *words]) == 0
    assert "a.arrow" in (err := capsys.readouterr().err) and "1 was left for its suffix" in err
    assert main(["evaluate", str(model), str(tmp_path / "many" / "a.arrow"), "--column", "text", "--json"]) == 0
    capsys.readouterr()
    expected = LanguageModel(layers=1, hidden=8, batch=4, steps=10, epochs=1, verbose=0).fit(TEXTS[:3] + TEXTS)
    assert expected.training_["characters"] == len("".join(TEXTS[:3] + TEXTS))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_a_table_of_steps_is_a_batch_of_sequences(pa, rng, kind, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_ROWS", rows)
    lengths = [3, 1, 80, 16]
    names = np.repeat(["Mon", "Tue", "Wed", "Thu"], lengths)
    columns = {
        "a": rng.standard_normal(100),
        "day": names,
        "b": rng.integers(0, 9, 100).astype(np.int16),
        "c": rng.standard_normal(100).astype(np.float32),
        "yes": rng.integers(0, 2, 100).astype(bool),
    }
    path = write(pa, tmp_path / "a.bin", columns, kind)
    x, found = read_sequences(path, ["c", "a", "b", "yes"], by="day", dtype="float64")
    assert found == ["Mon", "Tue", "Wed", "Thu"] and x.lengths.tolist() == lengths
    expected = np.stack([columns[name].astype(np.float64) for name in ("c", "a", "b", "yes")], axis=1)
    np.testing.assert_array_equal(x.values, expected)
    whole, found = read_sequences(path, ["a", "a"])
    assert found == [None] and whole.lengths.tolist() == [100] and whole.values.dtype == np.float32
    np.testing.assert_array_equal(whole.values, np.float32(np.stack([columns["a"]] * 2, axis=1)))


def test_a_table_without_rows(pa, tmp_path):
    path = write(pa, tmp_path / "a.parquet", {"text": pa.array([], pa.string()), "a": pa.array([], pa.float64())})
    assert len(Corpus.from_files(path, column="text")) == 0
    x, names = read_sequences(path, ["a"], by="text")
    assert x.values.shape == (0, 1) and len(x.lengths) == 0 and names == []


@pytest.mark.parametrize("kind", ["timestamp", "duration"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_that_name_sequences_stay_times(pa, tmp_path, kind, unit):
    times = pa.array([0, 0, 10**9], getattr(pa, kind)(unit))
    _, names = read_sequences(
        write(pa, tmp_path / "a.arrow", {"a": [1.0, 2.0, 3.0], "by": times}, "feather"), ["a"], by="by"
    )
    assert not any(isinstance(name, int) for name in names)
    assert np.array(names).astype(f"{kind[0].replace('t', 'M').replace('d', 'm')}8[{unit}]").astype(int).tolist() == [
        0,
        10**9,
    ]


# fmt: off
# ruff: noqa: E501 - a table: one fault is one line, its message in one piece
FAULTS = {
    "no column": (lambda p: Corpus.from_files(p / "t.parquet", column="txt"), UsageError, "t.parquet: there is no column 'txt', expected one of 'text', 'a', 'big', 'gap', 'by', 'nan', 'when'."),
    "no column of numbers": (lambda p: read_sequences(p / "t.parquet", ["a", "b"]), UsageError, "t.parquet: there is no column 'b', expected one of 'text', 'a', 'big', 'gap', 'by', 'nan', 'when'."),
    "no texts": (lambda p: Corpus.from_files(p / "t.parquet", column="a"), DataTypeError, "t.parquet: the column 'a' holds no texts, expected strings, got double."),
    "a missing text": (lambda p: Corpus.from_files(p / "t.parquet", column="gap"), DataError, "t.parquet: row 2 of column 'gap' is missing (null). Leave such rows out, or fill them, before the table is written."),
    "no numbers": (lambda p: read_sequences(p / "t.parquet", ["text"]), DataTypeError, "t.parquet: the column 'text' holds no numbers, expected integers or floating-point numbers, got string."),
    "times": (lambda p: read_sequences(p / "t.parquet", ["when"]), DataTypeError, "t.parquet: the column 'when' holds no numbers, expected integers or floating-point numbers, got timestamp[us]."),
    "too large": (lambda p: read_sequences(p / "t.parquet", ["big"]), DataError, "t.parquet: a number of column 'big' is too large for float32, got 1e+300 in row 1. Take dtype='float64'."),
    "apart": (lambda p: read_sequences(p / "t.parquet", ["a"], by="by"), DataError, "t.parquet: the rows of sequence 'x' do not follow each other in column 'by'. Sort the table by 'by' and time, and write it again."),
    "no name": (lambda p: read_sequences(p / "t.parquet", ["a"], by="nan"), DataError, "t.parquet: row 1 of column 'nan' is NaN, which names no sequence. Leave such rows out, or fill them, before the table is written."),
    "a dtype": (lambda p: read_sequences(p / "t.parquet", ["a"], dtype="int32"), UsageError, "read_sequences: dtype is not accepted, expected float32 or float64, got int32."),
    "a name": (lambda p: read_sequences(p / "t.parquet", "a"), UsageError, "read_sequences: columns is no list of names, expected a list of at least one name, got 'a'. Write columns=['a']."),
    "no names": (lambda p: read_sequences(p / "t.parquet", []), UsageError, "read_sequences: columns is no list of names, expected a list of at least one name, got []."),
    "no file": (lambda p: read_sequences(p / "none.parquet", ["a"]), UsageError, "none.parquet: no such file or directory, expected a Parquet or Arrow file."),
    "a folder": (lambda p: read_sequences(p, ["a"]), UsageError, "…: it is a folder, expected a Parquet or Arrow file."),
    "a text": (lambda p: read_sequences(p / "a.txt", ["a"]), DataError, "a.txt: this is neither a Parquet nor an Arrow file, expected a file that begins with PAR1 or ARROW1."),
    "half a table": (lambda p: read_sequences(p / "half.parquet", ["a"]), DataError, "half.parquet: the table cannot be read (…)."),
    "half a feather": (lambda p: read_sequences(p / "half.arrow", ["a"]), DataError, "half.arrow: the table cannot be read (…)."),
    "not UTF-8": (lambda p: Corpus.from_files(p / "bad.arrow", column="text"), DataError, "bad.arrow: the text in row 1 of column 'text' is not UTF-8 (invalid start byte)."),
}
# fmt: on


@pytest.fixture(scope="module")
def broken(pa, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    columns = {
        "text": ["a", "b", "c"],
        "a": [1.0, 2.0, 3.0],
        "big": [1.0, 1e300, 2.0],
        "gap": ["a", "b", None],
        "by": ["x", "y", "x"],
        "nan": pa.array([1.0, float("nan"), 1.0]),
        "when": pa.array([1, 2, 3], pa.timestamp("us")),
    }
    whole = write(pa, folder / "t.parquet", columns).read_bytes()
    (folder / "half.parquet").write_bytes(whole[: len(whole) // 2])
    whole = write(pa, folder / "t.arrow", columns, "raw feather").read_bytes()
    (folder / "half.arrow").write_bytes(whole[: len(whole) // 2])
    bad = pa.Array.from_buffers(
        pa.string(), 3, [None, pa.py_buffer(np.array([0, 2, 3, 4], np.int32)), pa.py_buffer(b"ab\xffc")]
    )
    write(pa, folder / "bad.arrow", {"text": bad}, "raw feather")
    (folder / "a.txt").write_text("text")
    return folder


@pytest.mark.parametrize("case", FAULTS)
def test_faults(broken, case):
    call, kind, message = FAULTS[case]
    with pytest.raises(kind) as caught:
        call(broken)
    pattern = re.escape(message).replace("…", ".+")
    assert re.fullmatch(f"({re.escape(str(broken))}/)?{pattern}", str(caught.value)), str(caught.value)
