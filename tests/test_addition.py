"""The adder learns the carry from 10,000 examples and then adds numbers of any size."""

import re

import numpy as np
import pytest

from elman.errors import UsageError
from elman.tasks import BinaryAdder, load
from elman.tasks.addition import _bits, _numbers


@pytest.fixture(scope="module")
def adder() -> BinaryAdder:
    return BinaryAdder(random_state=0).fit()


@pytest.mark.parametrize("seed", range(5))
def test_all_sums_of_7_bit_numbers_are_right(seed):
    adder = BinaryAdder(random_state=seed).fit()
    assert adder.count_right_of_all() == (16_384, 16_384)
    for bits in (16, 32, 64):
        assert adder.count_right(bits=bits, pairs=1000) == 1000


def test_it_does_not_know_before_it_learns():
    adder = BinaryAdder(examples=1, random_state=0).fit()
    right, pairs = adder.count_right_of_all()
    assert pairs == 16_384 and right < 500


def test_any_size(adder):
    assert adder.add(0, 0) == 0
    assert adder.add(2**200 - 1, 1) == 2**200
    assert adder.add([1, 10**40], [2, 10**40]) == [3, 2 * 10**40]
    assert adder.add(np.array([100, 7]), np.array([27, 8])) == [127, 15]
    assert adder.add([], []) == []


def test_reports_every_thousand_examples():
    seen = []
    fitted = BinaryAdder(examples=2500, random_state=3).fit(on_example=seen.append)
    assert [example.number for example in seen] == [1000, 2000, 2500]
    for example in seen:
        assert len(example.prediction) == len(example.truth) == 8
        assert int("".join(map(str, example.truth)), 2) == example.a + example.b
        assert int("".join(map(str, example.prediction)), 2) == example.answer
        assert 0 < example.error < 8
        assert 0 <= example.a < 128 and 0 <= example.b < 128
    last = seen[-1]
    assert fitted.add(last.a + (1 << 7), last.b) & 127 == last.answer & 127 or last.answer != last.a + last.b
    assert len(fitted.history_.batches) == 2500


def test_the_step_is_the_lessons(monkeypatch):
    """One example moves the weights by 0.1 times the gradient of half the sum of squares."""
    adder = BinaryAdder(examples=1, random_state=11, bits=3)
    before = BinaryAdder(examples=1, random_state=11, bits=3, lr=1e-12).fit().model_.named_weights()
    after = adder.fit().model_.named_weights()
    sigmoid = lambda a: 1 / (1 + np.exp(-a))  # noqa: E731
    w = {name: np.asarray(value, np.float64) for name, value in before.items()}
    seen = []
    BinaryAdder(examples=1, random_state=11, bits=3).fit(on_example=seen.append)
    a, b = _bits([seen[0].a], 4)[0], _bits([seen[0].b], 4)[0]
    truth = _bits([seen[0].a + seen[0].b], 4)[0]

    def half_squares(weights):
        h, total = np.zeros(16), 0.0
        for t in range(4):
            x = np.array([a[t], b[t]])
            h = sigmoid(weights["rnn.weight_ih"] @ x + weights["rnn.bias"] + weights["rnn.weight_hh"] @ h)
            y = sigmoid(weights["dense.weight"] @ h + weights["dense.bias"])[0]
            total += 0.5 * (truth[t] - y) ** 2
        return total

    for name, value in w.items():
        index = tuple(0 for _ in value.shape)
        up, down = ({**w, name: value + sign * 1e-5 * _unit(value.shape, index)} for sign in (1, -1))
        slope = (half_squares(up) - half_squares(down)) / 2e-5
        assert after[name][index] - before[name][index] == pytest.approx(-0.1 * slope, rel=2e-2, abs=2e-6), name


def _unit(shape, index):
    unit = np.zeros(shape)
    unit[index] = 1
    return unit


def test_saved_and_loaded_it_gives_the_same_answers(adder, tmp_path):
    adder.save(tmp_path / "adder.elman")
    again = load(tmp_path / "adder.elman")
    assert isinstance(again, BinaryAdder)
    assert again.count_right_of_all() == (16_384, 16_384)
    for name, weight in adder.model_.named_weights().items():
        np.testing.assert_array_equal(again.model_.named_weights()[name], weight)


@pytest.mark.parametrize("arguments", [{"hidden": 0}, {"bits": 63}, {"bits": 0}, {"examples": 0}, {"lr": -1.0}])
def test_arguments_out_of_range_are_refused(arguments):
    (name,) = arguments
    with pytest.raises(UsageError, match=f"{name} is not accepted"):
        BinaryAdder(**arguments).fit()


@pytest.mark.parametrize("every", [0, 1.5, True, None, "10"])
def test_every_is_a_count(every):
    told = f"fit: every is out of range, expected an integer >= 1, got {every!r}."
    with pytest.raises(UsageError, match=re.escape(told)):
        BinaryAdder(examples=1).fit(every=every)


def test_bits_and_numbers_are_inverse():
    numbers = [0, 1, 5, 2**63, 2**64 - 1, 12345678901234567890]
    bits = _bits(numbers, 65)
    assert bits.shape == (6, 65) and bits.dtype == np.float32
    assert bits[2, :4].tolist() == [1, 0, 1, 0]
    assert _numbers(bits > 0.5) == numbers
