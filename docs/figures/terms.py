"""What every step adds to the gradient of a net that counts: the running sum of its inputs, step by step."""

import matplotlib.pyplot as plt
import numpy as np

from elman import Sequential, inspection, layers

rng = np.random.default_rng(0)
x = rng.standard_normal((400, 60, 1))
y = np.cumsum(x, axis=1) / 8
model = Sequential([layers.LSTM(12, return_sequences=True), layers.Dense(1)])
model.compile({"type": "adam", "learning_rate": 0.01}, "mse", clip=1.0)
model.fit(x, y, epochs=10, batch_size=25, verbose=0, rng=0)
terms = inspection.contributions(model, x[:20], y[:20])
plt.figure(FigureClass=lambda *_, **__: terms.plot())
