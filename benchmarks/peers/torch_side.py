"""torch: its recurrent modules on padded and on packed sequences, and its cells one step at a time."""

import numpy as np
import torch
from torch import nn

from benchmarks.answers import Answer
from benchmarks.peers.problem import LeftOutError, Problem, Side
from benchmarks.timing import Local
from benchmarks.torch_models import MODULES, set_weights, weights_of_module


def _module(problem: Problem) -> nn.RNNBase:
    """Build the module with the problem's weights."""
    module = MODULES[problem.kind](
        problem.point.input_size,
        problem.point.hidden,
        batch_first=True,
        bidirectional=problem.cell == "bilstm",
        dtype=getattr(torch, problem.dtype),
    )
    for suffix, weights in zip(("", "_reverse"), problem.directions, strict=False):
        set_weights(module, weights, suffix=f"_l0{suffix}")
    return module


def _grads(module: nn.RNNBase, problem: Problem) -> dict[str, np.ndarray] | None:
    """Give the gradients by elman's names; None if there are none yet."""
    if module.weight_hh_l0.grad is None:
        return None
    suffixes = ("_l0", "_l0_reverse")[: len(problem.directions)]
    return problem.named([weights_of_module(module, suffix=suffix, grad=True) for suffix in suffixes])


def padded(problem: Problem) -> Side:
    """Build the module over sequences that are padded to the longest."""
    module = _module(problem)
    parameters = list(module.parameters())
    x, dy = torch.from_numpy(problem.padded), torch.from_numpy(problem.padded_dy)

    def forward() -> torch.Tensor:
        with torch.inference_mode():
            return module(x)[0]

    def both() -> torch.Tensor:
        for parameter in parameters:
            parameter.grad = None
        y, _ = module(x)
        y.backward(dy)
        return y

    def read(y: torch.Tensor) -> Answer:
        return Answer(problem.true_steps(y.detach().numpy()), _grads(module, problem))

    return Side({"forward": Local(forward), "forward+backward": Local(both)}, read)


def packed(problem: Problem) -> Side:
    """Build the module over a PackedSequence; packing it is not part of the time."""
    if not problem.point.ragged:
        raise LeftOutError("all sequences are equally long")
    if not problem.lengths.all():
        raise LeftOutError("pack_padded_sequence refuses sequences of no steps")
    module = _module(problem)
    parameters = list(module.parameters())
    lengths = torch.from_numpy(problem.lengths)

    def pack(values: np.ndarray) -> nn.utils.rnn.PackedSequence:
        return nn.utils.rnn.pack_padded_sequence(
            torch.from_numpy(values), lengths, batch_first=True, enforce_sorted=False
        )

    x, dy = pack(problem.padded), pack(problem.padded_dy).data

    def forward() -> nn.utils.rnn.PackedSequence:
        with torch.inference_mode():
            return module(x)[0]

    def both() -> nn.utils.rnn.PackedSequence:
        for parameter in parameters:
            parameter.grad = None
        y = module(x)[0]
        y.data.backward(dy)
        return y

    def read(y: nn.utils.rnn.PackedSequence) -> Answer:
        dense, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True)
        return Answer(problem.true_steps(dense.detach().numpy()), _grads(module, problem))

    return Side({"forward": Local(forward), "forward+backward": Local(both)}, read)


CELL_MODULES = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}


class Stream:
    """One step after the other through a torch cell, the state carried.

    Args:
        problem: of which the weights and sizes are taken.
    """

    def __init__(self, problem: Problem) -> None:
        point = problem.point
        self.cell = CELL_MODULES[problem.cell](point.input_size, point.hidden, dtype=getattr(torch, problem.dtype))
        set_weights(self.cell, problem.directions[0], suffix="")
        self.state = None

    def step(self, x: np.ndarray) -> np.ndarray:
        """Take x (B, I) in, give h (B, H) out."""
        with torch.inference_mode():
            self.state = self.cell(torch.from_numpy(x), self.state)
            return (self.state[0] if isinstance(self.state, tuple) else self.state).numpy()
