"""Removes pictures for good: `eidolon remove`.

The collection and the list of removed pictures change at once. What registered versions, caches and
remotes still have is told, with what to do about it, and purged as far as no version that is live
has the pictures.
"""

from __future__ import annotations

from collections.abc import Sequence

from components import manifest
from components.collection import catalog, removing
from components.collection.removed import Removed
from components.collection.removing import Found
from components.errors import EidolonError, TransientError
from components.lifecycle import registry
from components.paths import DATASET, POINTER
from components.progress import Log
from components.pruning import places, sharing
from components.serving.thumbnails import Thumbnails
from components.versioning import dvc
from ops import release


def remove(
    names: Sequence[str], reason: str, version: str | None, log: Log, *, purge: bool
) -> list[str]:
    """Remove the pictures that ``names`` name, in the dataset here or in that of ``version``, and
    return what is left to do.

    ``purge`` also removes the copies that no version needs. Raises :class:`EidolonError` for a name
    that names nothing, for an id that is another picture in the version that is deployed, and
    without a ``reason``; :class:`TransientError` when the registry, the remote or shared thumbnails
    cannot be reached.
    """
    if not reason.strip():
        raise EidolonError("say why with --reason TEXT: it is shown if the pictures come again")
    thumbnails = Thumbnails()
    with catalog.locked():
        found = _find(names, version)
        gone = removing.remove(found, reason.strip(), log)
    _forget(thumbnails, [one.sha256 for one in gone])
    log(f"removed: {len(gone)} pictures, which no ingestion and no dataset takes any more")
    if POINTER.is_file():
        dvc.push([str(POINTER)], log)
    left = _left(gone, found, log, purge=purge)
    if thumbnails.shared is not None:
        left.append(
            f"the folder .eidolon/thumbnails of other machines that read {thumbnails.shared.url}:"
            " delete it there, and it fills again without them"
        )
    return left


def _forget(thumbnails: Thumbnails, hashes: Sequence[str]) -> None:
    try:
        thumbnails.forget(hashes)
    except (EidolonError, TransientError) as error:
        raise type(error)(
            f"the removed pictures still have thumbnails, and nothing was purged: {error}; then"
            f" repeat the command with {' '.join(hashes)} as names"
        ) from None


def _find(names: Sequence[str], version: str | None) -> list[Found]:
    if version is not None:
        path = "lineage/dataset.csv"
        kept = registry.artifacts(registry.registered(version), path)[path]
        rows = manifest.kept(kept, manifest.DATASET_COLUMNS, path)
        return removing.find(names, rows, None)
    rows = manifest.read(DATASET, manifest.DATASET_COLUMNS, "dvc repro dataset")
    _check_same(names, dict(zip(rows["path"], rows["pixels"], strict=True)))
    return removing.find(names, rows)


def _check_same(names: Sequence[str], here: dict[str, str]) -> None:
    """Raise :class:`EidolonError` when a hit's id is another picture in the deployed version."""
    live, path = release.deployed(), "lineage/dataset.csv"
    ids = [name for name in names if name in here]
    if live is None or not ids or not registry.exists(str(live["version"])):
        return
    kept = registry.artifacts(registry.registered(str(live["version"])), path)[path]
    rows = manifest.kept(kept, ("path", "pixels"), path)
    there = dict(zip(rows["path"], rows["pixels"], strict=True))
    for name in ids:
        if there.get(name, here[name]) != here[name]:
            raise EidolonError(
                f"{name} is another picture in version {live['version']}, which is deployed: for a"
                f" hit of that version give --version {live['version']}, for the picture in"
                f" {DATASET} its SHA-256"
            )


def _left(gone: Sequence[Removed], found: Sequence[Found], log: Log, *, purge: bool) -> list[str]:
    """What still has the pictures, a sentence each, after a purge if that is asked for."""
    versions, here = places.versions(gone), places.in_dataset(gone)
    left = []
    if here:
        left.append(f"{DATASET}, and what was made from it: `make run` makes them without")
    left += [_of_version(one) for one in versions]
    if versions:
        left.append(
            "  a version cannot be changed: train and promote one without them (`make run`), then"
            " `eidolon prune --yes`; a version with an alias stays until the alias moves on"
        )
    copies = places.copies(gone)
    if purge:
        for file in copies.files:
            file.unlink()
        needed = here or any(_is_live(one) for one in versions)
        if not needed and copies.objects:
            dvc.objects("remove", *copies.objects)
        objects = 0 if needed else len(copies.objects)
        log(f"purged: {len(copies.files)} files in outbox/, {objects} objects of DVC")
        copies = places.copies(gone)
    left += copies.sentences()
    if copies.files or copies.objects:
        left.append(f"  `eidolon remove … --purge` removes these{_ONCE if purge else ''}")
    left += [f"{file}: delete it, or pack it again without them" for file in places.archives(gone)]
    for one in found:
        if one.source and one.file is not None and one.file.is_relative_to(DATASET):
            left.append(f"{one.source}: the owner's own file, which is not used any more")
    return left


_ONCE = ", once the dataset and the live version are without them"


def _of_version(version: registry.Registered) -> str:
    names = [*version.aliases, *(["deployed"] if _is_deployed(version) else [])]
    called = f" ({', '.join(names)})" if names else ""
    bentos = list(sharing.STORE.glob(f"v{version.version}-*"))
    where = f"version {version.version}{called}: its bundle and pages in MLflow"
    return f"{where}, and its Bento" if bentos else where


def _is_live(version: registry.Registered) -> bool:
    return _is_deployed(version) or registry.CHAMPION in version.aliases


def _is_deployed(version: registry.Registered) -> bool:
    return str((release.deployed() or {}).get("version")) == version.version
