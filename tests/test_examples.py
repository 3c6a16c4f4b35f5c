"""The examples run as they stand and end as they promise."""

import importlib.util
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
LAST_LINES = {
    "addition.py": "16,384 of 16,384 sums right",
    "alphabet.py": "  before z: at once ., which is wrong; having recited 26 letters, y",
    "bptt_by_hand.py": r"  largest difference \d\.\de-(1[6-9]|[2-9]\d)|  largest difference 0\.0e\+00",
    "keras_style.py": r" 6 steps  truth \+0\.4481  answer \+0\.\d{4}  alone \+0\.\d{4}",
}


def load(name):
    """Import an example without running its main()."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_listed():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(LAST_LINES)


@pytest.mark.parametrize("name", LAST_LINES)
def test_an_example_runs(name, tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLES / name], capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False
    )
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
