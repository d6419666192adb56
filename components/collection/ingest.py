"""Ingestion: checks pictures from outside and adds those that are fit and new to the collection."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from contextlib import suppress
from dataclasses import InitVar, asdict, dataclass, field
from pathlib import Path

import pandas as pd

from components import config, manifest
from components.collection import catalog
from components.collection.candidates import Candidate, candidates
from components.collection.catalog import Picture
from components.collection.checks import Rejected, content, decode
from components.collection.known import KnownPictures
from components.collection.opening import UNLINK, locate
from components.collection.quarantine import Item, put_aside
from components.collection.removed import RemovedPictures
from components.errors import EidolonError
from components.files import scratch, write_bytes
from components.images.looks import Looks, look
from components.names import clean, fold, is_text
from components.paths import COLLECTION, DATASET, QUARANTINE
from components.progress import track

MAX_NAME = 100  # bytes of a category's name
_NEAR, _REMOVED = "near-duplicate", "removed"
_PRESENT = ("duplicate", _NEAR)  # kinds of refusal that mean: the picture is here already

_NO_COPY = ("duplicate", _REMOVED)  # kinds of refusal of which the quarantine keeps no file


@dataclass(frozen=True)
class Outcome:
    """The result of an ingestion.

    ``rejected`` counts the refused files by kind. ``quarantine`` is the folder with these files and
    reasons.csv, if there are any.
    """

    files: int
    added: int
    rejected: dict[str, int]
    new_categories: list[str]
    quarantine: Path | None

    @property
    def unfit(self) -> bool:
        """Whether the source had files, but none of them is in the collection now."""
        return self.files > 0 and not self.added and not {*_PRESENT} & {*self.rejected}

    def sentence(self) -> str:
        """The result in words, with what to do about refused files."""
        parts = [f"{self.added} of {self.files} files added"]
        if self.new_categories:
            names = ", ".join(self.new_categories[:5])
            more = "…" if len(self.new_categories) > 5 else ""
            parts.append(f"{len(self.new_categories)} new categories ({names}{more})")
        if self.rejected:
            counts = ", ".join(f"{n} {kind}" for kind, n in sorted(self.rejected.items()))
            parts.append(f"refused: {counts}; see {self.quarantine}/reasons.csv")
        if "link" in self.rejected:
            parts.append(UNLINK)
        if _NEAR in self.rejected:
            again = f"eidolon ingest {self.quarantine}/reasons.csv --keep-near"
            parts.append(f"if the near-duplicates are other pictures, `{again}` adds them")
        return "; ".join(parts)


@dataclass(frozen=True)
class Refusal:
    """A refused candidate and the reason.

    Unlike an exception, it does not keep the decoded picture in memory through a traceback.
    """

    candidate: Candidate
    kind: str
    reason: str
    like: str


def ingest(
    source: Path,
    params: config.Ingest,
    dataset: Path = DATASET,
    folder: Path = COLLECTION,
    quarantine: Path = QUARANTINE,
    below: Path | None = None,
    *,
    keep_near: bool = False,
) -> Outcome:
    """Check every file of ``source``, and add fit and new ones to the collection in ``folder``.

    Near-duplicates count as new with ``keep_near``. Other files go to a new folder in
    ``quarantine``. Set ``below`` for a source that a remote user named: then nothing outside that
    folder is read, whatever a link or a list says.

    Raises :class:`EidolonError` for a source that is missing, unreadable, unsafe, too large or the
    collection itself. Then nothing is added.
    """
    named = locate(source)
    source, home = (Path(os.path.realpath(path)) for path in (named, folder))
    below = None if below is None else Path(os.path.realpath(below))
    if below is not None and not source.is_relative_to(below):
        raise EidolonError(f"{named} leads out of {below}: put the files themselves there")
    if source.is_relative_to(home) or home.is_relative_to(source):
        raise EidolonError(f"{source} is or contains the collection itself: name another folder")
    with (
        catalog.locked(),
        candidates(source, params, below) as found,
        scratch(folder) as scratch_folder,
    ):
        checker = Checker(
            params, dataset, catalog.sweep(folder, quarantine), folder, scratch_folder, keep_near
        )
        before = set(checker.categories.values())
        added: list[Picture] = []
        refused: list[Refusal] = []
        try:
            for candidate in track(found, "ingest", "files"):
                try:
                    added.append(checker.add(candidate, source))
                except Rejected as reason:
                    refused.append(Refusal(candidate, reason.kind, str(reason), reason.like))
            items = (_item(one, params.max_file_bytes) for one in refused)
            aside = put_aside(items, quarantine) if refused else None
            catalog.append(added, folder)
            checker.save()
        except BaseException:
            for picture in added:
                (catalog.pictures_folder(folder) / picture.path).unlink(missing_ok=True)
            raise
    return Outcome(
        files=len(found),
        added=len(added),
        rejected=dict(Counter(one.kind for one in refused)),
        new_categories=sorted({picture.category for picture in added} - before),
        quarantine=aside,
    )


@dataclass
class Checker:
    """Checks files against the pictures of ``dataset`` and of the collection in ``folder``, which
    has the rows ``collected``.

    ``categories`` maps folded names to names. Files are first written to ``scratch_folder``. With
    ``keep_near``, near-duplicates are accepted.
    """

    params: config.Ingest
    dataset: Path
    collected: InitVar[pd.DataFrame]
    folder: Path
    scratch_folder: Path
    keep_near: bool
    categories: dict[str, str] = field(init=False)

    def __post_init__(self, collected: pd.DataFrame) -> None:
        present = manifest.read(self.dataset, manifest.DATASET_COLUMNS, "dvc repro dataset")
        self._known = KnownPictures(self.params.max_hamming, self.params.near_duplicate_distance)
        self._removed = RemovedPictures.read(self.folder)
        self._looks = Looks()
        self._owners: dict[str, tuple[str, str]] = {}
        paths = [f"{self.dataset}/{path}" for path in present["path"]]
        paths += catalog.paths_of(collected, self.folder)
        columns = ["category", "pixels", "dhash", "source"]
        both = pd.concat([present[columns], collected.assign(source=collected["file"])[columns]])
        self._known.add_all(paths, both["pixels"].tolist(), both["dhash"].tolist())
        named = {name: name for name in both["category"].unique()}  # one text for each category
        for path, category, file in zip(paths, both["category"], both["source"], strict=True):
            self._set_owner(path, named[category], file)
        self.categories = {fold(name): name for name in named}

    def add(self, candidate: Candidate, source: Path) -> Picture:
        """Write a fit and new picture of ``source`` to the collection's folder.

        Returns its row, which is not yet in the manifest. Raises :class:`Rejected`.
        """
        category = self._category(candidate)
        data = content(candidate.path, candidate.below, self.params.max_file_bytes)
        image, kind = decode(data, self.params.max_pixels)
        seen = look(image)
        hashes = seen.hashes
        digest = hashlib.sha256(data).hexdigest()
        gone = self._removed.find(digest, hashes.pixels)
        if gone is not None:
            raise Rejected(_REMOVED, f"was removed on {gone.date}: {gone.reason}")
        same = self._known.same(hashes)
        if same is not None:
            reason = f"is the same picture as {self._named(same, category)}"
            raise Rejected("duplicate", reason, self._owners[str(same)][1])
        near = None if self.keep_near else self._known.near(image)
        if near is not None:
            reason = f"is nearly {self._named(near, category)}"
            raise Rejected(_NEAR, reason, self._owners[str(near)][1])
        self._looks.put(digest, seen)
        path = Path(re.sub(r"[^\w.-]", "_", category)) / f"{digest[:16]}.{kind.lower()}"
        place = catalog.pictures_folder(self.folder) / path
        write_bytes(data, place, self.scratch_folder)
        file = owner_name(candidate, source)
        self._known.add(hashes, place, image)
        self._set_owner(str(place), category, file)
        self.categories.setdefault(fold(category), category)
        return Picture(
            path=path.as_posix(),
            category=category,
            sha256=digest,
            **asdict(hashes),
            bytes=len(data),
            source=catalog.printable(source.name),
            file=file,
        )

    def _category(self, candidate: Candidate) -> str:
        """The category's name, as the dataset or the collection spells it if it is known."""
        if candidate.category is None:
            raise Rejected("no category", "is not in a folder that names its category")
        if not is_text(candidate.category):
            raise Rejected("no category", "its folder's name is not UTF-8: rename the folder")
        name = clean(candidate.category)
        known = self.categories.get(fold(name))
        if known is None and not 0 < len(name.encode()) <= MAX_NAME:
            raise Rejected(
                "no category", f"its category's name is empty or longer than {MAX_NAME} bytes"
            )
        return known or name

    def save(self) -> None:
        """Keep what the next ingestion would otherwise have to compute again."""
        self._known.save()
        self._looks.save()

    def _set_owner(self, path: str, category: str, file: str) -> None:
        self._owners[path] = category, file or path  # drawn pictures have no owner

    def _named(self, path: Path, category: str) -> str:
        """``path``, with its category if that is not ``category``."""
        other = self._owners[str(path)][0]
        return str(path) if other == category else f"{path}, which shows {other!r}"


