"""Unpacks archives from strangers: only regular files, only into one folder, within limits.

An archive that breaks a rule is refused as a whole, before or while it is unpacked. One such member
suggests that the archive is an attack.

A zip may not say how its names are encoded. A name is read as UTF-8 if the zip says so (general
purpose bit 11, or Info-ZIP's Unicode Path field: sections 4.4.4 and 4.6.9 of
https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT). It is also read as UTF-8 if its bytes
are valid UTF-8, because macOS writes such names without saying so. No other encoding is guessed,
because the name of a folder becomes a category.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from components.errors import EidolonError
from components.names import is_text

_CHUNK = 1 << 20
_SMALL = 1 << 20  # bytes: an archive may always unpack to this much, whatever its ratio
_DRIVE = re.compile("[A-Za-z]:/")
_UTF8_FLAG = 0x800
_UNICODE_PATH = 0x7075
_ZIP = b"PK\x03\x04"
_COMPRESSED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_SHORT = ("unexpected end of data", "empty header", "truncated header")  # tarfile: it was cut
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # an unknown compression
    RuntimeError,  # an encrypted member
    ValueError,
    OSError,  # of gzip and bz2, and for impossible file names
)


@dataclass(frozen=True)
class Caps:
    """Limits of an archive.

    ``files`` is the most entries, ``bytes`` the most bytes after unpacking, and ``ratio`` the most
    bytes after unpacking per byte of the archive.
    """

    files: int
    bytes: int
    ratio: float


@dataclass(frozen=True)
class _Member:
    """An entry of an archive. ``handle`` is the library's object for it, to open it with."""

    name: str
    plain: bool
    folder: bool
    size: int
    handle: Any


def is_archive(raw: IO[bytes]) -> bool:
    """Whether the content of ``raw`` is a zip or a tar, which may be compressed or cut."""
    raw.seek(0)
    found = raw.read(len(_ZIP)) == _ZIP or zipfile.is_zipfile(raw) or _is_tar(raw)
    raw.seek(0)
    return found


def extract(path: Path, raw: IO[bytes], into: Path, caps: Caps) -> None:
    """Unpack ``raw``, the open file ``path``, into the empty folder ``into``.

    Raises :class:`EidolonError` for a link, a device, an absolute path, a path outside the folder,
    a repeated name, a folder's name in an unknown encoding, an archive that is cut, damaged or
    encrypted, and one beyond ``caps``.
    """
    count = total = 0
    try:
        with _opened(path, raw, caps) as (members, read, most):
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
                        f"{path}: {member.name!r} is a link or a device, so nothing was ingested:"
                        " run `cp -rL FOLDER COPY`, which replaces links with files, and pack COPY"
                    )
                total += member.size
                if total > most:
                    raise _too_big(path, most)
                target = into / place
                target.parent.mkdir(parents=True, exist_ok=True)
                with read(member) as source, target.open("xb") as out:
                    _copy(path, source, out, member.size)
    except (FileExistsError, NotADirectoryError):
        raise EidolonError(
            f"{path} has a name twice, so nothing was ingested: rename one of the two files"
        ) from None
    except _BROKEN as error:
        if isinstance(error, EOFError) or str(error) in _SHORT:
            raise EidolonError(f"{path} was cut ({error}): copy or download it again") from None
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        raise EidolonError(f"{path} cannot be unpacked ({error}): make it again") from None


def _place(archive: Path, member: _Member) -> Path:
    """The member's path in the folder. Windows separators count on every system."""
    name = member.name.replace("\\", "/")
    pure = PurePosixPath(name)
    nameless = not pure.parts and not member.folder  # the folder `.` is the root of the others
    if pure.is_absolute() or ".." in pure.parts or _DRIVE.match(name) or nameless:
        raise EidolonError(
            f"{archive}: {member.name!r} leads outside, so nothing was ingested: pack it"
            " again without that file"
        )
    folders = pure if member.folder else pure.parent
    if not is_text(str(folders)):
        raise EidolonError(
            f"{archive}: the folder's name {os.fsencode(folders)!r} is not UTF-8, and the archive"
            " does not name its encoding, so nothing was ingested: unpack it with the right"
            " encoding (`unzip -O cp850` for a zip from a German Windows), and ingest the folder"
        )
    return Path(*pure.parts)


def _copy(path: Path, source: IO[bytes], out: IO[bytes], size: int) -> None:
    """Copy exactly ``size`` bytes, the size in the member's header, which the limits count."""
    left = size
    while left and (chunk := source.read(min(_CHUNK, left))):
        out.write(chunk)
        left -= len(chunk)
    if left or source.read(1):
        raise EidolonError(
            f"{path} states wrong sizes of its files, so nothing was ingested: make it again"
        )


