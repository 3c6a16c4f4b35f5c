"""What one would write in torch for the same jobs."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

MODULES = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class CharModel(nn.Module):
    """Characters, embedded or one-hot (embedding=0), a stack of recurrent layers, one dense layer."""

    def __init__(self, kind: str, *, vocabulary: int, embedding: int = 0, hidden: int = 128, layers: int = 2) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.embedding = nn.Embedding(vocabulary, embedding) if embedding else None
        self.body = MODULES[kind](embedding or vocabulary, hidden, layers, batch_first=True)
        self.head = nn.Linear(hidden, vocabulary)

    def forward(self, ids: torch.Tensor, state):
        """Return logits (B, T, V) and the last state."""
        x = nn.functional.one_hot(ids, self.vocabulary).float() if self.embedding is None else self.embedding(ids)
        y, state = self.body(x, state)
        return self.head(y), state


def detach(state):
    """Cut the state from the graph that made it."""
    return tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()


class Trainer:
    """Truncated backpropagation through time: forward, loss, backward, clip, Adam; the state is carried."""

    def __init__(self, model: CharModel, *, learning_rate: float = 2e-3, clip: float = 5.0) -> None:
        self.model, self.clip = model, clip
        self.parameters = list(model.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, lr=learning_rate, fused=True)

    def step(self, x: torch.Tensor, y: torch.Tensor, state):
        """Train on one window (B, T); return the loss and the state to go on from."""
        logits, state = self.model(x, state)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimizer.step()
        return loss.item(), detach(state)

    @torch.inference_mode()
    def validate(self, x: torch.Tensor, y: torch.Tensor, *, steps: int = 2000) -> float:
        """Return the mean loss over one stream (T,) from the zero state, in nats per character."""
        state, total = None, 0.0
        for start in range(0, len(x), steps):
            logits, state = self.model(x[None, start : start + steps], state)
            part = y[start : start + steps]
            total += nn.functional.cross_entropy(logits[0], part, reduction="sum").item()
        return total / len(x)


def weights_of_module(module: nn.Module, *, suffix: str, grad: bool = False) -> dict[str, np.ndarray]:
    """Copy one layer's weights or gradients to elman's names.

    Two biases become one, but for the part inside GRU's reset: of the weights their sum, of the gradients either.

    Args:
        module: a recurrent module or cell.
        suffix: of the names, such as "_l0" or "_l0_reverse".
        grad: whether the gradients are wanted.
    """
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    parameters = {name: getattr(module, f"{name}{suffix}") for name in names}
    get = {name: (p.grad if grad else p.detach()).numpy().copy() for name, p in parameters.items()}
    bias = get["bias_ih"] if grad else get["bias_ih"] + get["bias_hh"]
    named = {"weight_ih": get["weight_ih"], "weight_hh": get["weight_hh"], "bias": bias}
    if isinstance(module, nn.GRU | nn.GRUCell):
        new_gate = slice(2 * module.hidden_size, None)
        named["bias"][new_gate] = get["bias_ih"][new_gate]
        named["bias_hn"] = get["bias_hh"][new_gate]
    return named


@torch.no_grad()
def set_weights(module: nn.Module, weights: Mapping[str, np.ndarray], *, suffix: str) -> None:
    """Copy weights by elman's names into a module: the second bias is zero but for what stands inside GRU's reset."""
    bias_hh = np.zeros_like(weights["bias"])
    if "bias_hn" in weights:
        bias_hh[-len(weights["bias_hn"]) :] = weights["bias_hn"]
    named = {"weight_ih": weights["weight_ih"], "weight_hh": weights["weight_hh"], "bias_ih": weights["bias"]}
    for name, array in (named | {"bias_hh": bias_hh}).items():
        getattr(module, f"{name}{suffix}").copy_(torch.from_numpy(array))
