"""What is to be measured, and the filters that leave parts of it out."""

from collections.abc import Iterable
from typing import NamedTuple

from benchmarks.grid import CELLS, GATES, GRID, NAMED, PASSES, POINTS, RAGGED, STREAMING, affordable
from benchmarks.results import Key
from benchmarks.training import PROGRAMS

MEASURES = ("layers", "ragged", "training", "streaming", "memory")
DTYPES = ("float32", "float64")
MEMORY_POINTS = ("mid", "large")
#: What `--quick` measures: enough to see that all is well.
QUICK = {
    "layers": ("adder", "small", "mid"),
    "ragged": ("ragged100",),
    "training": ("keras_style", "char_lstm"),
    "streaming": ("stream-h64",),
    "memory": ("mid",),
}


class Job(NamedTuple):
    """What is set up and measured in one go; gives one row, or two where a layer goes both ways."""

    measure: str
    point: str
    cell: str
    dtype: str
    threads: int

    @property
    def keys(self) -> list[Key]:
        """Of the rows that it gives."""
        if self.measure not in ("layers", "ragged"):
            return [Key(*self)]
        before = "ragged " if self.measure == "ragged" else ""
        return [Key(f"{before}{what}", *self[1:]) for what in PASSES]


def everything(all_threads: int) -> list[Job]:
    """List the whole benchmark.

    The even grid is float32 on all threads; the named points are measured in float64 and on one thread as well.
    """
    counts = sorted({all_threads, 1}, reverse=True)
    jobs = [
        Job("layers", point, cell, dtype, threads)
        for threads in counts
        for dtype in DTYPES
        for point in NAMED
        for cell in CELLS
    ]
    jobs += [
        Job("layers", name, cell, "float32", all_threads)
        for name, point in GRID.items()
        for cell in CELLS
        if affordable(cell, point)
    ]
    jobs += [Job("ragged", point, cell, "float32", all_threads) for point in RAGGED for cell in GATES]
    jobs += [
        Job("training", name, program.cell, "float32", threads)
        for threads in counts
        for name, program in PROGRAMS.items()
    ]
    jobs += [
        Job("streaming", point, cell, "float32", threads) for threads in counts for point in STREAMING for cell in CELLS
    ]
    jobs += [Job("memory", point, cell, "float32", all_threads) for point in MEMORY_POINTS for cell in CELLS]
    return jobs


def quick(all_threads: int) -> list[Job]:
    """List what `--quick` measures: float32 on all threads, LSTM alone where it is not about a layer."""
    return [
        job
        for job in everything(all_threads)
        if job.threads == all_threads and job.dtype == "float32" and job.point in QUICK[job.measure]
        if job.measure in ("layers", "training") or job.cell == "lstm"
    ]


def select(
    jobs: Iterable[Job], *, only: Iterable[str] = (), points: Iterable[str] = (), threads: Iterable[int] = ()
) -> list[Job]:
    """Leave out what is not asked for.

    Args:
        jobs: to choose from.
        only: cells, measures and dtypes; of each kind that is named, the others are left out.
        points: names of points and programs; all if empty.
        threads: numbers of threads; all if empty.

    Raises:
        ValueError: if a name is unknown, or nothing is left.
    """
    only, points, threads = tuple(only), tuple(points), tuple(threads)
    known = {"cell": tuple(GATES), "measure": MEASURES, "dtype": DTYPES}
    names = [name for kind in known.values() for name in kind]
    if unknown := [name for name in only if name not in names]:
        raise ValueError(f"--only: {', '.join(unknown)} is unknown, expected of {', '.join(names)}")
    places = [*POINTS, *PROGRAMS]
    if unknown := [name for name in points if name not in places]:
        raise ValueError(f"--points: {', '.join(unknown)} is unknown, expected of {', '.join(places)}")
    found = list(jobs)
    for field, kind in known.items():
        if asked := [name for name in only if name in kind]:
            found = [job for job in found if getattr(job, field) in asked]
    found = [job for job in found if (not points or job.point in points) and (not threads or job.threads in threads)]
    if not found:
        raise ValueError("nothing is left to measure: no job fits all of --only, --points and --threads")
    return found
