"""The documents do what they say: their code runs, both languages show the same, links lead somewhere."""

import doctest
import importlib
import io
import re
import runpy
import shlex
from pathlib import Path

import numpy as np
import pytest
from complex_step import check_gradients
from shapes import SHAPES, make_problem

import elman
from elman.cli.main import main
from elman.ops import reference
from elman.ops.weights import Weights

ROOT = Path(__file__).resolve().parent.parent
READMES = ("README.md", "README.zh-CN.md")
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
QUICKSTARTS = ("docs/quickstart.md", "docs/zh/quickstart.md")
DOCUMENTS = (*READMES, "CONTRIBUTING.md", "CHANGELOG.md", *PAGES)
REGISTERS = ["cells", "layers", "losses", "metrics", "optimizers", "schedules", "callbacks", "ctc", "tasks", "training",
             "inspection", "readers", "tasks.rehearsal", "tasks.tuning"]  # fmt: skip


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
    needs = {"tables": "pyarrow", "token_vocabulary": "tokenizers", "tuning": "optuna"}
    if needed := needs.get(name.removeprefix("elman.tasks.")):
        pytest.importorskip(needed)
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("code", blocks("README.md", "python"))
def test_code_of_the_readme_runs(code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})


TUTORIALS = [name for name in PAGES if "/tutorials/" in name]


def promises(name):
    """Return each Python block of a page, whether its output is promised only about, and that output or ''."""
    block = r"^```python\n(.*?)^```$(?:\n\n```text( about)?\n(.*?)^```$)?"
    return re.findall(block, read(name), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", [name for name in PAGES if blocks(name, "python") and name not in TUTORIALS])
def test_code_of_a_page_runs_and_prints_what_the_page_says(name, tmp_path, monkeypatch, capsys):
    """The blocks of a page follow each other, as a reader takes them; a text block is what the one before it prints."""
    if name == "docs/howto/tables.md":
        pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    space = {"__name__": "page"}
    for code, about, promised in promises(name):
        exec(compile(code, name, "exec"), space)
        printed = capsys.readouterr().out
        assert not promised or printed == promised
        assert not about, "only tutorials promise about"


@pytest.mark.parametrize("name", TUTORIALS)
def test_code_of_a_tutorial_prints_what_it_says(name, monkeypatch):
    """Run as for its pictures. Where it says "text about", numbers need be much the same only: their last digits depend
    on the instruction set.
    """
    pytest.importorskip("matplotlib.pyplot").switch_backend("agg")
    pytest.importorskip("sklearn")
    monkeypatch.syspath_prepend(ROOT / "docs")
    ran = importlib.import_module("run_page").run(name.removeprefix("docs/"))
    for printed, (_, about, promised) in zip(ran.printed, promises(name), strict=True):
        if about:
            assert much_the_same(printed, promised), printed
        else:
            assert not promised or printed == promised
    importlib.import_module("matplotlib.pyplot").close("all")


NUMBER = re.compile(r"\d+(?:\.\d+)?")


def much_the_same(printed, promised):
    """Tell whether two texts differ in their numbers only, and there by less than a third or by 0.03."""
    if NUMBER.sub("", printed).split() != NUMBER.sub("", promised).split():
        return False
    pairs = zip(*([float(found) for found in NUMBER.findall(text)] for text in (printed, promised)), strict=True)
    return all(abs(a - b) < max(0.03, b / 3) for a, b in pairs)


@pytest.mark.parametrize("name", [name for name in (READMES[0], *PAGES) if "zh" not in name and blocks(name, "bash")])
def test_commands_of_a_document_run(name, tmp_path, monkeypatch):
    """Those of elman run on a short text and a small table; targets of make are there."""
    monkeypatch.chdir(tmp_path)
    for file in ("book.txt", "other.txt"):
        Path(file).write_text("The sea is calm tonight. The tide is full, the moon lies fair. " * 20, encoding="utf-8")
    rows = (f"{k},{t},{t * (-1) ** k},{'ab'[k % 2]}\n" for k in range(20) for t in range(3 + k % 4))
    Path("data.csv").write_text("id,time,x,label\n" + "".join(rows), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"The sea is\n"), encoding="utf-8"))
    targets = re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE)
    for line in "".join(blocks(name, "bash")).splitlines():
        program, *words = shlex.split(line, comments=True)
        if words[0] == "tune":
            pytest.importorskip("optuna")
        if program == "elman":
            assert main(words) == 0, line
        elif program == "make":
            assert set(words) <= set(targets), line
        else:
            assert line == "pip install .", "a kind of command that this test does not know"


@pytest.mark.parametrize("pair", [READMES, QUICKSTARTS], ids=["readme", "quickstart"])
def test_both_languages_show_the_same_code_and_commands(pair):
    def shown(name):
        found = re.findall(r"^```([^\n`]*)\n(.*?)^```$", read(name), re.MULTILINE | re.DOTALL)
        return [(re.sub(r"(\.\./)+", "", kind), without_comments(code)) for kind, code in found]

    assert shown(pair[0]) == shown(pair[1]) != []


@pytest.mark.parametrize("pair", [READMES, QUICKSTARTS], ids=["readme", "quickstart"])
def test_both_languages_have_the_same_shape(pair):
    def shape(name):
        text = re.sub(r"^```.*?^```$", "", read(name), flags=re.MULTILINE | re.DOTALL)
        marks = [re.match(r"#+|\||- ", line) for line in text.splitlines()]
        return [mark[0] for mark in marks if mark]

    assert shape(pair[0]) == shape(pair[1])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name):
    for target in re.findall(r"\]\(([^)#]+)\)", read(name)):
        assert target.startswith("https://") or ((ROOT / name).parent / target).exists(), target


@pytest.mark.parametrize("name", ["", *REGISTERS])
def test_every_public_name_is_in_the_reference(name):
    pages = "".join(read(page) for page in PAGES if page.startswith("docs/reference/"))
    module = importlib.import_module(f"elman.{name}") if name else elman
    for public in set(module.__all__) - {"__version__"}:
        assert re.search(rf"(\belman\.(\w+\.)*|`){public}\b", pages), f"{module.__name__}.{public} is in no page"


# benchmarks.py draws a run; test_benchmarks.py gives it one. memory.py trains for seconds; test_memory_problems.py
# draws the same after a few steps. marked.py is the model that others share.
NO_FIGURES = {"benchmarks", "memory", "marked"}
FIGURES = [path for path in sorted((ROOT / "docs" / "figures").glob("*.py")) if path.stem not in NO_FIGURES]


@pytest.mark.parametrize("path", FIGURES, ids=lambda path: path.stem)
def test_a_figure_is_drawn(path, monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    if "run_page" in path.read_text(encoding="utf-8"):
        pytest.importorskip("sklearn")
    for folder in (ROOT / "docs", path.parent):  # as Sphinx runs them
        monkeypatch.syspath_prepend(folder)
    runpy.run_path(str(path))
    (number,) = pyplot.get_fignums()
    pyplot.figure(number).canvas.draw()
    pyplot.close(number)


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
