"""`elman quantize`: a model file with fewer bytes per weight."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli.common import (
    Column,
    Encoding,
    Errors,
    Json,
    Quiet,
    Suffixes,
    Threads,
    check_output,
    print_json,
    talk,
    use_threads,
)

__all__ = ["quantize"]


def quantize(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The new file; default: MODEL with .int8 before its ending.")
    ] = None,
    to: Annotated[str, typer.Option(help="int8 (a quarter of the bytes) or bfloat16 (half of them).")] = "int8",
    data: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Measure on it: text, or for a bare model an .npz file of x (and y)."),
    ] = None,
    bound: Annotated[float, typer.Option(help="Refuse if the loss rises by more than this share of it.")] = 0.02,
    column: Column = None,
    suffix: Suffixes = None,
    encoding: Encoding = "utf-8",
    errors: Errors = "strict",
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a model file whose weights take a quarter or half of the bytes.

    With --data both models are measured on it, and the new file is written only if the bound holds.
    """
    from elman.tasks import load

    use_threads(threads)
    target = model.with_name(f"{model.stem}.{to}{model.suffix}") if output is None else output
    check_output(target)
    whole = load(model)
    if math.isnan(bound):
        bound = -1.0  # refused in the words of every number out of range
    shown: Any = 0 if quiet else "auto"
    files = {"column": column, "suffixes": suffix, "encoding": encoding, "errors": errors, "verbose": shown}
    given = None if data is None else _read(whole, data, **files)
    small = whole.quantize(to, given, bound=bound, verbose=shown)
    small.save(target)
    report = small.quantization
    figures = {"model": str(target), "bytes": target.stat().st_size, "bytes_of_model": model.stat().st_size}
    if as_json:
        print_json(figures | report.to_dict())
        return
    print(report)
    if not quiet:
        if report.worst is None:
            talk("Its accuracy was not measured: name a file of data with --data.")
        print(f"Saved {target} ({figures['bytes']:,} bytes). Next: elman info {shlex.quote(str(target))}")


def _read(whole: Any, path: str, **options: Any) -> Any:
    """Read what a task or a bare model is measured on."""
    from elman.tasks import Corpus, LanguageModel, Task

    if isinstance(whole, LanguageModel):
        corpus = Corpus.from_files(path, vocabulary=whole.vocabulary_, **options)
        if corpus.left:
            talk(corpus.account())
        return corpus
    return path if isinstance(whole, Task) else _read_arrays(path)


def _read_arrays(path: str) -> Any:
    """Read x, or x and y, from a file of NumPy's."""
    import zipfile

    import numpy as np

    from elman.errors import DataError, UsageError, say

    expected = "an .npz file with x, or x and y"
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise DataError(say(path, "it is a single array", expected=expected))
        with loaded as arrays:
            if "x" not in arrays:
                raise DataError(say(path, "it has no x", expected=expected, got=", ".join(arrays) or "nothing"))
            return (arrays["x"], arrays["y"]) if "y" in arrays else arrays["x"]
    except FileNotFoundError:
        raise UsageError(say(path, "no such file or directory", expected=expected)) from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(say(path, f"it cannot be read ({error})", expected=expected)) from None
