"""One sequence of a million steps: the exact gradient within a gigabyte, and what that costs in time.

    python -m benchmarks.long_sequence            the whole measurement, a few minutes
    python -m benchmarks.long_sequence --quick    20,000 steps and a small budget

Memory is measured in a process of its own for each loss: the peak of its resident memory (VmHWM) less what it held once
the library was imported, so the data are counted. Time is measured where the unbounded pass fits, both in turns in one
process; before that their gradients are compared.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import elman
from benchmarks.timing import Timing, in_turns
from elman import layers

HIDDEN, FEATURES, OUTPUTS = 128, 16, 4
LOSSES = ("last step", "per step")
TOLERANCE = 1e-5  # of the norm, float32


def make(loss: str, steps: int) -> tuple[elman.Sequential, np.ndarray, np.ndarray]:
    """Draw one sequence with its targets, and build the model."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, steps, FEATURES), np.float32)
    y = rng.standard_normal((1, steps, OUTPUTS) if loss == "per step" else (1, OUTPUTS), np.float32)
    model = elman.Sequential([layers.LSTM(HIDDEN, return_sequences=loss == "per step"), layers.Dense(OUTPUTS)])
    model.compile("sgd", "mse")
    model.build(FEATURES, rng=1)
    return model, x, y


def peak_bytes() -> int:
    """Give the greatest resident memory that this process has had."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status does not say VmHWM")


def worker(loss: str, steps: int, budget: str | None) -> None:
    """Compute one gradient in this process and print what it held and how long it took."""
    imported = peak_bytes()  # numpy, elman and the native core are in
    model, x, y = make(loss, steps)
    start = time.perf_counter()
    value, gradients, _ = model.gradients(x, y, memory_budget=budget)
    took = time.perf_counter() - start
    finite = all(np.isfinite(gradient).all() for gradient in gradients.values())
    print(json.dumps({"loss": value, "finite": finite, "peak": peak_bytes() - imported, "seconds": took}))


def in_a_process(loss: str, steps: int, budget: str | None) -> dict[str, float]:
    """Run `worker` in a new process and give what it printed."""
    command = [sys.executable, "-m", "benchmarks.long_sequence", "--worker", loss, "--steps", str(steps)]
    command += ["--budget", budget] if budget else []
    found = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    figures: dict[str, float] = json.loads(found.stdout)
    return figures


def compare(loss: str, steps: int, budget: str, rounds: int) -> dict[str, Timing]:
    """Time both ways in turns, after a look at their gradients."""
    model, x, y = make(loss, steps)
    plain, bounded = (model.gradients(x, y, memory_budget=given)[1] for given in (None, budget))
    for name, gradient in plain.items():
        off = np.linalg.norm(bounded[name] - gradient) / np.linalg.norm(gradient)
        if not off <= TOLERANCE:
            raise AssertionError(f"{loss}, {name}: gradients differ by {off:.1e} of their norm")
    ways = {"unbounded": None, "bounded": budget}
    return in_turns(
        {name: lambda given=given: model.gradients(x, y, memory_budget=given) for name, given in ways.items()},
        rounds=rounds,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--budget", default=None)
    parser.add_argument("--worker", choices=LOSSES)
    given = parser.parse_args()
    if given.worker:
        worker(given.worker, given.steps, given.budget)
        return
    steps, both_fit = (20_000, 10_000) if given.quick else (given.steps, 100_000)
    budget, smaller = given.budget or ("16MiB" if given.quick else "512MiB"), "8MiB" if given.quick else "64MiB"
    results: dict[str, object] = {"steps": steps, "budget": budget}
    for loss in LOSSES:
        figures = in_a_process(loss, steps, budget)
        print(
            f"{loss}: {steps:,} steps, memory_budget={budget}: {figures['peak'] / 2**20:,.0f} MiB above the imported "
            f"library, data included, {figures['seconds']:.1f} s, loss {figures['loss']:.6f}"
        )
        times = compare(loss, both_fit, smaller, given.rounds)
        ratio = times["bounded"].over(times["unbounded"])
        print(
            f"{loss}: {both_fit:,} steps: {times['unbounded'].median:.3f} s at once, {times['bounded'].median:.3f} s "
            f"in {smaller}: {ratio:.2f} times as long (± {100 * times['bounded'].spread:.0f} %)"
        )
        results[loss] = {**figures, "ratio": round(ratio, 3)}
    print(json.dumps(results))


if __name__ == "__main__":
    main()
