"""`elman inspect`: a report on what a model does through time."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli.common import Encoding, Errors, Quiet, Threads, check_output, harmless, talk, use_threads
from elman.errors import DataError, UsageError, say

__all__ = ["inspect"]


def inspect(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file.")],
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]",
            help="What to look at it with: a text file or folder for a language model, which writes a text itself if "
            "there is none; for other models an .npz of x, y and lengths, or a text file with one sequence per line.",
        ),
    ] = None,
    text: Annotated[str | None, typer.Option("--text", help="The text itself, in the place of DATA.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where the page goes; default: MODEL with .html.")
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers as JSON, too.")] = None,
    png: Annotated[Path | None, typer.Option("--png", metavar="DIR", help="Write every picture as a PNG, too.")] = None,
    steps: Annotated[int, typer.Option(help="About so many steps of the data are looked at.")] = 4000,
    encoding: Encoding = "utf-8",
    errors: Errors = "strict",
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """See through a model: write a report on its memory, its gradients, its gates and its answers.

    The report is one page that needs no network. It says how far gradients reach, what each step contributes, what
    gates and units do, where answers came from, and how the training went: a sentence, a picture and numbers for each.
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
    x, y = _read(loaded, data, text, encoding=encoding, errors=errors)
    report = inspection.inspect(loaded, x, y, steps=steps, name=model.stem, verbose=0 if quiet else "auto")
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


def _read(model: Any, data: str | None, text: str | None, *, encoding: str, errors: str) -> tuple[Any, Any]:
    """Give what a model is looked at with: sequences and targets, as far as there are any."""
    from elman import tasks

    if isinstance(model, tasks.LanguageModel):
        if data is None:
            return text, None
        corpus = tasks.Corpus.from_files(data, encoding=encoding, errors=errors, vocabulary=model.vocabulary_)
        return corpus, None
    if data is None and text is None:
        return None, None
    if data is not None and data.endswith(".npz"):
        return _read_arrays(data)
    lines = (tasks.read_text(str(data), encoding=encoding, errors=errors) if text is None else text).splitlines()
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise DataError(say(data or "--text", "there is no text in it"))
    if isinstance(model, tasks.SequenceTagger):
        # A tagger looks at tokens; which they are in a running text only the user knows, so they stand apart.
        return [line.split() for line in lines], None
    both = [line.rpartition("\t") for line in lines]
    if all(tab for _, tab, _ in both):
        return [line for line, _, _ in both], [label for _, _, label in both]
    return lines, None


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
    if len(lengths) != len(x):
        return Ragged(x, lengths), y  # step after step, not padded
    per_step = y is not None and y.shape[:2] == x.shape[:2]
    cut = [row[:n] for row, n in zip(x, lengths, strict=True)]
    return cut, [row[:n] for row, n in zip(y, lengths, strict=True)] if per_step and y is not None else y
