"""`elman train classify | regress | tag`: an estimator from a file of sequences."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from elman.cli.columns import Features, Format, Id, Label, Time
from elman.cli.common import (
    DryRun,
    Encoding,
    Errors,
    Json,
    Quiet,
    Suffixes,
    Threads,
    Watch,
    check_output,
    guarded,
    print_json,
    print_rehearsal,
    talk,
    use_threads,
    what_is_saved,
)
from elman.cli.data import PURPOSES, DataFile, read_data, said_columns
from elman.cli.flags import options_of, with_options
from elman.errors import UsageError, say
from elman.readers import Columns, Dataset
from elman.readers.dataset import Purpose
from elman.readers.words import some
from elman.tasks import SaveEachEpoch
from elman.tasks.evaluation import evaluate, headline
from elman.tasks.rehearsal import rehearse
from elman.training.callbacks import Callback

__all__ = ["apps", "constructor_options"]

_OWN = {"verbose", "warm_start", "id_column", "time_column", "val_split", "class_weight"}

Output = Annotated[Path, typer.Option("--output", "-o", help="The model file, rewritten after each epoch.")]
Test = Annotated[str | None, typer.Option(help="Another file of the same kind, on which the model is judged.")]
ValSplit = Annotated[
    float, typer.Option(help="The share that is kept back to judge the model by, if there is no --test; 0 learns all.")
]
# What only those with classes take.
_CLASS_WEIGHT = inspect.Parameter(
    "class_weight",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[
        str | None, typer.Option(help='"balanced" counts rare classes as much as frequent ones.', show_default=False)
    ],
)


class _Note(Callback):
    """Puts what the columns were taken for where the model file finds it."""

    def __init__(self, task: Any, data: Dataset) -> None:
        self.task, self.data = task, data

    def on_train_begin(self, logs: Mapping[str, float]) -> None:
        self.task.training_["format"] = self.data.format
        if self.data.columns != Columns():
            self.task.training_["columns"] = msgspec.to_builtins(self.data.columns)


def _command(purpose: Purpose) -> Any:
    """Make the command of a purpose."""

    def train(
        data: DataFile,
        *,
        output: Output = Path("model.elman"),
        test: Test = None,
        val_split: ValSplit = 0.1,
        id: Id = None,
        time: Time = None,
        label: Label = None,
        features: Features = None,
        format: Format = None,
        suffix: Suffixes = None,
        encoding: Encoding = "utf-8",
        errors: Errors = "strict",
        dry_run: DryRun = False,
        threads: Threads = None,
        watch: Watch = False,
        as_json: Json = False,
        quiet: Quiet = False,
        **arguments: Any,
    ) -> None:
        check_output(output, sources=[data, *([test] if test else [])])
        if not 0 <= val_split < 1:
            raise UsageError(
                say("--val-split", "it is out of range", expected="a share, 0 <= share < 1", got=val_split)
            )
        use_threads(threads)
        options: dict[str, Any] = {"format": format, "suffixes": suffix, "encoding": encoding, "errors": errors}
        read = read_data(data, purpose, said_columns(id, time, label, features), quiet=quiet, **options)
        if read.constant is not None and not quiet:
            talk(f"All labels are {read.constant}, so the model will say nothing else.")
        judged = None
        if test is not None:
            judged = read_data(test, purpose, read.columns, quiet=quiet, **options)
            where = test
        else:
            read, judged = read.split(val_split, seed=arguments["random_state"] or 0)
            where = some(len(judged), "sequence") + " kept back" if judged else ""
            if val_split and judged is None and not quiet:
                talk(f"Too few sequences to keep some back: {len(read)}. All are learned, none judges the model.")
            elif judged is not None and not quiet:
                talk(f"{len(judged):,} of {len(read) + len(judged):,} sequences are kept back to judge the model by.")
        if val_split:
            arguments["val_split"] = val_split
        model = PURPOSES[purpose](**arguments, verbose=0 if quiet else "auto")
        if dry_run:
            print_rehearsal(rehearse(model, read.X, read.y), as_json=as_json)
            return
        _fit(model, read, output, watch=watch)
        figures: dict[str, Any] = {"model": str(output), **model.training_}
        if judged is not None:
            found = evaluate(model, judged.X, judged.y)
            kind = "test" if test is not None else "val"
            plain = {f"{kind}_{name}": value for name, value in found.items() if not isinstance(value, list)}
            model.training_ |= plain
            model.save(output)
            figures |= plain
        if as_json:
            print_json(figures)
            return
        epochs = some(figures["epochs"], "epoch")
        print(f"train loss {figures['loss']:.4f} after {epochs} in {figures['seconds']:.1f} s")
        if judged is not None:
            print(f"{headline(model, found)} on {where}")
        print(f"Saved {output}. Next: elman predict {shlex.quote(str(output))} {shlex.quote(test or data)}")

    train.__name__ = purpose
    train.__doc__ = _HELP[purpose]
    return train


_HELP = {
    "classify": """Train a model that says what a sequence is.

    Says what the columns were taken for before it begins. Ctrl-C finishes the batch, saves the model and stops.
    """,
    "regress": """Train a model that gives a number for a sequence.

    Says what the columns were taken for before it begins. Ctrl-C finishes the batch, saves the model and stops.
    """,
    "tag": """Train a model that gives a label to every step of a sequence, such as the part of speech to each word.

    Says what the columns were taken for before it begins. Ctrl-C finishes the batch, saves the model and stops.
    """,
}


def _fit(model: Any, data: Dataset, output: Path, *, watch: bool) -> None:
    """Train, with the file kept up to date, and say what it holds if something ends the training."""
    saver = SaveEachEpoch(model, output)
    with what_is_saved(saver, following=f"elman predict {shlex.quote(str(output))} {shlex.quote(data.path)}"):
        model.fit(data.X, data.y, callbacks=[_Note(model, data), saver], watch="gradients" if watch else None)


def constructor_options(purpose: Purpose) -> list[Any]:
    """Give the options that the constructor of an estimator has arguments for."""
    return options_of(PURPOSES[purpose], panel="Network and training", without=_OWN)


def _app(purpose: Purpose) -> typer.Typer:
    app = typer.Typer(add_completion=False)
    options = [*([] if purpose == "regress" else [_CLASS_WEIGHT]), *constructor_options(purpose)]
    app.command(purpose)(guarded(with_options(_command(purpose), options)))
    return app


apps = {purpose: _app(purpose) for purpose in PURPOSES}
