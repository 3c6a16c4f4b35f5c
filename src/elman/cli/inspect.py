"""`elman inspect`: a report on what a model does through time."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from elman.cli.columns import Features, Format, Id, Label, Time
from elman.cli.common import Encoding, Errors, Quiet, Suffixes, Threads, check_output, harmless, talk, use_threads
from elman.errors import DataError, UsageError, say

__all__ = ["inspect"]


def inspect(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file.")],
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]",
            help="What to look at it with: a file like that of the training, or a folder of texts; for a bare model an "
            ".npz of x, y and lengths. A language model writes a text itself if there is none.",
        ),
    ] = None,
    text: Annotated[str | None, typer.Option("--text", help="The text itself, in the place of DATA.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where the page goes; default: MODEL with .html.")
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers as JSON, too.")] = None,
    png: Annotated[Path | None, typer.Option("--png", metavar="DIR", help="Write every picture as a PNG, too.")] = None,
    steps: Annotated[int, typer.Option(help="About so many steps of the data are looked at.")] = 4000,
    needs: Annotated[
        int | None, typer.Option(help="Lags that the task needs; a gradient gone before is vanishing; default: 32.")
    ] = None,
    id: Id = None,
    time: Time = None,
    label: Label = None,
    features: Features = None,
    format: Format = None,
    suffix: Suffixes = None,
    encoding: Encoding = "utf-8",
    errors: Errors = "strict",
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """See through a model: write a report on its memory, its gradients, its gates and its answers.

    It is one page that needs no network: how far gradients reach, what each step contributes, what gates and
    units do, where answers came from, how the training went; each with a sentence, pictures and numbers.
    """
    from elman import inspection, tasks

    use_threads(threads)
    page = model.with_suffix(".html") if output is None else output
    if page.suffix.lower() not in (".html", ".htm"):
        raise UsageError(say("--output", "the report is a page", expected="a name that ends in .html", got=page))
    if json is not None and json.suffix.lower() != ".json":
        raise UsageError(say("--json", "this is no name for it", expected="a name that ends in .json", got=json))
    for path in (page, json):
        if path is not None:
            check_output(path)
    if text is not None and data is not None:
        raise UsageError(say("elman inspect", "there is both DATA and --text", cure="Give one of them"))
    loaded = tasks.load(model)
    from elman.cli.data import said_columns

    said = said_columns(id, time, label, features)
    options = {"format": format, "suffixes": suffix, "encoding": encoding, "errors": errors, "quiet": quiet}
    x, y = _read(loaded, model, data, text, said, **options)
    asked = {"steps": steps} if needs is None else {"steps": steps, "needs": needs}
    report = inspection.inspect(loaded, x, y, name=model.stem, verbose=0 if quiet else "auto", **asked)
    report.save(page)
    if json is not None:
        report.save(json)
    pictures = [] if png is None else report.save_pictures(png)
    if not quiet:
        talk(f"Looked at {report.sample}.")
    for section in report:
        print(f"{section.title}: {harmless(section.verdict)}")
    if not quiet:
        more = "" if json is None else f", {json}"
        more += f", {len(pictures)} pictures in {png}" if pictures else ""
        talk(f"Written: {page}{more}. Open {page} in a browser.")


def _read(model: Any, path: Path, data: str | None, text: str | None, said: Any, **options: Any) -> tuple[Any, Any]:
    """Give what a model is looked at with: sequences and targets, as far as there are any."""
    from elman import tasks

    if isinstance(model, tasks.LanguageModel):
        return text if data is None else _corpus(model, data, options), None
    if data is None and text is None:
        return None, None
    if not isinstance(model, tasks.Task):
        return _read_arrays(str(data)) if text is None else _no_text(path)
    from elman.cli.data import columns_of, purpose_of, read_data
    from elman.readers.door import format_of

    purpose = purpose_of(model, path)
    if text is not None:
        return [text.split() if purpose == "tag" else text], None
    format, quiet = options["format"], options.pop("quiet")
    columns = columns_of(model, path, said, format=format_of(str(data), format))
    try:
        read = read_data(str(data), purpose, columns, quiet=quiet, told=False, **options)
    except (DataError, UsageError) as error:  # answers are welcome, but not needed
        read = read_data(str(data), purpose, columns, quiet=True, told=False, needs_label=False, **options)
        if not quiet:
            talk(f"Looking without answers: {error}")
    return read.X, read.y


def _corpus(model: Any, data: str, options: dict[str, Any]) -> Any:
    from elman import tasks

    chosen = {name: options[name] for name in ("suffixes", "encoding", "errors")}
    return tasks.Corpus.from_files(data, vocabulary=model.vocabulary_, **chosen)


def _no_text(path: Path) -> NoReturn:
    cure = "Give its arrays in an .npz as DATA"
    raise UsageError(say("--text", f"{path} is a bare model, which takes numbers", cure=cure))


def _read_arrays(path: str) -> tuple[Any, Any]:
    """Read x, and y and lengths if they are there, from an archive of arrays."""
    import numpy as np

    from elman.errors import MissingFileError
    from elman.ragged import Ragged

    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise MissingFileError(say(path, "there is no such file")) from None
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:  # an array alone, or no array
        cure = "Write it with numpy.savez(path, x=..., y=...); lists of objects cannot be read"
        raise DataError(say(path, f"it is no archive of arrays ({error})", cure=cure)) from None
    if "x" not in arrays:
        raise DataError(say(path, "there is no array x in it", expected="x, y and lengths", got=", ".join(arrays)))
    x, y, lengths = arrays["x"], arrays.get("y"), arrays.get("lengths")
    if lengths is None:
        return x, y
    if len(lengths) != len(x):  # step after step, not padded
        return Ragged(x, lengths), Ragged(y, lengths) if y is not None and len(y) == len(x) else y
    per_step = y is not None and y.shape[:2] == x.shape[:2]
    cut = [row[:n] for row, n in zip(x, lengths, strict=True)]
    return cut, [row[:n] for row, n in zip(y, lengths, strict=True)] if per_step and y is not None else y
