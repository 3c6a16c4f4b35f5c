"""Gradients of layers that hold, drop, normalise, pool and repeat, against the complex step; alone and in stacks."""

from __future__ import annotations

import numpy as np
import pytest
from complex_step import check_gradients

from elman import layers
from elman.ops.weights import Weights
from elman.ragged import Ragged


def lstm(units=4, **options):
    return layers.LSTM(units, return_sequences=True, **options)


def gru(units=4, **options):
    return layers.GRU(units, return_sequences=True, **options)


BOTH = {
    f"both ways, {merge}, {kind.__name__}{', last' if not every else ''}": (
        lambda merge=merge, kind=kind, every=every: [
            layers.Bidirectional(kind(5, return_sequences=every), merge_mode=merge)
        ]
    )
    for merge in ("concat", "sum", "mean")
    for kind in (layers.RNN, layers.LSTM, layers.GRU)
    for every in (True, False)
}

# name -> layers that take sequences of four features
CASES = {
    **BOTH,
    "both ways, of two kinds": lambda: [
        layers.Bidirectional(lstm(3), backward_layer=layers.RNN(5, activation="sigmoid", return_sequences=True))
    ],
    "both ways, twice": lambda: [
        layers.Bidirectional(lstm(3)),
        layers.Bidirectional(layers.GRU(4), merge_mode="mean"),
        layers.Dense(2, activation="softmax"),
    ],
    "both ways, with options": lambda: [
        layers.Bidirectional(
            lstm(5, peephole=True, projection=3, layer_norm=True),
            backward_layer=gru(4, reset_after=False, activation="sigmoid"),
        ),
        layers.Bidirectional(layers.LSTM(3, coupled=True), merge_mode="sum"),
    ],
    "around a recurrent layer with options": lambda: [layers.Residual(lstm(6, projection=4, layer_norm=True))],
    "around a recurrent layer": lambda: [layers.Residual(lstm())],
    "around a dense layer": lambda: [layers.Residual(layers.Dense(4, activation="tanh"))],
    "around both ways": lambda: [layers.Residual(layers.Bidirectional(gru(), merge_mode="sum"))],
    "around the way around": lambda: [layers.Residual(layers.Residual(lstm())), layers.Dense(3)],
    "on rows": lambda: [
        layers.GRU(4),
        layers.LayerNorm(),
        layers.Residual(layers.Dense(4, activation="sigmoid")),
        layers.Dense(2),
    ],
    "norm": lambda: [layers.LayerNorm(1e-2)],
    "norm between layers": lambda: [lstm(5), layers.LayerNorm(), gru(3), layers.LayerNorm()],
    **{f"pooling, {mode}": (lambda mode=mode: [layers.Pooling(mode)]) for mode in ("last", "mean", "max", "mean_max")},
    "pooling of both ways": lambda: [layers.Bidirectional(gru(3)), layers.Pooling("mean_max"), layers.Dense(2)],
    "attention": lambda: [layers.AttentionPooling(3)],
    "attention, as wide as the input": lambda: [lstm(5), layers.AttentionPooling(), layers.Dense(3)],
    "one to many": lambda: [layers.LSTM(5), layers.RepeatVector(3), gru(4), layers.Dense(2)],
    "one to many, of one feature": lambda: [layers.Pooling("mean"), layers.Dense(1), layers.RepeatVector(11)],
    "noise outside of training": lambda: [layers.GaussianNoise(0.5), layers.SpecAugment(2, 3), gru(3)],
    "dropout outside of training": lambda: [layers.Dropout(0.5), lstm(3), layers.Dropout(0.5, per_sequence=True)],
}

# Each is pooled, spread and turned around in another way.
LENGTHS = {"ragged": [3, 0, 5, 1, 0], "equal": [4, 4, 4], "many short": [1, 2, 0, 1, 2, 1, 2, 2]}


def test_every_layer_is_checked():
    from test_gradients import LAYER_CASES

    made = [layer for make in CASES.values() for layer in make()]
    made += [layer for make, _ in LAYER_CASES.values() for layer in make()]
    assert {type(layer) for layer in made} == set(layers.LAYERS.values())


