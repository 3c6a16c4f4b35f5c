"""Optimizers and clipping against torch's numbers, and what they promise about their memory."""

import copy
import json
import math
import pickle
import re
import tracemalloc

import numpy as np
import pytest

from elman import layers
from elman.errors import UsageError
from elman.ops import core
from elman.training import optimizers, schedules
from elman.training.optimizers import SGD, Adagrad, Adam, AdamW, NAdam, RMSprop, base, clip_global_norm
from elman.training.parameters import Parameters

# Rounding of four steps in float64; a wrong formula differs in the first digits.
TOLERANCE = 1e-13

START = np.array([0.5, -1.25, 2.0, 0.125])
SLOPE = np.array([1.0, -2.0, 0.5, 3.0])


# Every optimizer with every option on, and with every option off.
MAKES = {
    "sgd": lambda: SGD(0.1),
    "sgd momentum": lambda: SGD(0.1, momentum=0.5),
    "sgd nesterov decay": lambda: SGD(0.1, momentum=0.5, nesterov=True, weight_decay=0.3),
    "sgd decay": lambda: SGD(0.1, weight_decay=0.3),
    "rmsprop": lambda: RMSprop(0.1),
    "rmsprop centered momentum": lambda: RMSprop(0.1, rho=0.8, momentum=0.5, centered=True),
    "adam": lambda: Adam(0.1),
    "adamw": lambda: AdamW(0.1, weight_decay=0.25),
    "nadam": lambda: NAdam(0.1, momentum_decay=0.1),
    "adagrad": lambda: Adagrad(0.1, initial_accumulator_value=0.2),
}
every = pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
with_moments = pytest.mark.parametrize("make", [m for k, m in MAKES.items() if k not in ("sgd", "sgd decay")])


class Flat:
    """The part of Parameters that an optimizer sees, without layers."""

    def __init__(self, values, dtype=np.float64):
        self.flat = np.array(values, dtype)
        self.grads = np.zeros_like(self.flat)
        self.clock = type("Clock", (), {"ticks": 0})()


def gradient(theta, k):
    """The derivative of Σ a·sin(a θ) + 0.1 (k + 1) θ⁴, which has no symmetry an error could hide behind."""
    return SLOPE**2 * np.cos(SLOPE * theta) + 0.4 * (k + 1) * theta**3


# torch 2.13.0, float64, four steps from START on the same function:
# torch.optim.SGD(lr=0.1), SGD(lr=0.05, momentum=0.9), Adam(lr=0.01), Adam(lr=0.01, betas=(0.7, 0.95), eps=1e-3).
GOLDEN = [
    (SGD(0.1), [0.11192325308383243, -0.7121013676749299, 0.8222634654718158, 0.04720340442126386]),
    (SGD(0.05, momentum=0.9), [0.06466321535264766, -0.2918068581943055, 0.3213905845580597, -0.6192287013948926]),
    (Adam(0.01), [0.45992005985390366, -1.2098972973720483, 1.9610308206739928, 0.08497738138274716]),
    (
        Adam(0.01, beta_1=0.7, beta_2=0.95, epsilon=1e-3),
        [0.45977485562102655, -1.209338275953416, 1.9593164040094957, 0.08493849923498246],
    ),
]


@pytest.mark.mutants
@pytest.mark.parametrize(("optimizer", "expected"), GOLDEN, ids=lambda value: repr(value)[:24])
def test_four_steps_agree_with_torch(optimizer, expected):
    parameters, optimizer = Flat(START), copy.deepcopy(optimizer)
    for k in range(4):
        parameters.grads[:] = gradient(parameters.flat, k)
        optimizer.step(parameters)
    np.testing.assert_allclose(parameters.flat, expected, rtol=TOLERANCE)


@pytest.mark.mutants
def test_clipping_agrees_with_torch():
    # torch 2.13.0, SGD(lr=0.1) with clip_grad_norm_(6.5): steps 1 and 4 are clipped, 2 and 3 are not.
    expected_norms = [9.900324248044537, 5.9101706558984946, 5.445100361247139, 7.2025609454582]
    expected = [0.15314104354147157, -0.7136197212001915, 0.8480208948571284, -0.8528527223926093]
    parameters, optimizer, norms = Flat(START), SGD(0.1), []
    for k in range(4):
        parameters.grads[:] = gradient(parameters.flat, k)
        norms.append(clip_global_norm(parameters, 6.5))
        optimizer.step(parameters)
    np.testing.assert_allclose(norms, expected_norms, rtol=TOLERANCE)
    np.testing.assert_allclose(parameters.flat, expected, rtol=TOLERANCE)


