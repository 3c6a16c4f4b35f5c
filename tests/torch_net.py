"""The same networks in torch: the judge for golden files and for the live comparison."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

torch.set_num_threads(1)  # the nets are tiny; waiting for a second thread takes longer than the work

CLIP = 0.2  # close to the gradient norms of this net, so that some of the 50 steps are clipped and some are not
LEARNING_RATE = 5e-3
STREAMS, STEPS, WINDOWS = 4, 10, 50
VOCABULARY, HIDDEN = 11, 16

MODULES = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


def recurrent(kind: str, input_size: int, hidden_size: int, *, layers: int) -> nn.RNNBase:
    """Build torch's module with one effective bias per gate: `bias_hh` is zero and frozen.

    With two trainable biases every optimizer step would move the effective bias twice as far. GRU keeps the part of
    `bias_hh` that stands inside r * (R_n h + b_hn).
    """
    module = MODULES[kind](input_size, hidden_size, layers, batch_first=True, dtype=torch.float64)
    for layer in range(layers):
        bias = getattr(module, f"bias_hh_l{layer}")
        with torch.no_grad():
            if kind != "gru":
                bias.zero_()
                bias.requires_grad_(False)
            else:
                keep = torch.zeros_like(bias)
                keep[2 * hidden_size :] = 1
                bias.mul_(keep)
                bias.register_hook(lambda grad, keep=keep: grad * keep)
    return module


def elman_arrays(module: nn.RNNBase, layer: int, *, grad: bool = False) -> dict[str, np.ndarray]:
    """Return one layer's weights (or gradients) under elman's names."""

    def pick(name: str) -> np.ndarray:
        tensor = getattr(module, f"{name}_l{layer}")
        return (tensor.grad if grad else tensor).detach().numpy().copy()

    arrays = {"weight_ih": pick("weight_ih"), "weight_hh": pick("weight_hh"), "bias": pick("bias_ih")}
    if isinstance(module, nn.GRU):
        arrays["bias_hn"] = pick("bias_hh")[2 * module.hidden_size :]
    return arrays


class CharModel(nn.Module):
    """One-hot characters, two recurrent layers, one dense layer."""

    def __init__(self, kind: str, *, vocabulary: int = VOCABULARY, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.kind, self.vocabulary = kind, vocabulary
        self.body = recurrent(kind, vocabulary, hidden, layers=2)
        self.head = nn.Linear(hidden, vocabulary, dtype=torch.float64)

    def forward(self, ids: torch.Tensor, state):
        """Return logits (B, T, V) and the last state."""
        y, state = self.body(nn.functional.one_hot(ids, self.vocabulary).double(), state)
        return self.head(y), state

    def arrays(self, *, grad: bool = False) -> dict[str, np.ndarray]:
        """Return all weights (or gradients) under the names of an elman model."""
        cell = self.kind
        named = {f"{cell}.{key}": value for key, value in elman_arrays(self.body, 0, grad=grad).items()}
        named |= {f"{cell}_2.{key}": value for key, value in elman_arrays(self.body, 1, grad=grad).items()}
        for name in ("weight", "bias"):
            tensor = getattr(self.head, name)
            named[f"dense.{name}"] = (tensor.grad if grad else tensor).detach().numpy().copy()
        return named


def text_ids(seed: int) -> np.ndarray:
    """Draw a sequence with something to learn: mostly counting upwards, sometimes a jump."""
    rng = np.random.default_rng(seed)
    jumps = np.where(rng.random(STREAMS * STEPS * WINDOWS + 1) < 0.3, rng.integers(0, VOCABULARY, 2001), 1)
    return np.cumsum(jumps) % VOCABULARY


def train(model: CharModel, ids: np.ndarray) -> Iterator[tuple[float, float]]:
    """Train by truncated backpropagation through time with carried state; yield loss and gradient norm per window."""
    x = torch.from_numpy(ids[:-1].reshape(STREAMS, -1))
    y = torch.from_numpy(ids[1:].reshape(STREAMS, -1))
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE)
    state = None
    for start in range(0, STEPS * WINDOWS, STEPS):
        logits, state = model(x[:, start : start + STEPS], state)
        state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), y[:, start : start + STEPS].flatten())
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(parameters, CLIP)
        yield loss.item(), norm.item()
        optimizer.step()
