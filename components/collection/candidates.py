"""Lists the files to ingest from a folder, an archive, a list, or a quarantine's reasons.csv.

A picture's category is the name of its folder, unless a list names another.
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
    """A file to ingest.

    ``category`` is the name that it came with, if any. ``name`` is its owner's name for it: its
    path, or the path of the archive followed by the member's. Outside the folder ``below`` nothing
    is read. ``contributed``: the file itself is part of the source, so the quarantine may keep a
    copy of it, whatever it contains. ``line`` is its line in a list.
    """

    path: Path
    category: str | None
    name: str
    below: Path | None
    contributed: bool = True
    line: int | None = None


@contextmanager
def candidates(
    source: Path, params: config.Ingest, below: Path | None
) -> Iterator[list[Candidate]]:
    """Yield the files of a source. Those of an archive exist only inside the block.

    Raises :class:`EidolonError` for a source that cannot be read, is unsafe or beyond the limits.
    """
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
                f"{source} is not a source of pictures: name a folder, a zip or tar archive, or a"
                f" list ({', '.join(lists.SUFFIXES)})"
            )


def _of_folder(
    root: Path, params: config.Ingest, below: Path, *, archive: Path | None = None
) -> list[Candidate]:
    """The files below ``root``, without hidden ones. Links are not followed.

    The name of ``root`` is the category of the files directly in it, unless ``archive`` was
    unpacked there.
    """
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
            with suppress(FileNotFoundError):  # removed meanwhile: opening it will report that
                total += path.lstat().st_size
            _check_limits(root, len(found), total, params)
    return found


def _unreadable(error: OSError) -> None:
    raise EidolonError(
        f"{error.filename} cannot be read ({error.strerror}), so nothing was ingested:"
        " let this user read it"
    )


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in _JUNK


def _of_list(
    path: Path, raw: IO[bytes], params: config.Ingest, below: Path | None
) -> list[Candidate]:
    """The files that a list names. Only those in the list's own folder count as contributed."""
    found: list[Candidate] = []
    total = 0
    for line, file, named in lists.read(path, raw):
        contributed = file.is_relative_to(path.parent)
        root = below or (path.parent if contributed else None)
        category = file.parent.name if named is None else named
        found.append(Candidate(file, category, str(file), root, contributed, line))
        with suppress(OSError):
            total += file.lstat().st_size if root is None or file.is_relative_to(root) else 0
        _check_limits(path, len(found), total, params)
    return found


def _of_reasons(
    path: Path, raw: IO[bytes], params: config.Ingest, below: Path | None
) -> list[Candidate]:
    """The copies that a quarantine's reasons.csv lists, with their owners' names."""
    found = [
        Candidate(copy, category, name, below or path.parent)
        for copy, category, name in copies(path, raw)
    ]
    total = sum(one.path.lstat().st_size for one in found if one.path.exists())
    _check_limits(path, len(found), total, params)
    return found


def _check_limits(source: Path, count: int, total: int, params: config.Ingest) -> None:
    """Raise :class:`EidolonError` for more than the allowed files or bytes."""
    if count > params.max_files or total > params.max_bytes:
        raise EidolonError(
            f"{source} has more than {params.max_files} files or {params.max_bytes} bytes:"
            " split it, or raise ingest.max_files and ingest.max_bytes in params.yaml"
        )