def test_clipping_leaves_a_small_norm_alone(rng):
    parameters = Flat(rng.normal(size=9))
    parameters.grads[:] = rng.normal(size=9)
    before = parameters.grads.copy()
    norm = clip_global_norm(parameters, 1e3)
    assert norm == pytest.approx(np.linalg.norm(before))
    np.testing.assert_array_equal(parameters.grads, before)


def test_the_norm_is_summed_in_float64(rng):
    # Summed in float32, the norm of these numbers is wrong by 1e-6 of itself.
    parameters = Flat(np.zeros(300_000), np.float32)
    parameters.grads[:] = rng.normal(size=300_000)
    exact = math.sqrt(math.fsum(parameters.grads.astype(float) ** 2))
    assert clip_global_norm(parameters, 1e9) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_norm_that_is_not_finite_is_returned_and_nothing_scaled(rng, bad):
    parameters = Flat(rng.normal(size=5))
    parameters.grads[:] = rng.normal(size=5)
    parameters.grads[3] = bad
    before = parameters.grads.copy()
    assert not np.isfinite(clip_global_norm(parameters, 1.0))
    np.testing.assert_array_equal(parameters.grads, before)


@every
def test_blocks_give_the_bits_of_the_whole(rng, make, monkeypatch):
    start, grads = rng.normal(size=1000), rng.normal(size=(3, 1000))
    results = []
    for block in (1000, 7):
        monkeypatch.setattr(base, "BLOCK", block)
        parameters, optimizer = Flat(start), make()
        for g in grads:
            parameters.grads[:] = g
            optimizer.step(parameters)
        results.append(parameters.flat)
    np.testing.assert_array_equal(*results)
    assert not np.array_equal(results[0], start)


@every
def test_a_step_raises_the_clock_and_keeps_dtype_and_gradients(rng, make):
    parameters = Flat(rng.normal(size=20), np.float32)
    parameters.grads[:] = rng.normal(size=20)
    before, flat = parameters.grads.copy(), parameters.flat
    make().step(parameters)
    assert parameters.clock.ticks == 1
    assert parameters.flat is flat and flat.dtype == np.float32
    np.testing.assert_array_equal(parameters.grads, before)


@with_moments
@pytest.mark.parametrize("way", ["state", "pickle", "deepcopy"])
def test_an_interrupted_run_goes_on_to_the_bit(rng, make, way):
    grads = rng.normal(size=(6, 12))
    start = rng.normal(size=12)

    def run(parameters, optimizer, part):
        for g in part:
            parameters.grads[:] = g
            optimizer.step(parameters)

    whole, other = Flat(start), Flat(start)
    run(whole, make(), grads)
    first = make()
    run(other, first, grads[:3])
    if way == "state":
        second = make()
        second.set_state(first.state())
    else:
        second = pickle.loads(pickle.dumps(first)) if way == "pickle" else copy.deepcopy(first)
    resumed = Flat(other.flat)
    run(resumed, second, grads[3:])
    np.testing.assert_array_equal(resumed.flat, whole.flat)
    forgetful = Flat(other.flat)
    run(forgetful, make(), grads[3:])
    assert not np.array_equal(forgetful.flat, whole.flat)


@every
def test_an_optimizer_belongs_to_one_model(rng, make):
    optimizer = make()
    one, two = Flat(rng.normal(size=4)), Flat(START)
    optimizer.step(one)
    before = optimizer.state()
    with pytest.raises(UsageError, match=r"it belongs to another model.* Give each model its own"):
        optimizer.step(two)
    np.testing.assert_array_equal(two.flat, START)
    assert two.clock.ticks == 0
    np.testing.assert_equal(optimizer.state(), before)
    optimizer.step(one)
    optimizer.reset()
    optimizer.step(two)
    assert optimizer.steps == 1


