"""`elman.check_gradients`: says of right gradients that they are, and of wrong ones which."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest

import elman
from elman import Sequential, layers
from elman.cells import GRU as GRUCell
from elman.errors import NotFittedError, UsageError
from elman.layers.base import Layer, LayerConfig
from elman.ops.losses.base import Loss, sum_of


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    """Cells of one's own run in NumPy, which says so once."""
    monkeypatch.setattr("elman.ops.recurrence.note_slow_path", lambda reason: None)


def compiled(*parts, loss="mse", dtype="float32", features=3, **options):
    model = Sequential(list(parts), dtype=dtype)
    model.compile("sgd", loss)
    model.build(features, rng=0, **options)
    return model


def verdicts(check):
    return {parameter.name: parameter.verdict for parameter in check.parameters}


RIGHT = {
    "lstm, all options": (
        lambda: [layers.LSTM(6, peephole=True, projection=3, layer_norm=True, initial_state="learned"),
                 layers.Dense(2)],
        "mse",
        False,
    ),
    "ids, both directions, attention": (
        lambda: [layers.Embedding(5, 3), layers.Bidirectional(layers.GRU(4, reset_after=False, return_sequences=True)),
                 layers.AttentionPooling(), layers.Dense(3, activation="softmax")],
        "cross_entropy",
        True,
    ),
    "ctc": (lambda: [layers.RNN(4, return_sequences=True), layers.Dense(3)], "ctc", False),
    "binary": (lambda: [layers.LayerNorm(), layers.GRU(4), layers.Dense(1)], "binary_crossentropy", False),
}  # fmt: skip


@pytest.mark.parametrize("case", RIGHT)
def test_right_gradients_are_right(case, capsys):
    parts, loss, ids = RIGHT[case]
    model = compiled(*parts(), loss=loss, features=5 if ids else 3, ids=ids)
    rng = np.random.default_rng(0)
    x = [rng.integers(0, 5, n) if ids else rng.standard_normal((n, 3)) for n in (6, 4, 9)]
    y = {"ctc": [[1, 2], [2], [1, 1]], "binary_crossentropy": np.array([0, 1, 1])}.get(loss)
    y = y if y is not None else rng.integers(0, 3, 3) if ids else rng.standard_normal((3, 2))
    before = model.named_weights()
    check = elman.check_gradients(model, x, y)
    assert check.passed
    assert set(verdicts(check).values()) == {"right"}
    assert set(verdicts(check)) == {*before, *(() if ids else ("x",))}
    assert max(parameter.difference for parameter in check.parameters) < 1e-11
    printed = capsys.readouterr().out
    assert "gradients beside the complex step, 3 sequences, 19 steps" in printed
    assert check.verdict in printed
    assert json.loads(json.dumps(check.to_dict()))["passed"]
    for name, array in model.named_weights().items():
        np.testing.assert_array_equal(array, before[name])


def test_noise_of_training_is_checked_with_its_seed():
    noisy = layers.LSTM(6, dropout=0.3, recurrent_dropout=0.3, zoneout=0.2, weight_drop=0.2)
    model = compiled(noisy, layers.Dropout(0.3), layers.Dense(1))
    rng = np.random.default_rng(0)
    check = elman.check_gradients(model, rng.standard_normal((4, 6, 3)), rng.standard_normal((4, 1)), rng=1, verbose=0)
    assert set(verdicts(check).values()) == {"right"}


@dataclass(frozen=True)
class BentGRU(GRUCell):
    """A GRU that forgets the factor q in the gradient of its reset gate."""

    name = "bent"
    kernel = "bent"

    def step_backward(self, xp, d_state, tape, p):
        n, r, z, h_prev, q = tape
        return super().step_backward(xp, d_state, (n, r, z, h_prev, q * 0 + 1), p)


class Bent(layers.GRU):
    """The layer of it."""

    class Config(layers.GRU.Config, tag="bent"):
        """The same options."""

    def _make_cell(self):
        return BentGRU()