def check_stack(stack, x, rng, *, train=None, ends_count=True, given_states=True):
    """Compare gradients of parameters, input and the initial state of every layer with complex steps."""
    point, counts, size = {}, [], 4
    for k, layer in enumerate(stack):
        drawn = {
            name: 0.7 * rng.standard_normal(shape) / np.sqrt(shape[-1] if len(shape) == 2 else 1)
            for name, shape in layer.param_shapes(size).items()
        }
        layer.bind(Weights(drawn))
        point.update({f"{k}.{name}": array for name, array in drawn.items()})
        state = [rng.standard_normal((len(x), width)) for width in layer.state_sizes() if given_states]
        counts.append(len(state))
        point.update({f"{k}.state{j}": part for j, part in enumerate(state)})
        size = layer.output_size(size)
    if x.values.ndim == 2:
        point["x"] = x.values

    def run(p, *, tape):
        flow = x.with_values(p["x"]) if "x" in p else x
        tapes, ends = [], []
        draws = None if train is None else np.random.default_rng(train)
        for k, layer in enumerate(stack):
            layer.bind(Weights({name: p[f"{k}.{name}"] for name in layer.weights}))
            state = tuple(p[f"{k}.state{j}"] for j in range(counts[k])) or None
            flow, last, kept = layer.forward(flow, state=state, rng=draws, tape=tape)
            assert tuple(part.shape[1] for part in last) == layer.state_sizes()
            tapes.append(kept)
            ends.append(last)
        return flow, ends, tapes

    out, ends, tapes = run(point, tape=True)
    sequences = isinstance(out, Ragged)
    rows = out.values if sequences else out
    assert rows.shape[1] == size
    dy = rng.standard_normal(rows.shape)
    dends = [tuple(rng.standard_normal(part.shape) for part in end) if ends_count else () for end in ends]

    def loss(p):
        out, ends, _ = run(p, tape=False)
        total = ((out.values if sequences else out) * dy).sum()
        for end, dend in zip(ends, dends, strict=True):
            total += sum((part * d).sum() for part, d in zip(end, dend, strict=ends_count))
        return total

    gradients = {}
    flow = out.with_values(dy) if sequences else dy
    for k, layer in reversed(list(enumerate(stack))):
        grads = {name: np.zeros_like(array) for name, array in layer.weights.items()}
        flow, begin, _ = layer.backward(flow, tapes[k], grads, dstate=dends[k] or None)
        gradients.update({f"{k}.{name}": array for name, array in grads.items()})
        gradients.update({f"{k}.state{j}": part for j, part in enumerate(begin[: counts[k]])})
    if "x" in point:
        gradients["x"] = flow.values
    else:
        assert flow is None
    check_gradients(loss, point, gradients, rng)


@pytest.mark.parametrize(
    ("case", "lengths"),
    # How two directions are merged does not depend on the lengths; how they are turned around does.
    [(case, lengths) for case in CASES for lengths in LENGTHS if lengths == "ragged" or "sum" not in case],
)
def test_gradients(case, lengths, rng):
    n_steps = sum(LENGTHS[lengths])
    check_stack(CASES[case](), Ragged(rng.standard_normal((n_steps, 4)), LENGTHS[lengths]), rng)


@pytest.mark.mutants
@pytest.mark.parametrize("case", ["both ways, concat, LSTM", "both ways, sum, GRU, last", "around both ways"])
def test_gradients_of_outputs_alone(case, rng):
    check_stack(CASES[case](), Ragged(rng.standard_normal((9, 4)), [3, 0, 5, 1]), rng, ends_count=False)


@pytest.mark.parametrize("kind", [layers.RNN, layers.LSTM, layers.GRU])
def test_gradients_of_both_ways_over_token_ids(kind, rng):
    for every in (True, False):
        stack = [layers.Bidirectional(kind(3, return_sequences=every)), layers.Dense(2)]
        check_stack(stack, Ragged(rng.integers(0, 4, 9), [3, 0, 5, 1]), rng)


@pytest.mark.parametrize("per_sequence", [False, True])
def test_gradients_through_masks(per_sequence, rng):
    """The same draws on both ways: what is dropped gets no gradient, the rest its share."""
    stack = [
        layers.GaussianNoise(0.5),
        lstm(5),
        layers.SpecAugment(3, 2),
        layers.Dropout(0.4, per_sequence=per_sequence),
        layers.Residual(layers.Dropout(0.3, per_sequence=per_sequence)),
        layers.Pooling("mean"),
        layers.Dropout(0.2, per_sequence=per_sequence),
        layers.Dense(3),
    ]
    check_stack(stack, Ragged(rng.standard_normal((9, 4)), [3, 0, 5, 1]), rng, train=5)


