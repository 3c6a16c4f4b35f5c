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
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from elman.errors import DataError, DivergedError, Interrupted, ResourceError, UsageError, say
from elman.tasks.search_space import Range, search_space
from elman.tasks.trial import Found, Watcher, as_found, trial_progress
from elman.training.progress import check_verbose

__all__ = ["Found", "Range", "Search", "fingerprint", "search_space"]

_NAME = "elman"


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

    kind: Any
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
            self._found = [as_found(trial) for trial in _finished(study)]
            while len(_finished(study)) < trials:
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
        task = self.kind(
            **self.fixed, **arguments, random_state=self.seed, verbose=trial_progress(name) if self.verbose else 0
        )
        watcher = Watcher(optuna, task, trial, judged)
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
        return as_found(study.tell(trial, values=value, state=state))


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


def _optuna() -> Any:
    """Import Optuna, or say how to get it."""
    try:
        import optuna
        import optuna.storages.journal
    except ImportError:
        cure = "Install it: pip install 'elman[tune]'"
        raise UsageError(say("tune", "searching needs Optuna, which is not installed", cure=cure)) from None
    return optuna
