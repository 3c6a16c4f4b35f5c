"""Watching gradients while training: what is said, what it costs, and that it changes nothing."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np
import pytest

import elman
from elman import LanguageModel, SequenceClassifier, SequenceTagger, Sequential, layers
from elman.callbacks import CSVLogger, LambdaCallback
from elman.cli.main import main
from elman.engines.native import Engine
from elman.errors import UsageError
from elman.inspection import gradient_by_lag
from elman.layers import Layer
from elman.model import sequential
from elman.model.watching import GradientWatch
from elman.training.watch import Sampling
from elman.training.watch.sampling import SHARE


def data(n: int = 24, steps: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, steps, 3)), rng.standard_normal((n, steps, 1))


def trained(
    stack: list[Layer], x: Any, y: Any, *, loss: str = "mse", clip: float | None = None, **how: Any
) -> Sequential:
    model = Sequential(stack)
    model.compile("adam", loss, clip=clip)
    model.fit(x, y, **({"verbose": 0, "rng": 0, "epochs": 2, "batch_size": 6} | how))
    return model


STACKS: dict[str, tuple[Any, dict[str, Any]]] = {
    "lstm with dropout": (
        lambda: [layers.LSTM(6, return_sequences=True, dropout=0.2, recurrent_dropout=0.1), layers.Dense(1)],
        {},
    ),
    "both directions": (
        lambda: [
            layers.Bidirectional(layers.GRU(4, return_sequences=True)),
            layers.Dense(3, activation="tanh"),
            layers.Dense(1),
        ],
        {"shuffle": False},
    ),
    "carried": (lambda: [layers.RNN(5, return_sequences=True), layers.Dense(1)], {"carry_state": True}),
    "truncated": (lambda: [layers.LSTM(5, return_sequences=True), layers.Dense(1)], {"truncate": (7, 12)}),
    "in segments": (lambda: [layers.GRU(5, return_sequences=True), layers.Dense(1)], {"memory_budget": 60_000}),
}


@pytest.mark.parametrize("case", STACKS)
def test_training_is_the_same_to_the_bit(case: str) -> None:
    make, how = STACKS[case]
    x, y = data()
    watched, plain = (trained(make(), x, y, watch=watch, **how) for watch in ("gradients", None))
    for name, weights in plain.named_weights().items():
        np.testing.assert_array_equal(watched.named_weights()[name], weights, err_msg=name)
    np.testing.assert_array_equal(watched.history.batches, plain.history.batches)
    assert watched.history.history["loss"] == plain.history.history["loss"]
    names = set(watched.history.history) - set(plain.history.history)
    assert {f"gradient/{layer.name}" for layer in plain.layers if layer.name != "bidirectional"} <= names
    assert sum("/lag_" in name for name in names) >= 3


def test_figures_are_those_of_inspection() -> None:
    """Of one sequence with one loss there is one position to look at, and everybody finds the same there."""
    x, y = data(1, 70)
    model = Sequential([layers.LSTM(6, name="lstm"), layers.Dense(1)], dtype="float64")
    model.compile({"type": "sgd", "learning_rate": 1e-9}, "mse")
    model.build(3, rng=3)
    _, gradients, _ = model.gradients(x, y[:, -1])
    history = model.fit(x, y[:, -1], verbose=0, rng=0, watch="gradients").history
    found = gradient_by_lag(model, x, y[:, -1]).curves["lstm"].quantile(0.5)
    for lag in (1, 2, 4, 8, 16, 32, 64):
        # The step that training took in between was of 1e-9.
        np.testing.assert_allclose(history[f"gradient/lstm/lag_{lag}"], found[lag], rtol=1e-6)
    whole = np.sqrt(sum(np.sum(g**2) for name, g in gradients.items() if name.startswith("lstm.")))
    np.testing.assert_allclose(history["gradient/lstm"], whole, rtol=1e-12)


def test_clipping_is_not_seen() -> None:
    x, y = data()
    clipped, free = (
        trained([layers.RNN(4, name="rnn"), layers.Dense(1)], x, 100 * y[:, -1], clip=clip, watch="gradients", epochs=1)
        for clip in (0.01, None)
    )
    assert clipped.history.history["gradient/rnn"] == free.history.history["gradient/rnn"]


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_samples_take_their_share_whatever_they_cost() -> None:
    rng = np.random.default_rng(1)
    now = 0.0
    sampling = Sampling(0.1, clock=lambda: now)
    first = None
    for _ in range(20_000):
        now += rng.uniform(0.5, 1.5)
        if sampling.due():
            with sampling.taking():
                now += rng.uniform(2.0, 4.0)
            first = first or sampling.spent
            # All but the first, without which a short training would not be seen.
            assert sampling.spent - first <= 0.1 * sampling.trained
    assert sampling.spent <= 0.1 * sampling.trained
    assert sampling.spent >= 0.09 * sampling.trained  # and they use what they may


def test_time_between_epochs_is_not_of_training() -> None:
    now = 0.0
    sampling = Sampling(0.1, clock=lambda: now)
    for _ in range(10):
        sampling.begin()
        now += 1.0
        if sampling.due():
            with sampling.taking():
                now += 1.0
        now += 1000.0  # validation
    assert sampling.taken == 1


def test_a_training_takes_less_than_a_tenth_more_by_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step that an engine runs counts as one second; of the copy in float64 and NumPy, as ten."""
    now, spent = [0.0], {"training": 0.0, "samples": 0.0}
    original = Engine.loss_and_gradients

    def counted(engine: Engine, batch: Any, **how: Any) -> Any:
        what, cost = ("samples", 10) if engine.parameters.flat.dtype == np.float64 else ("training", 1)
        spent[what] += cost * batch.x.n_steps
        now[0] += cost * batch.x.n_steps
        return original(engine, batch, **how)

    monkeypatch.setattr(Engine, "loss_and_gradients", counted)
    monkeypatch.setattr(sequential, "GradientWatch", functools.partial(GradientWatch, clock=lambda: now[0]))
    x, y = data(20, 50)
    # A sample of 4 windows of 50 steps costs as much as 20 batches of 2 sequences.
    trained([layers.GRU(4), layers.Dense(1)], x, y[:, -1], batch_size=2, epochs=60, watch="gradients")
    assert spent["training"] == 60 * 20 * 50
    assert 0.8 * SHARE * spent["training"] < spent["samples"] <= SHARE * spent["training"]
    assert SHARE < 0.1


