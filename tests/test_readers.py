"""Files as sequences: every format as it is meant, and in one table what is wrong with those that are not."""

import gzip
import json
import os

import numpy as np
import pytest

from elman.errors import DataError, ElmanError, UsageError
from elman.readers import FORMATS, Columns, read

LONG = "id,time,a,b,label\n7,0,1.5,-1,x\n7,1,2.5,-2,x\n8,0,3.5,-3,y\n"
TS = "# a comment\n@problemName Toy\n@univariate false\n@dimensions 2\n@classLabel true up down\n@data\n"
CONLLU = (
    "# sent_id = s-1\n# text = We don't.\n1\tWe\twe\tPRON\tPRP\t_\t2\tnsubj\t_\t_\n2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "2\tdo\tdo\tAUX\tVBP\t_\t0\troot\t_\t_\n3\tn't\tnot\tPART\tRB\t_\t2\tadvmod\t_\t_\n3.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_\n\n"
    "1\tGo\tgo\tVERB\tVB\t_\t0\troot\t_\t_\n"
)

NPY = b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }".ljust(127) + b"\n" + bytes(8)


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Give a function that writes a file into the working folder; messages name it as the user does."""
    monkeypatch.chdir(tmp_path)

    def write(name, content):
        if isinstance(content, dict):
            np.savez(name, **content)
        else:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    return write


def plain(values):
    return [x.tolist() if isinstance(x, np.ndarray) else x for x in values]


# Tables -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_in_long_form(separator, end, put):
    data = read(put("d.csv", LONG.replace(",", separator).replace("\n", end)), "classify")
    assert plain(data.X) == [[[1.5, -1], [2.5, -2]], [[3.5, -3]]]
    assert data.y.tolist() == ["x", "y"] and data.ids == ["7", "8"]
    assert data.columns == Columns("id", "time", "label", ("a", "b"), "long")


def test_what_the_columns_were_taken_for_is_said(put):
    assert read(put("d.csv", LONG), "classify").account().splitlines() == [
        "d.csv: CSV in long form, a row for each step",
        "  sequences  2 of 1 to 2 steps, 3 steps in all",
        "  id         column 'id'",
        "  time       column 'time', which rises in every sequence",
        "  features   2 columns: 'a', 'b'",
        "  label      column 'label': 2 classes: x (1), y (1)",
    ]


def test_rows_of_a_sequence_may_be_apart_and_labels_may_change_for_tags(put):
    name = put("d.csv", "series_id,wind,tag\n1,1.0,a\n2,5.0,b\n1,2.0,c\n")
    data = read(name, "tag")
    assert plain(data.X) == [[[1.0], [2.0]], [[5.0]]] and plain(data.y) == [["a", "c"], ["b"]]


def test_words_in_long_form(put):
    data = read(put("d.csv", 'sentence,word,upos\n1,The,DET\n1,"a, b",NOUN\n2,Go,VERB\n'), "tag")
    assert data.X == [["The", "a, b"], ["Go"]] and plain(data.y) == [["DET", "NOUN"], ["VERB"]]


def test_a_long_table_without_ids_is_one_sequence_for_tags(put):
    data = read(put("d.csv", "date,wind,label\n2026-11-20,1,calm\n2026-11-21T06:00,9,storm\n"), "tag")
    assert plain(data.X) == [[[1.0], [9.0]]] and plain(data.y) == [["calm", "storm"]]
    assert data.columns.time == "date" and "the whole file is one sequence" in data.account()


def test_csv_in_wide_form_ends_where_cells_are_empty(put):
    data = read(put("d.csv", "name,t1,t2,t3,class\nu1,1,2,3,0\nu2,4,5,,1\n"), "classify")
    assert plain(data.X) == [[[1.0], [2.0], [3.0]], [[4.0], [5.0]]]
    assert data.y.tolist() == [0, 1] and data.ids == ["u1", "u2"]


def test_csv_of_texts(put):
    data = read(put("d.csv", 'text,stars\n"good,\nreally",5\n"says ""no""",1.5\n'), "regress")
    assert data.X == ["good,\nreally", 'says "no"'] and data.y.tolist() == [5.0, 1.5]
    assert data.ids == [2, 4]  # lines


def test_csv_without_a_header_and_as_pandas_writes_it(put):
    data = read(put("d.csv", "1,0.5,0.25\n2,0.75,1\n"), "classify", columns=Columns(label="1"))
    assert plain(data.X) == [[[0.5], [0.25]], [[0.75], [1.0]]] and data.y.tolist() == [1, 2]
    data = read(put("e.csv", ",t0,t1,label\n0,1,2,a\n1,3,4,b\n"), "classify")
    assert plain(data.X) == [[[1.0], [2.0]], [[3.0], [4.0]]]
    assert "the first column, which counts the rows, is left out" in data.account()


