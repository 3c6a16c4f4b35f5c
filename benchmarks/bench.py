"""elman and torch side by side: one recurrent layer over the grid, then whole training steps.

Run as `python -m benchmarks.bench [--points small,mid] [--cells lstm] [--threads 2] [--rounds 11] [--name NAME]`.

Times are medians with half the width of the middle half; both sides run in one process, in turns, on the same number
of threads, after their answers have been compared. The peak is the best float32 matrix product of the same run.
"""

import argparse

import numpy as np
import torch

import elman
from benchmarks import recurrence, report, steps
from benchmarks.timing import Timing, alternate
from elman.ops import linear
from elman.ops.weights import Weights

DEFAULT_POINTS = "small,mid,large,ragged"


def matrix_peak(size: int = 2048, rounds: int = 7) -> dict[str, float]:
    """Measure GFLOP/s of a large float32 product by torch and by elman's own; the larger is the machine's peak."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((size, size), dtype=np.float32) for _ in range(2))
    left, right = torch.from_numpy(a), torch.from_numpy(b)
    weights = Weights({"weight": b, "bias": np.zeros(size, np.float32)})
    timings = alternate(
        {"torch": lambda: torch.mm(left, right), "elman": lambda: linear.forward(a, weights, activation=None)},
        rounds=rounds,
    )
    return {name: 2.0 * size**3 / timing.low / 1e9 for name, timing in timings.items()}


def rows_of(
    point: str, kind: str, what: str, timings: dict[str, Timing], flops: float, peak: float
) -> list[dict[str, object]]:
    """Turn the timings of one comparison into rows for JSON."""
    return [
        {
            "point": point,
            "cell": kind,
            "pass": what,
            "who": who,
            **timing.as_dict(),
            "gflops": round(flops / timing.median / 1e9, 2),
            "of_peak": round(flops / timing.median / 1e9 / peak, 4),
            "elman_is_faster_by": round(timing.median / timings["elman"].median, 3),
        }
        for who, timing in timings.items()
    ]


def layer_grid(points: list[str], cells: list[str], rounds: int) -> list[dict[str, object]]:
    """Time one layer over the grid; print a table and return its rows."""
    peaks = matrix_peak()
    peak = max(peaks.values())
    best = ", ".join(f"{who} {value:.0f}" for who, value in peaks.items())
    report.console.print(f"float32 matrix product, 2048 x 2048, GFLOP/s: {best}; peak {peak:.0f}")
    for name in points:
        batch, length, inputs, hidden, reason, _ = recurrence.POINTS[name]
        report.console.print(f"{name}: B{batch} T{length} I{inputs} H{hidden}, {reason}")
    grid = report.table(
        "one layer, float32, ms (forward+backward: weights' gradients, no dx)",
        "point, cell, pass", "elman", "torch", "ratio", "GFLOP/s", "of peak", "torch's", "packed", "ratio",
    )  # fmt: skip
    rows: list[dict[str, object]] = []
    for point in points:
        for kind in cells:
            case = recurrence.prepare(kind, recurrence.POINTS[point])
            for what, contestants, flops in (
                ("fwd", case.forward, case.forward_flops),
                ("fwd+bwd", case.both, case.both_flops),
            ):
                timings = alternate(contestants, rounds=rounds)
                rows += rows_of(point, kind, what, timings, flops, peak)
                ours, theirs = timings["elman"], timings["torch"]
                packed = timings.get("torch packed")
                grid.add_row(
                    f"{point} {kind} {what}",
                    report.milliseconds(ours),
                    report.milliseconds(theirs),
                    f"{theirs.median / ours.median:.2f}x",
                    f"{flops / ours.median / 1e9:.1f}",
                    f"{flops / ours.median / 1e9 / peak:.0%}",
                    f"{flops / theirs.median / 1e9 / peak:.0%}",
                    report.milliseconds(packed) if packed else "",
                    f"{packed.median / ours.median:.2f}x" if packed else "",
                )
    report.console.print(grid)
    return [{"peak_gflops": peaks}, *rows]


def training_steps(cells: list[str], rounds: int) -> list[dict[str, object]]:
    """Time whole training steps of the character model; print a table and return its rows."""
    grid = report.table("character model 2 x 128, B50 T50: forward, loss, backward, clip, Adam, ms",
                        "cell", "elman", "torch", "ratio")  # fmt: skip
    rows: list[dict[str, object]] = []
    for kind in cells:
        timings = alternate(steps.prepare(kind), rounds=rounds)
        ours, theirs = timings["elman"], timings["torch"]
        grid.add_row(
            kind, report.milliseconds(ours), report.milliseconds(theirs), f"{theirs.median / ours.median:.2f}x"
        )
        rows += [{"step": "char 2x128", "cell": kind, "who": who, **t.as_dict()} for who, t in timings.items()]
    report.console.print(grid)
    return rows


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", default=DEFAULT_POINTS, help=f"of {','.join(recurrence.POINTS)}; or none")
    parser.add_argument("--cells", default="rnn,lstm,gru")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--no-steps", action="store_true", help="leave the whole training steps out")
    parser.add_argument("--name", default="bench", help="results/NAME.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    elman.set_threads(options.threads)
    cells = options.cells.split(",")
    report.console.print(report.machine())
    rows = [] if options.points == "none" else layer_grid(options.points.split(","), cells, options.rounds)
    if not options.no_steps:
        rows += training_steps(cells, options.rounds)
    report.save(options.name, rows)


if __name__ == "__main__":
    main()
