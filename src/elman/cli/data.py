"""What commands that read sequences share: the options that say what a file holds, and how it is read."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from elman.cli.common import talk
from elman.errors import ModelFileError, UsageError, say
from elman.files.plain import refusal
from elman.readers import FORMATS, Columns, Dataset, read
from elman.readers.dataset import Purpose
from elman.readers.door import TABLES
from elman.readers.words import some
from elman.tasks import SequenceClassifier, SequenceRegressor, SequenceTagger

__all__ = [
    "PURPOSES",
    "DataFile",
    "columns_of",
    "purpose_of",
    "read_data",
    "said_columns",
]

PURPOSES: dict[Purpose, Any] = {"classify": SequenceClassifier, "regress": SequenceRegressor, "tag": SequenceTagger}

DataFile = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help=f"A file ({', '.join(end for ends in FORMATS.values() for end in ends)}), or a folder of texts.",
    ),
]


def said_columns(id: str | None, time: str | None, label: str | None, features: list[str] | None) -> Columns:
    """Put together what the options say of the columns."""
    return Columns(id, time, label, tuple(features) if features else None)


def read_data(
    path: str,
    purpose: Purpose,
    columns: Columns,
    *,
    quiet: bool,
    told: bool = True,
    **options: Any,
) -> Dataset:
    """Read a file and say what it was taken for.

    Args:
        path: of the file.
        purpose: what for.
        columns: what is known of them.
        quiet: print nothing.
        told: whether all is to be said, or only how many sequences there are.
        **options: of `elman.readers.read`.
    """
    data = read(path, purpose, columns=columns, verbose=0 if quiet else "auto", **options)
    if not quiet:
        talk(data.account() if told else f"{data.path}: {data.form}, {some(len(data), 'sequence')}")
    return data


def purpose_of(model: Any, path: Any) -> Purpose:
    """Say what a model of sequences is for.

    Raises:
        UsageError: if it is of another kind.
    """
    for purpose, kind in PURPOSES.items():
        if isinstance(model, kind):
            return purpose
    wrong, expected = "this model answers nothing about sequences", "one of elman train classify, regress or tag"
    cure = f"See what it is with: elman info {path}"
    raise UsageError(say(str(path), wrong, expected=expected, got=type(model).__name__, cure=cure))


def columns_of(model: Any, path: Any, said: Columns, *, format: str) -> Columns:
    """Say what the columns of a file are: as the options have it, else as in the training, if that was such a file.

    Args:
        model: that was loaded.
        path: of its file.
        said: what the options say.
        format: of the file that is to be read.

    Raises:
        ModelFileError: if the file says something else about columns than columns.
    """
    try:
        known = msgspec.convert(model.training_.get("columns", {}), Columns)
    except msgspec.ValidationError as error:
        raise ModelFileError(say(str(path), f"its columns are not understood: {refusal(error).sentence}")) from None
    trained = model.training_.get("format")
    if format != trained and not {format, trained} <= TABLES:
        return said
    if said.id is not None or said.time is not None:
        known = msgspec.structs.replace(known, form=None)
    changes = {name: value for name in said.__struct_fields__ if (value := getattr(said, name)) is not None}
    return msgspec.structs.replace(known, **changes)
