"""How a training went that had too little data: the validation loss turns upward."""

import matplotlib.pyplot as plt
import numpy as np

from elman import Sequential, inspection, layers

rng = np.random.default_rng(0)
x = rng.standard_normal((160, 20, 3))
y = (x[:, -6:, 0].sum(axis=1) + rng.standard_normal(160) > 0).astype(int)
model = Sequential([layers.GRU(24), layers.Dense(2)])
model.compile({"type": "adam", "learning_rate": 0.005}, "cross_entropy", ["accuracy"], clip=1.0)
history = model.fit(x, y, epochs=25, batch_size=16, validation_split=0.4, verbose=0, rng=0)
plt.figure(FigureClass=lambda *_, **__: inspection.training_course(history).plot())
