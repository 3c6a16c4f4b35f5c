"""The safetensors container: named arrays behind a JSON header, checked before anything is allocated.

A file is 8 bytes (the length of the header, little-endian), the header, the arrays. The safetensors library writes it,
from C-contiguous arrays, because it scrambles transposed ones (0.8.0). The header is read here, because the library
takes duplicate names, and a file from a stranger is to be refused before anything is allocated.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from io import FileIO
from typing import IO, Annotated, Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from elman.errors import DataTypeError, ModelFileError, ResourceError, SaveError, say
from elman.files.plain import listed, quoted, strict_json

__all__ = ["MAX_HEADER", "Layout", "TensorInfo", "container", "little_endian", "read_array", "read_layout"]

# Weights and histories are arrays, so 16 MiB of names and vocabulary is plenty; the library would allow 100 MB.
MAX_HEADER = 16 * 2**20
_MAX_BYTES = 2**48  # of one array, its dimensions of length 0 counted as 1: NumPy itself refuses [0, 2**62]
_MAX_DIMENSIONS = 8

_METADATA = "__metadata__"
_DTYPES = {
    code: np.dtype(text)
    for code, text in (
        *(("F64", "<f8"), ("F32", "<f4"), ("F16", "<f2")),
        *(("I64", "<i8"), ("I32", "<i4"), ("I16", "<i2"), ("I8", "|i1")),
        *(("U64", "<u8"), ("U32", "<u4"), ("U16", "<u2"), ("U8", "|u1")),
    )
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
# NumPy has no such numbers: here they are float32 whose lower half is zero, in the file their upper half.
_BFLOAT16, _UPPER_HALF = "BF16", np.dtype("<u2")
_NAMES = {_BFLOAT16: "bfloat16"} | {code: dtype.name for code, dtype in _DTYPES.items()}

# What people give by mistake, by its first bytes.
_NO_PICKLE = "Loading one can run any code that its author put in, so elman never does"
_FOREIGN: list[tuple[bytes, str, str | None]] = [
    *((bytes([0x80, protocol]), "a Python pickle", _NO_PICKLE) for protocol in range(2, 6)),
    (b"PK\x03\x04", "a zip archive, such as a PyTorch checkpoint, which is a pickle inside", _NO_PICKLE),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, such as Keras weights", "Give a file that elman saved"),
    (b"\x1f\x8b", "compressed with gzip", "Decompress it with gunzip first"),
    (b"\x93NUMPY", "a NumPy array file", "Give a file that elman saved"),
    (b"GGUF", "a GGUF file", "Give a file that elman saved"),
    (b"version https://git-lfs", "only a Git LFS pointer to the file", "Fetch the file with git lfs pull"),
    (b"<", "a web page, as a failed download leaves it", "Download it again"),
]


class TensorInfo(NamedTuple):
    """What a file says of one array: NumPy's name of its dtype (or "bfloat16", read as float32), and its shape."""

    dtype: str
    shape: tuple[int, ...]


class Layout(NamedTuple):
    """A checked header: the metadata, the arrays in file order, and where the bytes of each begin."""

    metadata: dict[str, str]
    tensors: dict[str, TensorInfo]
    starts: dict[str, int]


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    dtype: str
    shape: Annotated[list[int], msgspec.Meta(max_length=_MAX_DIMENSIONS)]
    data_offsets: tuple[int, int]


def little_endian(array: npt.ArrayLike, *, name: str) -> npt.NDArray[Any]:
    """Return an array as the file stores it, copied only if it must be.

    Args:
        array: any array of real numbers.
        name: the name it will be stored under.

    Returns:
        The same values, C-contiguous and little-endian.

    Raises:
        DataTypeError: if its dtype is none that the file can hold.
    """
    given = np.asarray(array)
    dtype = given.dtype.newbyteorder("<")
    if dtype not in _CODES:
        names = ", ".join(known.name for known in _CODES)
        raise DataTypeError(say("saving", f"{name!r} cannot be stored", expected=names, got=f"dtype {given.dtype}"))
    return np.asarray(given, dtype=dtype, order="C")  # ascontiguousarray would turn shape () into (1,)


