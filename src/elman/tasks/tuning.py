"""Searching for better arguments with Optuna, which is imported only here.

Every trial trains a model on the same part of the data and is judged on the rest, after every epoch; those that do
worse than half of the others at the same point are given up. All that is found goes into a journal as it is found.

Akiba et al. 2019, "Optuna: A Next-generation Hyperparameter Optimization Framework"; Bergstra et al. 2011, "Algorithms
for Hyper-Parameter Optimization".
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from elman.errors import DataError, DivergedError, Interrupted, ResourceError, UsageError, say
from elman.tasks.base import Task
from elman.tasks.language_model import LanguageModel
from elman.tasks.regressor import SequenceRegressor
from elman.tasks.tagger import SequenceTagger
from elman.training.callbacks import Callback
from elman.training.progress import Bar, Lines, Progress, check_verbose

__all__ = ["Found", "Range", "Search", "fingerprint", "search_space"]

_NAME = "elman"

# Trials whose whole course is known before one may be given up, and the share of its epochs that each may take first:
# the one-cycle schedule lets all do badly while its rate is high.
_STARTUP, _WARMUP = 4, 0.3


@dataclass(frozen=True)
class Range:
    """What an argument may be.

    Attributes:
        low: the least; for words all of them.
        high: the greatest.
        log: whether factors count, not differences.
    """

    low: Any
    high: Any = None
    log: bool = False

    def suggest(self, trial: Any, name: str) -> Any:
        """Let Optuna choose."""
        if isinstance(self.low, list):
            return trial.suggest_categorical(name, self.low)
        suggest = trial.suggest_int if isinstance(self.low, int) else trial.suggest_float
        return suggest(name, self.low, self.high, log=self.log)

    def holds(self, value: Any) -> bool:
        """Tell whether a value is one of them."""
        if isinstance(self.low, list):
            return value in self.low
        return value is not None and self.low <= value <= self.high


def search_space(kind: type[Task], *, numbers: bool = True) -> dict[str, Range]:
    """Give the arguments that are searched, and where.

    Args:
        kind: the class of the task.
        numbers: whether its sequences are numbers, which noise is for; embeddings are for the others.

    Example:
        >>> sorted(search_space(SequenceRegressor))
        ['batch', 'cell', 'dropout', 'hidden', 'layers', 'lr', 'noise', 'weight_decay']
    """
    if kind is LanguageModel:
        known = LanguageModel().get_params()
        space = {
            "cell": Range(["lstm", "gru"]),
            "layers": Range(1, 3),
            "hidden": Range(64, 512, log=True),
            "embedding": Range(32, 256, log=True),
            "dropout": Range(0.0, 0.6),
            "batch": Range(16, 128, log=True),
            "lr": Range(3e-4, 1e-2, log=True),
        }
        return {name: held for name, held in space.items() if name in known}
    wide = kind is SequenceTagger
    space = {
        "cell": Range(["gru", "lstm"]),
        "layers": Range(1, 3 if wide else 2),
        "hidden": Range(64 if wide else 32, 400 if wide else 256, log=True),
        "dropout": Range(0.0, 0.6),
        "lr": Range(5e-4, 2e-2, log=True),
        "weight_decay": Range(1e-5, 1e-1, log=True),
        "batch": Range(8, 64, log=True),
    }
    return space | ({"noise": Range(0.0, 0.8)} if numbers else {"embedding": Range(32, 200, log=True)})


@dataclass(frozen=True)
class Found:
    """A trial.

    Attributes:
        number: in the order in which they began, from 1.
        loss: on what was kept back: nats of a label or a character, for numbers the share of the variance that is left;
            None if it was given up or failed.
        state: "complete", "pruned" or "failed".
        arguments: of the task, those that were searched.
        figures: such as accuracy, at its end.
        epochs: that it took.
        seconds: that it took.
    """

    number: int
    loss: float | None
    state: str
    arguments: dict[str, Any]
    figures: dict[str, float] = field(default_factory=dict)
    epochs: int = 0
    seconds: float = 0.0


@dataclass
class Search:
    """A search whose trials are kept in a journal, and which goes on where it stopped.

    Args:
        kind: the class of the task.
        fixed: arguments that all trials have.
        space: those that are searched.
        journal: the file.
        first: what the first trial has where a default is None.
        seed: of every training and of the search.
        about: what else must be the same to go on, such as the fingerprint of the data; JSON.
        verbose: 0 is silent; else a running trial shows how far it is.

    Raises:
        UsageError: if Optuna is missing, or the journal belongs to another search or is in use.
        DataError: if the journal is none.

    Example:
        >>> import tempfile
        >>> from elman.tasks import SequenceClassifier
        >>> X = [np.full((steps, 1), steps % 2) for steps in range(2, 32)]
        >>> y = np.array([len(x) % 2 for x in X])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     search = Search(
        ...         SequenceClassifier,
        ...         fixed={"hidden": 8, "epochs": 2},
        ...         space={"lr": Range(1e-3, 1e-2, log=True)},
        ...         journal=f"{folder}/tune.journal",
        ...         about={"data": fingerprint(X, y)},
        ...     )
        ...     found = [trial.state for trial in search.run((X[:20], y[:20]), (X[20:], y[20:]), trials=2)]
        >>> found, sorted(search.best(1)[0].arguments)
        (['complete', 'complete'], ['lr'])
    """

    kind: type[Task]
    fixed: dict[str, Any]
    space: dict[str, Range]
    journal: str
    first: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    about: dict[str, Any] = field(default_factory=dict)
    verbose: str | int = 0

    def __post_init__(self) -> None:
        check_verbose(self.verbose, "Search")
        self._optuna = _optuna()
        self._found: list[Found] = []

    def run(self, data: Any, judged: Any, *, trials: int, timeout: float | None = None) -> Iterator[Found]:
        """Go on until there are as many trials, and give each as it ends.

        Args:
            data: (X, y) to learn from; for a language model a `Corpus`.
            judged: (X, y) to judge by; None for a language model, which keeps the end of its text back.
            trials: how many there shall be, those of before included.
            timeout: seconds after which no new one begins.

        Raises:
            Interrupted: after Ctrl-C or SIGTERM; the trial that ran comes again when the search goes on.
        """
        began = time.perf_counter()
        with self._open() as study:
            self._found = [_found(trial) for trial in _finished(study)]
            while self._counted(study) < trials:
                if timeout is not None and time.perf_counter() - began >= timeout:
                    return
                found = self._trial(study, data, judged)
                self._found.append(found)
                yield found

    @property
    def trials(self) -> list[Found]:
        """All trials, those of before included."""
        return list(self._found)

    def best(self, count: int) -> list[Found]:
        """Give the trials with the lowest losses.

        Args:
            count: how many, at most.
        """
        done = [found for found in self._found if found.loss is not None]
        return sorted(done, key=lambda found: found.loss or 0.0)[:count]

    def _counted(self, study: Any) -> int:
        """Count those that came to an end, even a bad one; what was interrupted comes again."""
        return len(_finished(study))

    @contextlib.contextmanager
    def _open(self) -> Iterator[Any]:
        """Open the journal, alone, and the search in it."""
        optuna = self._optuna
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with _alone(self.journal):
            try:
                backend = optuna.storages.journal.JournalFileBackend(self.journal)
                storage = optuna.storages.JournalStorage(backend)
                studies = [study.study_name for study in storage.get_all_studies()]
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                cure = "Give another --storage"
                raise DataError(say(self.journal, f"this is no journal of a search ({error})", cure=cure)) from None
            done = len(storage.get_all_trials(storage.get_study_id_from_name(_NAME))) if _NAME in studies else 0
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                # Begun anew with the same seed it would propose once more what it proposed first.
                sampler = optuna.samplers.TPESampler(seed=self.seed + done, multivariate=True)
            study = optuna.create_study(
                storage=storage, study_name=_NAME, load_if_exists=True, direction="minimize", sampler=sampler
            )
            self._check(study)
            for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
                self._put_back(study, trial.number, trial.params)  # its process was killed
            if not study.trials:
                known = {**self.kind().get_params(), **self.fixed, **self.first}
                study.enqueue_trial({name: known[name] for name, held in self.space.items() if held.holds(known[name])})
            yield study

    def _check(self, study: Any) -> None:
        """Refuse to go on with a search for something else."""
        about = {**self.about, **self.fixed, "task": self.kind.task, "searched": sorted(self.space)}
        about = json.loads(json.dumps(about, default=str))
        known = study.user_attrs.get("about")
        if known is None:
            study.set_user_attr("about", about)
        elif known != about:
            changed = sorted(name for name in about.keys() | known.keys() if about.get(name) != known.get(name))
            shown = (f"{name} was {_shown(known.get(name))} and is {_shown(about.get(name))}" for name in changed)
            cure = "Give another --storage, or the same data and options as before"
            raise UsageError(say(self.journal, f"it belongs to another search: {', '.join(shown)}", cure=cure))

    def _put_back(self, study: Any, number: int, params: dict[str, Any]) -> None:
        """Let a trial that did not come to its end come again."""
        study.set_user_attr("interrupted", [*study.user_attrs.get("interrupted", []), number])
        study.tell(number, state=self._optuna.trial.TrialState.FAIL)
        study.enqueue_trial(params)

    def _trial(self, study: Any, data: Any, judged: Any) -> Found:
        """Train once."""
        optuna, states = self._optuna, self._optuna.trial.TrialState
        trial = study.ask()
        arguments = {name: held.suggest(trial, name) for name, held in self.space.items()}
        name = f"trial {trial.number + 1}"
        task: Any = self.kind(
            **self.fixed, **arguments, random_state=self.seed, verbose=_progress(name) if self.verbose else 0
        )
        watcher = _Watcher(optuna, task, trial, judged)
        began = time.perf_counter()
        value, state = None, states.FAIL
        try:
            if judged is None:
                task.fit(data, callbacks=[watcher])
            else:
                task.fit(*data, callbacks=[watcher])
            value, state = watcher.loss, states.COMPLETE
        except optuna.TrialPruned:
            state = states.PRUNED
        except (DivergedError, ResourceError) as error:
            trial.set_user_attr("why", str(error))
        except (Interrupted, KeyboardInterrupt):
            self._put_back(study, trial.number, trial.params)
            raise
        except BaseException:
            study.tell(trial, state=states.FAIL)
            raise
        trial.set_user_attr("figures", watcher.figures)
        trial.set_user_attr("epochs", watcher.epochs)
        trial.set_user_attr("seconds", round(time.perf_counter() - began, 2))
        return _found(study.tell(trial, values=value, state=state))


class _Watcher(Callback):
    """Judges a trial after every epoch, and gives up one that is worse than half of the others."""

    def __init__(self, optuna: Any, task: Any, trial: Any, judged: Any) -> None:
        self.optuna, self.task, self.trial, self.judged = optuna, task, trial, judged
        self.loss: float | None = None
        self.figures: dict[str, float] = {}
        self.epochs = 0

    def on_train_begin(self, logs: Mapping[str, float]) -> None:
        granted = round(_WARMUP * self.params["epochs"])  # known only now: it may depend on the number of sequences
        pruner = self.optuna.pruners.MedianPruner(n_startup_trials=_STARTUP, n_warmup_steps=granted)
        self.trial.study.pruner = pruner

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        self.loss, self.figures = _judge(self.task, self.judged, logs)
        self.epochs = epoch + 1
        self.trial.report(self.loss, epoch)
        if self.epochs < self.params["epochs"] and self.trial.should_prune():
            raise self.optuna.TrialPruned


def _judge(task: Any, judged: Any, logs: Mapping[str, float]) -> tuple[float, dict[str, float]]:
    """Give the loss on what was kept back, and what people know it by."""
    if judged is None:
        return float(logs["val_loss"]), {}
    X, y = judged
    if isinstance(task, SequenceRegressor):
        share = 1 - task.score(X, y)
        return share, {"r2": 1 - share}
    shares = task.predict_proba(X)
    if isinstance(task, SequenceTagger):
        shares, y = np.concatenate(list(shares)), np.concatenate(list(y))
    numbers = task._head.numbers(np.asarray(y))
    found = np.where(numbers >= 0, shares[np.arange(len(y)), numbers], 0.0)
    loss = -np.log(np.maximum(found, 1e-12)).mean()  # a class that was never learned has no share at all
    return float(loss), {"accuracy": float((shares.argmax(1) == numbers).mean())}


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "not set" if value is None else str(value)


def _finished(study: Any) -> list[Any]:
    """Give the trials that came to an end of their own."""
    interrupted = set(study.user_attrs.get("interrupted", []))
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state.is_finished() and trial.number not in interrupted
    ]


def _found(trial: Any) -> Found:
    state = {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed")
    held = trial.user_attrs
    loss = trial.value if state == "complete" else None
    figures, epochs, seconds = held.get("figures", {}), held.get("epochs", 0), held.get("seconds", 0.0)
    return Found(trial.number + 1, loss, state, dict(trial.params), figures, epochs, seconds)


def fingerprint(X: Any, y: Any) -> str:
    """Give what tells data from other data.

    Args:
        X: sequences.
        y: their answers, or None.
    """
    digest = hashlib.sha256()
    for part in (*X, *(() if y is None else y)):
        digest.update(np.ascontiguousarray(part).tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def _alone(path: str) -> Iterator[None]:
    """Hold the journal against another process; mend what a killed one left half written."""
    try:
        file = open(path, "a+b")  # noqa: SIM115 - it is closed below, after what failed to open was told
    except OSError as error:
        wrong = f"the journal cannot be written ({(error.strerror or str(error)).lower()})"
        raise UsageError(say(path, wrong, cure="Give the name of a file with --storage")) from None
    with file:
        file.seek(0)
        content = file.read()
        if content and not content.startswith(b'{"op_code"'):
            raise DataError(say(path, "this is no journal of a search", cure="Give another --storage"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ResourceError(
                say(path, "another search writes into it", cure="Wait for it, or give another --storage")
            ) from None
        if content and not content.endswith(b"\n"):
            os.ftruncate(file.fileno(), content.rfind(b"\n") + 1)
        try:
            yield
        finally:
            if not os.path.getsize(path):
                os.unlink(path)


def _progress(name: str) -> Progress:
    stream = sys.stderr
    return _TrialBar(name) if stream.isatty() else _TrialLines(name, stream)


class _TrialBar(Bar):
    """A bar for one trial, which leaves no lines."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def _show(self, epoch: int, batch: float, figures: list[str], now: float) -> None:
        super()._show(epoch, batch, [self.name, *figures[:1]], now)

    def _show_epoch(self, epoch: int, logs: Mapping[str, float], now: float) -> None:
        pass


class _TrialLines(Lines):
    """A line now and then for a trial that takes long."""

    def __init__(self, name: str, stream: Any) -> None:
        super().__init__(stream)
        self.name = name

    def _write(self, text: str, now: float) -> None:
        super()._write(f"{self.name}  {text}", now)

    def _show_epoch(self, epoch: int, logs: Mapping[str, float], now: float) -> None:
        pass


def _optuna() -> Any:
    """Import Optuna, or say how to get it."""
    try:
        import optuna
        import optuna.storages.journal
    except ImportError:
        cure = "Install it: pip install 'elman[tune]'"
        raise UsageError(say("tune", "searching needs Optuna, which is not installed", cure=cure)) from None
    return optuna
