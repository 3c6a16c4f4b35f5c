"""Losses, metrics, optimizers, schedules and layers of a user: trained, copied, and saved where files can name them."""

import copy
import pickle
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

import elman
from elman import layers, losses, metrics, optimizers, schedules
from elman.callbacks import ModelCheckpoint
from elman.errors import ModelFileError, UsageError


@dataclass(frozen=True)
class Quartic(losses.Loss):
    name: ClassVar[str] = "quartic"
    scale: float = 1.0

    def __call__(self, prediction, target, /, *, weights=None, want_grad=True):
        d = prediction - target
        return float(self.scale * (d**4).mean()), float(len(d)), 4 * self.scale * d**3 / d.size if want_grad else None


class Nameless(losses.SquaredError):
    """Has the name of another loss, under which it would come back as that."""


class Plain(losses.Loss):
    """No dataclass: what it was made with could not be written down."""

    name = "plain"

    def __init__(self, scale):
        self.scale = scale

    __call__ = Quartic.__call__


@dataclass(frozen=True)
class Bias(metrics.Metric):
    name: ClassVar[str] = "bias"
    fits: ClassVar[frozenset] = frozenset({"numbers"})

    def sums(self, prediction, target, weights, loss):
        return np.array([(prediction - target).sum(), len(target)])

    def result(self, sums, loss):
        return sums[0] / sums[1]


class Sign(optimizers.Optimizer):
    name = "sign"

    def _change(self, rate, theta, g, *arrays):
        theta -= rate * np.sign(g)


@dataclass(frozen=True)
class Halving(schedules.Schedule):
    name: ClassVar[str] = "halving"

    def __call__(self, step):
        return 0.1 * 0.5**step


class Doubled(layers.Dense):
    class Config(layers.Dense.Config, tag="doubled"):
        pass

    def forward(self, x, **options):
        y, last, tape = super().forward(x, **options)
        return 2 * y, last, tape

    def backward(self, dy, tape, grads, **options):
        return super().backward(2 * dy, tape, grads, **options)


def make(loss="mse", metric=None, optimizer="sgd", last=layers.Dense):
    model = elman.Sequential([layers.GRU(3), last(1)], dtype="float64")
    model.compile(optimizer, loss, metric)
    return model


OWN = {
    "loss": (lambda: make(Quartic(0.5)), losses.LOSSES, Quartic, r"the loss Quartic", "elman.losses.LOSSES"),
    "metric": (lambda: make(metric=Bias()), metrics.METRICS, Bias, "the metric Bias", "elman.metrics.METRICS"),
    "optimizer": (
        lambda: make(optimizer=Sign(0.01)),
        optimizers.OPTIMIZERS, Sign, "the optimizer Sign", "elman.optimizers.OPTIMIZERS",
    ),
    "schedule": (
        lambda: make(optimizer=optimizers.SGD(schedules.Warmup(2, then=Halving()))),
        schedules.SCHEDULES, Halving, "the schedule Halving", "elman.schedules.SCHEDULES",
    ),
    "layer": (lambda: make(last=Doubled), layers.LAYERS, Doubled, "the layer Doubled", "elman.layers.LAYERS"),
    "held layer": (
        lambda: elman.Sequential([layers.GRU(3), layers.Residual(Doubled(3)), layers.Dense(1)]),
        layers.LAYERS, Doubled, "the layer Doubled", "elman.layers.LAYERS",
    ),
}  # fmt: skip
every = pytest.mark.parametrize("kind", OWN)


@pytest.fixture
def data(rng):
    x = rng.normal(size=(8, 5, 2))
    return x, x.sum((1, 2))[:, None]


def name_of(kind):
    return kind.type_name() if issubclass(kind, layers.Layer) else kind.name


@every
def test_what_no_file_can_name_is_refused_before_anything_is_written(kind, data, tmp_path):
    build, _, own, who, registry = OWN[kind]
    path = tmp_path / "m.elman"
    path.write_bytes(b"the work of weeks")
    model = build()
    if model.loss is None:
        model.compile("sgd", "mse")
    cure = rf"Register it, here and where the file is loaded: {registry}\['{name_of(own)}'\] = {own.__name__}\."
    with pytest.raises(UsageError, match=rf"^ModelCheckpoint: no file can name {who}, .* {cure}"):
        model.fit(*data, callbacks=[ModelCheckpoint(path)], verbose=0)
    assert model.optimizer.steps == 0
    model.fit(*data, verbose=0)
    with pytest.raises(UsageError, match=rf"^save: no file can name {who}, .* {cure}"):
        model.save(path)
    assert path.read_bytes() == b"the work of weeks"


@every
def test_what_is_registered_is_saved_and_loaded(kind, data, tmp_path, monkeypatch):
    build, registry, own, _, _ = OWN[kind]
    model = build()
    if model.loss is None:
        model.compile("sgd", "mse")
    monkeypatch.setitem(registry, name_of(own), own)
    model.fit(*data, verbose=0, callbacks=[ModelCheckpoint(tmp_path / "m.elman")])
    again = elman.load(tmp_path / "m.elman")
    assert again.config() == model.config() and again.loss == model.loss and again.metrics == model.metrics
    assert type(again.optimizer) is type(model.optimizer)
    for each in (model, again):
        each.fit(*data, verbose=0, shuffle=False)
    np.testing.assert_array_equal(again.predict(data[0]), model.predict(data[0]))
    monkeypatch.delitem(registry, name_of(own))
    with pytest.raises(ModelFileError, match=name_of(own)):
        elman.load(tmp_path / "m.elman")


@every
@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
@pytest.mark.parametrize("built", [False, True])
def test_copies_keep_the_objects(kind, data, way, built):
    model = OWN[kind][0]()
    if model.loss is None:
        model.compile("sgd", "mse")
    if built:
        model.fit(*data, verbose=0, rng=0)
    again = way(model)
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in model.layers]
    assert again.layers[-1] is not model.layers[-1] and again.built == built
    assert again.loss == model.loss and again.metrics == model.metrics and again.config() == model.config()
    for each in (model, again):
        each.fit(*data, verbose=0, rng=1)
    np.testing.assert_array_equal(again.parameters.flat, model.parameters.flat)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (Nameless(), r"no file can name the loss Nameless, .* got 'squared_error', the name of SquaredError\. Give"),
        (Plain(2.0), r"no file can name the loss Plain, .* got no dataclass\. Make it a frozen dataclass"),
    ],
)  # fmt: skip
def test_a_borrowed_name_and_lost_options_are_refused(loss, words, tmp_path, monkeypatch):
    monkeypatch.setitem(losses.LOSSES, "plain", Plain)
    model = make(loss)
    model.build(2)
    with pytest.raises(UsageError, match=words):
        model.save(tmp_path / "m.elman")
    assert not list(tmp_path.iterdir())
    assert type(copy.deepcopy(model).loss) is type(loss)
