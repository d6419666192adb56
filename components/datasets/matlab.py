"""Reads vectors of integers from a MATLAB file, and survives damaged files.

scipy.io.loadmat reads intact files well. But a wrong byte in a tag makes its C code read outside
its tables, which crashes the process (scipy 1.17: 24 of 3,000 uncompressed files with one changed
byte). A damaged download must give a clear error instead, and this project needs only a few
vectors.

Format: MathWorks, "MAT-File Format", level 5. A header of 128 bytes is followed by elements. Each
element is a tag with type and size, then the data, padded to 8 bytes. A matrix is an element that
holds four others: flags, dimensions, name and values. A matrix may be compressed with zlib, which
adds a checksum.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.errors import EidolonError

Vector = npt.NDArray[np.int64]

_HEADER = 128
_ORDERS = {b"IM": "<", b"MI": ">"}
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
_NUMBERS = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
_NUMERIC_CLASSES = range(6, 16)  # double, single and the integers
_COMPLEX = 0x0800
_MOST = 2**26  # the most bytes that one element may unpack to


def read_vectors(path: Path, names: Collection[str], remedy: str) -> dict[str, Vector]:
    """The vectors called ``names``, by name.

    Raises :class:`EidolonError` when the file is unreadable, damaged or of another version. Also
    when it lacks one of ``names``, or when one is not a vector of integers. The error ends with
    ``remedy``.
    """
    try:
        found = dict(_vectors(path.read_bytes(), names))
    except (OSError, ValueError, zlib.error) as error:
        raise EidolonError(f"{path} is damaged or not MATLAB 5 ({error}): {remedy}") from None
    for name in names:
        if name not in found:
            raise EidolonError(f"{path} has no variable {name!r}: {remedy}")
    return found


def _vectors(data: bytes, names: Collection[str]) -> Iterator[tuple[str, Vector]]:
    order = _ORDERS.get(data[_HEADER - 2 : _HEADER])
    if order is None:
        raise ValueError("it has no MATLAB 5 header")
    for kind, body in _elements(data[_HEADER:], order):
        if kind == _COMPRESSED:
            ((kind, body),) = _elements(_inflate(body), order)
        if kind != _MATRIX:
            raise ValueError(f"an element of type {kind} is not a matrix")
        parts = list(_elements(body, order))
        if [k for k, _ in parts[:3]] != [_UINT32, _INT32, _INT8]:
            raise ValueError("a matrix lacks flags, dimensions or name")
        (_, flags), (_, dimensions), (_, label) = parts[:3]
        name = label.decode("ascii")
        if name in names:
            yield name, _vector(name, flags, dimensions, parts[3:], order)


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """The type and the data of each element."""
    at = 0
    while at < len(data):
        if len(data) - at < 8:
            raise ValueError("it ends within a tag")
        kind, size = struct.unpack_from(f"{order}II", data, at)
        if kind >> 16:  # small format: type and size share 4 bytes, the data has 4
            kind, size, start, room = kind & 0xFFFF, kind >> 16, at + 4, 4
        else:
            start, room = at + 8, len(data) - at - 8
        if size > room:
            raise ValueError("it ends within an element")
        yield kind, data[start : start + size]
        padding = 0 if kind == _COMPRESSED else -(start + size) % 8
        at = start + size + padding


def _inflate(body: bytes) -> bytes:
    stream = zlib.decompressobj()
    data = stream.decompress(body, _MOST)
    if not stream.eof:
        raise ValueError("its compressed data is cut off or too large")
    return data


def _vector(
    name: str, flags: bytes, dimensions: bytes, values: list[tuple[int, bytes]], order: str
) -> Vector:
    (flag,) = struct.unpack_from(f"{order}I", flags.ljust(4, b"\0"))
    shape = np.frombuffer(dimensions, dtype=f"{order}i4").tolist()
    if flag & 0xFF not in _NUMERIC_CLASSES or flag & _COMPLEX or len(values) != 1:
        raise ValueError(f"{name} does not consist of real numbers")
    kind, body = values[0]
    if kind not in _NUMBERS:
        raise ValueError(f"{name} has values of the unknown type {kind}")
    numbers = np.frombuffer(body, dtype=order + _NUMBERS[kind])
    if math.prod(shape) != len(numbers) or max(shape, default=0) != len(numbers):
        raise ValueError(f"{name} of shape {shape} has {len(numbers)} values")
    with np.errstate(invalid="ignore"):
        whole = numbers.astype(np.int64)
    if not (whole == numbers).all():
        raise ValueError(f"{name} has values that are not integers")
    return whole
