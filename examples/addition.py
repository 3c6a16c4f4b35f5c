"""Learn to add: a network of 16 units sees 10,000 sums, bit by bit, and finds the carry by itself."""

import numpy as np

from elman import Sequential, layers, optimizers


def bits(numbers, steps):
    """Return the bits of numbers, least significant first: (len(numbers), steps)."""
    return np.array([[int(n) >> k & 1 for k in range(steps)] for n in numbers])


def add(a, b, steps):
    """Ask the network for sums: one row of bits each."""
    return model.predict(np.stack([bits(a, steps), bits(b, steps)], axis=-1), batch_size=16_384)[..., 0]


rng = np.random.default_rng(0)
model = Sequential([layers.RNN(16, activation="sigmoid", return_sequences=True), layers.Dense(1, activation="sigmoid")])
model.compile(optimizers.SGD(0.4), "mse")  # the lesson's 0.1 against half the sum of 8 squares; ours is their mean
model.build(2)
model.set_weights({name: rng.uniform(-1, 1, w.shape) * (w.ndim > 1) for name, w in model.named_weights().items()})

a, b = rng.integers(0, 128, (2, 10_000))
for start in range(0, 10_000, 1000):
    some = slice(start, start + 1000)
    x = np.stack([bits(a[some], 8), bits(b[some], 8)], axis=-1)
    model.fit(x, bits(a[some] + b[some], 8)[..., None], batch_size=1, shuffle=False, verbose=0)
    last, output = start + 999, add(a[some][-1:], b[some][-1:], 8)[0]
    true, pred = bits([a[last] + b[last]], 8)[0], (output > 0.5).astype(int)
    print(f"example {last + 1:,}   error {abs(true - output).sum():.4f}\n  pred  {pred[::-1]}\n  true  {true[::-1]}")
    print(f"  {a[last]} + {b[last]} = {(pred << np.arange(8)).sum()}\n")

for width in (16, 32, 64):
    c, d = ([int.from_bytes(rng.bytes(width // 8)) for _ in range(10_000)] for _ in "cd")
    right = ((add(c, d, width + 1) > 0.5) == bits(map(sum, zip(c, d, strict=True)), width + 1)).all(axis=1)
    print(f"{right.sum():,} of {len(right):,} random sums of {width}-bit numbers right")
c, d = np.divmod(np.arange(16_384), 128)
print(f"{((add(c, d, 8) > 0.5) == bits(c + d, 8)).all(axis=1).sum():,} of {len(c):,} sums right")
