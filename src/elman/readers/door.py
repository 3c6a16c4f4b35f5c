"""The door: which format a file is, and who reads it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

from elman.errors import UsageError, say
from elman.readers.conllu import read_conllu
from elman.readers.csv_file import read_csv
from elman.readers.dataset import Columns, Dataset, Purpose
from elman.readers.json_lines import read_json_lines
from elman.readers.labelled_lines import read_labelled_lines
from elman.readers.npz_file import read_npz
from elman.readers.parquet import read_parquet
from elman.readers.table import as_dataset
from elman.readers.text import read_lines, read_whole
from elman.readers.text_folder import read_text_folder
from elman.readers.ts_file import read_ts
from elman.tasks.tables import SUFFIXES, is_table
from elman.training.progress import Verbose

__all__ = ["FORMATS", "TABLES", "format_of", "read"]

FORMATS: dict[str, tuple[str, ...]] = {
    "csv": (".csv", ".tsv"),
    "jsonl": (".jsonl", ".ndjson"),
    "npz": (".npz",),
    "ts": (".ts",),
    "conllu": (".conllu", ".conll"),
    "lines": (".txt",),
    "parquet": SUFFIXES,
    "folder": (),
}
"""Every format, and the ends of the names of its files; those of text may end in .gz besides."""

TABLES = frozenset({"csv", "jsonl", "parquet"})
"""Formats whose columns have names."""


def read(
    path: str | os.PathLike[str],
    purpose: Purpose,
    *,
    columns: Columns | None = None,
    format: str | None = None,
    needs_label: bool = True,
    suffixes: Sequence[str] | None = None,
    encoding: str = "utf-8",
    errors: str = "strict",
    verbose: Verbose = 0,
) -> Dataset:
    """Read a file of any format as sequences.

    Args:
        path: a file, or a folder of texts; "-" is standard input.
        purpose: "classify" and "regress" have an answer for each sequence, "tag" one for each step.
        columns: what the columns of a table are; what it leaves open is found by their names.
        format: one of FORMATS; None goes by the name of the file.
        needs_label: whether answers are read and must be there; else they are passed over.
        suffixes: which files of a folder are texts; None takes .txt.
        encoding: of text.
        errors: what to do with bytes that are no text: "strict", "replace" or "ignore".
        verbose: 0 silent; else what takes long shows how far it is.

    Raises:
        UsageError: if there is no such file or format, or it is not known what a column is.
        DataError: if the file cannot be used, naming the line.
    """
    name = os.fspath(path)
    if purpose not in get_args(Purpose):
        expected = " or ".join(map(repr, get_args(Purpose)))
        raise UsageError(say("read", "purpose is not accepted", expected=expected, got=repr(purpose)))
    said, kind = columns or Columns(), format_of(name, format)
    if kind != "conllu" and kind in ("ts", "folder") and purpose == "tag":
        cure = "Take CSV in long form, JSON lines, CoNLL-U or .npz"
        raise UsageError(say(name, "this format has no label for each step", cure=cure))
    if kind == "conllu" and purpose != "tag":
        raise UsageError(say(name, "CoNLL-U has labels for words, not for sentences", cure="Take elman train tag"))
    if kind == "folder":
        read = read_text_folder(
            name, purpose, needs_label=needs_label, suffixes=suffixes, encoding=encoding, errors=errors, verbose=verbose
        )
    elif kind == "npz":
        read = read_npz(name, purpose, said, needs_label=needs_label)
    elif kind == "parquet":
        read = as_dataset(read_parquet(name), purpose, said, needs_label=needs_label)
    elif kind == "csv":
        text = read_whole(name, encoding=encoding, errors=errors)
        read = as_dataset(read_csv(name, text, verbose=verbose), purpose, said, needs_label=needs_label)
    else:
        read = _of_lines(name, kind, purpose, said, needs_label, encoding, errors, verbose)
    if needs_label:
        read.check_answers()
    return replace(read, format=kind)


def _of_lines(
    name: str, kind: str, purpose: Purpose, said: Columns, needs_label: bool, encoding: str, errors: str, verbose: Any
) -> Dataset:
    lines = read_lines(name, encoding=encoding, errors=errors)
    if kind == "jsonl":
        return as_dataset(read_json_lines(name, lines, verbose=verbose), purpose, said, needs_label=needs_label)
    if kind == "ts":
        return read_ts(name, lines, purpose, needs_label=needs_label, verbose=verbose)
    if kind == "conllu":
        return read_conllu(name, lines, label=said.label, needs_label=needs_label, verbose=verbose)
    return read_labelled_lines(name, lines, purpose, needs_label=needs_label)


def format_of(name: str, said: str | None = None) -> str:
    """Say which format a file is, by its first bytes or its name.

    Args:
        name: of the file; "-" is standard input.
        said: what the user says it is.

    Raises:
        UsageError: if there is no such format, or nothing says which it is.
    """
    if said is not None:
        if said not in FORMATS:
            raise UsageError(
                say("format", "there is no such format", expected=f"one of {', '.join(FORMATS)}", got=repr(said))
            )
        return said
    if name == "-":
        return "lines"
    if os.path.isdir(name):
        return "folder"
    if is_table(name):
        return "parquet"
    plain = name.lower().removesuffix(".gz")
    for kind, ends in FORMATS.items():
        if plain.endswith(ends) and ends:
            return kind
    if not os.path.exists(name):
        raise UsageError(say(name, "no such file or directory", expected="a file, or a folder of texts"))
    all_ends = [end for ends in FORMATS.values() for end in ends]
    cure = f"Say what it is: --format {', '.join(list(FORMATS)[:-2])} or {list(FORMATS)[-2]}"
    raise UsageError(say(name, "its name does not say what it is", expected=f"one of {', '.join(all_ends)}", cure=cure))
