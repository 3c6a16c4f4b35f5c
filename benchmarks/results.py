"""What a run writes down: the schema of results/*.json, and how it is read, written and continued."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

import elman

FORMAT = 1
RESULTS = Path(__file__).parent / "results"
ROOT = RESULTS.parent.parent

Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class Struct(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Base: a misspelt key is an error, an empty one is not written."""


class Key(NamedTuple):
    """What a row is about; there is one row for each."""

    measure: str
    point: str
    cell: str
    dtype: str
    threads: int


class Machine(Struct):
    """Where it was measured.

    Attributes:
        processor: its name.
        cores: that this process may use.
        instruction_set: of elman's native core.
        system: operating system.
    """

    processor: str
    cores: Count
    instruction_set: str
    system: str


class Ceiling(Struct):
    """What the machine can do, measured in the run.

    Attributes:
        dtype: of the matrix product.
        threads: of everybody.
        when: "start" or "end" of the run: the difference is how much the machine drifted.
        product_gflops: who -> billions of operations per second of a large matrix product.
        bytes_per_second: bytes of the matrix that is read over and over -> fastest bytes per second.
    """

    dtype: str
    threads: Count
    when: str
    product_gflops: dict[str, Positive]
    bytes_per_second: dict[str, Positive] = {}


class Timed(Struct):
    """One side's time per call, in microseconds.

    Attributes:
        median_us: over the rounds.
        q1_us: a quarter of the rounds took no longer.
        q3_us: three quarters took no longer.
        rounds: how many there were.
        calls: one after the other in a round.
    """

    median_us: Positive
    q1_us: Positive
    q3_us: Positive
    rounds: Count
    calls: Count


class Row(Struct):
    """One comparison.

    Attributes:
        measure: "forward", "forward+backward", "ragged forward", "ragged forward+backward", "training", "streaming"
            or "memory".
        point: its name, see `benchmarks/grid.py` and `benchmarks/training.py`.
        cell: "rnn", "lstm", "gru" or "bilstm".
        dtype: of all numbers.
        threads: of everybody.
        batch: sequences, of a training step likewise.
        steps: of the longest sequence.
        input_size: features of a step.
        hidden: units.
        n_steps: of all sequences together.
        times: who -> time of a call; of training, of a step.
        times_elman: who -> how many times as long as elman it took: the median over the rounds of the ratio within a
            round, which need not be the ratio of the medians.
        flops: of the matrix products (a training step has none written down).
        bytes: that have to move at least.
        peak_gflops: the machine's fastest matrix product, in turns with this row.
        of_peak: who -> operations per second over those of that product: the median over the rounds, as above.
        least_us: the time below which the machine cannot go: by its arithmetic and by its memory.
        grown_bytes: who -> growth of resident memory in training (measure "memory").
        left_out: who -> why it was not measured.
        notes: who -> what has to be known about its figure.
    """

    measure: str
    point: str
    cell: str
    dtype: str
    threads: Count
    batch: Count
    steps: Count
    input_size: Count
    hidden: Count
    n_steps: Count
    times: dict[str, Timed] = {}
    times_elman: dict[str, Positive] = {}
    flops: Positive | None = None
    bytes: Positive | None = None
    peak_gflops: Positive | None = None
    of_peak: dict[str, Positive] = {}
    least_us: dict[str, Positive] = {}
    grown_bytes: dict[str, int] = {}
    left_out: dict[str, str] = {}
    notes: dict[str, str] = {}

    @property
    def key(self) -> Key:
        """What the row is about."""
        return Key(self.measure, self.point, self.cell, self.dtype, self.threads)


class Report(Struct):
    """A whole run.

    Attributes:
        format: of this file.
        machine: where.
        versions: of everybody who took part.
        date: of the beginning, UTC.
        commit: of elman's sources, with "+" if they were changed.
        settings: what the run was told.
        ceilings: what the machine could do.
        rows: one for each comparison.
    """

    format: int
    machine: Machine
    versions: dict[str, str]
    date: str
    commit: str
    settings: dict[str, str]
    ceilings: list[Ceiling] = []
    rows: list[Row] = []


def this_machine() -> Machine:
    """Describe where this process runs."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        name = next((row.split(":")[1].strip() for row in info.read_text().splitlines() if "model name" in row), name)
    config = elman.show_config()
    return Machine(
        processor=name,
        cores=len(available_cores()),
        instruction_set=str(config["instruction_set"]),
        system=f"{platform.system()} {platform.machine()}",
    )


def available_cores() -> list[int]:
    """Give the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def commit() -> str:
    """Name the commit of the sources; "unknown" outside a repository."""
    found = []
    for arguments in (("rev-parse", "--short=12", "HEAD"), ("status", "--porcelain", "--untracked-files=no")):
        try:
            done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        except OSError:
            return "unknown"
        if done.returncode:
            return "unknown"
        found.append(done.stdout.strip())
    return found[0] + ("+" if found[1] else "")


def new_report(settings: dict[str, str]) -> Report:
    """Begin a report of this machine and these sources."""
    config = elman.show_config()
    return Report(
        format=FORMAT,
        machine=this_machine(),
        versions={name: str(config[name]) for name in ("elman", "python", "numpy")},
        date=datetime.now(UTC).date().isoformat(),
        commit=commit(),
        settings=settings,
    )


def figure(value: float) -> float:
    """Round to the five digits that are worth writing down."""
    return float(f"{value:.5g}")


def path_of(name: str) -> Path:
    """Give the file of a run."""
    return RESULTS / f"{name}.json"


def read(path: Path) -> Report:
    """Read a report; raise ValueError if it is none."""
    report = msgspec.json.decode(path.read_bytes(), type=Report)
    if report.format != FORMAT:
        raise ValueError(f"{path.name}: format {report.format}, expected {FORMAT}")
    return report


def write(path: Path, report: Report) -> None:
    """Write a report in one piece: whoever reads sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    beside.replace(path)


def why_not_continue(old: Report, new: Report) -> str | None:
    """Say why a run cannot go on where another ended; None if it can."""
    for what in ("machine", "commit"):
        before, now = getattr(old, what), getattr(new, what)
        if before != now:
            return f"the {what} was {before} and is {now}"
    return None


def published() -> Path | None:
    """Give the newest published run of the benchmark, or None."""
    found = sorted(RESULTS.glob("published-bench-*.json"))
    return found[-1] if found else None
