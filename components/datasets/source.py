"""The stage `source`: tells DVC when the folder that the adapter reads has changed, or the
collection.

A stage of dvc.yaml cannot depend on a folder that may be anywhere, or missing. So this stage always
runs. It writes a digest of the folder's names and contents to a small file, and the stage `dataset`
depends on that file. As in git and DVC, a file is read again only when its size, times or inode
changed. The digest of the collection's manifest is there too, so that git keeps a hash and a count
of the pictures instead of a row for each.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from components import config
from components.datasets import splits
from components.datasets.adapter import wrong_with
from components.errors import EidolonError
from components.file_hashes import FileHashes
from components.files import read_json, write_json
from components.paths import COLLECTED, COLLECTION, KNOWN, POINTER, SOURCE
from components.progress import track

KEEP = "EIDOLON_KEEP_SOURCE"
"""Environment variable for the later stages of a run: they keep the record of its first stage."""

_AT_ONCE = 4096  # files whose hashes are looked up together
_ABSENT = "absent"  # the digest of what is not a file: an empty folder, a link to nothing


def source(params: config.Dataset, record: Path = SOURCE, known: Path = KNOWN) -> str:
    """Write the record of what ``params`` would read, and return a sentence about it.

    A clone without the folder keeps the ``record`` that came with git, because it may use a dataset
    that was made elsewhere. So does one without the collection's pictures. ``known`` keeps the
    digests of files for the next time.

    Raises :class:`EidolonError` when both the folder and the record are missing, and when a file
    cannot be read.
    """
    recorded, hashes = _recorded(record), FileHashes(known)
    collection = _collection(recorded, hashes)
    source = None if params.adapter == "emblems" else params.source
    described = params.descriptions if isinstance(params.descriptions, Path) else None
    if wrong := _wrong(source, described):
        if not recorded:
            raise EidolonError(f"{wrong}: set it in params.yaml")
        write_json(record, recorded | collection)
        return f"warning: {wrong}; the dataset stays as recorded"
    found = list(_files(source)) if source is not None else []
    found += [params.splits / name for name in splits.FILES] if params.splits is not None else []
    if described is not None:
        found += [described] if described.is_file() else list(_files(described))
    digest, size = hashlib.sha256(), 0
    for i, path in enumerate(track(found, "source", "files")):
        if i % _AT_ONCE == 0:
            hashes.expect(found[i : i + _AT_ONCE])
        roots = (source, params.splits, described)
        root = next((one for one in roots if one in path.parents), None)
        name = path.relative_to(root) if root is not None else path
        is_file = path.is_file()
        digest.update(os.fsencode(f"{_sha256(path, hashes) if is_file else _ABSENT} {name}\0"))
        size += path.stat().st_size if is_file else 0
    hashes.save()
    read = {"files": len(found), "bytes": size, "sha256": digest.hexdigest()}
    write_json(record, read | collection)
    return f"{len(found)} files" if found else "nothing is read: the pictures are drawn"


def has_collection(record: Path = SOURCE, known: Path = KNOWN) -> bool:
    """Whether the ``record`` is of the collection as it is now."""
    recorded = _recorded(record)
    return recorded == recorded | _collection(recorded, FileHashes(known))


def _recorded(record: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_json(record, "delete it") if record.is_file() else {}
    return found


def _collection(recorded: dict[str, Any], hashes: FileHashes) -> dict[str, Any]:
    """The part of a record about the collection: how many pictures it has, and the hash of its
    manifest."""
    part = "collection"
    for rows in (COLLECTED, COLLECTION / COLLECTED.name):  # or where older releases had it
        if rows.is_file():
            with rows.open("rb") as lines:
                count = sum(1 for _ in lines) - 1  # the names of columns
            return {part: {"pictures": count, "sha256": _sha256(rows, hashes)}}
    if POINTER.is_file() and part in recorded:
        return {part: recorded[part]}
    return {part: {"pictures": 0, "sha256": ""}}


def _wrong(source: Path | None, described: Path | None) -> str | None:
    """Why what params.yaml names cannot be read, in words that begin with the key."""
    if source is not None and (wrong := wrong_with(source)):
        return f"dataset.source {wrong}"
    if described is not None and not described.exists():
        return f"dataset.descriptions {described} does not exist"
    return None


def _files(root: Path) -> Iterator[Path]:
    """The files below ``root``, and its empty folders, in a fixed order. Hidden ones are ignored.

    Links are followed, except those to a folder that contains them.
    """
    for place, folders, files in os.walk(root, onerror=_unreadable, followlinks=True):
        here, real = Path(place), os.path.realpath(place)
        if any(os.path.realpath(p) == real for p in here.parents if p == root or root in p.parents):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        shown = sorted(name for name in files if not name.startswith("."))
        yield from (here / name for name in shown)
        if not shown and not folders and here != root:
            yield here


def _sha256(path: Path, hashes: FileHashes) -> str:
    try:
        return hashes.sha256(path)
    except OSError as error:
        _unreadable(error)


def _unreadable(error: OSError) -> NoReturn:
    raise EidolonError(f"{error.filename} cannot be read ({error.strerror}): let this user read it")
