"""The files of a source: of a folder, an archive, a list, or a quarantine's reasons.csv.

A picture's category is the folder that it lies in, unless a list names another.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from components import config
from components.collection import archives, catalog, lists
from components.collection.opening import Unreadable, open_regular
from components.collection.quarantine import copies, is_reasons
from components.errors import EidolonError
from components.paths import HOME

_JUNK = {"__MACOSX", "Thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class Candidate:
    """A file, the category that it is said to show (nothing where none was named), and the name by
    which its giver knows it: that of an archive's member, where it was unpacked from one.

    ``below`` is the folder outside of which it is not read. ``given``: it lies in what was given,
    so the quarantine may keep a copy whatever it is. ``line``: of the list that names it.
    """

    path: Path
    category: str | None
    name: str
    below: Path | None
    given: bool = True
    line: int | None = None


@contextmanager
def candidates(
    source: Path, params: config.Ingest, below: Path | None
) -> Iterator[list[Candidate]]:
    """The files of a source; those of an archive while the block lasts."""
    if source.is_dir():
        yield _of_folder(source, params, below or source)
        return
    try:
        raw = open_regular(source, below)
    except Unreadable as error:
        raise EidolonError(f"{source} {error}") from None
    with raw:
        if archives.is_archive(raw):
            HOME.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=HOME, prefix=catalog.UNPACKED) as place:
                caps = archives.Caps(params.max_files, params.max_bytes, params.max_ratio)
                root = Path(os.path.realpath(place))
                archives.extract(source, raw, root, caps)
                yield _of_folder(root, params, root, archive=source)
        elif is_reasons(source.name, raw):
            yield _of_reasons(source, raw, params, below)
        elif source.suffix.lower() in lists.SUFFIXES:
            yield _of_list(source, raw, params, below)
        else:
            raise EidolonError(
                f"{source} is neither a folder nor a zip or tar archive nor a list"
                f" ({', '.join(lists.SUFFIXES)})"
            )


def _of_folder(
    root: Path, params: config.Ingest, below: Path, *, archive: Path | None = None
) -> list[Candidate]:
    """Every file below ``root`` but hidden ones; links are not followed. The name of ``root`` is
    the category of the files in it, unless ``archive`` was unpacked there."""
    found: list[Candidate] = []
    total = 0
    for place, folders, files in os.walk(root, onerror=_unreadable):
        folders[:] = sorted(f for f in folders if not _hidden(f))
        links = [f for f in folders if (Path(place) / f).is_symlink()]
        category = Path(place).name if archive is None or Path(place) != root else None
        for file in [*links, *sorted(f for f in files if not _hidden(f))]:
            path = Path(place) / file
            name = str((archive or root) / path.relative_to(root))
            found.append(Candidate(path, category, name, below))
            with suppress(FileNotFoundError):  # gone since: that is told when it is opened
                total += path.lstat().st_size
            _within(root, len(found), total, params)
    return found


def _unreadable(error: OSError) -> None:
    raise EidolonError(f"{error.filename} cannot be read ({error.strerror}): nothing was taken")


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in _JUNK


def _of_list(
    path: Path, raw: IO[bytes], params: config.Ingest, below: Path | None
) -> list[Candidate]:
    """The files that a list names. Of those in its own folder the quarantine may keep copies."""
    found: list[Candidate] = []
    total = 0
    for line, file, named in lists.read(path, raw):
        given = file.is_relative_to(path.parent)
        root = below or (path.parent if given else None)
        category = file.parent.name if named is None else named
        found.append(Candidate(file, category, str(file), root, given, line))
        with suppress(OSError):
            total += file.lstat().st_size if root is None or file.is_relative_to(root) else 0
        _within(path, len(found), total, params)
    return found


def _of_reasons(
    path: Path, raw: IO[bytes], params: config.Ingest, below: Path | None
) -> list[Candidate]:
    """The copies that a quarantine's reasons.csv names, each under the name that it had."""
    found = [
        Candidate(copy, category, name, below or path.parent)
        for copy, category, name in copies(path, raw)
    ]
    total = sum(one.path.lstat().st_size for one in found if one.path.exists())
    _within(path, len(found), total, params)
    return found


def _within(source: Path, count: int, total: int, params: config.Ingest) -> None:
    if count > params.max_files or total > params.max_bytes:
        raise EidolonError(
            f"{source} has more than {params.max_files} files or {params.max_bytes} bytes:"
            " split it, or raise ingest.max_files and ingest.max_bytes in params.yaml"
        )