# --- what is said -----------------------------------------------------------------------------------------------------


def with_radius(radius: float, *, steps: int, units: int = 12, **how: Any) -> None:
    """Train an RNN of a given spectral radius a little, on inputs so small that its Jacobian is R."""
    rng = np.random.default_rng(0)
    model = Sequential([layers.RNN(units, name="memory", activation="identity"), layers.Dense(1, name="out")])
    model.compile({"type": "sgd", "learning_rate": 1e-12}, "mse", **how)
    model.build(2, rng=0)
    weights = model.named_weights()
    orthogonal, _ = np.linalg.qr(rng.standard_normal((units, units)))
    weights["memory.weight_hh"] = radius * orthogonal
    model.set_weights(weights)
    x = 1e-3 * rng.standard_normal((12, steps, 2))
    model.fit(x, rng.standard_normal((12, 1)), epochs=5, batch_size=3, verbose=0, rng=0, watch="gradients")


def test_vanishing_is_said_once_with_layer_and_cure() -> None:
    with pytest.warns(UserWarning) as found:
        with_radius(0.5, steps=60)
    (message,) = [str(warning.message) for warning in found]
    assert message.startswith("fit, watch: gradients vanish in layer 'memory': after 8 steps 0.39 % of them is left.")
    assert "LSTM or GRU" in message


@pytest.mark.parametrize(("clip", "cure"), [(None, "Compile with clip=1.0"), (5.0, "Lower clip")])
def test_exploding_is_said(clip: float | None, cure: str) -> None:
    with pytest.warns(UserWarning) as found:
        with_radius(1.5, steps=20, clip=clip)
    (message,) = [str(warning.message) for warning in found]
    assert message.startswith("fit, watch: gradients explode in layer 'memory': 16 steps back they are 657 times")
    assert cure in message


