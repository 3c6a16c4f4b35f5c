"""Binary addition as it is usually taught: one step at a time, one example at a time, plain NumPy."""

import copy

import numpy as np

BITS = 8
LARGEST = 2**BITS


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def slope(y):
    return y * (1 - y)


class NumpyAdder:
    """A sigmoid network with 2 inputs, 16 units and 1 output, trained by backpropagation through time.

    Written in the plain style of the lesson, on purpose: a table of binary numbers, arrays of one row, lists that
    grow by one entry a step, a copy of every hidden layer, updates collected over the steps and added at the end.
    """

    def __init__(self, seed: int, *, hidden: int = 16, step: float = 0.1) -> None:
        self.rng = np.random.default_rng(seed)
        self.hidden, self.step = hidden, step
        self.w_in = 2 * self.rng.random((2, hidden)) - 1
        self.w_out = 2 * self.rng.random((hidden, 1)) - 1
        self.w_rec = 2 * self.rng.random((hidden, hidden)) - 1
        self.d_in, self.d_out, self.d_rec = (np.zeros_like(w) for w in (self.w_in, self.w_out, self.w_rec))
        rows = np.unpackbits(np.arange(LARGEST, dtype=np.uint8)[:, None], axis=1)
        self.binary = dict(enumerate(rows))  # most significant bit first

    def train_one(self) -> tuple[bool, float]:
        """Train on one random sum; return whether the answer was right, and the error summed over the bits."""
        a_number = self.rng.integers(LARGEST // 2)
        b_number = self.rng.integers(LARGEST // 2)
        a, b, c = self.binary[a_number], self.binary[b_number], self.binary[a_number + b_number]
        answer = np.zeros_like(c)
        error_sum = 0.0
        output_deltas, hidden_layers = [], [np.zeros(self.hidden)]

        for position in range(BITS):
            at = BITS - position - 1
            x = np.array([[a[at], b[at]]])
            target = np.array([[c[at]]]).T
            h = sigmoid(np.dot(x, self.w_in) + np.dot(hidden_layers[-1], self.w_rec))
            y = sigmoid(np.dot(h, self.w_out))
            error = target - y
            output_deltas.append(error * slope(y))
            error_sum += np.abs(error[0, 0])
            answer[at] = np.round(y[0, 0])
            hidden_layers.append(copy.deepcopy(h))

        delta_later = np.zeros(self.hidden)
        for at in range(BITS):
            x = np.array([[a[at], b[at]]])
            h, h_prev = hidden_layers[-at - 1], hidden_layers[-at - 2]
            output_delta = output_deltas[-at - 1]
            delta = (np.dot(delta_later, self.w_rec.T) + np.dot(output_delta, self.w_out.T)) * slope(h)
            self.d_out += np.dot(np.atleast_2d(h).T, output_delta)
            self.d_rec += np.dot(np.atleast_2d(h_prev).T, delta)
            self.d_in += np.dot(x.T, delta)
            delta_later = delta

        self.w_in += self.d_in * self.step
        self.w_out += self.d_out * self.step
        self.w_rec += self.d_rec * self.step
        self.d_in *= 0
        self.d_out *= 0
        self.d_rec *= 0
        return bool((answer == c).all()), error_sum

    def train(self, examples: int) -> int:
        """Train on random sums of two 7-bit numbers; return how many answers were right."""
        return sum(self.train_one()[0] for _ in range(examples))
