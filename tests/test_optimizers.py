"""Optimizers and clipping against torch's numbers, and what they promise about their memory."""

import copy
import math
import pickle
import re

import numpy as np
import pytest

from elman import layers
from elman.errors import UsageError
from elman.training import optimizers
from elman.training.optimizers import SGD, Adam, clip_global_norm
from elman.training.parameters import Parameters

# Rounding of four steps in float64; a wrong formula differs in the first digits.
TOLERANCE = 1e-13

START = np.array([0.5, -1.25, 2.0, 0.125])
SLOPE = np.array([1.0, -2.0, 0.5, 3.0])


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


@pytest.mark.parametrize("make", [lambda: SGD(0.1), lambda: SGD(0.1, momentum=0.5), lambda: Adam(0.1)])
def test_blocks_give_the_bits_of_the_whole(rng, make, monkeypatch):
    start, grads = rng.normal(size=1000), rng.normal(size=(3, 1000))
    results = []
    for block in (1000, 7):
        monkeypatch.setattr(optimizers, "BLOCK", block)
        parameters, optimizer = Flat(start), make()
        for g in grads:
            parameters.grads[:] = g
            optimizer.step(parameters)
        results.append(parameters.flat)
    np.testing.assert_array_equal(*results)
    assert not np.array_equal(results[0], start)


@pytest.mark.parametrize("make", [lambda: SGD(0.1), lambda: SGD(0.1, momentum=0.5), lambda: Adam(0.1)])
def test_a_step_raises_the_clock_and_keeps_dtype_and_gradients(rng, make):
    parameters = Flat(rng.normal(size=20), np.float32)
    parameters.grads[:] = rng.normal(size=20)
    before, flat = parameters.grads.copy(), parameters.flat
    make().step(parameters)
    assert parameters.clock.ticks == 1
    assert parameters.flat is flat and flat.dtype == np.float32
    np.testing.assert_array_equal(parameters.grads, before)


@pytest.mark.parametrize("make", [lambda: SGD(0.1, momentum=0.5), lambda: Adam(0.1)])
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


@pytest.mark.parametrize("make", [lambda: SGD(0.1), lambda: Adam(0.1)])
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


def test_state_is_a_copy_and_is_checked(rng):
    optimizer, parameters = Adam(0.1), Flat(START)
    parameters.grads[:] = rng.normal(size=4)
    optimizer.step(parameters)
    state = optimizer.state()
    state["m"][:] = 99
    assert not np.array_equal(optimizer.state()["m"], state["m"])
    with pytest.raises(UsageError, match="the state does not fit"):
        Adam(0.1).set_state({"steps": np.array(1), "m": np.zeros(4)})


def test_names_and_configs_give_optimizers():
    assert isinstance(optimizers.get("Adam"), Adam)
    for optimizer in (SGD(0.3, momentum=0.25), Adam(0.2, beta_1=0.5, beta_2=0.75, epsilon=1e-4)):
        again = optimizers.get(optimizer.config())
        assert type(again) is type(optimizer) and again.config() == optimizer.config()
    assert repr(SGD(0.1)) == "SGD(learning_rate=0.1, momentum=0.0)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.get("adamw"), r"compile: there is no such optimizer, expected one of \['adam', 'sgd'\]"),
        (lambda: optimizers.get(3), "there is no such optimizer"),
        (lambda: optimizers.get({"type": "sgd", "lr": 1.0}), "optimizer 'sgd': .*'lr'"),
        (lambda: SGD(0), r"learning_rate is out of range, expected a number in \(0, inf\), got 0"),
        (lambda: SGD(float("nan")), "learning_rate is out of range"),
        (lambda: SGD("0.1"), "learning_rate is out of range"),
        (lambda: SGD(0.1, momentum=1.0), r"momentum is out of range, expected a number in \[0, 1\)"),
        (lambda: Adam(beta_1=-0.1), "beta_1 is out of range"),
        (lambda: Adam(beta_2=1), "beta_2 is out of range"),
        (lambda: Adam(epsilon=0), "epsilon is out of range"),
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
        for optimizer in (SGD(0.1, momentum=0.9), Adam(0.1)):
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
