"""Layers: what they compute together, how they are written down, and every refusal in a table."""

from __future__ import annotations

import copy
import json
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman import layers
from elman.cells.gate_orders import gate_block
from elman.errors import ElmanError, NotFittedError, UsageError
from elman.layers import LAYERS, check_carry, check_stack
from elman.layers.base import check_options
from elman.ops.weights import Weights
from elman.ragged import Ragged

RECURRENT = [layers.RNN, layers.LSTM, layers.GRU]


def bound(layer, input_size, *, dtype="float64", seed=0):
    """Give the layer with first values of its own."""
    drawn = layer.init(np.random.default_rng(seed), input_size)
    layer.bind(Weights({name: array.astype(dtype) for name, array in drawn.items()}))
    return layer


def zero_grads(layer):
    return {name: np.zeros_like(array) for name, array in layer.weights.items()}


def batch(lengths, features, *, dtype="float64", seed=1):
    rng = np.random.default_rng(seed)
    return Ragged(rng.standard_normal((sum(lengths), features)).astype(dtype), lengths)


# --- what comes out -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", RECURRENT)
def test_last_step_is_the_last_of_the_sequences(kind):
    """return_sequences=False gives the h after the last step, the initial one where there is no step."""
    x = batch([3, 0, 5], 4)
    every, last = bound(kind(6, return_sequences=True), 4), bound(kind(6), 4)
    rng = np.random.default_rng(3)
    state = tuple(rng.standard_normal((3, 6)) for _ in last.cell.states)
    outputs, end, _ = every.forward(x, state=state)
    row, end_too, _ = last.forward(x, state=state)
    np.testing.assert_array_equal(row, outputs.last(initial=state[0]))
    np.testing.assert_array_equal(row, end[0])
    np.testing.assert_array_equal(end, end_too)
    assert outputs.lengths is x.lengths


@pytest.mark.parametrize("kind", RECURRENT)
def test_gradient_of_the_last_step_is_that_of_the_last_state(kind):
    x = batch([3, 0, 5], 4)
    layer = bound(kind(6), 4)
    dy = np.random.default_rng(5).standard_normal((3, 6))
    dend = tuple(np.random.default_rng(6 + k).standard_normal((3, 6)) for k in range(len(layer.cell.states)))
    _, _, tape = layer.forward(x)
    answers = []
    for out, dstate in ((dy, dend), (None, (dend[0] + dy, *dend[1:]))):
        grads = zero_grads(layer)
        dx, back, _ = layer.backward(out, tape, grads, dstate=dstate)
        answers.append([dx.values, *back, *grads.values()])
    for a, b in zip(*answers, strict=True):
        np.testing.assert_array_equal(a, b)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=5), st.integers(0, 6), st.sampled_from(RECURRENT))
