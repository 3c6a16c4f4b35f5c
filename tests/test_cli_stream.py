"""`elman stream`: every line of standard input is answered at once."""

import io
import json
import signal
import subprocess
import sys

import numpy as np
import pytest

import elman
from elman import layers
from elman.cli.main import main
from elman.tasks import BinaryAdder, LanguageModel

TEXT = "To be, or not to be: that is the question.\n" * 30
ELMAN = [sys.executable, "-m", "elman", "stream"]
NULL = "null"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Give files of a language model, and of models of numbers and of token ids."""
    folder = tmp_path_factory.mktemp("models")
    language = LanguageModel(layers=1, hidden=12, batch=4, steps=10, epochs=2, random_state=0, verbose=0).fit(TEXT)
    language.save(folder / "text.elman")
    numbers = elman.Sequential([layers.LSTM(6, return_sequences=True), layers.Dense(2)])
    numbers.build(3, ids=False, rng=0)
    numbers.save(folder / "numbers.elman")
    ids = elman.Sequential([layers.Embedding(5, 3), layers.GRU(4), layers.Dense(2)])
    ids.build(5, rng=0)
    ids.save(folder / "ids.elman")
    return folder


@pytest.fixture
def run(files, monkeypatch, capsys):
    """Give a function from lines and words to the exit code, the answers and what standard error says."""

    def stream(name, lines, *words):
        given = lines if isinstance(lines, bytes) else lines.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        code = main(["stream", str(files / f"{name}.elman"), *words])
        out, err = capsys.readouterr()
        return code, out.splitlines(), err

    return stream


def test_a_closed_standard_input_is_told(files, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["stream", str(files / "ids.elman")]) == 2
    assert capsys.readouterr() == ("", "error: standard input: it is closed. Pipe the steps into it.\n")


def test_numbers_come_as_they_are_written(run, files):
    x = np.array([[1, 2, 3], [0.5, -1, 2], [1e-3, 0, 4]], np.float32)
    expected = elman.load(files / "numbers.elman").predict(x[None])[0]
    code, answers, err = run("numbers", "1 2 3\n0.5, -1,2\r\n[1e-3, 0, 4]")
    assert (code, err) == (0, "")
    np.testing.assert_array_equal([np.array(line.split(), np.float32) for line in answers], expected)
    code, answers, _ = run("numbers", "1 2 3\n0.5, -1,2\n[1e-3, 0, 4]\n", "--json")
    np.testing.assert_array_equal(np.array([json.loads(line) for line in answers], np.float32), expected)


def test_token_ids(run, files):
    expected = elman.load(files / "ids.elman").predict(np.array([[3, 1]]))[0]
    _, answers, _ = run("ids", "3\n[1]\n", "--json")
    np.testing.assert_array_equal(np.array(json.loads(answers[1]), np.float32), expected)


def test_text(run, files):
    model = elman.load(files / "text.elman")
    stream = model.stream()
    stream.feed("To be,")
    code, answers, _ = run("text", "To\n be\n,\n", "--json", "--top", "3")
    assert code == 0
    assert [(c["text"], c["probability"]) for c in json.loads(answers[2])] == stream.candidates(3)
    _, answers, _ = run("text", "To\n be\n,\n", "--top", "3")
    assert answers[2] == "\t".join(f"{text!r} {p:.4f}" for text, p in stream.candidates(3))
    stream.feed("\n")
    _, answers, _ = run("text", "To be,\n", "--newlines", "--top", "1", "--json")
    assert json.loads(answers[0])[0]["text"] == stream.candidates(1)[0][0]


def test_a_blank_line_begins_anew_if_asked(run):
    _, answers, _ = run("numbers", "1 2 3\n\n1 2 3\n", "--reset-on-blank")
    assert answers[1] == "" and answers[0] == answers[2]
    _, answers, _ = run("text", "To\n\nTo\n", "--reset-on-blank", "--json")
    assert answers[1] == NULL and answers[0] == answers[2]
    _, answers, _ = run("text", "To\n\n be\n")  # else it is a text of no characters
    assert answers[0] == answers[1] != answers[2]


WRONG = {
    "numbers": [
        ("1 2", "step: x does not fit, expected (1, 3), a row for each stream, or (3,), got shape (2,)."),
        ("", "stream: the line is no step (it is empty), expected numbers with commas or spaces between them,"),
        ("1 2 x", "stream: the line is no step (could not convert string to float: 'x'), expected numbers"),
        ("[1, 2", "stream: the line is no step (Expecting ',' delimiter"),
        ("[" * 100_000, "stream: the line is no step ("),
        ("nan 1 2", "step: input x contains NaN"),
        ("1 2 1e999", "step: input x contains infinity"),
        ("1 2 1e99", "step: a number is too large for float32"),
        ('["a", 1, 2]', "step: x is text where numbers belong"),
        ("[[1, 2], 3]", "step: x is not an array"),
        ("[null, 1, 2]", "step: x holds objects that are not numbers"),
        ("[]", "stream: the line is no step (it is empty)"),
    ],
    "ids": [
        ("5", "step: token id out of range, expected 0 to 4, got 5"),
        ("1.5", "step: x holds no token ids, expected integers, got float64."),
        ("1 2", "step: x does not fit, expected (1,), a row for each stream, or one id, got shape (2,)."),
    ],
    "text": [
        ("", "candidates: there is no text yet, expected at least one character before."),
        ("€", "text: the character U+20AC (€) at index 0 was not in the training text."),
    ],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_line_is_told_and_changes_nothing(run, name):
    right = {"numbers": "1 2 3", "ids": "2", "text": "To"}[name]
    lines = [line for line, _ in WRONG[name]]
    code, answers, err = run(name, "\n".join([*lines, right, *lines[1:], right]), "--json")
    assert code == 3 and "Traceback" not in err
    for number, (_, message) in enumerate(WRONG[name], 1):
        assert f"line {number}: {message}" in err
    _, expected, _ = run(name, f"{right}\n{right}\n", "--json")
    assert [line for line in answers if line != NULL] == expected
    assert len(answers) == 2 * len(lines) + 1
    count = 2 * len(lines) - 1
    assert f"error: stream: {count} of {count + 2} lines could not be read." in err


def test_bytes_that_are_no_text(run):
    code, answers, err = run("text", b"To\n\xff\n be\n")
    assert code == 3 and answers[1] == "" and "line 2: 'utf-8' codec can't decode byte 0xff" in err


def test_no_lines_at_all(run):
    assert run("numbers", "") == (0, [], "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{folder}/none.elman"], "there is no such file"),
        (["{folder}/add.elman"], "it cannot go on step by step, expected a model or language model, got BinaryAdder."),
        (["{folder}/both.elman"], "stream: Bidirectional 'bidirectional' (Bidirectional(GRU)) needs whole sequences"),
        (["{folder}/text.elman", "--top", "0"], "--top: it is out of range, expected an integer >= 1, got 0."),
        (["{folder}/text.elman", "--threads", "0"], "set_threads: "),
    ],
)
def test_usage(files, capsys, words, message):
    BinaryAdder(examples=10, random_state=0).fit().save(files / "add.elman")
    both = elman.Sequential([layers.Bidirectional(layers.GRU(2))])
    both.build(3)
    both.save(files / "both.elman")
    assert main(["stream", *(word.format(folder=files) for word in words)]) == 2
    assert message in capsys.readouterr().err


def test_answers_come_at_once(files):
    """Before the next line is written: as another program would ask."""
    with subprocess.Popen(
        [*ELMAN, str(files / "numbers.elman")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        for _ in range(3):
            process.stdin.write("1 2 3\n")
            process.stdin.flush()
            assert len(process.stdout.readline().split()) == 2
        process.stdin.close()
        assert process.wait(60) == 0


def test_interrupted(files):
    with subprocess.Popen(
        [*ELMAN, str(files / "ids.elman")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdin.write(b"1\n")
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == b""


def test_a_reader_that_leaves(files):
    with subprocess.Popen(
        [*ELMAN, str(files / "ids.elman")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdin.write(b"1\n")
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        process.stdin.write(b"1\n" * 10)
        process.stdin.close()
        assert process.wait(60) == 128 + signal.SIGPIPE
        assert process.stderr.read() == b""
