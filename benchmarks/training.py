"""Whole training steps: forward, loss, backward, Adam, and a step's share of going through the data.

All train by whole calls: `fit` in elman and Keras, a plain loop over slices in torch, which is faster than its
DataLoader, with Adam's fused form. Before timing, the same weights must give the same loss, and after one step of
training still nearly so.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import elman
from benchmarks.adder_numpy import NumpyAdder
from benchmarks.answers import TOLERANCES
from benchmarks.grid import GATES
from benchmarks.peers.keras_side import Keras, Remote, keras_weights
from benchmarks.peers.roll import PEERS, Roll
from benchmarks.timing import Contestant, Local
from elman import layers

LAYERS = {"rnn": layers.RNN, "lstm": layers.LSTM, "gru": layers.GRU}
# After a step the losses are alike, not equal: torch has two biases where we have one, so Adam, which moves every
# number by about the learning rate, moves the effective bias twice as far; and Keras adds another epsilon.
AFTER_A_STEP = 2e-2


@dataclass(frozen=True)
class Program:
    """What is trained on what; the numbers are random, as the time does not depend on them.

    Attributes:
        shape: sequences, steps, and features or, with `ids`, the size of the vocabulary.
        per_step: whether there is a target for every step, or one per sequence.
        lesson: whether this is binary addition as it is taught, beside its NumPy loop.
        epochs: of one call.
    """

    shape: tuple[int, int, int]
    cell: str
    units: int
    outputs: int
    loss: str
    batch_size: int
    epochs: int = 1
    n_layers: int = 1
    per_step: bool = False
    ids: bool = False
    recurrent_dropout: float = 0.0
    lesson: bool = False

    @property
    def steps(self) -> int:
        """Training steps of a call."""
        return self.epochs * -(-self.shape[0] // self.batch_size)

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Draw x (n, T, F), or ids (n, T), and y: numbers (n, [T,] outputs) or classes (n, [T])."""
        rng = np.random.default_rng(0)
        size = self.shape[:2] if self.per_step else self.shape[:1]
        x = rng.integers(0, self.shape[2], self.shape[:2]) if self.ids else rng.random(self.shape, dtype=np.float32)
        if self.loss == "cross_entropy":
            return x, rng.integers(0, self.outputs, size)
        return x, rng.random((*size, self.outputs), dtype=np.float32)

    def weights(self) -> list[dict[str, np.ndarray]]:
        """Draw the weights of the recurrent layers and of the dense one, by elman's names."""
        rng, inputs, found = np.random.default_rng(1), self.shape[2], []
        rows, bound = GATES[self.cell] * self.units, 1 / np.sqrt(self.units)
        for _ in range(self.n_layers):
            shapes = {"weight_ih": (rows, inputs), "weight_hh": (rows, self.units), "bias": (rows,)}
            if self.cell == "gru":
                shapes["bias_hn"] = (self.units,)
            found.append({k: rng.uniform(-bound, bound, v).astype(np.float32) for k, v in shapes.items()})
            inputs = self.units
        dense = {"weight": (self.outputs, self.units), "bias": (self.outputs,)}
        return [*found, {k: rng.uniform(-bound, bound, v).astype(np.float32) for k, v in dense.items()}]


CHARACTERS = {"shape": (500, 50, 65), "units": 128, "outputs": 65, "n_layers": 2, "per_step": True, "ids": True}
PROGRAMS = {
    "keras_style": Program((100, 10, 3), "rnn", 5, 1, "mse", 10, epochs=10),
    "adder": Program((200, 8, 2), "rnn", 16, 1, "mse", 1, per_step=True),
    "lesson": Program((1000, 8, 2), "rnn", 16, 1, "mse", 1, per_step=True, lesson=True),
    "mnist_rows": Program((1000, 28, 28), "lstm", 100, 10, "cross_entropy", 50),
    "mnist_dropout": Program((1000, 28, 28), "lstm", 100, 10, "cross_entropy", 50, recurrent_dropout=0.2),
    **{
        f"char_{cell}": Program(cell=cell, loss="cross_entropy", batch_size=50, **CHARACTERS)  # type: ignore[arg-type]
        for cell in ("rnn", "lstm", "gru")
    },
}