def test_cut_and_carried_is_one_run(lengths, cut, kind):
    """Two windows with the state carried between them give what one run gives, back through both too."""
    layer = bound(kind(3, return_sequences=True), 2)
    x = batch(lengths, 2)
    whole, end, tape = layer.forward(x)
    first, between, tape_1 = layer.forward(x.window(0, cut))
    second, end_too, tape_2 = layer.forward(x.window(cut, 6), state=between)
    joined = Ragged.from_list([np.concatenate(pair) for pair in zip(first, second, strict=True)])
    np.testing.assert_allclose(joined.values, whole.values, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(end_too, end, rtol=1e-13, atol=1e-15)

    dy = whole.with_values(np.random.default_rng(2).standard_normal(whole.values.shape))
    grads, grads_too = zero_grads(layer), zero_grads(layer)
    _, begin, _ = layer.backward(dy, tape, grads)
    _, dbetween, _ = layer.backward(dy.window(cut, 6), tape_2, grads_too)
    _, begin_too, _ = layer.backward(dy.window(0, cut), tape_1, grads_too, dstate=dbetween)
    np.testing.assert_allclose(begin_too, begin, rtol=1e-11, atol=1e-13)
    for name, gradient in grads.items():
        np.testing.assert_allclose(grads_too[name], gradient, rtol=1e-11, atol=1e-12)


def test_a_layer_may_stand_twice():
    """Nothing is kept on the layer between the two passes: two tapes at once, gradients of both added."""
    layer = bound(layers.GRU(4, return_sequences=True), 4)
    x = batch([2, 3], 4)
    middle, _, tape_1 = layer.forward(x)
    out, _, tape_2 = layer.forward(middle)
    twin = copy.deepcopy(layer)
    middle_too, _, twin_1 = layer.forward(x)
    out_too, _, twin_2 = twin.forward(middle_too)
    np.testing.assert_array_equal(out.values, out_too.values)
    grads, grads_1, grads_2 = zero_grads(layer), zero_grads(layer), zero_grads(layer)
    dy = out.with_values(np.ones_like(out.values))
    dx = layer.backward(layer.backward(dy, tape_2, grads)[0], tape_1, grads)[0]
    dx_too = layer.backward(twin.backward(dy, twin_2, grads_2)[0], twin_1, grads_1)[0]
    np.testing.assert_array_equal(dx.values, dx_too.values)
    for name, gradient in grads.items():
        np.testing.assert_allclose(gradient, grads_1[name] + grads_2[name], rtol=1e-12, atol=1e-13)


def test_two_threads_may_run_one_layer():
    layer = bound(layers.LSTM(16, return_sequences=True), 3)
    batches = [batch([5, 2, 9], 3, seed=k) for k in range(4)]
    expected = [layer.forward(x)[0].values.copy() for x in batches]
    wrong = []

    def run(k):
        for _ in range(50):
            if not np.array_equal(layer.forward(batches[k])[0].values, expected[k]):
                wrong.append(k)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Dense(3, activation="softmax"),
        lambda: layers.Dense(3, activation="relu"),
        lambda: layers.Dense(3),
        *[lambda kind=kind: kind(3) for kind in RECURRENT],
        *[lambda kind=kind: kind(3, return_sequences=True) for kind in RECURRENT],
        *[lambda kind=kind: layers.Bidirectional(kind(3)) for kind in RECURRENT],
        *[
            lambda merge=merge: layers.Bidirectional(layers.LSTM(3, return_sequences=True), merge_mode=merge)
            for merge in ("concat", "sum", "mean")
        ],
        lambda: layers.Residual(layers.GRU(4, return_sequences=True)),
        lambda: layers.Residual(layers.Dropout(0.5)),
        lambda: layers.LayerNorm(),
        *[lambda mode=mode: layers.Pooling(mode) for mode in ("last", "mean", "max", "mean_max")],
        lambda: layers.AttentionPooling(3),
    ],
)
def test_nothing_given_is_changed(make, dtype):
    """dy, dstate, state and x are only read, and the answers are not the caller's arrays."""
    layer = bound(make(), 4, dtype=dtype)
    x = batch([3, 0, 2], 4, dtype=dtype)
    rng = np.random.default_rng(1)
    state, dstate = (
        tuple(rng.standard_normal((3, width)).astype(dtype) for width in layer.state_sizes()) for _ in range(2)
    )
    for array in (x.values, *state, *layer.weights.values()):
        array.flags.writeable = False
    out, last, tape = layer.forward(x, state=state or None)
    values = out.values if isinstance(out, Ragged) else out
    assert values.dtype == dtype
    dy = rng.standard_normal(values.shape).astype(dtype)
    given = [x.values, dy, *state, *dstate, *layer.weights.values(), values, *last]
    for array in given:
        array.flags.writeable = False
    grads = zero_grads(layer)
    flow = out.with_values(dy) if isinstance(out, Ragged) else dy
    dx, back, dh = layer.backward(flow, tape, grads, dstate=dstate or None, keep_dh=True)
    assert dx.values.dtype == dtype
    for answer in (dx.values, *back, *([] if dh is None else [dh])):
        assert not any(np.shares_memory(answer, array) for array in given)


@pytest.mark.parametrize(
    "layer",
    [
        layers.Bidirectional(layers.LSTM(6, return_sequences=True)),
        layers.Bidirectional(layers.GRU(6), merge_mode="sum"),
        layers.Residual(layers.RNN(5, return_sequences=True)),
        layers.LayerNorm(),
        layers.Dropout(0.5),
        layers.Dropout(0.5, per_sequence=True),
        layers.Pooling("mean_max"),
        layers.AttentionPooling(7),
    ],
    ids=repr,
)
def test_tapes_are_no_larger_than_foretold(layer):
    """What the tape keeps fits into what is announced before a batch is begun, gradients aside."""
    bound(layer, 5)
    x = batch([40, 0, 60], 5)
    _, _, tape = layer.forward(x, rng=np.random.default_rng(0))
    assert 0 < tape.nbytes <= layer.kept_per_step(5) * x.n_steps * 8


