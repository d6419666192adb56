"""Reads the authors' aggregator checkpoint (`.pth`) without running any of its code.

A `.pth` is a pickle together with raw bytes, and torch's own safe loading has been bypassed before.
So the pickle is read as data (pickles.py), and tensors are rebuilt here from the bytes that it
refers to. The names and shapes are those of the method, see
:class:`components.learning.aggregator.Aggregator`.
"""

from __future__ import annotations

import io
import math
import os
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from components.authors.pickles import (
    Name,
    UnreadableError,
    Vocabulary,
    dictionary,
    fault,
    read,
    shown,
)
from components.errors import EidolonError
from components.files import file_aside
from components.learning.aggregator import Aggregator, dimension

_TYPES = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
}
_PICKLE_LIMIT = 2**24  # bytes; the pickle of a state dict has a few thousand
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # of torch's format before it used zip files
_LEGACY_PROTOCOL = 1001
_ZIP_DAMAGE = (
    *(zipfile.BadZipFile, struct.error, EOFError, OSError),
    *(NotImplementedError, RuntimeError, ValueError),
)
_PREFIX, _UNUSED = "module.", "attn_layer."
_OURS = ".safetensors"


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: torch.dtype
    numel: int

    @property
    def size(self) -> int:
        """The size in bytes."""
        return self.numel * self.dtype.itemsize


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def build(self, data: bytes) -> Tensor:
        """The tensor, in float32, from the bytes of its storage. Bounds are checked first."""
        last = self.offset + sum((n - 1) * s for n, s in zip(self.size, self.stride, strict=True))
        if not 0 < math.prod(self.size) <= self.storage.numel or last >= self.storage.numel:
            raise UnreadableError(f"holds a tensor of {self.size} that its bytes do not fill")
        if len(data) != self.storage.size:
            raise UnreadableError("is truncated")
        flat = torch.frombuffer(bytearray(data), dtype=self.storage.dtype)
        return flat.as_strided(self.size, self.stride, self.offset).float().contiguous()


def _storage(identity: Any) -> _Storage:
    """The storage of torch's ``("storage", type, key, location, numel)``.

    The older format adds a None.
    """
    match identity:
        case ("storage", Name() as kind, str(key), str(), int(numel), *rest) if not any(rest):
            return _Storage(key, _TYPES[kind], numel)
    raise ValueError("an object that is not a storage")


def _tensor(storage: _Storage, offset: int, size: Any, stride: Any, *_: Any) -> _Tensor:
    if not isinstance(storage, _Storage) or not len(size) == len(stride) <= 4:
        raise ValueError("a tensor without a storage")
    if not all(type(n) is int and 0 <= n < 2**63 for n in (offset, *size, *stride)):
        raise ValueError("a tensor of no possible size")
    return _Tensor(storage, offset, tuple(size), tuple(stride))


_VOCABULARY: Vocabulary = {
    "collections.OrderedDict": dictionary,
    "torch._utils._rebuild_tensor_v2": _tensor,
    **dict.fromkeys(_TYPES),
}

_Bytes = Callable[[_Storage], bytes]


def _read_zip(file: IO[bytes]) -> tuple[Any, _Bytes]:
    """The value of a file in torch's zip format, and a function that reads a storage's bytes."""
    try:
        archive = zipfile.ZipFile(file)
    except _ZIP_DAMAGE as error:
        raise UnreadableError(f"is damaged ({fault(error)})") from None
    names = archive.namelist()
    pickles = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise UnreadableError("is a zip file, but none of torch's")
    folder = pickles[0].removesuffix("data.pkl")

    def member(name: str, limit: int) -> bytes:
        if folder + name not in names:
            raise UnreadableError(f"is damaged (it lacks {shown(name)})")
        info = archive.getinfo(folder + name)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > limit:
            raise UnreadableError(f"is not as torch writes it ({shown(name)})")
        try:
            return archive.read(info)
        except _ZIP_DAMAGE as error:
            raise UnreadableError(f"is damaged ({fault(error)})") from None

    if folder + "byteorder" in names and member("byteorder", 16) != b"little":
        raise UnreadableError("was written on a big-endian machine")
    value = read(io.BytesIO(member("data.pkl", _PICKLE_LIMIT)), _VOCABULARY, _storage)
    return value, lambda s: member(f"data/{s.key}", s.size)


