"""Train, predict and evaluate on files, as a newcomer types it; and what the commands say to what they cannot use."""

import csv
import io
import json
import os
import pty
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

from elman.cli.main import main
from elman.readers import read
from elman.tasks import LanguageModel, SequenceClassifier, load
from elman.tasks.rehearsal import rehearse

SMALL = ["--hidden", "8", "--epochs", "3", "--seed", "0"]
WORDS = [*SMALL, "--embedding", "8", "--layers", "1"]
RNG = np.random.default_rng(5)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def series(n=20):
    """Give sequences of two channels and their labels."""
    labels = ["rise", "fall"] * (n // 2)
    lengths = RNG.integers(3, 8, n)
    return [
        np.stack([np.arange(length) * (1 if label == "rise" else -1), np.ones(length)], 1)
        + RNG.normal(0, 0.1, (length, 2))
        for length, label in zip(lengths, labels, strict=True)
    ], labels


def write(name):
    """Write the same data in a format; return the name of what is the same without labels, and the task."""
    X, labels = series()
    rows = [(k, t, *x) for k, part in enumerate(X) for t, x in enumerate(part)]
    texts = [f"a {'good' if label == 'rise' else 'bad'} film" for label in labels]
    if name == "long.csv":
        for file, labelled in ((name, True), ("new.csv", False)):
            with open(file, "w") as out:
                out.write("id,time,a,b" + (",label" if labelled else "") + "\n")
                for k, t, a, b in rows:
                    out.write(f"{k},{t},{a},{b}" + (f",{labels[k]}" if labelled else "") + "\n")
    elif name == "wide.csv":
        for file, labelled in ((name, True), ("new.csv", False)):
            with open(file, "w") as out:
                out.write(",".join([f"t{k}" for k in range(8)] + ["class"] * labelled) + "\n")
                for x, label in zip(X, labels, strict=True):
                    cells = [f"{value:.4f}" for value in x[:, 0]] + [""] * (8 - len(x))
                    out.write(",".join(cells + [label] * labelled) + "\n")
    elif name == "lists.jsonl":
        for file, labelled in ((name, True), ("new.jsonl", False)):
            with open(file, "w") as out:
                for x, label in zip(X, labels, strict=True):
                    out.write(json.dumps({"x": x.tolist()} | ({"label": label} if labelled else {})) + "\n")
    elif name == "arrays.npz":
        held = {"values": np.concatenate(X), "lengths": [len(x) for x in X]}
        np.savez(name, **held, y=np.array(labels))
        np.savez("new.npz", **held)
    elif name == "cases.ts":
        for file, labelled in ((name, True), ("new.ts", False)):
            with open(file, "w") as out:
                out.write(f"@classLabel {'true rise fall' if labelled else 'false'}\n@data\n")
                for x, label in zip(X, labels, strict=True):
                    case = ":".join(",".join(map(str, channel)) for channel in x.T)
                    out.write(case + (f":{label}" if labelled else "") + "\n")
    elif name == "texts":
        for k, (text, label) in enumerate(zip(texts, labels, strict=True)):
            for place in (f"texts/{label}", "new"):
                os.makedirs(place, exist_ok=True)
                with open(f"{place}/{k:02}.txt", "w") as out:
                    out.write(text)
        return "new"
    elif name == "lines.txt":
        with open(name, "w") as out, open("new.txt", "w") as new:
            for text, label in zip(texts, labels, strict=True):
                out.write(f"{text}\t{label}\n")
                new.write(text + "\n")
    elif name == "table.parquet":
        arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")

        columns = dict(zip(("id", "time", "a", "b"), map(list, zip(*rows, strict=True)), strict=True))
        parquet.write_table(arrow.table(columns), "new.parquet")
        parquet.write_table(arrow.table(columns | {"label": [labels[row[0]] for row in rows]}), name)
    return "new" + os.path.splitext(name)[1]


FILES = ["long.csv", "wide.csv", "lists.jsonl", "arrays.npz", "cases.ts", "texts", "lines.txt", "table.parquet"]


@pytest.mark.parametrize("name", FILES)
def test_train_predict_evaluate_and_load(name, folder, capsys):
    unlabelled = write(name)
    assert main(["train", "classify", name, *SMALL]) == 0
    out, err = capsys.readouterr()
    assert err.startswith(f"{name}: ") and "2 classes: fall (10), rise (10)" in err
    assert "2 of 20 sequences are kept back to judge the model by." in err
    assert re.search(r"^train loss \d\.\d{4} after 3 epochs in \d+\.\d s$", out, re.MULTILINE)
    assert re.search(r"^accuracy \d\.\d{4} on 2 sequences kept back$", out, re.MULTILINE)
    assert out.splitlines()[-1] == f"Saved model.elman. Next: elman predict model.elman {name}"

    assert main(["predict", "model.elman", unlabelled]) == 0
    out, err = capsys.readouterr()
    answers = [row["prediction"] for row in csv.DictReader(io.StringIO(out))]
    assert err.startswith(f"{unlabelled}: ") and "20 sequences" in err
    model = load("model.elman")
    data = read(name, "classify", columns=None)
    expected = model.predict(data.X).tolist()
    assert answers == expected or (
        name == "texts" and sorted(answers) == sorted(expected)
    )  # in the order of their files
    assert main(["predict", "model.elman", name, "-q"]) == 0  # the label is no feature
    out, err = capsys.readouterr()
    assert [row["prediction"] for row in csv.DictReader(io.StringIO(out))] == expected and err == ""

    assert main(["evaluate", "model.elman", name, "--json"]) == 0
    out, err = capsys.readouterr()
    figures = json.loads(out)
    assert figures["accuracy"] == pytest.approx(model.score(data.X, data.y)) and figures["count"] == 20
    assert err == ""


def test_regress(folder, capsys):
    X, _ = series()
    with open("d.jsonl", "w") as out:
        for x in X:
            out.write(json.dumps({"x": x.tolist(), "target": float(x[-1, 0])}) + "\n")
    assert main(["train", "regress", "d.jsonl", *SMALL, "-o", "r.elman"]) == 0
    out, err = capsys.readouterr()
    assert "label      column 'target': numbers from " in err
    assert re.search(r"^R² -?\d\.\d{4}, mean absolute error \d", out, re.MULTILINE)
    assert main(["evaluate", "r.elman", "d.jsonl", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    data = read("d.jsonl", "regress")
    errors = load("r.elman").predict(data.X) - data.y
    assert figures["mae"] == pytest.approx(np.abs(errors).mean())
    assert figures["rmse"] == pytest.approx(np.sqrt((errors**2).mean()))
    assert main(["evaluate", "r.elman", "d.jsonl"]) == 0
    assert "root mean squared error" in capsys.readouterr().out
    assert main(["predict", "r.elman", "d.jsonl", "--proba"]) == 2
    assert "--proba: a number has no probabilities" in capsys.readouterr().err


CONLLU = "".join(
    "".join(f"{k + 1}\t{word}\t_\t{tag}\t_\t_\t_\t_\t_\t_\n" for k, (word, tag) in enumerate(sentence)) + "\n"
    for sentence in [[("The", "DET"), ("cat", "NOUN"), ("slept", "VERB")], [("Dogs", "NOUN"), ("barked", "VERB")]] * 6
)


@pytest.fixture
def tagger(folder, capsys):
    (folder / "d.conllu").write_text(CONLLU)
    assert main(["train", "tag", "d.conllu", *WORDS, "--epochs", "12", "-q"]) == 0
    assert re.search(r"^accuracy 1\.0000 on 1 sequence kept back$", capsys.readouterr().out, re.MULTILINE)
    return folder / "model.elman"


def test_tag(tagger, folder, capsys):
    (folder / "new.txt").write_text("The dogs slept.\n\nCats barked\n")
    assert main(["predict", "model.elman", "new.txt", "-q"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.replace("/", " ").split()[::2] for line in lines] == [
        ["The", "dogs", "slept", "."],
        ["Cats", "barked"],
    ]
    assert main(["predict", "model.elman", "new.txt", "--as", "csv", "--proba", "-q"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "1", "2"]
    assert sum(float(rows[0][f"p({tag})"]) for tag in ("DET", "NOUN", "VERB")) == pytest.approx(1)
    assert main(["predict", "model.elman", "new.txt", "-o", "out.jsonl", "--proba"]) == 0
    assert capsys.readouterr().err.endswith("Saved out.jsonl.\n")
    first = json.loads((folder / "out.jsonl").read_text().splitlines()[0])
    assert first["words"] == ["The", "dogs", "slept", "."] and len(first["labels"]) == len(first["probabilities"]) == 4
    assert main(["evaluate", "model.elman", "d.conllu"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^accuracy 1\.0000, 100\.0% of sequences without a fault on 30 steps$", out, re.MULTILINE)
    assert "DET" in out and "precision" in out


def test_a_tagged_sentence_is_coloured_on_a_terminal_only(tagger, capsys):
    leader, follower = pty.openpty()
    words = [sys.executable, "-m", "elman", "predict", str(tagger), "-", "-q"]
    environment = {**os.environ, "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    subprocess.run(words, input=b"The cat\n", stdout=follower, env=environment, timeout=60, check=True)
    os.close(follower)
    assert os.read(leader, 9999).decode() == "The\x1b[34m/DET\x1b[0m cat\x1b[33m/NOUN\x1b[0m\r\n"
    os.close(leader)
    piped = subprocess.run(words, input=b"The cat\n", capture_output=True, env=environment, timeout=60, check=True)
    assert piped.stdout == b"The/DET cat/NOUN\n"


def test_a_test_file_judges_and_all_of_the_data_is_learned(folder, capsys):
    write("long.csv")
    os.rename("long.csv", "train.csv")
    write("long.csv")
    words = ["train", "classify", "train.csv", "--test", "long.csv", "--json", "--class-weight", "balanced", *SMALL]
    assert main(words) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["sequences"] == 20 and figures["test_count"] == 20 and 0 <= figures["test_accuracy"] <= 1
    assert figures["columns"] == {"id": "id", "time": "time", "label": "label", "features": ["a", "b"], "form": "long"}
    held = load("model.elman")
    assert held.class_weight is None and held.training_["test_accuracy"] == figures["test_accuracy"]
    assert main(["info", "model.elman"]) == 0
    assert "id 'id', time 'time', label 'label', features 'a', 'b'" in " ".join(capsys.readouterr().out.split())


def test_columns_that_are_named_are_remembered(folder, capsys):
    write("long.csv")
    text = (folder / "long.csv").read_text().replace("id,time,a,b,label", "who,when,a,b,mood")
    (folder / "d.csv").write_text(text)
    assert main(["train", "classify", "d.csv", *SMALL, "--id", "who", "--time", "when", "--features", "a", "-q"]) == 2
    assert "Say which one it is: --label mood" in capsys.readouterr().err
    words = ["--id", "who", "--time", "when", "--features", "a", "--label", "mood", "-q"]
    assert main(["train", "classify", "d.csv", *SMALL, *words]) == 0
    assert main(["predict", "model.elman", "d.csv", "-q"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 20
    assert load("model.elman").n_features_in_ == 1
    (folder / "other.csv").write_text("who,when,b\n1,0,2\n")
    assert main(["predict", "model.elman", "other.csv"]) == 2
    assert "other.csv: there is no column 'a' for the features" in capsys.readouterr().err


def test_too_few_to_keep_some_back_and_none_asked_for(folder, capsys):
    (folder / "d.csv").write_text("x,label\n1,a\n2,b\n3,a\n")
    assert main(["train", "classify", "d.csv", *SMALL]) == 0
    out, err = capsys.readouterr()
    assert "Too few sequences to keep some back: 3." in err and "kept back" not in out
    write("long.csv")
    assert main(["train", "classify", "long.csv", *SMALL, "--val-split", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sequences"] == 20


def test_a_single_label_is_told_and_learned(folder, capsys):
    (folder / "d.csv").write_text("x,label\n" + "1,a\n2,a\n" * 6)
    assert main(["train", "classify", "d.csv", *SMALL]) == 0
    out, err = capsys.readouterr()
    assert "All labels are a, so the model will say nothing else." in err and "nan" not in out
    assert main(["predict", "model.elman", "d.csv", "-q"]) == 0
    assert set(capsys.readouterr().out.splitlines()[1:]) == {f"{line},a" for line in range(2, 14)}


def test_labels_that_only_look_like_numbers_in_one_file(folder, capsys):
    (folder / "d.csv").write_text("x,label\n" + "1,1\n9,2\n5,x\n" * 4)
    (folder / "e.csv").write_text("x,label\n1,1\n9,2\n")
    assert (
        main(["train", "classify", "d.csv", "--hidden", "8", "--epochs", "40", "--seed", "0", "--val-split", "0"]) == 0
    )
    capsys.readouterr()
    assert main(["evaluate", "model.elman", "e.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == 1.0


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    places = tmp_path_factory.mktemp("models")
    text = LanguageModel(layers=1, hidden=4, batch=2, steps=5, epochs=1, verbose=0).fit("to be or not to be " * 5)
    text.save(places / "text.elman")
    X, labels = series(8)
    SequenceClassifier(hidden=4, epochs=1, verbose=0).fit(X, labels).save(places / "c.elman")
    return places


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["train", "classify", "none.csv"], 2, "none.csv: no such file or directory"),
        (["train", "classify", "d.csv", "--val-split", "1"], 2, "--val-split: it is out of range"),
        (["train", "classify", "d.csv", "-o", "d.csv"], 2, "the model would replace the data it is trained on"),
        (["train", "classify", "d.csv", "--hidden", "0"], 2, "hidden is not accepted, expected int >= 1, got 0"),
        (["train", "classify", "d.csv", "--class-weight", "equal"], 2, "class_weight is not accepted"),
        (["train", "classify", "d.csv", "--test", "none.csv"], 2, "none.csv: no such file"),
        (["train", "classify", "d.csv", "--test", "other.csv"], 2, "other.csv: there is no column 'x'"),
        (["train", "regress", "d.csv"], 3, "d.csv, line 2: column 'label' holds no number, got 'a'."),
        (["train", "classify", "gap.csv"], 3, "gap.csv, line 3: a value of column 'x' is missing"),
        (["train", "classify", "large.csv"], 3, "large.csv, line 2: a number of column 'x' is too large for float32"),
        (["predict", "none.elman", "d.csv"], 2, "there is no such file"),
        (["predict", "d.csv", "d.csv"], 4, "d.csv"),
        (["predict", "{m}/text.elman", "d.csv"], 2, "this model answers nothing about sequences"),
        (["predict", "{m}/c.elman", "d.csv"], 3, "X has 1 features, but SequenceClassifier is expecting 2 features"),
        (["predict", "{m}/c.elman", "d.csv", "--as", "xml"], 2, "--as: there is no such form"),
        (["predict", "{m}/c.elman", "d.csv", "--as", "text"], 2, "--as text: these are no words with labels"),
        (["predict", "{m}/c.elman", "d.csv", "-o", "d.csv"], 2, "answers would replace d.csv"),
        (["predict", "{m}/c.elman", "d.csv", "-o", "{m}/c.elman"], 2, "answers would replace "),
        (["predict", "{m}/c.elman", "d.csv", "-o", "none/a.csv"], 2, "none/a.csv"),
        (["evaluate", "{m}/c.elman", "bare.csv"], 2, "no column is known to be the label"),
        (["evaluate", "{m}/text.elman", "none.txt"], 2, "no such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_used(words, code, message, folder, models, capsys):
    for name, text in (
        ("d.csv", "x,label\n1,a\n2,b\n"),
        ("other.csv", "z,label\n1,a\n"),
        ("gap.csv", "x,z,label\n1,1,a\n,2,b\n3,1,a\n"),
        ("large.csv", "x,label\n1e300,a\n1,b\n"),
        ("bare.csv", "x,z\n1,2\n"),
    ):
        (folder / name).write_text(text)
    before = sorted(os.listdir())
    assert main([word.format(m=models) for word in words]) == code
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    last = err.splitlines()[-1]
    assert last.startswith("error: ") and message in last
    assert sorted(os.listdir()) == before


def test_a_regressor_has_no_weights_of_classes(folder, capsys):
    assert main(["train", "regress", "long.csv", "--class-weight", "balanced"]) == 2
    assert "No such option: --class-weight" in capsys.readouterr().err


def test_an_interrupted_training_keeps_its_work(folder):
    write("long.csv")
    words = [sys.executable, "-m", "elman", "train", "classify", "long.csv", "--epochs", "100000", "--hidden", "8"]
    running = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in running.stderr:
        if line.startswith("epoch"):
            break
    running.send_signal(2)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "model.elman holds the model as" in err and "Next: elman predict model.elman long.csv" in err
    assert main(["predict", "model.elman", "long.csv", "-q"]) == 0


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["classify", "long.csv"], ["bidirectional (Bidirectional(GRU))", "time    about", "3 epochs × 3 batches × "]),
        (["classify", "lines.txt"], ["word_encoder (WordEncoder)", "memory  "]),
        (["text", "lines.txt"], ["lstm (LSTM)"]),
    ],
    ids=" ".join,
)
def test_dry_run_says_what_a_training_will_be_and_writes_nothing(words, shown, folder, capsys):
    write(words[1])
    before = sorted(os.listdir())
    assert main(["train", *words, *SMALL, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert [part for part in shown if part not in out] == []
    assert out.splitlines()[-1] == "Nothing was trained and nothing saved. Leave out --dry-run to train."
    assert sorted(os.listdir()) == before
    assert main(["train", *words, *SMALL, "--dry-run", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["seconds"] == pytest.approx(3 * figures["batches"] * figures["batch_seconds"])
    assert main(["train", *words, *SMALL, "-q"]) == 0
    model = load("model.elman").model_
    assert figures["parameters"] == sum(array.size for array in model.named_weights().values())


def test_a_rehearsal_leaves_the_task_as_it_is():
    X, labels = series()
    model = SequenceClassifier(hidden=8, epochs=500, verbose=0)
    rehearsal = rehearse(model, X, labels)
    assert not hasattr(model, "model_") and rehearsal.measured < 500 * rehearsal.batches
    # Three layers over 8 steps and two rows per sequence: kilobytes, neither bytes nor megabytes.
    assert 1e3 < rehearsal.batch_bytes < 1e6


def test_labels_that_were_never_seen_count_as_wrong_and_unknown_characters_are_read(folder, capsys):
    (folder / "d.txt").write_text("ab\tx\ncd\ty\n" * 6)
    words = ["train", "classify", "d.txt", "--hidden", "8", "--epochs", "30", "--seed", "0", "--val-split", "0"]
    assert main(words) == 0
    (folder / "e.txt").write_text("ab\tx\n日cd\tz\n")
    capsys.readouterr()
    assert main(["evaluate", "model.elman", "e.txt", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["accuracy"] == 0.5 and [one["label"] for one in figures["classes"]] == ["x", "y", "z"]
    assert figures["confusions"] == [["z", "y", 1]]


def test_names_of_any_kind_can_be_typed_again(folder, capsys):
    write("long.csv")
    name = "日 daten's 👩‍👩‍👧.csv"
    os.rename("long.csv", name)
    assert main(["train", "classify", name, *SMALL, "-q", "-o", "m 1.elman"]) == 0
    following = capsys.readouterr().out.splitlines()[-1].partition("Next: ")[2]
    assert shlex.split(following) == ["elman", "predict", "m 1.elman", name]
    assert main(shlex.split(following)[1:]) == 0


def test_answers_of_any_script_come_back_whole(folder, capsys):
    (folder / "d.txt").write_text("👩‍👩‍👧 yes\t好\nno way\t坏\n" * 4)
    assert main(["train", "classify", "d.txt", *SMALL, "-q"]) == 0
    assert main(["predict", "model.elman", "d.txt", "-o", "out.jsonl", "--proba", "-q"]) == 0
    first = json.loads((folder / "out.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first["prediction"] in ("好", "坏") and sum(first["probabilities"].values()) == pytest.approx(1)
    assert "好" in (folder / "out.jsonl").read_text(encoding="utf-8")


def test_columns_count_for_files_like_those_of_the_training_only(folder, capsys):
    write("long.csv")
    write("arrays.npz")
    write("lists.jsonl")
    assert main(["train", "classify", "long.csv", *SMALL, "-q"]) == 0
    assert main(["predict", "model.elman", "arrays.npz", "-q"]) == 0  # it has no columns 'a' and 'b'
    assert main(["train", "classify", "lists.jsonl", *SMALL, "-q"]) == 0
    words = ["--id", "id", "--features", "a", "--features", "b", "-q"]
    assert main(["predict", "model.elman", "long.csv", *words]) == 0  # long form, where lists were wide
    assert capsys.readouterr().out.count("\nid,prediction\n") == 2


def test_the_column_of_a_treebank_is_remembered(tagger, folder, capsys):
    text = CONLLU
    for upos, xpos in (("DET", "dt"), ("NOUN", "nn"), ("VERB", "vb")):
        text = text.replace(f"\t{upos}\t_", f"\t_\t{xpos}")
    (folder / "x.conllu").write_text(text)
    assert main(["train", "tag", "x.conllu", "--label", "xpos", *WORDS, "-q"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "model.elman", "x.conllu", "--json"]) == 0
    assert [one["label"] for one in json.loads(capsys.readouterr().out)["classes"]] == ["dt", "nn", "vb"]
