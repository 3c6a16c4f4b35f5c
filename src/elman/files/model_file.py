"""The `.elman` file: weights, and what the model says about itself, in one container.

The metadata has one key, `elman`: JSON of a `Meta`. No pickle, no names of code.
"""

from __future__ import annotations

import errno
import os
import stat
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping
from io import FileIO
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from elman.errors import DataTypeError, MissingFileError, ModelFileError, SaveError, UsageError, say
from elman.files.durable import write_atomic
from elman.files.format import TensorInfo, container, little_endian, read_array, read_layout
from elman.files.plain import listed, not_plain, quoted, strict_json

__all__ = ["FORMAT", "Header", "Meta", "Quantized", "not_accepted", "open_model", "save"]

FORMAT = 2
"""The newest format of the file that this version reads; 2 is written where weights are quantized, else 1."""

_KEY = "elman"
_HISTORY = "history."
_TOKENIZER = "tokenizer.json"


class Quantized(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What a file says of weights that are stored in fewer bytes.

    Attributes:
        weights: how the matrices are stored: "int8" with a float32 scale per row beside each, or "bfloat16".
        report: what it cost in accuracy, in plain JSON values.
    """

    weights: Literal["int8", "bfloat16"]
    report: dict[str, Any]


class Meta(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What a model file says about itself.

    Attributes:
        format: the format of the file.
        version: the version of elman that wrote it.
        task: what it is for, such as "model" or "language_model".
        config: what rebuilds the model or task, in plain JSON values.
        vocabulary: the vocabulary of a text task.
        training: how it was trained so far.
        quantized: how its weights are stored, if in fewer bytes than they have.
    """

    format: Annotated[int, msgspec.Meta(ge=1)] = 1
    version: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    task: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,63}\Z")]
    config: dict[str, Any]
    vocabulary: dict[str, Any] | None = None
    training: dict[str, Any] | None = None
    quantized: Quantized | msgspec.UnsetType = msgspec.UNSET


class _Writer(msgspec.Struct):
    """The two fields that every format, also of the future, begins with."""

    format: Annotated[int, msgspec.Meta(ge=1, lt=2**31)]
    version: Annotated[str, msgspec.Meta(max_length=64)]


