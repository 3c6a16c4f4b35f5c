"""elman beside everybody else: layers, whole training steps, streaming, ragged batches, memory.

Run as `python -m benchmarks.bench [--quick] [--only lstm,layers] [--points mid,large] [--threads 2] [--resume]`.

Everybody runs in turns on the same number of threads, in one process (Keras has its own and is timed there), after the
answers have been compared. Each row is written to benchmarks/results/NAME.json as soon as it is there; a run that was
stopped goes on with --resume.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import elman
from benchmarks import plan, report, results, summary
from benchmarks.jobs import Bench
from benchmarks.peers.keras_side import VENV_PYTHON
from benchmarks.peers.roll import PEERS, Roll
from benchmarks.results import Report, Row
from benchmarks.timing import Budget
from elman.training import progress

FULL, QUICK = Budget(seconds=1.6), Budget(seconds=0.5, slice_seconds=0.015, rounds=7)
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ELMAN_NUM_THREADS")


def parser() -> argparse.ArgumentParser:
    """Describe the options."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--quick", action="store_true", help="a few points and short timings: within three minutes")
    options.add_argument("--only", default="", help=f"cells, measures ({', '.join(plan.MEASURES)}) and dtypes")
    options.add_argument("--points", default="", help="names of points and training programs, see benchmarks/grid.py")
    options.add_argument("--threads", default="", help="numbers of threads; if not given, all cores, and one")
    options.add_argument("--peers", default=",".join(PEERS), help="who is asked to take part")
    options.add_argument("--keras", type=Path, default=VENV_PYTHON, help="the Python of an environment with Keras")
    options.add_argument("--seconds", type=float, help="for the rounds of one comparison")
    options.add_argument("--name", help="results/NAME.json; bench or quick if not given")
    options.add_argument("--resume", action="store_true", help="keep the rows that are there, measure the others")
    options.add_argument("--child", type=int, help=argparse.SUPPRESS)
    return options


def names(text: str) -> tuple[str, ...]:
    """Split a list of names."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def jobs_of(options: argparse.Namespace) -> list[plan.Job]:
    """Give what the options ask for."""
    cores = len(results.available_cores())
    threads = tuple(int(name) for name in names(options.threads))
    if wrong := [n for n in threads if not 1 <= n <= cores]:
        raise ValueError(f"--threads: {wrong[0]} is out of range, expected 1 to {cores}, the cores that are here")
    all_threads = max(threads, default=cores)
    jobs = (plan.quick if options.quick else plan.everything)(all_threads)
    return plan.select(jobs, only=names(options.only), points=names(options.points), threads=threads)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; return the exit code: 1 if answers differed, 2 if the options make no sense."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(arguments)
    path = results.path_of(options.name or ("quick" if options.quick else "bench"))
    if options.child is not None:
        return measure(options, path)
    try:
        if unknown := [name for name in names(options.peers) if name not in PEERS]:
            raise ValueError(f"--peers: {', '.join(unknown)} is unknown, expected of {', '.join(PEERS)}")
        jobs = jobs_of(options)
        begin(path, resume=options.resume, settings={"arguments": " ".join(arguments)})
    except (ValueError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    code = 0
    for threads in dict.fromkeys(job.threads for job in jobs):
        code = max(code, start_child(arguments, threads))
        if code > 1:
            report.console.print(f"stopped; go on with the same options and --resume ({path.name})")
            return code
    done = results.read(path)
    for table in summary.tables(done):
        report.show(table)
    missing = {key for job in jobs for key in job.keys} - {row.key for row in done.rows}
    if missing:
        report.console.print(f"{len(missing)} rows could not be measured, see above")
    report.console.print(f"written to benchmarks/results/{path.name}")
    return 1 if missing else code


def begin(path: Path, *, resume: bool, settings: dict[str, str]) -> None:
    """Write an empty report, or see that the one that is there can be continued."""
    fresh = results.new_report(settings)
    if resume and path.exists():
        if reason := results.why_not_continue(results.read(path), fresh):
            raise ValueError(f"--resume: {path.name} is of another run: {reason}. Leave --resume out to begin anew")
        return
    results.write(path, fresh)


def start_child(arguments: Sequence[str], threads: int) -> int:
    """Measure with so many threads in a process on as many cores: pools are made by what there is at their start."""
    cores = results.available_cores()[:threads]
    pin: Callable[[], None] | None = None
    if hasattr(os, "sched_setaffinity"):
        pin = lambda: os.sched_setaffinity(0, cores)  # noqa: E731
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bench", *arguments, "--child", str(threads)],
        env=os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads)),
        preexec_fn=pin,
    )
    try:
        return child.wait()
    except KeyboardInterrupt:
        child.wait()
        return 130


def measure(options: argparse.Namespace, path: Path) -> int:
    """Do all jobs of one number of threads that are not done yet, and write down each row as it comes."""
    threads = options.child
    elman.set_threads(threads)
    done = results.read(path)
    present = {row.key for row in done.rows}
    todo = [job for job in jobs_of(options) if job.threads == threads and not present.issuperset(job.keys)]
    budget = QUICK if options.quick else FULL
    if options.seconds is not None:
        budget = budget._replace(seconds=options.seconds)
    if threads == 1:
        budget = budget._replace(settle=budget.settle / 10)  # nobody has workers that could spin
    failures = 0
    try:
        with Roll.call(names(options.peers), threads=threads, python=options.keras) as roll:
            for who, reason in roll.absent.items():
                report.console.print(f"{who} is left out: {reason}", highlight=False)
            done.versions |= roll.versions
            bench = Bench(roll, threads, budget)
            dtypes = list(dict.fromkeys(job.dtype for job in todo))
            measure_ceilings(bench, done, dtypes, "start")
            for job in progress.watch(todo, total=len(todo), what=f"bench, {threads} threads"):
                try:
                    for row in bench.run(job, set(job.keys) - present):
                        done.rows.append(row)
                        results.write(path, done)
                        report.console.print(line(row), highlight=False)
                except (
                    AssertionError,
                    RuntimeError,
                ) as error:  # other answers, or a peer fails: go on
                    failures += 1
                    report.console.print(f"{' '.join(map(str, job))}: NOT MEASURED, {error}", highlight=False)
            measure_ceilings(bench, done, dtypes, "end")
            results.write(path, done)
    except KeyboardInterrupt:
        return 130
    return 1 if failures else 0


def measure_ceilings(bench: Bench, done: Report, dtypes: list[str], when: str) -> None:
    """Write down what the machine can do now, in place of what was there."""
    for dtype in dtypes:
        ceiling = bench.ceiling(dtype) if when == "start" else bench.measure_ceiling(dtype, when)
        same = [c for c in done.ceilings if (c.dtype, c.threads, c.when) == (dtype, bench.threads, when)]
        done.ceilings = [c for c in done.ceilings if c not in same] + [ceiling]


def line(row: Row) -> str:
    """Say in one line what a row says."""
    who = f"{row.measure:24s} {row.point:14s} {row.cell:6s} {row.dtype} {row.threads}"
    if row.grown_bytes:
        return f"{who}  " + "  ".join(f"{name} {n / 2**20:.1f} MiB" for name, n in row.grown_bytes.items())
    if not row.times:
        return f"{who}  {row.left_out}"
    best = summary.best_peer(row)
    lead = "" if best is None else f"  {best} {row.times_elman[best]:.2f}x"
    return f"{who}  elman {row.times['elman'].median_us:12.2f} us{lead}"


if __name__ == "__main__":
    sys.exit(main())
