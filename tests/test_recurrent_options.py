"""Options of recurrent layers: learned states, masks and noise of training, what is written down, what is refused."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest
from complex_step import check_gradients
from shapes import CELL_VARIANTS

import elman
from elman import layers
from elman.cells import CELLS
from elman.errors import UsageError
from elman.ops.kernels import of_recurrence
from elman.ops.weights import Weights
from elman.ragged import Ragged

RECURRENT = {name: layers.LAYERS[name] for name in CELLS}
LENGTHS = [3, 0, 5, 2]

#: Every option of every layer away from its default, alone or with those that it works with.
OPTIONS = {
    **{
        variant: (cell.name, {name: 3 if name == "projection" and value else value for name, value in config.items()})
        for variant, cell in CELL_VARIANTS.items()
        for config in [cell.config()]
    },
    **{f"{kind} {state}": (kind, {"initial_state": state}) for kind in RECURRENT for state in ("zeros", "learned")},
    **{
        f"{kind} {noise}": (kind, {noise: 0.25})
        for kind in RECURRENT
        for noise in ("dropout", "recurrent_dropout", "zoneout", "weight_drop")
    },
    "lstm zoneout_cell": ("lstm", {"zoneout": 0.1, "zoneout_cell": 0.4}),
    "lstm of all": (
        "lstm",
        {
            "peephole": True,
            "coupled": True,
            "projection": 3,
            "layer_norm": True,
            "initial_state": "learned",
            "dropout": 0.1,
            "recurrent_dropout": 0.2,
            "zoneout": 0.3,
            "zoneout_cell": 0.4,
            "weight_drop": 0.5,
        },
    ),
}


def make(case, units=5, **more):
    kind, options = OPTIONS[case]
    return RECURRENT[kind](units, **options, **more)


def bound(layer, input_size=4, *, dtype="float64", seed=0):
    """Give the layer with numbers of its own in every parameter."""
    rng = np.random.default_rng(seed)
    shapes = layer.param_shapes(input_size)
    layer.bind(Weights({name: (0.5 * rng.standard_normal(shape)).astype(dtype) for name, shape in shapes.items()}))
    return layer


def batch(features=4, *, dtype="float64"):
    rng = np.random.default_rng(1)
    return Ragged(rng.standard_normal((sum(LENGTHS), features)).astype(dtype), LENGTHS)


def zero_grads(layer):
    return {name: np.zeros_like(array) for name, array in layer.weights.items()}


# --- the learned initial state --------------------------------------------------------------------------------------


@pytest.mark.mutants
@pytest.mark.parametrize(("kind", "projection"), [("rnn", None), ("lstm", None), ("lstm", 3), ("gru", None)])
def test_gradient_of_the_learned_state(kind, projection, rng):
    """h0 and c0 are added to by every sequence, empty ones too; with all other parameters, by complex steps."""
    options = {"projection": projection} if projection else {}
    layer = bound(RECURRENT[kind](5, initial_state="learned", return_sequences=True, **options))
    x, shapes = batch(), layer.param_shapes(4)
    assert {name: shapes[name] for name in ("h0", "c0") if name in shapes} == {
        f"{part}0": (size,) for part, size in zip("hc", layer.state_sizes(), strict=False)
    }
    out, last, tape = layer.forward(x)
    dy = out.with_values(rng.standard_normal(out.values.shape))
    dend = tuple(rng.standard_normal(part.shape) for part in last)
    point = {name: array.copy() for name, array in layer.weights.items()} | {"x": x.values}
    grads = zero_grads(layer)
    dx, _, _ = layer.backward(dy, tape, grads, dstate=dend)

    def loss(p):
        twin = type(layer).from_config(layer.config())
        twin.bind(Weights({name: p[name] for name in grads}))
        y, last, _ = twin.forward(x.with_values(p["x"]), tape=False)
        return (y.values * dy.values).sum() + sum((a * b).sum() for a, b in zip(last, dend, strict=True))

    check_gradients(loss, point, {**grads, "x": dx.values}, rng)


@pytest.mark.parametrize("kind", RECURRENT)
def test_a_state_that_is_given_comes_before_the_learned_one(kind, rng):
    layer = bound(RECURRENT[kind](5, initial_state="learned", return_sequences=True))
    plain = RECURRENT[kind](5, return_sequences=True)
    plain.bind(Weights({name: array for name, array in layer.weights.items() if name not in ("h0", "c0")}))
    x = batch()
    state = tuple(rng.standard_normal((len(x), size)) for size in layer.state_sizes())
    out, last, tape = layer.forward(x, state=state)
    expected, last_too, _ = plain.forward(x, state=state)
    np.testing.assert_array_equal(out.values, expected.values)
    np.testing.assert_array_equal(last, last_too)
    grads = zero_grads(layer)
    layer.backward(out, tape, grads)
    assert not grads["h0"].any() and grads["weight_hh"].any()
    # Without one it is the learned state, for every sequence the same, and an empty one ends where it began.
    own, end, _ = layer.forward(x)
    learned = tuple(np.tile(layer.weights[f"{part}0"], (len(x), 1)) for part in layer.cell.states)
    np.testing.assert_array_equal(own.values, plain.forward(x, state=learned)[0].values)
    np.testing.assert_array_equal(end[0][1], layer.weights["h0"])


def test_a_learned_state_begins_at_zero_and_is_learned_and_saved(tmp_path, rng):
    model = elman.Sequential([layers.LSTM(5, initial_state="learned"), layers.Dense(2)])
    model.compile("adam", "mse")
    x, y = rng.standard_normal((12, 4, 3)), rng.standard_normal((12, 2))
    model.build(3)
    assert not model.layers[0].weights["h0"].any() and not model.layers[0].weights["c0"].any()
    model.fit(x, y, epochs=2, verbose=0)
    h0, c0 = (model.layers[0].weights[name].copy() for name in ("h0", "c0"))
    assert h0.all() and c0.all()
    model.save(tmp_path / "learned.elman")
    again = elman.load(tmp_path / "learned.elman")
    np.testing.assert_array_equal(again.layers[0].weights["h0"], h0)
    np.testing.assert_array_equal(again.layers[0].weights["c0"], c0)
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


# --- dropout of the input -------------------------------------------------------------------------------------------


@pytest.mark.mutants
@pytest.mark.parametrize("kind", RECURRENT)
def test_dropout_takes_the_same_inputs_at_every_step(kind):
    """One mask per sequence, what stays is scaled up, and dx is masked as x was."""
    layer = bound(RECURRENT[kind](5, dropout=0.4, return_sequences=True), 50)
    plain = bound(RECURRENT[kind](5, return_sequences=True), 50)
    x = batch(50)
    before = x.values.copy()
    out, _, tape = layer.forward(x, rng=np.random.default_rng(3))
    mask = tape.x_mask
    assert mask.shape == (len(x), 50)
    assert set(np.unique(mask)) == {0.0, 1 / 0.6}
    assert 0.2 < (mask == 0).mean() < 0.6
    assert any((mask[0] != row).any() for row in mask[1:])
    rows = np.repeat(mask, x.lengths, axis=0)
    expected, _, plain_tape = plain.forward(x.with_values(x.values * rows))
    np.testing.assert_array_equal(out.values, expected.values)
    grads, grads_plain = zero_grads(layer), zero_grads(plain)
    dx = layer.backward(out, tape, grads)[0].values
    np.testing.assert_array_equal(dx, plain.backward(expected, plain_tape, grads_plain)[0].values * rows)
    for name, gradient in grads_plain.items():
        np.testing.assert_array_equal(grads[name], gradient)
    np.testing.assert_array_equal(x.values, before)
    np.testing.assert_array_equal(layer.forward(x)[0].values, plain.forward(x)[0].values)


def test_dropout_of_token_ids_is_refused():
    layer = bound(layers.LSTM(5, dropout=0.2, name="encoder"))
    ids = Ragged(np.array([0, 3, 1]), [2, 1])
    layer.forward(ids)  # nothing is dropped when predicting
    words = (
        r"LSTM 'encoder': dropout takes numbers, not token ids, got 0\.2\. Put Embedding before it, or Dropout after"
    )
    with pytest.raises(UsageError, match=words):
        layer.forward(ids, rng=np.random.default_rng(0))


# --- noise ----------------------------------------------------------------------------------------------------------


def noise_of(layer, x, seed=3):
    return layer.forward(x, rng=np.random.default_rng(seed))[2].recurrence.noise


def test_recurrent_dropout_draws_one_mask_for_each_sequence():
    x = Ragged(np.zeros((300, 2)), [1] * 300)
    noise = noise_of(bound(layers.LSTM(40, recurrent_dropout=0.3), 2), x)
    assert noise.h_mask.shape == (300, 40)
    assert set(np.unique(noise.h_mask)) == {0.0, 1 / (1 - 0.3)}
    assert abs((noise.h_mask == 0).mean() - 0.3) < 0.02
    assert abs(noise.h_mask.mean() - 1) < 0.03
    assert noise.weight_mask is None and noise.zones == (0.0, 0.0)


def test_zoneout_draws_zeros_and_ones_for_every_step():
    x = Ragged(np.zeros((400, 2)), [200, 0, 200])
    noise = noise_of(bound(layers.LSTM(30, zoneout=0.2, zoneout_cell=0.6), 2), x)
    for zone, rate in ((noise.zone_h, 0.2), (noise.zone_c, 0.6)):
        assert zone.shape == (400, 30)
        assert set(np.unique(zone)) == {0.0, 1.0}
        assert abs(zone.mean() - rate) < 0.02
        assert (zone[0] != zone[1]).any()
    only_c = noise_of(bound(layers.LSTM(30, zoneout_cell=0.6), 2), x)
    assert only_c.zone_h == 0.0 and isinstance(only_c.zone_c, np.ndarray)
    assert only_c.h_mask is None and only_c.weight_mask is None


def test_zoneout_of_a_projection_is_as_wide_as_h():
    noise = noise_of(bound(layers.LSTM(5, projection=3, zoneout=0.2, zoneout_cell=0.2, recurrent_dropout=0.2)), batch())
    assert (noise.zone_h.shape, noise.zone_c.shape, noise.h_mask.shape) == ((10, 3), (10, 5), (4, 3))


def test_weight_drop_thins_the_recurrent_weights():
    layer = bound(layers.GRU(40, weight_drop=0.25), 2)
    noise = noise_of(layer, batch(2))
    assert noise.weight_mask.shape == layer.weights["weight_hh"].shape
    assert set(np.unique(noise.weight_mask)) == {0.0, 1 / 0.75}
    assert abs((noise.weight_mask == 0).mean() - 0.25) < 0.03
    before = layer.weights["weight_hh"].copy()
    _, _, tape = layer.forward(batch(2), rng=np.random.default_rng(3))
    grads = zero_grads(layer)
    layer.backward(np.ones((4, 40)), tape, grads)
    np.testing.assert_array_equal(layer.weights["weight_hh"], before)
    assert not grads["weight_hh"][tape.recurrence.noise.weight_mask == 0].any()


NOISY = [case for case, (_, options) in OPTIONS.items() if {"dropout", "zoneout", "weight_drop"} & {*options}]
NOISY += [f"{kind} recurrent_dropout" for kind in RECURRENT]


@pytest.mark.parametrize("case", NOISY)
def test_noise_comes_from_the_generator_alone(case):
    """One seed, one answer; another seed, another; without a generator always the same."""
    layer, x = bound(make(case, return_sequences=True)), batch()
    runs = [layer.forward(x, rng=np.random.default_rng(seed))[0].values for seed in (1, 1, 2)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])
    quiet = [layer.forward(x)[0].values for _ in range(2)]
    np.testing.assert_array_equal(*quiet)
    assert not np.array_equal(quiet[0], runs[0])


@pytest.mark.parametrize("kind", RECURRENT)
def test_predicting_takes_the_mean_of_the_noise(kind):
    """Masks of mean one are left out; of zoneout the share itself mixes old and new."""
    x, rates = batch(), {"zoneout": 0.3, **({"zoneout_cell": 0.6} if kind == "lstm" else {})}
    plain = bound(RECURRENT[kind](5, return_sequences=True))
    scaled = bound(RECURRENT[kind](5, return_sequences=True, dropout=0.5, recurrent_dropout=0.5, weight_drop=0.5))
    np.testing.assert_array_equal(scaled.forward(x)[0].values, plain.forward(x)[0].values)
    zoned = bound(RECURRENT[kind](5, return_sequences=True, **rates))
    first = Ragged(x.values[:1], [1])
    rng = np.random.default_rng(0)
    state = tuple(rng.standard_normal((1, 5)) for _ in plain.cell.states)
    _, new, _ = plain.forward(first, state=state)
    _, mixed, _ = zoned.forward(first, state=state)
    for part, old, fresh, rate in zip(mixed, state, new, (0.3, 0.6), strict=False):
        np.testing.assert_allclose(part, rate * old + (1 - rate) * fresh, rtol=1e-14)
    # And it is what many draws come to.
    draws = [zoned.forward(first, state=state, rng=np.random.default_rng(seed))[1][0] for seed in range(3000)]
    np.testing.assert_allclose(np.mean(draws, axis=0), mixed[0], atol=0.1)


def test_evaluating_and_predicting_draw_nothing(rng):
    layer = layers.LSTM(5, dropout=0.5, recurrent_dropout=0.5, zoneout=0.5, weight_drop=0.5)
    model = elman.Sequential([layer, layers.Dense(1)])
    model.compile("adam", "mse")
    x, y = rng.standard_normal((8, 4, 3)), rng.standard_normal((8, 1))
    model.fit(x, y, epochs=1, verbose=0)
    np.testing.assert_array_equal(model.predict(x), model.predict(x))
    assert model.evaluate(x, y) == model.evaluate(x, y)


# --- written down, saved, shown, refused ----------------------------------------------------------------------------


def test_every_option_is_among_the_examples():
    for kind, layer in RECURRENT.items():
        defaults = layer(5).config()
        for option in layer.Config.__struct_fields__:
            if option in ("name", "units", "vocab_size", "return_sequences"):
                continue
            values = [given[option] for name, given in OPTIONS.values() if name == kind and option in given]
            assert any(value != defaults[option] for value in values), f"{kind} {option}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", OPTIONS)
def test_options_survive_a_file(case, dtype, tmp_path, rng):
    layer = make(case, return_sequences=True, name="body")
    again = layers.from_config(json.loads(json.dumps(layer.config())))
    assert again.config() == layer.config() and again.cell == layer.cell
    for name, value in OPTIONS[case][1].items():
        assert getattr(again, name) == value
    model = elman.Sequential([layer, layers.Dense(2)], dtype=dtype)
    model.compile("adam", "mse")
    x, y = rng.standard_normal((6, 4, 3)), rng.standard_normal((6, 4, 2))
    model.fit(x, y, epochs=1, verbose=0)
    model.save(tmp_path / "model.elman")
    loaded = elman.load(tmp_path / "model.elman")
    assert loaded.layers[0].config() == layer.config()
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))


@pytest.mark.parametrize("kind", RECURRENT)
def test_the_signature_shows_the_options(kind):
    layer = RECURRENT[kind]
    shown = inspect.signature(layer).parameters
    assert next(iter(shown)) == "units" and shown["units"].default is inspect.Parameter.empty
    assert set(shown) == set(layer.Config.__struct_fields__)
    made = layer(5)
    for name, parameter in shown.items():
        if name != "units":
            assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
            assert parameter.default == getattr(made, name)


def test_only_lstm_has_its_options():
    own = {kind: set(inspect.signature(layer).parameters) for kind, layer in RECURRENT.items()}
    assert own["lstm"] - own["rnn"] == {"recurrent_activation", "peephole", "coupled", "projection", "zoneout_cell"}
    assert own["gru"] - own["rnn"] == {"recurrent_activation", "reset_after"}
    assert own["rnn"] <= own["gru"] & own["lstm"]


# name -> (what is done, words of the message)
REFUSED = {
    "projection too wide": (
        lambda: layers.LSTM(5, projection=6),
        "LSTM: projection does not narrow h, expected less than the 5 units, got 6",
    ),
    "projection that narrows nothing": (lambda: layers.LSTM(5, projection=5), "projection does not narrow h"),
    "no projection": (lambda: layers.LSTM(5, projection=0), "projection is not accepted, expected int >= 1, got 0"),
    "projection of a GRU": (lambda: layers.GRU(5, projection=3), "there is no option projection"),
    "all dropped": (lambda: layers.RNN(5, dropout=1.0), "dropout is not accepted, expected float < 1.0, got 1.0"),
    "less than none": (
        lambda: layers.GRU(5, recurrent_dropout=-0.1),
        "recurrent_dropout is not accepted, expected float >= 0.0, got -0.1",
    ),
    "everything stays": (lambda: layers.LSTM(5, zoneout=1), "zoneout is not accepted, expected float < 1.0, got 1"),
    "cell that stays": (lambda: layers.LSTM(5, zoneout_cell=2.0), "zoneout_cell is not accepted"),
    "cell of a GRU": (lambda: layers.GRU(5, zoneout_cell=0.1), "there is no option zoneout_cell"),
    "weights of a word": (lambda: layers.LSTM(5, weight_drop="a"), "weight_drop is not accepted, expected float"),
    "another state": (
        lambda: layers.LSTM(5, initial_state="ones"),
        "initial_state is not accepted, expected one of 'zeros', 'learned', got 'ones'",
    ),
    "another activation": (
        lambda: layers.GRU(5, recurrent_activation="softmax"),
        "recurrent_activation is not accepted, expected one of 'tanh', .* got 'softmax'",
    ),
    "a truth that is a number": (lambda: layers.LSTM(5, peephole=1), "peephole is not accepted, expected bool, got 1"),
    "stateful": (
        lambda: layers.GRU(4, stateful=True),
        r"GRU: stateful=True is not an option of layers\. State is given and returned by calls: "
        r"fit\(\.\.\., carry_state=True\), predict\(x, state=state, return_state=True\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    do, words = REFUSED[case]
    with pytest.raises(UsageError, match=words):
        do()


# --- first values and foretold sizes --------------------------------------------------------------------------------


@pytest.mark.parametrize("case", OPTIONS)
def test_first_values(case):
    layer = make(case)
    values = layer.init(np.random.default_rng(0), 3)
    assert {name: array.shape for name, array in values.items()} == layer.param_shapes(3)
    for name, array in values.items():
        if name.startswith("gain_"):
            assert (array == 1).all(), name
        elif name in ("peephole", "bias_c", "bias_hn", "h0", "c0"):
            assert (array == 0).all(), name
        elif name.startswith("weight_"):
            assert array.all(), name
    # With the projection R is not square: of an orthogonal matrix as many columns.
    if case == "lstm-projection":
        for block in np.split(values["weight_hh"], 4):
            np.testing.assert_allclose(block.T @ block, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("case", OPTIONS)
def test_tapes_are_no_larger_than_foretold(case):
    layer = bound(make(case, units=64), 16)
    x = Ragged(np.random.default_rng(0).standard_normal((120, 16)), [70, 0, 50])
    _, _, tape = layer.forward(x, rng=np.random.default_rng(0))
    assert 0 < tape.nbytes <= layer.kept_per_step(16) * x.n_steps * 8


@pytest.mark.parametrize("option", ["zoneout", "zoneout_cell"])
def test_masks_are_foretold_and_counted(option):
    """A mask of zoneout is as large as the part of the state that it is for."""
    x = Ragged(np.random.default_rng(0).standard_normal((120, 16)), [70, 0, 50])
    plain, noisy = (bound(layers.LSTM(64, projection=24, **rate), 16) for rate in ({}, {option: 0.3}))
    (_, _, quiet), (_, _, drawn) = (layer.forward(x, rng=np.random.default_rng(0)) for layer in (plain, noisy))
    width = {"zoneout": 24, "zoneout_cell": 64}[option]
    assert noisy.kept_per_step(16) - plain.kept_per_step(16) == width
    assert drawn.nbytes - quiet.nbytes == width * x.n_steps * 8


@pytest.mark.parametrize("option", ["dropout", "recurrent_dropout", "weight_drop"])
def test_other_masks_are_counted(option):
    x = Ragged(np.random.default_rng(0).standard_normal((120, 16)), [70, 0, 50])
    plain, noisy = (bound(layers.GRU(64, **rate), 16) for rate in ({}, {option: 0.3}))
    (_, _, quiet), (_, _, drawn) = (layer.forward(x, rng=np.random.default_rng(0)) for layer in (plain, noisy))
    size = {"dropout": 120 * 16, "recurrent_dropout": 3 * 64, "weight_drop": 3 * 64 * 64}[option]
    assert drawn.nbytes - quiet.nbytes == size * 8


def test_a_recurrent_layer_says_itself_what_it_runs_on():
    for layer in (layers.LSTM(4, peephole=True), layers.GRU(4, reset_after=False), layers.RNN(4)):
        assert layer.runs_on("float32") == of_recurrence(layer.cell, "float32")
        assert layer.runs_on("float16").reason in (
            "there are no native kernels for float16",
            "the native core is not installed",
        )
