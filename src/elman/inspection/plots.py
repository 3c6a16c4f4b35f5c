"""Pictures, drawn by matplotlib, which is imported only here and only when a picture is asked for."""

from __future__ import annotations

import contextlib
import io
import os
import re
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from elman.errors import UsageError, say
from elman.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["as_svg", "canvas", "check_ending", "finish", "font_family", "tidy"]

_FORMATS = ("png", "svg", "pdf")
# DejaVu, which matplotlib brings, has no Chinese; these do, and matplotlib goes through the list letter by letter.
_CHINESE_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei"),
    *("Microsoft YaHei", "PingFang SC", "SimHei", "Arial Unicode MS"),
)


def check_ending(where: str, path: str | os.PathLike[str]) -> str:
    """Give the format that the ending of a name says.

    Args:
        where: who asks, for messages.
        path: such as "curve.png".

    Raises:
        UsageError: if it is another than .png, .svg and .pdf.
    """
    ending = os.path.splitext(os.fspath(path))[1][1:].lower()
    if ending not in _FORMATS:
        expected = ", ".join(f".{known}" for known in _FORMATS)
        raise UsageError(say(where, f"cannot draw {os.fspath(path)!r}", expected=expected))
    return ending


def canvas(where: str, rows: int, columns: int, *, size: tuple[float, float], **options: Any) -> tuple[Figure, Any]:
    """Make an empty picture with panels.

    Args:
        where: who asks, for messages.
        rows: of panels.
        columns: of panels.
        size: width and height in inches.
        options: of matplotlib's `Figure.subplots`.

    Returns:
        The picture and its panels, an array (rows, columns).

    Raises:
        UsageError: if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise _missing(where) from error
    # A Figure by itself draws without a screen and without pyplot's global list of open windows.
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def font_family() -> list[str]:
    """Give the fonts by which text of any script is drawn, as far as this machine has them."""
    from matplotlib import font_manager

    known = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(font for font in _CHINESE_FONTS if font in known)]


def finish(figure: Figure, path: str | os.PathLike[str] | None, title: str | None) -> Figure:
    """Give a picture its title and write it, atomically, if it is to be a file.

    Args:
        figure: drawn.
        path: .png, .svg or .pdf, or None.
        title: a line above it, in any script.

    Raises:
        UsageError: if the ending is another one.
        SaveError: if the file cannot be written.
    """
    if title:
        figure.suptitle(title, family=font_family(), fontsize=11)
    if path is not None:
        ending = check_ending("plot", path)
        write_atomic(path, lambda file: figure.savefig(file, format=ending))
    return figure


def as_svg(draw: Callable[[], Figure], *, name: str) -> str:
    """Draw a picture as an SVG element for a page, whose colours follow the page's theme.

    What is black, grey or one of the colours of curves becomes a variable of the style sheet: --ink, --muted, --grid,
    and --series-RRGGBB. Letters stay text, in the fonts of the reader.

    Args:
        draw: makes the picture.
        name: begins all ids in it, so that several pictures can stand on one page.

    Raises:
        UsageError: if matplotlib is not installed.
    """
    with _theme("as_svg"):
        figure = draw()
        file = io.StringIO()
        figure.savefig(
            file,
            format="svg",
            dpi=100,
        )
    text = file.getvalue()
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'^<svg[^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1">', text, count=1)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--font)", text)
    return re.sub(r"#[0-9a-f]{6}\b(?=[;\"])", lambda found: _VARIABLES.get(found[0], found[0]), text)


# Colours that a page may change, by what they are for.
_INK = "#1a1a1b"
_VARIABLES = {
    _INK: "var(--ink)",
    "#000000": "var(--ink)",
    **dict.fromkeys(("#888888", "#555555", "#bbbbbb"), "var(--muted)"),
    "#dddddd": "var(--grid)",
    "#ffffff": "var(--paper)",
    **{f"#{c}": f"var(--series-{c})" for c in ("0072b2", "d55e00", "009e73", "cc79a7", "56b4e9", "e69f00", "8fb8d6")},
}


@contextlib.contextmanager
def _theme(where: str) -> Iterator[None]:
    """Draw with letters that stay text, and in colours that `as_svg` knows again."""
    try:
        import matplotlib
    except ImportError as error:
        raise _missing(where) from error
    names = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    settings: Any = dict.fromkeys(names, _INK)
    settings |= {f"{part}.facecolor": "none" for part in ("figure", "axes", "savefig", "legend")}
    settings |= {"svg.fonttype": "none", "svg.hashsalt": "elman", "font.size": 9.5}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # The reader's browser has the fonts that are missing here.
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        yield


def _missing(where: str) -> UsageError:
    return UsageError(say(where, "matplotlib is not installed", cure="Install it with: pip install 'elman[plot]'"))


def tidy(axes: Axes) -> None:
    """Take away what does not show numbers.

    Args:
        axes: a panel with curves.
    """
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
