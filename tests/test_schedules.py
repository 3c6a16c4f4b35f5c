"""Learning-rate schedules: values worked out by hand, configs, aliases, what is refused."""

import json
import math
import pickle
from dataclasses import FrozenInstanceError

import pytest

from elman import schedules
from elman.errors import UsageError
from elman.training.schedules import Cosine, Exponential, OneCycle, Piecewise, Schedule, Step, Warmup

EVERY = [
    Step(0.3, 7, 0.25),
    Exponential(0.2, 5, 0.5, staircase=True),
    Cosine(0.1, 20, alpha=0.25),
    Piecewise([3, 8], [0.4, 0.2, 0.1]),
    Warmup(4, then=0.5, start_factor=0.5),
    Warmup(4, then=Cosine(0.1, 20)),
    OneCycle(0.9, 50, 0.4, "linear", 5.0, 100.0),
]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Step(0.8, 2, 0.5), [0.8, 0.8, 0.4, 0.4, 0.2]),
        (Exponential(0.8, 2, 0.25), [0.8, 0.4, 0.2, 0.1, 0.05]),
        (Exponential(0.8, 2, 0.25, staircase=True), [0.8, 0.8, 0.2, 0.2, 0.05]),
        (Cosine(0.8, 4), [0.8, 0.4 * (1 + math.sqrt(0.5)), 0.4, 0.4 * (1 - math.sqrt(0.5)), 0.0, 0.0]),
        (Cosine(0.8, 2, alpha=0.5), [0.8, 0.6, 0.4, 0.4]),
        (Piecewise([1, 3], [3.0, 2.0, 1.0]), [3.0, 3.0, 2.0, 2.0, 1.0]),
        (Warmup(4, then=0.8, start_factor=0.5), [0.4, 0.5, 0.6, 0.7, 0.8, 0.8]),
        (Warmup(2, then=Step(0.8, 1, 0.5), start_factor=0.5), [0.4, 0.6, 0.8, 0.4, 0.2]),
        # The rise takes 0.5 · 5 − 1 = 1.5 steps, the fall 2.5.
        (OneCycle(1.0, 5, 0.5, "linear", 4.0, 5.0), [0.25, 0.75, 1 - 0.95 * 0.2, 1 - 0.95 * 0.6, 0.05, 0.05]),
    ],
    ids=repr,
)
def test_values_are_those_of_the_formula(schedule, expected):
    assert [schedule(step) for step in range(len(expected))] == pytest.approx(expected, rel=1e-12, abs=1e-17)


@pytest.mark.parametrize("schedule", EVERY, ids=repr)
def test_configs_and_copies_give_the_schedule_back(schedule):
    again = schedules.get(json.loads(json.dumps(schedule.config())))
    assert again == schedule and type(again) is type(schedule) and hash(again) == hash(schedule)
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert schedules.get(schedule) is schedule
    assert [again(step) for step in range(60)] == [schedule(step) for step in range(60)]


@pytest.mark.parametrize("schedule", EVERY, ids=repr)
def test_every_rate_is_a_float_at_any_step(schedule):
    for step in (0, 1, 10**6, 10**12):
        rate = schedule(step)
        assert type(rate) is float and rate >= 0 and math.isfinite(rate)
    with pytest.raises(FrozenInstanceError):
        schedule.alpha = 3


def test_a_rate_that_grows_for_ever_ends_in_infinity():
    assert Exponential(1.0, 1, 10.0)(10**6) == math.inf == Step(1.0, 1, 10.0)(10**6)


def test_keras_names_are_the_same_classes():
    assert schedules.ExponentialDecay is Exponential and schedules.CosineDecay is Cosine
    assert schedules.PiecewiseConstantDecay is Piecewise
    assert {type(schedule) for schedule in EVERY} == set(schedules.SCHEDULES.values())


def test_a_schedule_of_ones_own_is_a_subclass():
    class Constant(Schedule):
        name = "constant"

        def __call__(self, step):
            return 0.125

    assert schedules.get(rate := Constant()) is rate and Warmup(2, then=rate)(7) == 0.125


def nested(depth):
    """The config of a warm-up within a warm-up within …, as a forged file might hold it."""
    config = Warmup(3, then=1.0).config()
    for _ in range(depth):
        config = {**config, "then": config}
    return config


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Step(0.0, 3),
            r"'step': initial_learning_rate is out of range, expected .*\(0, inf\), got 0.0",
        ),
        (lambda: Step(0.1, 0), "schedule 'step', decay_steps: this is no count, expected an integer >= 1, got 0"),
        (lambda: Step(0.1, 1.5), "decay_steps: this is no count"),
        (lambda: Step(0.1, 3, -1), "decay_rate is out of range"),
        (lambda: Exponential(True, 3, 0.5), "initial_learning_rate is out of range"),
        (lambda: Exponential(0.1, 3, 0.5, staircase="no"), "staircase is neither True nor False"),
        (lambda: Cosine(0.1, 3, alpha=1.5), r"alpha is out of range, expected a number in \[0, 1\], got 1.5"),
        (lambda: Piecewise([3, 2], [1, 2, 3]), "boundaries and values do not fit, expected boundaries in rising order"),
        (lambda: Piecewise([3], [1, 2, 3]), "boundaries and values do not fit"),
        (lambda: Piecewise(3, [1, 2]), "boundaries is no list"),
        (lambda: Piecewise([3], [1, -2]), "values is out of range"),
        (lambda: Warmup(3, then=-1.0), "schedule 'warmup': then is out of range"),
        (lambda: Warmup(3, then=Warmup(3, then=1.0)), "then is a warm-up itself, expected another schedule, or a rate"),
        (lambda: schedules.get(nested(2)), "schedules are nested too deep"),
        (lambda: schedules.get(nested(5000)), "schedules are nested too deep"),
        (lambda: Warmup(3, then=1.0, start_factor=0), "start_factor is out of range"),
        (lambda: schedules.get({"type": "warmup", "steps": 3, "then": {"type": "sine"}}), "there is no such schedule"),
        (lambda: OneCycle(0.1, 1), "total_steps is out of range, expected >= 2, got 1"),
        (lambda: OneCycle(0.1, 10, 1.0), "pct_start is out of range"),
        (lambda: OneCycle(0.1, 10, div_factor=0.5), r"div_factor is out of range, expected a number in \[1, inf\)"),
        (
            lambda: OneCycle(0.1, 10, anneal_strategy="sine"),
            "anneal_strategy is not accepted, expected 'cos' or",
        ),
        (lambda: schedules.get({"type": "sine"}), r"there is no such schedule, expected one of \['cosine',"),
        (lambda: schedules.get({"type": "step", "gamma": 1}), "schedule 'step': .*'gamma'"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(UsageError, match=message):
        make()
