"""Gates and states of an LSTM over a sequence whose marked step it has to remember."""

import matplotlib.pyplot as plt
import numpy as np

from elman import Sequential, inspection, layers

rng = np.random.default_rng(0)
N, STEPS = 1500, 30
x = np.stack([rng.standard_normal((N, STEPS)), np.zeros((N, STEPS))], axis=2)
at = rng.integers(0, STEPS, N)
x[np.arange(N), at] = np.stack([2.0 * rng.choice([-1, 1], N), np.ones(N)], axis=1)
y = (x[np.arange(N), at, 0] > 0).astype(int)
model = Sequential([layers.LSTM(12), layers.Dense(2)])
model.compile({"type": "adam", "learning_rate": 0.02}, "cross_entropy", clip=1.0)
model.fit(x, y, epochs=10, batch_size=50, verbose=0, rng=0)
found = inspection.gates_and_states(model, x[:200])
plt.figure(FigureClass=lambda *_, **__: found.plot(sequence=3, signal=x[3]))