def _too_big(path: Path, most: int) -> EidolonError:
    return EidolonError(
        f"{path} unpacks to more than {most} bytes: split it, or raise ingest.max_bytes and"
        " ingest.max_ratio in params.yaml"
    )


@contextmanager
def _opened(path: Path, raw: IO[bytes], caps: Caps) -> Iterator[tuple[Iterator[_Member], Any, int]]:
    """The members, a function that opens one, and the most bytes that they may have in total."""
    most = min(caps.bytes, max(_SMALL, int(caps.ratio * os.fstat(raw.fileno()).st_size)))
    is_zip = zipfile.is_zipfile(raw)
    raw.seek(0)
    if not is_zip and raw.read(len(_ZIP)) == _ZIP:
        raise EOFError("the list of files at a zip's end is missing")
    raw.seek(0)
    with ExitStack() as stack:
        if is_zip:
            packed = stack.enter_context(zipfile.ZipFile(raw))
            yield _zip_members(packed), lambda m: packed.open(m.handle), most
        else:
            bounded = _Bounded(path, stack.enter_context(_unpacked(raw)), most)
            packed_tar = stack.enter_context(
                tarfile.open(fileobj=bounded, mode="r:", encoding="utf-8", errors="surrogateescape")
            )
            yield (
                _tar_members(packed_tar, bounded),
                lambda m: packed_tar.extractfile(m.handle),
                most,
            )


def _zip_members(packed: zipfile.ZipFile) -> Iterator[_Member]:
    for info in packed.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        plain = kind in (0, stat.S_IFREG)
        yield _Member(_zip_name(info), plain, info.is_dir(), info.file_size, info)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """A member's name. Bytes that are not UTF-8 become surrogates, as in Python's file names."""
    if info.flag_bits & _UTF8_FLAG:
        return info.orig_filename
    raw = info.orig_filename.encode("cp437")  # as zipfile decoded the bytes
    return (_unicode_path(info.extra, raw) or raw).decode("utf-8", "surrogateescape")


def _unicode_path(extra: bytes, raw: bytes) -> bytes | None:
    """The UTF-8 name from Info-ZIP's Unicode Path field, if there is a valid one for ``raw``.

    The field has a version, the CRC-32 of the name ``raw``, and the name in UTF-8.
    """
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        content, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and len(content) > 5:
            version, checksum = struct.unpack("<BL", content[:5])
            if version == 1 and checksum == zlib.crc32(raw):
                return content[5:]
    return None


def _tar_members(packed: tarfile.TarFile, stream: _Bounded) -> Iterator[_Member]:
    for info in packed:
        yield _Member(info.name, info.isreg(), info.isdir(), info.size, info)
    # tarfile stops silently at a header that is cut or damaged
    if len(stream.last) < tarfile.BLOCKSIZE:
        raise EOFError("the zeros at a tar's end are missing")
    if any(stream.last):
        raise tarfile.ReadError("a header is damaged")
    while stream.read(_CHUNK):  # to the end, where compressed data have a checksum
        pass


def _is_tar(raw: IO[bytes]) -> bool:
    raw.seek(0)
    try:
        block = _unpacked(raw).read(tarfile.BLOCKSIZE)
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (EOFError, tarfile.EOFHeaderError):  # type: ignore[attr-defined]
        return True  # cut or empty
    except (OSError, zlib.error, lzma.LZMAError, tarfile.HeaderError):
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
    """A stream that stops a tar whose headers would fill the memory or never end.

    ``last`` is the data of the last read.
    """

    def __init__(self, path: Path, stream: IO[bytes], most: int) -> None:
        self._path, self._stream = path, stream
        self.last = b""
        self._most = most + (most >> 2) + (_SMALL << 4)  # room for headers and padding

    def read(self, size: int = -1) -> bytes:
        """Read up to ``size`` bytes. Raises ``TarError`` or :class:`EidolonError` past a limit."""
        if not 0 <= size <= _CHUNK:
            raise tarfile.ReadError("a header is too long")
        data = self._stream.read(size)
        if self._stream.tell() > self._most:
            raise _too_big(self._path, self._most)
        self.last = data
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position. Raises :class:`EidolonError` beyond the limit."""
        if whence == io.SEEK_SET and offset > self._most:
            raise _too_big(self._path, self._most)
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """The current position."""
        return self._stream.tell()

    def readable(self) -> bool:
        """True: tarfile reads from this."""
        return True

    def seekable(self) -> bool:
        """True: tarfile seeks in this."""
        return True
