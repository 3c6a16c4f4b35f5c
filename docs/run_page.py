"""Runs the Python blocks of a page: its pictures are those that its code draws."""

import contextlib
import functools
import io
import re
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt

FOLDER = Path(__file__).parent


class Ran(NamedTuple):
    """What came of a page: what its names stand for at the end, and what each of its blocks printed."""

    names: dict[str, Any]
    printed: list[str]


@functools.cache  # a page with several pictures trains once
def run(name):
    """Run a page, block after block, in a folder of its own."""
    ran = Ran({"__name__": "page"}, [])
    code = re.findall(r"^```python\n(.*?)^```$", (FOLDER / name).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for block in code:
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(block, name, "exec"), ran.names)
            ran.printed.append(printed.getvalue())
    return ran


def show(name, picture):
    """Give pyplot, which the documentation is drawn by, one picture of a page and no other."""
    figure = run(name).names[picture]
    plt.close("all")
    plt.figure(FigureClass=lambda *_, **__: figure)