def test_a_shallow_copy_of_an_optimizer_has_its_own_moments():
    optimizer, parameters = Adam(0.1), Flat(START)
    parameters.grads[:] = 1.0
    optimizer.step(parameters)
    before, again = optimizer.state(), copy.copy(optimizer)
    again.step(Flat(START))
    parameters.grads[:] = 5.0
    np.testing.assert_equal(optimizer.state(), before)
    assert again.steps == 2


def test_moments_never_pass_from_one_model_to_another(rng):
    optimizer, fresh = Adam(0.1), Adam(0.1)
    one, two, three = Flat(rng.normal(size=4)), Flat(START), Flat(START)
    one.grads[:] = 5.0
    optimizer.step(one)
    del one  # while it lives, the optimizer is its own
    for parameters, used in ((two, optimizer), (three, fresh)):
        parameters.grads[:] = 1.0
        used.step(parameters)
    np.testing.assert_array_equal(two.flat, three.flat)


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("way", ["state", "copy"])
def test_moments_of_another_size_are_refused_and_kept(size, way):
    optimizer, parameters = Adam(0.1), Flat(START)
    optimizer.step(parameters)
    second = copy.deepcopy(optimizer)
    if way == "state":
        second = Adam(0.1)
        second.set_state(optimizer.state())
    other = Flat(np.ones(size))
    words = (
        rf"optimizer 'adam': its moments are those of another model, expected \({size},\) float64, got \(4,\) float64"
    )
    with pytest.raises(UsageError, match=words + r"\. .* call reset\(\) to begin anew"):
        second.step(other)
    np.testing.assert_array_equal(other.flat, 1.0)
    np.testing.assert_equal(second.state(), optimizer.state())
    second.step(parameters)
    assert second.steps == 2
    second.reset()
    second.step(other)
    assert second.steps == 1


def test_state_is_a_copy_and_is_checked(rng):
    optimizer, parameters = Adam(0.1), Flat(START)
    parameters.grads[:] = rng.normal(size=4)
    optimizer.step(parameters)
    state = optimizer.state()
    state["m"][:] = 99
    assert not np.array_equal(optimizer.state()["m"], state["m"])
    with pytest.raises(UsageError, match="the state does not fit"):
        Adam(0.1).set_state({"steps": np.array(1), "m": np.zeros(4)})


@every
def test_configs_give_optimizers_back(make):
    optimizer = make()
    again = optimizers.get(json.loads(json.dumps(optimizer.config())))
    assert type(again) is type(optimizer) and again.config() == optimizer.config()
    assert again.moments == optimizer.moments
    defaults = type(optimizer)().config()
    assert repr(again).startswith(f"{type(optimizer).__name__}(learning_rate=0.1") and set(defaults) == set(
        again.config()
    )


def test_names_give_optimizers():
    for name, kind in [("Adam", Adam), ("adamw", AdamW), ("NAdam", NAdam), ("rmsprop", RMSprop), ("Adagrad", Adagrad)]:
        assert type(optimizers.get(name)) is kind
    assert repr(SGD(0.1)) == "SGD(learning_rate=0.1, momentum=0.0, nesterov=False, weight_decay=0.0)"


# One line of paper, one line of code, over whole arrays, with new arrays at every step.
def by_hand_sgd(theta, grads, eta, mu, lam, nesterov):
    v = np.zeros_like(theta)
    for g in grads:
        g = g(theta) + lam * theta
        v = mu * v + g
        theta = theta - eta * (g + mu * v if nesterov else v)
    return theta


def by_hand_rmsprop(theta, grads, eta, rho, mu, centered, eps=1e-8):
    v, m, u = np.zeros_like(theta), np.zeros_like(theta), np.zeros_like(theta)
    for g in grads:
        g = g(theta)
        v = rho * v + (1 - rho) * g**2
        m = rho * m + (1 - rho) * g
        u = mu * u + g / (np.sqrt(v - m**2 if centered else v) + eps)
        theta = theta - eta * u
    return theta


def by_hand_adam(theta, grads, eta, b1=0.9, b2=0.999, eps=1e-8, lam=0.0):
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(grads, start=1):
        g = g(theta)
        theta = theta - eta * lam * theta
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        theta = theta - eta * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
    return theta


