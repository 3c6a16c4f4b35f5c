"""The documents do what they say: their code runs, both languages show the same, links lead somewhere."""

import doctest
import importlib
import re
from pathlib import Path

import numpy as np
import pytest
from complex_step import check_gradients
from shapes import SHAPES, make_problem

from elman.ops import reference
from elman.ops.weights import Weights

ROOT = Path(__file__).resolve().parent.parent
READMES = ("README.md", "README.zh-CN.md")
DOCUMENTS = (*READMES, "CONTRIBUTING.md", "CHANGELOG.md", "docs/decisions.md")


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name, language):
    """Return the code blocks of a document in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", read(name), re.MULTILINE | re.DOTALL)


def without_comments(code):
    return re.sub(r" *#.*", "", code)


def modules():
    """Return the names of all modules of the package."""
    paths = sorted((ROOT / "src" / "elman").rglob("*.py"))
    parts = (path.relative_to(ROOT / "src").with_suffix("").parts for path in paths if path.stem != "__main__")
    return [".".join(part for part in names if part != "__init__") for names in parts]


@pytest.mark.parametrize("name", modules())
def test_examples_of_docstrings_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("code", blocks("README.md", "python"))
def test_code_of_the_readme_runs(code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})


def test_both_readmes_show_the_same_code_and_commands():
    for language in ("python", "bash"):
        english, chinese = ([without_comments(code) for code in blocks(name, language)] for name in READMES)
        assert english == chinese and english


def test_both_readmes_have_the_same_shape():
    def shape(name):
        text = re.sub(r"^```.*?^```$", "", read(name), flags=re.MULTILINE | re.DOTALL)
        marks = [re.match(r"#+|\||- ", line) for line in text.splitlines()]
        return [mark[0] for mark in marks if mark]

    assert shape(READMES[0]) == shape(READMES[1])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name):
    for target in re.findall(r"\]\(([^)#]+)\)", read(name)):
        assert target.startswith("https://") or ((ROOT / name).parent / target).exists(), target


def test_the_cell_of_the_guide_has_right_gradients(rng):
    """What CONTRIBUTING tells a newcomer to write is proved like every other cell."""
    (code,) = blocks("CONTRIBUTING.md", "python")
    space = {"__name__": "guide"}
    exec(compile(code, "CONTRIBUTING.md", "exec"), space)
    problem = make_problem(space["MGU"](), SHAPES["ragged"])

    def loss(p):
        weights, x = Weights({name: p[name] for name in problem.weights}), problem.x.with_values(p["x"])
        y, (last,), _ = reference.forward(problem.cell, x, weights, state=(p["h0"],), tape=False)
        return (y * problem.dy).sum() + (last * problem.dstate[0]).sum()

    grads = {name: np.zeros_like(array) for name, array in problem.weights.items()}
    _, _, tape = reference.forward(problem.cell, problem.x, problem.weights, state=problem.state, tape=True)
    dx, (dh0,), _ = reference.backward(
        problem.cell, problem.dy, tape, problem.weights, grads, dstate=problem.dstate, want_dx=True, keep_dh=False
    )
    point = {**problem.weights, "x": problem.x.values, "h0": problem.state[0]}
    check_gradients(loss, point, {**grads, "x": dx, "h0": dh0}, rng)


def test_files_of_commands_are_named_in_the_readme():
    targets = re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE)
    for name in READMES:
        for target in set(targets) - {"clean"}:
            assert f"make {target}" in read(name), f"{name} does not say make {target}"
