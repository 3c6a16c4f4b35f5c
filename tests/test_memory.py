"""What happens when memory runs out in the native core: an error, and everything as it was."""

from __future__ import annotations

import numpy as np
import pytest

from elman import Sequential, layers
from elman.ops.core import native

pytestmark = pytest.mark.skipif(native is None, reason="the native core is not built")

STACKS = {
    "lstm": lambda: [layers.LSTM(8, peephole=True, projection=5), layers.Dense(1)],
    "gru on ids": lambda: [layers.GRU(8, reset_after=False, vocab_size=6), layers.Dense(1, activation="tanh")],
    "bidirectional": lambda: [layers.Bidirectional(layers.RNN(4, layer_norm=True)), layers.Dense(1)],
}


def make_model(stack: str) -> tuple[Sequential, list[np.ndarray]]:
    rng = np.random.default_rng(0)
    ids = "ids" in stack
    x = [rng.integers(0, 6, n) if ids else rng.standard_normal((n, 3)) for n in (4, 0, 7, 2)]
    model = Sequential(STACKS[stack]())
    model.compile("sgd", "mse")
    model.build(6 if ids else 3, ids=ids, rng=1)
    return model, x


@pytest.mark.parametrize("stack", STACKS)
def test_the_nth_allocation_fails(stack: str) -> None:
    y = np.arange(4.0)
    model, x = make_model(stack)
    before = model.named_weights()
    failures = 0
    while True:  # one allocation later each time, until a whole step goes through
        fresh = Sequential.from_config(model.config())
        fresh.load_weights(before)
        native.set_allocations_left(failures)
        try:
            loss = fresh.train_on_batch(x, y)
            break
        except MemoryError:
            failures += 1
            for name, array in fresh.named_weights().items():
                np.testing.assert_array_equal(array, before[name], err_msg=name)
        finally:
            native.set_allocations_left(-1)
        # The same model is well again.
        assert fresh.train_on_batch(x, y) == model.train_on_batch(x, y)
        model.load_weights(before)
    assert failures > 5
    assert loss == model.train_on_batch(x, y)
