"""Fifty training steps of every option, loss by loss, against torch's autograd over equations written by hand.

Where torch has a module that does the same, it is the judge; elsewhere `twins` is. Masks that training draws are read
from the layer's tape and given to the judge.
"""

from __future__ import annotations

import numpy as np
import pytest
import twins
from shapes import CELL_VARIANTS
from test_recurrent_options import OPTIONS, RECURRENT, make

from elman import layers
from elman.engines.native import Engine
from elman.ragged import Ragged
from elman.training.batches import Batch
from elman.training.optimizers import Adam, clip_global_norm
from elman.training.parameters import Parameters

torch = pytest.importorskip("torch", reason="torch is not installed (make test-peers installs it)")

pytestmark = pytest.mark.peers

STEPS, LENGTHS, FEATURES, UNITS, CLASSES = 50, (4, 0, 2, 3), 3, 5, 4
CLIP, LEARNING_RATE = 0.2, 5e-3
#: As in test_training_parity.py: both add the same float64 numbers, in another order.
TOLERANCE = 1e-9


def windows():
    """Draw fifty batches; sequence i of each goes on where sequence i of the one before ended."""
    rng = np.random.default_rng(11)
    for _ in range(STEPS):
        x = Ragged(rng.standard_normal((sum(LENGTHS), FEATURES)), LENGTHS)
        # Something to learn: the class is told by the signs of two features.
        target = (x.values[:, 0] > 0) * 2 + (x.values[:, 1] > 0)
        yield Batch(x, target.astype(np.int64), None, False)


def spied(layer):
    """Give the list that the layer's tapes are put into."""
    tapes, forward = [], layer.forward

    def spy(x, **options):
        out = forward(x, **options)
        tapes.append(out[2])
        return out

    layer.forward = spy
    return tapes


def train(layer, judge, *, carry=True):
    """Train the layer and a Dense beside the judge, from the same weights; compare losses, norms and weights."""
    stack = [layer, layers.Dense(CLASSES, name="head")]
    parameters = Parameters.build(stack, FEATURES, dtype="float64", rng=np.random.default_rng(5))
    start = np.random.default_rng(6)
    parameters.set({name: 0.5 * start.standard_normal(array.shape) for name, array in parameters.named().items()})
    weights = {name: torch.from_numpy(array.copy()).requires_grad_() for name, array in parameters.named().items()}
    engine, optimizer = Engine(stack, parameters, "cross_entropy"), Adam(learning_rate=LEARNING_RATE)
    judging = torch.optim.Adam(weights.values(), lr=LEARNING_RATE)
    tapes, rng = spied(layer), np.random.default_rng(7)
    state, state_too, clipped = None, None, 0
    for batch in windows():
        loss, _, last = engine.loss_and_gradients(batch, state=state, rng=rng)
        norm = clip_global_norm(parameters, CLIP)
        outputs, last_too = judge(
            {n.removeprefix("body."): w for n, w in weights.items()}, batch.x, state_too, tapes[-1]
        )
        logits = torch.cat(outputs) @ weights["head.weight"].T + weights["head.bias"]
        loss_too = torch.nn.functional.cross_entropy(logits, torch.from_numpy(batch.target))
        judging.zero_grad()
        loss_too.backward()
        norm_too = torch.nn.utils.clip_grad_norm_(weights.values(), CLIP)
        np.testing.assert_allclose(loss, loss_too.item(), rtol=TOLERANCE)
        np.testing.assert_allclose(norm, norm_too.item(), rtol=TOLERANCE)
        clipped += norm > CLIP
        optimizer.step(parameters)
        judging.step()
        if carry:
            state, state_too = last, [part.detach() for part in last_too]
    assert clipped
    for name, array in parameters.named().items():
        np.testing.assert_allclose(array, weights[name].detach(), rtol=0, atol=TOLERANCE)