def test_labels_are_integers_only_if_all_are(put):
    for cells, labels in ((("1", "-2"), [1, -2]), (("01", "2"), ["01", "2"]), (("1", "none"), ["1", "none"])):
        name = put("d.csv", "x,label\n" + "".join(f"1,{cell}\n" for cell in cells))
        assert read(name, "classify").y.tolist() == labels


def test_a_label_is_not_the_y_of_a_place(put):
    data = read(put("d.csv", "id,time,x,y,z,activity\n1,0,1,2,3,walk\n1,1,1,2,3,walk\n2,0,1,2,3,run\n"), "classify")
    assert data.columns.label == "activity" and data.columns.features == ("x", "y", "z")
    data = read(put("d.csv", "id,x,y,activity\n1,1,2.5,walk\n1,1,2,walk\n2,1,2,run\n"), "classify")
    assert data.columns.label == "activity"
    assert read(put("d.csv", "x,y\n1,2.5\n2,3\n"), "regress").columns.label == "y"


def test_integers_that_were_written_as_fractions(put):
    assert read(put("d.csv", "x,label\n1,1.0\n2,0.0\n"), "classify").y.tolist() == [1, 0]


def test_json_lines_of_lists_words_and_channels(put):
    lines = [{"id": 3, "x": [[1, 2], [3, 4]], "label": "a"}, {"id": 4, "x": [[5, 6]], "label": "b"}]
    data = read(put("d.jsonl", "\n".join(map(json.dumps, lines)) + "\n\n"), "classify")
    assert plain(data.X) == [[[1, 2], [3, 4]], [[5, 6]]] and data.ids == [3, 4] and data.y.tolist() == ["a", "b"]
    data = read(put("e.jsonl", '{"tokens": ["Go", "on"], "tags": ["V", "R"]}\n{"tokens": [], "tags": []}\n'), "tag")
    assert data.X[0] == ["Go", "on"] and len(data.X[1]) == 0 and plain(data.y) == [["V", "R"], []]
    data = read(put("f.jsonl", '{"wind": [1, 2], "rain": [0, 5], "target": 2.5}\n'), "regress")
    assert plain(data.X) == [[[1, 0], [2, 5]]] and data.y.tolist() == [2.5]


def test_parquet_is_read_as_the_same_table(put):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")

    table = arrow.table({"id": [7, 7, 8], "time": [0, 1, 0], "a": [1.5, 2.5, 3.5], "label": ["x", "x", "y"]})
    parquet.write_table(table, "d.bin")  # told by its first bytes
    data = read("d.bin", "classify")
    assert plain(data.X) == [[[1.5], [2.5]], [[3.5]]] and data.y.tolist() == ["x", "y"] and data.ids == [7, 8]
    parquet.write_table(arrow.table({"x": [[1.0, 2.0], [3.0]], "y": [0, 1]}), "e.parquet")
    assert plain(read("e.parquet", "classify").X) == [[[1.0], [2.0]], [[3.0]]]


# Other formats ----------------------------------------------------------------------------------------------------


def test_npz_dense_ragged_padded_and_of_texts(put):
    x = np.arange(12.0).reshape(2, 3, 2)
    data = read(put("d.npz", {"X": x, "y": np.array([1, 0])}), "classify")
    assert plain(data.X) == x.tolist() and data.y.tolist() == [1, 0]
    data = read(put("d.npz", {"X": x, "lengths": [1, 3], "y": np.array([1.5, 0])}), "regress")
    assert plain(data.X) == [x[0, :1].tolist(), x[1].tolist()]
    data = read(put("d.npz", {"values": x.reshape(6, 2), "lengths": [2, 4], "y": np.arange(6)}), "tag")
    assert [len(part) for part in data.X] == [len(part) for part in data.y] == [2, 4]
    data = read(put("d.npz", {"texts": np.array(["ab", "c"]), "labels": np.array(["u", "v"])}), "classify")
    assert data.X == ["ab", "c"] and data.y.tolist() == ["u", "v"]
    keras = {"x_train": x, "y_train": [0, 1], "x_test": -x, "y_test": [1, 0]}
    assert read(put("k.npz", keras), "classify").X[1].tolist() == x[1].tolist()
    test = read("k.npz", "classify", columns=Columns(label="y_test", features=("x_test",)))
    assert test.X[0].tolist() == (-x[0]).tolist() and test.y.tolist() == [1, 0]


