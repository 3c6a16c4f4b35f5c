"""elman and torch side by side: one recurrent layer over the grid, then whole training steps.

Run as `python -m benchmarks.bench [--points small,mid] [--cells lstm] [--threads 2] [--rounds 11] [--name NAME]`.

Times are medians with half the width of the middle half; ratios are medians of ratios within a round. Both sides run in
one process, in turns, on the same number of threads, after their answers have been compared.
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch

import elman
from benchmarks import recurrence, report, steps
from benchmarks.timing import Timing, alternate
from elman.ops import linear
from elman.ops.weights import Weights
from elman.ops.workspace import Workspace, activate

DEFAULT_POINTS = "small,mid,large,ragged"


PRODUCT_SIZE = 2048
PRODUCT_FLOPS = 2.0 * PRODUCT_SIZE**3


def matrix_products() -> dict[str, Callable[[], object]]:
    """Give a large float32 matrix product by everyone here: the fastest is what the machine can do.

    torch.mm alone would not do: on AMD its library stays with AVX2, at half the speed of torch's own oneDNN.
    """
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((PRODUCT_SIZE, PRODUCT_SIZE), dtype=np.float32) for _ in range(2))
    left, right = torch.from_numpy(a), torch.from_numpy(b)
    weights, workspace = Weights({"weight": b, "bias": np.zeros(PRODUCT_SIZE, np.float32)}), Workspace()

    def by_elman() -> object:
        workspace.begin()
        with activate(workspace):
            return linear.forward(a, weights, activation=None)

    return {
        "torch.mm": lambda: torch.mm(left, right),
        "oneDNN in torch": lambda: torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], ""),
        "numpy": lambda: a @ b,
        "elman": by_elman,
    }


def gflops(flops: float, timing: Timing) -> float:
    """Return billions of operations per second."""
    return flops / timing.median / 1e9


def layer_grid(points: list[str], cells: list[str], rounds: int) -> list[dict[str, object]]:
    """Time one layer over the grid; print a table and return its rows."""
    products = matrix_products()
    speeds = {who: gflops(PRODUCT_FLOPS, timing) for who, timing in alternate(products, rounds=rounds).items()}
    fastest = max(speeds, key=speeds.__getitem__)
    listed = ", ".join(f"{who} {speed:.0f}" for who, speed in speeds.items())
    report.console.print(f"float32 matrix product, {PRODUCT_SIZE} x {PRODUCT_SIZE}, GFLOP/s: {listed}")
    for name in points:
        batch, length, inputs, hidden, reason, _ = recurrence.POINTS[name]
        report.console.print(f"{name}: B{batch} T{length} I{inputs} H{hidden}, {reason}")
    grid = report.table(
        "one layer, float32, ms; fwd+bwd gives the gradients of the weights, not of x; "
        f"peak: the matrix product by {fastest}, timed in turns with each row",
        "point", "cell", "pass", "elman", "torch", "ratio", "GFLOP/s", "of peak", "torch's", "packed", "ratio",
    )  # fmt: skip
    rows: list[dict[str, object]] = []
    for point in points:
        for kind in cells:
            case = recurrence.prepare(kind, recurrence.POINTS[point])
            for what, contestants, flops in (
                ("fwd", case.forward, case.forward_flops),
                ("fwd+bwd", case.both, case.both_flops),
            ):
                timings = alternate(contestants | {"peak": products[fastest]}, rounds=rounds)
                peak = timings.pop("peak")
                ours, theirs, packed = timings["elman"], timings["torch"], timings.get("torch packed")
                of_peak = {who: peak.over(timing) * flops / PRODUCT_FLOPS for who, timing in timings.items()}
                rows += [
                    {
                        "point": point,
                        "cell": kind,
                        "pass": what,
                        "who": who,
                        **timing.as_dict(),
                        "gflops": round(gflops(flops, timing), 2),
                        "of_peak": round(of_peak[who], 4),
                        "over_elman": round(timing.over(ours), 3),
                    }
                    for who, timing in timings.items()
                ]
                grid.add_row(
                    point,
                    kind,
                    what,
                    report.milliseconds(ours),
                    report.milliseconds(theirs),
                    f"{theirs.over(ours):.2f}x",
                    f"{gflops(flops, ours):.0f}",
                    f"{of_peak['elman']:.0%}",
                    f"{of_peak['torch']:.0%}",
                    report.milliseconds(packed),
                    f"{packed.over(ours):.2f}x" if packed else "",
                )
    report.console.print(grid)
    peak_rows = [{"product": who, "gflops": round(speed, 1)} for who, speed in speeds.items()]
    return [*peak_rows, *rows]


def training_steps(cells: list[str], rounds: int) -> list[dict[str, object]]:
    """Time whole training steps of the character model; print a table and return its rows."""
    grid = report.table(
        "character model 2 x 128, one-hot, B50 T50: forward, loss, backward, clip, Adam, ms",
        "cell", "elman", "torch", "ratio",
    )  # fmt: skip
    rows: list[dict[str, object]] = []
    for kind in cells:
        timings = alternate(steps.prepare(kind), rounds=rounds)
        ours, theirs = timings["elman"], timings["torch"]
        grid.add_row(kind, report.milliseconds(ours), report.milliseconds(theirs), f"{theirs.over(ours):.2f}x")
        rows += [
            {"step": "char 2x128", "cell": kind, "who": who, **t.as_dict(), "over_elman": round(t.over(ours), 3)}
            for who, t in timings.items()
        ]
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
