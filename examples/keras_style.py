"""The first program of every Keras tutorial, and what it cannot do there without padding.

A recurrent layer of 5 units reads 100 sequences of 10 steps with 3 numbers each, a dense layer answers with one number:
the first number of the last step, so the network must learn to let go of all the steps before. `compile`, `fit` and
`predict` are called as in Keras. Then the same model, trained on, takes sequences of different lengths as a plain list
of arrays: nothing is padded or masked, and each answer is, to the last bit, what its sequence gets when it comes alone.
"""

import numpy as np

from elman import Sequential, layers

rng = np.random.default_rng(0)
x = rng.standard_normal((100, 10, 3))
y = x[:, -1, :1]

model = Sequential([layers.RNN(5), layers.Dense(1)])
model.compile(loss="mse", optimizer="adam")
history = model.fit(x, y, epochs=10, batch_size=10, rng=0, verbose=0)
for epoch, loss in enumerate(history.history["loss"], 1):
    print(f"epoch {epoch:2}  loss {loss:.4f}  {'█' * round(40 * loss)}")

x = [rng.standard_normal((length, 3)) for length in rng.integers(1, 60, 1000)]
y = np.array([steps[-1, :1] for steps in x])
history = model.fit(x, y, epochs=40, batch_size=10, rng=0, verbose=0)
print(f"\n1,000 sequences of 1 to {max(map(len, x))} steps: loss {history.history['loss'][-1]:.4f}\n")

together = model.predict(x)
for sequence, answer, truth in zip(x[:5], together, y, strict=False):
    alone = model.predict([sequence])[0]
    print(f"{len(sequence):2} steps  truth {truth[0]:+.4f}  answer {answer[0]:+.4f}  alone {alone[0]:+.4f}")
