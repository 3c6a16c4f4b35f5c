"""One recurrent layer, elman's op and torch's module on the same numbers."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from benchmarks.torch_models import MODULES, one_bias
from elman.cells import CELLS
from elman.ops import recurrence
from elman.ops.weights import Weights
from elman.ops.workspace import Workspace, activate
from elman.ragged import Ragged

TOLERANCE = 1e-5  # float32, of the norm; weight gradients sum thousands of terms in another order: ten times that


class Point(NamedTuple):
    """A place of the grid, and why it is there."""

    batch: int
    steps: int
    input_size: int
    hidden: int
    reason: str
    ragged: bool = False


POINTS = {
    "adder": Point(1, 8, 2, 16, "nothing but overhead"),
    "small": Point(32, 50, 32, 64, "small nets, where most people start"),
    "mnist": Point(50, 28, 28, 100, "images as sequences of rows; widths that fit no register"),
    "char": Point(50, 50, 65, 128, "one layer of the character model"),
    "mid": Point(64, 100, 128, 128, "weights fit the first caches"),
    "large": Point(32, 128, 512, 512, "weights do not"),
    "ragged": Point(64, 400, 40, 64, "speech: lengths uniform in [T/10, T]", ragged=True),
}


class Case(NamedTuple):
    """What is timed at one point for one cell: name -> one call's work, and the products' cost."""

    forward: dict[str, Callable[[], object]]
    both: dict[str, Callable[[], object]]
    forward_flops: float
    both_flops: float


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return |a − b| / |b|."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def check(what: str, ours: np.ndarray, theirs: torch.Tensor, tolerance: float) -> None:
    """Raise unless both say the same."""
    off = distance(ours, theirs.detach().numpy())
    if not off <= tolerance:
        raise AssertionError(f"{what}: elman and torch differ by {off:.1e} of the norm, tolerance {tolerance:.0e}")


def prepare(kind: str, point: Point, *, seed: int = 0) -> Case:
    """Build both sides, see that they agree, and return what is to be timed.

    Both compute outputs, and on the way back the gradients of all weights, not of x (the first layer of a net needs
    none) and not of the initial state, which is zero.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    batch, steps, input_size, hidden, _, ragged = point
    lengths = rng.integers(steps // 10, steps + 1, batch) if ragged else np.full(batch, steps)
    n = int(lengths.sum())
    x = Ragged(rng.standard_normal((n, input_size), dtype=np.float32), lengths)
    dy = x.with_values(rng.standard_normal((n, hidden), dtype=np.float32))

    module = MODULES[kind](input_size, hidden, batch_first=True)
    parameters = list(module.parameters())
    x_padded, dy_padded = torch.from_numpy(x.to_dense()), torch.from_numpy(dy.to_dense())
    longest = x_padded.shape[1]
    flat = np.concatenate([b * longest + np.arange(length) for b, length in enumerate(lengths)])  # the true steps

    cell, weights, workspace = CELLS[kind](), Weights(one_bias(module, 0)), Workspace()
    grads = {name: np.zeros_like(value) for name, value in weights.items()}

    def elman_forward() -> np.ndarray:
        workspace.begin()
        with activate(workspace):
            return recurrence.forward(cell, x, weights, state=None, tape=False)[0]

    def elman_both() -> np.ndarray:
        for gradient in grads.values():
            gradient.fill(0)
        workspace.begin()
        with activate(workspace):
            y, _, tape = recurrence.forward(cell, x, weights, state=None, tape=True)
            recurrence.backward(cell, dy.values, tape, weights, grads, dstate=None, want_dx=False, keep_dh=False)
        return y

    def torch_forward() -> torch.Tensor:
        with torch.inference_mode():
            return module(x_padded)[0]

    def torch_both() -> torch.Tensor:
        for parameter in parameters:
            parameter.grad = None
        y, _ = module(x_padded)
        y.backward(dy_padded)
        return y

    forward = {"elman": elman_forward, "torch": torch_forward}
    both = {"elman": elman_both, "torch": torch_both}
    pick = torch.from_numpy(flat)
    check(f"{kind} y", elman_forward(), torch_forward().flatten(0, 1)[pick], TOLERANCE)
    check(f"{kind} y", elman_both(), torch_both().flatten(0, 1)[pick], TOLERANCE)
    by_name = {"weight_ih": "weight_ih_l0", "weight_hh": "weight_hh_l0", "bias": "bias_ih_l0"}
    for ours, theirs in by_name.items():
        check(f"{kind} d_{ours}", grads[ours], getattr(module, theirs).grad, 10 * TOLERANCE)

    if ragged:
        packed = nn.utils.rnn.pack_padded_sequence(
            x_padded, torch.from_numpy(lengths), batch_first=True, enforce_sorted=False
        )
        dy_packed = nn.utils.rnn.pack_padded_sequence(
            dy_padded, torch.from_numpy(lengths), batch_first=True, enforce_sorted=False
        ).data

        def packed_forward() -> torch.Tensor:
            with torch.inference_mode():
                return module(packed)[0].data

        def packed_both() -> torch.Tensor:
            for parameter in parameters:
                parameter.grad = None
            y = module(packed)[0].data
            y.backward(dy_packed)
            return y

        forward["torch packed"], both["torch packed"] = packed_forward, packed_both
        packed_both()
        check(f"{kind} packed d_weight_hh", grads["weight_hh"], module.weight_hh_l0.grad, 10 * TOLERANCE)

    # Multiply-adds count twice. Forward: W x and R h. Backward: dW, dR and Rᵀ d_a; Wᵀ d_a (dx) is not asked for.
    block = 2.0 * cell.n_gates * hidden * n
    return Case(forward, both, block * (input_size + hidden), block * (2 * input_size + 3 * hidden))