def test_ts_of_unequal_and_equal_lengths(put):
    data = read(put("d.ts", TS + "1,2,3:4,5,6:up\n\n7:8:down\n"), "classify")
    assert plain(data.X) == [[[1, 4], [2, 5], [3, 6]], [[7, 8]]] and data.y.tolist() == ["up", "down"]
    data = read(
        put("e.ts", "@univariate true\n@equalLength true\n@targetLabel true\n@data\n1,2:0.5\n3,4:1.5\n"), "regress"
    )
    assert plain(data.X) == [[[1], [2]], [[3], [4]]] and data.y.tolist() == [0.5, 1.5]
    data = read(put("f.ts", "@classLabel false\n@data\n1,2\n"), "classify", needs_label=False)
    assert plain(data.X) == [[[1], [2]]] and data.y is None


def test_japanese_vowels_are_read_whole(data_file):
    data = read(data_file("uea-sequences/JapaneseVowels_TRAIN.ts"), "classify")
    assert len(data) == 270 and data.lengths.sum() == 4274 and data.X[0].shape[1] == 12
    assert np.bincount(data.y)[1:].tolist() == [30] * 9


def test_conllu_packed_or_not(put):
    for name in (put("d.conllu", CONLLU), put("d.conllu.gz", gzip.compress(CONLLU.encode()))):
        data = read(name, "tag")
        assert data.X == [["We", "do", "n't"], ["Go"]] and plain(data.y) == [["PRON", "AUX", "PART"], ["VERB"]]
        assert data.ids == ["s-1", 2]
        assert plain(read(name, "tag", columns=Columns(label="xpos")).y)[0] == ["PRP", "VBP", "RB"]
    assert read(put("e.conllu", CONLLU.replace("VERB", "_")), "tag", needs_label=False).y is None


def test_the_treebank_has_the_counts_of_its_statistics(data_file):
    data = read(data_file("ud-english-ewt/en_ewt-ud-dev.conllu.gz"), "tag")
    assert len(data) == 2001 and data.lengths.sum() == 25147 and len(set(np.concatenate(data.y))) == 17


def test_a_folder_for_each_class(put):
    for name, text in (
        ("f/neg/1.txt", "so bad"),
        ("f/pos/1.txt", "good"),
        ("f/pos/b/2.txt", "fine"),
        ("f/pos/x.md", ""),
    ):
        put(name, text)
    data = read("f", "classify")
    assert data.X == ["so bad", "good", "fine"] and data.y.tolist() == ["neg", "pos", "pos"]
    assert data.ids[2] == os.path.join("pos", "b", "2.txt") and "1 file of other kinds left" in data.account()
    put("g/1.txt", "good")
    assert read("g", "classify", needs_label=False).y is None


def test_lines_with_a_label_on_either_side(put):
    texts = [f"text {number}" for number in range(6)]
    for order in (1, -1):
        lines = ["\t".join((text, "ab"[k % 2])[::order]) for k, text in enumerate(texts)]
        data = read(put("d.txt", "\n".join(lines)), "classify")
        assert texts == data.X and data.y.tolist() == ["a", "b"] * 3
    assert "a label, a tab and a text in each line" in data.account()
    assert read(put("d.txt", "one\ntwo\n"), "classify", needs_label=False).X == ["one", "two"]
    data = read(put("d.txt", "The\tDET\ncat\tNOUN\n\nGo\tVERB\n"), "tag")
    assert data.X == [["The", "cat"], ["Go"]] and plain(data.y) == [["DET", "NOUN"], ["VERB"]]
    assert read(put("d.txt", "Don't go.\n"), "tag", needs_label=False).X == [["Don", "'", "t", "go", "."]]


def test_other_encodings_and_what_is_no_end_of_a_line(put):
    text = "Grüße\t1\nAb\u2028cd\x0b\t2\n"
    data = read(put("d.txt", text.encode("utf-16")), "classify", encoding="utf-16")
    assert data.X == ["Grüße", "Ab\u2028cd\x0b"]


# Splitting --------------------------------------------------------------------------------------------------------


def test_a_part_is_kept_back_with_classes_in_proportion(put):
    rows = "".join(f"{k},{k % 4 == 0}\n" for k in range(40))
    data = read(put("d.csv", "x,label\n" + rows), "classify")
    rest, back = data.split(0.2, seed=0)
    assert len(back) == 8 and (back.y == "True").sum() == 2 and len(rest) == 32
    assert sorted(rest.ids + back.ids) == sorted(data.ids)
    assert back.ids == data.split(0.2, seed=0)[1].ids != data.split(0.2, seed=1)[1].ids
    assert data.split(0.0, seed=0) == (data, None)
    few = read(put("e.csv", "x,label\n1,a\n2,b\n"), "classify")
    assert few.split(0.5, seed=0)[1] is None