def owner_name(candidate: Candidate, source: Path) -> str:
    """The owner's name for a file, starting with the name of ``source``.

    ``photos/fox/1.png`` for a folder and ``photos.zip!fox/1.png`` for an archive. A file of a list
    has its path relative to the list's folder if it is below that, or else its whole path.
    """
    name = Path(candidate.name)
    if name.is_relative_to(source):
        inner = name.relative_to(source).as_posix()
        return catalog.printable(f"{source.name}{'/' if source.is_dir() else '!'}{inner}")
    beside = name.is_relative_to(source.parent)
    return catalog.printable(str(name.relative_to(source.parent) if beside else name))


def _item(refused: Refusal, most: int) -> Item:
    """What the quarantine keeps of a refused file.

    It keeps no copy of a duplicate, because the picture is here already, nor of one that was
    removed. Of a file that a list
    names elsewhere, it keeps a copy only if that is a picture: the list may come from a stranger
    and name any file.
    """
    candidate, data = refused.candidate, None
    if refused.kind == _NEAR or (candidate.contributed and refused.kind not in _NO_COPY):
        with suppress(Rejected):  # missing or too big, as the reason says
            data = content(candidate.path, candidate.below, most)
    where = "" if candidate.line is None else f" (line {candidate.line} of the list)"
    reason = f"{refused.reason}{where}"
    return Item(candidate.name, candidate.category, refused.kind, reason, data, refused.like)
