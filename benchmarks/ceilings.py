"""What the machine can do: its fastest matrix product, its fastest reading, and what follows for a point."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.grid import Cost
from benchmarks.results import Ceiling, figure
from benchmarks.timing import Budget, Contestant, Local, Timing, alternate
from elman.ops import linear
from elman.ops.weights import Weights
from elman.ops.workspace import Workspace, activate

PRODUCT_SIZE = 1536
READ_SIDES = (512, 1448, 4096)  # of square float32 matrices: 1, 8 and 64 MB


def _by_elman(a: np.ndarray, b: np.ndarray) -> Callable[[], object]:
    weights = Weights({"weight": b, "bias": np.zeros(len(b), b.dtype)})
    workspace = Workspace()

    def call() -> object:
        workspace.begin()
        with activate(workspace):
            return linear.forward(a, weights, activation=None)

    return call


def matrix_products(dtype: str, *, torch: bool) -> dict[str, Contestant]:
    """Give a large matrix product by everyone here: the fastest is what the machine can do.

    torch.mm alone would not do: on AMD its library stays with AVX2, at half the speed of torch's own oneDNN.

    Args:
        dtype: of the numbers.
        torch: whether torch is here.
    """
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((PRODUCT_SIZE, PRODUCT_SIZE)).astype(dtype) for _ in range(2))
    found: dict[str, Callable[[], object]] = {"numpy": lambda: a @ b, "elman": _by_elman(a, b)}
    if torch:
        found |= _torch_products(a, b)
    return {who: Local(call) for who, call in found.items()}


def _torch_products(a: np.ndarray, b: np.ndarray) -> dict[str, Callable[[], object]]:
    import torch

    left, right = torch.from_numpy(a), torch.from_numpy(b)
    found: dict[str, Callable[[], object]] = {"torch.mm": lambda: torch.mm(left, right)}
    if a.dtype == np.float32 and torch.backends.mkldnn.is_available():
        product: Any = torch.ops.mkldnn._linear_pointwise
        found["oneDNN in torch"] = lambda: product(left, right, None, "none", [], "")
    return found


def product_flops() -> float:
    """Count the operations of the large product."""
    return 2.0 * PRODUCT_SIZE**3


def product_gflops(timing: Timing) -> float:
    """Give the billions of operations per second of a product that took so long."""
    return figure(product_flops() / timing.median / 1e9)


def readers(side: int, *, torch: bool) -> dict[str, Contestant]:
    """Give a product of a square float32 matrix with one vector by everyone here: it is bound by reading the matrix."""
    matrix, vector = np.ones((side, side), np.float32), np.ones(side, np.float32)
    found: dict[str, Callable[[], object]] = {
        "numpy": lambda: matrix @ vector,
        "elman": _by_elman(vector[None], matrix),
    }
    if torch:
        import torch as library

        left, right = library.from_numpy(matrix), library.from_numpy(vector)
        found["torch"] = lambda: library.mv(left, right)
    return {who: Local(call) for who, call in found.items()}


def measure(dtype: str, threads: int, when: str, *, torch: bool, budget: Budget) -> Ceiling:
    """Measure the ceilings now; reading is measured at the start only."""
    products = alternate(matrix_products(dtype, torch=torch), budget)
    speeds: dict[str, float] = {}
    if when == "start":
        for side in READ_SIDES:
            fastest = min(timing.median for timing in alternate(readers(side, torch=torch), budget).values())
            speeds[str(4 * side * side)] = figure(4 * side * side / fastest)
    return Ceiling(
        dtype=dtype,
        threads=threads,
        when=when,
        product_gflops={who: product_gflops(t) for who, t in products.items()},
        bytes_per_second=speeds,
    )


def read_speed(ceiling: Ceiling, size: float) -> float:
    """Give the bytes per second at which so many bytes are read: as fast as the next smaller size that was measured."""
    sizes = sorted(int(name) for name in ceiling.bytes_per_second)
    fitting = [each for each in sizes if each <= size]
    return ceiling.bytes_per_second[str(fitting[-1] if fitting else sizes[0])]


def least_us(cost: Cost, ceiling: Ceiling, peak_gflops: float) -> dict[str, float]:
    """Give the microseconds below which the machine cannot go, by its arithmetic and by its memory (the roofline).

    Args:
        cost: of the pass.
        ceiling: of the run.
        peak_gflops: of the matrix product beside the pass.
    """
    seconds = cost.once / read_speed(ceiling, cost.once)
    if cost.again:
        seconds += cost.again / read_speed(ceiling, cost.held)
    return {"arithmetic": figure(cost.flops / peak_gflops / 1e3), "memory": figure(seconds * 1e6)}


def fastest(ceiling: Ceiling) -> str:
    """Name whose matrix product is the fastest."""
    speeds: Mapping[str, float] = ceiling.product_gflops
    return max(speeds, key=speeds.__getitem__)
