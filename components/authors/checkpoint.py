"""The authors' aggregator checkpoint (`.pth`) as ours, without running any of it.

A `.pth` is a pickle beside raw bytes, and torch's own safe loading has been bypassed before. So the
pickle is read as data (pickles.py), and tensors are rebuilt here from the bytes that it points at.
Names and shapes are facts of the method: see :class:`components.aggregator.Aggregator`.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from components.aggregator import Aggregator
from components.authors.pickles import Name, UnreadableError, Vocabulary, read, shown
from components.errors import EidolonError

_TYPES = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
}
_PICKLE_LIMIT = 2**24  # bytes; a state dict's pickle has a few thousand
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # what torch wrote before it wrote zip files
_LEGACY_PROTOCOL = 1001
_WIDEST = 2**14  # the largest feature dimension that is not absurd
_ZIP_DAMAGE = (
    *(zipfile.BadZipFile, struct.error, EOFError, OSError),
    *(NotImplementedError, RuntimeError, ValueError),
)
_PREFIX, _UNUSED = "module.", "attn_layer."


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: torch.dtype
    numel: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def build(self, data: bytes) -> Tensor:
        """The tensor, in float32, from its storage's bytes; bounds are checked first."""
        numbers = (self.offset, *self.size, *self.stride)
        if not all(isinstance(n, int) and n >= 0 for n in numbers):
            raise UnreadableError("holds a tensor with a negative size")
        last = self.offset + sum((n - 1) * s for n, s in zip(self.size, self.stride, strict=True))
        if not 0 < math.prod(self.size) <= self.storage.numel or last >= self.storage.numel:
            raise UnreadableError(f"holds a tensor of {self.size} that its bytes do not fill")
        if len(data) != self.storage.numel * self.storage.dtype.itemsize:
            raise UnreadableError("is truncated")
        flat = torch.frombuffer(bytearray(data), dtype=self.storage.dtype)
        return flat.as_strided(self.size, self.stride, self.offset).float().contiguous()


def _storage(identity: Any) -> _Storage:
    """From torch's ``("storage", type, key, location, numel)``; the old format adds a None."""
    match identity:
        case ("storage", Name() as kind, str(key), str(), int(numel), *rest) if not any(rest):
            return _Storage(key, _TYPES[kind], numel)
    raise ValueError("a storage that is none")


def _tensor(storage: _Storage, offset: int, size: Any, stride: Any, *_: Any) -> _Tensor:
    if not isinstance(storage, _Storage) or len(size) != len(stride):
        raise ValueError("a tensor without a storage")
    return _Tensor(storage, offset, tuple(size), tuple(stride))


def _dictionary() -> dict[str, Any]:
    return {}


_VOCABULARY: Vocabulary = {
    "collections.OrderedDict": _dictionary,
    "torch._utils._rebuild_tensor_v2": _tensor,
    **dict.fromkeys(_TYPES),
}

_Bytes = Callable[[_Storage], bytes]


def _read_zip(file: IO[bytes]) -> tuple[Any, _Bytes]:
    """The value in torch's zip format, and what reads a storage's bytes."""
    try:
        archive = zipfile.ZipFile(file)
    except _ZIP_DAMAGE as error:
        raise UnreadableError(f"is damaged ({shown(error)})") from None
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
            raise UnreadableError(f"is damaged ({shown(error)})") from None

    if folder + "byteorder" in names and member("byteorder", 16) != b"little":
        raise UnreadableError("was written on a big-endian machine")
    value = read(io.BytesIO(member("data.pkl", _PICKLE_LIMIT)), _VOCABULARY, _storage)
    return value, lambda s: member(f"data/{s.key}", s.numel * s.dtype.itemsize)


def _read_legacy(file: IO[bytes]) -> tuple[Any, _Bytes]:
    """The value in torch's older format: pickles one after the other, then the storages."""
    if read(file, {}) != _LEGACY_MAGIC or read(file, {}) != _LEGACY_PROTOCOL:
        raise UnreadableError("is none of torch's formats")
    if read(file, {}).get("little_endian") is not True:
        raise UnreadableError("was written on a big-endian machine")
    storages: dict[str, _Storage] = {}

    def remember(identity: Any) -> _Storage:
        storage = _storage(identity)
        return storages.setdefault(storage.key, storage)

    value = read(file, _VOCABULARY, remember)
    offsets = {}
    for key in read(file, {}):
        if key not in storages or int.from_bytes(file.read(8), "little") != storages[key].numel:
            raise UnreadableError("is damaged (its storages are not those of its tensors)")
        offsets[key] = file.tell()
        file.seek(storages[key].numel * storages[key].dtype.itemsize, io.SEEK_CUR)

    def at(storage: _Storage) -> bytes:
        file.seek(offsets[storage.key])
        return file.read(storage.numel * storage.dtype.itemsize)

    return value, at


def _aggregator(value: Any, data: _Bytes) -> Aggregator:
    """The network of a checkpoint's value, whose names and shapes must be exactly right."""
    if isinstance(value, dict) and isinstance(value.get("state_dict"), dict):
        value = value["state_dict"]
    if not isinstance(value, dict) or not all(isinstance(t, _Tensor) for t in value.values()):
        raise UnreadableError("holds no state dict of tensors")
    found = {str(name).removeprefix(_PREFIX): tensor for name, tensor in value.items()}
    found = {name: t for name, t in found.items() if not name.startswith(_UNUSED)}
    probe = found.get("self_attn.layers.0.out_proj.weight")
    if probe is None or not probe.size or not 0 < probe.size[0] <= _WIDEST:
        raise UnreadableError("holds no aggregator (self_attn.layers.0.out_proj.weight)")
    with torch.device("meta"):
        expected = dict(Aggregator(probe.size[0]).named_parameters())
    if odd := sorted(expected.keys() ^ found.keys()):
        lacks = "lacks" if odd[0] in expected else "also holds"
        raise UnreadableError(f"{lacks} {shown(odd[0])}")
    for name, parameter in expected.items():
        if found[name].size != tuple(parameter.shape):
            raise UnreadableError(
                f"holds {name} of shape {found[name].size}, not {tuple(parameter.shape)}"
            )
    state = {name: tensor.build(data(tensor.storage)) for name, tensor in found.items()}
    if bad := [name for name, tensor in state.items() if not tensor.isfinite().all()]:
        raise UnreadableError(f"holds numbers in {bad[0]} that are not finite")
    model = Aggregator(probe.size[0])
    model.load_state_dict({"shift": model.shift} | state)
    return model.eval()


def read_checkpoint(path: Path) -> Aggregator:
    """The aggregator of an authors' `.pth`, in either of torch's formats, with or without the
    prefix ``module.``, the unused ``attn_layer`` and a ``state_dict`` around it.

    Raises :class:`EidolonError` when the file is missing or anything else; runs nothing of it.
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
    """Our safetensors, or an authors' checkpoint."""
    return Aggregator.load(path) if path.suffix == ".safetensors" else read_checkpoint(path)


def import_checkpoint(path: Path, out: Path) -> Aggregator:
    """Write an authors' checkpoint as our safetensors, ``out``, and return it."""
    model = read_checkpoint(path)
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = out.with_name(f".{out.name}.part")
    model.save(aside)
    aside.replace(out)
    return model
