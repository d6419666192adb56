"""Ingesting: pictures from outside are checked one by one, and join the collection or do not."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path

import pandas as pd
from PIL import Image

from components import config, manifest
from components.collection import catalog
from components.collection.candidates import Candidate, candidates
from components.collection.catalog import Picture
from components.collection.known import Known
from components.collection.opening import UNLINK, Unreadable, locate, open_regular
from components.collection.quarantine import Item, put_aside
from components.errors import EidolonError
from components.files import put, scratch
from components.images import decoding, jpeg
from components.images.hashing import Likeness, likeness
from components.names import clean, fold, is_text
from components.paths import COLLECTION, DATASET, QUARANTINE
from components.progress import track

MAX_NAME = 100  # bytes of a category's name
_NEAR = "near-duplicate"
_PRESENT = ("duplicate", _NEAR)  # of what is there already


@dataclass(frozen=True)
class Outcome:
    """What became of a source's files: ``rejected`` counts them by kind of reason, ``quarantine``
    is where they and reasons.csv lie."""

    files: int
    added: int
    rejected: dict[str, int]
    new_categories: list[str]
    quarantine: Path | None

    @property
    def unfit(self) -> bool:
        """Whether it had files, and none of them is in the collection now."""
        return self.files > 0 and not self.added and not {*_PRESENT} & {*self.rejected}

    def sentence(self) -> str:
        """What a person is told."""
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
class Refused:
    """A candidate that was not taken, and why. It holds words alone: an exception would hold the
    decoded picture too, by the frames of its traceback."""

    candidate: Candidate
    kind: str
    reason: str
    like: str


class Rejected(Exception):  # noqa: N818 - of a file, not an error of ours
    """A file that is not taken. ``kind`` is counted, the text says it in full; ``like`` names the
    picture that it is a copy of."""

    def __init__(self, kind: str, reason: str, like: str = "") -> None:
        super().__init__(reason)
        self.kind, self.like = kind, like


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
    """Check every file of ``source`` and add what is fit and new to the collection in ``folder``;
    with ``keep_near`` near-duplicates too.

    The rest goes to a folder of its own under ``quarantine``. ``below`` is for a source that was
    not named at this machine: nothing outside of that folder is read, whatever a link or a list
    says. Raises :class:`EidolonError` for a source that does not exist, cannot be read, is unsafe,
    beyond its caps, or the collection itself; nothing is added then.
    """
    given = locate(source)
    source, home = (Path(os.path.realpath(path)) for path in (given, folder))
    below = None if below is None else Path(os.path.realpath(below))
    if below is not None and not source.is_relative_to(below):
        raise EidolonError(f"{given} leads out of {below}: put the files themselves there")
    if source.is_relative_to(home) or home.is_relative_to(source):
        raise EidolonError(f"{source} is or holds the collection itself: name a folder elsewhere")
    with (
        catalog.locked(),
        candidates(source, params, below) as found,
        scratch(folder) as within,
    ):
        catalog.sweep(folder, quarantine)
        judge = Judge(params, dataset, folder, within, keep_near)
        before = set(judge.categories.values())
        added: list[Picture] = []
        refused: list[Refused] = []
        try:
            for candidate in track(found, "ingest", "files"):
                try:
                    added.append(judge.take(candidate, source))
                except Rejected as reason:
                    refused.append(Refused(candidate, reason.kind, str(reason), reason.like))
            aside = (
                put_aside((_item(one, params.max_file_bytes) for one in refused), quarantine)
                if refused
                else None
            )
            catalog.append(added, folder)
            judge.done()
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
class Judge:
    """What is known already, and the checks. ``categories`` maps folded names to names. Pictures
    are written by way of ``within``. With ``keep_near`` a near-duplicate is fit."""

    params: config.Ingest
    dataset: Path
    folder: Path
    within: Path
    keep_near: bool
    categories: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        present = manifest.read(self.dataset, manifest.DATASET_COLUMNS, "dvc repro dataset")
        collected = catalog.read(self.folder)
        self._known = Known(self.params.max_hamming, self.params.near_duplicate_distance)
        self._category_of: dict[Path, str] = {}
        self._owned: dict[Path, str] = {}
        paths = [*(self.dataset / p for p in present["path"]), *catalog.files(self.folder)]
        both = pd.concat([present, collected.assign(source=collected["file"])])
        columns = (both[name] for name in ("category", "pixels", "dhash", "source"))
        for path, category, pixels, dhash, file in zip(paths, *columns, strict=True):
            self._remember(path, category, Likeness(pixels, dhash), file)
        self.categories = {fold(name): name for name in both["category"].unique()}

    def take(self, candidate: Candidate, source: Path) -> Picture:
        """Put a fit and new picture of ``source`` into its place and return its row, not yet in the
        manifest. Raises :class:`Rejected`."""
        category = self._category(candidate)
        data = _bytes(candidate, self.params.max_file_bytes)
        image, kind = decode(data, self.params.max_pixels)
        known_by = likeness(image)
        same = self._known.same(known_by)
        if same is not None:
            reason = f"is the same picture as {self._named(same, category)}"
            raise Rejected("duplicate", reason, self._owned[same])
        near = None if self.keep_near else self._known.near(image)
        if near is not None:
            reason = f"is nearly {self._named(near, category)}"
            raise Rejected(_NEAR, reason, self._owned[near])
        digest = hashlib.sha256(data).hexdigest()
        path = Path(re.sub(r"[^\w.-]", "_", category)) / f"{digest[:16]}.{kind.lower()}"
        place = catalog.pictures_folder(self.folder) / path
        put(data, place, self.within)
        file = owned(candidate, source)
        self._remember(place, category, known_by, file, image)
        self.categories.setdefault(fold(category), category)
        return Picture(
            path=path.as_posix(),
            category=category,
            sha256=digest,
            **asdict(known_by),
            bytes=len(data),
            source=catalog.printable(source.name),
            file=file,
        )

    def _category(self, candidate: Candidate) -> str:
        if candidate.category is None:
            raise Rejected("no category", "lies in no folder that names its category")
        if not is_text(candidate.category):
            raise Rejected("no category", "its folder's name is not UTF-8: rename the folder")
        name = clean(candidate.category)
        known = self.categories.get(fold(name))
        if known is None and not 0 < len(name.encode()) <= MAX_NAME:
            raise Rejected(
                "no category", f"its category's name is empty or longer than {MAX_NAME} bytes"
            )
        return known or name

    def done(self) -> None:
        """Keep what the next ingestion would have to read pictures for."""
        self._known.save()

    def _remember(
        self,
        path: Path,
        category: str,
        known_by: Likeness,
        file: str,
        image: Image.Image | None = None,
    ) -> None:
        self._known.add(known_by, path, image)
        self._category_of[path] = category
        self._owned[path] = file or str(path)  # what was drawn has no owner

    def _named(self, path: Path, category: str) -> str:
        other = self._category_of[path]
        return str(path) if other == category else f"{path}, which shows {other!r}"


def owned(candidate: Candidate, source: Path) -> str:
    """The name by which the owner knows a file, from that of ``source`` on: ``photos/fox/1.png`` of
    a folder, ``photos.zip!fox/1.png`` of an archive, and as it is seen from a list."""
    name = Path(candidate.name)
    if name.is_relative_to(source):
        within = name.relative_to(source).as_posix()
        return catalog.printable(f"{source.name}{'/' if source.is_dir() else '!'}{within}")
    beside = name.is_relative_to(source.parent)
    return catalog.printable(str(name.relative_to(source.parent) if beside else name))


def decode(data: bytes, max_pixels: int = decoding.MAX_PIXELS) -> tuple[Image.Image, str]:
    """A whole picture as RGB, and its format by content. Raises :class:`Rejected`."""
    try:
        image = decoding.decode(data, "it", max_pixels=max_pixels)
        kind = decoding.format_of(data, "it")
        if kind == "PNG":
            with Image.open(BytesIO(data), formats=["PNG"]) as again:
                again.verify()  # the checksums and the end
    except decoding.TooManyPixelsError as error:
        raise Rejected(
            "too many pixels", f"{error}, or raise ingest.max_pixels in params.yaml"
        ) from None
    except EidolonError as error:
        raise Rejected("not decoded", str(error)) from None
    except decoding.DAMAGE as error:
        raise Rejected("not decoded", f"it is damaged ({error})") from None
    if kind == "JPEG" and not jpeg.is_whole(data):
        raise Rejected("not decoded", "it is truncated: its end marker is missing")
    return image, kind


def _bytes(candidate: Candidate, most: int) -> bytes:
    try:
        with open_regular(candidate.path, candidate.below) as file:
            data = file.read(most + 1)
    except Unreadable as error:
        raise Rejected(error.kind, str(error)) from None
    except OSError as error:
        raise Rejected("missing", f"cannot be read ({error.strerror})") from None
    if len(data) > most:
        raise Rejected("too big", f"has more than {most} bytes")
    return data


def _item(refused: Refused, most: int) -> Item:
    """What the quarantine keeps. Of a duplicate no bytes: its picture is here already. Of what a
    list names elsewhere only pictures: a list may be a stranger's, and name any file."""
    candidate, data = refused.candidate, None
    if refused.kind == _NEAR or (candidate.given and refused.kind != "duplicate"):
        with suppress(Rejected):  # no file, or too big: the reason says so
            data = _bytes(candidate, most)
    where = "" if candidate.line is None else f" (line {candidate.line} of the list)"
    reason = f"{refused.reason}{where}"
    return Item(candidate.name, candidate.category, refused.kind, reason, data, refused.like)
