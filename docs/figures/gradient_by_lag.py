"""How much of the gradient of the last output reaches an input so many steps before it, at the first weights."""

import matplotlib.pyplot as plt
import numpy as np

from elman import Ragged, Sequential, layers
from elman.cells.gate_orders import gate_block

STEPS, SEQUENCES, FEATURES, UNITS = 60, 64, 8, 64
COLOURS = {"RNN": "#D55E00", "GRU": "#009E73", "LSTM": "#0072B2", "LSTM, forget bias 4": "#56B4E9"}


def norms(layer, forget_bias=None):
    """Return the norm of d(sum of h at the last step)/dx by lag, a mean over sequences."""
    model = Sequential([layer], dtype="float64")
    model.build(FEATURES, rng=0)
    if forget_bias is not None:
        weights = model.named_weights()
        gate_block(weights[f"{layer.name}.bias"], "f", order=layer.cell.gates)[:] = forget_bias
        model.set_weights(weights)
    x = np.random.default_rng(0).standard_normal((SEQUENCES * STEPS, FEATURES))
    h, _, tape = layer.forward(Ragged(x, np.full(SEQUENCES, STEPS)))
    dx, _, _ = layer.backward(np.ones_like(h), tape, {name: np.zeros_like(w) for name, w in layer.weights.items()})
    by_step = np.linalg.norm(dx.to_dense(), axis=2).mean(axis=0)[::-1]
    return by_step / by_step[0]


curves = {kind.__name__: norms(kind(UNITS)) for kind in (layers.RNN, layers.GRU, layers.LSTM)}
curves["LSTM, forget bias 4"] = norms(layers.LSTM(UNITS), forget_bias=4)

figure, axes = plt.subplots(figsize=(7, 3.8))
for name, curve in curves.items():
    axes.semilogy(curve, color=COLOURS[name], lw=1.8)
    axes.text(STEPS, curve[-1], name, color=COLOURS[name], va="center")
axes.set(xlabel="steps before the last one", ylabel="gradient that arrives\n(1 at the last step)", xlim=(0, STEPS))
axes.grid(alpha=0.3)