def test_what_adds_up_is_no_explosion() -> None:
    """With the mean over all steps as its answer, a net that forgets nothing hears of every step again at each lag."""
    x, y = data(12, 100)
    stack = [layers.RNN(6, activation="identity", return_sequences=True), layers.Pooling("mean"), layers.Dense(1)]
    model = Sequential(stack)
    model.compile({"type": "sgd", "learning_rate": 1e-9}, "mse")
    model.build(3, rng=0)
    model.set_weights(model.named_weights() | {"rnn.weight_hh": np.eye(6)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = model.fit(0.1 * x, y[:, -1], verbose=0, rng=0, watch="gradients").history
    np.testing.assert_allclose(history["gradient/rnn/lag_64"], 65, rtol=1e-6)


def test_one_loss_may_look_at_one_step_most() -> None:
    """Where the greatest of all steps is taken, the last one may have next to nothing of the loss itself."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((12, 60, 2))
    x[:, 59] = -5.0  # never the greatest
    stack = [layers.RNN(6, activation="identity", return_sequences=True), layers.Pooling("mean_max"), layers.Dense(1)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = trained(stack, x, rng.standard_normal((12, 1)), watch="gradients")
    assert model.history.history["gradient/rnn/lag_1"][0] > 1


def test_one_layer_with_memory_is_enough() -> None:
    x, y = data(12, 60)
    model = Sequential([layers.RNN(6, name="short", return_sequences=True), layers.LSTM(6), layers.Dense(1)])
    model.compile({"type": "sgd", "learning_rate": 1e-9}, "mse")
    model.build(3, rng=0)
    model.set_weights(model.named_weights() | {"short.weight_hh": 0.3 * np.eye(6)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(0.1 * x, y[:, -1], verbose=0, rng=0, watch="gradients")


def dead(stack: list[Layer], bias: str, value: float) -> list[str]:
    x, y = data(12, 30)
    model = Sequential(stack)
    model.compile({"type": "sgd", "learning_rate": 1e-9}, "mse")
    model.build(3, rng=0)
    weights = model.named_weights()
    model.set_weights(weights | {bias: np.full_like(weights[bias], value)})
    with pytest.warns(UserWarning) as found:
        model.fit(x, y[:, -1], verbose=0, rng=0, epochs=4, watch="gradients")
    return [str(warning.message) for warning in found]


def test_a_dead_layer_is_said() -> None:
    hidden = [layers.LSTM(5), layers.Dense(7, activation="relu", name="hidden"), layers.Dense(1)]
    (message,) = dead(hidden, "hidden.bias", -50.0)
    assert message.startswith("fit, watch: layer 'hidden' is dead: 7 of its 7 units are 0 at every step")
    assert "lower learning rate" in message and "tanh" in message
    recurrent = [layers.RNN(6, activation="relu", name="rnn"), layers.Dense(1)]
    assert any(
        m.startswith("fit, watch: layer 'rnn' is dead: 6 of its 6 units are 0")
        for m in dead(recurrent, "rnn.bias", -50.0)
    )
    saturated = [layers.RNN(6, name="rnn"), layers.Dense(1)]
    assert any("units are saturated at every step" in message for message in dead(saturated, "rnn.bias", 20.0))


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_healthy_net_stays_silent(kind: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 50, 2))
    y = np.cumsum(x[..., :1], axis=1) / 7
    stack = [getattr(layers, kind)(16, return_sequences=True), layers.Dense(8, activation="relu"), layers.Dense(1)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(stack, x, y, epochs=8, clip=1.0, watch="gradients")


# --- where it can be seen ---------------------------------------------------------------------------------------------


def test_tasks_take_it(tmp_path: Any) -> None:
    text = LanguageModel(layers=1, hidden=8, batch=4, steps=20, epochs=1, random_state=0, verbose=0)
    text.fit("to be or not to be, that is the question: " * 20, watch="gradients")
    assert "gradient/lstm/lag_8" in text.history_.history
    assert not any("gradient" in name for name in text.training_)
    text.save(tmp_path / "text.elman")
    assert "gradient/lstm/lag_8" in elman.load(tmp_path / "text.elman").history_.history

    rng = np.random.default_rng(0)
    x = [rng.standard_normal((n, 2)) for n in rng.integers(3, 30, 20)]
    how: dict[str, Any] = {"hidden": 5, "epochs": 1, "random_state": 0, "verbose": 0}
    classifier = SequenceClassifier(**how).fit(x, np.arange(20) % 2, watch="gradients")
    assert any(name.endswith("/lag_8") for name in classifier.history_.history)

    sentences = [["the", "cat", "sees", "the", "dog", "and", "runs"], ["a", "dog", "barks"]] * 5
    tags = [[word[0] for word in sentence] for sentence in sentences]
    tagger = SequenceTagger(**how).fit(sentences, tags, watch="gradients")
    plain = SequenceTagger(**how).fit(sentences, tags)
    assert any("/lag_1" in name for name in tagger.history_.history)
    for name, weights in plain.model_.named_weights().items():
        np.testing.assert_array_equal(tagger.model_.named_weights()[name], weights)


def test_labels_without_steps_are_looked_at(tmp_path: Any) -> None:
    rng = np.random.default_rng(0)
    x = [rng.standard_normal((n, 3)) for n in (20, 0, 33, 12)]
    y = [[1, 2], [], [3, 3, 1], [2]]
    model = trained([layers.LSTM(6, return_sequences=True), layers.Dense(4)], x, y, loss="ctc", watch="gradients")
    assert "gradient/lstm/lag_16" in model.history.history


def test_callbacks_and_progress_get_the_figures(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = data()
    seen: list[set[str]] = []
    callbacks = [
        CSVLogger(tmp_path / "log.csv"),
        LambdaCallback(on_batch_end=lambda batch, logs: seen.append(set(logs))),
    ]
    stack = [layers.LSTM(6, return_sequences=True, name="memory"), layers.Dense(1)]
    trained(stack, x, y, watch="gradients", callbacks=callbacks, verbose=2)
    assert {"loss", "gradient/memory", "gradient/memory/lag_4"} <= seen[0]
    assert "gradient/memory/lag_4" in (tmp_path / "log.csv").read_text().splitlines()[0]
    shown = capsys.readouterr().err
    assert "\n  memory  gradient 0." in shown and "left after 1 step" in shown and "gradient/" not in shown


def test_tensorboard_gets_the_figures(tmp_path: Any) -> None:
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    from elman.callbacks import TensorBoard

    x, y = data()
    stack = [layers.LSTM(6, return_sequences=True, name="memory"), layers.Dense(1)]
    trained(stack, x, y, watch="gradients", callbacks=[TensorBoard(tmp_path, update_freq="batch")])
    written = b"".join(file.read_bytes() for file in (tmp_path / "train").iterdir())
    for tag in (b"gradient/memory", b"gradient/memory/lag_8", b"batch_gradient/memory/lag_8"):
        assert tag in written


def test_the_command_shows_them(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "book.txt").write_text("to be or not to be, that is the question: " * 30)
    small = ["--layers", "1", "--hidden", "8", "--batch", "4", "--steps", "20", "--epochs", "1"]
    words = ["train", "text", str(tmp_path / "book.txt"), *small, "-o", str(tmp_path / "m.elman")]
    assert main([*words, "--watch"]) == 0
    assert "\n  lstm  gradient " in capsys.readouterr().err
    assert main(words) == 0
    assert "gradient" not in capsys.readouterr().err


def test_what_cannot_be_watched_is_refused() -> None:
    x, y = data(4, 5)
    with pytest.raises(UsageError, match="fit: watch is not accepted, expected 'gradients' or None, got 'weights'"):
        trained([layers.LSTM(4), layers.Dense(1)], x, y[:, -1], watch="weights")
    model = LanguageModel(verbose=0)
    with pytest.raises(UsageError, match="watch is not accepted"):
        model.fit("some text to learn", watch=True)  # type: ignore[arg-type]
    assert not hasattr(model, "model_")