def by_hand_nadam(theta, grads, eta, psi, b1=0.9, b2=0.999, eps=1e-8):
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    mus = [b1 * (1 - 0.5 * 0.96 ** (t * psi)) for t in range(1, len(grads) + 2)]
    for t, g in enumerate(grads, start=1):
        g = g(theta)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        ahead = mus[t] * m / (1 - np.prod(mus[: t + 1])) + (1 - mus[t - 1]) * g / (1 - np.prod(mus[:t]))
        theta = theta - eta * ahead / (np.sqrt(v / (1 - b2**t)) + eps)
    return theta


def by_hand_adagrad(theta, grads, eta, first, eps=1e-10):
    total = np.full_like(theta, first)
    for g in grads:
        g = g(theta)
        total = total + g**2
        theta = theta - eta * g / (np.sqrt(total) + eps)
    return theta


HAND = {
    "sgd": (by_hand_sgd, (0.1, 0.0, 0.0, False)),
    "sgd momentum": (by_hand_sgd, (0.1, 0.5, 0.0, False)),
    "sgd nesterov decay": (by_hand_sgd, (0.1, 0.5, 0.3, True)),
    "sgd decay": (by_hand_sgd, (0.1, 0.0, 0.3, False)),
    "rmsprop": (by_hand_rmsprop, (0.1, 0.9, 0.0, False)),
    "rmsprop centered momentum": (by_hand_rmsprop, (0.1, 0.8, 0.5, True)),
    "adam": (by_hand_adam, (0.1,)),
    "adamw": (by_hand_adam, (0.1, 0.9, 0.999, 1e-8, 0.25)),
    "nadam": (by_hand_nadam, (0.1, 0.1)),
    "adagrad": (by_hand_adagrad, (0.1, 0.2)),
}


@pytest.mark.parametrize("name", MAKES)
def test_seven_steps_agree_with_the_paper(name):
    optimizer, parameters = MAKES[name](), Flat(START)
    for k in range(7):
        parameters.grads[:] = gradient(parameters.flat, k)
        optimizer.step(parameters)
    by_hand, values = HAND[name]
    expected = by_hand(START, [lambda theta, k=k: gradient(theta, k) for k in range(7)], *values)
    np.testing.assert_allclose(parameters.flat, expected, rtol=1e-12)


def test_a_centered_rmsprop_of_a_constant_gradient_stays_finite():
    # The variance is zero then; rounding makes it negative in about half of the steps.
    optimizer, parameters = RMSprop(0.01, centered=True, rho=0.5), Flat([0.3, -0.7])
    parameters.grads[:] = [0.1, 0.3]
    for _ in range(200):
        optimizer.step(parameters)
    assert np.isfinite(parameters.flat).all()


@every
def test_a_step_allocates_no_array(make):
    optimizer, parameters = make(), Flat(np.linspace(-1, 1, 200_000))
    parameters.grads[:] = np.linspace(2, -3, 200_000)
    optimizer.step(parameters)
    tracemalloc.start()
    for _ in range(3):
        optimizer.step(parameters)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000  # an array of one block has 524,288 bytes


def test_only_who_works_in_scratch_holds_some():
    for make in MAKES.values():
        optimizer, parameters = make(), Flat(START)
        optimizer.step(parameters)
        native_adam = isinstance(optimizer, Adam) and core.native is not None
        assert (len(optimizer._work) == 0) == native_adam


@pytest.mark.mutants
def test_weight_decay_acts_on_every_parameter_and_follows_the_schedule():
    parameters = Flat(START)
    optimizer = AdamW(schedules.Step(0.5, 1, 0.1), weight_decay=0.2)
    optimizer.step(parameters)  # the gradient is zero, so decay is all that happens
    np.testing.assert_allclose(parameters.flat, START * (1 - 0.5 * 0.2), rtol=1e-15)
    optimizer.step(parameters)
    np.testing.assert_allclose(parameters.flat, START * (1 - 0.5 * 0.2) * (1 - 0.05 * 0.2), rtol=1e-15)


