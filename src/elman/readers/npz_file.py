"""NumPy's archives: an array of sequences, or their steps one after another and how many each has."""

from __future__ import annotations

import zipfile
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, ElmanError, UsageError, say
from elman.readers.dataset import Columns, Dataset, Purpose
from elman.readers.words import listed

__all__ = ["read_npz"]

Array = NDArray[Any]

_X = ("x", "values", "sequences", "inputs", "features", "texts")
_Y = ("y", "label", "labels", "target", "targets", "tags", "class")


def read_npz(path: str, purpose: Purpose, said: Columns, *, needs_label: bool) -> Dataset:
    """Read the arrays of an archive.

    Args:
        path: of the file.
        purpose: what it is read for.
        said: the names of the arrays, as features and label.
        needs_label: whether answers must be there.

    Raises:
        UsageError: if an array is not there, or nothing says which it is.
        DataError: if the archive is broken, holds Python's objects, or its arrays do not fit each other.
    """
    arrays = _arrays(path)
    name = said.features[0] if said.features else _found(path, arrays, _X, "--features", "sequences")
    label = (said.label or _found(path, arrays, _Y, "--label", "labels")) if needs_label else None
    for wanted in (name, *([label] if label else [])):
        if wanted not in arrays:
            raise UsageError(say(path, f"there is no array {wanted!r}", expected=f"one of {listed(arrays)}"))
    lengths = next((arrays[key] for key in arrays if key.lower() == "lengths"), None)
    where = f"{path}, array {name!r}"
    X, form = _sequences(where, arrays[name], lengths)
    y = None if label is None else _answers(f"{path}, array {label!r}", arrays[label], purpose, X)
    ids = next((arrays[key] for key in arrays if key.lower() in ("id", "ids")), np.arange(len(X)))
    if len(ids) != len(X):
        raise DataError(say(path, "there are not as many ids as sequences", expected=len(X), got=len(ids)))
    taken = {"features": f"array {name!r}, {form}"}
    if label is not None:
        taken["label"] = f"array {label!r}"
    return Dataset(path, X, y, ids.tolist(), purpose, "arrays of NumPy", taken=taken)


def _arrays(path: str) -> dict[str, Array]:
    try:
        archive = np.load(path, allow_pickle=False)
        if not hasattr(archive, "files"):
            raise DataError(say(path, "this is a single array", expected="an archive", cure="Write it with np.savez"))
        with archive:
            return {name: archive[name] for name in archive.files}
    except ElmanError:
        raise
    except ValueError as error:
        if "allow_pickle" not in str(error) and "pickled" not in str(error):
            raise DataError(say(path, f"the archive cannot be read ({error})")) from None
        wrong = "it holds Python objects, which could run anything when they are read"
        cure = "Of sequences that differ in length save values=np.concatenate(X) and lengths=[len(x) for x in X]"
        raise DataError(say(path, wrong, expected="arrays of numbers or text", cure=cure)) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, OSError) as error:
        if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
            raise UsageError(say(path, str(error.strerror).lower(), expected="a .npz file")) from None
        raise DataError(say(path, f"the archive cannot be read ({error})")) from None


def _found(path: str, arrays: dict[str, Array], known: tuple[str, ...], flag: str, what: str) -> str:
    """Find an array by its name; of those of Keras's data sets that of training."""
    for name in (*known, f"{known[0]}_train"):
        for given in arrays:
            if given.lower() == name:
                return given
    cure = f"Say which it is: {flag} {next(iter(arrays), 'NAME')}"
    wrong, got = f"no array is known to be the {what}", f"arrays {listed(arrays)}"
    raise UsageError(say(path, wrong, expected=f"one that is called {' or '.join(known[:3])}", got=got, cure=cure))


