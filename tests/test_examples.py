"""The examples run as they stand and end as they promise."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
LAST_LINES = {"addition.py": "16,384 of 16,384 sums right"}


def test_every_example_is_listed():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(LAST_LINES)


@pytest.mark.parametrize("name", LAST_LINES)
def test_an_example_runs(name, tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLES / name], capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == LAST_LINES[name]
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
