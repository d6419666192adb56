"""Rebuilds pickled numpy arrays from their bytes: only plain numbers and text, never objects."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from components.authors.pickles import UnreadableError, Vocabulary, dictionary, read, shown
from components.errors import EidolonError

_PLAIN = re.compile(r"f[248]|[iu][1248]|b1|U\d{1,4}")


class Array:
    """A pickled array. ``values`` is None until its state is set."""

    def __init__(self, values: np.ndarray | None = None) -> None:
        self.values = values

    def set_state(self, state: Any) -> None:
        """Take numpy's ``(version, shape, dtype, is_fortran, bytes)``."""
        _, shape, dtype, fortran, data = state
        self.values = _array(data, dtype, shape, "F" if fortran else "C")


class _DType:
    """A pickled dtype, such as ``f4``. Its state is the byte order."""

    def __init__(self, code: str, _align: bool = False, _copy: bool = True) -> None:
        if not _PLAIN.fullmatch(code):
            raise UnreadableError(f"is refused: it holds arrays of type '{shown(code)}'")
        self.dtype = np.dtype(code)

    def set_state(self, state: Any) -> None:
        """Take numpy's ``(version, byte order, subdtype, names, fields, ...)``."""
        _, order, subdtype, names, fields, *_ = state
        if (subdtype, names, fields) != (None, None, None) or order not in ("<", ">", "|", "="):
            raise UnreadableError("is refused: it holds structured arrays, not plain numbers")
        self.dtype = self.dtype.newbyteorder(order)


def _array(data: Any, dtype: _DType, shape: tuple[int, ...], order: str) -> np.ndarray:
    if not (isinstance(dtype, _DType) and isinstance(data, bytes | bytearray)):
        raise ValueError("an array without a type or bytes")
    if order not in ("C", "F") or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("an array of no possible shape")
    flat = np.frombuffer(data, dtype.dtype)
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _reconstruct(kind: str, _shape: Any, _code: Any) -> Array:
    if kind != "numpy.ndarray":
        raise ValueError("an array of another class")
    return Array()


def _frombuffer(
    data: Any, dtype: _DType, shape: tuple[int, ...], order: str, axes: Any = None
) -> Array:
    if order != "K":
        return Array(_array(data, dtype, shape, order))
    return Array(_array(data, dtype, shape, "C").transpose(axes))


def _scalar(dtype: _DType, data: bytes) -> Any:
    value = _array(data, dtype, (), "C")
    if value.dtype.kind == "U":  # decoded here, because numpy does not check the encoding
        return data.decode("utf-32-be" if value.dtype.str[0] == ">" else "utf-32-le").rstrip("\0")
    return value.item()


def _encode(text: str, encoding: str) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise ValueError("bytes in another encoding")
    return text.encode(encoding)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "multiarray._reconstruct": _reconstruct,
    "multiarray.scalar": _scalar,
    "numeric._frombuffer": _frombuffer,
}
_BUILTINS = ("builtins", "__builtin__")
_VOCABULARY: Vocabulary = {
    "numpy.ndarray": None,
    "numpy.dtype": _DType,
    "_codecs.encode": _encode,
    "collections.OrderedDict": dictionary,
    "collections.defaultdict": dictionary,
    **dict.fromkeys(f"{module}.{name}" for module in _BUILTINS for name in ("dict", "list")),
    **{f"numpy.core.{name}": function for name, function in _FUNCTIONS.items()},  # numpy 1
    **{f"numpy._core.{name}": function for name, function in _FUNCTIONS.items()},  # numpy 2
}


def read_arrays(path: Path) -> dict[str, Any]:
    """Read a pickled dictionary by name. Its arrays are :class:`Array`, and its order is kept.

    Raises :class:`EidolonError` when the file is damaged, is empty or holds something else, or asks
    for a class that such data does not need.
    """
    try:
        with path.open("rb") as file:
            value = read(file, _VOCABULARY)
        if not (isinstance(value, dict) and value and all(isinstance(key, str) for key in value)):
            raise UnreadableError("holds no dictionary of classes by name")
    except UnreadableError as error:
        raise EidolonError(f"{path} {error}: fetch the authors' features again") from None
    return value