def test_a_cell_with_a_wrong_derivative_is_named_with_its_gate(rng, capsys):
    model = compiled(Bent(5, name="bent"), layers.Dense(1))
    check = elman.check_gradients(model, rng.standard_normal((3, 7, 3)), rng.standard_normal((3, 1)))
    assert not check.passed
    found = verdicts(check)
    assert {name for name, verdict in found.items() if verdict == "wrong"} >= {"bent.weight_ih", "bent.bias"}
    assert (found["dense.weight"], found["dense.bias"]) == ("right", "right")
    assert "BentGRU" in check.verdict and check.verdict.startswith("The gradient of bent.")
    # Nothing of the way back but r is wrong at the last step; at earlier ones all gates hear of it through h.
    last = compiled(Bent(5, name="bent"), layers.Dense(1))
    one = elman.check_gradients(last, rng.standard_normal((3, 1, 3)), rng.standard_normal((3, 1)), verbose=0)
    hints = {parameter.name: parameter.hint for parameter in one.parameters}
    assert hints["bent.weight_ih"].startswith("the rows of gate r differ; look at step_backward of BentGRU")
    assert "wrong" in capsys.readouterr().out


class Scale(Layer):
    """A layer that multiplies by a weight; `how` it goes wrong is an option."""

    class Config(LayerConfig, tag="scale"):
        """Options."""

        how: str = "right"

    def param_shapes(self, input_size):
        return {"weight": (input_size,)}

    def init(self, rng, input_size):
        return {"weight": 1 + rng.random(input_size)}

    def output_size(self, input_size):
        return input_size

    def forward(self, x, *, state=None, rng=None, tape=True):
        rows = np.sqrt(np.abs(x) ** 2) * np.sign(x.real) if self.how == "not analytic" else x
        return rows * self.weights["weight"], (), rows

    def backward(self, dy, tape, grads, *, dstate=None, want_dx=True, keep_dh=False):
        grads["weight"] += (dy * tape).sum(0) * (2 if self.how == "weight" else 1)
        return dy * (1 if self.how == "dx" else self.weights["weight"]), (), None


@pytest.mark.parametrize("how", ["right", "weight", "dx", "not analytic"])
def test_a_layer_of_ones_own_is_checked(how, rng):
    model = compiled(layers.GRU(4), Scale(how=how), layers.Dense(1))
    x, y = rng.standard_normal((5, 4, 3)), rng.standard_normal((5, 1))
    check = elman.check_gradients(model, x, y, verbose=0)
    wrong = {name for name, verdict in verdicts(check).items() if verdict == "wrong"}
    below = {name for name in verdicts(check) if name.startswith("gru.")} | {"x"}
    assert wrong == {"right": set(), "weight": {"scale.weight"}, "dx": below, "not analytic": set()}[how]
    if how == "weight":
        assert check.verdict.startswith("The gradient of scale.weight is wrong: look at Scale.backward")
    if how == "not analytic":
        assert {name for name, verdict in verdicts(check).items() if verdict == "not analytic"} == below
        assert check.verdict.endswith("of them by central differences alone.")


class Quartic(Loss):
    """(p − t)⁴, with the gradient of something else if told so."""

    name = "quartic"

    def __init__(self, factor=4):
        self.factor = factor

    def __call__(self, prediction, target, /, *, weights=None, want_grad=True):
        d = prediction - target
        return sum_of(d**4) / d.size, float(len(d)), self.factor * d**3 / d.size if want_grad else None


@pytest.mark.parametrize("factor", [4, 3])
def test_a_loss_of_ones_own_is_checked(factor, rng):
    model = compiled(layers.GRU(4), layers.Dense(1), loss=Quartic(factor))
    check = elman.check_gradients(model, rng.standard_normal((5, 4, 3)), rng.standard_normal((5, 1)), verbose=0)
    assert set(verdicts(check).values()) == {"right" if factor == 4 else "wrong"}
    if factor == 3:
        assert "Quartic" in " ".join(parameter.hint for parameter in check.parameters)


def test_of_much_data_the_first_sequences_are_used(rng):
    model = compiled(layers.RNN(3), layers.Dense(1))
    check = elman.check_gradients(model, rng.standard_normal((60, 100, 3)), rng.standard_normal((60, 1)), verbose=0)
    assert (check.sequences, check.steps) == ((20, 60), 2000)


def test_what_cannot_be_checked_is_refused(rng):
    x, y = rng.standard_normal((2, 4, 3)), rng.standard_normal((2, 1))
    model = Sequential([layers.GRU(4), layers.Dense(1)])
    with pytest.raises(UsageError, match=r"check_gradients: the model is not compiled. Call model.compile"):
        elman.check_gradients(model, x, y)
    model.compile("sgd", "mse")
    with pytest.raises(NotFittedError):
        elman.check_gradients(model, x, y)