def container(
    tensors: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str], *, halved: Collection[str] = ()
) -> bytes:
    """Give the bytes of a container; equal models are equal bytes.

    Args:
        tensors: arrays as `little_endian` returns them.
        metadata: texts for the header.
        halved: names of float32 arrays that are stored as bfloat16; their lower halves must be zero.

    Raises:
        DataTypeError: if an array that is to be halved would lose something.
        SaveError: if the header is longer than reading would accept.
    """
    from safetensors.numpy import save  # here, because reading does without it

    stored = {name: _upper_half(array, name) if name in halved else array for name, array in tensors.items()}
    data = save(stored, dict(metadata))
    if halved:
        data = _renamed(data, halved)
    length = int.from_bytes(data[:8], "little")
    if length > MAX_HEADER:
        limit = f"at most {MAX_HEADER:,} bytes"
        raise SaveError(say("saving", "vocabulary and settings are too long", expected=limit, got=f"{length:,}"))
    return data


def _upper_half(array: npt.NDArray[Any], name: str) -> npt.NDArray[np.uint16]:
    """Give what bfloat16 keeps of float32."""
    bits = array.view("<u4")
    if array.dtype != np.dtype("<f4") or (bits & 0xFFFF).any():
        wrong = f"{name!r} is no bfloat16"
        raise DataTypeError(say("saving", wrong, expected="float32 whose lower half is zero", got=f"{array.dtype}"))
    upper: npt.NDArray[np.uint16] = (bits >> 16).astype(_UPPER_HALF)
    return upper


