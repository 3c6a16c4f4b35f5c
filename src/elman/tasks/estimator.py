"""What classifier, regressor and tagger share: from data in any form to a trained network."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from elman import files
from elman.engines.native import Engine
from elman.errors import DataError, ModelFileError, UsageError, say
from elman.files.plain import refusal
from elman.layers import Dense, Dropout, Embedding, GaussianNoise, Layer, Pooling
from elman.model import Sequential
from elman.model.data import at_once
from elman.model.memory import check_memory
from elman.ragged import Ragged
from elman.tasks._sklearn import not_fitted_error
from elman.tasks.base import Task, TaskParams
from elman.tasks.figures import Figures
from elman.tasks.forms import Characters, Encoded, InputForm, Numbers, Unit, encode, learn_form
from elman.tasks.inputs import Sequences, as_sequences
from elman.tasks.lexicon import Lexicon, WordBatches, split_words
from elman.tasks.network import NetworkData, choose, without_first
from elman.tasks.recurrent_stack import recurrent_stack
from elman.tasks.word_encoder import WordEncoder
from elman.training import progress
from elman.training.batches import SequenceBatches
from elman.training.callbacks import Callback, EarlyStopping
from elman.training.course import Course, WatchWhat
from elman.training.history import History
from elman.training.optimizers import AdamW
from elman.training.schedules import OneCycle
from elman.training.seeds import spawn

__all__ = ["EstimatorParams", "PoolingMode", "SequenceEstimator", "Targets", "auto_batch"]

Array = NDArray[Any]

_Size = Annotated[int, msgspec.Meta(ge=1, le=65_536)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=2**31)]
PoolingMode = Literal["mean_max", "mean", "max", "last"]
_Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]


class EstimatorParams(TaskParams, kw_only=True):
    """The arguments that all three have, with their bounds."""

    cell: str
    layers: Annotated[int, msgspec.Meta(ge=1, le=64)]
    hidden: _Size
    bidirectional: bool
    dropout: _Share
    noise: Annotated[float, msgspec.Meta(ge=0, le=1e6)]
    unit: Unit
    embedding: _Size
    batch: _Count | None
    epochs: _Count | None
    lr: Annotated[float, msgspec.Meta(gt=0)]
    weight_decay: Annotated[float, msgspec.Meta(ge=0, le=1e6)]
    clip: Annotated[float, msgspec.Meta(ge=0)] | None
    early_stopping: bool
    val_split: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    patience: _Count
    warm_start: bool
    id_column: str | None
    time_column: str | None
    random_state: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None


class Targets(NamedTuple):
    """What is learned of the targets, and what training is given.

    Attributes:
        head: what turns outputs into answers; stands in the file.
        rows: (B, …), or a Ragged of one per step.
        weights: (B,) of the sequences, or None.
        class_weights: (C,), or None.
        strata: (B,) classes to be kept in proportion where data is split, or None.
    """

    head: Any
    rows: Any
    weights: Array | None = None
    class_weights: Array | None = None
    strata: Array | None = None


class SequenceEstimator(Task):
    """Base of the estimators; see `SequenceClassifier`.

    A subclass says what it makes of targets (`_read_targets`), how many outputs they need, and what outputs mean.
    """

    Params: ClassVar[type[EstimatorParams]]
    Head: ClassVar[Any]  #: the kind of `Targets.head`
    loss: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]] = ()
    per_step: ClassVar[bool] = False
    epochs_times_root: ClassVar[int] = 657  #: epochs · √sequences, where the user does not say how many

    # The constructor's arguments; each subclass has its own defaults.
    warm_start: bool
    id_column: str | None
    time_column: str | None
    random_state: Any
    verbose: Any

    n_features_in_: int
    feature_names_in_: Array
    _form: InputForm
    _head: Any

    # --- what subclasses say ------------------------------------------------------------------------------------------

    def _read_targets(
        self, y: Any, sequences: Sequences, known: Any, *, classes: Any, sample_weight: Any, where: str
    ) -> Targets:
        """Check targets and turn them into what is learned."""
        raise NotImplementedError

    def _n_outputs(self, head: Any) -> int:
        """Give the outputs that the last layer needs."""
        raise NotImplementedError

    def _keep(self, head: Any) -> None:
        """Keep what was learned of the targets, under the names that users know."""
        self._head = head

    # --- training -----------------------------------------------------------------------------------------------------

    def _fit(
        self,
        X: Any,
        y: Any,
        *,
        where: str,
        sample_weight: Any = None,
        classes: Any = None,
        callbacks: Sequence[Callback] = (),
        watch: WatchWhat | None = None,
    ) -> Self:
        """Train, anew or on from what there is; nothing is changed before all is checked."""
        params = self._checked_params()
        Course(verbose=self.verbose, watch=watch)  # refused before anything is changed
        partial = where == "partial_fit"
        again = (partial or params.warm_start) and hasattr(self, "model_")
        if partial and params.early_stopping:
            wrong = "early_stopping keeps data back, and partial_fit is to learn from all of it"
            raise UsageError(say(where, wrong, cure="Set early_stopping=False"))
        sequences = self._read(X, where=where, target=y)
        targets = self._read_targets(
            y, sequences, self._head if again else None, classes=classes, sample_weight=sample_weight, where=where
        )
        rounds = int(self.training_.get("rounds", 0)) if again else 0
        entropy = self._entropy()
        seeds_of = np.random.SeedSequence(entropy if entropy is None or rounds == 0 else [entropy, rounds])
        seeds = spawn(seeds_of)
        train, held_out = self._split(targets, params, np.random.default_rng(seeds_of.spawn(1)[0]), where)
        part = sequences.select(train)
        form = self._form if again else learn_form(part, params.unit, per_step=self.per_step, where=where)
        checked = encode(form, sequences, **self._words(where))  # all of it, so that messages count as the user does
        model = self.model_ if again else self._make(form, targets.head)
        batches = self._batches(checked, targets, train, params, shuffle=seeds.shuffle)
        validation = None
        if held_out is not None:
            validation = self._batches(checked, targets._replace(class_weights=None), held_out, params, shuffle=None)
        self._check_memory(model, checked, batches, params)
        epochs = 1 if partial else params.epochs or self._auto_epochs(len(train))
        # A run that is to be gone on from by small steps has no end to slow down towards.
        total = epochs * len(batches)
        rate = params.lr if partial or total < 2 else OneCycle(params.lr, total_steps=total, pct_start=0.15)
        if not (partial and again and model.optimizer is not None and model.optimizer.schedule is None):
            optimizer = AdamW(rate, weight_decay=params.weight_decay)
            model.compile(optimizer, self.loss, list(self.metrics), clip=params.clip or None)
        if not model.built:
            model.build(self._input_size(form), ids=not isinstance(form, Numbers), rng=seeds.init)
        if not again:
            self._form, self.model_, self.history_ = form, model, History()
            self._keep(targets.head)
            self._keep_features(sequences)
        self.training_ = {
            "sequences": len(train),
            "steps": int(checked.x.lengths[train].sum()),
            "validation": 0 if held_out is None else len(held_out),
            "batch": batches_of(batches).batch_size,
            "epochs": self.training_.get("epochs", 0) if again else 0,
            "rounds": rounds + 1,
        }
        stopping = [EarlyStopping(patience=params.patience)] if params.early_stopping else []
        model.fit_batches(
            batches,
            validation=validation,
            rng=seeds.dropout,
            epochs=epochs,
            callbacks=[*stopping, Figures(self.training_), *callbacks],
            verbose=self.verbose,
            history=self.history_,
            watch=watch,
        )
        return self

    def _read(self, X: Any, *, where: str, target: Any = None) -> Sequences:
        read = as_sequences(X, where=where, id_column=self.id_column, time_column=self.time_column, target=target)
        if len(read) == 0:
            raise DataError(say(where, "X has 0 samples", expected="at least 1"))
        return read

    def _words(self, where: str) -> dict[str, Any]:
        return {"who": type(self).__name__, "where": where, "needs_steps": not self.per_step}

    def _entropy(self) -> int | None:
        """Give the seed as a number; of a generator, one that is drawn from it."""
        state = self.random_state
        if isinstance(state, np.random.RandomState):
            return int(state.randint(2**31 - 1))
        if isinstance(state, np.random.Generator):
            return int(state.integers(2**63 - 1))
        if state is None:
            return None
        spawn(state, where="random_state")  # says what is accepted
        return operator.index(state)

    def _split(
        self, targets: Targets, params: EstimatorParams, rng: np.random.Generator, where: str
    ) -> tuple[Array, Array | None]:
        """Choose the sequences to train on, and those to stop by; a weight of zero is no part of either."""
        rows = np.arange(len(targets.rows))
        if targets.weights is not None:
            rows = rows[targets.weights > 0]
        if not params.early_stopping:
            return rows, None
        strata = np.zeros(len(rows), np.int64) if targets.strata is None else targets.strata[rows]
        chosen: list[Array] = []
        for stratum in np.unique(strata):
            members = rng.permutation(rows[strata == stratum])
            # Half a sequence is rounded up, but no class is held out whole.
            chosen.append(members[: min(math.floor(params.val_split * len(members) + 0.5), len(members) - 1)])
        held_out = np.sort(np.concatenate(chosen))
        if not len(held_out):
            wrong = f"early_stopping finds nothing to hold out of {len(rows)} sequences"
            cure = "Raise val_split, or set early_stopping=False"
            raise DataError(say(where, wrong, got=f"val_split={params.val_split:g}", cure=cure))
        return np.setdiff1d(rows, held_out), held_out

    def _auto_epochs(self, n_sequences: int) -> int:
        """Fall with the root of the number of sequences, from 100 to 5."""
        return min(max(round(self.epochs_times_root / math.sqrt(n_sequences)), 5), 100)

    def _batches(
        self,
        encoded: Encoded,
        targets: Targets,
        rows: Array,
        params: EstimatorParams,
        *,
        shuffle: np.random.Generator | None,
    ) -> Any:
        x = encoded.x.select(rows)
        target = targets.rows.select(rows).values if self.per_step else targets.rows[rows]
        weights = None
        if targets.weights is not None:
            weights = targets.weights[rows]
            weights = np.repeat(weights, x.lengths) if self.per_step else weights
        if targets.class_weights is not None:
            weights = targets.class_weights[target] * (1.0 if weights is None else weights)
        cut = SequenceBatches(
            x,
            target,
            weights,
            batch_size=(params.batch or auto_batch(len(rows))) if shuffle is not None else at_once(x),
            per_step=self.per_step,
            shuffle=shuffle,
            bucket_by_length=self.per_step and shuffle is not None,
        )
        return cut if encoded.forms is None else WordBatches(cut, encoded.forms)

    def _check_memory(self, model: Sequential, encoded: Encoded, batches: Any, params: EstimatorParams) -> None:
        check_memory(
            model.layers,
            input_size=self._input_size_of(model),
            lengths=encoded.x.lengths,
            batch_size=batches_of(batches).most_sequences,
            itemsize=model.dtype.itemsize,
            quiet=self.verbose == 0,
            cure="Take a smaller batch or hidden, or cut the sequences into shorter ones",
        )

    # --- the network --------------------------------------------------------------------------------------------------

    def _make(self, form: InputForm, head: Any) -> Sequential:
        """Give the network for such input and targets, compiled and without weights."""
        params, who = self._checked_params(), type(self).__name__
        first: list[Layer]
        if isinstance(form, Numbers):
            first = [GaussianNoise(params.noise)] if params.noise else []
        else:
            embedding: Layer = (
                WordEncoder(form, params.embedding)
                if isinstance(form, Lexicon)
                else Embedding(len(form.symbols) + 1, params.embedding)
            )
            first = [embedding, Dropout(params.dropout)] if params.dropout else [embedding]
        pooling = getattr(params, "pooling", "last")  # a tagger has none
        pooled = pooling != "last"
        recurrent = recurrent_stack(
            params.cell,
            params.hidden,
            layers=params.layers,
            bidirectional=params.bidirectional,
            dropout=params.dropout,
            return_sequences=pooled or self.per_step,
            where=who,
        )
        last: list[Layer] = [Pooling(pooling)] if pooled else []
        last += [Dropout(params.dropout)] if params.dropout else []
        model = Sequential([*first, *recurrent, *last, Dense(self._n_outputs(head))])
        optimizer = AdamW(params.lr, weight_decay=params.weight_decay)
        model.compile(optimizer, self.loss, list(self.metrics), clip=params.clip or None)
        model.input_size, model.ids = self._input_size(form), not isinstance(form, Numbers)
        return model

    def _input_size(self, form: InputForm) -> int:
        if isinstance(form, Numbers):
            return form.features
        return len(form.symbols) + 1 if isinstance(form, Characters) else form.sizes["words"]

    def _input_size_of(self, model: Sequential) -> int:
        assert model.input_size is not None, "_make says it"
        return model.input_size

    def _outputs(self, X: Any, *, where: str) -> Any:
        """Give what the network says: (B, K) rows, or a Ragged with values (N, K)."""
        self._check_fitted(where)
        return self._outputs_of(self._read(X, where=where), where=where)

    def _outputs_of(self, sequences: Sequences, *, where: str) -> Any:
        """Give what the network says about sequences that were read."""
        encoded = encode(self._form, sequences, **self._words(where))
        engine = Engine(self.model_.layers, self.model_.parameters)
        size, outs = at_once(encoded.x), []
        starts = range(0, len(encoded.x), size)
        for start in progress.watch(starts, total=len(starts), what=where, verbose=self.verbose):
            part: Any = encoded.x[start : start + size]
            if encoded.forms is not None:
                part = encoded.forms.batch(part)
            out, _ = engine.forward(part)
            outs.append(out.values if isinstance(out, Ragged) else out)
        rows = np.concatenate(outs)
        if not np.isfinite(rows).all():
            raise DataError(say(where, "the network gives numbers that are not finite for this X"))
        return encoded.x.with_values(rows) if self.per_step else rows

    def to_network(self, X: Any = None, y: Any = None, *, steps: int | None = None) -> NetworkData:
        """Give the network itself, and sequences as it takes them.

        Words are given as the numbers that stand for them: the network is the one without its first layer then.

        Args:
            X: sequences.
            y: their targets, or None.
            steps: take only some sequences, spread evenly, which have about so many steps.

        Raises:
            NotFittedError: before `fit`.
            DataError, DataTypeError: if the data does not fit.
        """
        self._check_fitted("to_network")
        sequences = self._read(X, where="to_network", target=y)
        chosen = choose(sequences.lengths, steps)
        if not len(chosen):
            raise DataError(say("to_network", "all sequences are empty", expected="at least one step"))
        rows = None
        if y is not None:
            rows = self._read_targets(
                y, sequences, self._head, classes=None, sample_weight=None, where="to_network"
            ).rows
            rows = rows.select(chosen) if isinstance(rows, Ragged) else rows[chosen]
        some = sequences.select(chosen)
        encoded = encode(self._form, some, **self._words("to_network"))
        names = None if some.kind == "numbers" else _names_of_steps(self._form, some.parts)
        outputs = [str(value) for value in self._head.values] if hasattr(self._head, "values") else None
        total, count = len(sequences), len(chosen)
        sample = f"{count:,} of {total:,} sequences" if count < total else f"{total:,} sequence{'s' * (total > 1)}"
        if encoded.forms is None:
            return NetworkData(self.model_, encoded.x, rows, names, outputs, sample)
        first, batch = self.model_.layers[0], encoded.forms.batch(encoded.x)
        vectors: Any = first.forward(batch, tape=False)[0]
        remark = (
            f"A word stands for its {vectors.features:,} numbers, of itself and of its spelling; what reads the "
            "spelling is not looked into."
        )
        return NetworkData(without_first(self.model_), vectors, rows, names, outputs, sample, remark)

    # --- scikit-learn's conventions, and the file ---------------------------------------------------------------------

    def _keep_features(self, sequences: Sequences) -> None:
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
        if sequences.n_features is not None:
            self.n_features_in_ = sequences.n_features
        if sequences.kind == "numbers" and sequences.names is not None:
            self.feature_names_in_ = np.array(sequences.names, object)

    def _check_fitted(self, where: str) -> None:
        if not hasattr(self, "model_"):
            who = f"{type(self).__name__}.{where}"
            raise not_fitted_error()(say(who, "it is not fitted yet", cure="Call fit first"))

    def _checked_params(self) -> Any:
        if isinstance(self.random_state, np.random.RandomState | np.random.Generator):
            return type(self)(**self.get_params() | {"random_state": None})._checked_params()
        return super()._checked_params()

    def _vocabulary(self) -> dict[str, Any]:
        described: dict[str, Any] = msgspec.to_builtins({"input": self._form, "target": self._head})
        return described

    def _new_model(self, vocabulary: dict[str, Any] | None) -> Sequential:
        return self._make(*self._described(vocabulary))

    def _described(self, vocabulary: Any) -> tuple[InputForm, Any]:
        """Read back what `_vocabulary` gave."""
        if not isinstance(vocabulary, dict) or vocabulary.keys() != {"input", "target"}:
            raise ModelFileError(say("vocabulary", "unknown form", expected="input and target"))
        try:
            form: InputForm = msgspec.convert(vocabulary["input"], InputForm)
            return form, msgspec.convert(vocabulary["target"], self.Head)
        except (msgspec.ValidationError, DataError) as error:
            told = refusal(error).sentence if isinstance(error, msgspec.ValidationError) else str(error)
            raise ModelFileError(say("vocabulary", told)) from None

    @classmethod
    def from_file(cls, header: files.Header, *, allow_nonfinite: bool = False) -> Self:
        """Rebuild a fitted estimator from an open model file.

        Args:
            header: from `files.open_model`, of this task.
            allow_nonfinite: accept weights that are NaN or infinite.

        Raises:
            ModelFileError: if what it holds does not fit.
        """
        task = super().from_file(header, allow_nonfinite=allow_nonfinite)
        task._form, head = task._described(header.meta.vocabulary)
        task._keep(head)
        if isinstance(task._form, Numbers):
            task.n_features_in_ = task._form.width or task._form.features
            if task._form.names is not None:
                task.feature_names_in_ = np.array(task._form.names, object)
        return task


def _names_of_steps(form: InputForm, parts: Sequence[Any]) -> list[str]:
    """Give the characters or words of texts, one after another."""
    if isinstance(form, Lexicon):
        return [word for part in parts for word in (split_words(part) if isinstance(part, str) else part)]
    return [letter for part in parts for letter in part]


def batches_of(batches: Any) -> SequenceBatches:
    """Give the batches of sequences that batches of words are made from."""
    return batches.batches if isinstance(batches, WordBatches) else batches


def auto_batch(n_sequences: int) -> int:
    """Take about a tenth of few sequences, 32 of many: few still make enough steps, many fill the processor.

    Args:
        n_sequences: that are trained on.
    """
    return min(max(n_sequences // 10, 8), 32)
