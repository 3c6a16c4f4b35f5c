"""Character language models: what comes next, in any script."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from elman import files
from elman.errors import DataError, DataTypeError, UsageError, say
from elman.layers import Dense, Embedding
from elman.model import Sequential
from elman.model.budget import Budget
from elman.model.memory import check_memory
from elman.ragged import Ragged
from elman.tasks.base import Task, TaskParams
from elman.tasks.corpus import Corpus, Texts, as_corpus
from elman.tasks.figures import Figures
from elman.tasks.network import NetworkData
from elman.tasks.recurrent_stack import recurrent_stack
from elman.tasks.sampling import Sampler, is_integer
from elman.tasks.text_stream import TextStream
from elman.tasks.vocabulary import UNKNOWN, Vocabulary
from elman.training import progress
from elman.training.callbacks import Callback
from elman.training.history import History
from elman.training.optimizers import Adam
from elman.training.seeds import spawn
from elman.training.streams import StreamBatches

__all__ = ["LanguageModel"]

# Steps per window when one stream is scored: enough that the cost per window vanishes, and the logits of a window of
# 5,000 characters of a Chinese text still take only 40 MB.
_SCORE_STEPS = 2000

# What a layer may have of units, and so of outputs.
MAX_SIZE = 65_536

_Count = Annotated[int, msgspec.Meta(ge=1, le=2**31)]


class LanguageModelParams(TaskParams):
    """The arguments of `LanguageModel`, with their bounds."""

    cell: str
    layers: Annotated[int, msgspec.Meta(ge=1, le=64)]
    hidden: Annotated[int, msgspec.Meta(ge=1, le=MAX_SIZE)]
    embedding: Annotated[int, msgspec.Meta(ge=0, le=MAX_SIZE)]
    batch: _Count
    steps: _Count
    epochs: _Count
    lr: Annotated[float, msgspec.Meta(gt=0)]
    clip: Annotated[float, msgspec.Meta(ge=0)] | None
    val_split: Annotated[float, msgspec.Meta(ge=0, lt=1)]
    random_state: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None
    precision: str = "float32"  # files of before have none


class LanguageModel(Task):
    """A recurrent network that predicts the next character of a text.

    Characters are code points. The text is cut into `batch` parallel streams; each step of training sees `steps`
    characters of every stream and goes on from the state where the step before ended (truncated backpropagation through
    time, Williams & Peng 1990).

    Args:
        cell: rnn, lstm or gru.
        layers: recurrent layers, one on top of the other.
        hidden: units of each layer.
        embedding: numbers that stand for a character; 0 feeds the first recurrent layer one-hot.
        batch: parallel streams; fewer if the text is short.
        steps: characters between two updates, through which gradients flow.
        epochs: how often to go through the text.
        lr: learning rate of Adam.
        clip: greatest joint norm of the gradients; 0 leaves them alone.
        val_split: the share of the text, at its end, that is kept for validation.
        precision: what matrix products are made in, float32 or bfloat16: faster where the processor multiplies it.
        memory_budget: greatest memory of a step of training beside text and weights, such as 1GiB; many steps are run
            in segments then, with the same gradients and about a third more time.
        random_state: seed of the first weights.
        verbose: 0 is silent, 1 or "auto" shows progress, 2 prints a line per epoch.

    Attributes:
        vocabulary_: the `Vocabulary` of all the text given to `fit`.
        model_: the trained `Sequential`; it gives logits (N, V).
        history_: `History` with "loss" and "val_loss" in nats per character.
        training_: sizes and figures of the training.

    Example:
        >>> model = LanguageModel(layers=1, hidden=16, batch=4, epochs=2, random_state=0, verbose=0)
        >>> _ = model.fit("to be or not to be, " * 30)
        >>> len("".join(model.sample(20, prime="to be", random_state=1)))
        20
    """

    task: ClassVar[str] = "language_model"
    Params = LanguageModelParams
    _figures = ("perplexity",)
    makes_data = True

    vocabulary_: Vocabulary

    def __init__(
        self,
        *,
        cell: str = "lstm",
        layers: int = 2,
        hidden: int = 128,
        embedding: int = 64,
        batch: int = 50,
        steps: int = 50,
        epochs: int = 10,
        lr: float = 2e-3,
        clip: float | None = 5.0,
        val_split: float = 0.1,
        precision: str = "float32",
        memory_budget: str | None = None,
        random_state: int | None = None,
        verbose: str | int = "auto",
    ) -> None:
        self.cell = cell
        self.layers = layers
        self.hidden = hidden
        self.embedding = embedding
        self.batch = batch
        self.steps = steps
        self.epochs = epochs
        self.lr = lr
        self.clip = clip
        self.val_split = val_split
        self.precision = precision
        self.memory_budget = memory_budget
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, text: Texts | Corpus, y: None = None, *, callbacks: Sequence[Callback] = ()) -> Self:
        """Learn from a text.

        The vocabulary is that of the whole text. The validation loss is what `score` gives for its last `val_split`.

        Args:
            text: a text, a path of a file or of a folder of .txt files, or several of either, joined as they are; or
                a `Corpus`, for all else that can be said about files and memory.
            y: ignored; scikit-learn passes it.
            callbacks: hear of batches, epochs and interruptions; the model can be saved from any of them.

        Raises:
            DataError: if the text has fewer than two characters or holds lone surrogates.
            UsageError: if an argument is out of range, or a file is not there.
            ResourceError: if a batch needs more memory than the machine has, or there is no room for the ids.
            DivergedError: if the loss becomes infinite or NaN; the model is as it was after the last finite epoch.
            Interrupted: after Ctrl-C or SIGTERM; the model is as it was after the last finished batch.
        """
        params = self._checked_params()
        progress.make(self.verbose)  # refused before anything is changed
        corpus = as_corpus(text, where="fit", verbose=self.verbose)
        ids, vocabulary = corpus.ids, corpus.vocabulary
        if len(ids) < 2:
            what = f"the text has {len(ids)} characters" if len(ids) else "the text is empty"
            raise DataError(say("fit", what, expected="at least 2 characters"))
        model = self._new_model(vocabulary.to_dict())
        train, validation = _split(ids, params.val_split)
        batches = _streams(train, batch=params.batch, steps=params.steps)
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
        self.training_ = {
            "characters": len(ids),
            "train": len(train),
            "validation": len(validation),
            "batch": batches.n_streams,
            "steps": batches.steps,
            "epochs": 0,
        }
        validate = StreamBatches(validation, n_streams=1, steps=_SCORE_STEPS) if len(validation) else None
        model.fit_batches(
            batches,
            epochs=params.epochs,
            callbacks=[Figures(self.training_), *callbacks],
            validation=validate,
            memory_budget=self.memory_budget,
            verbose=self.verbose,
            history=self.history_,
        )
        return self

    def score(self, text: Texts | Corpus, y: None = None) -> dict[str, float]:
        """Measure how well a text is predicted, as one stream from the zero state.

        Args:
            text: as for `fit`; a `Corpus` must have been read with `vocabulary=model.vocabulary_`.
            y: ignored; scikit-learn passes it.

        Returns:
            nats_per_char, bits_per_char and perplexity, over `count` characters (all but the first), of which `unseen`
            are not in the vocabulary.

        Raises:
            DataError: if the text has fewer than two characters.
            NotFittedError: before `fit`.
        """
        self._check_fitted("score")
        corpus, batches = self._one_stream(text, "score")
        figures = self.model_.evaluate_batches(batches)
        nats = figures["loss"]
        return {
            "nats_per_char": nats,
            "bits_per_char": nats / math.log(2),
            "perplexity": math.exp(min(nats, 700.0)),
            "count": batches.n_items,
            "unseen": corpus.count(UNKNOWN, start=1),
        }

    def _one_stream(self, text: Texts | Corpus, where: str) -> tuple[Corpus, StreamBatches]:
        """Return a text, and its characters as one stream."""
        corpus = as_corpus(text, where=where, vocabulary=self.vocabulary_, verbose=self.verbose)
        if len(corpus.ids) < 2:
            raise DataError(say(where, f"the text has {len(corpus.ids)} characters", expected="at least 2"))
        return corpus, StreamBatches(corpus.ids, n_streams=1, steps=_SCORE_STEPS)

    def to_network(self, X: Texts | Corpus | None = None, y: None = None, *, steps: int | None = None) -> NetworkData:
        """Give the network itself, and a text as it takes it: one stream, every character the target of the one before.

        Args:
            X: as for `score`; None lets the model write a text itself, 2,000 characters or `steps`, with the seed 0.
            y: ignored.
            steps: take only so many characters, from the beginning.

        Raises:
            NotFittedError: before `fit`.
            DataError: if the text has fewer than two characters.

        Example:
            >>> model = LanguageModel(layers=1, hidden=8, epochs=1, verbose=0, random_state=0).fit("to be " * 99)
            >>> found = model.to_network("to be", steps=3)
            >>> found.x, found.steps, found.outputs[:3]
            (Ragged(1 sequences, 3 steps, token ids), ['t', 'o', ' '], ['<unk>', ' ', 'b'])
        """
        self._check_fitted("to_network")
        if X is None:
            X = "".join(self.sample(1 + min(steps or 2000, 2000), random_state=0))
            whole, of = len(X) - 1, "text that the model wrote itself"
            ids = self.vocabulary_.encode(X)
        else:
            ids = self._one_stream(X, "to_network")[0].ids
            whole, of = len(ids) - 1, "the text"
        count = min(steps or whole, whole)
        part = np.asarray(ids[: count + 1], np.int64)
        first = f"the first {count:,} of {whole:,} characters of {of}"
        sample = f"{whole:,} characters of {of}" if count == whole else first
        length = np.array([count])
        x, y_rows = (Ragged.trusted(np.ascontiguousarray(rows), length) for rows in (part[:-1], part[1:]))
        outputs = ["<unk>", *self.vocabulary_.symbols]
        return NetworkData(self.model_, x, y_rows, list(self.vocabulary_.decode(part[:-1])), outputs, sample)

    def _measuring(self, data: Any) -> StreamBatches | None:
        return None if data is None else self._one_stream(data, "quantize")[1]

    def sample(
        self,
        length: int = 500,
        *,
        prime: str = "",
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        greedy: bool = False,
        random_state: int | None = None,
    ) -> Iterator[str]:
        """Write new text, one character at a time.

        Args:
            length: how many characters.
            prime: the text to go on from, not given back. Without it the model begins a line, or with any character if
                its text had no lines.
            temperature: below 1 is bolder, above 1 is wilder; 0 is greedy.
            top_k: choose among the k most probable characters.
            top_p: choose among the most probable that together reach this probability.
            greedy: always take the most probable character.
            random_state: seed; the same seed gives the same text.

        Returns:
            An iterator over characters, each computed when it is asked for.

        Raises:
            DataError: if `prime` holds a character that the model does not know.
            DataTypeError: if `prime` is no text.
            UsageError: if an argument is out of range.
            NotFittedError: before `fit`.
        """
        self._check_fitted("sample")
        if not is_integer(length) or length < 0:
            raise UsageError(say("sample", "length is out of range", expected="an integer >= 0", got=repr(length)))
        sampler = Sampler(temperature=temperature, top_k=top_k, top_p=top_p, greedy=greedy)
        rng = spawn(random_state, where="random_state").sampling
        if not isinstance(prime, str):
            cure = "Leave it out to begin anew" if prime is None else None
            raise DataTypeError(say("sample", "prime is no text", expected="str", got=type(prime).__name__, cure=cure))
        ids = self.vocabulary_.require(prime, where="prime")
        return self._sample(int(length), ids, sampler, rng)

    def _sample(self, length: int, ids: NDArray[np.int32], sampler: Sampler, rng: np.random.Generator) -> Iterator[str]:
        symbols = self.vocabulary_.symbols
        if not len(ids):
            if "\n" in symbols:
                ids = self.vocabulary_.encode("\n")
            else:
                ids = rng.integers(1, self.vocabulary_.size, 1, np.int32)
                if length:
                    yield symbols[int(ids[0]) - 1]
                length -= 1
        stream = self.model_.stream()
        logits = stream.chunk(ids)[-1]
        while length > 0:
            # Numbers are drawn by the hundred: one at a time they would cost as much as a layer.
            for uniform in rng.random(min(length, 256)).tolist():
                token = sampler.choose(logits, uniform)
                yield symbols[token - 1]
                logits = stream.step(token)
            length -= 256

    def stream(self) -> TextStream:
        """Begin a text that comes piece by piece; see `elman.tasks.TextStream`.

        Raises:
            NotFittedError: before `fit`.
        """
        self._check_fitted("stream")
        return TextStream(self.model_, self.vocabulary_)

    def _new_model(self, vocabulary: dict[str, Any] | None) -> Sequential:
        known, params = Vocabulary.from_dict(vocabulary), self._checked_params()
        if known.size > MAX_SIZE:
            wrong = f"the text has {known.size - 1:,} different characters"
            raise DataError(say("LanguageModel", wrong, expected=f"at most {MAX_SIZE - 1:,}", cure="Is it text?"))
        recurrent = recurrent_stack(params.cell, params.hidden, layers=params.layers, where="LanguageModel")
        # One-hot input learns slowly with Adam, which moves every weight alike: a 2x128 LSTM on Tiny Shakespeare was at
        # 1.73 nats per character after six epochs, with 64 numbers per character at 1.59.
        embedding = [Embedding(known.size, params.embedding)] if params.embedding else []
        model = Sequential([*embedding, *recurrent, Dense(known.size)], precision=params.precision)
        model.compile(Adam(params.lr), "cross_entropy", clip=params.clip or None)
        model.input_size, model.ids = known.size, True
        return model

    @classmethod
    def from_file(cls, header: files.Header, *, allow_nonfinite: bool = False) -> Self:
        """Rebuild a fitted model from an open model file.

        Args:
            header: from `files.open_model`, of this task.
            allow_nonfinite: accept weights that are NaN or infinite.

        Raises:
            ModelFileError: if what it holds does not fit.
        """
        model = super().from_file(header, allow_nonfinite=allow_nonfinite)
        model.vocabulary_ = Vocabulary.from_dict(header.meta.vocabulary)
        return model

    def _vocabulary(self) -> dict[str, Any]:
        return self.vocabulary_.to_dict()


def _split(ids: NDArray[Any], val_split: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Cut off the last characters for validation, if enough remain on both sides."""
    n_train = int(len(ids) * (1 - val_split))
    if val_split and (n_train < 2 or len(ids) - n_train < 2):
        _notice(f"the text is short ({len(ids):,} characters): all of it is trained on, none is kept for validation")
        n_train = len(ids)
    return ids[:n_train], ids[n_train:]


def _streams(ids: NDArray[Any], *, batch: int, steps: int) -> StreamBatches:
    """Cut the text into streams; a short one gets fewer of them first, then fewer steps."""
    n_targets = len(ids) - 1
    n_streams = max(1, min(batch, n_targets // steps))
    n_steps = min(steps, n_targets)
    if (n_streams, n_steps) != (batch, steps):
        _notice(
            f"the text is short ({n_targets:,} characters to learn): "
            f"batch is lowered from {batch} to {n_streams}"
            + (f", steps from {steps} to {n_steps}" if n_steps < steps else "")
        )
    return StreamBatches(ids, n_streams=n_streams, steps=n_steps)


def _notice(text: str) -> None:
    warnings.warn(say("fit", text), UserWarning, stacklevel=4)
