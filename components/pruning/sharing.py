"""Equal files of bundles take their place on disk once, as hard links to one file.

MLflow and BentoML copy a bundle, and versions often have equal parts. bundle.json has the hash of
each file, so equal ones are found without reading them. All these copies are ours, and none is ever
written in place.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from components.errors import EidolonError
from components.files import read_json, scratch, sha256
from components.lifecycle import artifacts, registry
from components.lifecycle.pruned import PRUNED
from components.lifecycle.registry import Registered
from components.paths import HOME
from components.pruning.garbage import Garbage

STORE = HOME / "bentoml" / "models" / "eidolon-bundle"
"""Where BentoML keeps the bundles of its Bentos."""


@dataclass(frozen=True)
class Equal:
    """The names of files with the SHA-256 ``digest``: on disk ``count`` more files than one,
    which take ``bytes``."""

    digest: str
    files: list[Path]
    count: int
    bytes: int


def copies(versions: Iterable[Registered]) -> Garbage:
    """The copies of equal files in the bundles of ``versions``, in MLflow and in BentoML's store,
    as far as these are folders on this machine."""
    found = equal(_bundles(versions))

    def remove() -> None:
        share(found)

    count, total = sum(one.count for one in found), sum(one.bytes for one in found)
    return Garbage("copies of equal files in kept bundles", count, total, remove)


def share_new() -> None:
    """Share what is equal in the bundles of all versions: after one was registered and built."""
    share(equal(_bundles(one for one in registry.versions() if PRUNED not in one.tags)))


def share(found: Iterable[Equal]) -> None:
    """Make the files of each of ``found`` names of one file, the first that has its hash.

    A process that is killed leaves each name with a whole file.
    """
    with scratch(HOME) as place:
        for one in found:
            whole = next((file for file in one.files if sha256(file) == one.digest), None)
            if whole is None:
                continue  # all are damaged, and their own users say so
            for other in one.files:
                with suppress(FileNotFoundError):  # another process has removed it
                    if not other.samefile(whole):
                        os.link(whole, place / "shared")
                        (place / "shared").replace(other)


@registry.reached()
def _bundles(versions: Iterable[Registered]) -> list[Path]:
    client, found = registry.client(), []
    for version in versions:
        here = artifacts.folder_of(client, version.run_id)
        found += [here / "bundle"] if here is not None else []
        found += sorted(STORE.glob(f"v{version.version}-*"))
    return [folder for folder in found if (folder / "bundle.json").is_file()]


def equal(folders: Iterable[Path]) -> list[Equal]:
    """The files of these bundles that are equal, and are on one disk but not one file."""
    groups: defaultdict[tuple[str, int], dict[int, list[Path]]] = defaultdict(dict)
    for folder in folders:
        with suppress(EidolonError, KeyError, TypeError):  # damaged: its own users say so
            for name, digest in read_json(folder / "bundle.json", "")["files"].items():
                with suppress(FileNotFoundError):
                    found = (folder / name).stat()
                    groups[digest, found.st_dev].setdefault(found.st_ino, []).append(folder / name)
    return [
        Equal(
            digest,
            [file for names in inodes.values() for file in names],
            len(inodes) - 1,
            next(iter(inodes.values()))[0].stat().st_size * (len(inodes) - 1),
        )
        for (digest, _), inodes in groups.items()
        if len(inodes) > 1
    ]
