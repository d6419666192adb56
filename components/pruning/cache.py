"""Objects in DVC's cache that neither this checkout nor a kept version needs.

`dvc gc` keeps what .dvc files and dvc.lock name. So while it runs, temporary .dvc files name the
data of the versions to keep. The remote is never touched: it is the backup.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from components.collection import catalog
from components.lifecycle import registry
from components.lifecycle.registry import Registered
from components.paths import POINTER
from components.pruning.garbage import Garbage, size
from components.versioning import dvc, git
from components.versioning.lock import collection_hash, dataset_hash

_REMOVING = re.compile(r"^Removing (/.+)$", re.MULTILINE)


def unused(kept: Iterable[Registered]) -> Garbage | None:
    """What the cache holds beside this checkout's data, the data of the versions in ``kept``, and
    all versions of the collection that git knows: they may be the only copies.

    ``None`` where the cache is outside of this checkout: other clones may share it.
    """
    place = dvc.cache_folder()
    if not place.resolve().is_relative_to(Path.cwd().resolve()):
        return None
    hashes = {*_of_versions(kept), *_of_collection()}
    with catalog.locked():
        found = [Path(path) for path in _REMOVING.findall(_collect(hashes, dry=True))]

    def remove() -> None:
        with catalog.locked():
            _collect(hashes, dry=False)

    return Garbage("objects in DVC's cache", len(found), size(found), remove)


def _of_versions(kept: Iterable[Registered]) -> set[str]:
    """DVC's hashes of the datasets and collections of these versions."""
    found = set()
    for version in kept:
        try:
            texts = registry.artifacts(version, "dvc.lock", "lineage")
        except registry.MissingArtifactError:
            continue  # it cannot be restored anyway
        found.add(dataset_hash(texts["dvc.lock"]))
        found.add(collection_hash(texts.get("lineage/pictures.dvc")))
    return found - {""}


def _of_collection() -> set[str]:
    return {collection_hash(text) for text in git.all_versions(POINTER)}


def _collect(hashes: Collection[str], *, dry: bool) -> str:
    return dvc.collect_garbage(sorted(hashes), dry=dry)
