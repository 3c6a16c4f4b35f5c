"""`elman tune classify | regress | tag | text`: a search for better settings, kept in a journal."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli.columns import Features, Format, Id, Label, Time
from elman.cli.common import (
    Column,
    Encoding,
    Errors,
    Json,
    Quiet,
    Suffixes,
    Threads,
    guarded,
    print_json,
    talk,
    use_threads,
)
from elman.cli.data import PURPOSES, DataFile, read_data, said_columns
from elman.cli.flags import flag_of, given_options, options_of, with_options
from elman.cli.train_sequences import ValSplit, constructor_options
from elman.errors import DataError, Interrupted, UsageError, say
from elman.readers.dataset import Purpose
from elman.readers.words import some
from elman.tasks import Corpus, LanguageModel
from elman.tasks.search_space import left_open, search_space
from elman.tasks.tuning import Found, Search, fingerprint

__all__ = ["apps"]

_SHOWN = 5  # trials that the table lists

Trials = Annotated[int, typer.Option(help="How many trials there shall be, those in the journal included.")]
Storage = Annotated[Path, typer.Option(help="The journal of all trials: the same command goes on with it.")]
Timeout = Annotated[float | None, typer.Option(help="Seconds after which no new trial begins.")]


def _command(purpose: Purpose) -> Any:
    """Make the command of a purpose."""

    def tune(
        ctx: typer.Context,
        data: DataFile,
        *,
        trials: Trials = 20,
        storage: Storage = Path("tune.journal"),
        timeout: Timeout = None,
        val_split: ValSplit = 0.2,
        id: Id = None,
        time: Time = None,
        label: Label = None,
        features: Features = None,
        format: Format = None,
        suffix: Suffixes = None,
        encoding: Encoding = "utf-8",
        errors: Errors = "strict",
        threads: Threads = None,
        as_json: Json = False,
        quiet: Quiet = False,
        **arguments: Any,
    ) -> None:
        _check(trials, val_split)
        use_threads(threads)
        options: dict[str, Any] = {"format": format, "suffixes": suffix, "encoding": encoding, "errors": errors}
        said = said_columns(id, time, label, features)
        read = read_data(data, purpose, said, quiet=quiet, **options)
        seed = arguments["random_state"] or 0
        rest, back = read.split(val_split, seed=seed)
        if back is None:
            cure = "Give more data, or a larger --val-split"
            raise DataError(say(data, f"{some(len(read), 'sequence')} are too few to keep some back", cure=cure))
        if not quiet:
            talk(f"{len(back):,} of {len(read):,} sequences are kept back to judge the trials by.")
        task = PURPOSES[purpose]
        fixed = given_options(ctx, arguments, without={"random_state"})
        space = {
            name: held for name, held in search_space(task, numbers=read.kind == "numbers").items() if name not in fixed
        }
        search = Search(
            task,
            fixed,
            space,
            str(storage),
            first=left_open(task(**fixed), rest.X),
            seed=seed,
            about={"data": fingerprint(read.X, read.y), "val_split": val_split, "seed": seed},
            verbose=0 if quiet else "auto",
        )
        flags = [
            said.flags,
            f"--format {format}" if format else "",
            _flags({"random_state": arguments["random_state"]}),
        ]
        command = " ".join(filter(None, ["elman train", purpose, shlex.quote(data), *flags]))
        _run(search, (rest.X, rest.y), (back.X, back.y), command, trials, timeout, as_json=as_json, quiet=quiet)

    tune.__name__ = purpose
    tune.__doc__ = _HELP.format(what={"classify": "classifier", "regress": "regressor", "tag": "tagger"}[purpose])
    return tune


_HELP = """Search for the settings of a {what} that do best on a part of the data that is kept back.

    Settings that are given stay as they are, all others are searched. The first trial has the defaults. Ctrl-C loses
    nothing: the same command goes on.
    """


def _text(
    ctx: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Text files, or folders of them.")],
    *,
    trials: Trials = 20,
    storage: Storage = Path("tune.journal"),
    timeout: Timeout = None,
    column: Column = None,
    suffix: Suffixes = None,
    encoding: Encoding = "utf-8",
    errors: Errors = "strict",
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
    **arguments: Any,
) -> None:
    _check(trials, arguments["val_split"])
    use_threads(threads)
    verbose = 0 if quiet else "auto"
    corpus = Corpus.from_files(
        files,
        suffixes=suffix,
        column=column,
        encoding=encoding,
        errors=errors,
        units=arguments["units"],
        verbose=verbose,
    )
    fixed = given_options(ctx, arguments, without={"random_state"})
    space = {name: held for name, held in search_space(LanguageModel).items() if name not in fixed}
    seed = arguments["random_state"] or 0
    search = Search(
        LanguageModel,
        fixed,
        space,
        str(storage),
        first=left_open(LanguageModel(**fixed), corpus),
        seed=seed,
        about={"data": fingerprint([corpus.ids], None), "seed": seed},
        verbose=verbose,
    )
    flags = [*map(shlex.quote, files), *([f"--column {shlex.quote(column)}"] if column else [])]
    command = " ".join(filter(None, ["elman train text", *flags, _flags({"random_state": arguments["random_state"]})]))
    _run(search, corpus, None, command, trials, timeout, as_json=as_json, quiet=quiet)


_text.__doc__ = _HELP.format(what="language model").replace("a part of the data that", "the end of the text, which")


def _check(trials: int, val_split: float) -> None:
    if trials < 1:
        raise UsageError(say("--trials", "it is out of range", expected="at least 1", got=trials))
    if not 0 < val_split < 1:
        raise UsageError(say("--val-split", "it is out of range", expected="a share, 0 < share < 1", got=val_split))


def _run(
    search: Search,
    data: Any,
    judged: Any,
    command: str,
    trials: int,
    timeout: float | None,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run the trials, say of each how it went, and in the end which were best."""
    try:
        for found in search.run(data, judged, trials=trials, timeout=timeout):
            if not quiet:
                talk(_line(found))
    except (Interrupted, KeyboardInterrupt):
        done = some(len(search.trials), "trial")
        talk(f"Stopped. {search.journal} holds {done}; the same command goes on with the one that was stopped.")
        raise
    best = search.best(_SHOWN)
    if not best:
        cure = "Look at why: lower --lr, or give a smaller --hidden"
        raise DataError(say("tune", f"none of {some(len(search.trials), 'trial')} came to its end", cure=cure))
    settings = {**search.fixed, **best[0].arguments}
    following = f"{command} {_flags(settings)}"
    if as_json:
        fields = ("number", "loss", "state", "arguments", "figures", "epochs", "seconds")
        rows = [{name: getattr(found, name) for name in fields} for found in search.trials]
        print_json({"trials": rows, "best": settings, "command": following})
        return
    _print_table(best, len(search.trials))
    print(f"Next: {following}")


