"""Looking through time: gradient by lag, its terms, truncation, states, attribution, dynamics."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from elman import Sequential, layers
from elman.cells import LSTM as LSTMCell
from elman.errors import DataError, NotFittedError, UsageError
from elman.inspection import (
    attribute,
    contributions,
    dynamics,
    gates_and_states,
    gradient_by_lag,
    text_labels,
    truncation_bias,
)
from elman.inspection.opened import open_model
from elman.training.watch import forward_steps, listen, recurrences, way_back

#: float64 rounding over a few hundred steps, relative to the norm.
CLOSE = 1e-10


def make(*parts, features=3, loss="mse", dtype="float64", spread=0.2, **options):
    """Give a model with weights of its own in every gate."""
    model = Sequential(list(parts), dtype=dtype)
    model.compile("sgd", loss)
    model.build(features, rng=0, **options)
    rng = np.random.default_rng(5)
    model.set_weights({n: w + spread * rng.standard_normal(w.shape) for n, w in model.named_weights().items()})
    return model


def rest(radius, steps=60, units=12):
    """Give a tanh network whose Jacobian at zero input and state is R, of this spectral radius, and its data."""
    model = Sequential([layers.RNN(units, return_sequences=True), layers.Dense(1)], dtype="float64")
    model.compile("sgd", "mse")
    model.build(2, rng=0)
    weights = model.named_weights()
    drawn = np.random.default_rng(3).standard_normal((units, units))
    weights["rnn.weight_hh"] = radius * drawn / np.abs(np.linalg.eigvals(drawn)).max()
    model.set_weights(weights)
    return model, np.zeros((1, steps, 2)), np.ones((1, steps, 1))


# --- gradient by lag ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("radius", "word"), [(0.5, "vanishing"), (1.5, "exploding")])
def test_the_spectral_radius_decides_where_the_jacobian_is_r(radius, word):
    model, x, y = rest(radius)
    found = gradient_by_lag(model, x, y)
    assert found.words == {"rnn": word}
    assert found.verdict.lower().startswith(word)
    r, v = model.named_weights()["rnn.weight_hh"], model.named_weights()["dense.weight"][0]
    norms = [np.linalg.norm(np.linalg.matrix_power(r.T, k) @ v) for k in range(30)]
    np.testing.assert_allclose(found.curves["rnn"].shares()[0, :30], np.array(norms) / norms[0], rtol=1e-9)


def test_an_orthogonal_network_at_rest_is_healthy():
    model, x, y = rest(1.0)
    weights = model.named_weights()
    weights["rnn.weight_hh"] = np.linalg.qr(weights["rnn.weight_hh"])[0]
    model.set_weights(weights)
    found = gradient_by_lag(model, x, y)
    assert found.words == {"rnn": "healthy"}
    assert found.curves["rnn"].horizon() is None


STACKS = {
    "lstm over embedding, last step": (lambda: [layers.Embedding(7, 4), layers.LSTM(5), layers.Dense(2)], True),
    "gru over ids": (lambda: [layers.GRU(5, reset_after=False, return_sequences=True), layers.Dense(2)], True),
    "zoneout": (
        lambda: [layers.LSTM(5, zoneout=0.3, zoneout_cell=0.2, return_sequences=True), layers.Dense(2)],
        False,
    ),
    "both directions": (
        lambda: [
            layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
            layers.Bidirectional(layers.GRU(4, return_sequences=True), merge_mode="mean"),
            layers.Dense(2),
        ],
        False,
    ),
    "residual and attention": (
        lambda: [
            layers.Dense(4),
            layers.Residual(layers.LSTM(4, peephole=True, return_sequences=True)),
            layers.AttentionPooling(),
            layers.Dense(2),
        ],
        False,
    ),
}


@pytest.mark.parametrize("stack", STACKS)
def test_every_part_of_the_state_has_the_gradient_of_a_change_of_it(stack):
    """The loss is computed again from a state that was moved: central differences over the steps that follow."""
    parts, ids = STACKS[stack]
    model = make(*parts(), features=7 if ids else 3, loss="cross_entropy", ids=ids)
    rng = np.random.default_rng(2)
    x = rng.integers(0, 7, (2, 9)) if ids else rng.standard_normal((2, 9, 3))
    per_step = model.predict(x).ndim == 3
    y = rng.integers(0, 2, (2, 9) if per_step else 2)
    opened = open_model(model, x, y, "test")
    for name, (layer, _) in opened.found.items():
        places = opened.places(3, lags=8)
        for passed in opened.passes(places, lags=8):
            heard = passed.heard[name]
            steps = forward_steps(layer, heard)
            way = way_back(layer, heard, steps)
            # A step back from the gradient at every step is the gradient of the layer's parameters.
            total = heard.x.values.ndim == 1 or way.d_ax.T @ heard.x.values
            grad = opened.engine.parameters.named_grads()[f"{name}.weight_ih"]
            if heard.x.values.ndim == 1:
                total = np.zeros_like(grad)
                np.add.at(total.T, heard.x.values, way.d_ax)
            np.testing.assert_allclose(total, grad, atol=CLOSE * np.linalg.norm(grad))
            np.testing.assert_allclose(steps.after[0], heard.tape.y, atol=1e-12)
            assert [part.shape[1] for part in way.d_state] == list(layer.state_sizes())


class _Mixed(LSTMCell):
    """An LSTM whose cell states lean on each other: a step hands the gradient of c to other units, too."""

    name = "mixed"
    kernel = "mixed"  # not that of the LSTM

    def step(self, xp, ax, ah, state, p):
        h, c = state
        return super().step(xp, ax, ah, (h, c - 0.5 * xp.mean(c)), p)

    def step_backward(self, xp, d_state, tape, p):
        d_ax, d_ah, (d_h, d_c), extras = super().step_backward(xp, d_state, tape, p)
        return d_ax, d_ah, (d_h, d_c - 0.5 * xp.mean(d_c)), extras


class MixedLSTM(layers.LSTM):
    """The layer of it."""

    class Config(layers.LSTM.Config, tag="mixed_lstm"):
        """The same options."""

    def _make_cell(self):
        return _Mixed()


def test_a_cell_whose_units_hand_gradients_to_each_other_is_taken_back_as_defined():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make(MixedLSTM(5, return_sequences=True, name="mixed"), layers.Dense(1))
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((3, 10, 3)), rng.standard_normal((3, 10, 1))
        assert contributions(model, x, y).residual < CLOSE
        found = gradient_by_lag(model, x, y, positions=1)
        curve = found.curves["mixed"]
        assert np.isfinite(curve.quantile(0.5, "c")).all()


def test_long_sequences_begin_in_the_state_that_the_model_is_in():
    """Windows of one long sequence say what the whole of it says."""
    model = make(layers.Embedding(5, 3), layers.LSTM(6, return_sequences=True), layers.GRU(5, return_sequences=True),
                 layers.Dense(5), features=5, loss="cross_entropy")  # fmt: skip
    ids = np.random.default_rng(0).integers(0, 5, (2, 81))
    whole = gradient_by_lag(model, ids[:, :-1], ids[:, 1:], lags=79, positions=200)
    short = gradient_by_lag(model, ids[:, :-1], ids[:, 1:], lags=10, positions=200)
    index = {(b, t): p for p, (b, t) in enumerate(zip(*whole.places, strict=True))}
    for name, curve in short.curves.items():
        for p, place in enumerate(zip(*short.places, strict=True)):
            if place in index:
                for part, norms in curve.norms.items():
                    expected = whole.curves[name].norms[part][index[place], :11]
                    np.testing.assert_allclose(norms[p], expected, rtol=1e-9)


def test_lags_of_the_backward_direction_count_ahead():
    model = make(layers.Bidirectional(layers.GRU(4, return_sequences=True)), layers.Dense(1))
    x = np.random.default_rng(0).standard_normal((1, 20, 3))
    found = gradient_by_lag(model, x, x[:, :, :1], positions=20)
    for p, t in enumerate(found.places.step):
        for name, reach in (("bidirectional.forward", t), ("bidirectional.backward", 19 - t)):
            assert np.isfinite(found.curves[name].norms["state"][p]).sum() == reach + 1


def test_places_without_weight_are_not_asked():
    model = make(layers.GRU(4, return_sequences=True), layers.Dense(1))
    x = np.random.default_rng(0).standard_normal((1, 20, 3))
    weights = np.zeros((1, 20))
    weights[0, [11, 15]] = 1
    found = gradient_by_lag(model, x, x[:, :, :1], sample_weight=weights)
    assert found.places.step.tolist() == [11, 15]


def test_what_cannot_be_inspected_is_refused(rng):
    x, y = rng.standard_normal((2, 5, 3)), rng.standard_normal((2, 1))
    plain = Sequential([layers.GRU(4), layers.Dense(1)])
    with pytest.raises(UsageError, match=r"gradient_by_lag: the model is not compiled. Call model.compile"):
        gradient_by_lag(plain, x, y)
    plain.compile("sgd", "mse")
    with pytest.raises(NotFittedError):
        gradient_by_lag(plain, x, y)
    with pytest.raises(UsageError, match=r"gradient_by_lag: the model has no recurrent layer"):
        gradient_by_lag(make(layers.Pooling("mean"), layers.Dense(1)), x, y)
    with pytest.raises(UsageError, match=r"lags: this is no count, expected an integer >= 1, got 0"):
        gradient_by_lag(plain, x, y, lags=0)
    with pytest.raises(UsageError, match=r"gradient_by_lag: model is none, expected a Sequential, got str"):
        gradient_by_lag("lstm", x, y)
    both = make(layers.Bidirectional(layers.GRU(4)), layers.Dense(1))
    for function in (contributions, truncation_bias):
        with pytest.raises(UsageError, match=r"needs whole sequences"):
            function(both, x, y)
    with pytest.raises(UsageError, match=r"there is no loss at this step, expected 4, where the loss is, got 2"):
        contributions(make(layers.GRU(4), layers.Dense(1)), x, y, at=2)


def test_listening_changes_nothing_and_ends_with_the_block(rng):
    model = make(layers.LSTM(4, return_sequences=True), layers.Dense(1))
    found = recurrences(model.layers)
    x = rng.standard_normal((2, 5, 3))
    before = model.predict(x)
    with listen(found) as heard:
        np.testing.assert_array_equal(model.predict(x), before)
    assert set(heard) == {"lstm"}
    assert not {"forward", "backward"} & set(vars(model.layers[0]))


# --- terms and truncation -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [layers.RNN, layers.LSTM, layers.GRU])
def test_the_terms_of_the_sum_are_the_gradient(kind):
    model = make(layers.Embedding(6, 3), kind(5, return_sequences=True), kind(4, return_sequences=True, name="top"),
                 layers.Dense(6), features=6, loss="cross_entropy", dtype="float32")  # fmt: skip
    ids = np.random.default_rng(1).integers(0, 6, (3, 41))
    found = contributions(model, ids[:, :-1], ids[:, 1:])
    assert found.residual < CLOSE
    for name, shares in found.shares.items():
        np.testing.assert_allclose(np.nansum(shares, axis=1), 1, rtol=CLOSE)
        assert np.isnan(shares).sum(axis=1).tolist() == (shares.shape[1] - 1 - found.places.step).tolist(), name


def test_truncated_gradients_are_sums_of_the_first_terms():
    """What is cut off at k steps is what the terms beyond k make."""
    model = make(layers.LSTM(5, return_sequences=True), layers.GRU(4), layers.Dense(1))
    x = np.random.default_rng(1).standard_normal((1, 30, 3))
    bias = truncation_bias(model, x, np.ones((1, 1)))
    assert bias.steps.tolist() == [1, 2, 4, 8, 16, 30]
    assert bias.angles["all"][-1] < 1e-6
    assert bias.ratios["all"][-1] == pytest.approx(1, rel=CLOSE)
    terms = contributions(model, x, np.ones((1, 1)))
    # Of one matrix: the component of the truncated gradient along the exact one is the sum of the shares.
    opened = open_model(model, x, np.ones((1, 1)), "test")
    places = opened.places(1, lags=29)
    grads = {}
    for k in (4, 30):
        for passed in opened.passes(places, lags=k - 1):
            grads[k] = passed.scale * opened.engine.parameters.named_grads()["lstm.weight_hh"]
    along = (grads[4] * grads[30]).sum() / (grads[30] ** 2).sum()
    assert terms.shares["lstm.weight_hh"][0, :4].sum() == pytest.approx(along, rel=1e-9)
    assert bias.enough("gru") in bias.steps


# --- states ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "gates", "parts"),
    [
        (layers.RNN(4, return_sequences=True), [], ["h"]),
        (layers.LSTM(4, return_sequences=True), ["i", "f", "g", "o"], ["h", "c"]),
        (layers.LSTM(4, coupled=True, return_sequences=True), ["i", "f", "g", "o"], ["h", "c"]),
        (layers.GRU(4, return_sequences=True), ["r", "z", "n"], ["h"]),
        (layers.GRU(4, reset_after=False, layer_norm=True, return_sequences=True), ["r", "z", "n"], ["h"]),
    ],
    ids=["rnn", "lstm", "coupled", "gru", "gru before"],
)
def test_gates_and_states_obey_the_equations(layer, gates, parts):
    model = make(layer)
    x = np.random.default_rng(0).standard_normal((2, 7, 3))
    found = gates_and_states(model, x)
    (name,) = found.states
    assert (list(found.gates[name]), list(found.states[name])) == (gates, parts)
    of = {part: found.of(name, part, 1) for part in (*gates, *parts)}
    np.testing.assert_allclose(of["h"], model.predict(x)[1], atol=1e-12)
    if parts == ["h", "c"]:
        np.testing.assert_allclose(of["c"][1:], of["f"][1:] * of["c"][:-1] + of["i"][1:] * of["g"][1:], atol=1e-12)
        np.testing.assert_allclose(of["h"], of["o"] * np.tanh(of["c"]), atol=1e-12)
    if gates == ["r", "z", "n"]:
        np.testing.assert_allclose(
            of["h"][1:], (1 - of["z"][1:]) * of["n"][1:] + of["z"][1:] * of["h"][:-1], atol=1e-12
        )


def test_the_backward_direction_is_in_the_order_of_the_user():
    model = make(layers.Bidirectional(layers.LSTM(4, return_sequences=True)))
    x = [np.random.default_rng(k).standard_normal((length, 3)) for k, length in enumerate((5, 8))]
    found = gates_and_states(model, x)
    out = np.concatenate(model.predict(x))
    np.testing.assert_allclose(found.states["bidirectional.backward"]["h"], out[:, 4:], atol=1e-12)


def test_units_are_ranked_by_what_they_track():
    """A counter, a copy of the input, and a unit that stands for a class are found."""
    model = Sequential([layers.RNN(3, activation="identity", return_sequences=True)], dtype="float64")
    model.build(3, rng=0)
    model.set_weights([np.eye(3), np.diag([1.0, 0, 0]), np.zeros(3)])  # the first one adds up
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, 40)
    x = np.stack([np.ones(40), rng.standard_normal(40), np.array([-1.0, 0.0, 1.0])[classes]], axis=1)
    labels = {"input": x[:, 1], "class": np.array(["a", "b", "c"])[classes]}
    found = gates_and_states(model, [x], labels=labels)
    best = {label: (units[0].unit, round(units[0].score, 9)) for label, units in found.tracked.items()}
    assert best == {"position": (0, 1.0), "input": (1, 1.0), "class": (2, 1.0)}
    assert "unit 0 of rnn (h) tracks position best, at 1.00" in found.verdict.lower().replace("unit", "unit")


def test_saturation_counts_the_ends():
    model = make(layers.LSTM(4, return_sequences=True), spread=0.0)
    weights = model.named_weights()
    weights["lstm.bias"][4:8] = 50  # the forget gate is open for good
    model.set_weights(weights)
    found = gates_and_states(model, np.zeros((1, 9, 3)))
    forget = found.saturation["lstm"]["f"]
    assert (forget.low, forget.high, forget.counts.sum()) == (0.0, 1.0, 36)


def test_labels_that_do_not_fit_are_refused():
    model = make(layers.GRU(4))
    with pytest.raises(DataError, match=r"labels: 'odd' does not fit, expected \(10,\), got \(9,\)"):
        gates_and_states(model, np.zeros((2, 5, 3)), labels={"odd": np.zeros(9)})


def test_labels_of_a_text():
    found = text_labels('I say "no",\n“yes”!')
    assert len({len(values) for values in found.values()}) == 1
    assert "".join(np.array(list('I say "no",\n“yes”!'))[found["inside quotes"]]) == '"no“yes'
    assert found["position in line"][12:15].tolist() == [0, 1, 2]


# --- attribution ----------------------------------------------------------------------------------------------------


def planted(n, steps=12, seed=0):
    """Give sequences of which the one step that is marked decides the class."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.standard_normal((n, steps, 1)), np.zeros((n, steps, 1))], axis=2)
    at = rng.integers(0, steps, n)
    x[np.arange(n), at, 1] = 1
    x[np.arange(n), at, 0] = 2.0 * rng.choice([-1, 1], n)
    return x, (x[np.arange(n), at, 0] > 0).astype(int), at


