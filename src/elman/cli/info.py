"""`elman info`: what a model file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli.common import Json, harmless, print_json

__all__ = ["info"]


def info(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file.")],
    as_json: Json = False,
) -> None:
    """Show what a model file holds: task, layers, vocabulary, training."""
    from elman.tasks import describe

    facts = describe(model)
    if as_json:
        print_json(facts)
    else:
        _print_table(facts)


def _print_table(facts: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    about = Table(box=box.SIMPLE, pad_edge=False, show_header=False)
    about.add_column(style="bold")
    about.add_column(overflow="fold")

    def section(rows: dict[str, str]) -> None:
        for name, value in rows.items():
            # Text, not str: what a file holds is never markup. Nor may it steer the terminal.
            about.add_row(Text(harmless(name)), Text(harmless(value)))
        about.add_section()

    section(
        {
            "file": facts["path"],
            "": f"{facts['bytes']:,} bytes, format {facts['format']}, written by elman {facts['version']}",
            "task": facts["task"].replace("_", " "),
            "parameters": f"{facts['parameters']:,} of {facts['weights'] or facts['dtype']}",
        }
    )
    section({layer["name"]: _layer(layer) for layer in facts["layers"]})
    if facts["vocabulary"] is not None:
        section(_vocabulary(facts["vocabulary"]))
    section({name.replace("_", " "): _shown(value) for name, value in facts["arguments"].items()})
    training = {name: value for name, value in facts["training"].items() if name != "columns"}
    section({f"trained: {name.replace('_', ' ')}": _shown(value) for name, value in training.items()})
    if isinstance(columns := facts["training"].get("columns"), dict):
        section({"columns of its file": ", ".join(f"{role} {_column(value)}" for role, value in columns.items())})
    section(_quantization(facts["quantization"]))
    Console(highlight=False).print(about)


def _vocabulary(known: dict[str, Any]) -> dict[str, str]:
    """Say what a task knows of its input, and of its answers."""
    if "unit" in known:
        return {"vocabulary": _of_text(known)}
    form, target = known["input"], known["target"]
    if form["type"] == "characters":
        rows = {"input": _characters(form["symbols"])}
    elif form["type"] == "words":
        parts = (f"{len(form[name]):,} {name}" for name in ("words", "prefixes", "suffixes", "letters"))
        rows = {"input": f"words by {', '.join(parts)}"}
    else:
        numbers = f"{form['features']:,} numbers per step"
        rows = {"input": numbers if form["width"] is None else f"{numbers}, tables of {form['width']:,} steps"}
        if form["names"] is not None:
            rows["columns"] = _listed(form["names"])
    if "values" in target:
        rows["classes"] = f"{len(target['values']):,}: {_listed(target['values'])}"
    else:
        rows["answers"] = f"{len(target['scaler']['mean']):,} numbers"
    return rows


def _of_text(known: dict[str, Any]) -> str:
    """Say what a language model cuts text into."""
    if "symbols" in known:
        return _characters(known["symbols"])
    if "words" in known:
        return f"{len(known['words']):,} words and <unk>: {_listed([repr(word) for word in known['words']])}"
    if "size" in known:
        return f"{known['size'] - 1:,} tokens of the tokenizer with SHA-256 {known['sha256'][:16]}…"
    return "the bytes of UTF-8"


def _column(named: Any) -> str:
    return ", ".join(map(repr, named)) if isinstance(named, list) else repr(named)


def _listed(names: list[Any], *, limit: int = 20) -> str:
    return ", ".join(map(str, names[:limit])) + (" …" if len(names) > limit else "")


def _characters(symbols: str) -> str:
    return f"{len(symbols):,} characters and <unk>: {_printable(symbols)}"


def _quantization(report: dict[str, Any] | None) -> dict[str, str]:
    if report is None:
        return {}
    rows = {"quantized: bytes": f"{report['bytes_after']:,} of weights instead of {report['bytes_before']:,}"}
    for name, was in (report["before"] or {}).items():
        rows[f"quantized: {name}"] = f"{_shown(was)} before, {_shown(report['after'][name])} after"
    if report["worst"] is not None:
        worst = report["worst"]
        place = f"sequence {worst['sequence']:,}" + ("" if worst["step"] is None else f", step {worst['step']:,}")
        rows["quantized: worst case"] = f"outputs differ by {worst['difference']:.3g} at {place}"
    return rows


def _layer(layer: dict[str, Any]) -> str:
    units = "" if layer["units"] is None else f", {layer['units']:,} units"
    return f"{layer['type']}{units}, {layer['parameters']:,} parameters"


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _printable(symbols: str, *, limit: int = 200) -> str:
    text = repr(symbols[:limit])[1:-1]
    return text + (" …" if len(symbols) > limit else "")