# What is wrong ----------------------------------------------------------------------------------------------------

# fmt: off
FAULTS = {
    # Rows 1 and 4 of the list of faults: nothing there.
    "an empty file": ("d.csv", "", "classify", {}, DataError, "d.csv: it is empty, expected at least one sequence."),
    "a header alone": ("d.csv", "x,label\n", "classify", {}, DataError, "d.csv: it has no rows below its header, expected at least one."),
    "no cases": ("d.ts", "@data\n", "classify", {}, DataError, "d.ts: there are no cases after @data, expected at least one."),
    "no words": ("d.conllu", "# text\n", "tag", {}, DataError, "d.conllu: there are no words in it, expected at least one sentence."),
    "0 samples": ("d.npz", {"X": np.zeros((0, 3, 2)), "y": []}, "classify", {}, DataError, "d.npz, array 'X': it has 0 samples, expected at least 1."),
    "an empty sequence": ("d.jsonl", '{"x": [1], "y": "a"}\n{"x": [], "y": "b"}', "classify", {}, DataError, "d.jsonl, line 2: the sequence is empty, expected at least one step. Leave it out: nothing can be said about nothing."),
    "an empty row": ("d.csv", "t0,t1,label\n1,2,a\n,,b\n", "classify", {}, DataError, "d.csv, line 3: the sequence is empty, expected at least one step. Leave it out: nothing can be said about nothing."),
    "an empty text": ("d.txt", "good\ta\n \tb\nfine\ta", "classify", {}, DataError, "d.txt, line 2: the text is empty, expected at least one character. Leave it out: nothing can be said about nothing."),
    "an empty file of a folder": ("f/a/1.txt", "", "classify", {"path": "f"}, DataError, "f/a/1.txt: it is empty, expected at least one sequence."),
    # Row 2: axes.
    "one axis": ("d.npz", {"X": np.zeros(3), "y": [0, 1, 2]}, "classify", {}, DataError, "d.npz, array 'X': it has 1 axes, expected (n, steps, features), (n, steps), or values (N, features) beside an array 'lengths', got shape (3,)."),
    "steps that differ": ("d.jsonl", '{"x": [[1, 2], [3]], "y": 0}', "classify", {}, DataError, "d.jsonl, line 1: the steps of 'x' differ in their numbers, expected 2 numbers, got 1 at step 2."),
    "sequences that differ": ("d.jsonl", '{"x": [[1, 2]], "y": 0}\n{"x": [[1]], "y": 0}', "classify", {}, DataError, "d.jsonl, line 2: the steps of this sequence have other numbers than those before it, expected 2 each, got 1."),
    "channels that differ": ("d.ts", TS + "1,2:3:up", "classify", {}, DataError, "d.ts, line 7: the channels of this case differ in length, expected 2 steps in each, got 2, 1. Fill the shorter ones, or cut the longer."),
    "too few channels": ("d.ts", TS + "1,2:up", "classify", {}, DataError, "d.ts, line 7: the case has 1 channels, expected 2 and a label. Check its colons."),
    "two kinds": ("d.jsonl", '{"x": [1], "y": 0}\n{"x": ["a"], "y": 0}', "classify", {}, DataError, "d.jsonl, line 2: the sequences are of two kinds, expected one, got numbers before and words here."),
    # Row 6: lengths.
    "lengths": ("d.npz", {"values": np.zeros((5, 1)), "lengths": [2, 2], "y": [0, 1]}, "classify", {}, DataError, "d.npz, array 'values': 'lengths' does not add up to its rows, expected 5, got 4 for shape (5, 1)."),
    "negative lengths": ("d.npz", {"values": np.zeros((5, 1)), "lengths": [6, -1], "y": [0, 1]}, "classify", {}, DataError, "d.npz, array 'values': 'lengths' is not one number of steps each, expected integers (n,) >= 0, got shape (2,) of int64."),
    "lengths beyond": ("d.npz", {"X": np.zeros((2, 3, 1)), "lengths": [1, 4], "y": [0, 1]}, "classify", {}, DataError, "d.npz, array 'X': 'lengths' does not fit it, expected 2 lengths of at most 3, got 2 of at most 4."),
    "labels": ("d.npz", {"X": np.zeros((2, 3, 1)), "y": [0, 1, 2]}, "classify", {}, DataError, "d.npz, array 'y': it has not one label for each sequence, expected (2,), got shape (3,)."),
    "tags": ("d.jsonl", '{"x": ["a", "b"], "tags": ["N"]}', "tag", {}, DataError, "d.jsonl, line 1: 'tags' has not one label for each step, expected 2, got 1."),
    # Rows 7 and 8: what is missing.
    "NaN": ("d.csv", LONG.replace("2.5", "NaN"), "classify", {}, DataError, "d.csv, line 3: a value of column 'a' is missing, expected a number, got 'NaN'. Fill it, or leave those rows out."),
    "an empty cell": ("d.csv", LONG.replace("2.5", ""), "classify", {}, DataError, "d.csv, line 3: a value of column 'a' is missing, expected a number, got an empty cell. Fill it, or leave those rows out."),
    "a gap": ("d.csv", "t0,t1,t2,label\n1,,3,a\n", "classify", {}, DataError, "d.csv, line 2: a value of column 't1' is missing, expected a number, got an empty cell. Fill it, or leave those rows out."),
    "infinity": ("d.csv", LONG.replace("2.5", "inf"), "classify", {}, DataError, "d.csv, line 3: column 'a' is infinite, expected a finite number, got inf."),
    "too large": ("d.csv", LONG.replace("2.5", "1e300"), "classify", {}, DataError, "d.csv, line 3: a number of column 'a' is too large for float32, expected smaller numbers, got 1e300."),
    "null": ("d.jsonl", '{"x": [1, null], "y": 0}', "classify", {}, DataError, "d.jsonl, line 1, step 2: a value of 'x' is missing, expected a number, got None. Fill it, or leave those rows out."),
    "missing in .ts": ("d.ts", TS + "1,2:3,?:up", "classify", {}, DataError, "d.ts, line 7, step 2: a value of channel 2 is missing, expected a number, got '?'. Fill it, or leave those rows out."),
    "missing in .npz": ("d.npz", {"X": np.array([[1, np.nan]]), "y": [0]}, "classify", {}, DataError, "d.npz, array 'X': a value is missing, expected finite numbers, got nan at [0, 1]. Fill it, or leave those steps out."),
    "no label": ("d.csv", "x,label\n1,a\n2,\n", "classify", {}, DataError, "d.csv, line 3: there is no label in column 'label'. Give each sequence a label, or leave it out."),
    "no number to learn": ("d.csv", "x,y\n1,2\n2,n/a\n", "regress", {}, DataError, "d.csv, line 3: a value of column 'y' is missing, expected a number, got 'n/a'. Fill it, or leave those rows out."),
    "labels to regress": ("d.csv", "x,y\n1,2\n2,two\n", "regress", {}, DataError, "d.csv, line 3: column 'y' holds no number, got 'two'."),
    "no tag": ("d.conllu", CONLLU.replace("VERB", "_"), "tag", {}, DataError, "d.conllu, line 9: the word has no upos, got _. Take another column: --label xpos, or label the word."),
    "no labels at all": ("d.ts", "@classLabel false\n@data\n1,2\n", "classify", {}, DataError, "d.ts: there are no labels in it, expected one for each sequence."),
    # Row 16: what is no number.
    "texts among numbers": ("d.csv", LONG.replace("time,a,b", "time,a,city").replace("-1", "Bonn").replace("-2", "Bonn").replace("-3", "Ulm"), "classify", {}, DataError, "d.csv: column 'city' holds texts, expected numbers, got 'Bonn'. Say what it is, --id, --time or --label, or name the features without it: --features id --features time …."),
    "objects": ("d.npz", {"X": np.array([[1], [1, 2]], object), "y": [0, 1]}, "classify", {}, DataError, "d.npz: it holds Python objects, which could run anything when they are read, expected arrays of numbers or text. Of sequences that differ in length save values=np.concatenate(X) and lengths=[len(x) for x in X]."),
    "dates": ("d.npz", {"X": np.array([["2026-11-21"]], "M8[D]"), "y": [0]}, "classify", {}, DataError, "d.npz, array 'X': it holds no numbers, expected numbers, or texts (n,), got dtype datetime64[D]."),
    "continuous labels": ("d.npz", {"X": np.zeros((2, 3, 1)), "y": [0.5, 1]}, "classify", {}, DataError, "d.npz, array 'y': these are no such labels, expected integers or text, got dtype float64. For numbers: elman train regress."),
    "fractions for labels": ("d.csv", "x,price\n1,2\n2,2.5\n", "classify", {"columns": Columns(label="price")}, DataError, "d.csv, line 3: column 'price' holds fractions, which are no classes, expected texts or integers, got 2.5. For numbers: elman train regress."),
    # Row 20: encodings.
    "not UTF-8": ("d.csv", b"x,label\n1,a\n2,caf\xe9\n", "classify", {}, DataError, "d.csv, line 3: byte 0xe9 at offset 17 is not UTF-8 (invalid continuation byte). Name its encoding with --encoding (latin-1, gb18030, utf-16 …) or drop bad bytes with --errors ignore."),
    "UTF-16": ("d.txt", "ab\tc\n".encode("utf-16"), "classify", {}, DataError, "d.txt, line 1: byte 0xff at offset 0 is not UTF-8 (invalid start byte). It begins like UTF-16: add --encoding utf-16."),
    "a broken archive": ("d.csv.gz", gzip.compress(b"x,label\n1,a\n")[:-6], "classify", {}, DataError, "d.csv.gz: the archive cannot be unpacked (Compressed file ended before the end-of-stream marker was reached). It may have been cut short: fetch it again, or look at it with gzip -t."),
    # Row 23: columns, times, separators.
    "no such column": ("d.csv", LONG, "classify", {"columns": Columns(id="who")}, UsageError, "d.csv: there is no column 'who' for the id, expected one of 'id', 'time', 'a', 'b', 'label'."),
    "no label known": ("d.csv", LONG.replace("label", "who"), "regress", {}, UsageError, "d.csv: no column is known to be the label, expected one that is called label, class, target, y or tag, got columns 'id', 'time', 'a', 'b', 'who'. Say which one it is: --label who."),
    "labels twice": ("d.csv", "x,class,category\n1,a,b\n", "classify", {}, UsageError, "d.csv: several columns may be the label, expected one, got 'class', 'category'. Say which one it is: --label class."),
    "ids twice": ("d.csv", "series,session,x,label\n1,1,2,a\n1,1,3,a\n", "classify", {}, UsageError, "d.csv: several columns may say which sequence a row belongs to, expected one, got 'series', 'session'. Say which one does: --id series."),
    "a time without an id": ("d.csv", "run,time,x,label\n1,0,5,a\n1,1,6,a\n", "classify", {}, UsageError, "d.csv: column 'time' may say the time, but none is known to say which sequence a row belongs to, expected a column such as 'id', got columns 'run', 'time', 'x', 'label'. Say which one does: --id run, or name the features, if each row is a sequence: --features run."),
    "no features": ("d.csv", "id,label\n1,a\n", "classify", {}, UsageError, "d.csv: there is no column left for the features, got columns 'id', 'label'."),
    "no id in a row": ("d.csv", LONG.replace("\n7,1", "\n,1"), "classify", {}, DataError, "d.csv, line 3: there is no id in column 'id'. Say which sequence the row belongs to."),
    "times out of order": ("d.csv", LONG.replace("7,0", "7,2"), "classify", {}, DataError, "d.csv, line 3 (sequence '7'): time 1 comes after 2, expected rising times. Sort the rows of each sequence by 'time'."),
    "a time twice": ("d.csv", LONG.replace("7,1", "7,0"), "classify", {}, DataError, "d.csv, line 3 (sequence '7'): time 0 stands twice, expected rising times. Keep one row for each time."),
    "no time": ("d.csv", LONG.replace("7,1", "7,"), "classify", {}, DataError, "d.csv, line 3: a time of column 'time' is missing. Fill it, or leave those rows out."),
    "a date of another form": ("d.csv", "id,date,x,y\n1,2.1.2026,1,a\n1,3.1.2026,1,a\n", "classify", {}, DataError, "d.csv, line 2: column 'date' holds no time, expected a number or a date such as 2026-11-21 or 2026-11-21T14:30, got '2.1.2026'. Write it in that form."),
    "times of two kinds": ("d.csv", "id,date,x,y\n1,2026-01-02,1,a\n1,2026-01-03T00:00Z,1,a\n", "classify", {}, DataError, "d.csv, line 3: times of column 'date' cannot be compared, got 2026-01-02 00:00:00 and 2026-01-03 00:00:00+00:00."),
    "a label that changes": ("d.csv", LONG.replace("-2,x", "-2,y"), "classify", {}, DataError, "d.csv, line 3: the label changes within the sequence '7', expected one for each sequence, got 'x' and 'y'. For a label for each row: elman train tag."),
    "thousands separators": ("d.csv", 'x,y\n"1,234",a\n5,b\n6,b\n', "classify", {}, DataError, "d.csv, line 2: column 'x' holds no number, got '1,234'. Write it without thousands separators: 1234."),
    "decimal commas": ("d.csv", "x;y\n0,5;a\n5;b\n6;b\n", "classify", {}, DataError, "d.csv, line 2: column 'x' holds no number, got '0,5'. Write it with a decimal point: 0.5."),
    "columns twice": ("d.csv", "x,x,y\n1,2,a\n", "classify", {}, DataError, "d.csv, line 1: columns of one name: 'x', expected a name of its own for each. Rename them in the header."),
    "a column without a name": ("d.csv", "x,,y\n1,2,a\n", "classify", {}, DataError, "d.csv, line 1: column 2 of the header has no name, expected a name for each. Write one into the header."),
    # Lines that are malformed.
    "a cell too many": ("d.csv", "text,label\nso, so,a\n", "classify", {}, DataError, 'd.csv, line 2: the row has 3 cells, expected 2 as in the first row, separated by commas. Put texts that hold the separator into quotes: "like, this".'),
    "a cell too few": ("d.csv", "text,label\nso\n", "classify", {}, DataError, "d.csv, line 2: the row has 1 cells, expected 2 as in the first row, separated by commas."),
    "an open quote": ("d.csv", 'text,label\nso,a\n"so,a\n', "classify", {}, DataError, "d.csv, line 3: the row cannot be read (unexpected end of data). Close every quote, and write one that belongs to a text twice."),
    "no JSON": ("d.jsonl", '{"x": [1], "y": 0}\n{"x": [1], "y": }\n', "classify", {}, DataError, 'd.jsonl, line 2: this is no JSON (Expecting value at column 17). Write one object in each line, such as {"x": [[0.5], [1.5]], "label": "up"}.'),
    "a JSON list": ("d.jsonl", '[\n{"x": [1], "y": 0}\n]', "classify", {}, DataError, "d.jsonl, line 1: this is no JSON (Expecting value at column 2). One list of objects is JSON, not JSON lines: write them with jq -c '.[]'."),
    "no object": ("d.jsonl", "[1, 2]\n", "classify", {}, DataError, 'd.jsonl, line 1: this is no object, expected an object, such as {"x": [[0.5], [1.5]], "label": "up"}, got list.'),
    "other keys": ("d.jsonl", '{"x": [1], "y": 0}\n{"x": [1]}', "classify", {}, DataError, "d.jsonl, line 2: the object has other keys, expected those of the first: 'x', 'y', got without 'y'."),
    "a case before @data": ("d.ts", "1,2:up\n", "classify", {}, DataError, "d.ts, line 1: a case stands before @data. A .ts file has a header, such as @classLabel true a b, and @data before the first case."),
    "time stamps": ("d.ts", "@timeStamps true\n@data\n(0,1):a\n", "classify", {}, DataError, "d.ts, line 1: values with time stamps are not read. Write the values alone, with @timeStamps false, or a CSV in long form with a column of times."),
    "another label": ("d.ts", TS + "1:2:left", "classify", {}, DataError, "d.ts, line 7: the label is not in @classLabel, expected one of the header's: up, down, got 'left'."),
    "a flag of .ts": ("d.ts", "@classLabel yes\n@data\n1:a\n", "classify", {}, DataError, "d.ts, line 1: @classlabel is neither true nor false, got 'yes'."),
    "spaces for tabs": ("d.conllu", "1 We we\n", "tag", {}, DataError, "d.conllu, line 1: the line has 1 columns, expected 10, parted by tabs. CoNLL-U parts its columns by tabs, not by spaces."),
    "words out of order": ("d.conllu", CONLLU.replace("\n\n", "\n"), "tag", {}, DataError, "d.conllu, line 8: words are not in order, expected word 4, got 1. Is the empty line between two sentences missing?"),
    "no number of a word": ("d.conllu", "x" + CONLLU.splitlines()[2][1:], "tag", {}, DataError, "d.conllu, line 1: the line begins with no number of a word, got 'x'."),
    "no tab": ("d.txt", "good\ta\nbad b\n", "classify", {}, DataError, "d.txt, line 2: the label is missing, got no tab. Write the text, a tab and the label."),
    "no tag after the tab": ("d.txt", "The\tDET\ncat\t\n", "tag", {}, DataError, "d.txt, line 2: there is no label after the tab. Label the word."),
    "two tabs": ("d.txt", "good\tx\ta\n", "classify", {}, DataError, "d.txt, line 1: the line has 2 tabs, expected one, before the label. Turn those of the text into spaces."),
    "no archive": ("d.npz", b"PK\3\4nothing", "classify", {}, DataError, "d.npz: the archive cannot be read (File is not a zip file)."),
    "a single array": ("d.npz", NPY, "classify", {}, DataError, "d.npz: this is a single array, expected an archive. Write it with np.savez."),
    # Names and what a format is for.
    "no such file": ("other", "", "classify", {"path": "none.csv"}, UsageError, "none.csv: no such file or directory, expected a text file."),
    "no such archive": ("other", "", "classify", {"path": "none.npz"}, UsageError, "none.npz: no such file or directory, expected a .npz file."),
    "another name": ("d.dat", "x", "classify", {}, UsageError, "d.dat: its name does not say what it is, expected one of .csv, .tsv, .jsonl, .ndjson, .npz, .ts, .conllu, .conll, .txt, .parquet, .arrow, .feather. Say what it is: --format csv, jsonl, npz, ts, conllu, lines or parquet."),
    "another format": ("d.dat", "x", "classify", {"format": "xls"}, UsageError, "format: there is no such format, expected one of csv, jsonl, npz, ts, conllu, lines, parquet, folder, got 'xls'."),
    "tags in .ts": ("d.ts", TS, "tag", {}, UsageError, "d.ts: this format has no label for each step. Take CSV in long form, JSON lines, CoNLL-U or .npz."),
    "sentences in CoNLL-U": ("d.conllu", CONLLU, "classify", {}, UsageError, "d.conllu: CoNLL-U has labels for words, not for sentences. Take elman train tag."),
    "a column of CoNLL-U": ("d.conllu", CONLLU, "tag", {"columns": Columns(label="ner")}, UsageError, "d.conllu: there are no labels in column 'ner', expected one of upos, xpos, feats, deprel, lemma."),
    "an array": ("d.npz", {"a": np.zeros((1, 1)), "y": [0]}, "classify", {}, UsageError, "d.npz: no array is known to be the sequences, expected one that is called x or values or sequences, got arrays 'a', 'y'. Say which it is: --features a."),
    "a text beside folders": ("f/1.txt", "good", "classify", {"path": "f"}, UsageError, "f: '1.txt' lies in no folder of a class. Make a folder for each class and put the texts into it: f/CLASS/1.txt."),
    "one folder": ("f/a/1.txt", "good", "classify", {"path": "f"}, DataError, "f: all texts lie in one folder, 'a', expected a folder for each class."),
    "no texts": ("f/a/1.md", "good", "classify", {"path": "f"}, UsageError, "f: the folder has no such files, expected .txt, got 1 other files. Name the suffixes of its texts: --suffix .md, or suffixes=['.md']."),
}
# fmt: on


