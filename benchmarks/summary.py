"""What a run says: tables for the terminal and for the documentation, made from the rows alone."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from benchmarks.results import Ceiling, Report, Row

OURS = "elman"
PEERS = ("torch", "torch packed", "onnxruntime", "jax", "keras", "numpy")
FORMATS = ("int8", "bfloat16")
TIMED = ("forward", "forward+backward", "ragged forward", "ragged forward+backward", "training", "streaming")


class Table(NamedTuple):
    """Texts in columns; the first `n_left` stand to the left."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    n_left: int = 1


def geometric_mean(values: Iterable[float]) -> float:
    """Give the n-th root of the product; nan if there are none.

    Example:
        >>> geometric_mean([2.0, 8.0])
        4.0
    """
    logs = [math.log(value) for value in values]
    return math.exp(math.fsum(logs) / len(logs)) if logs else math.nan


def best_peer(row: Row) -> str | None:
    """Name the fastest of the others that computes the same; None if there is nobody."""
    others = {who: time.median_us for who, time in row.times.items() if who in PEERS and who not in row.notes}
    return min(others, key=others.__getitem__) if others else None


def lead(row: Row) -> float | None:
    """Give how many times as long as elman the best peer takes; None without one."""
    best = best_peer(row)
    return None if best is None else row.times_elman[best]


def of_roof(row: Row) -> float | None:
    """Give the least time that the machine needs over elman's: 1 is the roof; None where it is not known."""
    return max(row.least_us.values()) / row.times[OURS].median_us if row.least_us else None


def per_step_over_equal(row: Row) -> float | None:
    """Give a real step's time over that in sequences of one length; None where that was not measured."""
    equal = row.times_elman.get("elman, equal lengths")
    return None if equal is None else 1 / equal


def means(report: Report) -> Table:
    """Tell for each cell how far ahead of the best peer of each point elman is, in the geometric mean."""
    rows = []
    for measure, dtype, threads in _groups(report):
        of_group = [r for r in report.rows if (r.measure, r.dtype, r.threads) == (measure, dtype, threads)]
        cells = list(dict.fromkeys(row.cell for row in of_group))
        for cell in [*cells, *(["all"] if len(cells) > 1 else [])]:
            chosen = [row for row in of_group if cell in ("all", row.cell)]
            leads = [value for row in chosen if (value := lead(row)) is not None]
            if not leads:
                continue
            others = [
                _times(geometric_mean(row.times_elman[who] for row in chosen if who in row.times_elman))
                for who in PEERS
            ]
            behind = sum(value < 1 for value in leads)
            name = f"{measure}, {dtype}, {say_threads(threads)}"
            rows.append(
                [name, cell, str(len(leads)), _times(geometric_mean(leads)), _times(min(leads)), str(behind), *others]
            )
    columns = ("measure", "cell", "points", "best peer", "least", "below 1×", *PEERS)
    return Table("how many times as long the others take, geometric means over the points", columns, rows, 2)


def behind(report: Report) -> Table:
    """List every point at which somebody else is faster."""
    found = [(value, row) for row in report.rows if (value := lead(row)) is not None and value < 1]
    rows = [
        [*_name(row), (who := str(best_peer(row))), f"{value:.2f}×", *(_share(row.of_peak.get(k)) for k in (OURS, who))]
        for value, row in sorted(found, key=lambda pair: pair[0])
    ]
    columns = (*NAME, "who", "time over elman's", "elman of peak", "who of peak")
    return Table("where somebody else is faster", columns, rows, 6)


def points(report: Report, measure: str) -> Table:
    """List every point of a measure."""
    rows = []
    for row in report.rows:
        if row.measure == measure and row.times:
            others = [_times(row.times_elman.get(who)) for who in PEERS]
            limits = [_share(row.of_peak.get(OURS)), _share(of_roof(row))]
            if measure.startswith("ragged"):
                limits.append(_ratio(per_step_over_equal(row)))
            rows.append([*_name(row)[1:], _sizes(row), _time(row), *others, *([] if measure == "training" else limits)])
    limits = ["of peak", "of roof", *(["step over equal lengths"] if measure.startswith("ragged") else [])]
    columns = (*NAME[1:], "B T I H", OURS, *PEERS, *([] if measure == "training" else limits))
    return Table(f"{measure}: elman's time, and how many times as long the others take", columns, rows, 5)


