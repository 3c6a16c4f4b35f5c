"""The examples run as they stand and end as they promise."""

import importlib.util
import io
import itertools
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
LAST_LINES = {
    "addition.py": "16,384 of 16,384 sums right",
    "alphabet.py": "  before z: at once ., which is wrong; having recited 26 letters, y",
    "bptt_by_hand.py": r"  largest difference \d\.\de-(1[6-9]|[2-9]\d)|  largest difference 0\.0e\+00",
    "fill_in_the_blank.py": r"right on the sentences kept:   both sides (9[5-9]|100) %   left side [1-4]\d %",
    "keras_style.py": r" 6 steps  truth \+0\.4481  answer \+0\.\d{4}  alone \+0\.\d{4}",
    "next_word.py": "  1 打 9[0-9] %",
}
BY_PARTS = {"mnist_rows.py", "spoken_digits.py"}  # minutes as they stand


def load(name):
    """Import an example without running its main()."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_listed():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(LAST_LINES) | BY_PARTS


@pytest.mark.parametrize("name", LAST_LINES)
def test_an_example_runs(name, tmp_path):
    program = [sys.executable, EXAMPLES / name]
    plain = {key: value for key, value in os.environ.items() if key != "ELMAN_DATA"}
    done = subprocess.run(program, capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False, env=plain)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert re.fullmatch(LAST_LINES[name], done.stdout.splitlines()[-1])
    assert not list(tmp_path.iterdir())


def test_the_adder_is_short_and_prints_what_the_command_prints():
    path = EXAMPLES / "addition.py"
    assert len(path.read_text().splitlines()) <= 40
    example, command = (
        subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=120, check=True).stdout
        for words in ([path], ["-m", "elman", "add"])
    )
    said = [line for line in command.splitlines() if not line.startswith(("A network", "Trained in"))]
    assert [skeleton(line) for line in example.splitlines()] == [skeleton(line) for line in said][1:]


def skeleton(line: str) -> str:
    """Return a line without its numbers, brackets and the remark on a wrong answer."""
    return re.sub(r"[\d.,\[\]]+|\(wrong\)|\s+", "", line)


def test_the_keras_program_learns_and_takes_any_lengths(capsys):
    seen = runpy.run_path(str(EXAMPLES / "keras_style.py"))
    losses = [float(loss) for loss in re.findall(r"epoch +\d+  loss ([\d.]+)", capsys.readouterr().out)]
    assert len(losses) == 10 and losses == sorted(losses, reverse=True) and losses[-1] < 0.6 * losses[0]
    lengths = [len(sequence) for sequence in seen["x"]]
    assert min(lengths) == 1 and max(lengths) == 59
    assert np.square(seen["together"] - seen["y"]).mean() < 0.05 * seen["y"].var()
    for sequence, answer in zip(seen["x"], seen["together"], strict=True):
        assert np.array_equal(seen["model"].predict([sequence])[0], answer)


@pytest.mark.parametrize("seed", range(5))
def test_the_gradient_by_hand_is_the_librarys(seed, capsys):
    by_hand = load("bptt_by_hand")
    assert max(by_hand.main(seed)) < 1e-12
    assert "∂s_3/∂s_2 ∂s_2/∂s_1 ∂s_1/∂s_0 ∂s_0/∂U" in capsys.readouterr().out


def test_every_term_of_the_gradient_counts(rng):
    """Leave one out and the sum is another; only the first of W is zero, as the state before it is."""
    by_hand = load("bptt_by_hand")
    U, W, V, x = rng.uniform(-1, 1, (3, 2)), rng.uniform(-1, 1, (3, 3)), rng.uniform(-1, 1, (4, 3)), rng.random((4, 2))
    _, terms_W, terms_U = by_hand.by_hand(U, W, V, x, 1)
    assert len(terms_W) == len(terms_U) == 4 and not terms_W[0].any()
    assert min(abs(term).max() for term in (*terms_W[1:], *terms_U)) > 1e-4


def test_the_alphabet_is_known_one_way_only(capsys):
    alphabet = load("alphabet")
    known = alphabet.main()
    assert known["forwards"][1] == 25 and known["forwards"][2] <= 2
    assert known["backwards"][1] <= 2 and known["backwards"][2] == 25
    assert known["forwards, then backwards"][1] <= 2 and known["forwards, then backwards"][2] == 25
    # To know the way forth makes the way back no easier.
    assert known["forwards, then backwards"][0] > known["backwards"][0]
    out = capsys.readouterr().out
    assert "a, b, c, d, e, f, g" in out and "z, y, x, w, v, u, t" in out


def test_the_letter_before_is_found_by_reciting(capsys):
    alphabet = load("alphabet")
    model = alphabet.student(1)
    alphabet.learn(model, alphabet.FORWARDS)
    found = [alphabet.letter_before(model, letter) for letter in alphabet.FORWARDS[1:]]
    assert found == [(before, n + 2) for n, before in enumerate(alphabet.FORWARDS[:-1])]


@pytest.fixture(scope="module")
def blank():
    return load("fill_in_the_blank")


@pytest.fixture(scope="module")
def readers(blank):
    learned, _ = blank.split(blank.corpus())
    return {both_sides: blank.Reader(learned, both_sides=both_sides) for both_sides in (True, False)}


def test_no_sentence_on_broken_phones_is_learned(blank):
    pairs = blank.corpus()
    learned, kept = blank.split(pairs)
    assert len(learned) + len(kept) == len(pairs) > 5000
    assert set(blank.QUESTIONS) <= {sentence for sentence, _ in kept}
    assert not any("手机 坏" in sentence or sentence in blank.QUESTIONS for sentence, _ in learned)
    # Neither the words of the question nor either of its sides are new; only their meeting is.
    left, right = blank.QUESTIONS[0].split(blank.BLANK)
    assert any(right in sentence for sentence, _ in learned) and not any(left in sentence for sentence, _ in learned)


def test_the_word_in_the_blank_is_known_from_both_sides_only(blank, readers):
    question = blank.QUESTIONS[0]
    (word, sure), *_ = readers[True].candidates(question)
    assert word == "买" and sure > 0.9
    unsure = readers[False].candidates(question)
    assert {word for word, _ in unsure} == {"买", "修", "扔", "借"} and max(p for _, p in unsure) < 0.6
    _, kept = blank.split(blank.corpus())
    assert readers[True].accuracy(kept) > 0.95 and readers[False].accuracy(kept) < 0.5


def test_what_comes_after_the_blank_decides_only_for_who_reads_it(blank, readers):
    same_left = blank.QUESTIONS[:3]
    assert [readers[True].candidates(question)[0][0] for question in same_left] == ["买", "修", "借"]
    assert len({tuple(readers[False].candidates(question)) for question in same_left}) == 1
    assert readers[True].candidates(blank.QUESTIONS[3])[0][0] == "卖"  # as it began otherwise, though it ends the same


@pytest.fixture(scope="module")
def next_word():
    return load("next_word")


@pytest.fixture(scope="module")
def english(next_word):
    return next_word.InputMethod(next_word.MESSAGES)


@pytest.mark.parametrize(("before", "begun"), [("", ""), ("i am on", ""), ("i am on the", "t"), ("zebra", "th")])
def test_the_probabilities_of_the_next_word_sum_to_one(english, next_word, before, begun):
    p = english.probabilities(before, begun)
    assert p.shape == (len(english.words),) and (p >= 0).all() and abs(p.sum() - 1) < 1e-5
    assert p[next_word.START] == p[next_word.UNKNOWN] == 0
    assert all(word.startswith(begun) for word, share in zip(english.words, p, strict=True) if share)


def test_the_letters_typed_share_out_what_they_strike_out(english):
    free, begun = english.probabilities("i am on the"), english.probabilities("i am on the", "t")
    kept = begun > 0
    np.testing.assert_allclose(begun[kept], free[kept] / free[kept].sum(), rtol=1e-5)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("i am on the ", {"train", "bus"}),
        ("i am on the t", {"train"}),
        ("do you want some ", {"tea", "coffee"}),
        ("It rains. Happy ", {"birthday", "new"}),
    ],
)
def test_the_next_word_is_a_sensible_one(english, typed, words):
    found = english.candidates(typed, n=len(words))
    assert {word for word, _ in found} == words and sum(p for _, p in found) > 0.9


def test_candidates_begin_with_the_letters_and_may_be_none(english):
    found = english.candidates("th", n=10)
    assert {"the", "thank", "that"} <= {word for word, _ in found} and all(word[:2] == "th" for word, _ in found)
    assert [p for _, p in found] == sorted((p for _, p in found), reverse=True)
    assert english.candidates("i am zz") == []


def test_chinese_is_typed_in_pinyin(next_word):
    method = next_word.chinese()
    assert set(method.spelling[2:]) - set(method.words) > {"wo", "shouji"}
    spelt = next_word.PINYIN.split()[::2]
    assert [word for word in method.words[2:] if word.isalpha() and word not in spelt] == []
    assert method.candidates("我 的 手机 ", n=2)[0][0] in {"坏", "没"}
    assert method.candidates("我 的 sh", n=1)[0][0] in {"手机", "书"}
    assert {word for word, p in method.candidates("我 想 买 一 b") if p > 0.2} == {"本", "部"}


def test_the_next_word_is_learned_from_a_file(next_word, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(next_word.sys, "stdin", io.StringIO())
    path = tmp_path / "text.txt"
    path.write_text("the sea is blue. the sky is blue. the sea was calm! " * 20, encoding="utf-8")
    next_word.main(path)
    assert "9 words learned" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"next_word: .* cannot be read as text"):
        next_word.main(tmp_path / "other.txt")


def test_digits_are_read_row_by_row(data_file, capsys, monkeypatch):
    """A tenth of the images, twice: 84 to 88 % of 2,000 (four seeds)."""
    monkeypatch.setenv("ELMAN_DATA", str(data_file("mnist/train-images-idx3-ubyte.gz").parent.parent))
    mnist = load("mnist_rows")
    train, test = ([part[::step] for part in mnist.read(name)] for name, step in (("train", 10), ("t10k", 5)))
    assert train[0].shape == (6000, 28, 28) and train[0].max() == 1 and set(train[1]) == set(range(10))
    accuracy = mnist.main(epochs=2, train=train, test=test)
    assert accuracy > 0.8
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"test accuracy {100 * accuracy:.2f} %" and len(lines) == 2


@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (ConnectionError("no route"), r"could not be fetched \(ConnectionError\)"),
        (ValueError("hash"), r"could not be fetched \(its checksum is wrong\)"),
        (None, r"To have it fetched: pip install 'elman\[data\]'"),
    ],
)
def test_digits_that_cannot_be_had_are_asked_for_in_one_line(happens, said, tmp_path, monkeypatch):
    def retrieve(*_args, **_options):
        raise happens

    pooch = happens and SimpleNamespace(retrieve=retrieve, os_cache=lambda _name: tmp_path)
    monkeypatch.setitem(sys.modules, "pooch", pooch)
    monkeypatch.setenv("ELMAN_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match=f"mnist_rows: train-images.* is not in .*mnist.*{said}.*ELMAN_DATA") as ended:
        load("mnist_rows").main()
    assert "\n" not in ended.value.code


@pytest.fixture
def spoken(tmp_path, monkeypatch):
    """The example, with tones for digits: two voices, one an eighth higher, three recordings to test with."""
    pytest.importorskip("scipy", reason="needs the extra [speech]")
    from scipy.io import wavfile

    folder = tmp_path / "fsdd" / "recordings"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for digit, (voice, pitch), index in itertools.product(range(10), {"ann": 1.0, "bob": 1.125}.items(), range(2, 9)):
        time = np.arange(rng.integers(1000, 1600)) / 8000
        sound = np.sin(2 * np.pi * pitch * 200 * 1.3**digit * time) * np.hanning(len(time))
        samples = 8000 * sound + rng.normal(0, 50, len(time))
        wavfile.write(folder / f"{digit}_{voice}_{index}.wav", 8000, samples.astype(np.int16))
    monkeypatch.setenv("ELMAN_DATA", str(tmp_path))
    return load("spoken_digits")


def test_spoken_digits_are_learned(spoken, capsys):
    recordings = spoken.read()
    assert len(recordings) == 140 and max(map(len, recordings.values())) < 1600
    assert spoken.digits(recordings, hidden=32, epochs=6) > 0.95
    assert spoken.speakers(recordings, epochs=3) > 0.3  # a tenth by chance
    greedy, beam = spoken.strings(recordings, epochs=8, per_epoch=240, tests=20)
    assert 0 <= beam < 0.5 and beam <= greedy  # in so little time the digits have only begun to appear
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"digits +\d+\.\d\d % of 60 recordings right, learned in \d+ s", lines[0])
    assert re.fullmatch(r"strings   \d+\.\d\d % of \d+ digits wrong, \d+\.\d\d % by beams, learned in \d+ s", lines[-1])


def test_a_spectrogram_shows_the_pitch_where_it_is(spoken):
    """A tone of 1 kHz is loudest in the band around it; all bands count, and steps are 20 ms."""
    tone = np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000).astype(np.float32)
    bands = spoken.log_mel(tone)
    assert bands.shape == (49, 80)
    middles = spoken.FILTERS.argmax(1) * 8000 / 256
    assert abs(middles[bands.mean(0).argmax() // 2] - 1000) < 60
    assert (spoken.FILTERS.max(1) > 0.3).all()
    assert spoken.log_mel(tone[:10]).shape == (1, 80)


def test_where_there_are_no_recordings_it_says_where_to_get_them(tmp_path, monkeypatch, spoken):
    monkeypatch.setenv("ELMAN_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(SystemExit, match=r"spoken_digits: there are no recordings in .*git clone https://.*ELMAN_DATA"):
        spoken.main(["digits"])
    with pytest.raises(SystemExit):
        spoken.main(["letters"])


def test_digits_are_heard(data_file, capsys, monkeypatch):
    """Fifteen of fifty recordings of each digit and speaker, half of the units."""
    pytest.importorskip("scipy", reason="needs the extra [speech]")
    monkeypatch.setenv("ELMAN_DATA", str(data_file("fsdd/fsdd_recordings.zip").parent.parent))
    spoken = load("spoken_digits")
    recordings = spoken.read()
    assert len(recordings) == 3000 and max(map(len, recordings.values())) == 18262
    some = {key: samples for key, samples in recordings.items() if key[2] < 15}
    assert spoken.digits(some, hidden=50, epochs=12) > 0.95
    assert "% of 300 recordings right" in capsys.readouterr().out
