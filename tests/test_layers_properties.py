"""What holds for the layers whatever the batch: the same bits alone, in any order, saved and loaded; masks."""

from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from elman import layers
from elman.ops import segments
from elman.ops.noise import WindowDraws
from elman.ops.weights import Weights
from elman.ragged import Ragged

STACKS = {
    "both ways": lambda: [layers.Bidirectional(layers.LSTM(5, return_sequences=True))],
    "both ways, last, mean": lambda: [layers.Bidirectional(layers.GRU(5), merge_mode="mean")],
    "both ways, twice": lambda: [
        layers.Bidirectional(layers.RNN(3, return_sequences=True), merge_mode="sum"),
        layers.Bidirectional(layers.LSTM(6)),
    ],
    "both ways, with options": lambda: [
        layers.Bidirectional(
            layers.LSTM(5, peephole=True, projection=3, layer_norm=True),
            backward_layer=layers.GRU(4, reset_after=False, zoneout=0.3),
        )
    ],
    "around both ways": lambda: [
        layers.Residual(layers.Bidirectional(layers.GRU(3, return_sequences=True), merge_mode="sum"))
    ],
    "norm": lambda: [layers.LayerNorm()],
    **{mode: (lambda mode=mode: [layers.Pooling(mode)]) for mode in ("last", "mean", "max", "mean_max")},
    "attention": lambda: [layers.AttentionPooling(7)],
    "one to many": lambda: [layers.LSTM(4), layers.RepeatVector(5), layers.GRU(3, return_sequences=True)],
    "recipe": lambda: [
        layers.Bidirectional(layers.GRU(9, return_sequences=True)),
        layers.LayerNorm(),
        layers.Pooling("mean_max"),
        layers.Dense(4, activation="softmax"),
    ],
}


def bound(stack, size, dtype):
    rng = np.random.default_rng(3)
    for layer in stack:
        layer.bind(
            Weights(
                {
                    name: (0.8 * rng.standard_normal(shape)).astype(dtype)
                    for name, shape in layer.param_shapes(size).items()
                }
            )
        )
        size = layer.output_size(size)
    return stack


def run(stack, x, seed=None, order=None):
    """Give outputs, gradient of the input and of the initial states, each cut into the sequences of x.

    `seed` draws initial states and the gradients of outputs and last states, in the order of the sequences.
    """
    order = np.arange(len(x)) if order is None else order
    flow, tapes, states = x, [], []
    for k, layer in enumerate(stack):
        state = tuple(
            np.stack([draw(seed, k, j, b, (width,), x.dtype) for b in order])
            for j, width in enumerate(layer.state_sizes())
        )
        flow, last, tape = layer.forward(flow, state=state or None)
        tapes.append(tape)
        states += last
    out = flow
    if isinstance(out, Ragged):
        parts = [draw(seed, 99, 0, b, part.shape, x.dtype) for b, part in zip(order, out, strict=True)]
        dy = out.with_values(np.concatenate(parts))
    else:
        dy = np.stack([draw(seed, 99, 0, b, out.shape[1:], x.dtype) for b in order])
    begins = []
    for layer, tape in zip(reversed(stack), reversed(tapes), strict=True):
        grads = {name: np.zeros_like(array) for name, array in layer.weights.items()}
        dy, begin, _ = layer.backward(dy, tape, grads)
        begins += begin
    rows = out.split() if isinstance(out, Ragged) else list(out)
    return [
        [row, part, *(state[b] for state in states), *(begin[b] for begin in begins)]
        for b, (row, part) in enumerate(zip(rows, dy, strict=True))
    ]


def draw(seed, k, j, b, shape, dtype):
    return np.random.default_rng([seed, k, j, int(b)]).standard_normal(shape).astype(dtype)


def batch(lengths, features, dtype, seed):
    rng = np.random.default_rng(seed)
    return Ragged(rng.standard_normal((sum(lengths), features)).astype(dtype), lengths)


some_lengths = st.one_of(
    st.lists(st.integers(0, 40), min_size=1, max_size=6),
    st.lists(st.integers(0, 4), min_size=5, max_size=30),  # more sequences than steps
    st.tuples(st.integers(1, 9), st.integers(0, 40)).map(lambda pair: [pair[1]] * pair[0]),  # all of one length
)


