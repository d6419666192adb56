"""Writes files and folders atomically: write to a temporary folder, then rename.

The temporary folder `.HEX.part` is beside the target, and its writer keeps it locked. So any number
of processes can write the same target, on one machine or on several that share the folder. The
folder of a killed process is no longer locked, and the next writer removes it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from components.errors import EidolonError
from components.locks import BusyError, NoLocksError, held

_PART = re.compile(r"\.[0-9a-f]{32}\.part")
_LOCK, _REPLACED = ".lock", ".replaced"
_MOST = 1 << 30  # bytes to copy in one call
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """Yield an empty folder in ``parent`` for this block alone, and remove it afterwards.

    Also removes what killed processes left in ``parent``.
    """
    parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(parent)
    locked = ExitStack()
    place = _own(parent, locked)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        locked.close()
        with suppress(OSError):
            place.rmdir()  # NFS keeps the folder of a lock file until the file is closed


def remove_leftovers(parent: Path) -> None:
    """Remove the folders of :func:`scratch` that killed processes left in ``parent``.

    A process may have been killed between moving the old folder away and moving the new one to its
    place. Then this completes the replacement.
    """
    for left in parent.glob(".*.part"):
        if not _PART.fullmatch(left.name):
            continue
        with suppress(OSError, BusyError, NoLocksError):
            if not (left / _LOCK).exists():
                left.rmdir()  # its process was killed before it wrote anything
                continue
            with held(left / _LOCK, wait=False):
                _complete(left, parent)
                shutil.rmtree(left, ignore_errors=True)
            left.rmdir()


@contextmanager
def folder_aside(target: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes ``target`` when the block ends without an error.

    A failed block leaves ``target`` as it was. If several processes do this at once, the last
    folder stays. A link to a folder is followed. Safetensors files, which their library makes
    readable only for their owner, get the permissions of other files. Nothing is flushed to the
    disk, because stages can recompute what a power cut damages.
    """
    target = Path(os.path.realpath(target))
    with scratch(target.parent) as place:
        aside = place / target.name
        aside.mkdir()
        yield aside
        mode = aside.stat().st_mode & 0o666
        for file in aside.rglob("*.safetensors"):
            file.chmod(mode)
        _replace_folder(aside, target, place / _REPLACED)


@contextmanager
def file_aside(target: Path) -> Iterator[Path]:
    """Yield an empty file that becomes ``target`` when the block ends without an error.

    The file is then flushed to the disk. A failed block leaves ``target`` as it was. A link to a
    file is followed. The file gets the permissions of the one that it replaces, or else those of
    any new file. Raises :class:`EidolonError` when ``target`` is a folder.
    """
    if target.is_dir():
        raise EidolonError(f"{target} is a folder: name a file")
    target = Path(os.path.realpath(target))
    with scratch(target.parent) as place:
        aside = place / target.name
        aside.touch()
        mode = aside.stat().st_mode
        with suppress(FileNotFoundError):
            mode = target.stat().st_mode
        yield aside
        aside.chmod(stat.S_IMODE(mode))
        _flush(aside)
        aside.replace(target)
        with suppress(OSError):  # some file systems cannot flush a folder
            _flush(target.parent)


def write_bytes(data: bytes, target: Path, scratch_folder: Path) -> None:
    """Write ``data`` to ``target`` in one step, without flushing it to the disk.

    For writing many files: the caller makes one :func:`scratch` folder for all of them, on the same
    file system.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = scratch_folder / uuid.uuid4().hex
    aside.write_bytes(data)
    aside.replace(target)


class ManyFiles:
    """Writes files below ``root``, each in one step, without flushing it to the disk.

    Within :meth:`writing`, they share one folder for what is written aside.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._scratch: Path | None = None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write within this block, which first removes what killed writers left behind."""
        with scratch(self._root) as place:
            self._scratch = place
            try:
                yield
            finally:
                self._scratch = None

    def write(self, target: Path, data: bytes) -> None:
        """Write ``data`` to ``target``."""
        if self._scratch is None:
            with self.writing():
                self.write(target, data)
        else:
            write_bytes(data, target, self._scratch)


def copy_contents(source: Path, target: Path) -> None:
    """Copy the content of a file, in the kernel where that can.

    On a file system with shared blocks (Btrfs, XFS), both files share them until one changes, so
    that a copy costs no space. They are never one file under two names: whoever edits one in place
    leaves the other as it was.
    """
    with source.open("rb") as read, target.open("wb", buffering=0) as written:
        with suppress(OSError, AttributeError):  # other file systems; systems other than Linux
            while os.copy_file_range(read.fileno(), written.fileno(), _MOST):
                pass
        shutil.copyfileobj(read, written)  # the rest


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` in one step."""
    with file_aside(path) as aside:
        aside.write_text(text)


def append_line(path: Path, line: str) -> None:
    """Append ``line`` to a file that only its owner may read, in one write, so that the lines of
    several processes do not mix. Raises :class:`OSError` when not all of it was written."""
    data = f"{line}\n".encode()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        written = os.write(handle, data)
    finally:
        os.close(handle)
    if written < len(data):
        raise OSError(f"only {written} of {len(data)} bytes were written")


def text_of(path: Path) -> str | None:
    """The content of a text file, or ``None`` if there is no such file."""
    return path.read_text() if path.is_file() else None


@contextmanager
def private(folder: Path) -> Iterator[None]:
    """``folder``, if it is not there, and what this process makes within this block are for their
    owner alone. Folders above it are made as usual: others may have to pass through them."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    before = os.umask(0o077)
    try:
        folder.mkdir(exist_ok=True)
        yield
    finally:
        os.umask(before)


def file_name(text: str) -> str:
    """``text``, such as the name of a run, as a part of a file's name or of an object's key."""
    return re.sub(r"[^A-Za-z0-9.-]", "_", text)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON in one step."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path, remedy: str) -> Any:
    """Read JSON. Raises :class:`EidolonError` with the ``remedy`` if it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise EidolonError(f"{path} is missing: {remedy}") from None
    except (ValueError, RecursionError) as error:
        raise EidolonError(f"{path} is damaged ({error}): {remedy}") from None


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _own(parent: Path, locked: ExitStack) -> Path:
    """Make a folder in ``parent`` whose lock is held until ``locked`` closes."""
    while True:
        place = parent / f".{uuid.uuid4().hex}.part"
        place.mkdir(parents=True)
        with suppress(BusyError, FileNotFoundError, FileExistsError):
            # without locks, the folders of killed processes are never removed
            with suppress(NoLocksError):
                locked.enter_context(held(place / _LOCK, wait=False))
            if place.is_dir():
                return place
        # another process removed this folder before it was locked


def _replace_folder(aside: Path, target: Path, replaced: Path) -> None:
    """Rename ``aside`` to ``target``. An old ``target`` moves to the folder ``replaced``."""
    while True:
        try:
            aside.rename(target)
            return
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
        replaced.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):  # another process has moved it
            target.rename(replaced / uuid.uuid4().hex)


def _complete(left: Path, parent: Path) -> None:
    """Move a folder to its place that was complete when its writer was killed."""
    if (left / _REPLACED).exists():
        for whole in left.iterdir():
            if whole.name not in (_LOCK, _REPLACED):
                with suppress(OSError):  # another process has written one meanwhile
                    whole.rename(parent / whole.name)


def _flush(path: Path) -> None:
    """Flush a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
