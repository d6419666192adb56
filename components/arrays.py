"""Arrays on disk that are read without being loaded: files of safetensors, mapped into memory.

A mapped array costs memory only for the pages that are read. The system may drop those again, and
processes that map the same file share them. The library safetensors copies each array as it loads
it, and writes only arrays that are in memory already.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from components.errors import EidolonError

_NAMES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4"} | {
    "U64": "<u8",
    "I8": "<i1",
    "U8": "<u1",
    "BOOL": "?",
}
_TYPES = {np.dtype(kind): name for name, kind in _NAMES.items()}
_ALIGNED = 64  # bytes: where an array may begin, so that each of its numbers is aligned

Shapes = Mapping[str, tuple[tuple[int, ...], npt.DTypeLike]]
"""The shape and type of each array of a file."""


def mapped(file: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays in a file of safetensors, mapped into memory and read-only.

    Raises :class:`EidolonError` when it is missing or damaged.
    """
    return _mapped(file, "r")


def create(file: Path, shapes: Shapes) -> dict[str, npt.NDArray[Any]]:
    """Make a file of safetensors whose arrays are zero, and return them mapped, to write into.

    Call this within :func:`components.files.folder_aside` or
    :func:`components.files.file_aside`, so that nobody sees a file that is half-written. Raises
    ``OSError`` when the disk has no room for it.
    """
    header, end = {}, 0
    # of the largest items first, as safetensors itself orders them: no array is out of alignment
    for name, (shape, kind) in sorted(
        shapes.items(), key=lambda item: (-np.dtype(item[1][1]).itemsize, item[0])
    ):
        dtype = np.dtype(kind)
        start, end = end, end + math.prod(shape) * dtype.itemsize
        header[name] = {"dtype": _TYPES[dtype], "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNED)
    with file.open("wb") as target:
        target.write(len(text).to_bytes(8, "little") + text)
        target.truncate(8 + len(text) + end)
        target.flush()
        if sys.platform == "linux":  # else a full disk would kill the process that writes
            os.posix_fallocate(target.fileno(), 0, 8 + len(text) + end)
    return _mapped(file, "r+")


def _mapped(file: Path, mode: Literal["r", "r+"]) -> dict[str, npt.NDArray[Any]]:
    try:
        with file.open("rb") as source:
            length = int.from_bytes(source.read(8), "little")
            header = json.loads(source.read(min(length, file.stat().st_size)))
        header.pop("__metadata__", None)
        return {name: _array(file, mode, 8 + length, entry) for name, entry in header.items()}
    except FileNotFoundError:
        raise EidolonError(f"{file} is missing") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise EidolonError(f"{file} is damaged ({error})") from None


def _array(
    file: Path, mode: Literal["r", "r+"], begin: int, entry: Mapping[str, Any]
) -> npt.NDArray[Any]:
    dtype, shape = np.dtype(_NAMES[entry["dtype"]]), tuple(entry["shape"])
    start, end = entry["data_offsets"]
    if end - start != math.prod(shape) * dtype.itemsize:
        raise ValueError("an array has another size than its header says")
    if start == end:  # nothing can be mapped
        return np.zeros(shape, dtype=dtype)
    return np.memmap(file, dtype=dtype, mode=mode, offset=begin + start, shape=shape)
