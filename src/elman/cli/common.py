"""What all commands share: options, where they print, and how an error becomes an exit code.

Data goes to standard output; talk (notes, progress, errors) goes to standard error, so that a pipe carries data only.
"""

from __future__ import annotations

import errno
import inspect
import json
import os
import signal
import sys
import traceback
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from elman.errors import DivergedError, ElmanError, Interrupted, SaveError, UsageError, say

if TYPE_CHECKING:
    from elman.tasks import SaveEachEpoch

__all__ = [
    "Column",
    "DryRun",
    "Encoding",
    "Errors",
    "Json",
    "MemoryMap",
    "Quiet",
    "Suffixes",
    "Threads",
    "Watch",
    "alone",
    "check_output",
    "finish_streams",
    "guarded",
    "harmless",
    "in_colour",
    "is_usage",
    "leave_quietly",
    "load",
    "make_folder",
    "prepare_streams",
    "print_json",
    "print_rehearsal",
    "reader_left",
    "report",
    "report_usage",
    "talk",
    "use_threads",
    "what_is_saved",
]

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Encoding = Annotated[str, typer.Option(help="The encoding of text files.")]
Errors = Annotated[str, typer.Option(help="What to do with bytes that are not text: strict, replace or ignore.")]
Column = Annotated[
    str | None, typer.Option(help="The column of texts in Parquet and Arrow tables; needs elman[arrow].")
]
Suffixes = Annotated[
    list[str] | None,
    typer.Option("--suffix", help="Which files of a folder are taken; default: .txt. May be given several times."),
]
MemoryMap = Annotated[
    bool | None,
    typer.Option(
        "--memory-map/--no-memory-map",
        help="Whether the encoded text lies in a temporary file, on disk; default: if it is large.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say how large the network is and how long it will take, and train nothing.")
]
Threads = Annotated[int | None, typer.Option(help="How many threads to use; default: all cores allowed.")]

Watch = Annotated[
    bool, typer.Option("--watch", help="Show the gradients by layer and by lag, and warn if they vanish or explode.")
]


def talk(text: str) -> None:
    """Print a line of talk on standard error, if someone listens there."""
    # sys.stderr as it now stands: a running progress bar has put itself there to keep the lines apart.
    try:
        print(text, file=sys.stderr, flush=True)
    except BrokenPipeError:
        _discard(sys.stderr)


@contextmanager
def what_is_saved(saver: SaveEachEpoch, *, following: str) -> Iterator[None]:
    """Say what the model file holds if something ends the training.

    Args:
        saver: keeps the file.
        following: the command that one would give next.
    """
    try:
        yield
    except Interrupted:
        settings = getattr(saver.task, "settings_", {})
        of = f" of {settings['epochs']}" if "epochs" in settings else ""
        talk(f"Stopped in epoch {saver.epochs + 1}{of}. {saver.state}")
        if saver.saved:
            talk(f"Next: {following}")
        raise
    except (DivergedError, SaveError):
        talk(saver.state)
        raise


def prepare_streams() -> None:
    """Make the standard streams such that nothing printed can fail for its characters or for a closed stream."""
    if sys.stdin is None:
        # Else the first file that is opened, such as the model's, would be standard input.
        os.open(os.devnull, os.O_RDONLY)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - it lasts as long as we do
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # Any script, whatever the locale says; names of files that are not UTF-8 come as lone surrogates.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def finish_streams(code: int) -> int:
    """Write out what is still held back; return the exit code, another one if nobody took it."""
    try:
        sys.stderr.flush()
    except BrokenPipeError:
        _discard(sys.stderr)
    try:
        sys.stdout.flush()
    except OSError as error:
        if reader_left(error):
            return leave_quietly()
        if code:  # it has been told
            _discard(sys.stdout)
            return code
        code = report(error)
        _discard(sys.stdout)
    return code


def reader_left(error: BaseException) -> bool:
    """Tell whether an error means that the reader, such as `head`, has what it wanted.

    Rich and click make a SystemExit of it.
    """
    cause = error.__context__ if isinstance(error, SystemExit) else error
    return isinstance(cause, BrokenPipeError) or (isinstance(cause, OSError) and cause.errno == errno.EPIPE)


def leave_quietly() -> int:
    """Drop what the reader does not want any more; return the exit code that shells have for it."""
    _discard(sys.stdout)
    return 128 + signal.SIGPIPE


