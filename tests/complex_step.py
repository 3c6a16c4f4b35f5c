"""Exact gradients to compare with: the complex step.

For an analytic f, Im f(x + ih) / h is f'(x) up to h², and nothing is subtracted; with h = 1e-30
the answer is exact to rounding (Squire & Trapp 1998), where finite differences stop near 1e-9.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

H = 1e-30
#: float64 rounding, summed over a few thousand operations, relative to the norm of the gradient.
TOLERANCE = 1e-12
#: Up to so many entries each one is perturbed on its own; beyond, a random sample of that many.
ENTRIES = 100
#: For arrays that are sampled: directions along which all entries are perturbed at once.
DIRECTIONS = 3

Arrays = Mapping[str, np.ndarray]


def check_gradients(
    f: Callable[[Arrays], complex],
    point: Arrays,
    gradients: Arrays,
    rng: np.random.Generator,
    *,
    floor: float = 0.0,
) -> None:
    """Compare gradients with complex steps of f at a point.

    Args:
        f: takes complex128 arrays by name, gives the loss.
        point: float64 arrays by name.
        gradients: what is to be checked, for every name.
        rng: draws entries and directions of arrays too large to go through.
        floor: the least norm that a gradient is taken to have; for functions whose gradient is a difference of
            numbers of this size that all but cancel.
    """
    assert set(gradients) == set(point)
    for name, array in point.items():
        gradient = gradients[name]
        assert gradient.shape == array.shape, name
        entries = rng.permutation(array.size)[:ENTRIES]
        steps = [np.zeros(array.size) for _ in entries]
        for step, entry in zip(steps, entries, strict=True):
            step[entry] = 1
        if array.size > ENTRIES:
            steps += [rng.standard_normal(array.size) for _ in range(DIRECTIONS)]
        for step in steps:
            moved = {key: value.astype(complex) for key, value in point.items()}
            moved[name] += 1j * H * step.reshape(array.shape)
            exact = complex(f(moved)).imag / H
            got = float(gradient.reshape(-1) @ step)
            # The norm of the whole gradient along the step: an entry that happens to be tiny is not asked for digits
            # that its neighbours' rounding does not leave it.
            scale = max(float(np.linalg.norm(gradient)), floor, 1e-300) * float(np.linalg.norm(step))
            assert abs(got - exact) <= TOLERANCE * scale, (
                f"d_{name} along entry {int(np.argmax(np.abs(step)))}: {got!r}, complex step {exact!r}, "
                f"difference {abs(got - exact) / scale:.1e} of the norm"
            )
