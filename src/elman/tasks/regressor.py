"""Numbers for a whole sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, DataTypeError, say
from elman.tasks._sklearn import tags
from elman.tasks.estimator import EstimatorParams, PoolingMode, SequenceEstimator, Targets
from elman.tasks.inputs import Sequences
from elman.tasks.labels import as_column, refuse_missing
from elman.tasks.scaling import Scaler
from elman.tasks.weights import read_weights
from elman.training.callbacks import Callback
from elman.training.course import WatchWhat

__all__ = ["SequenceRegressor"]

Array = NDArray[Any]


class SequenceRegressorParams(EstimatorParams, kw_only=True):
    """The arguments of `SequenceRegressor`, with their bounds."""

    pooling: PoolingMode


class Numbers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was learned of the targets.

    Attributes:
        scaler: of the columns.
        flat: whether y was (n,), and answers are.
    """

    scaler: Scaler
    flat: bool


class SequenceRegressor(SequenceEstimator):
    """A recurrent network that gives a number, or several, for a sequence.

    Sequences come in any of the forms that `SequenceClassifier` takes. Numbers that come in and targets are scaled as
    the training data are spread; predictions are in the units of y.

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
        early_stopping: whether a part of the data says when to stop; the best epoch is kept.
        val_split: the share of that part.
        patience: how many epochs it may get no better.
        warm_start: whether `fit` goes on from what was learned before, scales included.
        id_column: for frames in long form, the column that says which series a row belongs to.
        time_column: the column that says when; it must rise within each series.
        random_state: seed of all that is drawn: the same seed gives the same model to the bit, for any number of
            threads.
        verbose: 0 is silent, 1 or "auto" shows progress, 2 prints a line per epoch.

    Attributes:
        n_features_in_: columns of a table, else features of a step; not there for text.
        feature_names_in_: names of the columns, if X was a frame.
        model_: the trained `Sequential`, which gives scaled numbers.
        history_: its `History`, with "loss", the squared error of scaled targets.
        training_: sizes and figures of the training.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = [rng.normal(size=(steps, 1)) for steps in rng.integers(3, 12, 60)]
        >>> y = [100 + 10 * x.sum() for x in X]
        >>> model = SequenceRegressor(hidden=16, epochs=60, random_state=0, verbose=0).fit(X, y)
        >>> model.predict(X).shape, model.score(X, y) > 0.9
        ((60,), True)
    """

    task: ClassVar[str] = "sequence_regressor"
    Params = SequenceRegressorParams
    Head = Numbers
    loss = "mse"

    def __init__(
        self,
        *,
        cell: str = "gru",
        layers: int = 1,
        hidden: int = 100,
        bidirectional: bool = True,
        pooling: str = "mean_max",
        dropout: float = 0.1,
        noise: float = 0.1,
        unit: str = "auto",
        embedding: int = 64,
        batch: int | None = None,
        epochs: int | None = None,
        lr: float = 3e-3,
        weight_decay: float = 1e-4,
        clip: float | None = 1.0,
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
        """Learn from sequences and their numbers.

        Args:
            X: sequences, see `SequenceClassifier`.
            y: (n,) or (n, k) numbers; for a frame in long form also the name of a column, or one number per row.
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

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Go through some data once more or for the first time, at a constant learning rate.

        Scales and vocabulary are those of the first call.

        Args:
            X: sequences.
            y: numbers.
            sample_weight: (n,), 0 or more.

        Raises:
            DataError, DataTypeError, UsageError: as `fit`.
        """
        return self._fit(X, y, where="partial_fit", sample_weight=sample_weight)

    def predict(self, X: Any) -> Array:
        """Give the number of every sequence.

        Args:
            X: sequences.

        Returns:
            (n,) or (n, k), as y was; float64.
        """
        return self._in_units(self._outputs(X, where="predict"))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Give R², the share of the variance that is explained: 1 is perfect, 0 is what the mean of y gives.

        Args:
            X: sequences.
            y: their numbers; of several columns the mean R² is given.
            sample_weight: (n,), 0 or more.
        """
        self._check_fitted("score")
        sequences = self._read(X, where="score", target=y)
        truth, _ = self._numbers(y, sequences, where="score")
        weights = read_weights(sample_weight, sequences, where="score")
        given = self._in_units(self._outputs_of(sequences, where="score")).reshape(len(truth), -1)
        if given.shape != truth.shape:
            expected = f"{given.shape[1]} for each sequence"
            raise DataError(say("score", "y does not fit this model", expected=expected, got=truth.shape[1]))
        errors = np.average((truth - given) ** 2, axis=0, weights=weights)
        spread = np.average((truth - np.average(truth, axis=0, weights=weights)) ** 2, axis=0, weights=weights)
        # As scikit-learn has it where y never changes: 1 for a perfect answer, else 0.
        ratio = np.divide(errors, spread, out=np.where(errors > 0, 1.0, 0.0), where=spread > 0)
        return float(np.mean(1 - ratio))

    def _in_units(self, outputs: Array) -> Array:
        numbers: Array = self._head.scaler.undo(outputs)
        return numbers[:, 0] if self._head.flat else numbers

    def _numbers(self, y: Any, sequences: Sequences, *, where: str) -> tuple[Array, bool]:
        """Check targets and give them as (B, K) float64, and whether they came as (B,)."""
        if sequences.groups is not None and y is not None:
            y = sequences.groups.per_series(y, where=where)
        column = as_column(y, where=where, who=type(self).__name__, warn=False)
        if column.ndim > 2:
            expected = "one number each, (n,), or several, (n, k)"
            raise DataError(say(where, "y has too many axes", expected=expected, got=f"shape {column.shape}"))
        if len(column) != len(sequences):
            wrong = "X and y differ in length"
            raise DataError(say(where, wrong, expected=f"{len(sequences)} targets", got=len(column)))
        refuse_missing(column, where=where)
        if column.dtype.kind not in "fiubO":
            cure = "For labels take SequenceClassifier"
            raise DataTypeError(say(where, "y holds no numbers", got=f"dtype {column.dtype}", cure=cure))
        try:
            with np.errstate(over="ignore"):
                numbers = column.astype(np.float64)
        except (ValueError, TypeError) as error:
            cure = "For labels take SequenceClassifier"
            raise DataTypeError(say(where, f"y holds what is no number ({error})", cure=cure)) from None
        refuse_missing(numbers, where=where)
        if np.abs(numbers).max() > np.finfo(np.float32).max:
            index = int(np.argmax(np.abs(numbers).reshape(len(numbers), -1).max(1)))
            got = f"{numbers[index].tolist()} at index {index}"
            raise DataError(say(where, "a number of y is too large for float32", expected="smaller numbers", got=got))
        return numbers.reshape(len(numbers), -1), numbers.ndim == 1

    def _read_targets(
        self, y: Any, sequences: Sequences, known: Any, *, classes: Any, sample_weight: Any, where: str
    ) -> Targets:
        numbers, flat = self._numbers(y, sequences, where=where)
        weights = read_weights(sample_weight, sequences, where=where)
        if known is None:
            learned = Scaler.learn(numbers if weights is None else numbers[weights > 0])
            head = Numbers(learned, flat)
        elif len(known.scaler.mean) != numbers.shape[1]:
            expected = f"{len(known.scaler.mean)} for each sequence"
            raise DataError(say(where, "y does not fit this model", expected=expected, got=numbers.shape[1]))
        else:
            head = known
        rows = np.ascontiguousarray(head.scaler.apply(numbers, where=where), np.float32)
        return Targets(head, rows, weights)

    def _n_outputs(self, head: Numbers) -> int:
        return len(head.scaler.mean)

    def __sklearn_tags__(self) -> Any:
        return tags("regressor", multi_output=True)
