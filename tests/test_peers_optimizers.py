"""Optimizers and schedules against torch.optim, live: fifty steps in float64."""

import copy

import numpy as np
import pytest
from test_optimizers import Flat

from elman import schedules
from elman.training.optimizers import SGD, Adagrad, Adam, AdamW, NAdam, RMSprop

torch = pytest.importorskip("torch", reason="torch is not installed (make test-peers installs it)")

pytestmark = pytest.mark.peers

TOLERANCE = 1e-12
STEPS = 50

PAIRS = [
    (SGD(0.03), lambda p: torch.optim.SGD(p, lr=0.03)),
    (SGD(0.03, momentum=0.8), lambda p: torch.optim.SGD(p, lr=0.03, momentum=0.8)),
    (SGD(0.03, weight_decay=0.2), lambda p: torch.optim.SGD(p, lr=0.03, weight_decay=0.2)),
    (
        SGD(0.03, momentum=0.8, nesterov=True, weight_decay=0.2),
        lambda p: torch.optim.SGD(p, lr=0.03, momentum=0.8, nesterov=True, weight_decay=0.2),
    ),
    (RMSprop(0.01, rho=0.95), lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.95)),
    (RMSprop(0.01, rho=0.9, momentum=0.7), lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9, momentum=0.7)),
    (
        RMSprop(0.01, rho=0.9, momentum=0.7, centered=True, epsilon=1e-3),
        lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9, momentum=0.7, centered=True, eps=1e-3),
    ),
    (Adam(0.02, beta_1=0.8, beta_2=0.97), lambda p: torch.optim.Adam(p, lr=0.02, betas=(0.8, 0.97))),
    (AdamW(0.02, weight_decay=0.3), lambda p: torch.optim.AdamW(p, lr=0.02, weight_decay=0.3)),
    (NAdam(0.02), lambda p: torch.optim.NAdam(p, lr=0.02)),
    (NAdam(0.02, momentum_decay=0.3), lambda p: torch.optim.NAdam(p, lr=0.02, momentum_decay=0.3)),
    (Adagrad(0.1), lambda p: torch.optim.Adagrad(p, lr=0.1)),
    (
        Adagrad(0.1, initial_accumulator_value=0.4, epsilon=1e-4),
        lambda p: torch.optim.Adagrad(p, lr=0.1, initial_accumulator_value=0.4, eps=1e-4),
    ),
]

constant_defaults = [
    (SGD(), lambda p: torch.optim.SGD(p, lr=0.01)),
    (Adam(), torch.optim.Adam),
    (AdamW(), torch.optim.AdamW),
    (NAdam(), torch.optim.NAdam),
    (Adagrad(), torch.optim.Adagrad),
]


@pytest.fixture(autouse=True)
def double():
    """torch's NAdam keeps its product of momenta in the default dtype."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def noisy_gradients(rng, theta):
    """A gradient that depends on the parameters and on the step, of very different sizes."""
    scale = 10.0 ** np.linspace(-3, 1, len(theta))
    noise = rng.normal(size=(STEPS, len(theta)))
    return [lambda t, e=e: scale * e + 0.3 * np.cos(t) for e in noise]  # gentle: no rounding error may grow


def run_both(ours, make, rng, schedule=None):
    start = rng.normal(size=37)
    parameters, optimizer = Flat(start), copy.deepcopy(ours)
    theta = torch.nn.Parameter(torch.from_numpy(start.copy()))
    other = make([theta])
    scheduler = None if schedule is None else schedule(other)
    rates = []
    for g in noisy_gradients(rng, start):
        rates.append((optimizer.learning_rate, other.param_groups[0]["lr"]))
        parameters.grads[:] = g(parameters.flat)
        optimizer.step(parameters)
        theta.grad = torch.from_numpy(g(theta.detach().numpy().copy()))
        other.step()
        if scheduler is not None:
            scheduler.step()
    return start, parameters.flat, theta.detach().numpy(), rates


@pytest.mark.parametrize(("ours", "make"), [*PAIRS, *constant_defaults], ids=lambda value: repr(value)[:60])
def test_fifty_steps_agree_with_torch(ours, make, rng):
    start, found, expected, _ = run_both(ours, make, rng)
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)
    assert np.abs(found - start).max() > 1e-2


schedulers = torch.optim.lr_scheduler
SCHEDULES = {
    "step": (schedules.Step(0.1, 7, 0.5), lambda o: schedulers.StepLR(o, 7, gamma=0.5)),
    "exponential": (schedules.Exponential(0.1, 1, 0.93), lambda o: schedulers.ExponentialLR(o, 0.93)),
    "cosine": (
        schedules.Cosine(0.1, STEPS, alpha=0.2),
        lambda o: schedulers.CosineAnnealingLR(o, STEPS, eta_min=0.02),
    ),
    "warm-up": (
        schedules.Warmup(9, then=0.1, start_factor=0.25),
        lambda o: schedulers.LinearLR(o, start_factor=0.25, total_iters=9),
    ),
    "warm-up, then cosine": (
        schedules.Warmup(9, then=schedules.Cosine(0.1, STEPS - 9), start_factor=0.25),
        lambda o: schedulers.SequentialLR(
            o,
            [
                schedulers.LinearLR(o, start_factor=0.25, total_iters=9),
                schedulers.CosineAnnealingLR(o, STEPS - 9),
            ],
            milestones=[9],
        ),
    ),
    "one-cycle": (
        schedules.OneCycle(0.1, STEPS + 1),
        lambda o: schedulers.OneCycleLR(o, 0.1, total_steps=STEPS + 1, cycle_momentum=False),
    ),
    "one-cycle, straight": (
        schedules.OneCycle(0.1, STEPS + 1, 0.45, "linear", 10, 100),
        lambda o: schedulers.OneCycleLR(
            o,
            0.1,
            total_steps=STEPS + 1,
            pct_start=0.45,
            anneal_strategy="linear",
            div_factor=10,
            final_div_factor=100,
            cycle_momentum=False,
        ),
    ),
    "piecewise": (
        # torch changes the rate at the milestone, Keras, whose name this is, after it
        schedules.Piecewise([9, 29], [0.1, 0.03, 0.009]),
        lambda o: schedulers.MultiStepLR(o, [10, 30], gamma=0.3),
    ),
}


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_and_steps_agree_with_torch(name, rng):
    ours, theirs = SCHEDULES[name]
    _, found, expected, rates = run_both(SGD(ours), lambda p: torch.optim.SGD(p, lr=0.1), rng, theirs)
    np.testing.assert_allclose(*np.transpose(rates), rtol=TOLERANCE)
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)
    assert len({rate for rate, _ in rates}) >= 3
