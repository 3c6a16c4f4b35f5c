"""Backpropagation through time by hand: every term of the gradient of one error, beside what the library gives.

A network with s_t = tanh(U x_t + W s_{t-1}) and ŷ_t = softmax(V s_t) has read four steps, 0 to 3, and is wrong by
E_3 = -log ŷ_3[y_3]. V was used once, so its gradient is one product. But W and U were used at every step, and s_3
hangs on all the states before it; so the chain rule gives a sum over k, in which the way from step 3 back to step k is
a product of Jacobians ∂s_j/∂s_{j-1} = diag(1 - s_j²) W. They shrink as k goes back: the gradient vanishes.
"""

import numpy as np

from elman import Sequential, layers


def by_hand(U, W, V, x, y):
    """Return ∂E_3/∂V, and the terms over k of ∂E_3/∂W and of ∂E_3/∂U."""
    s = {-1: np.zeros(len(W))}
    for t in range(4):
        s[t] = np.tanh(U @ x[t] + W @ s[t - 1])
    e = np.exp(V @ s[3])
    y_hat = e / e.sum()
    dE_dy = -np.eye(len(V))[y] / y_hat  # ∂E_3/∂ŷ_3
    dy_dz = np.diag(y_hat) - np.outer(y_hat, y_hat)  # ∂ŷ_3/∂z_3, where z_3 = V s_3
    dE_ds = dE_dy @ dy_dz @ V  # ∂E_3/∂ŷ_3 · ∂ŷ_3/∂s_3
    terms_W, terms_U = [], []
    for k in range(4):
        way_back = np.eye(len(W))
        for j in range(3, k, -1):
            way_back = way_back @ np.diag(1 - s[j] ** 2) @ W  # ∏ ∂s_j/∂s_{j-1}
        d_a = dE_ds @ way_back * (1 - s[k] ** 2)
        terms_W.append(np.outer(d_a, s[k - 1]))  # · ∂s_k/∂W, with s_{k-1} held fixed
        terms_U.append(np.outer(d_a, x[k]))  # · ∂s_k/∂U
    return np.outer(dE_dy @ dy_dz, s[3]), terms_W, terms_U


def by_library(U, W, V, x, y):
    """Return ∂E_3/∂V, ∂E_3/∂W and ∂E_3/∂U from a model with the same weights."""
    model = Sequential([layers.RNN(len(W)), layers.Dense(len(V), activation="softmax")], dtype="float64")
    model.compile(loss="cross_entropy")
    model.build(U.shape[1])
    zeros = {name: np.zeros(w.shape) for name, w in model.named_weights().items()}  # the biases, which textbooks omit
    model.set_weights(zeros | {"rnn.weight_ih": U, "rnn.weight_hh": W, "dense.weight": V})
    _, gradient, _ = model.gradients(x[None], [y])
    return gradient["dense.weight"], gradient["rnn.weight_hh"], gradient["rnn.weight_ih"]


def compare(name, terms, library):
    """Print the terms of a gradient, then their sum beside the library's; return the largest difference."""
    print(f"\n∂E_3/∂{name}")
    for k, term in enumerate(terms if len(terms) > 1 else []):
        way_back = "".join(f"∂s_{j}/∂s_{j - 1} " for j in range(3, k, -1))
        note = "" if term.any() else "   (zero, as s_{-1} is)"
        print(f"  k = {k}:  ∂E_3/∂ŷ_3 ∂ŷ_3/∂s_3 {way_back}∂s_{k}/∂{name}{note}")
        print("\n".join(row(numbers) for numbers in term))
    print(f"  {'sum of the terms' if len(terms) > 1 else 'the product':{len(row(library[0])) + 2}}by the library")
    print("\n".join(row(ours) + "   " + row(theirs) for ours, theirs in zip(sum(terms), library, strict=True)))
    difference = abs(sum(terms) - library).max()
    print(f"  largest difference {difference:.1e}")
    return difference


def row(numbers):
    """Return a row of a matrix as text."""
    return "    " + " ".join(f"{number:+.8f}" for number in numbers + 0.0)  # + 0.0 turns -0.0 into 0.0


def main(seed=0):
    """Compare all three gradients on random numbers; return the largest differences."""
    rng = np.random.default_rng(seed)
    U, W, V = rng.uniform(-1, 1, (3, 2)), rng.uniform(-1, 1, (3, 3)), rng.uniform(-1, 1, (4, 3))
    x, y = rng.standard_normal((4, 2)), 2
    dV, terms_W, terms_U = by_hand(U, W, V, x, y)
    lib_V, lib_W, lib_U = by_library(U, W, V, x, y)
    return [compare("V", [dV], lib_V), compare("W", terms_W, lib_W), compare("U", terms_U, lib_U)]


if __name__ == "__main__":
    main()