def test_gradients_are_added_and_dx_only_if_wanted():
    layer, x = bound(layers.Dense(2), 3), batch([2, 1], 3)
    y, _, tape = layer.forward(x)
    once, twice = zero_grads(layer), zero_grads(layer)
    assert layer.backward(y, tape, once, want_dx=False)[0] is None
    for _ in range(2):
        layer.backward(y, tape, twice)
    for name in once:
        np.testing.assert_allclose(twice[name], 2 * once[name], rtol=1e-14)
    assert layer.forward(x, tape=False)[2] is None


# --- first values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", RECURRENT)
def test_first_values_of_recurrent_layers(kind):
    """Per gate: W uniform within Glorot's limit, R orthogonal; biases 0, but 1 for the forget gate."""
    layer = kind(32)
    values = layer.init(np.random.default_rng(0), 8)
    assert {name: array.shape for name, array in values.items()} == layer.param_shapes(8)
    gates = layer.cell.gates
    limit = np.sqrt(6 / (8 + 32))
    for gate in gates:
        w = gate_block(values["weight_ih"], gate, order=gates)
        assert 0.9 * limit < abs(w).max() <= limit
        r = gate_block(values["weight_hh"], gate, order=gates)
        np.testing.assert_allclose(r @ r.T, np.eye(32), atol=1e-12)
        assert set(gate_block(values["bias"], gate, order=gates)) == {1.0 if gate == "f" else 0.0}
    blocks = np.split(values["weight_hh"], len(gates))
    assert all(not np.allclose(blocks[0], block) for block in blocks[1:])


def test_orthogonal_is_drawn_evenly():
    """Without the sign correction the corner of Q would always be negative."""
    rng = np.random.default_rng(0)
    corners = [layers.initial.orthogonal(rng, 3)[0, 0] for _ in range(400)]
    assert 0.4 < np.mean(np.array(corners) > 0) < 0.6


def test_one_seed_one_start():
    for layer in (layers.LSTM(5), layers.Dense(3), layers.Embedding(7, 2)):
        a, b, c = (layer.init(np.random.default_rng(seed), 4) for seed in (1, 1, 2))
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
        assert any(not np.array_equal(a[name], c[name]) for name in a)


# --- written down and read again ------------------------------------------------------------------------------------

EXAMPLES = [
    layers.RNN(3, activation="relu", return_sequences=True, name="first"),
    layers.LSTM(4, vocab_size=65),
    layers.GRU(5),
    layers.Dense(6, activation="softmax", name="答え"),
    layers.Dense(6),
    layers.Embedding(7, 8),
    layers.Bidirectional(layers.LSTM(4, return_sequences=True, name="inner"), merge_mode="sum", name="both"),
    layers.Bidirectional(layers.GRU(3), backward_layer=layers.RNN(5, activation="relu"), merge_mode="concat"),
    layers.Residual(layers.Residual(layers.Dense(9, activation="tanh"))),
    layers.Residual(layers.Bidirectional(layers.GRU(9, return_sequences=True), merge_mode="mean")),
    layers.Dropout(0.25, per_sequence=True),
    layers.GaussianNoise(0.3),
    layers.SpecAugment(features=4, steps=7),
    layers.LayerNorm(1e-3),
    layers.Pooling("mean_max"),
    layers.AttentionPooling(5),
    layers.AttentionPooling(),
    layers.RepeatVector(3, name="many"),
]


def test_every_layer_has_an_example():
    assert {type(layer) for layer in EXAMPLES} == set(LAYERS.values())


@pytest.mark.parametrize("layer", EXAMPLES, ids=repr)
def test_config_and_back(layer):
    config = json.loads(json.dumps(layer.config()))
    again = layers.from_config(config)
    assert type(again) is type(layer)
    assert again.config() == layer.config()
    assert again.param_shapes(9) == layer.param_shapes(9)
    assert type(layer).from_config(config).config() == config