def _discard(stream: TextIO) -> None:
    """Send a stream to nowhere; closing it would only raise BrokenPipeError again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def print_json(data: Any) -> None:
    """Print data as one JSON document on standard output, any script as it is."""
    print(json.dumps(data, ensure_ascii=False, allow_nan=False, indent=2))


def harmless(text: str) -> str:
    """Replace what would steer a terminal instead of being seen; a model file may come from a stranger."""
    return "".join("\ufffd" if unicodedata.category(c) == "Cc" and c not in "\n\t\r" else c for c in text)


def load(path: Path, *, task: str) -> Any:
    """Load a model file that must be of one task.

    Raises:
        UsageError: if there is no such file or its task is another.
    """
    from elman import tasks

    loaded = tasks.load(path)
    if not isinstance(loaded, tasks.TASKS[task]):
        cure = f"See what it is with: elman info {path}"
        raise UsageError(say(str(path), f"this is no {task.replace('_', ' ')}", got=type(loaded).__name__, cure=cure))
    return loaded


def check_output(path: Path, *, sources: Iterable[str] = (), what: str = "model") -> None:
    """Refuse now a file that could not be saved after the work, or would destroy what is read.

    Args:
        path: of what is written.
        sources: files that are read.
        what: is written.

    Raises:
        UsageError: if a model cannot be saved there.
    """
    from elman.files import check_target

    if str(path) == "-":
        cure = "Give the name of a file"
        raise UsageError(
            say("--output -", "the model cannot go to standard output, results are printed there", cure=cure)
        )
    try:
        check_target(path)
    except SaveError as error:
        raise UsageError(str(error)) from None
    for source in sources:
        if source != "-" and path.exists() and os.path.exists(source) and path.samefile(source):
            read = "text" if source.endswith(".txt") else "data"
            wrong = (
                f"the {what} would replace the {read} it is trained on"
                if what == "model"
                else f"{what} would replace {source}"
            )
            raise UsageError(say(f"--output {path}", wrong, cure="Give another name"))


def print_rehearsal(rehearsal: Any, *, as_json: bool) -> None:
    """Print what a training will be: shapes, parameters, memory and time."""
    if as_json:
        print_json(rehearsal.to_dict())
        return
    rehearsal.model.summary()
    print(rehearsal)
    print("Nothing was trained and nothing saved. Leave out --dry-run to train.")


def make_folder(path: Path, where: str) -> None:
    """Make a folder for what a command writes, unless it is there.

    Raises:
        UsageError: if it cannot be one.
    """
    if str(path) == "-":
        raise UsageError(say(where, "--output is a folder, not standard output", cure="Give its name"))
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UsageError(say(where, "--output is not a folder", got=path)) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(say(where, f"the folder cannot be made ({reason.lower()})", got=path)) from None


def use_threads(count: int | None) -> None:
    """Set the number of threads, if one was asked for."""
    if count is not None:
        import elman

        elman.set_threads(count)


def guarded(function: Callable[..., None]) -> Callable[..., None]:
    """Make a command of a function: an error becomes one line and an exit code.

    The command gets the option `--debug`; with an argument `quiet`, notes are not printed.
    """

    def run(*args: Any, debug: bool, **kwargs: Any) -> None:
        code = 0
        with warnings.catch_warnings():
            notes: Any = "ignore" if kwargs.get("quiet") else "default"
            warnings.simplefilter(notes, UserWarning)
            # NumPy's remarks on its own arithmetic tell a user nothing; what elman says of itself does.
            warnings.simplefilter("ignore", RuntimeWarning)
            warnings.filterwarnings(notes, message="elman: ", category=RuntimeWarning)
            warnings.showwarning = _note
            try:
                function(*args, **kwargs)
                sys.stdout.flush()
            except BaseException as error:
                if isinstance(error, typer.Exit) or is_usage(error):
                    raise
                code = report(error, debug=debug)
        raise typer.Exit(code)

    signature = inspect.signature(function, eval_str=True)
    option = inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Debug)
    parameters = [*signature.parameters.values(), option]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__name__ = function.__name__
    run.__doc__ = function.__doc__
    return run


def alone(command: Callable[..., None]) -> Callable[..., None]:
    """Make what a group does without a command of one that is guarded."""

    def run(ctx: typer.Context, **options: Any) -> None:
        if ctx.invoked_subcommand is None:
            command(**options)

    signature = inspect.signature(command)
    ctx = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    parameters = [ctx, *signature.parameters.values()]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def is_usage(error: BaseException) -> bool:
    """Tell whether typer refused the command line; the class has moved between its releases."""
    return any(kind.__name__ == "ClickException" for kind in type(error).__mro__)


def report_usage(error: Any) -> int:
    """Print why the command line was refused; return the exit code."""
    talk(f"{_coloured('error:', 31)} {error.format_message()}")
    context = getattr(error, "ctx", None)
    if context is not None:
        talk(f"Try: {context.command_path} --help")
    return int(error.exit_code)


def report(error: BaseException, *, debug: bool = False) -> int:
    """Print what went wrong, in one line or with its traceback; return the exit code."""
    if reader_left(error):
        return leave_quietly()
    if debug:
        traceback.print_exception(error)
    match error:
        case Interrupted():
            return error.exit_code
        case KeyboardInterrupt():
            return 128 + signal.SIGINT
        case ElmanError():
            code, text = error.exit_code, str(error)
        case MemoryError():
            code, text = 6, "there is not enough memory"
        case OSError():
            code, text = 6, f"{error.filename or 'output'}: {error.strerror or error}"
        case _:
            hint = "Run it again with --debug to see where, and please report it."
            code, text = 1, f"internal error: {type(error).__name__}: {error}. {hint}"
    if not debug:
        talk(f"{_coloured('error:', 31)} {text}")
    return code


def _note(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    talk(f"{_coloured('note:', 33)} {message}")


def in_colour(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal with colours; NO_COLOR turns them off (no-color.org)."""
    return not (os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb") and stream.isatty()


def _coloured(word: str, code: int) -> str:
    return f"\x1b[1;{code}m{word}\x1b[0m" if in_colour(sys.stderr) else word
