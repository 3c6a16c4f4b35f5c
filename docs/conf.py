"""How the documentation is built: `make docs`, or as a part of `make lint`."""

import re
import sys
from pathlib import Path

import elman
from elman.cells.gate_orders import ORDERS

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import pages  # noqa: E402: it is part of no package, so its folder has to be named first

project = "elman"
author = "The elman authors"
copyright = "The elman authors. Apache-2.0"
release = version = elman.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "matplotlib.sphinxext.plot_directive",
    "mathml",
]
exclude_patterns = ["figures"]
smartquotes = False  # h' is the new h, no quotation
highlight_language = "none"  # of a block that names none: formulas

html_theme = "furo"
html_title = f"elman {release}"
html_math_renderer = "mathml"
html_copy_source = html_show_sourcelink = html_show_sphinx = False
html_css_files = ["elman.css"]
html_static_path = ["static"]

myst_enable_extensions = ["dollarmath", "substitution"]
myst_heading_anchors = 3

# In docstrings `name` is a link where there is something of that name, and code elsewhere.
default_role = "py:obj"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # an attribute may be a property, too, and would be described twice

plot_formats = [("png", 160)]
plot_html_show_source_link = plot_html_show_formats = False
plot_apply_rcparams = True
plot_rcparams = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.size": 10,
}


def gate_table(cell):
    """Write the gate orders of all systems as a table: what is generated cannot drift."""
    ours = ORDERS[cell]["elman"]
    rows = ["| system | order of the blocks | from ours |", "|---|---|---|"]
    for system, order in ORDERS[cell].items():
        places = ", ".join(str(ours.index(gate)) for gate in order)
        rows.append(f"| {system} | {' '.join(order)} | {'as it is' if order == ours else f'blocks {places}'} |")
    return "\n".join(rows)


def name_table(registry):
    """Write down which names stand for which class."""
    names = {}
    for name, kind in registry.items():
        names.setdefault(kind.__name__, []).append(f'`"{name}"`')
    return "\n".join(
        ["| name | class |", "|---|---|", *(f"| {', '.join(n)} | `{kind}` |" for kind, n in names.items())]
    )


myst_substitutions = {f"gate_orders_{cell}": gate_table(cell) for cell in ORDERS} | {
    "benchmarks": pages.page(),
    "benchmark_points": pages.point_table(),
    "cell_names": name_table(elman.cells.CELLS),
    "layer_names": name_table(elman.layers.LAYERS),
    "loss_names": name_table(elman.losses.LOSSES),
    "metric_names": name_table(elman.metrics.METRICS),
    "optimizer_names": name_table(elman.optimizers.OPTIMIZERS),
    "schedule_names": name_table(elman.schedules.SCHEDULES),
    "task_names": name_table(elman.tasks.TASKS),
}


def plain_text(app, what, name, obj, options, lines):
    """Mark equations of docstrings as such, and keep |x| and val_ from meaning something to Sphinx."""
    section, after_text, out = None, False, []
    begins = what in ("attribute", "data", "property")
    for line in lines:
        if header := re.fullmatch(r"([A-Z]\w+):", line):
            section = header[1]
        equation = section is None and line.startswith("    ")
        if equation and after_text and not out[-1].strip():
            out += ["::", ""]
        if not equation and section != "Example":
            parts = re.split(r"(`[^`]*`)", line)
            parts[::2] = [re.sub(r"\||(?<=\w)_(?!\w)|(?<=: )[A-Z]\.", r"\\\g<0>", part) for part in parts[::2]]
            line = "".join(parts)
        if begins:  # what comes before a colon would be taken for a type
            line = re.sub(r"(?=\S)", ": ", line, count=1)
        begins = section == "Returns" and line == "Returns:"
        out.append(line)
        if line.strip():
            after_text = not equation
    lines[:] = out


def own_language(app, pagename, templatename, context, doctree):
    """Say which pages are Chinese, so that browsers take Chinese letters and not Japanese ones."""
    if pagename.startswith("zh/"):
        context["language"] = "zh-CN"


def setup(app):
    """Connect what is written above; docstrings are read before napoleon reads them."""
    app.connect("autodoc-process-docstring", plain_text, priority=400)
    app.connect("html-page-context", own_language)
