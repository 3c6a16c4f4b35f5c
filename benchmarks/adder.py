"""The binary adder, microseconds per example: the taught NumPy loop, elman, and how many sums each gets right.

Run as `python -m benchmarks.adder [--seeds 5]`.
"""

import argparse
import time

import elman
from benchmarks import report
from benchmarks.adder_numpy import NumpyAdder
from benchmarks.summary import Table

EXAMPLES = 10_000


def seconds_of(run) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    """Train both on every seed, in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    elman.BinaryAdder(random_state=0, examples=100).fit()
    lines: list[list[str]] = []
    rows: list[dict[str, object]] = []
    for seed in range(options.seeds):
        lesson, adder = NumpyAdder(seed), elman.BinaryAdder(random_state=seed, examples=EXAMPLES)
        theirs = seconds_of(lambda lesson=lesson: lesson.train(EXAMPLES)) / EXAMPLES * 1e6
        ours = seconds_of(adder.fit) / EXAMPLES * 1e6
        right, of = adder.count_right_of_all()
        answers = f"{right:,} of {of:,}"
        lines.append([str(seed), f"{theirs:.1f}", f"{ours:.1f}", f"{theirs / ours:.1f}x", answers])
        rows.append({"seed": seed, "numpy_us": round(theirs, 2), "elman_us": round(ours, 2), "right": right, "of": of})
    ratios = sorted(row["numpy_us"] / row["elman_us"] for row in rows)
    columns = ("seed", "NumPy", "elman", "ratio", "right")
    report.show(Table("binary addition, 10,000 examples, us per example", columns, lines))
    report.console.print(f"median ratio {ratios[len(ratios) // 2]:.1f}x")
    report.save("adder", rows)


if __name__ == "__main__":
    main()
