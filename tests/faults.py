"""Faults, one table: what is given, where it comes in, and the whole message that must come out.

A key begins with the number of the fault: 1 no samples, 2 no features or other axes, 6 lengths that differ, 7 and 8 NaN
and the like in x and y, 9 numbers too large, 10 classes and token ids out of range, 12 weights, 16 kinds of data that
are not accepted, 17 an output that overlaps its input, 19 more than memory, 39 divergence, 42 callbacks, 43 calls at
the wrong time; "a" stands for arguments. In messages, "…" stands for what depends on
a library or on the machine.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import elman
from elman import callbacks, layers, losses
from elman.errors import (
    DataError,
    DataTypeError,
    DivergedError,
    MissingFileError,
    NotFittedError,
    ResourceError,
    SaveError,
    UsageError,
)
from elman.layers import check_stack
from elman.losses import LOSSES
from elman.metrics import METRICS
from elman.optimizers import OPTIMIZERS, Adam
from elman.ragged import Ragged
from elman.tasks import BinaryAdder, LanguageModel
from elman.training import Prefetched, StreamBatches

B, T, F, K = 6, 5, 4, 3  # sequences, steps, features, classes
X = np.random.default_rng(5).normal(size=(B, T, F))
Y = np.random.default_rng(6).integers(0, K, B)
STEPS = np.random.default_rng(7).normal(size=(B, T, 2))
IDS = np.random.default_rng(8).integers(0, 7, (B, T))
LABELS = [[1, 2], [3], [], [2, 2], [1], [3, 1]]
TEXT = "to be, or not to be, that is the question: " * 8


class World(NamedTuple):
    """What the calls of the table work on; none of them may change it.

    Attributes:
        new: compiled, not built: classes from a GRU over `F` features.
        bare: not even compiled.
        fitted: `new`, trained.
        steps: trained, two numbers per step.
        yes: trained, one yes or no per sequence.
        one_hot: trained, one of `K` per sequence.
        ids: trained, classes from token ids below 7.
        ctc: trained, label sequences, 0 the blank.
        text: a trained language model.
        folder: holds the file of `fitted`.
    """

    new: elman.Sequential
    bare: elman.Sequential
    fitted: elman.Sequential
    steps: elman.Sequential
    yes: elman.Sequential
    one_hot: elman.Sequential
    ids: elman.Sequential
    ctc: elman.Sequential
    text: LanguageModel
    folder: Path

    def state(self) -> dict[str, Any]:
        """Everything that a failed call could have changed, as bytes."""
        models = {name: part for name, part in self._asdict().items() if isinstance(part, elman.Sequential)}
        seen = {
            name: pickle.dumps((model.__getstate__(), model.built, model.stop_training))
            for name, model in models.items()
        }
        seen["text"] = pickle.dumps((self.text.get_params(), self.text.model_.__getstate__()))
        seen["files"] = {path.name: path.read_bytes() for path in self.folder.iterdir()}
        seen["arrays"] = [array.tobytes() for array in (X, Y, STEPS, IDS)]
        return seen


def model_of(*stack: layers.Layer, loss: Any = None, dtype: str = "float32", **compiled: Any) -> elman.Sequential:
    """Give a model that is not built, compiled where there is a loss."""
    model = elman.Sequential(stack, dtype=dtype)
    if loss is not None:
        model.compile(Adam(0.01), loss, **compiled)
    return model


def classifier(loss: Any = "cross_entropy", **options: Any) -> elman.Sequential:
    return model_of(layers.GRU(3), layers.Dense(K), loss=loss, **options)


def make_world(folder: Path) -> World:
    """Train one model of each kind."""
    fitted, one_hot = classifier(metrics=["accuracy"]), classifier("categorical_crossentropy")
    steps = model_of(layers.LSTM(3, return_sequences=True), layers.Dense(2), loss="mse", clip=1.0)
    yes = model_of(layers.GRU(3), layers.Dense(1), loss="binary_crossentropy")
    ids = model_of(layers.Embedding(7, 3), layers.GRU(3), layers.Dense(K), loss="cross_entropy")
    ctc = model_of(layers.GRU(3, return_sequences=True), layers.Dense(4), loss="ctc")
    for model, x, y in (
        (fitted, X, Y),
        (one_hot, X, np.eye(K)[Y]),
        (steps, X, STEPS),
        (yes, X, Y > 0),
        (ids, IDS, Y),
        (ctc, X, LABELS),
    ):
        model.fit(x, y, batch_size=4, verbose=0, rng=0)
    fitted.save(folder / "kept.elman")
    text = LanguageModel(layers=1, hidden=8, epochs=1, batch=4, steps=8, random_state=0, verbose=0).fit(TEXT)
    bare = model_of(layers.GRU(3), layers.Dense(K))
    return World(classifier(metrics=["accuracy"]), bare, fitted, steps, yes, one_hot, ids, ctc, text, folder)


#: How data comes in; each speaks with its own name.
DOORS = {
    "fit": lambda model, x, y, **options: model.fit(x, y, verbose=0, **options),
    "evaluate": lambda model, x, y, **options: model.evaluate(x, y, **options),
    "gradients": lambda model, x, y, **options: model.gradients(x, y, **options),
    "train_on_batch": lambda model, x, y, **options: model.train_on_batch(x, y, **options),
    "fit, validation_data": lambda model, x, y, **options: model.fit(
        X, Y, validation_data=(x, y), verbose=0, **options
    ),
    "predict": lambda model, x, y, **options: model.predict(x, **options),
}


def with_value(value: Any, dtype: Any = np.float64) -> np.ndarray:
    """Give (B, T, F) zeros but for one place."""
    x = np.zeros((B, T, F), dtype)
    x[1, 2, 3] = value
    return x


def changed(array: Any, place: Any, value: Any) -> np.ndarray:
    """Give a copy with another value at a place."""
    array = np.array(array, float if isinstance(value, float) else None)
    array[place] = value
    return array


class Thing:
    """Nothing that anybody knows."""


def learned(w: World) -> elman.Sequential:
    """Give a model that begins in a state of its own."""
    model = model_of(
        layers.GRU(3, return_sequences=True, initial_state="learned"), layers.Dense(7), loss="cross_entropy"
    )
    model.build(7, ids=True)
    return model


# Words that many messages share.
FORMS = (
    "numbers (batch, steps, features), token ids (batch, steps), "
    "a list of (steps, features) or (steps,) arrays, or a Ragged"
)
LABEL_FORMS = "a list of one (n,) array of integers per sequence, a Ragged, or (batch, n) with -1 past the ends"
CLASSES = "integers (batch), from 0 to 2"
MASK = "whose mask would be lost. Give the sequences their true lengths: a list of arrays, or lengths=."
IDS_FIRST = "Turn text into token ids first (elman.Vocabulary), or use a task such as LanguageModel."
BUILD = "Fit it, or call model.build(input_size)."
GOES_WITH = "A state goes with its sequences: give one row each, or leave it out to begin with zeros."

CUBE = np.zeros((B, T, F))

# fmt: off
# name -> x, options, error, message after "door: "; the same at every door of a model that takes numbers
INPUTS = {
    "1 no sample": (np.zeros((0, T, F)), {}, DataError, "x has 0 samples, expected at least 1, got shape (0, 5, 4)."),
    "1 empty list": ([], {}, DataError, "x has 0 samples, expected at least 1 sequence, got an empty list."),
    "1 empty tuple": ((), {}, DataError, "x has 0 samples, expected at least 1 sequence, got an empty list."),
    "1 empty Ragged": (Ragged(np.zeros((0, F)), []), {}, DataError, "x has 0 samples, expected at least 1, got Ragged(0 sequences, 0 steps, 4 features, float64)."),
    "2 no feature": (np.zeros((B, T, 0)), {}, DataError, f"x has 0 features, expected {FORMS}, got shape (6, 5, 0)."),
    "2 a number": (3.0, {}, DataError, f"x has 0 axes, expected {FORMS}, got shape (), float64."),
    "2 one axis": (np.zeros(B), {}, DataError, f"x has 1 axes, expected {FORMS}, got shape (6,), float64."),
    "2 two axes": (np.zeros((B, T)), {}, DataError, f"x has 2 axes, expected {FORMS}, got shape (6, 5), float64. For one feature per step pass x[:, :, None]; for one sequence pass x[None]."),
    "2 two axes of bool": (np.zeros((B, T), bool), {}, DataError, f"x has 2 axes, expected {FORMS}, got shape (6, 5), bool. For one feature per step pass x[:, :, None]; for one sequence pass x[None]."),
    "2 four axes": (np.zeros((B, T, F, 1)), {}, DataError, f"x has 4 axes, expected {FORMS}, got shape (6, 5, 4, 1), float64."),
    "2 list of rows": ([np.zeros(T)] * B, {}, DataError, f"x has one number per step, of dtype float64, expected {FORMS}, got a list of 6. One feature per step is a (steps, 1) array: x[:, None]; token ids are integers."),
    "2 list of cubes": ([CUBE] * B, {}, DataError, "x[0] has the wrong number of axes, expected (steps, features) or (steps,), got shape (6, 5, 4)."),
    "2 list of other features": ([CUBE[0], np.zeros((T, 7))], {}, DataError, "x[1] does not match the sequences before it, expected (steps, 4), got shape (5, 7)."),
    "2 uneven rows": ([[[1, 2], [3]]], {}, DataError, f"x[0] is not an array (…), expected {FORMS}. Sequences of several lengths go into a list, one array each."),
    "6 lengths past the end": (X, {"lengths": [5, 5, 5, 5, 9, 5]}, DataError, "lengths[4] goes past the end, expected at most 5 (x.shape = (6, 5, 4)), got 9."),
    "6 a negative length": (X, {"lengths": [5, 5, 5, 5, -9, 5]}, DataError, "lengths[4] is negative, expected >= 0, got -9."),
    "6 too few lengths": (X, {"lengths": [5, 5]}, DataError, "lengths does not fit x, expected 6 lengths (x.shape = (6, 5, 4)), got 2."),
    "6 lengths of two axes": (X, {"lengths": np.ones((B, 1), int)}, DataError, "lengths has the wrong number of axes, expected (batch,), got (6, 1)."),
    "6 lengths that are not whole": (X, {"lengths": np.full(B, 2.5)}, DataTypeError, "lengths must be whole numbers, expected integers, got float64."),
    "6 lengths of a list": (list(X), {"lengths": [5] * B}, DataError, "lengths is for arrays; a list or a Ragged has its own lengths, got list."),
    "6 pad_value of a Ragged": (Ragged.from_dense(X), {"pad_value": 0}, DataError, "pad_value is for arrays; a list or a Ragged has its own lengths, got Ragged."),
    "6 lengths and pad_value": (X, {"lengths": [5] * B, "pad_value": 0}, UsageError, "lengths and pad_value say the same thing, expected one of them."),
    "6 pad_value of text": (X, {"pad_value": "0"}, UsageError, "pad_value is no number, expected a number such as 0, got '0'."),
    "7 NaN": (with_value(np.nan), {}, DataError, "input x contains NaN, expected finite numbers, got nan at sequence 1, step 2, feature 3."),
    "7 infinity": (with_value(-np.inf), {}, DataError, "input x contains infinity, expected finite numbers, got -inf at sequence 1, step 2, feature 3."),
    "7 NaN of a Ragged": (Ragged(changed(np.zeros((3, F)), (2, 0), np.nan), [2, 0, 1]), {}, DataError, "input x contains NaN, expected finite numbers, got nan at sequence 2, step 0, feature 0."),
    "7 NaN of float16": (with_value(np.nan, np.float16), {}, DataError, "input x contains NaN, expected finite numbers, got nan at sequence 1, step 2, feature 3."),
    "9 too large": (with_value(1e300), {}, DataError, "a number is too large for float32, expected smaller numbers, got 1e+300 at sequence 1, step 2, feature 3."),
    "9 an integer too large": ([[[10**300] * F]], {}, DataError, "a number is too large for float32, expected smaller numbers, got 1e+300 at sequence 0, step 0, feature 0."),
    "9 an integer far too large": ([[[10**400] * F]], {}, DataError, "a number in x[0] is too large (…), expected smaller numbers."),
    "10 ids for features": (IDS, {}, DataError, "x holds token ids (integers, one axis per sequence), expected 4 features per step, got shape (6, 5). One feature per step needs a last axis of 1: x[..., None]."),
    "16 complex": (X * 1j, {}, DataTypeError, "Complex data not supported, expected real numbers, got x of dtype complex128."),
    "16 complex objects": (np.array([[[1 + 2j]]], object), {}, DataTypeError, "Complex data not supported, expected real numbers, got x of dtype complex128."),
    "16 complex Ragged": (Ragged(np.zeros((1, F), complex), [1]), {}, DataTypeError, "Complex data not supported, expected real numbers, got x of dtype complex128."),
    "16 dates": (CUBE.astype("datetime64[s]"), {}, DataTypeError, "dates not supported, expected real numbers, got x of dtype datetime64[s]."),
    "16 time spans": (CUBE.astype("timedelta64[s]"), {}, DataTypeError, "time spans not supported, expected real numbers, got x of dtype timedelta64[s]."),
    "16 text": ("hello", {}, DataTypeError, f"x is text where numbers belong, expected numbers, got <U5. {IDS_FIRST}"),
    "16 list of text": (["hello", "you"], {}, DataTypeError, f"x[0] is text where numbers belong, expected numbers, got <U5. {IDS_FIRST}"),
    "16 bytes": ([b"hello"], {}, DataTypeError, f"x[0] is bytes where numbers belong, expected numbers, got |S5. {IDS_FIRST}"),
    "16 text among numbers": (np.array([[["1.5", 2, 3, 4]]], object), {}, DataTypeError, f"x is text where numbers belong, expected numbers, got <U21. {IDS_FIRST}"),
    "16 text among objects": (np.array([[["1", None]]], object), {}, DataTypeError, f"x holds objects that are not numbers, expected {FORMS}, got object."),
    "16 None": (None, {}, DataTypeError, f"x holds objects that are not numbers, expected {FORMS}, got object."),
    "16 list of None": ([None], {}, DataTypeError, f"x[0] holds objects that are not numbers, expected {FORMS}, got object."),
    "16 None among numbers": ([[[1.0], [None]]], {}, DataTypeError, f"x[0] holds objects that are not numbers, expected {FORMS}, got object."),
    "16 an object": (Thing(), {}, DataTypeError, f"x holds objects that are not numbers, expected {FORMS}, got object."),
    "16 a dict": ({"a": X}, {}, DataTypeError, f"x holds objects that are not numbers, expected {FORMS}, got object."),
    "16 masked": (np.ma.masked_array(X, X > 1), {}, DataTypeError, f"x is a masked array, {MASK}"),
    "16 masked in a list": ([np.ma.masked_array(X[0])] * B, {}, DataTypeError, f"x[0] is a masked array, {MASK}"),
    "16 masked steps": ([[*np.ma.masked_array(X[0])]] * B, {}, DataTypeError, f"x[0] holds a masked array, {MASK}"),
    "43 fewer features": (X[:, :, :3], {}, DataError, "x has 3 features, expected 4 (read as batch, steps, features), got shape (6, 5, 3)."),
    "43 features where steps are": (np.zeros((B, F, T)), {}, DataError, "x has 5 features, expected 4 (read as batch, steps, features), got shape (6, 4, 5). If your array is (batch, features, steps), pass x.swapaxes(1, 2)."),
}

# name -> model, x, y, options, error, message after "door: "; the same wherever targets come in
TARGETS = {
    "6 fewer targets": ("fitted", X, Y[:4], {}, DataError, "x and y differ in length, expected 6 of them, got 4 (shape (4,))."),
    "6 more targets": ("fitted", X, np.append(Y, 0), {}, DataError, "x and y differ in length, expected 6 of them, got 7 (shape (7,))."),
    "6 more steps": ("steps", X, np.zeros((B, 6, 2)), {}, DataError, "x and y differ in steps, expected 5 steps, got 6 (shape (6, 6, 2))."),
    "6 another length": ("steps", list(X), [*STEPS[:3], STEPS[3][:4], *STEPS[4:]], {}, DataError, "y[3] is not as long as x[3], expected 5 steps, got 4."),
    "6 one per sequence": ("steps", X, np.zeros(B), {}, DataError, "y has one value per sequence, the model one output per step, expected numbers (batch, steps, 2) or a list of one array per sequence, got shape (6,). For one output per sequence leave return_sequences=False on the last recurrent layer."),
    "6 one-hot per sequence": ("steps", X, np.eye(2)[Y % 2], {}, DataError, "x and y differ in steps, expected 5 steps, got 2 (shape (6, 2)). For one target per sequence leave return_sequences=False on the last recurrent layer."),
    "6 one per step": ("fitted", X, np.tile(Y[:, None], (1, T)), {}, DataError, f"y is not one class each, expected {CLASSES}, got (5,) numbers each. For one class per step set return_sequences=True on the last recurrent layer."),
    "6 more numbers": ("steps", X, np.zeros((B, T, 5)), {}, DataError, "y does not fit the outputs, expected numbers (batch, steps, 2) or a list of one array per sequence, got (5,) per step."),
    "6 fewer labels": ("ctc", X, LABELS[:2], {}, DataError, "x and y differ in length, expected 6 sequences, got 2."),
    "6 longer than x": ("ctc", X, [[1, 2, 3, 2, 1, 2], *LABELS[1:]], {}, DataError, "y[0] is longer than its steps allow, expected at least 6 steps for 6 labels, got 5 steps that come out of the model. Leave such sequences out, or let more steps come out."),
    "6 repeats longer than x": ("ctc", X, [[1, 1, 2, 2], *LABELS[1:]], {}, DataError, "y[0] is longer than its steps allow, expected at least 6 steps for 4 labels, 2 of them like the one before, which takes a blank between, got 5 steps that come out of the model. Leave such sequences out, or let more steps come out."),
    "6 labels of one axis": ("ctc", X, Y, {}, DataError, f"y holds no sequences of labels, expected {LABEL_FORMS}, got shape (6,), dtype int64."),
    "6 labels in one list": ("ctc", X, [1, 2, 3, 1, 2, 3], {}, DataError, f"y[0] is no sequence of labels, expected {LABEL_FORMS}, got shape ()."),
    "6 labels of two axes": ("ctc", X, [[1], [[2]], [], [], [], []], {}, DataError, f"y[1] is no sequence of labels, expected {LABEL_FORMS}, got shape (1, 1)."),
    "6 labels for an empty sequence": ("ctc", [X[0], X[1, :0]], [[1], [2]], {}, DataError, "y[1] is longer than its steps allow, expected at least 1 steps for 1 labels, got 0 steps that come out of the model. Leave such sequences out, or let more steps come out."),
    "6 labels after padding": ("ctc", X, np.array([[1, -1], [-1, 3], [2, 1], [1, 1], [1, 1], [1, 1]]), {}, DataError, f"y[1] goes on after its padding, expected {LABEL_FORMS}, got [-1, 3]."),
    "8 NaN": ("fitted", X, [0, 1, np.nan, 0, 1, 2], {}, DataError, "y contains NaN, expected finite numbers, got nan at sequence 2."),
    "8 NaN of numbers": ("steps", X, changed(STEPS, (4, 2, 1), np.nan), {}, DataError, "y contains NaN, expected finite numbers, got nan at sequence 4, step 2."),
    "8 infinity": ("steps", X, changed(STEPS, (4, 2, 1), -np.inf), {}, DataError, "y contains infinity, expected finite numbers, got -inf at sequence 4, step 2."),
    "8 infinity of answers": ("yes", X, [0, np.inf, 0, 1, 0, 1], {}, DataError, "y contains infinity, expected finite numbers, got inf at sequence 1."),
    "8 NaN of a distribution": ("one_hot", X, changed(np.eye(K)[Y], (2, 1), np.nan), {}, DataError, "y contains NaN, expected finite numbers, got nan at sequence 2."),
    "8 None": ("fitted", X, [0, 1, None, 0, 1, 2], {}, DataError, "y contains NaN, expected finite numbers, got nan at sequence 2."),
    "8 nothing": ("fitted", X, None, {}, DataError, f"there are no targets, expected {CLASSES}, got y=None."),
    "8 text": ("fitted", X, list("abcdef"), {}, DataTypeError, f"y holds no real numbers, expected {CLASSES}, got dtype <U1. Number names of classes: names, y = np.unique(y, return_inverse=True)."),
    "8 mixed": ("fitted", X, [0, 1, "a", [2], 1, 2], {}, DataError, f"y is not an array of numbers (…), expected {CLASSES}, got list."),
    "8 objects": ("fitted", X, [Thing()] * B, {}, DataTypeError, f"y holds objects that are not numbers, expected {CLASSES}."),
    "8 real labels": ("ctc", X, [[1], [2.5], [], [], [], []], {}, DataError, f"y[1] holds no labels, expected {LABEL_FORMS}, got dtype float64."),
    "8 real labels in an array": ("ctc", X, np.ones((B, 2)), {}, DataError, "y holds no sequences of labels, expected a list of one (n,) array of integers per sequence, a Ragged, or (batch, n) with -1 past the ends, got shape (6, 2), dtype float64."),
    "8 labels in a Ragged of numbers": ("ctc", X, Ragged(np.ones((B, 1)), [1] * B), {}, DataError, "y holds no labels, expected a list of one (n,) array of integers per sequence, a Ragged, or (batch, n) with -1 past the ends, got Ragged(6 sequences, 6 steps, 1 features, float64)."),
    "8 labels of text": ("ctc", X, [["a"], [2], [], [], [], []], {}, DataTypeError, f"y[0] holds no real numbers, expected {LABEL_FORMS}, got dtype <U1."),
    "9 too large": ("steps", X, changed(STEPS, (4, 2, 1), 1e300), {}, DataError, "a number of y is too large for float32, expected smaller numbers, got [1.3588234217415376, 1e+300] at sequence 4, step 2."),
    "10 class too large": ("fitted", X, [0, 1, 3, 0, 1, 2], {}, DataError, f"y holds a class out of range, expected {CLASSES}, got 3 at sequence 2. Give the last layer at least 4 units."),
    "10 class negative": ("fitted", X, [0, -1, 2, 0, 1, 2], {}, DataError, f"y holds a class out of range, expected {CLASSES}, got -1 at sequence 1."),
    "10 class broken": ("fitted", X, [0, 0.5, 2, 0, 1, 2], {}, DataError, f"y holds what is no class, expected {CLASSES}, got 0.5 at sequence 1."),
    "10 one-hot for classes": ("fitted", X, np.eye(K)[Y], {}, DataError, f"y is not one class each, expected {CLASSES}, got (3,) numbers each. For one-hot targets use loss='categorical_crossentropy', or pass y.argmax(-1)."),
    "10 classes for one-hot": ("one_hot", X, Y, {}, DataError, "y does not fit the outputs, expected numbers (batch, 3), got one number per sequence. For class numbers use loss='cross_entropy'."),
    "10 a single number": ("fitted", X, 3, {}, DataError, f"y is a single number, expected {CLASSES}, got 3."),
    "10 no probability": ("one_hot", X, np.eye(K)[Y] * 1.5, {}, DataError, "y holds what is no probability, expected numbers from 0 to 1, got [0.0, 1.5, 0.0] at sequence 0."),
    "10 no answer": ("yes", X, [0, 1, 2, 0, 1, 0], {}, DataError, "y holds what is no probability, expected numbers from 0 to 1, got [2] at sequence 2."),
    "10 one-hot for an answer": ("yes", X, np.eye(2)[Y % 2], {}, DataError, "y does not fit the outputs, expected numbers (batch, 1) or (batch), got (2,) per sequence. For one-hot targets of two classes pass y[..., 1]."),
    "10 the blank": ("ctc", X, [[1], [3, 0], [], [], [], []], {}, DataError, "y[1] holds the blank, which is no label, expected 0 to 3 but 0, the blank, got 0 at place 1."),
    "10 label too large": ("ctc", X, [[1], [3, 2, 4], [], [], [], []], {}, DataError, "y[1] holds a label out of range, expected 0 to 3 but 0, the blank, got 4 at place 2."),
    "10 label negative": ("ctc", X, [[1, -1], [], [], [], [], []], {}, DataError, "y[0] holds a label out of range, expected 0 to 3 but 0, the blank, got -1 at place 1."),
    "10 id too large": ("ids", IDS + 1, Y, {}, DataError, "token id out of range, expected 0 to 6, got 7 at sequence 0, step 3."),
    "10 id negative": ("ids", IDS - 1, Y, {}, DataError, "token id out of range, expected 0 to 6, got -1 at sequence 2, step 0."),
    "10 id of 64 bits": ("ids", np.full((B, T), 2**64 - 1, np.uint64), Y, {}, DataError, "token id out of range, expected 0 to 6, got 18446744073709551615 at sequence 0, step 0."),
    "10 id in a Ragged": ("ids", Ragged(np.array([0, 7]), [1, 1]), [0, 1], {}, DataError, "token id out of range, expected 0 to 6, got 7 at sequence 1, step 0."),
    "10 ids as real numbers": ("ids", IDS.astype(float), Y, {}, DataError, f"x has 2 axes, expected {FORMS}, got shape (6, 5), float64. Token ids are integers: pass x.astype(int)."),
    "10 features for ids": ("ids", X, Y, {}, DataError, "x holds 4 numbers per step, expected token ids, integers below 7, got shape (6, 5, 4)."),
    "12 weights all zero": ("fitted", X, Y, {"sample_weight": np.zeros(B)}, DataError, "all weights are zero, so nothing could be learned, expected at least one above zero."),
    "12 weight negative": ("fitted", X, Y, {"sample_weight": [1, 1, -1, 1, 1, 1]}, DataError, "sample_weight is negative, expected weights >= 0, got -1 at sequence 2."),
    "12 weight NaN": ("fitted", X, Y, {"sample_weight": [1, 1, np.nan, 1, 1, 1]}, DataError, "sample_weight contains NaN, expected finite numbers, got nan at sequence 2."),
    "12 fewer weights": ("fitted", X, Y, {"sample_weight": np.ones(5)}, DataError, "x and sample_weight differ in length, expected 6 of them, got 5 (shape (5,))."),
    "12 weights per step": ("fitted", X, Y, {"sample_weight": np.ones((B, T))}, DataError, "sample_weight has too many axes, expected numbers (batch,), got (5,) each."),
    "12 weights per step of labels": ("ctc", X, LABELS, {"sample_weight": np.ones((B, T))}, DataError, "sample_weight has too many axes, expected numbers (batch,), got (5,) each."),
    "12 weights masked": ("fitted", X, Y, {"sample_weight": np.ma.ones(B)}, DataTypeError, "sample_weight is a masked array, whose mask would be lost. What shall not count gets sample_weight=0."),
    "12 weights all masked": ("fitted", X, Y, {"sample_weight": [np.ma.masked] * B}, DataTypeError, "sample_weight holds a masked array, whose mask would be lost. What shall not count gets sample_weight=0."),
    "12 class weights all zero": ("fitted", X, Y, {"class_weight": {0: 0, 1: 0, 2: 0}}, DataError, "all weights are zero, so nothing could be learned, expected at least one above zero."),
    "12 class weight negative": ("fitted", X, Y, {"class_weight": {0: -1.0}}, DataError, "the weight of class 0 is out of range, expected a number >= 0, got -1.0."),
    "12 class weight NaN": ("fitted", X, Y, {"class_weight": {0: np.nan}}, DataError, "the weight of class 0 is out of range, expected a number >= 0, got nan."),
    "12 class weight None": ("fitted", X, Y, {"class_weight": {0: None}}, DataError, "the weight of class 0 is out of range, expected a number >= 0, got None."),
    "12 class weight of text": ("fitted", X, Y, {"class_weight": {0: "2"}}, DataError, "the weight of class 0 is out of range, expected a number >= 0, got '2'."),
    "12 class weight complex": ("fitted", X, Y, {"class_weight": {0: 1j}}, DataError, "the weight of class 0 is out of range, expected a number >= 0, got 1j."),
    "12 weight of no class": ("fitted", X, Y, {"class_weight": {3: 1.0}}, UsageError, "class_weight names what is no class, expected classes from 0 to 2, got 3."),
    "12 weight of no answer": ("yes", X, Y > 0, {"class_weight": {2: 1.0}}, UsageError, "class_weight names what is no class, expected classes from 0 to 1, got 2."),
    "12 weight of half an answer": ("yes", X, [0, 1, 0.5, 0, 1, 1], {"class_weight": {0: 2.0}}, DataError, "class_weight needs targets that are 0 or 1, got 0.5 at target 2."),
    "12 class weights balanced": ("fitted", X, Y, {"class_weight": "balanced"}, UsageError, "class_weight is no mapping, expected {class: weight}, got str."),
    "12 class weights of numbers": ("steps", X, STEPS, {"class_weight": {0: 1.0}}, UsageError, "class_weight needs one class per target, got numbers. Give sample_weight, one number per sequence or per step."),
    "12 class weights of labels": ("ctc", X, LABELS, {"class_weight": {1: 2.0}}, UsageError, "class_weight needs one class per target, got sequences of labels. Give sample_weight, one number per sequence."),
    "16 complex": ("fitted", X, Y * 1j, {}, DataTypeError, f"Complex data not supported, expected {CLASSES}, got dtype complex128."),
    "16 masked": ("fitted", X, np.ma.masked_array(Y, Y == 0), {}, DataTypeError, "y is a masked array, whose mask would be lost. What shall not count gets sample_weight=0."),
    "16 a masked number": ("fitted", X, [0, 1, np.ma.masked, 0, 1, 2], {}, DataTypeError, "y holds a masked array, whose mask would be lost. What shall not count gets sample_weight=0."),
}

# fmt: on
H = np.ones((B, 3))  # a part of the state of `World.steps`, an LSTM of 3 units

# fmt: off
# name -> state, error, message after "door: "; for predict and gradients
STATES = {
    "nothing": ((), UsageError, "state does not fit, expected a tuple over 2 layers, as return_state=True gives it, got tuple of 0."),
    "text": ("none", UsageError, "state does not fit, expected a tuple over 2 layers, as return_state=True gives it, got str."),
    "one part of two": (((H,), ()), UsageError, "the state of layer 'lstm' does not fit, expected [(6, 3), (6, 3)], got [(6, 3)]."),
    "fewer sequences": (((H[:5], H[:5]), ()), UsageError, f"the state of layer 'lstm' is that of 5 sequences, and x has 6, expected [(6, 3), (6, 3)], got [(5, 3), (5, 3)]. {GOES_WITH}"),
    "one sequence": (((H[:1], H[:1]), ()), UsageError, f"the state of layer 'lstm' is that of 1 sequences, and x has 6, expected [(6, 3), (6, 3)], got [(1, 3), (1, 3)]. {GOES_WITH}"),
    "one axis": (((H[0], H[0]), ()), UsageError, "the state of layer 'lstm' does not fit, expected [(6, 3), (6, 3)], got [(3,), (3,)]."),
    "two sizes": (((H, H[:5]), ()), UsageError, "the state of layer 'lstm' does not fit, expected [(6, 3), (6, 3)], got [(6, 3), (5, 3)]."),
    "fewer units": (((H[:, :2], H), ()), UsageError, "the state of layer 'lstm' does not fit, expected [(6, 3), (6, 3)], got [(6, 2), (6, 3)]."),
    "no tuples": ((H, H), UsageError, "the state of layer 'lstm' is no tuple, expected a tuple of 2 arrays, got ndarray."),
    "a number": ((7, ()), UsageError, "the state of layer 'lstm' is no tuple, expected a tuple of 2 arrays, got int."),
    "None": (((H, None), ()), DataTypeError, "the state of layer 'lstm' holds no real numbers, expected arrays of numbers, got dtype object."),
    "for a layer without": (((H, H), (H,)), UsageError, "the state of layer 'dense' does not fit, expected [], got [(6, 3)]."),
    "uneven": (((H, [[1], [2, 3]]), ()), DataError, "the state of layer 'lstm' is not an array of numbers (…)."),
    "complex": (((H, H * 1j), ()), DataTypeError, "the state of layer 'lstm' holds no real numbers, expected arrays of numbers, got dtype complex128."),
    "of text": (((H, H.astype(str)), ()), DataTypeError, "the state of layer 'lstm' holds no real numbers, expected arrays of numbers, got dtype <U32."),
    "masked": (((H, np.ma.masked_array(H)), ()), DataTypeError, "the state of layer 'lstm' is a masked array, whose mask would be lost."),
    "NaN": (((H, H * np.nan), ()), DataError, "the state of layer 'lstm' is not finite in float32, expected finite numbers, got nan."),
    "infinite": (((H, H + np.inf), ()), DataError, "the state of layer 'lstm' is not finite in float32, expected finite numbers, got inf."),
    "too large": (((H, H + 1e300), ()), DataError, "the state of layer 'lstm' is not finite in float32, expected finite numbers, got 1e+300."),
}

# fmt: on


def of_ids() -> elman.Sequential:
    """Give a model that has found out from its first data that there are 7 token ids."""
    model = model_of(layers.GRU(3), layers.Dense(K), loss="cross_entropy")
    model.fit(changed(IDS, (0, 0), 6), Y, verbose=0)
    return model


def tiny(**options: Any) -> LanguageModel:
    return LanguageModel(**{"layers": 1, "hidden": 8, "epochs": 1, "batch": 4, "steps": 8, "verbose": 0, **options})


def spoilt(world: World) -> elman.Sequential:
    """Give a model whose loss is infinite."""
    model = classifier()
    model.build(F, rng=0)
    model.set_weights([np.full_like(weight, 3e38) for weight in model.get_weights()])
    return model


# fmt: off
# name -> call, error, whole message
CALLS = {
    "1 StreamBatches": (lambda w: StreamBatches(np.arange(0), n_streams=1, steps=5), DataError, "StreamBatches: 0 tokens are too few for 1 streams, expected at least 2. Give more data or a smaller n_streams."),
    "1 one token": (lambda w: StreamBatches(np.arange(1), n_streams=1, steps=5), DataError, "StreamBatches: 1 tokens are too few for 1 streams, expected at least 2. Give more data or a smaller n_streams."),
    "1 Ragged": (lambda w: Ragged.from_list([]), DataError, "Ragged.from_list: x has 0 samples, expected at least 1 sequence, got an empty list."),
    "1 stream": (lambda w: w.steps.stream(0).step(X[:0, 0]), UsageError, "step: there are no streams, expected at least one. Call join() first."),
    "1 text": (lambda w: tiny().fit(""), DataError, "fit: the text is empty, expected at least 2 characters."),
    "1 no texts": (lambda w: tiny().fit([]), DataError, "fit: the text is empty, expected at least 2 characters."),
    "1 text of one": (lambda w: tiny().fit("a"), DataError, "fit: the text has 1 characters, expected at least 2 characters."),
    "1 score of nothing": (lambda w: w.text.score(""), DataError, "score: the text has 0 characters, expected at least 2."),
    "1 score of one": (lambda w: w.text.score("t"), DataError, "score: the text has 1 characters, expected at least 2."),
    "2 values of three axes": (lambda w: Ragged(X, [B]), DataError, "Ragged: values has the wrong number of axes, expected (N, F) or (N,), got (6, 5, 4)."),
    "2 from_list": (lambda w: Ragged.from_list([X[0], X[0, :, :2]]), DataError, "Ragged.from_list: x[1] does not match the sequences before it, expected (steps, 4), got shape (5, 2)."),
    "2 from_dense": (lambda w: Ragged.from_dense(X[0, 0]), DataError, "Ragged.from_dense: x has the wrong number of axes, expected (B, T, F) or (B, T), got shape (4,)."),
    "6 negative length": (lambda w: Ragged(X[0, :2], [3, -1]), DataError, "Ragged: lengths[1] is negative, expected >= 0, got -1."),
    "6 lengths do not add up": (lambda w: Ragged(X[0], [3, 1]), DataError, "Ragged: lengths do not add up to the number of steps, expected a sum of 5 (values.shape = (5, 4)), got 4."),
    "6 lengths of two axes": (lambda w: Ragged(X[0], [[T]]), DataError, "Ragged: lengths has the wrong number of axes, expected (batch,), got (1, 1)."),
    "6 lengths past the end": (lambda w: Ragged.from_dense(X[:2], [3, 9]), DataError, "Ragged.from_dense: lengths[1] goes past the end, expected at most 5 (x.shape = (2, 5, 4)), got 9."),
    "6 too few lengths": (lambda w: Ragged.from_dense(X[:2], [3]), DataError, "Ragged.from_dense: lengths does not fit x, expected 2 lengths (x.shape = (2, 5, 4)), got 1."),
    "6 lengths that are not whole": (lambda w: Ragged(X[0], [1.5, 3.5]), DataTypeError, "Ragged: lengths must be whole numbers, expected integers, got float64."),
    "6 window backwards": (lambda w: Ragged.from_dense(X).window(2, 1), DataError, "Ragged.window: bad bounds, expected 0 <= start <= stop, got (2, 1)."),
    "6 validation without lengths": (lambda w: w.new.fit(X, Y, lengths=[5] * B, validation_data=(X, Y)), UsageError, "fit: lengths says nothing about the x of validation_data. Give its x as a list of arrays or a Ragged, or say pad_value= in place of lengths=."),
    "6 carry_state": (lambda w: w.steps.fit(X, STEPS, batch_size=4, carry_state=True), DataError, "fit: 6 sequences do not divide into batches of 4 that carry their state, expected whole batches, got 2 left over. Leave out 2 of them, or take a batch_size that divides 6."),
    "6 token_budget": (lambda w: w.steps.fit(X, STEPS, token_budget=4), DataError, "fit: sequence 0 alone is longer than token_budget, expected at most 4 steps, got 5. Raise token_budget, or cut the sequences into shorter ones."),
    "10 label of no class": (lambda w: losses.CrossEntropy()(np.ones((2, 3)), np.array([0, 3])), DataError, "loss: a target is not a class, expected 0 to 2, got 3 at target 1."),
    "10 another blank": (lambda w: model_of(layers.GRU(3, return_sequences=True), layers.Dense(4), loss=losses.CTC(blank=3)).fit(X, LABELS), DataError, "fit: y[1] holds the blank, which is no label, expected 0 to 3 but 3, the blank, got 3 at place 0."),
    "10 an id not seen in training": (lambda w: of_ids().predict([[0, 7]]), DataError, "predict: token id out of range, expected 0 to 6, got 7 at sequence 0, step 1."),
    "10 ids below the first seen": (lambda w: model_of(layers.GRU(3), layers.Dense(K), loss="mse").fit(IDS - 1, X[:, 0, :3]), DataError, "fit: token id out of range, expected at least 0, got -1 at sequence 2, step 0."),
    "10 unknown character": (lambda w: w.text.sample(5, prime="to ж"), DataError, "prime: the character U+0436 (ж) at index 3 was not in the training text. `elman info MODEL` shows the characters that the model knows."),
    "10 a negative summand": (lambda w: BinaryAdder(examples=1).fit().add([1, 2], [3, -4]), DataError, "add: b[1] is negative, expected 0 or more, got -4."),
    "12 batch_size": (lambda w: w.new.fit(X, Y, batch_size=0), UsageError, "batch_size: this is no count, expected an integer >= 1, got 0."),
    "16 text for a language model": (lambda w: tiny().fit(b"bytes"), DataTypeError, "text: it is no text, expected a str, a path, or a list of either, got bytes. Decode it first: raw.decode('utf-8')."),
    "16 texts of bytes": (lambda w: tiny().fit(["text", b"bytes"]), DataTypeError, "text: it is no text, expected a str, a path, or a list of either, got bytes. Decode it first: raw.decode('utf-8')."),
    "16 no text": (lambda w: tiny().fit(None), DataTypeError, "text: it is no text, expected a str, a path, or a list of either, got NoneType."),
    "16 an array for a text": (lambda w: tiny().fit(X), DataTypeError, "text: it is no text, expected a str, a path, or a list of either, got ndarray."),
    "16 lone surrogate": (lambda w: tiny().fit("ab\ud800cd" * 9), DataError, "Vocabulary: the text holds a lone surrogate, U+D800, at index 2. Half of a UTF-16 pair is no character: decode strictly, without errors='surrogateescape'."),
    "16 summand of text": (lambda w: BinaryAdder(examples=1).fit().add("12", "34"), DataTypeError, "add: a[0] is no integer, got '1'."),
    "16 summand of float": (lambda w: BinaryAdder(examples=1).fit().add(1.0, 2), DataTypeError, "add: a[0] is no integer, got 1.0."),
    "16 summand of bool": (lambda w: BinaryAdder(examples=1).fit().add(True, 2), DataTypeError, "add: a[0] is no integer, got True."),
    "16 summand of no axis": (lambda w: BinaryAdder(examples=1).fit().add(np.array(1), 2), DataTypeError, "add: a is no row of numbers, expected an integer or a sequence of integers, got shape ()."),
    "16 summands of two axes": (lambda w: BinaryAdder(examples=1).fit().add([1], np.ones((1, 1), int)), DataTypeError, "add: b is no row of numbers, expected an integer or a sequence of integers, got shape (1, 1)."),
    "16 summands in a list": (lambda w: BinaryAdder(examples=1).fit().add([[1]], [1]), DataTypeError, "add: a[0] is no integer, got [1]."),
    "6 summands differ": (lambda w: BinaryAdder(examples=1).fit().add([1, 2], [3]), DataError, "add: a and b differ in length, expected 2 numbers in b, got 1."),
    "6 one summand": (lambda w: BinaryAdder(examples=1).fit().add([1, 2], 3), DataError, "add: a and b differ in length, expected 2 numbers in b, got 1."),
    "17 out overlaps": (lambda w: (batch := Ragged(np.arange(8.0).reshape(4, 2), [3, 1])).reverse(out=batch.values), DataError, "Ragged.reverse: out overlaps the values. Give an array of its own."),
    "19 a batch": (lambda w: model_of(layers.LSTM(65_536), layers.Dense(1), loss="mse").fit(np.zeros((1, 400_000, 1)), [1.0]), ResourceError, "fit: a batch of 400,000 steps needs 1048.6 GB, expected at most the … GB of this machine. Take a smaller batch_size, or give a memory_budget."),
    "19 weights": (lambda w: model_of(*(layers.LSTM(65_536, return_sequences=True) for _ in range(400))).build(F), ResourceError, "build: not enough memory, got 109,814.6 GB for 13,726,821,384,192 parameters and their gradients. Make the layers smaller."),
    "19 a text": (lambda w: tiny(hidden=65_536, embedding=64, dropout=0.0, batch=40, steps=10_000).fit(TEXT * 10_000), ResourceError, "fit: a batch of 400,000 steps needs 1048.9 GB, expected at most the … GB of this machine. Take a smaller batch, steps or hidden."),
    "19 a budget that is none": (lambda w: w.new.fit(X, Y, memory_budget="lots"), UsageError, "fit: memory_budget is no amount of memory, expected bytes, or a text such as '1GiB' or '500MB', got 'lots'."),
    "19 a budget with a fraction": (lambda w: w.new.fit(X, Y, memory_budget=1e6 + 0.5), UsageError, "fit: memory_budget is no amount of memory, expected bytes, or a text such as '1GiB' or '500MB', got 1000000.5."),
    "19 a budget without end": (lambda w: w.new.fit(X, Y, memory_budget=float("inf")), UsageError, "fit: memory_budget is no amount of memory, expected bytes, or a text such as '1GiB' or '500MB', got inf."),
    "19 a budget of nothing": (lambda w: w.fitted.gradients(X, Y, memory_budget=0), UsageError, "gradients: memory_budget is no amount of memory, expected bytes, or a text such as '1GiB' or '500MB', got 0."),
    "19 a budget of a text": (lambda w: tiny(memory_budget="1 XB").fit(TEXT), UsageError, "fit: memory_budget is no amount of memory, expected bytes, or a text such as '1GiB' or '500MB', got '1 XB'."),
    "19 a budget for less than a step": (lambda w: w.steps.fit(X, STEPS, memory_budget=1000), ResourceError, "fit: a batch of 30 steps does not fit into memory_budget, even step by step, expected at least 2,827 bytes, got 1,000. Raise it, or take a smaller batch_size."),
    "19 a budget and both directions": (lambda w: model_of(layers.Bidirectional(layers.GRU(3)), layers.Dense(K), loss="cross_entropy").fit(X, Y, memory_budget="2kB"), UsageError, "fit, memory_budget: Bidirectional 'bidirectional' (Bidirectional(GRU)) needs whole sequences, so no state can be carried through it, expected layers that look back only. Give whole sequences at once, or take a model of layers that look back only."),
    "19 a budget and ctc": (lambda w: w.ctc.train_on_batch(X, LABELS, memory_budget="2kB"), UsageError, "train_on_batch, memory_budget: loss 'ctc' needs whole sequences, and a batch does not fit as it is. Raise it, or take a smaller batch_size."),
    "19 a budget and a generator": (lambda w: model_of(layers.GRU(3, dropout=0.5), layers.Dense(K), loss="cross_entropy").train_on_batch(X, Y, memory_budget="4kB", rng=np.random.Generator(np.random.SFC64(0))), UsageError, "rng: this generator cannot draw for one segment of a batch after the other, expected PCG64 or PCG64DXSM, got SFC64. Take numpy.random.default_rng(seed)."),
    "a truncate of nothing": (lambda w: w.steps.fit(X, STEPS, truncate=0), UsageError, "fit: truncate is not accepted, expected k or (k1, k2): an update every k1 >= 1 steps, gradients through k2 >= k1, got 0."),
    "a truncate the wrong way round": (lambda w: w.steps.fit(X, STEPS, truncate=(5, 3)), UsageError, "fit: truncate is not accepted, expected k or (k1, k2): an update every k1 >= 1 steps, gradients through k2 >= k1, got (5, 3)."),
    "a truncate of three": (lambda w: w.steps.fit(X, STEPS, truncate=(1, 2, 3)), UsageError, "fit: truncate is not accepted, expected k or (k1, k2): an update every k1 >= 1 steps, gradients through k2 >= k1, got (1, 2, 3)."),
    "truncate and attention": (lambda w: model_of(layers.AttentionPooling(), layers.Dense(K), loss="cross_entropy").fit(X, Y, truncate=2), UsageError, "fit, truncate: AttentionPooling 'attention_pooling' (AttentionPooling) needs whole sequences, so no state can be carried through it, expected layers that look back only. Give whole sequences at once, or take a model of layers that look back only."),
    "truncate and ctc": (lambda w: w.ctc.fit(X, LABELS, truncate=2), UsageError, "fit, truncate: loss 'ctc' needs whole sequences. Leave truncate out."),
    "documents that are no places": (lambda w: StreamBatches(IDS[0], n_streams=1, steps=2, documents=[0, 6]), DataError, "StreamBatches: documents are no places of ids, expected (documents,) integers from 0 to 5 in their order, got [0, 6]."),
    "documents in no order": (lambda w: StreamBatches(IDS[0], n_streams=1, steps=2, documents=[2, 1]), DataError, "StreamBatches: documents are no places of ids, expected (documents,) integers from 0 to 5 in their order, got [2, 1]."),
    "documents and a learned state": (lambda w: learned(w).fit_batches(StreamBatches(IDS[0], n_streams=1, steps=2, documents=[0, 2])), UsageError, "fit: GRU 'gru' has a learned initial state, and documents begin in the middle of windows. Take initial_state='zeros', or SequenceBatches with one sequence per document."),
    "39 train_on_batch": (lambda w: spoilt(w).train_on_batch(X, Y), DivergedError, "train_on_batch: the loss is nan, the gradient norm nan, expected finite numbers. No step was taken. Lower the learning rate of the steps before, or compile with clip=1.0."),
    "42 no callback": (lambda w: w.new.fit(X, Y, callbacks=[print]), UsageError, "fit: callbacks[0] is no callback, expected an object of a subclass of elman.callbacks.Callback, got <built-in function print>."),
    "42 a class for a callback": (lambda w: w.new.fit(X, Y, callbacks=[callbacks.EarlyStopping]), UsageError, "fit: callbacks[0] is no callback, expected an object of a subclass of elman.callbacks.Callback, got <class 'elman.training.callbacks.stopping.EarlyStopping'>. Write EarlyStopping()."),
    "42 no folder to save in": (lambda w: classifier().fit(X, Y, callbacks=[callbacks.ModelCheckpoint("no/m.elman")], verbose=0), SaveError, "ModelCheckpoint: the folder 'no' is not there. Create the folder first."),
    "42 a single callback": (lambda w: w.new.fit(X, Y, callbacks=callbacks.EarlyStopping()), UsageError, "fit: callbacks is a single one, expected a list. Write callbacks=[callback]."),
    "42 no folder": (lambda w: classifier().fit(X, Y, callbacks=[callbacks.CSVLogger(w.folder / "no" / "log.csv")], verbose=0), SaveError, "CSVLogger: '…/no/log.csv' cannot be written (No such file or directory)."),
    "43 not compiled": (lambda w: w.bare.fit(X, Y), UsageError, "fit: the model is not compiled. Call model.compile(optimizer, loss) first."),
    "43 not compiled, evaluate": (lambda w: w.bare.evaluate(X, Y), UsageError, "evaluate: the model is not compiled. Call model.compile(optimizer, loss) first."),
    "43 predict before fit": (lambda w: w.new.predict(X), NotFittedError, f"predict: the model is not built yet. {BUILD}"),
    "43 evaluate before fit": (lambda w: w.new.evaluate(X, Y), NotFittedError, f"evaluate: the model is not built yet. {BUILD}"),
    "43 gradients before fit": (lambda w: w.new.gradients(X, Y), NotFittedError, f"gradients: the model is not built yet. {BUILD}"),
    "43 stream before fit": (lambda w: w.new.stream(), NotFittedError, f"stream: the model is not built yet. {BUILD}"),
    "43 weights before fit": (lambda w: w.new.get_weights(), NotFittedError, f"model: it is not built yet. {BUILD}"),
    "43 save before fit": (lambda w: w.new.save(w.folder / "new.elman"), NotFittedError, f"model: it is not built yet. {BUILD}"),
    "43 count before fit": (lambda w: w.new.count_params(), NotFittedError, f"model: it is not built yet. {BUILD}"),
    "43 explain before fit": (lambda w: w.new.explain(), NotFittedError, f"explain: the input size of the model is not known yet. {BUILD}"),
    "43 fit_batches before fit": (lambda w: w.new.fit_batches([]), NotFittedError, f"fit: the model is not built yet. {BUILD}"),
    "43 built twice": (lambda w: w.fitted.build(F), UsageError, "build: the model is built already. Make a new one with Sequential.from_config."),
    "43 a layer of another model": (lambda w: elman.Sequential([w.fitted.layers[0]]).build(F), UsageError, "build: layer 'gru' belongs to another model. Make a new layer: layers.from_config(layer.config())."),
    "43 sample before fit": (lambda w: tiny().sample(5), NotFittedError, "LanguageModel.sample: it is not fitted yet. Call fit first."),
    "43 score before fit": (lambda w: tiny().score("text"), NotFittedError, "LanguageModel.score: it is not fitted yet. Call fit first."),
    "43 save a task before fit": (lambda w: tiny().save(w.folder / "text.elman"), NotFittedError, "LanguageModel.save: it is not fitted yet. Call fit first."),
    "43 add before fit": (lambda w: BinaryAdder().add(1, 2), NotFittedError, "BinaryAdder.add: it is not fitted yet. Call fit first."),
    "43 fewer features": (lambda w: w.fitted.stream(B).step(X[:, 0, :3]), DataError, "step: x does not fit, expected (6, 4), a row for each stream, got shape (6, 3)."),
    "a no layers": (lambda w: elman.Sequential([]), UsageError, "Sequential: there are no layers, expected at least one. Give all of them at once, as a list: none can be added later."),
    "a a class for a layer": (lambda w: elman.Sequential([layers.Dense]), UsageError, "Sequential: layers[0] is no layer, expected elman.layers, got <class 'elman.layers.dense.Dense'>."),
    "a layers is one": (lambda w: elman.Sequential(layers.LSTM(3)), UsageError, "Sequential: layers is a single one, expected a list. Write Sequential([layer])."),
    "a layers one by one": (lambda w: elman.Sequential(layers.LSTM(3), layers.Dense(1)), UsageError, "Sequential: layers are given one by one, expected a list of them. Write Sequential([first, second, ...])."),
    "a layers is a number": (lambda w: elman.Sequential(5), UsageError, "Sequential: layers is no list, expected a list, got int."),
    "a float16": (lambda w: elman.Sequential([layers.Dense(1)], dtype="float16"), UsageError, "Sequential: dtype is not accepted, expected float32 or float64, got 'float16'."),
    "a dtype of no kind": (lambda w: elman.Sequential([layers.Dense(1)], dtype="foo"), UsageError, "Sequential: dtype is not accepted, expected float32 or float64, got 'foo'."),
    "a dtype None": (lambda w: elman.Sequential([layers.Dense(1)], dtype=None), UsageError, "Sequential: dtype is not accepted, expected float32 or float64, got None."),
    "a dtype list": (lambda w: elman.Sequential([layers.Dense(1)], dtype=[1]), UsageError, "Sequential: dtype is not accepted, expected float32 or float64, got [1]."),
    "a two of a name": (lambda w: elman.Sequential([layers.Dense(1, name="a"), layers.Dense(1, name="a")]), UsageError, "model: two layers are named 'a'. Give each its own name."),
    "a no loss": (lambda w: w.bare.compile("adam"), UsageError, f"compile: there is no loss, expected one of {sorted(LOSSES)}."),
    "a unknown loss": (lambda w: w.bare.compile("adam", "hinge"), UsageError, f"compile: there is no such loss, expected one of {sorted(LOSSES)} or an object, got 'hinge'."),
    "a loss misspelt": (lambda w: w.bare.compile("adam", "crossentropy"), UsageError, f"compile: there is no such loss, expected one of {sorted(LOSSES)} or an object, got 'crossentropy'. Did you mean 'cross_entropy'?"),
    "a class for a loss": (lambda w: w.bare.compile("adam", losses.Huber), UsageError, f"compile: there is no such loss, expected one of {sorted(LOSSES)} or an object, got <class 'elman.ops.losses.distances.Huber'>, a class; write Huber()."),
    "a class for an optimizer": (lambda w: w.bare.compile(Adam, "mse"), UsageError, f"compile: there is no such optimizer, expected one of {sorted(OPTIMIZERS)} or an object, got <class 'elman.training.optimizers.adam.Adam'>, a class; write Adam()."),
    "a unknown optimizer": (lambda w: w.bare.compile("lion", "mse"), UsageError, f"compile: there is no such optimizer, expected one of {sorted(OPTIMIZERS)} or an object, got 'lion'."),
    "a optimizer and loss swapped": (lambda w: w.bare.compile("cross_entropy", "adam"), UsageError, "compile: optimizer and loss stand in each other's place. Write compile('adam', 'cross_entropy')."),
    "a unknown metric": (lambda w: w.bare.compile("adam", "mse", ["auc"]), UsageError, f"compile: there is no such metric, expected one of {sorted(METRICS)} or an object, got 'auc'."),
    "a metric in a list": (lambda w: w.bare.compile("adam", "mse", [["accuracy"]]), UsageError, "compile: there is no such metric, expected one of ['acc', 'accuracy', 'binary_accuracy', 'categorical_accuracy', 'f1', 'f1_score', 'label_error_rate', 'mae', 'mean_absolute_error', 'mean_squared_error', 'mse', 'perplexity', 'rmse', 'root_mean_squared_error', 'sparse_categorical_accuracy', 'sparse_top_k_categorical_accuracy', 'top_k_accuracy', 'top_k_categorical_accuracy'] or an object, got ['accuracy']."),
    "a metrics is a number": (lambda w: w.bare.compile("adam", "mse", 5), UsageError, f"compile: metrics is no list of names, expected some of {sorted(METRICS)}, got 5."),
    "a clip": (lambda w: w.bare.compile("adam", "mse", clip=-1), UsageError, "compile: clip is out of range, expected a number above 0, or None, got -1."),
    "a sigmoid for classes": (lambda w: model_of(layers.GRU(3), layers.Dense(K, activation="sigmoid"), loss="cross_entropy"), UsageError, "compile: cross-entropy takes logits or softmax, expected no activation or softmax, got the last layer 'dense' (Dense, sigmoid). End with Dense(n_classes), or Dense(n_classes, activation='softmax'); for one output that says yes or no take loss='binary_crossentropy'."),
    "a no Dense": (lambda w: model_of(layers.GRU(3), loss="cross_entropy"), UsageError, "compile: cross-entropy takes logits or softmax, expected no activation or softmax, got the last layer 'gru' (GRU, tanh). End with Dense(n_classes), or Dense(n_classes, activation='softmax')."),
    "a ctc of one output": (lambda w: classifier("ctc").fit(X, LABELS), UsageError, "fit: ctc needs one output per step, got one per sequence. Set return_sequences=True on the last recurrent layer."),
    "a ctc without a blank": (lambda w: model_of(layers.GRU(3, return_sequences=True), layers.Dense(4), loss=losses.CTC(blank=4)).fit( X, LABELS ), UsageError, "fit: ctc needs a class for the blank, expected outputs for the blank (4) and at least one label, got 4 outputs."),
    "a sequences for rows": (lambda w: model_of(layers.GRU(3), layers.LSTM(3), layers.Dense(K), loss="mse").fit(X, Y), UsageError, "LSTM 'lstm': needs sequences, expected one row per step, got one row per sequence from GRU 'gru'. Set return_sequences=True on GRU 'gru'."),
    "a ids for numbers": (lambda w: check_stack([layers.Dense(3)], input_size=7, ids=True), UsageError, "Dense: cannot take token ids, expected numbers, got token ids. Put Embedding(7, ...) or a recurrent layer before it."),
    "a epochs": (lambda w: w.new.fit(X, Y, epochs=0), UsageError, "epochs: this is no count, expected an integer >= 1, got 0."),
    "a verbose": (lambda w: w.new.fit(X, Y, verbose=7), UsageError, "fit: verbose is out of range, expected 'auto', 0, 1 or 2, got 7."),
    "a seed": (lambda w: w.new.fit(X, Y, rng="seed"), UsageError, "rng: this is no seed, expected an integer >= 0, a SeedSequence, a Generator or None, got 'seed'."),
    "a history": (lambda w: w.new.fit(X, Y, history=5), UsageError, "fit: history is no History, expected what an earlier fit gave, or None, got 5."),
    "batches ahead of none": (lambda w: Prefetched(3), UsageError, "Prefetched: these are no batches, expected such as SequenceBatches or StreamBatches, got 3."),
    "a stream of an array": (lambda w: w.fitted.stream(batch=np.arange(3)), UsageError, "batch: this is no count, expected an integer >= 1, got array([0, 1, 2])."),
    "a history of batches": (lambda w: w.fitted.fit_batches([], history=5), UsageError, "fit_batches: these are no batches, expected such as SequenceBatches or StreamBatches, got list. For x and y call fit."),
    "a validation_split of all": (lambda w: w.new.fit(X, Y, validation_split=0.99), UsageError, "fit: validation_split is out of range, expected a share that leaves at least one sequence on both sides, got 0.99 of 6 sequences."),
    "a validation_split negative": (lambda w: w.new.fit(X, Y, validation_split=-1), UsageError, "fit: validation_split is out of range, expected a share that leaves at least one sequence on both sides, got -1 of 6 sequences."),
    "a validation_split of text": (lambda w: w.new.fit(X, Y, validation_split="half"), UsageError, "fit: validation_split is out of range, expected a share that leaves at least one sequence on both sides, got 'half' of 6 sequences."),
    "a validation_data": (lambda w: w.new.fit(X, Y, validation_data=X), UsageError, "fit: validation_data is no (x, y) or (x, y, sample_weight), got ndarray."),
    "a on_nonfinite": (lambda w: w.new.fit(X, Y, on_nonfinite="ignore"), UsageError, "fit: on_nonfinite is not accepted, expected one of 'raise', 'skip', 'rollback', got 'ignore'."),
    "a carry_state through both ways": (lambda w: model_of(layers.Bidirectional(layers.GRU(3)), layers.Dense(K), loss="mse").fit( X, Y, carry_state=True ), UsageError, "fit, carry_state: Bidirectional 'bidirectional' (Bidirectional(GRU)) needs whole sequences, so no state can be carried through it, expected layers that look back only. Give whole sequences at once, or take a model of layers that look back only."),
    "a input size": (lambda w: w.new.build(0), UsageError, "input_size: this is no count, expected an integer >= 1, got 0."),
    "a weights of another model": (lambda w: w.fitted.set_weights(w.steps.get_weights()), UsageError, "set_weights: the number of arrays is wrong, expected 6: ['gru.weight_ih', 'gru.weight_hh', 'gru.bias', 'gru.bias_hn', 'dense.weight', 'dense.bias'], got 5."),
    "a weights of another shape": (lambda w: w.fitted.set_weights({**w.fitted.named_weights(), "dense.bias": np.zeros(9)}), UsageError, "set_weights: the weights do not fit: 'dense.bias' has shape (9,), not (3,)."),
    "a weights NaN": (lambda w: w.fitted.set_weights([weight * np.nan for weight in w.fitted.get_weights()]), UsageError, "set_weights: the weights do not fit: 'gru.weight_ih' holds nan, which is not finite in float32; …; 'dense.bias' holds nan, which is not finite in float32."),
    "a weights of a file": (lambda w: w.fitted.load_weights(w.folder / "kept.elman"), UsageError, "load_weights: weights is no mapping, expected {name: array}, got PosixPath. A file is read by elman.load(path)."),
    "a no such file": (lambda w: elman.load("no/such.elman"), MissingFileError, "model file 'no/such.elman': there is no such file."),
    "a file for a text": (lambda w: tiny().fit(str(w.folder / "kept.elman")), UsageError, "text: '…/kept.elman' is the name of a file, not its contents. Give it as a path: pathlib.Path(name)."),
    "a threads": (lambda w: elman.set_threads(0), UsageError, "set_threads: the number of threads is out of range, expected an integer from 1 to 1024, got 0."),
    "a sample length": (lambda w: w.text.sample(-1), UsageError, "sample: length is out of range, expected an integer >= 0, got -1."),
    "a sample length broken": (lambda w: w.text.sample(2.5), UsageError, "sample: length is out of range, expected an integer >= 0, got 2.5."),
    "a sample temperature": (lambda w: w.text.sample(5, temperature=-1), UsageError, "sample: temperature is out of range, expected a number, 0 or more, got -1."),
    "a sample seed": (lambda w: w.text.sample(5, random_state=-1), UsageError, "random_state: this is no seed, expected an integer >= 0, a SeedSequence, a Generator or None, got -1."),
    "a too many pairs": (lambda w: BinaryAdder(bits=20, examples=1).fit().count_right_of_all(), UsageError, "count_right_of_all: too many pairs, expected bits <= 12, got 20."),
}
# fmt: on
