"""Where pictures that were removed from the collection still are.

What is in a registered version cannot be taken out of it: a new version is trained without them,
and `eidolon prune` removes the old one. Copies of the files that no version serves can go at once.
"""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from components import tables
from components.collection.removed import Removed
from components.files import sha256, text_of
from components.lifecycle import registry
from components.lifecycle.pruned import PRUNED
from components.paths import DATASET, INGESTED, QUARANTINE
from components.versioning import dvc

_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")


@dataclass(frozen=True)
class Copies:
    """Copies of removed files: ``files`` in outbox/, and the objects in DVC's ``cache`` and
    ``remote``, by their MD5s."""

    files: list[Path]
    cache: list[str]
    remote: list[str]

    @property
    def objects(self) -> list[str]:
        """The MD5s of all objects."""
        return sorted({*self.cache, *self.remote})

    def sentences(self) -> list[str]:
        """Where there are copies, a sentence for each place."""
        kinds = (
            ("outbox/", [str(file) for file in self.files]),
            ("DVC's cache", self.cache),
            ("DVC's remote", self.remote),
        )
        return [f"{where}: {len(found)} copies" for where, found in kinds if found]


def in_dataset(gone: Sequence[Removed]) -> bool:
    """Whether the dataset here still has one of them."""
    text = text_of(DATASET / "manifest.csv")
    return text is not None and bool(_of(text, gone))


def versions(gone: Sequence[Removed]) -> list[registry.Registered]:
    """The versions that were made with one of them, and were not pruned."""
    found: list[registry.Registered] = []
    for version in registry.versions():
        path = "lineage/dataset.csv"
        try:
            text = registry.artifacts(version, path)[path]
        except registry.MissingArtifactError:
            continue
        if PRUNED not in version.tags and _of(text, gone):
            found.append(version)
    return found


def copies(gone: Sequence[Removed]) -> Copies:
    """The copies of their files in outbox/, in DVC's cache and in its remote."""
    hashes = {row.md5 for row in gone} - {""}
    held = dvc.objects("has", *sorted(hashes)) if hashes else {}
    by_size = {row.bytes: row for row in gone}
    wanted = {row.sha256 for row in gone}
    files = [
        file
        for folder in (INGESTED, QUARANTINE)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.stat().st_size in by_size and sha256(file) in wanted
    ]
    return Copies(files, held.get("cache", []), held.get("remote", []))


def archives(gone: Sequence[Removed]) -> list[Path]:
    """The archives in outbox/ that have one of them."""
    sizes, wanted = {row.bytes for row in gone}, {row.sha256 for row in gone}
    return [
        file
        for folder in (INGESTED, QUARANTINE)
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in _ARCHIVES
        and any(hashlib.sha256(m).hexdigest() in wanted for m in _members(file, sizes))
    ]


def _members(file: Path, sizes: Collection[int]) -> Iterator[bytes]:
    """The members of an archive that have one of these ``sizes``; none if it cannot be read."""
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                for info in archive.infolist():
                    if info.file_size in sizes:
                        yield archive.read(info)
        elif tarfile.is_tarfile(file):
            with tarfile.open(file) as tar:
                for member in tar:
                    inner = tar.extractfile(member) if member.size in sizes else None
                    if inner is not None:
                        yield inner.read()
    except (OSError, RuntimeError, zipfile.BadZipFile, tarfile.TarError):
        return


def _of(manifest: str, gone: Sequence[Removed]) -> list[str]:
    """The paths of these pictures in a manifest of the dataset."""
    frame: pd.DataFrame = tables.parse(manifest, ("path", "pixels"), "manifest.csv", "run it again")
    return list(frame["path"][frame["pixels"].isin({row.pixels for row in gone})])