def _line(found: Found) -> str:
    result = {"complete": _figures(found), "pruned": "given up"}.get(found.state, f"failed ({found.why})")
    cost = f"{some(found.epochs, 'epoch')}, {found.seconds:.1f} s"
    return f"trial {found.number}  {result}  {_flags(found.arguments)}  {cost}"


def _figures(found: Found) -> str:
    loss = [] if found.loss is None else [f"loss {found.loss:.4f}"]
    return "  ".join([*loss, *(f"{name} {value:.4f}" for name, value in found.figures.items())])


def _flags(settings: dict[str, Any]) -> str:
    """Write settings as the options of elman train."""
    words = []
    for name, value in settings.items():
        flag = flag_of(name)
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        elif value is not None:
            words.append(f"{flag} {value:.4g}" if isinstance(value, float) else f"{flag} {shlex.quote(str(value))}")
    return " ".join(words)


def _print_table(best: list[Found], count: int) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE, pad_edge=False, title=f"the best of {some(count, 'trial')}", title_justify="left")
    table.add_column("trial")
    for found in best:
        table.add_column(str(found.number), justify="right")
    rows = {"loss": [found.loss for found in best]}
    rows |= {name: [found.figures[name] for found in best] for name in best[0].figures}
    rows |= {name: [found.arguments[name] for found in best] for name in best[0].arguments}
    for name, cells in rows.items():
        shown = (f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in cells)
        table.add_row(name.replace("_", " "), *shown)
    Console(highlight=False).print(table)


def _app(purpose: str, function: Any, options: list[Any]) -> typer.Typer:
    app = typer.Typer(add_completion=False)
    app.command(purpose)(guarded(with_options(function, options)))
    return app


apps: dict[str, typer.Typer] = {
    purpose: _app(purpose, _command(purpose), constructor_options(purpose)) for purpose in PURPOSES
}
apps["text"] = _app("text", _text, options_of(LanguageModel, panel="Network and training", without={"verbose"}))