class Header:
    """A model file that is open and whose header is checked; no array is in memory yet.

    The file stays open, so the arrays that are read belong to this header even if a training saves over the file
    meanwhile. It is closed by `close`, by leaving a `with` block, or with the object.

    Attributes:
        where: how messages name the file.
        meta: what the file says about itself.
        shapes: the arrays it holds, name -> (dtype, shape).

    Example:
        >>> import numpy as np, tempfile
        >>> from elman import files
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     meta = files.Meta(version="0.1.0", task="model", config={})
        ...     files.save(f"{folder}/m.elman", {"dense.bias": np.ones(2, np.float32)}, meta)
        ...     with files.open_model(f"{folder}/m.elman") as header:
        ...         weights = header.read({"dense.bias": (2,)}, dtype="float32")
        >>> header.shapes
        {'dense.bias': TensorInfo(dtype='float32', shape=(2,))}
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.where = f"model file {os.fspath(path)!r}"
        self._file = FileIO(_open_regular(path, where=self.where))
        self._finalizer = weakref.finalize(self, self._file.close)
        try:
            size = os.fstat(self._file.fileno()).st_size
            layout = read_layout(self._file, size=size, where=self.where)
            self.meta = _decode_meta(layout.metadata, where=self.where)
        except OSError as error:
            self.close()
            raise _unreadable(error, where=self.where) from error
        except BaseException:
            self.close()
            raise
        self.shapes = layout.tensors
        self._starts = layout.starts

    def read(
        self,
        expected: Mapping[str, tuple[int, ...]] | None = None,
        *,
        dtype: npt.DTypeLike | None = None,
        dtypes: Mapping[str, str] | None = None,
        allow_nonfinite: bool = False,
    ) -> dict[str, npt.NDArray[Any]]:
        """Read the weights, after comparing all names and shapes with what is expected.

        Args:
            expected: the weights the model needs, name -> shape; None reads what is there. The file's history, the
                names that begin with "history.", and its tokenizer are left out unless they are expected.
            dtype: the dtype all weights must have; None takes any.
            dtypes: in its place, that of each, name -> dtype; "bfloat16" is read as float32.
            allow_nonfinite: accept NaN and infinity.

        Returns:
            Name -> array, writeable, C-contiguous, in native byte order; in the order of `expected`.

        Raises:
            ModelFileError: listing every weight that is missing, too many, of another shape or dtype, or not finite.
            ResourceError: if there is no memory for the weights.
        """
        found = {
            name: info
            for name, info in self.shapes.items()
            if not (name.startswith(_HISTORY) or name == _TOKENIZER) or name in (expected or ())
        }
        wanted = {name: info.shape for name, info in found.items()} if expected is None else expected
        kinds = {} if dtype is None else dict.fromkeys(wanted, np.dtype(dtype).name)
        wrongs = list(_differences(found, wanted, kinds if dtypes is None else dtypes))
        if wrongs:
            cure = "The file was written for another model or is damaged"
            raise ModelFileError(say(self.where, f"its weights do not fit: {listed(wrongs)}", cure=cure))
        weights = self._read(wanted)
        if not allow_nonfinite and (wrongs := list(_not_finite(weights))):
            cure = "Load an earlier file, or give allow_nonfinite=True to look at this one"
            raise ModelFileError(say(self.where, listed(wrongs), expected="finite weights", cure=cure))
        return weights

    def read_history(self) -> dict[str, npt.NDArray[Any]]:
        """Read the history of the training.

        Returns:
            Name, without "history." -> figures (n,), which may be NaN.

        Raises:
            ModelFileError: if it is anything else than rows of float32 figures.
        """
        found = {name: info for name, info in self.shapes.items() if name.startswith(_HISTORY)}
        wrongs = [
            f"{quoted(name)} is {info.dtype} {info.shape}"
            for name, info in found.items()
            if info.dtype != "float32" or len(info.shape) != 1
        ]
        if wrongs:
            raise ModelFileError(say(self.where, listed(wrongs), expected="rows of float32"))
        history = self._read(found)
        return {name.removeprefix(_HISTORY): array for name, array in history.items()}

    def read_tokenizer(self) -> dict[str, npt.NDArray[Any]]:
        """Read the tokenizer that the file holds, name -> bytes (n,) uint8; {} if it holds none.

        Raises:
            ModelFileError: if it is anything else than bytes.
        """
        found = {name: info for name, info in self.shapes.items() if name == _TOKENIZER}
        wrongs = [f"{name!r} is {info.dtype} {info.shape}" for name, info in found.items()
                  if info.dtype != "uint8" or len(info.shape) != 1]  # fmt: skip
        if wrongs:
            raise ModelFileError(say(self.where, listed(wrongs), expected="bytes"))
        return self._read(found)

    def close(self) -> None:
        """Close the file; what was read stays."""
        self._finalizer()

    def __enter__(self) -> Header:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Header of {self.where}: {self.meta.task}, {len(self.shapes)} arrays>"

    def _read(self, names: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
        if self._file.closed:
            raise UsageError(say(self.where, "it is closed", cure="Open it again with open_model"))
        try:
            return {
                name: read_array(self._file, self.shapes[name], start=self._starts[name], where=self.where)
                for name in names
            }
        except OSError as error:
            raise _unreadable(error, where=self.where) from error


def open_model(path: str | os.PathLike[str]) -> Header:
    """Open a model file and check all it says, before anything is allocated.

    Args:
        path: a regular file.

    Returns:
        Its header; `header.read(...)` gives the weights.

    Raises:
        UsageError: if there is no such file.
        ModelFileError: if it is not a whole, sane model file that this version can read.
    """
    return Header(path)


def not_accepted(header: Header, part: str, why: str) -> ModelFileError:
    """Give the error for a file that describes what cannot be built.

    Args:
        header: of the file.
        part: of its description, such as "config".
        why: what whoever tried to build it has to say.
    """
    return ModelFileError(say(header.where, f"its {part} is not accepted ({why.removesuffix('.')})"))


def save(
    path: str | os.PathLike[str],
    tensors: Mapping[str, npt.ArrayLike],
    meta: Meta,
    *,
    halved: Collection[str] = (),
    allow_nonfinite: bool = False,
) -> None:
    """Save a model file, atomically and durably.

    Args:
        path: where; its folder must exist.
        tensors: "<layer name>.<param>" -> weights, "history.<name>" -> figures of the training.
        meta: what the file says about itself; its format is set here.
        halved: names of float32 weights that are stored as bfloat16; their lower halves must be zero.
        allow_nonfinite: save weights that hold NaN or infinity, which loading refuses unless told likewise.

    Raises:
        SaveError: if the file cannot be written or weights are not finite; what stood there before is untouched.
        DataTypeError: if an array or a value of `meta` is of a kind that the file cannot hold.
    """
    where = f"saving {os.fspath(path)!r}"
    stored = {name: little_endian(array, name=name) for name, array in tensors.items()}
    wrongs = [f"{name!r} is no name for an array" for name in stored if not name or name.startswith("__")]
    for part in ("config", "vocabulary", "training"):
        wrongs += not_plain(getattr(meta, part), place=part)
    if wrongs:
        raise DataTypeError(say(where, listed(wrongs)))
    if not allow_nonfinite:
        wrongs = list(_not_finite({name: array for name, array in stored.items() if not name.startswith(_HISTORY)}))
        if wrongs:
            cure = "What stood there before is untouched"
            raise SaveError(say(where, listed(wrongs), expected="finite weights", cure=cure))
    text = msgspec.json.encode(msgspec.structs.replace(meta, format=_format_of(meta))).decode()
    write_atomic(path, container(stored, {_KEY: text}, halved=halved))


def _format_of(meta: Meta) -> int:
    """Give the oldest format that can say all this, so that as many versions as possible can read it."""
    return 1 if isinstance(meta.quantized, msgspec.UnsetType) else 2


def _open_regular(path: str | os.PathLike[str], *, where: str) -> int:
    """Open a regular file for reading, without waiting on a pipe or waking a device."""
    try:
        kind = os.stat(path).st_mode
        if stat.S_ISREG(kind):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
            kind = os.fstat(fd).st_mode  # it may have been replaced in between
            if stat.S_ISREG(kind):
                return fd
            os.close(fd)
    except FileNotFoundError as error:
        raise MissingFileError(say(where, "there is no such file")) from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UsageError(say(where, "file name too long")) from error
        raise _unreadable(error, where=where) from error
    except ValueError as error:
        raise UsageError(say(where, "its name holds a NUL character")) from error
    what = "it is a folder" if stat.S_ISDIR(kind) else "it is a device or a pipe"
    raise ModelFileError(say(where, what, expected="a regular file"))


def _unreadable(error: OSError, *, where: str) -> ModelFileError:
    return ModelFileError(say(where, f"it cannot be read: {error.strerror or error}"))


def _decode_meta(metadata: Mapping[str, str], *, where: str) -> Meta:
    """Check the metadata, in an order that gives a file from the future its own message."""
    if set(metadata) != {_KEY}:
        raise ModelFileError(
            say(
                where,
                "this is a safetensors file, but not one that elman saved",
                expected=f"the one metadata key {_KEY!r}",
                got=listed([repr(key[:80]) for key in metadata]) or "none",
            )
        )
    raw = metadata[_KEY].encode()
    writer = strict_json(raw, _Writer, where=where)
    if writer.format > FORMAT:
        cure = "Upgrade with: pip install --upgrade elman"
        newer = f"it was written by elman {writer.version} in file format {writer.format}"
        raise ModelFileError(say(where, newer, expected=f"format {FORMAT} or older", cure=cure))
    meta = strict_json(raw, Meta, where=where)
    for part in ("config", "vocabulary", "training"):
        if wrongs := list(not_plain(getattr(meta, part), place=part)):
            raise ModelFileError(say(where, listed(wrongs)))
    if meta.format < _format_of(meta):
        raise ModelFileError(say(where, f"it is of format {meta.format}, which has no quantized weights"))
    if meta.quantized is not msgspec.UNSET and (wrongs := list(not_plain(meta.quantized.report, place="report"))):
        raise ModelFileError(say(where, listed(wrongs)))
    return meta


def _differences(
    found: Mapping[str, TensorInfo], wanted: Mapping[str, tuple[int, ...]], dtypes: Mapping[str, str]
) -> Iterator[str]:
    """Say how the weights of a file differ from those a model needs."""
    for name, shape in wanted.items():
        if name not in found:
            yield f"{name!r} {tuple(shape)} is missing"
        elif found[name].shape != tuple(shape):
            yield f"{name!r} has shape {found[name].shape}, expected {tuple(shape)}"
    for name, info in found.items():
        if name not in wanted:
            yield f"{name[:80]!r} {info.shape} is one too many"
        elif info.dtype != dtypes.get(name, info.dtype):
            yield f"{name!r} has dtype {info.dtype}, expected {dtypes[name]}"


def _not_finite(weights: Mapping[str, npt.NDArray[Any]]) -> Iterator[str]:
    """Say which weights hold NaN or infinity, and where first."""
    for name, array in weights.items():
        if array.dtype.kind != "f" or (finite := np.isfinite(array)).all():
            continue
        position = tuple(int(i) for i in np.argwhere(~finite)[0])
        yield f"{name!r} holds {array[position]} at {list(position)} ({np.count_nonzero(~finite):,} of {array.size:,})"
