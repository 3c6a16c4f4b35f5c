"""Language models: what comes next, in any script."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from elman import files
from elman.errors import DataError, ModelFileError, UsageError, say
from elman.model import Sequential
from elman.model.budget import Budget
from elman.model.memory import check_memory
from elman.ragged import Ragged
from elman.tasks.corpus import Corpus, Texts, as_corpus
from elman.tasks.figures import Figures
from elman.tasks.known_units import UNITS, as_units, stored_units
from elman.tasks.language_network import LanguageModelParams, compile_network, network, rate_over
from elman.tasks.network import NetworkData
from elman.tasks.presets import FILLED, PRESETS, filled
from elman.tasks.text_answers import SCORE_STEPS, TextAnswers
from elman.tasks.units import Units
from elman.training.callbacks import Callback
from elman.training.course import Course, WatchWhat
from elman.training.history import History
from elman.training.seeds import spawn
from elman.training.streams import StreamBatches

__all__ = ["LanguageModel"]


class LanguageModel(TextAnswers):
    """A recurrent network that predicts how a text goes on: by characters, bytes, words or tokens.

    Characters are code points. The text is cut into `batch` parallel streams; each step of training sees `steps`
    units of every stream and goes on from the state where the step before ended (truncated backpropagation through
    time, Williams & Peng 1990). Every epoch begins at another place of the text, chosen at random, so that streams and
    steps have other borders each time. Arguments that are None are those of the preset, for a text of this size.

    Args:
        preset: quick or best; the settings of all arguments that are not given. On a million characters and two
            processors quick takes some minutes, best three times as long.
        units: what is predicted: characters, bytes (of UTF-8), words, or the JSON file of a tokenizer of the library
            `tokenizers`; a vocabulary of `elman.tasks` will do, too. The model file keeps all that is needed.
        cell: rnn, lstm or gru.
        layers: recurrent layers, one on top of the other.
        hidden: units of each layer.
        embedding: numbers that stand for a character, byte, word or token; 0 feeds the first recurrent layer one-hot.
        tie_weights: whether the last layer has the weights of the embedding (Press & Wolf 2017); where embedding and
            hidden differ, a layer between them makes `embedding` numbers of `hidden`.
        dropout: share of the numbers that are dropped behind every recurrent layer in training.
        batch: parallel streams; fewer if the text is short.
        steps: units between two updates, through which gradients flow.
        epochs: how often to go through the text.
        lr: learning rate of AdamW, at its greatest.
        warmup: share of the updates in which the learning rate rises from a tenth.
        schedule: what the learning rate does then: cosine lets it fall to 0, constant holds it.
        weight_decay: of AdamW.
        beta_1: of AdamW.
        beta_2: of AdamW.
        clip: greatest joint norm of the gradients; 0 leaves them alone.
        gradient_noise: variance of noise on the gradients of the first update, falling from there (Neelakantan et al.
            2015).
        val_split: the share of the text, at its end, that is kept for validation.
        precision: what matrix products are made in, float32 or bfloat16: faster where the processor multiplies it.
        memory_budget: greatest memory of a step of training beside text and weights, such as 1GiB; many steps are run
            in segments then, with the same gradients and about a third more time.
        random_state: seed of first weights, dropout and places to begin.
        verbose: 0 is silent, 1 or "auto" shows progress, 2 prints a line per epoch.

    Attributes:
        vocabulary_: of all the text given to `fit`: a `Vocabulary`, `ByteVocabulary`, `WordVocabulary` or
            `TokenVocabulary`.
        settings_: all arguments as they were used, those of the preset included.
        model_: the trained `Sequential`; it gives logits (N, V).
        history_: `History` with "loss", "val_loss" in nats per unit, and "learning_rate". The loss is that of training,
            with dropout.
        training_: sizes and figures of the training.

    Example:
        >>> model = LanguageModel(layers=1, hidden=16, batch=4, epochs=2, random_state=0, verbose=0)
        >>> _ = model.fit("to be or not to be, " * 30)
        >>> len("".join(model.sample(20, prime="to be", random_state=1)))
        20
        >>> model.settings_["steps"], model.settings_["lr"]
        (80, 0.004)
    """

    task: ClassVar[str] = "language_model"
    Params = LanguageModelParams
    _figures = ("perplexity",)
    makes_data = True

    settings_: dict[str, Any]
    units: Any  # a str for the command, though a vocabulary will do

    def __init__(
        self,
        *,
        preset: str = "quick",
        units: str = "characters",
        cell: str = "lstm",
        layers: int = 2,
        hidden: int | None = None,
        embedding: int | None = None,
        tie_weights: bool = False,
        dropout: float | None = None,
        batch: int | None = None,
        steps: int | None = None,
        epochs: int | None = None,
        lr: float | None = None,
        warmup: float = 0.05,
        schedule: str = "cosine",
        weight_decay: float = 0.01,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        clip: float | None = 1.0,
        gradient_noise: float = 0.0,
        val_split: float = 0.1,
        precision: str | None = None,
        memory_budget: str | None = None,
        random_state: int | None = None,
        verbose: str | int = "auto",
    ) -> None:
        self.preset = preset
        self.units = units
        self.cell = cell
        self.layers = layers
        self.hidden = hidden
        self.embedding = embedding
        self.tie_weights = tie_weights
        self.dropout = dropout
        self.batch = batch
        self.steps = steps
        self.epochs = epochs
        self.lr = lr
        self.warmup = warmup
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.clip = clip
        self.gradient_noise = gradient_noise
        self.val_split = val_split
        self.precision = precision
        self.memory_budget = memory_budget
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        text: Texts | Corpus,
        y: None = None,
        *,
        callbacks: Sequence[Callback] = (),
        watch: WatchWhat | None = None,
    ) -> Self:
        """Learn from a text.

        The vocabulary is that of the whole text. The validation loss is what `score` gives for its last `val_split`.

        Args:
            text: a text, a path of a file or of a folder of .txt files, or several of either, joined as they are; or
                a `Corpus`, for all else that can be said about files and memory.
            y: ignored; scikit-learn passes it.
            callbacks: hear of batches, epochs and interruptions; the model can be saved from any of them.
            watch: "gradients" shows their norms and warns when they vanish or explode; see `Sequential.fit`.

        Raises:
            DataError: if the text has fewer than two units or holds lone surrogates, or units are a file that is no
                tokenizer.
            UsageError: if an argument is out of range, a file is not there, or an extra is not installed.
            ResourceError: if a batch needs more memory than the machine has, or there is no room for the ids.
            DivergedError: if the loss becomes infinite or NaN; the model is as it was after the last finite epoch.
            Interrupted: after Ctrl-C or SIGTERM; the model is as it was after the last finished batch.
        """
        self._checked_params()  # refused before anything is read or changed
        Course(verbose=self.verbose, watch=watch)
        units = as_units(self.units, where="LanguageModel")
        corpus = as_corpus(text, where="fit", units=self.units, verbose=self.verbose)
        ids, vocabulary = corpus.ids, corpus.vocabulary
        if (vocabulary != units) if isinstance(units, Units) else not isinstance(vocabulary, units):
            cure = f"Write LanguageModel(units={vocabulary.kind!r}), or read the corpus with other units"
            got = f"a corpus of {vocabulary.kind}"
            raise UsageError(say("fit", "the corpus has other units than the model", got=got, cure=cure))
        if len(ids) < 2:
            what = f"the text has {len(ids)} {vocabulary.kind}" if len(ids) else "the text is empty"
            raise DataError(say("fit", what, expected=f"at least 2 {vocabulary.kind}"))
        train, validation = _split(ids, self.val_split, vocabulary.kind)
        params, note = self._used(len(train), vocabulary)
        if note is not None:
            _notice(note)
        seeds = spawn(params.random_state)
        batches = _streams(train, params, rng=seeds.shuffle, told=self.batch is not None or self.steps is not None)
        model = network(params, vocabulary.size)
        compile_network(model, params, rate_over(params, len(batches) * params.epochs))
        if self.memory_budget is None:
            check_memory(
                model.layers,
                input_size=vocabulary.size,
                lengths=np.full(batches.n_streams, batches.steps),
                batch_size=batches.n_streams,
                itemsize=model.dtype.itemsize,
                quiet=self.verbose == 0,
                cure="Take a smaller batch, steps or hidden",
            )
        else:
            budget = Budget(model, self.memory_budget, input_size=vocabulary.size, ids=True)
            budget.check(batches, quiet=True)  # refused before anything is changed
        model.build(vocabulary.size, ids=True, rng=params.random_state)

        self.vocabulary_, self.model_, self.history_ = vocabulary, model, History()
        self.settings_ = msgspec.structs.asdict(params)
        self.training_ = {
            vocabulary.kind: len(ids),
            "train": len(train),
            "validation": len(validation),
            "batch": batches.n_streams,
            "steps": batches.steps,
            "epochs": 0,
        }
        validate = None
        if len(validation):
            validate = StreamBatches(validation, n_streams=1, steps=SCORE_STEPS, unit=vocabulary.kind)
        model.fit_batches(
            batches,
            epochs=params.epochs,
            callbacks=[Figures(self.training_), *callbacks],
            validation=validate,
            memory_budget=self.memory_budget,
            rng=seeds.dropout,
            verbose=self.verbose,
            history=self.history_,
            watch=watch,
        )
        return self

    def _checked_params(self) -> LanguageModelParams:
        """Return the arguments within their bounds; what is left to the preset is that of a short text."""
        return self._used(1, None)[0]

    def _used(self, n_units: int, vocabulary: Units | None) -> tuple[LanguageModelParams, str | None]:
        """Return the arguments as they are used for a text of so many units, and what this machine cannot do."""
        if self.preset not in PRESETS:
            expected = "one of " + ", ".join(map(repr, PRESETS))
            raise UsageError(say("LanguageModel", "preset is not accepted", expected=expected, got=repr(self.preset)))
        given = {name: getattr(self, name) for name in self.Params.__struct_fields__}
        units = self.units if vocabulary is None else vocabulary
        given["units"] = units.kind if isinstance(units, Units) else str(units)
        # What is given must be numbers before anything is computed from it.
        checked = self._checked(given | {name: value for name, value in _ANY.items() if given[name] is None})
        left = {name: None if given[name] is None else getattr(checked, name) for name in FILLED}
        found, note = filled(
            self.preset,
            left,
            n_units=n_units,
            of_letters=given["units"] not in ("words", "tokens"),
            tied=checked.tie_weights,
        )
        return self._checked(given | found), note

    def _config(self) -> dict[str, Any]:
        return dict(self.settings_)

    def _beside(self) -> dict[str, Any]:
        return dict(self.vocabulary_.tensors())

    def _vocabulary(self) -> dict[str, Any]:
        return self.vocabulary_.to_dict()

    def to_network(self, X: Texts | Corpus | None = None, y: None = None, *, steps: int | None = None) -> NetworkData:
        """Give the network itself, and a text as it takes it: one stream, every unit the target of the one before.

        Args:
            X: as for `score`; None lets the model write a text itself, 2,000 units or `steps`, with the seed 0.
            y: ignored.
            steps: take only so many units, from the beginning.

        Raises:
            NotFittedError: before `fit`.
            DataError: if the text has fewer than two units.

        Example:
            >>> model = LanguageModel(layers=1, hidden=8, epochs=1, verbose=0, random_state=0).fit("to be " * 99)
            >>> found = model.to_network("to be", steps=3)
            >>> found.x, found.steps, found.outputs[:3]
            (Ragged(1 sequences, 3 steps, token ids, int64), ['t', 'o', ' '], ['<unk>', ' ', 'b'])
        """
        self._check_fitted("to_network")
        if X is None:
            X = "".join(self.sample(1 + min(steps or 2000, 2000), random_state=0))
            ids, of = self.vocabulary_.encode(X), "text that the model wrote itself"
        else:
            ids, of = self._one_stream(X, "to_network")[0].ids, "the text"
        whole = len(ids) - 1
        count = min(steps or whole, whole)
        part = np.asarray(ids[: count + 1], np.int64)
        kind, piece = self.vocabulary_.kind, self.vocabulary_.piece
        first = f"the first {count:,} of {whole:,} {kind} of {of}"
        sample = f"{whole:,} {kind} of {of}" if count == whole else first
        length = np.array([count])
        x, y_rows = (Ragged.trusted(np.ascontiguousarray(rows), length) for rows in (part[:-1], part[1:]))
        outputs = ["<unk>", *map(piece, range(1, self.vocabulary_.size))]
        return NetworkData(self.model_, x, y_rows, list(map(piece, part[:-1].tolist())), outputs, sample)

    def _new_model(self, vocabulary: dict[str, Any] | None) -> Sequential:
        size = vocabulary.get("size") if vocabulary is not None and vocabulary.get("unit") == "token" else None
        params = self._checked_params()
        model = network(params, size if type(size) is int and size > 0 else stored_units(vocabulary, {}).size)
        compile_network(model, params, params.lr)
        return model

    @classmethod
    def from_file(cls, header: files.Header, *, allow_nonfinite: bool = False) -> Self:
        """Rebuild a fitted model from an open model file.

        Args:
            header: from `files.open_model`, of this task.
            allow_nonfinite: accept weights that are NaN or infinite.

        Raises:
            ModelFileError: if what it holds does not fit.
            UsageError: if its tokenizer needs an extra that is not installed: pip install 'elman[text]'.
        """
        model = super().from_file(header, allow_nonfinite=allow_nonfinite)
        try:
            model.vocabulary_ = stored_units(header.meta.vocabulary, header.read_tokenizer())
        except ModelFileError as error:
            raise files.not_accepted(header, "vocabulary", str(error)) from None
        model.settings_ = msgspec.structs.asdict(model._checked_params())
        if model.units not in UNITS:
            model.units = model.vocabulary_
        return model


# Stand where a preset decides, while the other arguments are checked.
_ANY = dict(hidden=1, embedding=0, dropout=0.0, batch=1, steps=1, epochs=1, lr=1.0, precision="float32")


def _split(ids: NDArray[Any], val_split: float, kind: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Cut off the last units for validation, if enough remain on both sides."""
    n_train = int(len(ids) * (1 - val_split))
    if val_split and (n_train < 2 or len(ids) - n_train < 2):
        _notice(f"the text is short ({len(ids):,} {kind}): all of it is trained on, none is kept for validation")
        n_train = len(ids)
    return ids[:n_train], ids[n_train:]


def _streams(ids: NDArray[Any], params: LanguageModelParams, *, rng: np.random.Generator, told: bool) -> StreamBatches:
    """Cut the text into streams; a short one gets fewer of them first, then fewer steps.

    Args:
        ids: of the text.
        params: batch and steps.
        rng: draws where epochs begin.
        told: whether a user has given one of them, and is to hear of it.
    """
    n_targets = len(ids) - 1
    n_streams = max(1, min(params.batch, n_targets // params.steps))
    n_steps = min(params.steps, n_targets)
    if told and (n_streams, n_steps) != (params.batch, params.steps):
        _notice(
            f"the text is short ({n_targets:,} {params.units} to learn): "
            f"batch is lowered from {params.batch} to {n_streams}"
            + (f", steps from {params.steps} to {n_steps}" if n_steps < params.steps else "")
        )
    return StreamBatches(ids, n_streams=n_streams, steps=n_steps, unit=params.units, rng=rng)


def _notice(text: str) -> None:
    warnings.warn(say("fit", text), UserWarning, stacklevel=4)
