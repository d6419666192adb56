"""Writing so that nothing is ever half-written: write aside, then rename."""

from __future__ import annotations

import fcntl
import glob
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from components.errors import EidolonError


@contextmanager
def folder_aside(target: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes ``target`` when the block ends without an error.

    A failed block leaves ``target`` as it was and removes the folder. Several processes may do so
    at once: the last one's folder stays. What killed ones left aside is removed. Safetensors, which
    their library lets only the owner read, become as readable as other files.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside, old = (target.with_name(f".{target.name}.{uuid.uuid4().hex}.part") for _ in range(2))
    with ExitStack() as writing:
        with _held(target.parent):
            for left in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
                with suppress(OSError), _held(left, fcntl.LOCK_EX | fcntl.LOCK_NB):
                    shutil.rmtree(left)
            aside.mkdir()
            writing.enter_context(_held(aside))
        try:
            yield aside
            mode = aside.stat().st_mode & 0o666
            for file in aside.rglob("*.safetensors"):
                file.chmod(mode)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        with _held(target.parent):
            if target.exists():
                target.replace(old)
            aside.replace(target)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _held(folder: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold the lock of ``folder``, which a killed process loses. Raises ``OSError``."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)


@contextmanager
def file_aside(target: Path) -> Iterator[Path]:
    """Yield an empty file that becomes ``target`` when the block ends without an error.

    A failed block leaves ``target`` as it was and removes the file, whose mode is that of any new
    file, whatever writes it. Raises :class:`EidolonError` when ``target`` is a folder.
    """
    if target.is_dir():
        raise EidolonError(f"{target} is a folder: name a file")
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.part")
    aside.unlink(missing_ok=True)
    try:
        aside.touch()
        mode = aside.stat().st_mode
        yield aside
        aside.chmod(mode)
        aside.replace(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` in one step."""
    with file_aside(path) as aside:
        aside.write_text(text)


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
