"""The planted bugs of `make mutants` still fit the sources they are planted into."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def _patches():
    spec = importlib.util.spec_from_file_location("mutants", ROOT / "scripts/mutants.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    groups = [value for value in vars(script).values() if isinstance(value, tuple) and value]
    planted = [mutant for group in groups for mutant in group if type(mutant).__name__ == "Mutant"]
    return [pytest.param(patch, id=mutant.name) for mutant in planted for patch in mutant.patches]


@pytest.mark.parametrize("patch", _patches())
def test_the_place_of_a_planted_bug_is_there_once(patch):
    source = (ROOT / "src/elman" / patch.file).read_text(encoding="utf-8")
    assert source.count(patch.old) == 1 and patch.new != patch.old
