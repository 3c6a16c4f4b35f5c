"""A label for every step of a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, DataTypeError, UsageError, say
from elman.ragged import Ragged
from elman.tasks._sklearn import tags
from elman.tasks.estimator import EstimatorParams, SequenceEstimator, Targets
from elman.tasks.frames import is_series
from elman.tasks.inputs import Sequences
from elman.tasks.labels import ClassWeight, Labels, check_labels, class_weights, softmax
from elman.tasks.weights import read_weights
from elman.training.callbacks import Callback
from elman.training.course import WatchWhat

__all__ = ["SequenceTagger"]

Array = NDArray[Any]


class SequenceTaggerParams(EstimatorParams):
    """The arguments of `SequenceTagger`, with their bounds."""


class SequenceTagger(SequenceEstimator):
    """A recurrent network that gives a label to every step of a sequence, such as the part of speech to every word.

    Sequences come in the forms that `SequenceClassifier` takes: lists of words, which are known by themselves and by
    their letters, beginnings and ends; strings, of which every character has a label; or numbers. A sequence may be
    empty.

    Args:
        cell: rnn, lstm or gru.
        layers: recurrent layers, one on top of the other.
        hidden: units of each layer, in each direction.
        bidirectional: whether sequences are read from both ends.
        dropout: share of the numbers that are dropped in training, between layers and before the last one.
        noise: standard deviation of the noise that is added to scaled numbers in training.
        unit: what a step of a text is; "auto" takes the words of lists of tokens, and characters of strings.
        embedding: numbers that stand for a character or a word.
        batch: sequences per update; None takes a tenth of them, from 8 to 32.
        epochs: how often to go through the data; None takes 1,100 / √n for n sequences, from 5 to 100.
        lr: greatest learning rate of AdamW, reached after 15 % of the steps and left again along a cosine.
        weight_decay: of AdamW.
        clip: greatest joint norm of the gradients; 0 leaves them alone.
        class_weight: class -> weight, or "balanced": as much for rare classes as for frequent ones.
        early_stopping: whether a part of the data says when to stop; the best epoch
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
        classes_: the labels (C,), sorted.
        n_features_in_: columns of a table, else features of a step; not there for text.
        feature_names_in_: names of the columns, if X was a frame.
        model_: the trained `Sequential`.
        history_: its `History`, with "loss" and "accuracy" over all steps.
        training_: sizes and figures of the training.

    Example:
        >>> X = [["a", "cat", "sat"], ["the", "dog", "ran"], ["a", "dog", "sat"]] * 10
        >>> y = [["DET", "NOUN", "VERB"]] * 30
        >>> model = SequenceTagger(hidden=16, epochs=10, random_state=0, verbose=0).fit(X, y)
        >>> model.predict([["the", "cat", "ran"], []])
        [array(['DET', 'NOUN', 'VERB'], dtype='<U4'), array([], dtype='<U4')]
    """

    task: ClassVar[str] = "sequence_tagger"
    Params = SequenceTaggerParams
    Head = Labels
    loss = "cross_entropy"
    metrics = ("accuracy",)
    per_step = True
    epochs_times_root = 1100

    classes_: Array

    def __init__(
        self,
        *,
        cell: str = "lstm",
        layers: int = 2,
        hidden: int = 200,
        bidirectional: bool = True,
        dropout: float = 0.5,
        noise: float = 0.1,
        unit: str = "auto",
        embedding: int = 100,
        batch: int | None = None,
        epochs: int | None = None,
        lr: float = 5e-3,
        weight_decay: float = 1e-2,
        clip: float | None = 5.0,
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
        """Learn from sequences and the labels of their steps.

        Args:
            X: sequences, see the class.
            y: a list with the labels of each sequence, one per step (for strings also a string of as many characters);
                an array (n, steps); for a frame in long form also the name of a column, or one label per row.
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

        Scales, vocabulary and labels are those of the first call.

        Args:
            X: sequences.
            y: labels of their steps.
            classes: all labels there will ever be; needed at the first call.
            sample_weight: (n,), 0 or more.

        Raises:
            DataError, DataTypeError, UsageError: as `fit`.
        """
        if classes is None and not hasattr(self, "model_"):
            wrong = "classes must be passed on the first call to partial_fit"
            raise UsageError(say("partial_fit", wrong, cure="Pass classes=np.unique(all_labels)"))
        return self._fit(X, y, where="partial_fit", sample_weight=sample_weight, classes=classes)

    def predict_proba(self, X: Any) -> Any:
        """Give the probability of every label at every step.

        Args:
            X: sequences.

        Returns:
            A list of (steps, C), in the order of `classes_`; an array (n, steps, C) where X was an array.
        """
        return self._per_step(X, softmax, where="predict_proba")

    def predict(self, X: Any) -> Any:
        """Give the most probable label of every step.

        Args:
            X: sequences.

        Returns:
            A list of (steps,) labels; an array (n, steps) where X was an array.
        """
        return self._per_step(X, lambda rows: self.classes_[rows.argmax(1)], where="predict")

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Give the share of steps whose label is predicted; a label that is no class counts as wrong.

        Args:
            X: sequences.
            y: labels of their steps.
            sample_weight: (n,) of the sequences, 0 or more.
        """
        self._check_fitted("score")
        sequences = self._read(X, where="score", target=y)
        labels = self._labels(y, sequences, where="score")
        weights = read_weights(sample_weight, sequences, where="score")
        outputs = self._outputs_of(sequences, where="score")
        right = self._head.numbers(labels) == outputs.values.argmax(1)
        return float(np.average(right, weights=None if weights is None else np.repeat(weights, outputs.lengths)))

    def _per_step(self, X: Any, answer: Any, *, where: str) -> Any:
        self._check_fitted(where)
        sequences = self._read(X, where=where)
        outputs = self._outputs_of(sequences, where=where)
        rows = answer(outputs.values)
        parts = np.split(rows, outputs.offsets[1:-1])
        return np.stack(parts) if sequences.dense else parts

    def _labels(self, y: Any, sequences: Sequences, *, where: str) -> Array:
        """Check the labels of all steps and give them one after another, (N,)."""
        if y is None:
            wrong = f"this {type(self).__name__} requires y to be passed, but the target y is None"
            raise DataError(say(where, wrong))
        if sequences.groups is not None and (isinstance(y, str) or len(y) == len(sequences.groups.order)):
            y = sequences.groups.per_step(y, where=where)
        if isinstance(y, Ragged):
            y = y.split()
        if is_series(y):
            y = y.to_numpy()
        if isinstance(y, str) or not hasattr(y, "__len__"):
            got = type(y).__name__
            raise DataTypeError(say(where, "y is no list", expected="one list of labels per sequence", got=got))
        if len(y) != len(sequences):
            wrong = "X and y differ in length"
            raise DataError(say(where, wrong, expected=f"{len(sequences)} lists of labels", got=len(y)))
        parts: list[Array] = []
        for index, (labels, steps) in enumerate(zip(y, sequences.lengths.tolist(), strict=True)):
            part = np.array(list(labels)) if isinstance(labels, str) else np.asarray(labels)
            if part.ndim != 1:
                expected = f"{steps} labels"
                raise DataError(say(where, f"y[{index}] is no list of labels", expected=expected, got=part.shape))
            if len(part) != steps:
                wrong = f"X[{index}] and y[{index}] differ in length"
                raise DataError(say(where, wrong, expected=f"{steps} labels", got=len(part)))
            if steps:
                parts.append(part)
        if not parts:
            raise DataError(say(where, "all sequences are empty", expected="at least one step"))
        kinds = {"number" if part.dtype.kind in "iuf" else part.dtype.kind for part in parts}
        if len(kinds) > 1:  # NumPy would write numbers as text
            parts = [part.astype(object) for part in parts]
        return check_labels(np.concatenate(parts), where=where)

    def _read_targets(
        self, y: Any, sequences: Sequences, known: Any, *, classes: Any, sample_weight: Any, where: str
    ) -> Targets:
        labels = self._labels(y, sequences, where=where)
        weights = read_weights(sample_weight, sequences, where=where)
        head: Labels = known or Labels.learn(
            labels if classes is None else check_labels(np.asarray(classes), where=where)
        )
        numbers = head.require(labels, where=where)
        lengths = sequences.lengths
        counted = numbers if weights is None else numbers[np.repeat(weights > 0, lengths)]
        per_class = class_weights(self.class_weight, head, counted, where=where)
        return Targets(head, Ragged.trusted(numbers, lengths), weights, per_class)

    def _n_outputs(self, head: Labels) -> int:
        return len(head.values)

    def _keep(self, head: Labels) -> None:
        super()._keep(head)
        self.classes_ = head.array

    def __sklearn_tags__(self) -> Any:
        return tags(None)