def formats(report: Report) -> Table:
    """List where elman was timed with weights or products in fewer bytes, and how many times as fast that was."""
    rows = []
    for row in report.rows:
        gains = [None if (share := row.times_elman.get(f"{OURS}, {kind}")) is None else 1 / share for kind in FORMATS]
        if any(gain is not None for gain in gains):
            rows.append([*_name(row)[:3], str(row.threads), _sizes(row), _time(row), *map(_times, gains)])
    columns = ("measure", "point", "cell", "threads", "B T I H", "float32", *(f"{kind} is faster" for kind in FORMATS))
    return Table("elman in fewer bytes", columns, rows, 5)


def memory(report: Report) -> Table:
    """List by how much resident memory grows in training."""
    rows = []
    for row in report.rows:
        if row.measure == "memory":
            grown = [row.grown_bytes.get(who) for who in (OURS, "torch")]
            share = f"{grown[0] / grown[1]:.2f}" if grown[0] and grown[1] else ""
            texts = [f"{value / 2**20:.1f}" if value is not None else "" for value in grown]
            rows.append([row.point, row.cell, _sizes(row), *texts, share])
    columns = ("point", "cell", "B T I H", "elman, MiB", "torch, MiB", "of torch's")
    return Table("growth of resident memory in training", columns, rows, 3)


def ceilings(report: Report) -> Table:
    """Tell what the machine could do, and how far that drifted while the run went on."""
    rows = []
    for start in report.ceilings:
        if start.when != "start":
            continue
        top = max(start.product_gflops.values())
        later = [end for end in report.ceilings if end.when == "end" and _same(start, end)]
        drift = f"{max(later[0].product_gflops.values()) / top - 1:+.0%}" if later else ""
        speeds = ", ".join(f"{v / 1e9:.0f} at {int(k) / 2**20:.0f} MB" for k, v in start.bytes_per_second.items())
        each = ", ".join(f"{who} {speed:.0f}" for who, speed in start.product_gflops.items())
        rows.append([f"{start.dtype}, {say_threads(start.threads)}", each, speeds, drift])
    columns = ("", "matrix product, GFLOP/s", "reading, GB/s", "product at the end")
    return Table("what the machine can do", columns, rows, 3)


def tables(report: Report) -> list[Table]:
    """Give all tables that have rows, the most important first."""
    found = [means(report), behind(report), *(points(report, measure) for measure in TIMED)]
    return [table for table in [*found, formats(report), memory(report), ceilings(report)] if table.rows]


NAME = ("measure", "point", "cell", "dtype", "threads")


def _name(row: Row) -> list[str]:
    return [row.measure, row.point, row.cell, row.dtype, str(row.threads)]


def _groups(report: Report) -> list[tuple[str, str, int]]:
    return list(dict.fromkeys((row.measure, row.dtype, row.threads) for row in report.rows if row.times))


def _same(start: Ceiling, end: Ceiling) -> bool:
    return (start.dtype, start.threads) == (end.dtype, end.threads)


def _sizes(row: Row) -> str:
    return f"{row.batch} {row.steps} {row.input_size} {row.hidden}"


def say_threads(threads: int) -> str:
    """Write a number of threads."""
    return f"{threads} thread{'' if threads == 1 else 's'}"


def _times(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.2f}×" if value < 10 else f"{value:.0f}×"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _time(row: Row) -> str:
    """Write a median in a fitting unit, and half the width of the middle half of the rounds."""
    time = row.times[OURS]
    spread = (time.q3_us - time.q1_us) / 2 / time.median_us
    value, unit = (time.median_us, "µs") if time.median_us < 1000 else (time.median_us / 1000, "ms")
    return f"{value:.3g} {unit} ±{spread:.0%}"
