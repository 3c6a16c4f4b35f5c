"""The batch shapes that every cell is checked on, each with the reason it is there."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from elman.cells import GRU, LSTM, RNN, Cell
from elman.ops.noise import Noise
from elman.ops.weights import Weights
from elman.ragged import Ragged


class Shape(NamedTuple):
    """Lengths of the sequences, and the sizes of the layer."""

    lengths: tuple[int, ...]
    input_size: int
    hidden_size: int
    why: str

    @property
    def n_steps(self) -> int:
        return sum(self.lengths)


SHAPES: dict[str, Shape] = {
    "one": Shape((1,), 1, 1, "one number of everything: nothing to average a mistake away"),
    "first_step": Shape((1, 1, 1), 3, 4, "the only step is the first, so W_hh sees the initial state alone"),
    "two_steps": Shape((2, 2), 3, 5, "the fewest steps with h_{t-1} other than the initial state"),
    "tail": Shape((3,) * 7, 9, 17, "every width one past a register or a tile, so the last one is nearly empty"),
    "wide_lane": Shape((3,) * 6, 16, 64, "widths that fill registers and tiles exactly, so there is no tail"),
    "rect": Shape((4, 4, 4), 13, 6, "input wider than the hidden state: a transposed weight cannot pass"),
    "ragged": Shape((3, 0, 7, 1, 0, 5, 7), 4, 6, "all lengths mixed, empty ones too, neither sorted nor unique"),
    "long": Shape((60, 41), 2, 3, "many steps: errors of the way back through time add up"),
    "many_rows": Shape((2, 1) * 19, 3, 5, "more sequences than a tile has rows, times threads"),
}

#: Every cell with every option that changes its equations. A projection stands for two thirds of the units.
CELL_VARIANTS: dict[str, Cell] = {
    "rnn-tanh": RNN("tanh"),
    "rnn-sigmoid": RNN("sigmoid"),
    "rnn-relu": RNN("relu"),
    "rnn-hard_sigmoid": RNN("hard_sigmoid"),
    "rnn-identity": RNN("identity"),
    "rnn-norm": RNN(layer_norm=True),
    "rnn-norm-sigmoid": RNN("sigmoid", layer_norm=True),
    "lstm": LSTM(),
    "lstm-relu-hard_sigmoid": LSTM("relu", "hard_sigmoid"),
    "lstm-peephole": LSTM(peephole=True),
    "lstm-coupled": LSTM(coupled=True),
    "lstm-peephole-coupled": LSTM("sigmoid", "tanh", peephole=True, coupled=True),
    "lstm-projection": LSTM(projection=2),
    "lstm-norm": LSTM(layer_norm=True),
    "lstm-norm-peephole": LSTM(peephole=True, layer_norm=True),
    "lstm-norm-coupled": LSTM(coupled=True, layer_norm=True),
    "lstm-all": LSTM("identity", "hard_sigmoid", peephole=True, coupled=True, projection=2, layer_norm=True),
    "gru": GRU(),
    "gru-sigmoid-hard_sigmoid": GRU("sigmoid", "hard_sigmoid"),
    "gru-before": GRU(reset_after=False),
    "gru-before-hard_sigmoid": GRU("hard_sigmoid", "hard_sigmoid", reset_after=False),
    "gru-norm": GRU(layer_norm=True),
    "gru-before-norm": GRU(reset_after=False, layer_norm=True),
}

#: What training may do at random, each alone and all together.
NOISES: dict[str, tuple[str, ...]] = {
    "recurrent dropout": ("h_mask",),
    "zoneout": ("zone_h", "zone_c"),
    "zoneout of h": ("zone_h",),
    "mean zoneout": ("mean",),
    "weight drop": ("weight_mask",),
    "all noise": ("h_mask", "zone_h", "zone_c", "weight_mask"),
}


class Problem(NamedTuple):
    """A cell with random weights, a batch, an initial state, random gradients of what comes out, and noise.

    `ids` is a batch of the same lengths that holds token ids below `input_size`.
    """

    cell: Cell
    x: Ragged
    ids: Ragged
    weights: Weights
    state: tuple[np.ndarray, ...]
    dy: np.ndarray
    dstate: tuple[np.ndarray, ...]
    noise: Noise


def make_problem(
    cell: Cell, shape: Shape, *, dtype: str = "float64", seed: int = 0, noise: tuple[str, ...] = ()
) -> Problem:
    """Draw a problem of this shape; every gate, every row and every state has numbers of its own.

    Numbers stay where the activations bend: neither zero, where a missing factor goes unseen, nor
    saturated, where every gradient is nearly zero. R shrinks with H so that 60 steps neither vanish nor explode.
    """
    rng = np.random.default_rng([seed, *map(ord, cell.name), shape.n_steps, shape.hidden_size])
    n_sequences, n_steps, hidden_size = len(shape.lengths), shape.n_steps, shape.hidden_size
    if getattr(cell, "projection", None) is not None:  # one unit leaves nothing to narrow
        cell = replace(cell, projection=2 * hidden_size // 3 if hidden_size > 1 else None)
    sizes = cell.state_sizes(hidden_size)

    def draw(*size: int, scale: float = 1.0) -> np.ndarray:
        return (scale * rng.standard_normal(size)).astype(dtype)

    weights = Weights(
        {
            name: draw(*size, scale=0.5 if len(size) == 1 else 0.9 / np.sqrt(size[1]))
            for name, size in cell.param_shapes(shape.input_size, hidden_size).items()
        }
    )
    x = Ragged(draw(n_steps, shape.input_size), shape.lengths)
    ids = x.with_values(rng.integers(0, shape.input_size, n_steps))
    state = tuple(draw(n_sequences, size) for size in sizes)
    dy = draw(n_steps, sizes[0])
    dstate = tuple(draw(n_sequences, size) for size in sizes)

    def coin(p: float, *size: int, scale: float = 1.0) -> np.ndarray:
        return (scale * (rng.random(size) < p)).astype(dtype)

    drawn = {
        "h_mask": coin(0.7, n_sequences, sizes[0], scale=1 / 0.7),
        "zone_h": coin(0.3, n_steps, sizes[0]),
        "zone_c": coin(0.4, n_steps, hidden_size),
        "weight_mask": coin(0.6, *weights["weight_hh"].shape, scale=1 / 0.6),
    }
    means = {"zone_h": 0.3, "zone_c": 0.4} if noise == ("mean",) else {name: drawn[name] for name in noise}
    return Problem(cell, x, ids, weights, state, dy, dstate, Noise(**means))