@pytest.mark.parametrize("case", FAULTS)
def test_faults(case, put):
    name, content, purpose, options, kind, message = FAULTS[case]
    options = dict(options)
    put(name, content)
    with pytest.raises(ElmanError) as caught:
        read(options.pop("path", name), purpose, **options)
    assert type(caught.value) is kind and str(caught.value) == message


def test_a_table_needs_pyarrow(put, monkeypatch):
    pytest.importorskip("pyarrow")
    put("d.parquet", b"PAR1")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install 'elman\[arrow\]'"):
        read("d.parquet", "classify")


def test_every_format_is_told_by_a_name_or_is_a_folder():
    ends = [end for ends in FORMATS.values() for end in ends]
    assert len(set(ends)) == len(ends) and FORMATS["folder"] == ()


@pytest.mark.parametrize(
    ("name", "content", "purpose"),
    [
        ("d.csv", LONG.replace(",x\n", ",\n"), "classify"),
        ("d.jsonl", '{"x": ["a", "b"], "label": 1}', "tag"),
        ("d.npz", {"X": np.zeros((2, 3, 1)), "y": [0.5]}, "classify"),
        ("d.ts", TS + "1:2:left\n", "classify"),
        ("d.conllu", CONLLU.replace("VERB", "_"), "tag"),
        ("d.txt", "The\tDET\ncat\tNOUN\n", "tag"),
        ("d.txt", "good\tx\n", "regress"),
    ],
)
def test_what_stands_for_labels_does_not_matter_where_none_are_needed(name, content, purpose, put):
    data = read(put(name, content), purpose, needs_label=False)
    assert data.y is None and len(data) >= 1 and "\n  label" not in data.account()


def test_other_orders_of_bytes_and_kinds_of_numbers(put):
    x = np.arange(12.0).reshape(2, 3, 2)
    for kind in (">f4", "<f2", "i8", "u1", ">i2"):
        data = read(put("d.npz", {"X": np.asfortranarray(x).astype(kind), "y": [1, 0]}), "classify")
        assert plain(data.X) == x.tolist()


def test_a_byte_order_mark_is_dropped_with_a_notice(put):
    with pytest.warns(UserWarning, match=r"^d.csv: the byte order mark at its beginning was dropped$"):
        assert read(put("d.csv", "\ufeff" + LONG), "classify").columns.id == "id"


def test_one_answer_alone_is_known(put):
    assert read(put("d.csv", "x,label\n1,a\n2,a\n"), "classify").constant == "a"
    assert read("d.csv", "classify", needs_label=False).constant is None
    assert read(put("d.csv", "x,y\n1,5\n2,5\n"), "regress").constant == "5.0"
    assert read(put("d.csv", LONG), "classify").constant is None
