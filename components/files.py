"""Writing so that nothing is ever half-written: write aside, then rename.

What is being written lies in a folder `.HEX.part` beside its target, which its writer keeps locked.
So any number of processes can write the same target, on one machine or on several that share the
folder. What a killed process left is known by its free lock, and the next writer removes it.
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
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """Yield an empty folder in ``parent`` that only this block uses, and remove it afterwards.

    What killed processes left in ``parent`` is removed, too.
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
            place.rmdir()  # NFS keeps the place of a lock file until that is closed


def remove_leftovers(parent: Path) -> None:
    """Remove what killed processes left of :func:`scratch` in ``parent``.

    One that was killed while it replaced a folder, when the old one was away and the new one not
    yet in its place, has its work completed.
    """
    for left in parent.glob(".*.part"):
        if not _PART.fullmatch(left.name):
            continue
        with suppress(OSError, BusyError, NoLocksError):
            if not (left / _LOCK).exists():
                left.rmdir()  # it was killed before it wrote anything
                continue
            with held(left / _LOCK, wait=False):
                _complete(left, parent)
                shutil.rmtree(left, ignore_errors=True)
            left.rmdir()


@contextmanager
def folder_aside(target: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes ``target`` when the block ends without an error.

    A failed block leaves ``target`` as it was. Of several processes that do so at once, the last
    one's folder stays. A link to a folder is followed. Safetensors, which their library lets only
    the owner read, become as readable as other files. Nothing is flushed to the disk: stages
    compute again what a power cut damages.
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

    It is on the disk then. A failed block leaves ``target`` as it was. A link to a file is
    followed. The permissions are those of the file that is replaced, or else those of any new file,
    whatever writes it. Raises :class:`EidolonError` when ``target`` is a folder.
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


def put(data: bytes, target: Path, within: Path) -> None:
    """Write ``target`` in one step, one of many files for which the caller has made the
    :func:`scratch` folder ``within``, on the same file system. It is not flushed to the disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = within / uuid.uuid4().hex
    aside.write_bytes(data)
    aside.replace(target)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` in one step."""
    with file_aside(path) as aside:
        aside.write_text(text)


def text_of(path: Path) -> str | None:
    """The content of a small text file, or nothing where there is none."""
    return path.read_text() if path.is_file() else None


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON in one step."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path, remedy: str) -> Any:
    """Read JSON, or raise :class:`EidolonError` naming the file and the ``remedy``."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise EidolonError(f"{path} is missing: {remedy}") from None
    except (ValueError, RecursionError) as error:
        raise EidolonError(f"{path} is damaged ({error}): {remedy}") from None


def sha256(path: Path) -> str:
    """Hex digest of one file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _own(parent: Path, locked: ExitStack) -> Path:
    """A new folder in ``parent``, whose lock is held until ``locked`` ends."""
    while True:
        place = parent / f".{uuid.uuid4().hex}.part"
        place.mkdir(parents=True)
        with suppress(BusyError, FileNotFoundError, FileExistsError):
            # where there are no locks, nothing is ever removed as a killed process's
            with suppress(NoLocksError):
                locked.enter_context(held(place / _LOCK, wait=False))
            if place.is_dir():
                return place
        # before it was locked, another process took this folder for a killed one's and removed it


def _replace_folder(aside: Path, target: Path, replaced: Path) -> None:
    """Put ``aside`` in the place of ``target``, which goes into the folder ``replaced``."""
    while True:
        try:
            aside.rename(target)
            return
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
        replaced.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):  # another process moved it
            target.rename(replaced / uuid.uuid4().hex)


def _complete(left: Path, parent: Path) -> None:
    """Put a folder into its place that was whole when its writer was killed."""
    if (left / _REPLACED).exists():
        for whole in left.iterdir():
            if whole.name not in (_LOCK, _REPLACED):
                with suppress(OSError):  # another process has put one there since
                    whole.rename(parent / whole.name)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