def test_gradients_through_masks_of_both_ways(rng):
    """A wrapper hands the generator on; both directions draw, one after the other."""
    options = {"dropout": 0.3, "recurrent_dropout": 0.4, "zoneout": 0.2, "weight_drop": 0.3}
    stack = [
        layers.Bidirectional(lstm(5, **options)),
        layers.Residual(layers.Bidirectional(gru(5, **options))),
        layers.Pooling("mean"),
    ]
    check_stack(stack, Ragged(rng.standard_normal((9, 4)), [3, 0, 5, 1]), rng, train=5)


def test_gradients_of_states_learned_both_ways(rng):
    stack = [layers.Bidirectional(layers.LSTM(3, initial_state="learned")), layers.Dense(2)]
    check_stack(stack, Ragged(rng.standard_normal((9, 4)), [3, 0, 5, 1]), rng, given_states=False)


@pytest.mark.parametrize("make", [CASES["both ways, concat, LSTM"], CASES["around both ways"], CASES["norm"]])
def test_gradients_are_added_and_dx_only_if_wanted(make, rng):
    (layer,) = make()
    layer.bind(Weights(layer.init(rng, 4)))
    x = Ragged(rng.standard_normal((6, 4)), [4, 0, 2])
    y, _, tape = layer.forward(x)
    once, twice = ({name: np.zeros_like(array) for name, array in layer.weights.items()} for _ in range(2))
    assert layer.backward(y, tape, once, want_dx=False)[0] is None
    for _ in range(2):
        layer.backward(y, tape, twice)
    for name in once:
        assert np.any(once[name] != 0)
        np.testing.assert_allclose(twice[name], 2 * once[name], rtol=1e-13)
    assert layer.forward(x, tape=False)[2] is None


def test_gradient_that_reaches_every_step_of_both_ways(rng):
    """dh of the two layers side by side, at the steps they belong to: what each gives alone."""
    both = layers.Bidirectional(lstm(3))
    both.bind(Weights(both.init(rng, 4)))
    x = Ragged(rng.standard_normal((9, 4)), [3, 0, 5, 1])
    y, _, tape = both.forward(x)
    dy = x.with_values(rng.standard_normal(y.values.shape))
    grads = {name: np.zeros_like(array) for name, array in both.weights.items()}
    dh = both.backward(dy, tape, grads, keep_dh=True)[2]
    there, back = both.parts.values()
    for layer, batch, part, turn in ((there, x, dy.values[:, :3], False), (back, x.reverse(), dy.values[:, 3:], True)):
        _, _, tape = layer.forward(batch)
        given = x.with_values(np.ascontiguousarray(part))
        _, _, alone = layer.backward(
            given.reverse() if turn else given,
            tape,
            {name: np.zeros_like(array) for name, array in layer.weights.items()},
            keep_dh=True,
        )
        expected = x.with_values(alone).reverse().values if turn else alone
        np.testing.assert_array_equal(dh[:, 3:] if turn else dh[:, :3], expected)


def test_greatest_values_that_are_equal_share_the_gradient():
    layer = layers.Pooling("max")
    x = Ragged(np.array([[0.0, 2.0], [0.0, 1.0], [0.0, 2.0], [7.0, 7.0]]), [3, 0, 1])
    y, _, tape = layer.forward(x)
    np.testing.assert_array_equal(y, [[0, 2], [0, 0], [7, 7]])
    dx = layer.backward(np.array([[3.0, 4.0], [9.0, 9.0], [5.0, 6.0]]), tape, {})[0]
    np.testing.assert_array_equal(dx.values, [[1, 2], [1, 0], [1, 2], [5, 6]])


def test_a_net_that_diverges_says_nan(rng):
    """Pooling over NaN gives NaN, which the loop then finds, rather than an index out of range."""
    x = Ragged(np.array([[1.0, np.nan], [2.0, 3.0]]), [2])
    for mode in ("max", "mean_max"):
        y, _, tape = layers.Pooling(mode).forward(x)
        assert np.isnan(y[0, -1]) and y[0, -2] == 2
        assert layers.Pooling(mode).backward(np.ones_like(y), tape, {})[0].values.shape == (2, 2)
