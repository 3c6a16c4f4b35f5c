"""Whole training steps of the character model: elman's engine and torch on the same weights and windows."""

from collections.abc import Callable

import numpy as np
import torch

from benchmarks.recurrence import TOLERANCE
from benchmarks.torch_models import CharModel, Trainer, weights_of
from elman import layers
from elman.engines.native import Engine
from elman.training.optimizers import Adam, clip_global_norm
from elman.training.parameters import Parameters
from elman.training.streams import StreamBatches

LAYERS = {"rnn": layers.RNN, "lstm": layers.LSTM, "gru": layers.GRU}
VOCABULARY, HIDDEN, BATCH, STEPS = 65, 128, 50, 50
LEARNING_RATE, CLIP = 2e-3, 5.0


def prepare(kind: str) -> dict[str, Callable[[], object]]:
    """Build both sides, see that the losses of three steps agree, and return one step's work of each."""
    torch.manual_seed(0)
    theirs = CharModel(kind, vocabulary=VOCABULARY)
    names = (kind, f"{kind}_2")
    stack = [*(LAYERS[kind](HIDDEN, return_sequences=True, name=name) for name in names),
             layers.Dense(VOCABULARY, name="dense")]  # fmt: skip
    parameters = Parameters.build(stack, VOCABULARY, dtype=np.float32, rng=np.random.default_rng(0))
    parameters.set(weights_of(theirs, names))
    engine, optimizer = Engine(stack, parameters, "cross_entropy"), Adam(LEARNING_RATE)
    trainer = Trainer(theirs, learning_rate=LEARNING_RATE, clip=CLIP)

    ids = np.random.default_rng(0).integers(0, VOCABULARY, BATCH * STEPS + 1)
    (batch,) = StreamBatches(ids, n_streams=BATCH, steps=STEPS)
    x, y = (torch.from_numpy(part.reshape(BATCH, STEPS)) for part in (ids[:-1], ids[1:]))
    states = {"elman": None, "torch": None}

    def elman_step() -> float:
        loss, _, states["elman"] = engine.loss_and_gradients(batch, state=states["elman"])
        clip_global_norm(parameters, CLIP)
        optimizer.step(parameters)
        return loss

    def torch_step() -> float:
        loss, states["torch"] = trainer.step(x, y, states["torch"])
        return loss

    for step in range(3):
        ours, other = elman_step(), torch_step()
        # torch has two biases, so Adam moves the effective one twice as far: alike, not equal, after the first step.
        tolerance = TOLERANCE if step == 0 else 1e-2
        if not abs(ours - other) <= tolerance * other:
            raise AssertionError(f"{kind}: losses {ours} and {other} at step {step + 1}")
    return {"elman": elman_step, "torch": torch_step}