def _read_legacy(file: IO[bytes]) -> tuple[Any, _Bytes]:
    """The value of a file in torch's older format, and a function that reads a storage's bytes.

    The format is a sequence of pickles, and then the storages.
    """
    if read(file, {}) != _LEGACY_MAGIC or read(file, {}) != _LEGACY_PROTOCOL:
        raise UnreadableError("is in none of torch's formats")
    system = read(file, {})
    if not isinstance(system, dict):
        raise UnreadableError("is in none of torch's formats")
    if system.get("little_endian") is not True:
        raise UnreadableError("was written on a big-endian machine")
    storages: dict[str, _Storage] = {}

    def remember(identity: Any) -> _Storage:
        storage = _storage(identity)
        return storages.setdefault(storage.key, storage)

    value = read(file, _VOCABULARY, remember)
    keys, odd = read(file, {}), "is damaged (its storages are not those of its tensors)"
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise UnreadableError(odd)
    if sorted(keys) != sorted(storages):
        raise UnreadableError(odd)
    end, offsets = os.fstat(file.fileno()).st_size, {}
    for key in keys:
        if int.from_bytes(file.read(8), "little") != storages[key].numel:
            raise UnreadableError(odd)
        offsets[key] = file.tell()
        if storages[key].size > end - offsets[key]:
            raise UnreadableError("is truncated")
        file.seek(storages[key].size, io.SEEK_CUR)

    def at(storage: _Storage) -> bytes:
        file.seek(offsets[storage.key])
        return file.read(storage.size)

    return value, at


def _aggregator(value: Any, data: _Bytes) -> Aggregator:
    """The network from a checkpoint's value. All names and shapes must be exactly right."""
    if isinstance(value, dict) and isinstance(value.get("state_dict"), dict):
        value = value["state_dict"]
    if not isinstance(value, dict):
        raise UnreadableError("holds no state dict of tensors")
    found: dict[str, _Tensor] = {}
    for key, tensor in value.items():
        if not (isinstance(key, str) and isinstance(tensor, _Tensor)):
            raise UnreadableError("holds no state dict of tensors")
        name = key.removeprefix(_PREFIX)
        if name in found:
            raise UnreadableError(f"holds {shown(name)} twice, with and without '{_PREFIX}'")
        if not name.startswith(_UNUSED):
            found[name] = tensor
    try:
        dimension({name: tensor.size for name, tensor in found.items()})
        return Aggregator.from_state({n: t.build(data(t.storage)) for n, t in found.items()})
    except ValueError as error:
        raise UnreadableError(str(error)) from None


def read_checkpoint(path: Path) -> Aggregator:
    """Read the aggregator from an authors' `.pth`, and run nothing of it.

    The file may be in either of torch's formats. It may have the prefix ``module.``, the unused
    ``attn_layer``, and a ``state_dict`` around the weights. Raises :class:`EidolonError` when the
    file is missing, or is anything else.
    """
    try:
        with path.open("rb") as file:
            begins = file.read(2)
            file.seek(0)
            return _aggregator(*(_read_zip if begins == b"PK" else _read_legacy)(file))
    except FileNotFoundError:
        raise EidolonError(f"{path} is missing: give the authors' .pth file") from None
    except UnreadableError as error:
        raise EidolonError(f"{path} {error}: give the .pth of the authors' aggregator") from None


def load(path: Path) -> Aggregator:
    """Read an aggregator from our safetensors, or from an authors' checkpoint.

    Raises :class:`EidolonError` as :meth:`Aggregator.load` and :func:`read_checkpoint` do.
    """
    return Aggregator.load(path) if path.suffix == _OURS else read_checkpoint(path)


def import_checkpoint(path: Path, out: Path) -> Aggregator:
    """Convert an authors' checkpoint to our safetensors ``out``, and return the aggregator.

    Raises :class:`EidolonError` as :func:`read_checkpoint` does, and when ``out`` is a folder or
    does not end in ``.safetensors``, which :func:`load` needs to recognise it.
    """
    if out.suffix != _OURS:
        raise EidolonError(f"{out} does not end in {_OURS}: name a file that does")
    model = read_checkpoint(path)
    with file_aside(out) as aside:
        model.save(aside)
    return model