def twin_of(layer):
    """Give the judge that runs the equations of `twins` under torch's autograd."""

    def judge(weights, x, state, tape):
        noise = tape.recurrence.noise
        noise = noise._replace(
            **{name: torch.from_numpy(mask) for name, mask in noise._asdict().items() if isinstance(mask, np.ndarray)}
        )
        if state is None:
            zeros = [torch.zeros(size, dtype=torch.float64) for size in layer.state_sizes()]
            learned = layer.initial_state == "learned"
            begin = [weights[f"{name}0"] for name in layer.cell.states] if learned else zeros
            state = [part.expand(len(x), -1) for part in begin]
        sequences = []
        for b, sequence in enumerate(x):
            mask = 1.0 if tape.x_mask is None else tape.x_mask[b]
            sequences.append(torch.from_numpy(sequence * mask))
        return twins.run(layer.cell, weights, sequences, state, noise, xp=torch)

    return judge


@pytest.mark.parametrize("case", OPTIONS)
def test_fifty_losses_agree_with_the_twin(case):
    layer = make(case, UNITS, return_sequences=True, name="body")
    train(layer, twin_of(layer), carry=layer.initial_state == "zeros")


def test_every_variant_and_noise_is_trained():
    assert set(CELL_VARIANTS) <= set(OPTIONS)
    noises = {"dropout", "recurrent_dropout", "zoneout", "weight_drop"}
    for kind in RECURRENT:
        assert noises <= {option for name, given in OPTIONS.values() if name == kind for option in given}


# --- torch's own modules --------------------------------------------------------------------------------------------


MODULES = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


def module_of(kind, *, bidirectional=False, projection=0):
    """Give the judge that runs torch's module with the weights it is handed, sequence after sequence."""
    options = {"proj_size": projection} if projection else {}
    module = MODULES[kind](
        FEATURES, UNITS, batch_first=True, dtype=torch.float64, bidirectional=bidirectional, **options
    )

    def judge(weights, x, state, tape):
        given = {}
        for way, suffix in (("forward.", ""), ("backward.", "_reverse")) if bidirectional else (("", ""),):
            own = {name: weights[way + name] for name in ("weight_ih", "weight_hh", "bias")}
            bias_hh = torch.zeros_like(own["bias"])
            if kind == "gru":  # of torch's second bias the new gate's part alone is a parameter of ours
                bias_hh = torch.cat([bias_hh[: 2 * UNITS], weights[way + "bias_hn"]])
            given |= {f"{name}_l0{suffix}": own[name] for name in ("weight_ih", "weight_hh")}
            given |= {f"bias_ih_l0{suffix}": own["bias"], f"bias_hh_l0{suffix}": bias_hh}
            if projection:
                given[f"weight_hr_l0{suffix}"] = weights[way + "weight_hr"]
        outputs, ends = [], []
        for b, sequence in enumerate(x):
            begin = None if state is None else [part[b : b + 1][None] for part in state]
            if len(sequence) == 0:
                sizes = (projection or UNITS, UNITS)[: 2 if kind == "lstm" else 1]
                zero = [torch.zeros(1, 1, size, dtype=torch.float64) for size in sizes]
                ends.append([part[0] for part in begin or zero])
                continue
            packed = begin if begin is None or kind == "lstm" else begin[0]
            packed = tuple(packed) if isinstance(packed, list) else packed
            rows = torch.from_numpy(sequence.copy())[None]
            y, end = torch.func.functional_call(module, given, (rows, packed))
            outputs.append(y[0])
            ends.append([part[0] for part in (end if isinstance(end, tuple) else (end,))])
        last = None if bidirectional else [torch.cat(parts) for parts in zip(*ends, strict=True)]
        return outputs, last

    return judge


@pytest.mark.parametrize("kind", MODULES)
def test_fifty_losses_agree_with_torchs_module(kind):
    train(RECURRENT[kind](UNITS, return_sequences=True, name="body"), module_of(kind))


def test_fifty_losses_of_a_projection_agree_with_torchs_module():
    layer = layers.LSTM(UNITS, projection=3, return_sequences=True, name="body")
    train(layer, module_of("lstm", projection=3))


@pytest.mark.parametrize("kind", MODULES)
def test_fifty_losses_of_both_directions_agree_with_torchs_module(kind):
    layer = layers.Bidirectional(RECURRENT[kind](UNITS, return_sequences=True), name="body")
    train(layer, module_of(kind, bidirectional=True), carry=False)


def test_fifty_losses_of_both_directions_with_a_projection():
    layer = layers.Bidirectional(layers.LSTM(UNITS, projection=3, return_sequences=True), name="body")
    train(layer, module_of("lstm", bidirectional=True, projection=3), carry=False)