def elman_program(program: Program) -> tuple[elman.Sequential, Callable[[], object]]:
    """Build our model and one call of fit."""
    options = {"recurrent_dropout": program.recurrent_dropout} if program.recurrent_dropout else {}
    body = [
        LAYERS[program.cell](program.units, return_sequences=program.per_step or k + 1 < program.n_layers, **options)
        for k in range(program.n_layers)
    ]
    model = elman.Sequential([*body, layers.Dense(program.outputs)])
    model.compile("adam", program.loss)
    model.build(program.shape[2], ids=program.ids)
    owners = zip(model.layers, program.weights(), strict=True)
    model.set_weights({f"{layer.name}.{name}": a for layer, weights in owners for name, a in weights.items()})
    x, y = program.data()
    return model, lambda: model.fit(x, y, epochs=program.epochs, batch_size=program.batch_size, verbose=0)


def contestants(program: Program, roll: Roll) -> tuple[dict[str, Contestant], dict[str, str]]:
    """Build all sides with the same weights and compare their losses.

    Args:
        program: what is trained.
        roll: who is here.

    Returns:
        Name -> one call's work, and name -> why somebody is left out.
    """
    if program.lesson:
        return lesson(program.shape[0]), dict.fromkeys(
            (who for who in PEERS if who != "numpy"), "the lesson is compared with its own NumPy loop"
        )
    x, y = program.data()
    first = slice(program.batch_size)
    model, fit = elman_program(program)
    losses = {"elman": [model.evaluate(x[first], y[first], verbose=0), _after_a_step(program)]}
    found: dict[str, Contestant] = {"elman": Local(fit)}
    left_out = dict(roll.absent)
    if program.recurrent_dropout:
        left_out["torch"] = "has no recurrent dropout"
    elif "torch" in roll.present:
        from benchmarks.peers.torch_training import TorchProgram

        theirs = TorchProgram(program)
        losses["torch"] = [theirs.evaluate(first), theirs.step_and_evaluate(first)]
        found["torch"] = Local(TorchProgram(program).fit)
    if roll.keras is not None:
        before = _keras_program(program, roll.keras, x, y)
        losses["keras"] = [before]
        found["keras"] = Remote(roll.keras, "fit")
    for who, (before, *after) in losses.items():
        ours_before, ours_after = losses["elman"]
        if not abs(before - ours_before) <= TOLERANCES["float32"] * ours_before:
            raise AssertionError(f"the same weights, other losses: {who} {before}, elman {ours_before}")
        if after and not program.recurrent_dropout and not abs(after[0] - ours_after) <= AFTER_A_STEP * ours_after:
            raise AssertionError(f"other losses after a step: {who} {after[0]}, elman {ours_after}")
    return found, left_out


def lesson(examples: int) -> dict[str, Contestant]:
    """Give binary addition, trained online by gradient descent: ours, and the loop that tutorials show.

    Their first weights are drawn differently, so no answers can be compared; `benchmarks.adder` counts right sums.
    """
    adder, loop = elman.BinaryAdder(random_state=0, examples=examples), NumpyAdder(0)
    return {"elman": Local(adder.fit), "numpy": Local(lambda: loop.train(examples))}


def _after_a_step(program: Program) -> float:
    """Give our loss of the first batch after one step of training on it."""
    model, _ = elman_program(program)
    x, y = (part[: program.batch_size] for part in program.data())
    model.train_on_batch(x, y)
    return float(model.evaluate(x, y, verbose=0))


def _keras_program(program: Program, keras: Keras, x: np.ndarray, y: np.ndarray) -> float:
    """Let the worker build the model; return its first batch's loss. Ids are made one-hot before the clock runs."""
    *recurrent, dense = program.weights()
    weights = [array for part in recurrent for array in keras_weights(program.cell, part)]
    return keras.ask(
        "build_program",
        cell=program.cell,
        n_layers=program.n_layers,
        units=program.units,
        outputs=program.outputs,
        per_step=program.per_step,
        loss=program.loss,
        options={"recurrent_dropout": program.recurrent_dropout} if program.recurrent_dropout else {},
        weights=[*weights, dense["weight"].T, dense["bias"]],
        x=np.eye(program.shape[2], dtype=np.float32)[x] if program.ids else x,
        y=y,
        batch_size=program.batch_size,
        epochs=program.epochs,
    )
