"""One label for a whole sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, UsageError, say
from elman.tasks._sklearn import tags
from elman.tasks.estimator import EstimatorParams, PoolingMode, SequenceEstimator, Targets
from elman.tasks.inputs import Sequences
from elman.tasks.labels import ClassWeight, Labels, as_column, check_labels, class_weights, softmax
from elman.tasks.weights import read_weights
from elman.training.callbacks import Callback
from elman.training.course import WatchWhat

__all__ = ["SequenceClassifier"]

Array = NDArray[Any]


class SequenceClassifierParams(EstimatorParams, kw_only=True):
    """The arguments of `SequenceClassifier`, with their bounds."""

    pooling: PoolingMode


class SequenceClassifier(SequenceEstimator):
    """A recurrent network that says what a sequence is.

    Sequences may be a list of arrays (steps, features) of any lengths, an array (n, steps, features), a `Ragged`, a
    table (n, steps) whose rows are series of one channel, a list of strings, a list of lists of tokens, or a frame of
    pandas or polars: a table, or in long form with `id_column`. Numbers are scaled, channel by channel, as the training
    data are spread.

    Args:
        cell: rnn, lstm or gru.
        layers: recurrent layers, one on top of the other.
        hidden: units of each layer, in each direction.
        bidirectional: whether sequences are read from both ends.
        pooling: what is made of all steps: "mean_max", "mean", "max" or "last".
        dropout: share of the numbers that are dropped in training, between layers and before the last one.
        noise: standard deviation of the noise that is added to scaled numbers in training.
        unit: what a step of a text is: "characters", "words" (with their spelling) or "auto", which takes words
            where most texts have white space.
        embedding: numbers that stand for a character or a word.
        batch: sequences per update; None takes a tenth of them, from 8 to 32.
        epochs: how often to go through the data; None takes 657 / √n for n sequences, from 5 to 100.
        lr: greatest learning rate of AdamW, reached after 15 % of the steps and left again along a cosine.
        weight_decay: of AdamW.
        clip: greatest joint norm of the gradients; 0 leaves them alone.
        class_weight: class -> weight, or "balanced": as much for rare classes as for frequent ones.
        early_stopping: whether a part of the data, with all classes in proportion, says when to stop; the best epoch
            is kept.
        val_split: the share of that part.
        patience: how many epochs it may get no better.
        warm_start: whether `fit` goes on from what was learned before, classes and scales included.
        id_column: for frames in long form, the column that says which series a row belongs to.
        time_column: the column that says when; it must rise within each series.
        random_state: seed of all that is drawn: the same seed gives the same model to the bit, for any number of
            threads.
        verbose: 0 is silent, 1 or "auto" shows progress, 2 prints a line per epoch.

    Attributes:
        classes_: the classes (C,), sorted.
        n_features_in_: columns of a table, else features of a step; not there for text.
        feature_names_in_: names of the columns, if X was a frame.
        model_: the trained `Sequential`.
        history_: its `History`, with "loss" and "accuracy".
        training_: sizes and figures of the training.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = [rng.normal(size=(steps, 2)) for steps in rng.integers(3, 12, 60)]
        >>> y = ["up" if x[:, 0].mean() > 0 else "down" for x in X]
        >>> model = SequenceClassifier(hidden=16, epochs=30, random_state=0, verbose=0).fit(X, y)
        >>> model.predict(X[:3]).tolist() == y[:3], model.score(X, y) > 0.9
        (True, True)
    """

    task: ClassVar[str] = "sequence_classifier"
    Params = SequenceClassifierParams
    Head = Labels
    loss = "cross_entropy"
    metrics = ("accuracy",)

    classes_: Array

    def __init__(
        self,
        *,
        cell: str = "gru",
        layers: int = 1,
        hidden: int = 100,
        bidirectional: bool = True,
        pooling: str = "mean_max",
        dropout: float = 0.5,
        noise: float = 0.3,
        unit: str = "auto",
        embedding: int = 64,
        batch: int | None = None,
        epochs: int | None = None,
        lr: float = 3e-3,
        weight_decay: float = 1e-4,
        clip: float | None = 1.0,
        class_weight: ClassWeight = None,
        early_stopping: bool = False,
        val_split: float = 0.1,
        patience: int = 10,
        warm_start: bool = False,
        id_column: str | None = None,
        time_column: str | None = None,
        random_state: int | None = None,
        verbose: str | int = "auto",
    ) -> None:
        self.cell = cell
        self.layers = layers
        self.hidden = hidden
        self.bidirectional = bidirectional
        self.pooling = pooling
        self.dropout = dropout
        self.noise = noise
        self.unit = unit
        self.embedding = embedding
        self.batch = batch
        self.epochs = epochs
        self.lr = lr
        self.weight_decay = weight_decay
        self.clip = clip
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.val_split = val_split
        self.patience = patience
        self.warm_start = warm_start
        self.id_column = id_column
        self.time_column = time_column
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        callbacks: Sequence[Callback] = (),
        watch: WatchWhat | None = None,
    ) -> Self:
        """Learn from sequences and their labels.

        Args:
            X: sequences, see the class.
            y: (n,) labels, str, int or bool; for a frame in long form also the name of a column, or one label per row.
            sample_weight: (n,) how much each sequence counts, 0 or more.
            callbacks: hear of batches, epochs and interruptions; the model can be saved from any of them.
            watch: "gradients" shows their norms and warns when they vanish or explode; see `Sequential.fit`.

        Raises:
            DataError: if the data cannot be used; the message says where.
            DataTypeError: if it is of a kind that is never accepted.
            UsageError: if an argument is out of range.
            ResourceError: if a batch needs more memory than the machine has.
            DivergedError: if the loss becomes infinite or NaN; the model is as it was after the last finite epoch.
        """
        return self._fit(X, y, where="fit", sample_weight=sample_weight, callbacks=callbacks, watch=watch)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Go through some data once more or for the first time, at a constant learning rate.

        Scales, vocabulary and classes are those of the first call.

        Args:
            X: sequences.
            y: labels.
            classes: all classes there will ever be; needed at the first call.
            sample_weight: (n,), 0 or more.

        Raises:
            DataError, DataTypeError, UsageError: as `fit`.
        """
        if classes is None and not hasattr(self, "model_"):
            wrong = "classes must be passed on the first call to partial_fit"
            raise UsageError(say("partial_fit", wrong, cure="Pass classes=np.unique(all_labels)"))
        return self._fit(X, y, where="partial_fit", sample_weight=sample_weight, classes=classes)

    def decision_function(self, X: Any) -> Array:
        """Give the scores of the classes before they are made probabilities.

        Args:
            X: sequences.

        Returns:
            (n, C); for two classes (n,), how much more the second has than the first.
        """
        scores = np.asarray(self._outputs(X, where="decision_function"), np.float64)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict_proba(self, X: Any) -> Array:
        """Give the probability of every class.

        Args:
            X: sequences.

        Returns:
            (n, C) in the order of `classes_`; rows sum to 1.
        """
        return softmax(self._outputs(X, where="predict_proba"))

    def predict(self, X: Any) -> Array:
        """Give the most probable label of every sequence.

        Args:
            X: sequences.

        Returns:
            (n,) labels.
        """
        best = self._outputs(X, where="predict").argmax(1)
        labels: Array = self.classes_[best]
        return labels

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Give the share of sequences whose label is predicted; a label that is no class counts as wrong.

        Args:
            X: sequences.
            y: their labels.
            sample_weight: (n,), 0 or more.
        """
        self._check_fitted("score")
        sequences = self._read(X, where="score", target=y)
        labels = self._labels(y, sequences, where="score")
        weights = read_weights(sample_weight, sequences, where="score")
        right = self._head.numbers(labels) == self._outputs_of(sequences, where="score").argmax(1)
        return float(np.average(right, weights=weights))

    def _labels(self, y: Any, sequences: Sequences, *, where: str) -> Array:
        if sequences.groups is not None and y is not None:
            y = sequences.groups.per_series(y, where=where)
        labels = as_column(y, where=where, who=type(self).__name__, warn=True)
        if len(labels) != len(sequences):
            wrong = "X and y differ in length"
            raise DataError(say(where, wrong, expected=f"{len(sequences)} labels", got=len(labels)))
        return check_labels(labels, where=where)

    def _read_targets(
        self, y: Any, sequences: Sequences, known: Any, *, classes: Any, sample_weight: Any, where: str
    ) -> Targets:
        labels = self._labels(y, sequences, where=where)
        weights = read_weights(sample_weight, sequences, where=where)
        head: Labels = known or Labels.learn(
            labels if classes is None else check_labels(np.asarray(classes), where=where)
        )
        numbers = head.require(labels, where=where)
        counted = numbers if weights is None else numbers[weights > 0]
        per_class = class_weights(self.class_weight, head, counted, where=where)
        return Targets(head, numbers, weights, per_class, numbers)

    def _n_outputs(self, head: Labels) -> int:
        return len(head.values)

    def _keep(self, head: Labels) -> None:
        super()._keep(head)
        self.classes_ = head.array

    def __sklearn_tags__(self) -> Any:
        return tags("classifier")
