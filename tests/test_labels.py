"""Label sequences, the targets of CTC: the door, and training with them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import elman
from elman import layers, losses
from elman.errors import DataError, DivergedError
from elman.ops.ctc import steps_needed
from elman.ragged import Ragged
from elman.training.labels import as_labels
from elman.training.optimizers import SGD, Adam
from elman.training.rows import RowReader

STEPS = [5, 3, 0, 7, 4]
LABELS = [[1, 1, 3], [3], [], [2, 3, 1, 1], [4, 3, 2, 1]]
K = 5


def read(y, *, steps=STEPS, blank=0):
    x = Ragged(np.zeros((sum(steps), 2)), steps)
    reader = RowReader("y", "fit", "label sequences", x, per_step=False)
    return as_labels(y, reader=reader, n_classes=K, blank=blank)


def padded(labels, extra=0):
    width = max(map(len, labels)) + extra
    return np.array([[*part, *[-1] * (width - len(part))] for part in labels])


FORMS = {
    "lists": LABELS,
    "tuples": tuple(map(tuple, LABELS)),
    "arrays": [np.array(part, np.int32) for part in LABELS],
    "bytes": [np.array(part, np.uint8) for part in LABELS],
    "objects": np.array([np.array(part, np.int64) for part in LABELS], object),
    "objects that are lists": np.array(LABELS, object),
    "padded": padded(LABELS),
    "padded further": padded(LABELS, 3).astype(np.int16),
    "ragged": Ragged(np.concatenate(LABELS).astype(int), [len(part) for part in LABELS]),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(form):
    labels = read(FORMS[form])
    assert labels.values.dtype == np.int64
    assert [part.tolist() for part in labels] == LABELS


def test_nothing_but_empty_sequences():
    for y in ([[]] * 5, np.full((5, 2), -1), np.zeros((5, 0), int), Ragged(np.zeros(0, int), [0] * 5)):
        assert read(y).lengths.tolist() == [0] * 5


def test_steps_needed_are_the_fewest_paths_that_read_as_the_labels(rng):
    """By going through all paths over two labels and the blank, shortest first."""

    def reads(path):
        return [label for label, before in zip(path, (None, *path), strict=False) if label and label != before]

    sequences = [list(part) for n in range(4) for part in itertools.product([1, 2], repeat=n)]
    expected = [
        next(
            n
            for n in itertools.count(0)
            if any(reads(path) == labels for path in itertools.product(range(3), repeat=n))
        )
        for labels in sequences
    ]
    order = rng.permutation(len(sequences))
    whole = Ragged(np.concatenate([sequences[k] for k in order]).astype(int), [len(sequences[k]) for k in order])
    assert steps_needed(whole).tolist() == [expected[k] for k in order]


# --- whole models ---------------------------------------------------------------------------------------------------


def make(*, units=6, outputs=K, activation=None, blank=0, per_step=True, **compiled):
    model = elman.Sequential(
        [layers.LSTM(units, return_sequences=per_step), layers.Dense(outputs, activation=activation)], dtype="float64"
    )
    model.compile(**{"optimizer": Adam(0.02), "loss": losses.CTC(blank=blank), **compiled})
    return model


X = np.zeros((2, 4, 3))


class TestModels:
    def data(self, rng, n=5):
        steps = [len(labels) * 2 + 1 for labels in LABELS]
        return [rng.normal(size=(length, 3)) for length in steps[:n]], LABELS[:n]

    @pytest.mark.parametrize("activation", [None, "softmax"])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_gradients_are_the_slopes_of_the_loss(self, rng, activation, weighted):
        x, y = self.data(rng)
        model = make(activation=activation, blank=0)
        model.build(3, rng=1)
        weights = {name: rng.normal(size=w.shape) for name, w in model.named_weights().items()}
        model.set_weights(weights)
        sample_weight = rng.random(5) if weighted else None
        loss, gradients, _ = model.gradients(x, y, sample_weight=sample_weight)
        assert loss == pytest.approx(model.evaluate(x, y, sample_weight=sample_weight), rel=1e-13)
        for _ in range(3):
            direction = {name: rng.normal(size=w.shape) for name, w in weights.items()}
            found = []
            for step in (1e-6, -1e-6):
                model.set_weights({name: w + step * direction[name] for name, w in weights.items()})
                found.append(model.gradients(x, y, sample_weight=sample_weight)[0])
            slope = sum((gradients[name] * direction[name]).sum() for name in weights)
            assert (found[0] - found[1]) / 2e-6 == pytest.approx(slope, rel=1e-5, abs=1e-8)

    def test_the_loss_is_the_mean_over_sequences(self, rng):
        """Batches, orders, weights and forms of y change nothing."""
        x, y = self.data(rng)
        model = make(metrics=["label_error_rate"])
        model.build(3, rng=0)
        alone = np.array([model.evaluate([one], [labels])[0] for one, labels in zip(x, y, strict=True)])
        weights = rng.random(5)
        whole = model.evaluate(x, y)
        assert whole[0] == pytest.approx(alone.mean(), rel=1e-12)
        for form in (padded(y), Ragged(np.concatenate(y).astype(int), [len(part) for part in y])):
            assert model.evaluate(x, form) == whole
        assert model.evaluate(x, y, batch_size=2) == pytest.approx(whole, rel=1e-12)
        assert model.evaluate(x, y, sample_weight=weights)[0] == pytest.approx(np.average(alone, weights=weights))

    def test_it_learns_to_read(self, rng):
        """Every label shows for one to three steps, with gaps between; nobody says which step is whose."""
        x, y = [], []
        for _ in range(120):
            labels = rng.integers(1, 4, rng.integers(0, 4))
            shown = [np.zeros(2, int)]
            for label in labels:
                shown += [np.full(rng.integers(1, 4), label), np.zeros(rng.integers(1, 3), int)]
            x.append(np.eye(4)[np.concatenate(shown)] + 0.1 * rng.normal(size=(sum(map(len, shown)), 4)))
            y.append(labels)
        model = make(units=12, outputs=4, metrics=["label_error_rate"])
        history = model.fit(x, y, epochs=12, batch_size=8, validation_split=0.25, verbose=0, rng=0).history
        assert history["val_loss"][-1] < 0.3 * history["val_loss"][0]
        assert history["val_label_error_rate"][-1] < 0.1 < history["val_label_error_rate"][0]

    def test_a_loss_that_explodes_is_told(self, rng):
        """The loss says so, not the metric that could read nothing."""
        x, y = self.data(rng)
        model = make(optimizer=SGD(1e300), metrics=["label_error_rate"])
        with pytest.raises(DivergedError, match="Lower learning_rate"), np.errstate(all="ignore"):
            model.fit(x, y, epochs=20, verbose=0, rng=0)

    def test_steps_that_the_model_makes_are_those_that_count(self, rng):
        """However long x is: labels are laid along what comes out."""
        stack = [layers.GRU(4), layers.RepeatVector(7), layers.GRU(6, return_sequences=True), layers.Dense(K)]
        model = elman.Sequential(stack, dtype="float64")
        model.compile("adam", losses.CTC())
        x = [rng.normal(size=(length, 3)) for length in (2, 30, 0)]
        with pytest.raises(DataError, match=r"y\[1\] is longer than its steps allow, .*at least 8 .*got 7 steps that"):
            model.fit(x, [[1, 2, 3, 4], [1, 2] * 4, []], verbose=0)
        assert not model.built
        labels = [[1, 2, 3, 4], [2, 2, 1], []]
        weights = rng.random(3)
        history = model.fit(x, labels, sample_weight=weights, epochs=60, verbose=0, rng=0).history["loss"]
        assert history[-1] < history[0]
        outputs = Ragged(np.concatenate(list(model.predict(x))), [7] * 3)
        ids = Ragged(np.concatenate(labels).astype(int), [4, 3, 0])
        expected = losses.CTC()(outputs, ids, weights=weights)[0]
        assert model.evaluate(x, labels, sample_weight=weights) == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize("size", [1, 2, 5])
    def test_shuffled_batches_hold_the_labels_of_their_sequences(self, rng, size):
        """With a rate of next to nothing, an epoch of any batches has the loss of all at once."""
        x, y = self.data(rng)
        model = make(optimizer=SGD(1e-300))
        model.build(3, rng=2)
        expected = model.evaluate(x, y)
        history = model.fit(x, padded(y), batch_size=size, verbose=0, rng=3)
        assert history.history["loss"][0] == pytest.approx(expected, rel=1e-12)

    def test_all_weights_of_a_batch_zero(self, rng):
        x, y = self.data(rng)
        with pytest.warns(RuntimeWarning, match="no sequence has a weight above zero"):
            history = make().fit(x, y, batch_size=1, sample_weight=[0, 1, 0, 1, 1], verbose=0, rng=0)
        assert np.isfinite(history.batches).all() and (history.batches == 0).sum() >= 2
