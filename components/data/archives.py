"""Unpacking archives from strangers: plain files alone, inside one folder, under caps.

An archive that breaks a rule is refused as a whole, before or while it is unpacked: one such member
says that it was not made in good faith.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from components.errors import EidolonError

_CHUNK = 1 << 20
_SMALL = 1 << 20  # below it an archive's ratio means nothing
_DRIVE = re.compile("[A-Za-z]:/")
_COMPRESSED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # a compression that the library does not know
    RuntimeError,  # an encrypted member
    ValueError,
    OSError,  # gzip's and bz2's complaint, and names that no file can have
)


@dataclass(frozen=True)
class Caps:
    """How many entries, how many bytes unpacked, and how many times the archive's own size."""

    files: int
    bytes: int
    ratio: float


@dataclass(frozen=True)
class _Member:
    name: str
    plain: bool
    folder: bool
    size: int
    handle: Any


def is_archive(path: Path) -> bool:
    """Whether ``path`` is a zip or a tar, compressed or not, by its content."""
    return path.is_file() and (zipfile.is_zipfile(path) or _is_tar(path))


def extract(path: Path, into: Path, caps: Caps) -> None:
    """Unpack ``path`` into the empty folder ``into``.

    Raises :class:`EidolonError` for a link, a device, an absolute path, a path outside, a name that
    comes twice, a damaged or encrypted archive, and for one beyond ``caps``.
    """
    most = min(caps.bytes, max(_SMALL, int(caps.ratio * path.stat().st_size)))
    count = total = 0
    try:
        with _opened(path, most) as (members, read):
            for member in members:
                place = _place(path, member)
                count += 1
                if count > caps.files:
                    raise EidolonError(
                        f"{path} has more than {caps.files} files: split it, or raise"
                        " ingest.max_files in params.yaml"
                    )
                if member.folder:
                    continue
                if not member.plain or member.size < 0:
                    raise EidolonError(
                        f"{path}: {member.name!r} is a link or a device: nothing was taken"
                    )
                total += member.size
                if total > most:
                    raise _too_big(path, most)
                target = into / place
                target.parent.mkdir(parents=True, exist_ok=True)
                with read(member) as source, target.open("xb") as out:
                    _copy(path, source, out, member.size)
    except (FileExistsError, NotADirectoryError):
        raise EidolonError(f"{path}: a name comes twice: nothing was taken") from None
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        raise EidolonError(f"{path} cannot be unpacked ({error}): make it anew") from None


def _place(archive: Path, member: _Member) -> Path:
    """Where a member goes. Windows separators count, so that no system is led outside."""
    name = member.name.replace("\\", "/")
    pure = PurePosixPath(name)
    nameless = not pure.parts and not member.folder  # the folder `.` is where all others are
    if pure.is_absolute() or ".." in pure.parts or _DRIVE.match(name) or nameless:
        raise EidolonError(f"{archive}: {member.name!r} leads outside: nothing was taken")
    return Path(*pure.parts)


def _copy(path: Path, source: IO[bytes], out: IO[bytes], size: int) -> None:
    """Copy ``size`` bytes and no more: what a header promises is what is counted."""
    left = size
    while left and (chunk := source.read(min(_CHUNK, left))):
        out.write(chunk)
        left -= len(chunk)
    if left or source.read(1):
        raise EidolonError(f"{path} holds files of other sizes than it says: nothing was taken")


def _too_big(path: Path, most: int) -> EidolonError:
    return EidolonError(
        f"{path} unpacks to more than {most} bytes: split it, or raise ingest.max_bytes and"
        " ingest.max_ratio in params.yaml"
    )


@contextmanager
def _opened(path: Path, most: int) -> Iterator[tuple[Iterator[_Member], Any]]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            yield _zip_members(packed), lambda m: packed.open(m.handle)
        return
    with ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        bounded = _Bounded(path, stack.enter_context(_unpacked(raw)), most)
        packed_tar = stack.enter_context(tarfile.open(fileobj=bounded, mode="r:"))
        yield _tar_members(packed_tar), lambda m: packed_tar.extractfile(m.handle)


def _zip_members(packed: zipfile.ZipFile) -> Iterator[_Member]:
    for info in packed.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        plain = kind in (0, stat.S_IFREG)
        yield _Member(info.filename, plain, info.is_dir(), info.file_size, info)


def _tar_members(packed: tarfile.TarFile) -> Iterator[_Member]:
    for info in packed:
        yield _Member(info.name, info.isreg(), info.isdir(), info.size, info)


def _is_tar(path: Path) -> bool:
    try:
        with path.open("rb") as raw, _unpacked(raw) as stream:
            tarfile.TarInfo.frombuf(stream.read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
    except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
        return True  # it is empty
    except (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.HeaderError):
        return False
    return True


def _unpacked(raw: IO[bytes]) -> Any:
    head = raw.read(6)
    raw.seek(0)
    for magic, opener in _COMPRESSED.items():
        if head.startswith(magic):
            return opener(raw)
    return raw


class _Bounded(io.RawIOBase):
    """A stream that stops a tar whose headers alone would fill memory or never end."""

    def __init__(self, path: Path, stream: IO[bytes], most: int) -> None:
        self._path, self._stream = path, stream
        self._most = most + (most >> 2) + (_SMALL << 4)  # headers and padding

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _CHUNK:
            raise tarfile.ReadError("a header is too long")
        data = self._stream.read(size)
        if self._stream.tell() > self._most:
            raise _too_big(self._path, self._most)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_SET and offset > self._most:
            raise _too_big(self._path, self._most)
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
