"""The small model of four pictures: an LSTM that reports the sign of the marked step. Trained once for all of them."""

import numpy as np

from elman import Sequential, layers


def marked(n, steps, seed=0):
    """Return sequences of which the marked step decides the class."""
    rng = np.random.default_rng(seed)
    x = np.stack([rng.standard_normal((n, steps)), np.zeros((n, steps))], axis=2)
    at = rng.integers(0, steps, n)
    x[np.arange(n), at] = np.stack([2.0 * rng.choice([-1, 1], n), np.ones(n)], axis=1)
    return x, (x[np.arange(n), at, 0] > 0).astype(int)


def learned(layer, x, y, *, rate):
    """Return a model of this layer that has learned it."""
    model = Sequential([layer, layers.Dense(2)])
    model.compile({"type": "adam", "learning_rate": rate}, "cross_entropy", clip=1.0)
    model.fit(x, y, epochs=10, batch_size=50, verbose=0, rng=0)
    return model


x, y = marked(1500, 30)
model = learned(layers.LSTM(12), x, y, rate=0.02)