@pytest.mark.parametrize("layer", EXAMPLES, ids=repr)
def test_repr_is_the_call(layer):
    made = eval(repr(layer), {kind.__name__: kind for kind in LAYERS.values()})
    assert made.config() == layer.config()


def test_pickle_and_copies():
    layer = bound(layers.LSTM(4, name="lstm"), 3)
    x = batch([2, 2], 3)
    expected = layer.forward(x)[0]
    for other in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
        np.testing.assert_array_equal(other.forward(x)[0], expected)
        assert not np.shares_memory(other.weights["bias"], layer.weights["bias"])


def test_numpy_integers_are_sizes():
    assert layers.LSTM(np.int64(3)).config()["units"] == 3


@pytest.mark.parametrize(
    "make, option, expected",
    [
        (lambda: layers.Dropout(np.float64(0.25)), "rate", 0.25),
        (lambda: layers.GRU(4, zoneout=np.linspace(0, 0.5, 3, dtype=np.float32)[1]), "zoneout", 0.25),
        (lambda: layers.LSTM(4, return_sequences=np.bool_(True)), "return_sequences", True),
        (lambda: layers.LSTM(4, projection=np.uint8(3)), "projection", 3),
        (lambda: layers.RNN(4, name=np.str_("first")), "name", "first"),
    ],
)
def test_numpy_scalars_are_options(make, option, expected):
    """They come out of linspace, of tables and of comparisons; what is kept and written down is Python's."""
    layer = make()
    assert getattr(layer, option) == expected and type(layer.config()[option]) is type(expected)
    assert layers.from_config(json.loads(json.dumps(layer.config()))).config() == layer.config()


def test_names_of_keras():
    assert layers.SimpleRNN is layers.RNN
    assert layers.LayerNormalization is layers.LayerNorm
    for made, meant in (
        (layers.GlobalAveragePooling1D(name="a"), layers.Pooling("mean", name="a")),
        (layers.GlobalMaxPooling1D(), layers.Pooling("max")),
        (layers.SpatialDropout1D(0.5), layers.Dropout(0.5, per_sequence=True)),
        (
            layers.Bidirectional(layers.GRU(3), merge_mode="ave"),
            layers.Bidirectional(layers.GRU(3), merge_mode="mean"),
        ),
    ):
        assert made.config() == meant.config()


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("Masking", "give a list of arrays, a Ragged, lengths= or pad_value="),
        ("TimeDistributed", "Dense, Dropout and LayerNorm act on every step"),
        ("Input", r"model\.build\(input_size\)"),
        ("Flatten", "Pooling, AttentionPooling or return_sequences=False"),
        ("Activation", "Give activation= to the layer before it"),
    ],
)
def test_layers_that_nothing_needs(name, cure):
    said = f"elman.layers: there is no {name}, nor a need for it.*{cure}"
    with pytest.raises(ImportError, match=said):
        getattr(layers, name)
    with pytest.raises(ImportError, match=said):
        exec(f"from elman.layers import {name}")
    with pytest.raises(AttributeError, match="has no attribute 'Lstm'"):
        _ = layers.Lstm


def test_a_wrapped_layer_is_a_copy():
    """One object may be wrapped twice, and be used besides: none of them shares weights."""
    inner = layers.GRU(4, return_sequences=True, name="inner")
    one, two = layers.Residual(inner), layers.Residual(inner)
    assert one.layer is not inner and one.layer is not two.layer
    bound(one, 4)
    assert not inner.built and not two.layer.built
    with pytest.raises(UsageError, match=r"Bidirectional: GRU 'inner' has weights of another model\. Wrap a new layer"):
        layers.Bidirectional(one.layer)


def test_parts_of_a_wrapper_see_its_weights():
    """Names lead to the parts, arrays are shared and so is the clock."""
    layer = layers.Residual(layers.Bidirectional(layers.LSTM(2, return_sequences=True), merge_mode="sum"))
    bound(layer, 2)
    assert list(layer.weights) == [
        f"layer.{way}.{name}" for way in ("forward", "backward") for name in ("weight_ih", "weight_hh", "bias")
    ]
    inner = layer.layer.parts["backward"]
    assert inner.weights["bias"] is layer.weights["layer.backward.bias"]
    assert inner.weights.clock is layer.weights.clock
    assert layer.state_sizes() == (2, 2, 2, 2)
    assert layer.title == "Residual" and layer.kind == "Residual(Bidirectional(LSTM))"
    first, second = layer.layer.parts.values()
    assert not np.array_equal(first.weights["weight_ih"], second.weights["weight_ih"])