@pytest.fixture(scope="module")
def reader():
    """Give a model that found out what decides."""
    model = Sequential([layers.GRU(16), layers.Dense(2)])
    model.compile({"type": "adam", "learning_rate": 0.02}, "cross_entropy", metrics=["accuracy"])
    x, y, _ = planted(1500)
    model.fit(x, y, epochs=8, batch_size=50, verbose=0, rng=0)
    return model


@pytest.mark.parametrize("method", ["gradient_x_input", "integrated_gradients", "occlusion"])
def test_the_step_that_decides_is_named_first(reader, method):
    x, y, at = planted(200, seed=1)
    assert (reader.predict(x).argmax(1) == y).mean() > 0.98
    found = attribute(reader, x, method=method)
    share = (found.top() == at).mean()
    assert share >= 0.95, share


FORMS = {
    "ids through an embedding": ([layers.Embedding(9, 4), layers.LSTM(5), layers.Dense(3)], True),
    "ids as one-hot rows": ([layers.GRU(5, return_sequences=True), layers.Dense(3)], True),
    "a class per step": ([layers.LSTM(5, return_sequences=True), layers.Dense(3, activation="softmax")], False),
    "both directions": ([layers.Bidirectional(layers.GRU(4)), layers.Dense(3)], False),
    "an encoder and a decoder": (
        [layers.GRU(4), layers.RepeatVector(5), layers.GRU(4, return_sequences=True), layers.Dense(3)],
        False,
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_task_can_be_attributed(form):
    parts, ids = FORMS[form]
    parts = [layers.from_config(part.config()) for part in parts]
    model = Sequential(parts, dtype="float64")
    model.build(9 if ids else 3, rng=0, ids=ids)
    rng = np.random.default_rng(0)
    x = [rng.integers(0, 9, n) if ids else rng.standard_normal((n, 3)) for n in (7, 4, 9)]
    found = attribute(model, x, output=1, points=24)
    assert found.scores.shape == (20,)
    assert np.abs(found.gap).max() < 1e-9  # the scores add up to what the input changes (completeness)
    hidden = attribute(model, x, method="occlusion", output=1)
    assert np.isfinite(hidden.scores).all()
    if form == "a class per step":  # the first sequence again without its step 2, by hand
        changed = x[0].copy()
        changed[2] = 0

        def logit(rows):
            h = model.predict([rows])  # probabilities: their logs differ by what all classes share
            return np.log(h[0][-1])

        both = [attribute(model, [x[0]], method="occlusion", output=k).of()[2] for k in range(3)]
        expected = logit(x[0]) - logit(changed)
        np.testing.assert_allclose(np.diff(both), np.diff(expected), atol=1e-9)
        early = attribute(model, [x[0]], at=3, output=0)
        assert np.count_nonzero(early.scores[4:]) == 0


def test_occlusion_looks_at_a_window_and_goes_on_from_the_state_before_it():
    model = make(layers.LSTM(5, return_sequences=True), layers.Dense(2))
    x = np.random.default_rng(0).standard_normal((1, 60, 3))
    whole = attribute(model, x, method="occlusion", output=0, window=60)
    near = attribute(model, x, method="occlusion", output=0, window=10)
    assert np.isnan(near.scores[:50]).all()
    np.testing.assert_allclose(near.scores[50:], whole.scores[50:], atol=1e-12)


def test_what_cannot_be_attributed_is_refused():
    model = make(layers.GRU(4), layers.Dense(2))
    x = np.zeros((2, 5, 3))
    for options, words in (
        ({"method": "guess"}, "unknown method"),
        ({"output": 2}, "there is no such output, expected an index from 0 to 1, got 2"),
        ({"baseline": np.zeros(4)}, "the baseline does not fit"),
        ({"baseline": "noise"}, "unknown baseline"),
    ):
        with pytest.raises(UsageError, match=words):
            attribute(model, x, **options)
    tagger = make(layers.GRU(4, return_sequences=True), layers.Dense(2))
    with pytest.raises(UsageError, match="sequence 0 has no such step, expected one of 5 steps, got 5"):
        attribute(tagger, x, at=5)


# --- dynamics -------------------------------------------------------------------------------------------------------


def test_a_linear_network_has_the_radius_and_the_exponent_of_r():
    model = Sequential([layers.RNN(8, activation="identity", return_sequences=True)], dtype="float64")
    model.build(2, rng=0)
    weights = model.named_weights()
    r = np.diag(np.linspace(0.3, 0.9, 8)) + np.triu(0.1 * np.ones((8, 8)), 1)  # not normal; eigenvalues on the diagonal
    weights["rnn.weight_hh"] = r
    model.set_weights(weights)
    motion = dynamics(model, np.random.default_rng(0).standard_normal((1, 400, 2))).motions["rnn"]
    np.testing.assert_allclose(motion.radii, 0.9, rtol=1e-9)
    assert motion.lyapunov == pytest.approx(np.log(0.9), abs=1e-3)
    (point,) = motion.fixed_points
    assert point.unstable == 0
    assert motion.explained.sum() <= 1 + 1e-12


@pytest.mark.parametrize("layer", [layers.LSTM(3, return_sequences=True), layers.GRU(3, return_sequences=True)])
def test_the_jacobian_is_that_of_the_step(layer):
    """Along the real axis: the state moved by hand, the step made again by the model."""
    model = make(layer, spread=0.5)
    x = np.random.default_rng(0).standard_normal((1, 6, 3))
    motion = next(iter(dynamics(model, x).motions.values()))
    _, state = model.predict(x[:, :3], return_state=True)
    flat = np.concatenate([part[0] for part in state[0]])
    columns = []
    for k in range(len(flat)):
        ends = []
        for sign in (1, -1):
            moved = flat.copy()
            moved[k] += sign * 1e-6
            parts = tuple(part[None] for part in np.split(moved, len(state[0])))
            _, after = model.predict(x[:, 3:4], state=(parts,), return_state=True)
            ends.append(np.concatenate([part[0] for part in after[0]]))
        columns.append((ends[0] - ends[1]) / 2e-6)
    radius = np.abs(np.linalg.eigvals(np.stack(columns, axis=1))).max()
    assert motion.radii[list(motion.rows).index(3)] == pytest.approx(radius, rel=1e-6)


def test_fixed_points_are_states_that_stay():
    model = Sequential([layers.RNN(2, return_sequences=True)], dtype="float64")
    model.build(2, rng=0)
    model.set_weights([np.eye(2), np.diag([2.0, 2.0]), np.zeros(2)])
    x = 0.5 * np.random.default_rng(0).standard_normal((4, 50, 2))
    x -= x.reshape(-1, 2).mean(axis=0)  # the mean input is nothing, so each unit rests at −0.96, 0 or 0.96
    points = dynamics(model, x).motions["rnn"].fixed_points
    assert len(points) == 9
    for point in points:
        np.testing.assert_allclose(np.tanh(2 * point.state), point.state, atol=1e-8)
        assert point.unstable == (np.abs(point.state) < 0.1).sum()


def test_large_states_are_not_searched_for_fixed_points():
    model = make(layers.LSTM(40, return_sequences=True))
    found = dynamics(model, np.random.default_rng(0).standard_normal((1, 20, 3)))
    assert found.motions["lstm"].fixed_points is None


# --- all of them ----------------------------------------------------------------------------------------------------


def test_findings_are_sentences_and_json_and_leave_the_model_alone():
    model = make(layers.LSTM(6, return_sequences=True), layers.Dense(2), loss="cross_entropy", dtype="float32")
    before = {name: w.copy() for name, w in model.named_weights().items()}
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((3, 20, 3)).astype("float32"), rng.integers(0, 2, (3, 20))
    for found in (
        gradient_by_lag(model, x, y),
        contributions(model, x, y),
        truncation_bias(model, x, y),
        gates_and_states(model, x),
        attribute(model, x),
        dynamics(model, x),
    ):
        assert found.verdict.endswith(".") and len(found.verdict) < 220
        assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["verdict"] == found.verdict
    for name, array in model.named_weights().items():
        np.testing.assert_array_equal(array, before[name])
