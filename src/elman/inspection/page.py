"""A report as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from elman._version import __version__
from elman.inspection.attribution import Attribution
from elman.inspection.origins import Origins
from elman.inspection.plots import as_svg
from elman.inspection.reading import READING
from elman.inspection.report import Report
from elman.inspection.sections import Section
from elman.inspection.states import GatesAndStates
from elman.inspection.tables import Table, tables_of
from elman.inspection.units import unit_data

__all__ = ["render"]

_WEB = Path(__file__).parent / "web"
_BEST = 3  # units that are listed for a label


def render(report: Report) -> str:
    """Write a report as a page.

    Args:
        report: of a model.

    Raises:
        UsageError: if matplotlib is not installed.
    """
    states = report["states"].finding
    data = None
    if isinstance(states, GatesAndStates) and report.subject is not None:
        data = unit_data(states, report.subject)
    layers = Table(
        "Layers of the network",
        ["name", "type", "units", "parameters"],
        [[row["name"], row["type"], str(row["units"] or "–"), f"{row['parameters']:,}"] for row in report.layers],
    )
    parameters = sum(row["parameters"] for row in report.layers)
    about = f"{parameters:,} parameters. Looked at with {report.sample}. {report.remark}"
    return Template((_WEB / "page.html").read_text("utf-8")).substitute(
        version=__version__,
        title=escape(report.name),
        style=(_WEB / "page.css").read_text("utf-8").strip(),
        script=(_WEB / "page.js").read_text("utf-8").strip(),
        about=escape(about.strip()),
        layers=_folded("The network", _table(layers)),
        contents="\n".join(f'<li><a href="#{s.name}">{escape(s.title)}</a>: {escape(s.verdict)}</li>' for s in report),
        sections="\n".join(_section(section, data) for section in report),
        # A page ends its script at the first "</", wherever that stands.
        data=json.dumps(data, ensure_ascii=False).replace("<", "\\u003c"),
    )


def _section(section: Section, data: dict[str, Any] | None) -> str:
    """Write a section: sentence, pictures, how to read them, numbers."""
    kind = ' class="absent"' if section.finding is None else ""
    parts = [
        f'<section id="{section.name}"{kind} aria-labelledby="{section.name}-title">',
        f'<h2 id="{section.name}-title">{escape(section.title)}</h2>',
        f'<p class="verdict">{escape(section.verdict)}</p>',
    ]
    if section.finding is not None:
        parts.append(f'<p class="sample">Looked at: {escape(section.sample)}.</p>')
        parts += [_picture(section, name) for name in section.pictures]
        if isinstance(section.finding, GatesAndStates) and data is not None:
            parts.append(_units(section.finding, data))
        if isinstance(section.finding, Origins):
            parts.append(_coloured(section.finding))
        parts.append(_folded("How to read it", f"<p>{escape(READING[section.name])}</p>"))
        tables = tables_of(section.finding)
        if tables:
            parts.append(_folded("The numbers", "".join(map(_table, tables))))
    return "\n".join([*parts, "</section>"])


def _picture(section: Section, name: str) -> str:
    """Draw a picture into the page."""
    svg = as_svg(section.pictures[name], name=name)
    label = escape(f"{section.title}, {name.replace('_', ' ')}: {section.verdict}", quote=True)
    named = svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    return f"<figure>{named}</figure>"


def _folded(title: str, inner: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{inner}</details>"


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.head)
    rows = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'
        for first, *cells in table.rows
    )
    return (
        f'<div class="scroll"><table><caption>{escape(table.caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _units(found: GatesAndStates, data: dict[str, Any]) -> str:
    """Write the steps that any unit may colour, and which units are worth choosing."""
    places = {part["name"]: index for index, part in enumerate(data["parts"])}
    names = data["sequences"][0]["names"]
    kept = sum(len(part["units"]) for part in data["parts"])
    total = sum(values.shape[1] for states in found.states.values() for values in states.values())
    note = "" if kept == total else f" Of {total:,} units the {kept:,} are here that track something best."
    rows = []
    for label, units in found.tracked.items():
        buttons = []
        for unit in units[:_BEST]:
            place = places.get(f"{unit.recurrence}, {unit.part}")
            if place is None or unit.unit not in data["parts"][place]["units"]:
                continue
            called = f"{unit.recurrence}, {unit.part}, unit {unit.unit} ({unit.score:+.2f})"
            chosen = f'data-part="{place}" data-unit="{unit.unit}"'
            buttons.append(f'<button type="button" class="pick" {chosen}>{escape(called)}</button>')
        if buttons:
            rows.append(f'<tr><th scope="row">{escape(label)}</th><td>{"</td><td>".join(buttons)}</td></tr>')
    parts = _options(part["name"] for part in data["parts"])
    sequences = _options(f"{k}: {s['length']} steps" for k, s in enumerate(data["sequences"]))
    return f"""<h3>Coloured by a unit</h3>
<p>Choose one here, or one of those that track something.{note}</p>
<div class="scroll"><table><caption>Units by what they track best, with their correlation</caption>
<tbody>{"".join(rows)}</tbody></table></div>
<div class="controls">
<label>state of <select id="unit-part">{parts}</select></label>
<label>unit <input id="unit-unit" type="number" value="0" min="0"></label>
<button type="button" id="unit-before" aria-label="unit before">◀</button>
<button type="button" id="unit-next" aria-label="next unit">▶</button>
<label>sequence <select id="unit-sequence">{sequences}</select></label>
<output id="unit-told" for="unit-part unit-unit unit-sequence"></output>
</div>
<div id="unit-steps" class="steps {_kind(names)}" tabindex="0" role="region"
 aria-label="Steps coloured by a unit"></div>"""


def _options(names: Iterable[str]) -> str:
    return "".join(f'<option value="{k}">{escape(name)}</option>' for k, name in enumerate(names))


def _coloured(found: Origins) -> str:
    """Write the steps of the first answer, coloured by what they count, for every method."""
    if found.steps is None:
        return ""
    names = found.steps[: int(found.found.lengths[0])]
    parts = [f"<h3>What {escape(found.output())} came from</h3>"]
    for method, one in found.first.items():
        called = escape(method.replace("_", " "))
        parts.append(f'<p>{called}</p><div class="steps {_kind(names)}">{_spans(one, names)}</div>')
    return "\n".join(parts)


def _spans(found: Attribution, names: Sequence[str]) -> str:
    scores = np.nan_to_num(found.of())
    shares = scores / (np.abs(scores).max(initial=0) or 1)
    at = int(found.at[0])
    out = []
    for t, (name, share) in enumerate(zip(names, shares, strict=True)):
        side = "for" if share >= 0 else "against"
        mark = "; outline: 1px solid" if t == at else ""
        shown = "⏎\n" if name == "\n" else name
        style = f"background: rgb(var(--{side}) / {0.85 * abs(share) ** 0.7:.3f}){mark}"
        out.append(f'<span style="{style}" title="step {t}: {scores[t]:.3g}">{escape(shown)}</span>')
    return "".join(out)


def _kind(names: Sequence[str] | None) -> str:
    """Say how steps are laid out: letters run on, words have space between them, numbers are cells."""
    if names is None:
        return "cells"
    return "letters" if all(len(name) == 1 for name in names) else "words"
