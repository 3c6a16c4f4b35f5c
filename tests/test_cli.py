"""The command line: what it prints where, and with which exit code it ends."""

import errno
import io
import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

from elman.cli.main import main
from elman.errors import SaveError
from elman.tasks import LanguageModel, SequenceClassifier, SequenceRegressor, SequenceTagger, load

TEXT = "To be, or not to be: that is the question.\n" * 30
TINY = ["--layers", "1", "--hidden", "12", "--batch", "4", "--steps", "10", "--seed", "0"]
ELMAN = [sys.executable, "-m", "elman"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "m.elman"
    LanguageModel(layers=1, hidden=12, batch=4, steps=10, epochs=2, random_state=0, verbose=0).fit(TEXT).save(path)
    return path


@pytest.fixture
def text_file(tmp_path):
    path = tmp_path / "a text.txt"
    path.write_text(TEXT)
    return path


def elman(*words, **options):
    return subprocess.run([*ELMAN, *map(str, words)], capture_output=True, timeout=120, **options)


# Help and usage ---------------------------------------------------------------------------------------------------


def test_help_names_all_commands_and_needs_no_numpy():
    code = "import sys; from elman.cli.main import main; main(['--help']); sys.exit('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for name in ("train", "tune", "predict", "sample", "stream", "evaluate", "info", "quantize", "add", "demo"):
        assert re.search(rf"\b{name}\b", done.stdout)


def test_help_is_quick():
    def seconds():
        began = time.perf_counter()
        elman("--help")
        return time.perf_counter() - began

    # The bar is 0.4 s; the best of several runs, because other work may share the machine.
    assert min(seconds() for _ in range(5)) < 0.4


def test_no_words_at_all_show_the_help(capsys):
    assert main([]) == 0
    assert "demo" in capsys.readouterr().out


def test_version(capsys):
    import elman as package

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"elman {package.__version__}\n"


def test_flags_of_train_text_are_the_constructors(capsys):
    assert main(["train", "text", "--help"]) == 0
    shown = capsys.readouterr().out
    for name in LanguageModel().get_params():
        flag = {"random_state": "--seed", "verbose": "--quiet"}.get(name, "--" + name.replace("_", "-"))
        assert flag in shown, flag
    assert "rnn, lstm or gru." in shown and "Units of each layer." in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dance"], "No such command 'dance'"),
        (["train"], "Missing command"),
        (["train", "poem", "x"], "No such command 'poem'"),
        (["train", "text"], "Missing argument 'FILE'"),
        (["train", "text", "{text}", "--hidden", "many"], "--hidden"),
        (["train", "text", "{text}", "--hidden", "0"], "hidden is not accepted, expected int >= 1, got 0"),
        (["train", "text", "{text}", "--cell", "transformer"], "expected one of rnn, lstm, gru"),
        (["train", "text", "{text}", "--encoding", "utf-9"], "unknown encoding 'utf-9'"),
        (
            ["train", "text", "{text}", "--units", "letters"],
            "units is not accepted, expected one of characters, bytes, words",
        ),
        (["train", "text", "{text}", "--units", "no.json"], "no.json: the tokenizer cannot be read: no such file"),
        (["train", "text", "{text}", "--preset", "better"], "preset is not accepted, expected one of 'quick', 'best'"),
        (["train", "text", "{text}", "--errors", "wrong"], "errors is not accepted"),
        (["train", "text", "{tmp}/none.txt"], "no such file"),
        (["train", "text", "{tmp}/empty"], "empty: the folder has no such files, expected .txt, got no files"),
        (["train", "text", "{text}", "--column", "text"], "this is neither a Parquet nor an Arrow file"),
        (["train", "text", "{text}", "--suffix", "txt"], "suffixes: this is no suffix, expected such as '.txt'"),
        (["train", "text", "{text}", "-o", "{tmp}/none/m.elman"], "m.elman"),
        (["train", "text", "{text}", "-o", "{tmp}"], "it is a folder"),
        (["train", "text", "{text}", "-o", "{text}"], "would replace the text it is trained on"),
        (["sample"], "Missing argument 'MODEL'"),
        (["sample", "{tmp}/none.elman"], "there is no such file"),
        (["sample", "{model}", "--length", "-1"], "length is out of range, expected an integer >= 0, got -1"),
        (["sample", "{model}", "--top-p", "1.5"], "top_p is out of range"),
        (["sample", "{model}", "--temperature", "-1"], "temperature is out of range"),
        (["sample", "{model}", "--greedy", "--top-k", "3"], "greedy takes no"),
        (["sample", "{model}", "--frobnicate"], "--frobnicate"),
        (["evaluate", "{model}", "{tmp}/none.txt"], "no such file"),
        (["info", "{tmp}/none.elman"], "there is no such file"),
        (["add", "1"], "it adds two numbers"),
        (["add", "1", "2", "3"], "it adds two numbers"),
        (["add", "one", "2"], "[A B]"),
        (["add", "1", "2", "--seed", "-5"], "random_state is not accepted"),
        (["demo", "--seconds", "0", "-o", "{tmp}/demo"], "seconds is out of range"),
        (["add", "1", "2", "-m", "{model}"], "this is no addition, got LanguageModel"),
        (["train", "text", "{text}", "--threads", "0"], "set_threads: "),
        (["train", "text", "{text}", "--threads", "9" * 20], "set_threads: "),
        (["train", "text", "{text}", "-o", "-"], "the model cannot go to standard output"),
        (["train", "text", "{text}", "-o", "{tmp}/" + "m" * 300], "File name too long"),
        (["train", "text", "{tmp}/" + "m" * 300], "file name too long"),
        (["sample", "{tmp}/" + "m" * 300], "file name too long"),
        (["add", "-o", "-"], "the model cannot go to standard output"),
        (["add", "1", "2", "-o", "{tmp}/none/m.elman"], "m.elman"),
        (["demo", "-o", "{text}"], "demo: --output is not a folder"),
        (["demo", "-o", "{text}/sub"], "demo: the folder cannot be made"),
        (["demo", "-o", "-"], "a folder, not standard output"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_usage_errors(words, message, trained, text_file, tmp_path, capsys):
    places = {"text": text_file, "tmp": tmp_path, "model": trained}
    (tmp_path / "empty").mkdir()
    assert main([word.format(**places) for word in words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    assert err.startswith("error: ") and message in err
    assert not list(tmp_path.glob("*.elman"))
    assert text_file.read_text() == TEXT


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"", [], "the text is empty"),
        (b"a", [], "the text has 1 characters"),
        (b"caf\xe9 noir, " * 40, [], "byte 0xe9 at offset 3 is not UTF-8"),
        (b"caf\xe9", [], "--encoding"),
        (b"caf-!!!", ["--encoding", "punycode"], "it is not punycode"),
        ("unicode".encode("utf-16"), [], "--encoding utf-16"),
    ],
)
def test_bad_data(content, options, message, tmp_path, capsys):
    path = tmp_path / "t.txt"
    path.write_bytes(content)
    assert main(["train", "text", str(path), "-o", str(tmp_path / "m.elman"), *TINY, *options]) == 3
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err
    assert not (tmp_path / "m.elman").exists()


@pytest.mark.parametrize("content", [b"", b"1234567", b"\x80\x04pickle", b"\xff" * 100])
@pytest.mark.parametrize("command", ["sample", "info"])
def test_bad_model_files(content, command, tmp_path, capsys):
    path = tmp_path / "m.elman"
    path.write_bytes(content)
    assert main([command, str(path)]) == 4
    err = capsys.readouterr().err
    assert err.startswith("error: ") and str(path) in err and "Traceback" not in err


def test_a_disk_that_cannot_read_is_told_with_the_name(text_file, tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    class Broken(io.FileIO):
        read = fail

    monkeypatch.setattr("builtins.open", lambda *_: Broken(text_file))
    assert main(["train", "text", str(text_file), "-o", str(tmp_path / "m.elman")]) == 6
    assert capsys.readouterr().err == f"error: {text_file}: Input/output error\n"


def test_a_model_that_cannot_be_saved_is_told_with_what_its_file_holds(text_file, tmp_path, monkeypatch, capsys):
    model, epochs = tmp_path / "m.elman", []
    save = LanguageModel.save

    def fill_the_disk(self, path):
        epochs.append(path)
        if len(epochs) > 1:
            raise SaveError("saving: no room.")
        save(self, path)

    monkeypatch.setattr(LanguageModel, "save", fill_the_disk)
    assert main(["train", "text", str(text_file), "-o", str(model), "--epochs", "3", "-q", *TINY]) == 6
    told = f"{model} holds the model as it was after epoch 1.\nerror: saving: no room.\n"
    assert capsys.readouterr().err.endswith(told)


def test_debug_shows_the_traceback(tmp_path, capsys):
    assert main(["info", str(tmp_path / "none"), "--debug"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err and "MissingFileError" in err


def test_an_error_of_ours_is_called_one(trained, monkeypatch, capsys):
    monkeypatch.setattr(LanguageModel, "sample", lambda *_, **__: 1 / 0)
    assert main(["sample", str(trained)]) == 1
    err = capsys.readouterr().err
    assert "internal error: ZeroDivisionError" in err and "--debug" in err and "Traceback" not in err


def test_out_of_memory(trained, monkeypatch, capsys):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(LanguageModel, "sample", fail)
    assert main(["sample", str(trained)]) == 6
    assert "not enough memory" in capsys.readouterr().err


# Train, sample, evaluate, info -------------------------------------------------------------------------------------


def test_train_then_sample_then_evaluate(text_file, tmp_path, capsys):
    model = tmp_path / "m.elman"
    assert main(["train", "text", str(text_file), str(text_file), "-o", str(model), "--epochs", "3", *TINY]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == f"Saved {model}. Next: elman sample {model}"
    assert re.search(r"^train \d\.\d{4}, validation \d\.\d{4} nats per character after 3 epochs in ", out, re.MULTILINE)
    assert "epoch 3/3" in err and "val_loss" in err
    assert load(model).training_["characters"] == 2 * len(TEXT)

    assert main(["sample", str(model), "--prime", "To be", "--length", "40", "--seed", "1"]) == 0
    first = capsys.readouterr().out
    assert first.startswith("To be") and len(first) == 45
    assert main(["sample", str(model), "--prime", "To be", "--length", "40", "--seed", "1"]) == 0
    assert capsys.readouterr().out == first

    assert main(["evaluate", str(model), str(text_file), "--json"]) == 0
    score = json.loads(capsys.readouterr().out)
    assert score == load(model).score(TEXT)
    assert score.keys() >= {"nats_per_char", "bits_per_char", "perplexity", "count"}
    assert main(["evaluate", str(model), str(text_file)]) == 0
    assert f"{score['nats_per_char']:.4f} nats per character" in capsys.readouterr().out


def test_json_alone_on_standard_output(text_file, tmp_path, capsys):
    model = tmp_path / "m.elman"
    assert main(["train", "text", str(text_file), "-o", str(model), "--epochs", "1", "--json", *TINY]) == 0
    out, err = capsys.readouterr()
    figures = json.loads(out)
    assert figures["model"] == str(model) and figures["epochs"] == 1 and figures["val_loss"] > 0
    assert "epoch 1/1" in err


def test_quiet_trains_in_silence(text_file, tmp_path, capsys):
    assert (
        main(
            ["train", "text", str(text_file), "-o", str(tmp_path / "m"), "--epochs", "1", "-q", *TINY, "--batch", "500"]
        )
        == 0
    )
    assert capsys.readouterr().err == ""


def test_notes_are_one_line_each(tmp_path, capsys):
    path = tmp_path / "thirty.txt"
    path.write_bytes(b"\xef\xbb\xbfthirty characters, not one mor")
    words = ["train", "text", str(path), "-o", str(tmp_path / "m.elman"), "--epochs", "1", "--hidden", "8"]
    assert main([*words, "--batch", "50", "--steps", "50"]) == 0
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note:")]
    assert len(notes) == 2
    assert all(re.match(r"note: \S+: ", note) for note in notes)
    assert "byte order mark" in notes[0] and "steps from 50 to 26" in notes[1]


@pytest.mark.parametrize("units", ["bytes", "words"])
def test_other_units_go_all_the_way(units, text_file, tmp_path, capsys):
    model, one = tmp_path / "m.elman", units[:-1]
    words = [
        "train",
        "text",
        str(text_file),
        "-o",
        str(model),
        "--units",
        units,
        "--tie-weights",
        "--epochs",
        "2",
        *TINY,
    ]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert f"nats per {one} after 2 epochs" in out and f"{units}/s" in err
    assert main(["info", str(model)]) == 0
    assert {"bytes": "the bytes of UTF-8", "words": "words and <unk>: "}[units] in capsys.readouterr().out
    assert main(["evaluate", str(model), str(text_file), "--per-token"]) == 0
    lines = capsys.readouterr().out.splitlines()
    pieces = [line.split("\t") for line in lines if "\t" in line]
    assert f"over {len(pieces):,} {units}" in lines[-1] and float(pieces[0][0]) > 0
    assert lines[-3].endswith(f" nats per {one}") and " nats per character, " in lines[-2]
    assert main(["sample", str(model), "--length", "9", "--beam", "3"]) == 0
    beam = capsys.readouterr().out
    assert main(["sample", str(model), "--length", "9", "--beam", "3", "--seed", "5"]) == 0
    assert capsys.readouterr().out == beam
    wild = [
        "sample",
        str(model),
        "--length",
        "9",
        "--temperature",
        "2",
        "--min-p",
        "0.1",
        "--repetition-penalty",
        "1.3",
    ]
    assert main(wild) == 0


def test_standard_input_is_a_file(tmp_path, trained):
    model = tmp_path / "m.elman"
    done = elman("train", "text", "-", "-o", model, "--epochs", "1", "-q", *TINY, input=TEXT.encode())
    assert done.returncode == 0, done.stderr
    done = elman("evaluate", model, "-", "--json", input=TEXT.encode())
    assert json.loads(done.stdout)["count"] == len(TEXT) - 1


def test_other_encodings(tmp_path, capsys):
    path, model = tmp_path / "t.txt", tmp_path / "m.elman"
    path.write_bytes(("Grüße aus Köln.\r\n" * 40).encode("latin-1"))
    words = ["train", "text", str(path), "-o", str(model), "--epochs", "1", "-q", *TINY, "--encoding", "latin-1"]
    assert main(words) == 0
    assert {"ü", "ß", "\r", "\n"} <= set(load(model).vocabulary_.symbols)


def test_unseen_characters_in_the_prime(trained, capsys):
    assert main(["sample", str(trained), "--prime", "To 世"]) == 3
    out, err = capsys.readouterr()
    assert out == "" and "U+4E16 (世) at index 3" in err


def test_unseen_characters_are_counted_by_evaluate(trained, tmp_path, capsys):
    path = tmp_path / "t.txt"
    path.write_text("To be 世界", encoding="utf-8")
    assert main(["evaluate", str(trained), str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unseen"] == 2


def test_sample_as_json(trained, capsys):
    assert main(["sample", str(trained), "--prime", "To", "--length", "9", "--json", "--greedy"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["prime"] == "To" and len(data["text"]) == 9


@pytest.mark.parametrize(
    ("kind", "data", "shown"),
    [
        (SequenceClassifier, (np.ones((4, 3)), [1, 2, 1, 2]), ["1 numbers per step, tables of 3 steps", "2: 1, 2"]),
        (SequenceRegressor, (["ab", "b"], [[1, 2], [3, 4]]), ["2 characters and <unk>: ab", "answers 2 numbers"]),
        (SequenceTagger, ([["a", "a"]], [["x", "y"]]), ["words by 1 words", "2: x, y"]),
    ],
)
def test_info_of_estimators(kind, data, shown, tmp_path, capsys):
    kind(hidden=4, epochs=1, verbose=0).fit(*data).save(tmp_path / "m.elman")
    assert main(["info", str(tmp_path / "m.elman")]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert [part for part in shown if part not in told] == []


def test_info(trained, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["info", str(trained)]) == 0
    shown = capsys.readouterr().out
    for part in ("language model", "lstm", "dense", "parameters", "characters", r"\n", "val loss"):
        assert part in shown, part
    assert max(map(len, shown.splitlines())) <= 80
    assert main(["info", str(trained), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    model = load(trained)
    assert facts["task"] == "language_model"
    assert facts["parameters"] == sum(w.size for w in model.model_.named_weights().values())
    assert facts["vocabulary"]["symbols"] == model.vocabulary_.symbols
    assert [layer["name"] for layer in facts["layers"]] == ["embedding", "lstm", "dense"]


def test_divergence_has_its_exit_code(text_file, tmp_path, capsys):
    model = tmp_path / "m.elman"
    words = ["train", "text", str(text_file), "-o", str(model), *TINY, "--lr", "1e38"]
    assert main(words) == 5
    err = capsys.readouterr().err
    assert "error: fit: " in err and f"{model} was not written" in err and "Traceback" not in err
    assert not model.exists()


# Signals, pipes, terminals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_first_signal_saves_and_stops(number, code, text_file, tmp_path):
    model = tmp_path / "m.elman"
    words = ["train", "text", str(text_file), "-o", str(model), "--epochs", "100000", *TINY]
    process = subprocess.Popen([*ELMAN, *words], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not model.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == code, err
    assert out == "" and "Traceback" not in err
    assert re.search(r"Stopped in epoch \d+ of 100000\. .* holds the model as it is now\.\nNext: elman sample ", err)
    assert "".join(load(model).sample(5, random_state=0))


def test_a_reader_that_leaves_ends_it_quietly(trained):
    process = subprocess.Popen(
        [*ELMAN, "sample", str(trained), "--length", "1000000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert len(process.stdout.read(100)) == 100
    process.stdout.close()
    assert process.wait(timeout=60) == 128 + signal.SIGPIPE
    assert process.stderr.read() == b""
    process.stderr.close()


@pytest.mark.parametrize("words", [["info", "{model}"], ["--help"], ["info", "--help"], ["--version"]])
def test_a_reader_that_is_gone_at_once_is_no_error(words, trained):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*ELMAN, *(word.format(model=trained) for word in words)], stdout=write, stderr=subprocess.PIPE, timeout=60
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_a_reader_of_the_log_that_leaves_does_not_stop_the_training(text_file, tmp_path):
    model = tmp_path / "m.elman"
    words = ["train", "text", str(text_file), "-o", str(model), "--epochs", "3", *TINY, "--batch", "500"]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*ELMAN, *words], stderr=write, stdout=subprocess.PIPE, timeout=60)
    os.close(write)
    assert done.returncode == 0 and b"Saved" in done.stdout
    assert load(model).training_["epochs"] == 3


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_standard_streams(closed, text_file, tmp_path):
    def run(*words):
        line = " ".join(shlex.quote(word) for word in [*ELMAN, *map(str, words)])
        return subprocess.run(["sh", "-c", f"{line} {closed}"], capture_output=True, timeout=60)

    done = run("train", "text", text_file, "-o", tmp_path / "m.elman", "--epochs", "1", *TINY)
    assert done.returncode == 0 and b"Traceback" not in done.stderr
    for words in (["info", tmp_path / "m.elman"], ["sample", tmp_path / "m.elman", "--length", "9"], ["--help"]):
        done = run(*words)
        assert done.returncode == 0 and b"Traceback" not in done.stderr
    assert run("info", tmp_path / "none").returncode == 2
    assert load(tmp_path / "m.elman").training_["epochs"] == 1


def test_a_closed_standard_input_is_no_text(tmp_path):
    line = " ".join([*ELMAN, "train", "text", "-", "-o", str(tmp_path / "m.elman"), "<&-"])
    done = subprocess.run(["sh", "-c", line], capture_output=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: standard input: it is closed")


@pytest.mark.parametrize("options", [[], ["--json"], ["-q"]])
def test_names_that_are_no_utf8(options, text_file, tmp_path):
    model = os.fsencode(tmp_path) + b"/m\xff.elman"
    words = [sys.executable, "-m", "elman", "train", "text", str(text_file), "-o", model, "--epochs", "1", *TINY]
    done = subprocess.run([*words, *options], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert rb"m\udcff.elman" in done.stdout
    done = subprocess.run([*ELMAN, "info", model], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([*ELMAN, "info", model + b"no"], capture_output=True, timeout=60)
    assert done.returncode == 2 and rb"m\udcff.elmanno" in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("words", [["sample", "{model}"], ["--version"]])
def test_a_full_disk_is_told(words, trained):
    words = [word.format(model=trained) for word in words]
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*ELMAN, *words], stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 6
    assert done.stderr == b"error: output: No space left on device\n"


def test_any_script_in_any_locale(tmp_path, capsys):
    path, model = tmp_path / "t.txt", tmp_path / "m.elman"
    path.write_text("床前明月光,疑是地上霜。👩‍👩‍👧" * 20, encoding="utf-8")
    assert main(["train", "text", str(path), "-o", str(model), "--epochs", "1", "-q", *TINY]) == 0
    done = elman(
        "sample",
        model,
        "--prime",
        "床前",
        "--length",
        "20",
        env=os.environ | {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode("utf-8").startswith("床前")


def on_a_terminal(words, **environment):
    """Run elman on a pseudo-terminal of 80 columns; return all it shows and its exit code."""
    master, slave = pty.openpty()
    env = (
        {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        | {"TERM": "xterm-256color", "COLUMNS": "80"}
        | environment
    )
    process = subprocess.Popen([*ELMAN, *map(str, words)], stdin=slave, stdout=slave, stderr=slave, env=env)
    os.close(slave)
    shown = b""
    try:
        while select.select([master], [], [], 60)[0]:
            part = os.read(master, 65536)
            shown += part
            if not part:
                break
    except OSError:  # Linux: the other side is closed
        pass
    finally:
        os.close(master)
    return shown.decode(), process.wait(timeout=60)


def test_colour_on_a_terminal_only_and_not_with_no_color(tmp_path):
    words = ["info", tmp_path / "none"]
    assert "\x1b[" in on_a_terminal(words)[0]
    assert "\x1b[" not in on_a_terminal(words, NO_COLOR="1")[0]
    assert b"\x1b[" not in elman(*words).stderr


def test_a_terminal_gets_its_prompt_on_a_new_line(trained):
    shown, code = on_a_terminal(["sample", trained, "--length", "10", "--greedy", "--prime", "To be"])
    assert code == 0 and shown.endswith("\n") and shown.startswith("To be")


def test_control_characters_do_not_reach_a_terminal(tmp_path):
    model = LanguageModel(layers=1, hidden=8, batch=4, steps=10, epochs=1, random_state=0, verbose=0)
    model.fit("\x1b]0;owned\x07" * 60).save(tmp_path / "m.elman")
    words = ["sample", tmp_path / "m.elman", "--length", "200", "--seed", "1"]
    shown, code = on_a_terminal(words)
    assert code == 0 and "\x1b" not in shown and "\x07" not in shown and "\ufffd" in shown
    assert "\x1b" in elman(*words).stdout.decode()
    assert "\x1b]" not in on_a_terminal(["info", tmp_path / "m.elman"])[0]


def test_a_progress_bar_on_a_terminal(text_file, tmp_path):
    shown, code = on_a_terminal(["train", "text", text_file, "-o", tmp_path / "m.elman", "--epochs", "2", *TINY])
    assert code == 0
    assert "━" in shown and "epoch 2/2" in shown and "val_loss" in shown


# The adder and the demo --------------------------------------------------------------------------------------------


def test_add_is_the_lesson(tmp_path, capsys):
    assert main(["add", "-o", str(tmp_path / "adder.elman")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "16,384 of 16,384 sums right"
    assert [line for line in lines if "-bit numbers right" in line] == [
        f"10,000 of 10,000 random sums of {bits}-bit numbers right" for bits in (16, 32, 64)
    ]
    assert len([line for line in lines if line.startswith("example ")]) == 10
    assert re.fullmatch(r"  \d+ \+ \d+ = \d+", [line for line in lines if "+" in line][-1])

    assert main(["add", "123456789012345678901234567890", "1", "-m", str(tmp_path / "adder.elman")]) == 0
    assert capsys.readouterr().out == "123456789012345678901234567890 + 1 = 123456789012345678901234567891\n"


def test_add_two_numbers(capsys):
    assert main(["add", "3", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"a": 3, "b": 5, "answer": 8, "right": True}


def test_demo(tmp_path, capsys):
    folder = tmp_path / "out"
    assert main(["demo", "--seconds", "1", "-o", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert "16,384 of 16,384 sums right" in out
    assert "elman train text" in out.splitlines()[-1]
    assert (folder / "training-curve.png").read_bytes().startswith(b"\x89PNG")
    assert isinstance(load(folder / "pydoc.elman"), LanguageModel)
    assert load(folder / "adder.elman").add(1, 2) == 3
    assert "epoch 1/1" in err


@pytest.mark.parametrize(
    ("until", "told"),
    [
        ("example 1,000", "Stopped. Nothing was saved.\nFrom the beginning: elman demo -o {folder}\n"),
        (
            "losses in nats per character",
            "Stopped. Saved in {folder}: adder.elman, pydoc.elman.\n"
            "Next: elman sample {folder}/pydoc.elman\nFrom the beginning: elman demo -o {folder}\n",
        ),
    ],
)
def test_an_interrupted_demo_says_what_it_saved(until, told, tmp_path):
    folder = tmp_path / "out"
    process = subprocess.Popen(
        [*ELMAN, "demo", "--seconds", "60", "-o", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        while until not in (line := process.stdout.readline()):
            assert line, process.stderr.read()
        while "losses" in until and "epoch" not in (line := process.stderr.readline()):
            assert line  # what training says of itself is yet to come, and with it a first step
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err.endswith(told.format(folder=folder)) and "Traceback" not in err


def test_notes_are_ours_alone(trained, monkeypatch, capsys):
    def remark(*_, **__):
        np.exp(np.float32(1000.0) * np.ones(1, np.float32))
        warnings.warn("elman: no kernel.", RuntimeWarning, stacklevel=1)
        return iter("ok")

    monkeypatch.setattr(LanguageModel, "sample", remark)
    assert main(["sample", str(trained)]) == 0
    assert capsys.readouterr().err == "note: elman: no kernel.\n"
