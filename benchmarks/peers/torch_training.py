"""torch's half of the whole training steps."""

import torch
from torch import nn

from benchmarks.torch_models import MODULES, set_weights
from benchmarks.training import Program


class TorchProgram(nn.Module):
    """What one would write in torch.

    Args:
        program: what is trained.
    """

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.program = program
        features = program.shape[2]
        self.body = MODULES[program.cell](features, program.units, program.n_layers, batch_first=True)
        self.head = nn.Linear(program.units, program.outputs)
        *recurrent, dense = program.weights()
        for index, weights in enumerate(recurrent):
            set_weights(self.body, weights, suffix=f"_l{index}")
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(dense["weight"]))
            self.head.bias.copy_(torch.from_numpy(dense["bias"]))
        self.loss = nn.functional.cross_entropy if program.loss == "cross_entropy" else nn.functional.mse_loss
        self.optimizer = torch.optim.Adam(self.parameters(), fused=True)
        self.x, self.y = (torch.from_numpy(part) for part in program.data())

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the loss of a batch."""
        if self.program.ids:
            x = nn.functional.one_hot(x, self.program.shape[2]).float()
        h = self.body(x)[0]
        out = self.head(h if self.program.per_step else h[:, -1])
        return self.loss(out.flatten(0, 1), y.flatten(0, 1)) if self.program.per_step else self.loss(out, y)

    def fit(self) -> None:
        """Train on shuffled batches."""
        for _ in range(self.program.epochs):
            for rows in torch.randperm(len(self.x)).split(self.program.batch_size):
                self.optimizer.zero_grad()
                self(self.x[rows], self.y[rows]).backward()
                self.optimizer.step()

    @torch.no_grad()
    def evaluate(self, rows: slice) -> float:
        """Give the loss of some sequences."""
        return self(self.x[rows], self.y[rows]).item()

    def step_and_evaluate(self, rows: slice) -> float:
        """Train one step on some sequences, and give their loss after it."""
        self(self.x[rows], self.y[rows]).backward()
        self.optimizer.step()
        return self.evaluate(rows)