def nested(depth):
    """Give the config of a layer in a layer in a layer."""
    config = {"type": "dense", "units": 3}
    for _ in range(depth):
        config = {"type": "residual", "layer": config}
    return config


# name -> (what is done, words of the message)
REFUSED = {
    "no units": (lambda: layers.LSTM(0), "layer 'lstm': units is not accepted, expected int >= 1, got 0"),
    "too many units": (lambda: layers.GRU(10**9), "units is not accepted, expected int <= 65536, got 1000000000"),
    "units of half": (lambda: layers.Dense(2.5), "^layer 'dense': units is not accepted, expected int, got 2.5.$"),
    "units of a whole float": (
        lambda: layers.LSTM(4.0),
        "^layer 'lstm': units is not accepted, expected int, got 4.0.$",
    ),
    "units a word": (lambda: layers.Dense("4"), "^layer 'dense': units is not accepted, expected int, got '4'.$"),
    "units a truth": (lambda: layers.Dense(True), "^layer 'dense': units is not accepted, expected int, got True.$"),
    "vocabulary of none": (lambda: layers.Embedding(0, 4), "vocab_size is not accepted, expected int >= 1, got 0"),
    "activation": (
        lambda: layers.RNN(4, activation="swish"),
        "expected one of 'tanh', 'sigmoid', 'relu', 'hard_sigmoid', 'identity', got 'swish'",
    ),
    "activation of Dense": (
        lambda: layers.Dense(4, activation="gelu"),
        "expected one of 'tanh', 'sigmoid', 'relu', 'softmax', got 'gelu'",
    ),
    "name with a dot": (lambda: layers.LSTM(4, name="a.b"), "name is not accepted, .*without a dot.* got 'a.b'"),
    "name of nothing": (lambda: layers.LSTM(4, name=""), "name is not accepted"),
    "name with a line": (lambda: layers.LSTM(4, name="a\n"), "name is not accepted"),
    "name that files need": (lambda: layers.LSTM(4, name="history"), "other than 'history'"),
    "stateful": (
        lambda: layers.LSTM(4, stateful=True, name="encoder"),
        r"LSTM 'encoder': stateful=True is not an option of layers.*predict\(x, state=state, return_state=True\)",
    ),
    "return_state": (lambda: layers.RNN(4, return_state=True), "return_state=True is not an option of layers.*state="),
    "config without type": (
        lambda: layers.from_config({"units": 4}),
        "unknown type, expected one of 'embedding'",
    ),
    "config of unknown type": (lambda: layers.from_config({"type": "qrnn"}), "unknown type, .* got 'qrnn'"),
    "config of odd type": (lambda: layers.from_config({"type": ["lstm"]}), r"unknown type, .* got \['lstm'\]"),
    "config of another": (
        lambda: layers.LSTM.from_config({"type": "gru", "units": 4}),
        "type is not accepted, expected 'lstm', got 'gru'",
    ),
    "config with more": (
        lambda: layers.from_config({"type": "lstm", "units": 4, "attention": True}),
        "there is no option attention, expected the options units, return_sequences, .*, name",
    ),
    "config with less": (
        lambda: layers.from_config({"type": "gru"}),
        "missing required field units, expected the options",
    ),
    "config of giants": (lambda: layers.from_config({"type": "gru", "units": 2**63}), "units is not accepted"),
    "config with NaN": (lambda: layers.from_config({"type": "gru", "units": float("nan")}), "units is not accepted"),
    "ids into Dense": (
        lambda: check_stack([layers.Dense(4)], input_size=65, ids=True),
        r"Dense: cannot take token ids.*Put Embedding\(65, ...\)",
    ),
    "numbers into Embedding": (
        lambda: check_stack([layers.LSTM(4, return_sequences=True), layers.Embedding(65, 3)], input_size=2, ids=False),
        "Embedding: takes token ids only",
    ),
    "recurrent after last step": (
        lambda: check_stack([layers.GRU(4, name="a"), layers.LSTM(4, name="b")], input_size=2, ids=False),
        "LSTM 'b': needs sequences, .*Set return_sequences=True on GRU 'a'",
    ),
    "noise below zero": (lambda: layers.GaussianNoise(-1), "stddev is not accepted, expected float >= 0.0, got -1"),
    "a block of less than none": (
        lambda: layers.SpecAugment(-1, 2),
        "features is not accepted, expected int >= 0",
    ),
    "a share of the steps": (lambda: layers.SpecAugment(1, 0.5), "steps is not accepted, expected int, got 0.5"),
    "half a rate": (lambda: layers.Dropout("0.5"), "rate is not accepted, expected float, got '0.5'"),
    "all dropped": (lambda: layers.Dropout(1.0), "rate is not accepted, expected float < 1.0, got 1.0"),
    "less than none dropped": (lambda: layers.Dropout(-0.1), "rate is not accepted, expected float >= 0.0, got -0.1"),
    "epsilon of zero": (lambda: layers.LayerNorm(0.0), "epsilon is not accepted, expected float > 0.0, got 0.0"),
    "no copies": (lambda: layers.RepeatVector(0), "n is not accepted, expected int >= 1, got 0"),
    "pooling of another kind": (
        lambda: layers.Pooling("attention"),
        "mode is not accepted, expected one of 'last', 'mean', 'max', 'mean_max', got 'attention'",
    ),
    "merged in another way": (
        lambda: layers.Bidirectional(layers.LSTM(4), merge_mode="mul"),
        "merge_mode is not accepted, expected one of 'concat', 'sum', 'mean', got 'mul'",
    ),
    "both ways of a Dense": (
        lambda: layers.Bidirectional(layers.Dense(4)),
        "Bidirectional: it wraps a recurrent layer, expected RNN, LSTM or GRU, got Dense",
    ),
    "both ways of a number": (
        lambda: layers.Bidirectional(64),
        "Bidirectional: it wraps a recurrent layer, expected RNN, LSTM or GRU, got 64",
    ),
    "the way back of a Dense": (
        lambda: layers.Bidirectional(layers.LSTM(4), backward_layer=layers.Dense(4)),
        "it wraps a recurrent layer, .* got Dense",
    ),
    "two ways of other sizes": (
        lambda: layers.Bidirectional(layers.LSTM(4), backward_layer=layers.GRU(5), merge_mode="sum", name="both"),
        "Bidirectional 'both': layer and backward_layer give 4 and 5 features, of which there is no sum, "
        "expected equal sizes. Take equal units, or merge_mode='concat'",
    ),
    "two ways of other forms": (
        lambda: layers.Bidirectional(layers.LSTM(4), backward_layer=layers.LSTM(4, return_sequences=True)),
        "return_sequences of backward_layer differs from that of layer, expected False, got True",
    ),
    "around a number": (lambda: layers.Residual(3), "Residual: it wraps a layer, .* got 3"),
    "around another size": (
        lambda: check_stack([layers.Residual(layers.Dense(4), name="skip")], input_size=3, ids=False),
        r"Residual 'skip': x has 3 features and Dense gives 4, so they cannot be added, expected equal sizes\. "
        r"Give the wrapped layer an output of 3, or put Dense\(4\) before Residual",
    ),
    "around a last step": (
        lambda: check_stack([layers.Residual(layers.GRU(3, name="g"))], input_size=3, ids=False),
        "Residual: GRU 'g' gives another form than it gets, expected one row per step, got one row per sequence. "
        "Set return_sequences=True on GRU 'g'",
    ),
    "around a pooling": (
        lambda: check_stack([layers.Residual(layers.Pooling("max"))], input_size=3, ids=False),
        "Pooling gives another form than it gets",
    ),
    "around ids": (
        lambda: check_stack([layers.Residual(layers.Embedding(3, 3))], input_size=3, ids=True),
        "Residual: cannot take token ids",
    ),
    "around an embedding of numbers": (
        lambda: check_stack([layers.Residual(layers.Embedding(3, 3))], input_size=3, ids=False),
        "Residual: it adds numbers, and Embedding takes token ids",
    ),
    "size deep inside": (
        lambda: check_stack([layers.Residual(layers.Residual(layers.Dense(4)))], input_size=3, ids=False),
        "x has 3 features and Dense gives 4",
    ),
    "copies of sequences": (
        lambda: check_stack(
            [layers.LSTM(3, return_sequences=True, name="a"), layers.RepeatVector(2)], input_size=3, ids=False
        ),
        "RepeatVector: needs one row per sequence, expected rows, got sequences from LSTM 'a'. "
        "Set return_sequences=False on the layer before it, or put a Pooling layer there",
    ),
    "copies of the input": (
        lambda: check_stack([layers.RepeatVector(2)], input_size=3, ids=False),
        "RepeatVector: needs one row per sequence, .* got sequences from the input",
    ),
    "pooling of rows": (
        lambda: check_stack([layers.LSTM(3, name="a"), layers.Pooling("max")], input_size=3, ids=False),
        "Pooling: needs sequences, .* Set return_sequences=True on LSTM 'a'",
    ),
    "attention over rows": (
        lambda: check_stack([layers.GRU(3), layers.AttentionPooling()], input_size=3, ids=False),
        "AttentionPooling: needs sequences",
    ),
    "ids into Dropout": (
        lambda: check_stack([layers.Dropout(0.5)], input_size=65, ids=True),
        r"Dropout: cannot take token ids.*Put Embedding\(65, ...\)",
    ),
    "too many ids for both ways": (
        lambda: check_stack([layers.Bidirectional(layers.LSTM(3, vocab_size=65))], input_size=66, ids=True),
        "Bidirectional: knows fewer token ids than come in, expected at most 65, got 66",
    ),
    "carried through both ways": (
        lambda: check_carry([layers.LSTM(3), layers.Bidirectional(layers.LSTM(3), name="b")], where="step"),
        r"step: Bidirectional 'b' \(Bidirectional\(LSTM\)\) needs whole sequences, so no state can be carried",
    ),
    "carried through both ways inside": (
        lambda: check_carry([layers.Residual(layers.Bidirectional(layers.LSTM(3)))], where="fit"),
        r"fit: Residual \(Residual\(Bidirectional\(LSTM\)\)\) needs whole sequences",
    ),
    "carried through pooling": (
        lambda: check_carry([layers.Pooling("mean")], where="fit"),
        r"fit: Pooling \(Pooling\) needs whole sequences",
    ),
    "config of layers without end": (
        lambda: layers.from_config(nested(300)),
        "layers are nested too deep, expected at most 16 levels",
    ),
    "config of a part that is none": (
        lambda: layers.from_config({"type": "residual", "layer": {"type": "conv"}}),
        "unknown type, .* got 'conv'",
    ),
    "config of a part with more": (
        lambda: layers.from_config({"type": "residual", "layer": {"type": "gru", "units": 3, "odd": 1}}),
        "layer 'gru': there is no option odd",
    ),
    "config of a part that is a word": (
        lambda: layers.from_config({"type": "residual", "layer": "gru"}),
        "layer 'residual': layer is not accepted, expected object, got 'gru'",
    ),
    "too many ids": (
        lambda: check_stack([layers.Embedding(65, 3)], input_size=66, ids=True),
        "Embedding: knows fewer token ids than come in, expected at most 65, got 66",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    do, words = REFUSED[case]
    with pytest.raises(UsageError, match=words) as caught:
        do()
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, ElmanError)
    assert caught.value.exit_code == 2


def test_without_weights():
    layer = layers.LSTM(4, name="lstm")
    assert not layer.built
    with pytest.raises(NotFittedError, match=r"LSTM 'lstm': has no weight_\w+ yet\. Build the model first"):
        layer.forward(batch([2], 3))


def test_stack_that_fits():
    check_carry([layers.LSTM(4, return_sequences=True), layers.Pooling("last"), layers.Dropout(0.5)], where="fit")
    whole = [layers.Bidirectional(layers.GRU(4)), layers.RepeatVector(3), layers.LSTM(5), layers.Dense(2)]
    assert check_stack(whole, input_size=65, ids=True) == (2, False)
    assert check_stack(whole[:2], input_size=65, ids=True) == (8, True)
    stack = [layers.Embedding(65, 8), layers.LSTM(4, return_sequences=True), layers.GRU(5), layers.Dense(2)]
    assert check_stack(stack, input_size=65, ids=True) == (2, False)
    assert check_stack(stack[1:2], input_size=65, ids=True) == (4, True)


def test_options_are_checked_where_they_are_declared():
    assert check_options(layers.Dense.Config, {"units": 3}).units == 3