def _renamed(data: bytes, names: Collection[str]) -> bytes:
    """Say of 16-bit arrays that they are bfloat16, which the library cannot be told through NumPy."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    for name in names:
        header[name]["dtype"] = _BFLOAT16
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # arrays begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def read_layout(file: IO[bytes], *, size: int, where: str) -> Layout:
    """Read and check the header of a container; no array is allocated.

    Args:
        file: an open binary file.
        size: its length in bytes.
        where: how messages name it.

    Raises:
        ModelFileError: if it is not a container, not a whole one, or its header does not add up.
    """
    file.seek(0)
    first = file.read(32)
    _check_start(first, size=size, where=where)
    begin = 8 + int.from_bytes(first[:8], "little")
    file.seek(8)
    header = strict_json(file.read(begin - 8), dict[str, msgspec.Raw], where=where)
    try:
        metadata = msgspec.json.decode(header.pop(_METADATA, b"{}"), type=dict[str, str])
        entries = {name: msgspec.json.decode(entry, type=_Entry) for name, entry in header.items()}
    except msgspec.DecodeError as error:
        raise ModelFileError(say(where, f"its header is not that of a model file ({str(error)[:200]})")) from error
    wrongs = [wrong for name, entry in entries.items() for wrong in _check_entry(name, entry)]
    if wrongs:
        raise ModelFileError(say(where, listed(wrongs)))
    _check_cover(entries, begin=begin, size=size, where=where)
    order = sorted(entries, key=lambda name: entries[name].data_offsets)
    tensors = {name: TensorInfo(_NAMES[entries[name].dtype], tuple(entries[name].shape)) for name in order}
    return Layout(metadata, tensors, {name: begin + entries[name].data_offsets[0] for name in order})


def read_array(file: FileIO, info: TensorInfo, *, start: int, where: str) -> npt.NDArray[Any]:
    """Read one array of a checked container.

    Args:
        file: the open file that `read_layout` checked.
        info: its dtype and shape.
        start: where its bytes begin.
        where: how messages name the file.

    Raises:
        ModelFileError: if the file was shortened since it was checked.
        ResourceError: if there is no memory for the array.
    """
    halved = info.dtype == _NAMES[_BFLOAT16]
    stored = _UPPER_HALF if halved else np.dtype(info.dtype).newbyteorder("<")
    try:
        array = np.empty(info.shape, dtype=stored)
    except MemoryError as error:
        raise ResourceError(say(where, f"no memory for an array of shape {info.shape}")) from error
    rest = array.reshape(-1).view(np.uint8).data
    file.seek(start)
    while rest:
        count = file.readinto(rest)
        if not count:
            raise ModelFileError(say(where, "the file became shorter while it was read", cure="Load it again"))
        rest = rest[count:]
    if halved:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(stored.newbyteorder("="), copy=False)


def _check_start(first: bytes, *, size: int, where: str) -> None:
    """Refuse what cannot be a container by its first bytes, and say what it is instead."""
    length = int.from_bytes(first[:8], "little")
    if size >= 8 and first[8:9] in (b"", b"{"):
        if length > MAX_HEADER:
            claim = f"the header claims {length:,} bytes"
            raise ModelFileError(say(where, claim, expected=f"at most {MAX_HEADER:,}"))
        if 8 + length > size:
            raise _cut_short(8 + length, size=size, where=where)
        return
    for magic, kind, cure in _FOREIGN:
        if first.startswith(magic):
            raise ModelFileError(say(where, f"this is no elman model file, it is {kind}", cure=cure))
    if size < 8:
        what = "is empty" if size == 0 else f"has only {size} byte{'s' * (size > 1)}"
        raise ModelFileError(say(where, f"the file {what}", expected="more than 8 bytes"))
    raise ModelFileError(say(where, "this is no elman model file", got=f"{size:,} bytes beginning with {first[:8]!r}"))


def _check_entry(name: str, entry: _Entry) -> list[str]:
    """Return what is wrong with one array's entry."""
    dtype = _UPPER_HALF if entry.dtype == _BFLOAT16 else _DTYPES.get(entry.dtype)
    if dtype is None:
        return [f"{quoted(name)} is stored as {quoted(entry.dtype)}; elman reads {', '.join(_NAMES)}"]
    start, stop = entry.data_offsets
    if not all(0 <= number < 2**63 for number in (*entry.shape, start, stop)):
        return [f"{quoted(name)} has numbers below 0 or beyond 63 bits"]
    if math.prod(max(length, 1) for length in entry.shape) * dtype.itemsize > _MAX_BYTES:
        return [f"{quoted(name)} has the impossible shape {entry.shape}"]
    need = math.prod(entry.shape) * dtype.itemsize
    if stop - start != need:
        return [f"{quoted(name)} of shape {entry.shape} needs {need:,} bytes and has {stop - start:,}"]
    return []


def _check_cover(entries: Mapping[str, _Entry], *, begin: int, size: int, where: str) -> None:
    """Check that the arrays fill the rest of the file: no hole, no overlap, nothing missing, nothing left."""
    spans = sorted((*entry.data_offsets, name) for name, entry in entries.items())
    end = begin + max((stop for _, stop, _ in spans), default=0)
    if end > size:
        raise _cut_short(end, size=size, where=where)
    reached = 0
    for start, stop, name in spans:
        if start != reached:
            what = "overlaps another array" if start < reached else "leaves a hole before it"
            raise ModelFileError(say(where, f"{quoted(name)} {what}", expected=f"offset {reached:,}", got=f"{start:,}"))
        reached = stop
    if end < size:
        extra = f"{size - end:,} bytes follow the last array"
        raise ModelFileError(say(where, extra, expected=f"{end:,} bytes", got=f"{size:,}"))


def _cut_short(need: int, *, size: int, where: str) -> ModelFileError:
    cure = "Copy or download it again"
    return ModelFileError(say(where, "the file is cut short", expected=f"{need:,} bytes", got=f"{size:,}", cure=cure))
