"""Takes pictures out of the collection for good.

Each step can be repeated, and the list of removed pictures is written first. So after a process was
killed, the same removal completes the work, and meanwhile no ingestion and no stage takes these
pictures.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from components.collection import catalog, outbox, removed
from components.collection.known import forget
from components.collection.removed import Removed
from components.errors import EidolonError
from components.files import text_of
from components.images.looks import Looks
from components.images.written import Written
from components.paths import DATASET, PICTURES, POINTER
from components.progress import Log
from components.versioning import dvc
from components.versioning.lock import collection_hash

_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Found:
    """A picture to remove: the hashes of its file and of its pixels, the file itself if it is here,
    and ``source``, its owner's name for it."""

    sha256: str
    pixels: str
    file: Path | None
    source: str


def find(names: Iterable[str], dataset: pd.DataFrame, root: Path | None = DATASET) -> list[Found]:
    """The pictures that ``names`` name.

    A name is the id of a hit, which is a path in the manifest ``dataset``; the SHA-256 of a file;
    or a path in the collection. The files of ``dataset`` are below ``root``, or not here. Raises
    :class:`EidolonError` for a name that names nothing.
    """
    collected = catalog.read()
    pictures = catalog.pictures_folder()
    known = [_found(row, pictures, row["file"]) for row in collected.to_dict("records")]
    places = dict(zip(collected["path"], known, strict=True))
    places |= {f"{pictures}/{path}": one for path, one in places.items()}
    by_pixels = {one.pixels: one for one in known}
    for row in dataset.to_dict("records"):
        one = by_pixels.get(row["pixels"]) or _found(row, root, row["source"])
        places[row["path"]] = places[f"{DATASET}/{row['path']}"] = one
        known.append(one)
    hashes: dict[str, Found] = {
        row.sha256: Found(row.sha256, row.pixels, None, "") for row in removed.listed()
    }
    hashes |= {one.sha256: one for one in known}
    found = []
    for name in names:
        table = hashes if _HASH.fullmatch(name) else places
        if name not in table:
            raise EidolonError(
                f"{name} is neither the id of a picture in this dataset, nor the SHA-256 of one,"
                " nor a path in collection/pictures: for a hit of another version, give --version N"
            )
        found.append(table[name])
    return list(dict.fromkeys(found))


def remove(pictures: Sequence[Found], reason: str, log: Log) -> list[Removed]:
    """Put ``pictures`` on the list of removed ones, and take them out of the collection and out of
    what ingestion keeps about pictures. Saves a new version of the collection.

    Returns their entries in the list. The caller holds the lock of the collection. Raises what
    :func:`components.versioning.dvc.run` raises when DVC fails; call it again then.
    """
    today, before = f"{datetime.now(UTC):%Y-%m-%d}", removed.RemovedPictures.read()
    rows = [before.by_file.get(one.sha256) or _entry(one, today, reason) for one in pictures]
    removed.add(rows)
    hashes = {row.sha256 for row in rows}
    collected = catalog.read()
    leaves = collected["sha256"].isin(hashes)
    paths = list(collected["path"][leaves])
    if paths:
        catalog.write(collected[~leaves])
        outbox.forget(paths)
    gone = catalog.remove_strays(hashes)
    forget(row.pixels for row in rows)
    looks = Looks()
    looks.forget(hashes)
    looks.save()
    Written().forget(hashes)
    if POINTER.is_file() and (paths or gone):
        PICTURES.mkdir(exist_ok=True)
        dvc.run("add", str(PICTURES))
        log(f"version {collection_hash(text_of(POINTER))} of the collection")
    return rows


def _found(row: Mapping[Hashable, Any], root: Path | None, source: str) -> Found:
    file = None if root is None else root / str(row["path"])
    here = file if file is not None and file.is_file() else None
    return Found(str(row.get("sha256", "")), str(row["pixels"]), here, source)


def _entry(one: Found, today: str, reason: str) -> Removed:
    data = b"" if one.file is None else one.file.read_bytes()
    md5 = "" if one.file is None else hashlib.md5(data, usedforsecurity=False).hexdigest()
    return Removed(one.sha256, md5, len(data), one.pixels, today, reason)
