"""The newest published run as the documentation shows it: nothing on that page is typed by hand."""

from benchmarks import report, results, summary
from benchmarks.grid import NAMED, RAGGED, STREAMING
from benchmarks.results import Report

NOTHING_YET = """No run of the whole benchmark has been published in this form yet. `make bench` makes one on your
machine; the figures in the README are of runs of 2026-11-20, which lie in `benchmarks/results`."""


def introduce(run: Report, name: str) -> str:
    """Say where, when and with whom a run was made."""
    versions = ", ".join(f"{who} {version}" for who, version in run.versions.items())
    machine = run.machine
    return (
        f"{machine.processor}, {machine.cores} cores, {machine.instruction_set}, {machine.system}; {run.date}, sources "
        f"{run.commit}. {versions}. The numbers lie in `benchmarks/results/{name}`."
    )


def page() -> str:
    """Write the part of the page that comes from the run, in Markdown."""
    path = results.published()
    if path is None:
        return NOTHING_YET
    run = results.read(path)
    parts = [introduce(run, path.name), "```{eval-rst}\n.. plot:: figures/benchmarks.py\n```"]
    for table in summary.tables(run):
        parts += [f"## {table.title[0].upper()}{table.title[1:]}", report.markdown(table)]
    return "\n\n".join(parts)


def point_table() -> str:
    """List the points that have a name, and why they are there."""
    rows = [
        [name, f"{p.batch}", f"{p.steps}", f"{p.input_size}", f"{p.hidden}", p.reason]
        for name, p in (NAMED | RAGGED | STREAMING).items()
    ]
    columns = ("point", "batch", "steps", "inputs", "units", "why")
    return report.markdown(summary.Table("", columns, rows))