def _sequences(where: str, x: Array, lengths: Array | None) -> tuple[list[Any], str]:
    if x.ndim and not len(x):
        raise DataError(say(where, "it has 0 samples", expected="at least 1"))
    if x.dtype.kind in "US" and x.ndim == 1:
        return x.astype(str).tolist(), "texts"
    if x.dtype.kind not in "fiub":
        raise DataError(say(where, "it holds no numbers", expected="numbers, or texts (n,)", got=f"dtype {x.dtype}"))
    if lengths is not None:
        return _of_lengths(where, x, lengths)
    if x.ndim not in (2, 3):
        expected = "(n, steps, features), (n, steps), or values (N, features) beside an array 'lengths'"
        raise DataError(say(where, f"it has {x.ndim} axes", expected=expected, got=f"shape {x.shape}"))
    _check_finite(where, x)
    form = "(n, steps, features)" if x.ndim == 3 else "(n, steps) of one channel"
    return list(x if x.ndim == 3 else x[:, :, None]), form


def _of_lengths(where: str, x: Array, lengths: Array) -> tuple[list[Any], str]:
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or (lengths < 0).any():
        got = f"shape {lengths.shape} of {lengths.dtype}"
        raise DataError(say(where, "'lengths' is not one number of steps each", expected="integers (n,) >= 0", got=got))
    if x.ndim == 3 or (x.ndim == 2 and len(x) == len(lengths) and int(lengths.sum()) != len(x)):
        x = x if x.ndim == 3 else x[:, :, None]
        if len(x) != len(lengths) or (lengths > x.shape[1]).any():
            expected, got = f"{len(x)} lengths of at most {x.shape[1]}", f"{len(lengths)} of at most {lengths.max()}"
            raise DataError(say(where, "'lengths' does not fit it", expected=expected, got=got))
        parts = [row[:length] for row, length in zip(x, lengths.tolist(), strict=True)]
        for index, part in enumerate(parts):
            _check_finite(f"{where}, sequence {index}", part)
        return parts, "(n, steps, features), the first so many steps of each"
    if x.ndim > 2 or int(lengths.sum()) != len(x):
        got = f"{int(lengths.sum()):,} for shape {x.shape}"
        raise DataError(say(where, "'lengths' does not add up to its rows", expected=f"{len(x):,}", got=got))
    _check_finite(where, x)
    values = x[:, None] if x.ndim == 1 else x
    return np.split(values, np.cumsum(lengths)[:-1]), "steps (N, features), cut by 'lengths'"


def _check_finite(where: str, x: Array) -> None:
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        place = tuple(bad[0].tolist())
        cure = "Fill it, or leave those steps out"
        what = "a value is missing" if np.isnan(x[place]) else "a value is infinite"
        raise DataError(say(where, what, expected="finite numbers", got=f"{x[place]} at {list(place)}", cure=cure))


def _answers(where: str, y: Array, purpose: Purpose, X: list[Any]) -> Any:
    kinds = {"classify": "iubUS", "tag": "iubUS", "regress": "fiub"}[purpose]
    whole = purpose != "regress" and y.dtype.kind == "f" and bool(np.isfinite(y).all() and (y == np.floor(y)).all())
    if y.dtype.kind not in kinds and not whole:
        cure = {"regress": "For labels: elman train classify"}.get(purpose, "For numbers: elman train regress")
        expected = "numbers" if purpose == "regress" else "integers or text"
        raise DataError(say(where, "these are no such labels", expected=expected, got=f"dtype {y.dtype}", cure=cure))
    y = y.astype(np.int64) if whole else y.astype(str) if y.dtype.kind == "S" else y
    if purpose == "regress":
        _check_finite(where, y)
    if purpose == "tag":
        sizes = [len(x) for x in X]
        if y.ndim == 1 and len(y) == sum(sizes):
            return np.split(y, np.cumsum(sizes)[:-1])
        if y.ndim == 2 and len(y) == len(X) and all(size <= y.shape[1] for size in sizes):
            return [row[:size] for row, size in zip(y, sizes, strict=True)]
        expected = f"one for each of {sum(sizes):,} steps, or (n, steps)"
        raise DataError(say(where, "it has not a label for each step", expected=expected, got=f"shape {y.shape}"))
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if len(y) != len(X) or y.ndim > (2 if purpose == "regress" else 1):
        got = f"shape {y.shape}"
        raise DataError(say(where, "it has not one label for each sequence", expected=f"({len(X)},)", got=got))
    return y