@pytest.mark.parametrize("case", STACKS)
@given(lengths=some_lengths, features=st.sampled_from([1, 2, 3, 8]), wide=st.booleans(), seed=st.integers(0, 999))
def test_alone_and_in_a_batch(case, lengths, features, wide, seed):
    """Outputs, last states and gradients of a sequence do not depend on what else is in the batch: bit for bit."""
    if case == "around both ways":
        features = 3
    dtype = "float64" if wide else "float32"
    stack, x = bound(STACKS[case](), features, dtype), batch(lengths, features, dtype, seed)
    together = run(stack, x, seed)
    for b in {0, len(x) // 2, len(x) - 1}:
        (alone,) = run(stack, Ragged(x[b], [lengths[b]]), seed, [b])
        for one, other in zip(alone, together[b], strict=True):
            assert one.dtype == dtype
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("case", STACKS)
@given(lengths=some_lengths, seed=st.integers(0, 999))
def test_another_order(case, lengths, seed):
    stack, x = bound(STACKS[case](), 3, "float32"), batch(lengths, 3, "float32", seed)
    order = np.random.default_rng(seed).permutation(len(x))
    given_order, other = run(stack, x, seed), run(stack, x.select(order), seed, order)
    for place, b in enumerate(order):
        for one, two in zip(other[place], given_order[b], strict=True):
            np.testing.assert_array_equal(one, two)


@given(lengths=some_lengths, features=st.integers(1, 9), wide=st.booleans(), seed=st.integers(0, 99))
@example(lengths=[300, 9], features=2, wide=False, seed=0)
@example(lengths=[0, 0], features=2, wide=False, seed=0)
def test_sums_run_from_step_to_step(lengths, features, wide, seed):
    """Three ways through a batch, one order of additions (but for a single feature); the greatest likewise."""
    x = batch(lengths, features, "float64" if wide else "float32", seed)
    sums, greatest = segments.sums(x), segments.maxima(x)
    for b, steps in enumerate(x):
        total = np.zeros(features, x.dtype) if not len(steps) else steps[0].copy()
        for step in steps[1:]:
            total += step
        if features > 1:
            np.testing.assert_array_equal(sums[b], total)
        np.testing.assert_allclose(sums[b], total, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(greatest[b], steps.max(0) if len(steps) else np.zeros(features))


@given(lengths=some_lengths, features=st.integers(1, 4))
def test_reversed_twice_is_the_same(lengths, features):
    x = batch(lengths, features, "float32", 0)
    turned = x.reverse()
    for one, other in zip(turned, x, strict=True):
        np.testing.assert_array_equal(one, other[::-1])
    again = np.empty_like(x.values)
    assert turned.reverse(out=again).values is again
    np.testing.assert_array_equal(again, x.values)
    ids = Ragged(np.arange(sum(lengths)), lengths)
    np.testing.assert_array_equal(ids.reverse().reverse().values, ids.values)


@pytest.mark.parametrize("kind", [layers.RNN, layers.LSTM, layers.GRU])
@pytest.mark.parametrize("every", [True, False])
def test_both_ways_are_two_layers(kind, every):
    """Each direction is the plain layer with the same weights, the second over sequences turned around by hand."""
    both = layers.Bidirectional(kind(4, return_sequences=every))
    bound([both], 3, "float64")
    x = batch([4, 0, 7, 1], 3, "float64", 1)
    state = tuple(np.random.default_rng(k).standard_normal((4, 4)) for k in range(len(both.state_sizes())))
    out, last, _ = both.forward(x, state=state)
    half = len(state) // 2
    there, back = (kind(4, return_sequences=every) for _ in range(2))
    for layer, part in ((there, "forward"), (back, "backward")):
        layer.bind(Weights({name: both.weights[f"{part}.{name}"] for name in layer.param_shapes(3)}))
    y_1, last_1, _ = there.forward(x, state=state[:half])
    y_2, last_2, _ = back.forward(Ragged.from_list([steps[::-1] for steps in x]), state=state[half:])
    if every:
        y_1, y_2, out = y_1.values, np.concatenate([steps[::-1] for steps in y_2]), out.values
    np.testing.assert_array_equal(out, np.concatenate([y_1, y_2], axis=1))
    for one, other in zip(last, (*last_1, *last_2), strict=True):
        np.testing.assert_array_equal(one, other)
    for merge, expected in (("sum", y_1 + y_2), ("mean", 0.5 * (y_1 + y_2)), ("ave", 0.5 * (y_1 + y_2))):
        other = layers.Bidirectional(kind(4, return_sequences=every), merge_mode=merge)
        other.bind(both.weights)
        y = other.forward(x, state=state)[0]
        np.testing.assert_array_equal(y.values if every else y, expected)


def test_softmax_over_steps():
    x = Ragged(np.zeros((6, 1)), [0, 3, 1, 0, 2])
    shares = segments.softmax(np.array([1e4, 0.0, 1e4, -1e4, 2.0, 1.0]), x)
    np.testing.assert_allclose(shares, [0.5, 0, 0.5, 1, np.e / (1 + np.e), 1 / (1 + np.e)], rtol=1e-15)
    assert segments.softmax(np.zeros(0), Ragged(np.zeros((0, 2)), [0, 0])).shape == (0,)


@pytest.mark.parametrize("case", STACKS)
def test_pickled_layers_give_the_same(case):
    stack, x = bound(STACKS[case](), 3, "float32"), batch([3, 0, 9], 3, "float32", 1)
    for one, two in zip(run(stack, x, 1), run(pickle.loads(pickle.dumps(stack)), x, 1), strict=True):
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a, b)


# --- dropout --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean(rate, dtype):
    x = Ragged(np.full((4000, 25), 3.0, dtype), [1000, 3000])
    y, _, _ = layers.Dropout(rate).forward(x, rng=np.random.default_rng(0))
    kept = y.values != 0
    assert y.values.dtype == dtype
    np.testing.assert_allclose(y.values[kept], 3 / (1 - rate), rtol=1e-6)
    deviation = np.sqrt(rate * (1 - rate) / kept.size)  # of the share of 100,000 draws
    assert abs(kept.mean() - (1 - rate)) < 4 * deviation
    # Neither rows nor columns have something in common.
    assert kept.mean(0).std() < 2 * np.sqrt(rate * (1 - rate) / 4000)
    assert kept.mean(1).std() < 2 * np.sqrt(rate * (1 - rate) / 25)


def test_one_mask_per_sequence():
    x = Ragged(np.ones((600, 40)), [200, 0, 100, 300])
    y, _, _ = layers.Dropout(0.5, per_sequence=True).forward(x, rng=np.random.default_rng(1))
    masks = [steps[0] for steps in y if len(steps)]
    for steps in y:
        assert (steps == steps[:1]).all()
    assert set(np.unique(y.values)) == {0.0, 2.0}
    assert all((a != b).any() for k, a in enumerate(masks) for b in masks[:k])
    y, _, _ = layers.Dropout(0.5).forward(x, rng=np.random.default_rng(1))
    assert (y[0] != y[0][:1]).any()


def test_a_mask_per_row():
    rows = np.ones((50, 40), np.float32)
    for per_sequence in (False, True):
        y, _, _ = layers.Dropout(0.5, per_sequence=per_sequence).forward(rows, rng=np.random.default_rng(1))
        assert len({tuple(row) for row in y.tolist()}) == 50


def test_masks_come_from_the_generator():
    """One seed, one mask, in both dtypes; no generator, no mask; each call goes on from the last."""
    layer, x = layers.Dropout(0.5), batch([5, 2], 30, "float32", 0)
    one, two = (layer.forward(x, rng=np.random.default_rng(7))[0].values for _ in range(2))
    np.testing.assert_array_equal(one, two)
    wide = layer.forward(x.with_values(x.values.astype(np.float64)), rng=np.random.default_rng(7))[0].values
    np.testing.assert_array_equal(wide == 0, one == 0)
    rng = np.random.default_rng(7)
    first, second = (layer.forward(x, rng=rng)[0].values for _ in range(2))
    np.testing.assert_array_equal(first, one)
    assert (first != second).any()
    for calm in (layer.forward(x), layers.Dropout(0).forward(x, rng=rng)):
        assert calm[0] is x and calm[2].mask is None
    assert rng.random() != np.random.default_rng(7).random()


def test_dropout_inside_both_ways_draws_for_both():
    """A wrapper hands the generator on."""
    layer = layers.Residual(layers.Dropout(0.5))
    x = batch([5, 2], 30, "float64", 0)
    y, _, _ = layer.forward(x, rng=np.random.default_rng(7))
    alone, _, _ = layers.Dropout(0.5).forward(x, rng=np.random.default_rng(7))
    np.testing.assert_array_equal(y.values, x.values + alone.values)
    np.testing.assert_array_equal(layer.forward(x)[0].values, 2 * x.values)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_noise_is_normal_and_only_there_in_training(dtype):
    x = Ragged(np.full((4000, 25), 3.0, dtype), [1000, 3000])
    layer = layers.GaussianNoise(0.5)
    y, _, _ = layer.forward(x, rng=np.random.default_rng(0))
    noise = y.values - x.values
    assert y.values.dtype == dtype and (x.values == 3).all()
    assert abs(noise.mean()) < 4 * 0.5 / np.sqrt(noise.size)  # four standard deviations of the mean of 100,000 draws
    assert abs(noise.std() - 0.5) < 4 * 0.5 / np.sqrt(2 * noise.size)
    assert abs((np.abs(noise) < 0.5).mean() - 0.6827) < 4 * 0.5 / np.sqrt(noise.size)
    again, _, _ = layer.forward(x, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(again.values, y.values)
    for calm in (layer.forward(x), layers.GaussianNoise(0).forward(x, rng=np.random.default_rng(0))):
        assert calm[0] is x


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_blocks_are_left_out_of_every_sequence_alike(dtype):
    """One run of features and one of steps: all widths from none to the most, at all places, with equal chances."""
    lengths = np.array([9, 0, 3, 1, 9] * 400)
    x = Ragged(np.full((lengths.sum(), 6), 2.0, dtype), lengths)
    layer = layers.SpecAugment(features=2, steps=4)
    y, _, _ = layer.forward(x, rng=np.random.default_rng(0))
    assert y.values.dtype == dtype and (x.values == 2).all() and set(np.unique(y.values)) == {0, 2}
    bands, whiles = Counter(), Counter()
    for steps in y.split():
        silent, missing = (steps == 0).all(1), (steps == 0).all(0)
        if len(steps) < 9 or silent.all() or missing.all():
            continue
        for found, places in ((bands, missing), (whiles, silent)):
            (where,) = places.nonzero()
            found[len(where)] += 1
            assert not len(where) or where[-1] - where[0] == len(where) - 1
        assert ((steps == 0) == (silent[:, None] | missing)).all()
    assert set(bands) == {0, 1, 2} and set(whiles) == {0, 1, 2, 3, 4}
    # 800 sequences: five standard deviations of a count.
    assert all(abs(n - 800 / 3) < 5 * 13.4 for n in bands.values())
    assert all(abs(n - 800 / 5) < 5 * 11.4 for n in whiles.values())
    for calm in (layer.forward(x), layers.SpecAugment(0, 0).forward(x, rng=np.random.default_rng(0))):
        np.testing.assert_array_equal(calm[0].values, x.values)


def test_blocks_of_a_window_are_those_of_the_whole_sequence():
    whole = Ragged(np.ones((17, 5)), [9, 0, 6, 2])
    layer = layers.SpecAugment(features=3, steps=5)
    expected, _, _ = layer.forward(whole, rng=np.random.default_rng(3))
    draws = WindowDraws(np.random.default_rng(3), whole)
    for start in (6, 0, 3):  # in any order, as the way back goes
        draws.begin(start)
        part, _, _ = layer.forward(whole.window(start, start + 3), rng=draws)
        np.testing.assert_array_equal(part.values, expected.window(start, start + 3).values)


# --- what is not there ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: layers.AttentionPooling(3), *[
    lambda mode=mode: layers.Pooling(mode) for mode in ("last", "mean", "max", "mean_max")
]])  # fmt: skip
def test_sequences_without_steps_give_zeros(make):
    """Alone or beside others, and no gradient comes of them."""
    (layer,) = bound([make()], 4, "float64")
    for lengths in ([0, 0], [0, 3, 0], [0]):
        x = batch(lengths, 4, "float64", 2)
        y, _, tape = layer.forward(x)
        assert y.shape == (len(lengths), layer.output_size(4))
        assert not y[np.array(lengths) == 0].any() and np.isfinite(y).all()
        grads = {name: np.zeros_like(array) for name, array in layer.weights.items()} if layer.built else {}
        dx = layer.backward(np.ones_like(y), tape, grads)[0]
        assert dx.values.shape == x.values.shape and np.isfinite(dx.values).all()
        assert all(np.isfinite(grad).all() for grad in grads.values())


def test_attention_says_how_much_each_step_counts():
    (layer,) = bound([layers.AttentionPooling(3)], 4, "float64")
    x = batch([3, 0, 5], 4, "float64", 2)
    y, _, tape = layer.forward(x)
    shares = x.with_values(tape.shares[:, None])
    for steps, weights, row in zip(x, shares, y, strict=True):
        if len(steps):
            assert weights.sum() == pytest.approx(1, rel=1e-14)
        np.testing.assert_allclose(row, (weights * steps).sum(0), rtol=1e-13, atol=1e-15)
