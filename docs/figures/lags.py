"""Gradient by lag of an RNN and of an LSTM that learned to report the sign of a marked step."""

import matplotlib.pyplot as plt
import numpy as np

from elman import Sequential, inspection, layers

rng = np.random.default_rng(0)
N, STEPS = 1500, 40
x = np.stack([rng.standard_normal((N, STEPS)), np.zeros((N, STEPS))], axis=2)
at = rng.integers(0, STEPS, N)
x[np.arange(N), at] = np.stack([2.0 * rng.choice([-1, 1], N), np.ones(N)], axis=1)
y = (x[np.arange(N), at, 0] > 0).astype(int)

curves = {}
for layer in (layers.RNN(12, name="rnn"), layers.LSTM(12, name="lstm")):
    model = Sequential([layer, layers.Dense(2)])
    model.compile({"type": "adam", "learning_rate": 0.01}, "cross_entropy", clip=1.0)
    model.fit(x, y, epochs=10, batch_size=50, verbose=0, rng=0)
    found = inspection.gradient_by_lag(model, x[:200], y[:200])
    curves |= found.curves
both = inspection.GradientByLag(curves, found.places, found.needs)
plt.figure(FigureClass=lambda *_, **__: both.plot())
