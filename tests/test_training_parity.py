"""Fifty training steps, loss by loss, against torch: the test that tells most.

One wrong sign, one forgotten term, one epsilon in another place, and the losses part within a few steps.
"""

from pathlib import Path

import numpy as np
import pytest

from elman import layers
from elman.engines.native import Engine
from elman.training.batches import StreamBatches
from elman.training.optimizers import Adam, clip_global_norm
from elman.training.parameters import Parameters

GOLDEN = Path(__file__).parent / "golden"
KINDS = {"rnn": layers.RNN, "lstm": layers.LSTM, "gru": layers.GRU}
STREAMS, STEPS, VOCABULARY, HIDDEN = 4, 10, 11, 16
CLIP, LEARNING_RATE = 0.2, 5e-3

# Both sides add the same float64 numbers in another order; 50 Adam steps amplify that to about 1e-12 (measured), and
# the smallest real fault we could plant (epsilon inside Adam's square root) shows at 1e-7.
TOLERANCE = 1e-9


def build(kind: str, arrays: dict[str, np.ndarray]) -> tuple[Engine, Parameters]:
    """Build the network of the golden file with torch's weights."""
    stack = [
        KINDS[kind](HIDDEN, return_sequences=True, name=kind),
        KINDS[kind](HIDDEN, return_sequences=True, name=f"{kind}_2"),
        layers.Dense(VOCABULARY, name="dense"),
    ]
    parameters = Parameters.build(stack, VOCABULARY, dtype=np.float64, rng=np.random.default_rng(0))
    named = parameters.named()
    given = {key.removeprefix("weights."): value for key, value in arrays.items() if key.startswith("weights.")}
    assert set(named) == set(given)
    for key, value in given.items():
        named[key][...] = value
    parameters.clock.ticks += 1
    return Engine(stack, parameters, "cross_entropy"), parameters


@pytest.mark.mutants
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_fifty_losses_agree_with_torch(kind):
    golden = dict(np.load(GOLDEN / f"training_{kind}.npz"))
    engine, parameters = build(kind, golden)
    optimizer = Adam(learning_rate=LEARNING_RATE)
    state, losses, norms = None, [], []
    for batch in StreamBatches(golden["ids"].astype(np.int64), n_streams=STREAMS, steps=STEPS):
        loss, _, state = engine.loss_and_gradients(batch, state=state)
        losses.append(loss)
        norms.append(clip_global_norm(parameters, CLIP))
        if len(losses) == 1:
            for key, gradient in parameters.named_grads().items():
                np.testing.assert_allclose(gradient, golden[f"grads.{key}"], rtol=0, atol=1e-14, err_msg=key)
        optimizer.step(parameters)
    np.testing.assert_allclose(losses, golden["losses"], rtol=TOLERANCE)
    np.testing.assert_allclose(norms, golden["norms"], rtol=TOLERANCE)
