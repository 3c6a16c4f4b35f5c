"""Carry out one job: set it up, compare answers, time it, and write down its rows."""

from collections.abc import Iterator
from functools import cached_property

from benchmarks import ceilings, memory, streaming, training
from benchmarks.grid import POINTS, Cost, cost
from benchmarks.layer import Layer
from benchmarks.peers.problem import LeftOutError
from benchmarks.peers.roll import Roll
from benchmarks.plan import Job
from benchmarks.results import Ceiling, Key, Row, Timed, figure
from benchmarks.timing import Budget, Contestant, Timing, alternate

PEAK = "peak"


class Bench:
    """What all jobs of one number of threads share.

    Args:
        roll: who is here.
        threads: of everybody.
        budget: of one comparison.
    """

    def __init__(self, roll: Roll, threads: int, budget: Budget) -> None:
        self.roll, self.threads, self.budget = roll, threads, budget
        self._ceilings: dict[str, Ceiling] = {}
        self._products: dict[str, Contestant] = {}

    @cached_property
    def _torch(self) -> bool:
        return "torch" in self.roll.present

    def ceiling(self, dtype: str) -> Ceiling:
        """Give what the machine could do in a dtype when it was first asked."""
        if dtype not in self._ceilings:
            self._ceilings[dtype] = self.measure_ceiling(dtype, "start")
            products = ceilings.matrix_products(dtype, torch=self._torch)
            self._products[dtype] = products[ceilings.fastest(self._ceilings[dtype])]
        return self._ceilings[dtype]

    def measure_ceiling(self, dtype: str, when: str) -> Ceiling:
        """Measure what the machine can do now."""
        return ceilings.measure(dtype, self.threads, when, torch=self._torch, budget=self.budget)

    def run(self, job: Job, wanted: set[Key]) -> Iterator[Row]:
        """Give the rows of a job.

        Args:
            job: of this number of threads.
            wanted: the rows that are not there yet.

        Raises:
            AssertionError: if answers differ; nothing is timed then.
        """
        if job.measure == "training":
            yield self._training(job)
        elif job.measure == "streaming":
            yield self._streaming(job)
        elif job.measure == "memory":
            yield self._memory(job)
        else:
            yield from self._layer(job, wanted)

    def _layer(self, job: Job, wanted: set[Key]) -> Iterator[Row]:
        point = POINTS[job.point]
        both = cost(job.cell, point, "forward+backward", job.dtype)
        layer = Layer(job.cell, point, self.roll, dtype=job.dtype, threads=self.threads, flops=both.flops)
        for key in job.keys:
            if key in wanted:
                what = key.measure.removeprefix("ragged ")
                least = cost(job.cell, point, what, job.dtype)
                row = self._timed(self._empty(key), layer.contestants[what], least)
                row.left_out = layer.left_out | (
                    {"onnxruntime": "gives no gradients"}
                    if what == "forward+backward" and "onnxruntime" in self.roll.present
                    else {}
                )
                row.notes = layer.notes
                yield row

    def _streaming(self, job: Job) -> Row:
        point = POINTS[job.point]
        found, left_out = streaming.contestants(job.cell, point, self.roll, dtype=job.dtype, threads=self.threads)
        row = self._timed(self._empty(job.keys[0]), found, cost(job.cell, point, "forward", job.dtype))
        row.left_out = left_out
        return row

    def _training(self, job: Job) -> Row:
        program = training.PROGRAMS[job.point]
        found, left_out = training.contestants(program, self.roll)
        timings = alternate(found, self.budget)
        _, steps, features = program.shape
        row = Row(
            *job.keys[0],
            batch=program.batch_size,
            steps=steps,
            input_size=features,
            hidden=program.units,
            n_steps=program.batch_size * steps,
            left_out=left_out,
        )
        _write_times(row, {who: timing.per(program.steps) for who, timing in timings.items()})
        return row

    def _memory(self, job: Job) -> Row:
        row = self._empty(job.keys[0])
        for who in memory.SIDES:
            if who != "elman" and who not in self.roll.present:
                row.left_out[who] = self.roll.absent.get(who, "not asked for")
                continue
            try:
                row.grown_bytes[who] = memory.measure(who, job.cell, job.point, threads=self.threads)
            except LeftOutError as reason:
                row.left_out[who] = str(reason)
        return row

    def _empty(self, key: Key) -> Row:
        point = POINTS[key.point]
        return Row(*key, point.batch, point.steps, point.input_size, point.hidden, n_steps=int(point.lengths().sum()))

    def _timed(self, row: Row, contestants: dict[str, Contestant], least: Cost) -> Row:
        """Time a layer's contestants in turns with the machine's matrix product."""
        ceiling = self.ceiling(row.dtype)
        timings = alternate(contestants | {PEAK: self._products[row.dtype]}, self.budget)
        peak = timings.pop(PEAK)
        row.peak_gflops = ceilings.product_gflops(peak)
        row.flops, row.bytes = least.flops, least.bytes
        work = least.flops / ceilings.product_flops()
        row.of_peak = {who: figure(work * peak.over(timing)) for who, timing in timings.items()}
        row.least_us = ceilings.least_us(least, ceiling, row.peak_gflops)
        _write_times(row, timings)
        return row


def _write_times(row: Row, timings: dict[str, Timing]) -> None:
    """Write down everybody's time, and its ratio to ours."""
    ours = timings["elman"]
    for who, timing in timings.items():
        low, high = (figure(1e6 * t) for t in timing.quartiles)
        there = sum(t == t for t in timing.rounds)
        row.times[who] = Timed(figure(timing.median * 1e6), low, high, there, timing.calls)
        if who != "elman":
            row.times_elman[who] = figure(timing.over(ours))