class TestLearningRate:
    def test_every_step_takes_the_rate_of_its_number(self):
        rate = schedules.Piecewise([1], [0.5, 0.125])
        optimizer, parameters = SGD(rate), Flat([8.0])
        parameters.grads[:] = 1.0
        seen = []
        for _ in range(4):
            seen.append(optimizer.learning_rate)
            optimizer.step(parameters)
        assert seen == [0.5, 0.5, 0.125, 0.125] and parameters.flat[0] == 8.0 - 1.25
        assert optimizer.learning_rate == 0.125

    def test_a_restored_optimizer_goes_on_in_its_schedule(self):
        rate = schedules.Exponential(0.1, 1, 0.5)
        one, parameters = SGD(rate), Flat([1.0])
        for _ in range(3):
            one.step(parameters)
        two = optimizers.get(one.config())
        assert two.learning_rate == 0.1
        two.set_state(one.state())
        assert two.schedule == rate and two.learning_rate == one.learning_rate == 0.0125

    def test_a_number_may_be_changed_and_is_checked(self):
        optimizer = Adam(0.1)
        optimizer.learning_rate = np.float32(0.25)
        assert optimizer.learning_rate == 0.25 and type(optimizer.learning_rate) is float
        with pytest.raises(UsageError, match="learning_rate is out of range"):
            optimizer.learning_rate = 0.0
        assert optimizer.config()["learning_rate"] == 0.25

    def test_a_scheduled_rate_cannot_be_set_but_the_schedule_can(self):
        optimizer = Adam(schedules.Cosine(0.1, 10))
        with pytest.raises(UsageError, match=r"follows a schedule and cannot be set, got 0.5 beside Cosine\("):
            optimizer.learning_rate = 0.5
        optimizer.learning_rate = schedules.Cosine(0.75, 10)
        assert optimizer.learning_rate == 0.75
        assert repr(optimizer).startswith("Adam(learning_rate=Cosine(initial_learning_rate=0.75,")

    def test_a_plain_function_is_refused_with_the_cure(self):
        with pytest.raises(UsageError, match=r"learning_rate is a function.* LearningRateScheduler"):
            Adam(lambda step: 0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.get("adamx"), r"compile: there is no such optimizer, expected one of \['adagrad', 'adam',"),
        (lambda: optimizers.get(3), "there is no such optimizer"),
        (lambda: optimizers.get({"type": "sgd", "lr": 1.0}), "optimizer 'sgd': .*'lr'"),
        (lambda: SGD(0), r"learning_rate is out of range, expected a number in \(0, inf\), got 0"),
        (lambda: SGD(float("nan")), "learning_rate is out of range"),
        (lambda: SGD("0.1"), "learning_rate is out of range"),
        (lambda: SGD(0.1, momentum=1.0), r"momentum is out of range, expected a number in \[0, 1\)"),
        (lambda: Adam(beta_1=-0.1), "beta_1 is out of range"),
        (lambda: Adam(beta_2=1), "beta_2 is out of range"),
        (lambda: Adam(epsilon=0), "epsilon is out of range"),
        (lambda: SGD(0.1, nesterov=True), "nesterov needs momentum, expected momentum above 0, got 0.0"),
        (lambda: SGD(0.1, nesterov=1), "nesterov is neither True nor False, got 1"),
        (lambda: SGD(0.1, weight_decay=-1), r"weight_decay is out of range, expected a number in \[0, inf\), got -1"),
        (lambda: AdamW(weight_decay=-1), "optimizer 'adamw': weight_decay is out of range"),
        (lambda: RMSprop(rho=1.0), "optimizer 'rmsprop': rho is out of range"),
        (lambda: RMSprop(centered=None), "centered is neither True nor False"),
        (lambda: NAdam(momentum_decay=-1), "momentum_decay is out of range"),
        (lambda: NAdam(beta_1=1.0), "optimizer 'nadam': beta_1 is out of range"),
        (lambda: Adagrad(initial_accumulator_value=-1), "initial_accumulator_value is out of range"),
        (lambda: optimizers.get({"type": "adam", "learning_rate": {"type": "sine"}}), "there is no such schedule"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(UsageError, match=message):
        make()


class TestParameters:
    def build(self, dtype="float64", rng=None):
        stack = [
            layers.GRU(5, return_sequences=True, name="gru"),
            layers.LSTM(3, name="lstm"),
            layers.Dense(2, name="dense"),
        ]
        return stack, Parameters.build(stack, 7, dtype=dtype, rng=rng or np.random.default_rng(0))

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_views_are_aligned_apart_and_bound(self, dtype):
        stack, parameters = self.build(dtype)
        for buffer, named in ((parameters.flat, parameters.named()), (parameters.grads, parameters.named_grads())):
            buffer.fill(0)
            for number, view in enumerate(named.values(), start=1):
                assert view.ctypes.data % 64 == 0 and np.shares_memory(view, buffer) and view.dtype == dtype
                assert not view.any()  # no view before has written here
                view.fill(number)
        assert parameters.flat.size > parameters.count  # there are gaps, or this test would see nothing
        assert np.count_nonzero(parameters.flat) == parameters.count
        assert stack[0].weights["bias_hn"] is parameters.named()["gru.bias_hn"]
        assert stack[2].weights.clock is parameters.clock

    def test_gaps_stay_zero_under_every_optimizer(self, rng):
        for make in MAKES.values():
            optimizer = make()
            _, parameters = self.build("float32")
            gaps = np.ones(parameters.flat.size, bool)
            for view in parameters.named().values():
                start = (view.ctypes.data - parameters.flat.ctypes.data) // 4
                gaps[start : start + view.size] = False
            for view in parameters.named_grads().values():
                view[...] = rng.normal(size=view.shape)
            for _ in range(3):
                optimizer.step(parameters)
            assert gaps.any() and not parameters.flat[gaps].any() and parameters.flat[~gaps].all()

    def test_a_layer_that_stands_twice_is_bound_once(self):
        shared = layers.GRU(4, return_sequences=True, name="gru")
        stack = [layers.Dense(4, name="dense"), shared, shared]
        parameters = Parameters.build(stack, 3, dtype="float64", rng=np.random.default_rng(0))
        assert parameters.count == 4 * 3 + 4 + 2 * 12 * 4 + 12 + 4
        with pytest.raises(UsageError, match="it stands twice, with inputs of different sizes"):
            again = layers.GRU(4, return_sequences=True, name="gru")
            Parameters.build([again, again], 3, dtype="float64", rng=None)

    def test_one_seed_gives_the_same_values(self):
        same = [self.build(rng=np.random.default_rng(5))[1].flat for _ in range(2)]
        np.testing.assert_array_equal(*same)
        assert not np.array_equal(same[0], self.build(rng=np.random.default_rng(6))[1].flat)

    @pytest.mark.parametrize(("bad", "dtype"), [("nan", "float64"), ("-inf", "float32"), ("1e+300", "float32")])
    def test_set_refuses_what_is_not_finite_before_anything_is_written(self, rng, bad, dtype):
        _, parameters = self.build(dtype)
        before, ticks = parameters.flat.copy(), parameters.clock.ticks
        values = {name: rng.normal(size=view.shape) for name, view in parameters.named().items()}
        values["dense.weight"][1, 2] = float(bad)
        with pytest.raises(UsageError, match=re.escape(f"'dense.weight' holds {bad}, which is not finite in {dtype}")):
            parameters.set(values)
        np.testing.assert_array_equal(parameters.flat, before)
        assert parameters.clock.ticks == ticks

    def test_set_lists_all_differences_and_changes_nothing_then(self, rng):
        _, parameters = self.build()
        before, ticks = parameters.flat.copy(), parameters.clock.ticks
        values = {name: rng.normal(size=view.shape) for name, view in parameters.named().items()}
        wrong = {**values, "lstm.bias": np.zeros(3), "lstm.extra": np.zeros(1), "dense.weight": np.array([["a"]])}
        del wrong["gru.weight_hh"]
        with pytest.raises(UsageError) as caught:
            parameters.set(wrong)
        wrong["gru.weight_ih"] = np.full((15, 7), np.nan)
        with pytest.raises(UsageError) as caught:
            parameters.set(wrong)
        assert "'gru.weight_ih' holds nan, which is not finite in float64" in str(caught.value)
        for part in ("'gru.weight_hh' is missing", "'lstm.extra' is unknown", "shape (3,), not (12,)", "not numbers"):
            assert part in str(caught.value)
        np.testing.assert_array_equal(parameters.flat, before)
        assert parameters.clock.ticks == ticks
        parameters.set(values)
        assert parameters.clock.ticks == ticks + 1
        np.testing.assert_array_equal(parameters.named()["lstm.weight_hh"], values["lstm.weight_hh"])
