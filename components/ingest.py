"""Ingesting: pictures from outside are checked one by one, and join the collection or do not.

A source is a folder, an archive, or a list of files. A picture's category is the folder that it
lies in, unless a list names another.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
import shutil
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pandas as pd
from PIL import Image

from components import archives, collection, config, manifest, pictures
from components.collection import Picture
from components.errors import EidolonError
from components.files import folder_aside
from components.likeness import Known, Likeness, likeness
from components.paths import COLLECTION, DATASET, HOME, QUARANTINE, REASONS
from components.progress import track

LISTS = (".csv", ".txt")
MAX_NAME = 100  # bytes of a category's name
MAX_FILE = 256 << 20  # bytes of one picture
_JUNK = {"__MACOSX", "Thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class Candidate:
    """A file and the category that it is said to show; nothing where none was named."""

    path: Path
    category: str | None


@dataclass(frozen=True)
class Outcome:
    """What became of a source's files: ``rejected`` counts them by kind of reason, ``quarantine``
    is where they and reasons.csv lie."""

    files: int
    added: int
    rejected: dict[str, int]
    new_categories: list[str]
    quarantine: Path | None

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
        return "; ".join(parts)


class Rejected(Exception):  # noqa: N818 - of a file, not an error of ours
    """A file that is not taken. ``kind`` is counted, the text says it in full."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def ingest(
    source: Path,
    params: config.Ingest,
    dataset: Path = DATASET,
    folder: Path = COLLECTION,
    quarantine: Path = QUARANTINE,
) -> Outcome:
    """Check every file of ``source`` and add what is fit and new to the collection in ``folder``.

    The rest goes to a folder of its own under ``quarantine``. Raises :class:`EidolonError` for a
    source that cannot be read, is unsafe or beyond its caps; nothing is added then.
    """
    with collection.locked(), _candidates(source, params) as candidates:
        collection.sweep(folder)
        judge = Judge(params, dataset, folder)
        before = set(judge.categories.values())
        added: list[Picture] = []
        refused: list[tuple[Candidate, Rejected]] = []
        for candidate in track(candidates, "ingest", "files"):
            try:
                added.append(judge.take(candidate, clean(source.name)))
            except Rejected as reason:
                refused.append((candidate, reason))
        aside = _put_aside(refused, quarantine) if refused else None
        collection.append(added, folder)
    return Outcome(
        files=len(candidates),
        added=len(added),
        rejected=dict(Counter(reason.kind for _, reason in refused)),
        new_categories=sorted({picture.category for picture in added} - before),
        quarantine=aside,
    )


@dataclass
class Judge:
    """What is known already, and the checks. ``categories`` maps folded names to names."""

    params: config.Ingest
    dataset: Path
    folder: Path
    categories: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        present = manifest.read(self.dataset, manifest.DATASET_COLUMNS, "dvc repro dataset")
        collected = collection.read(self.folder)
        self._known = Known(self.params.max_hamming, self.params.max_difference)
        self._category_of: dict[Path, str] = {}
        paths = [*(self.dataset / p for p in present["path"]), *collection.files(self.folder)]
        both = pd.concat([present, collected])
        for path, category, pixels, dhash in zip(
            paths, both["category"], both["pixels"], both["dhash"], strict=True
        ):
            self._remember(path, category, Likeness(pixels, dhash))
        self.categories = {clean(name).casefold(): name for name in both["category"].unique()}

    def take(self, candidate: Candidate, source: str) -> Picture:
        """Put a fit and new picture into its place and return its row, not yet in the manifest.
        Raises :class:`Rejected`."""
        category = self._category(candidate)
        data = _bytes(candidate.path)
        image, kind = decode(data)
        known_by = likeness(image)
        same = self._known.same(known_by)
        if same is not None:
            raise Rejected("duplicate", f"is the same picture as {self._named(same, category)}")
        near = self._known.near(known_by, image)
        if near is not None:
            raise Rejected("near-duplicate", f"is nearly {self._named(near, category)}")
        digest = hashlib.sha256(data).hexdigest()
        path = Path(re.sub(r"[^\w.-]", "_", category)) / f"{digest[:16]}.{kind.lower()}"
        place = collection.pictures_folder(self.folder) / path
        _write(place, data)
        self._remember(place, category, known_by)
        self.categories.setdefault(category.casefold(), category)
        return Picture(
            path=path.as_posix(),
            category=category,
            sha256=digest,
            **asdict(known_by),
            bytes=len(data),
            source=source,
        )

    def _category(self, candidate: Candidate) -> str:
        if candidate.category is None:
            raise Rejected("no category", "lies in no folder that names its category")
        name = clean(candidate.category)
        if not name or len(name.encode()) > MAX_NAME:
            raise Rejected(
                "no category", f"its category's name is empty or longer than {MAX_NAME} bytes"
            )
        return self.categories.get(name.casefold(), name)

    def _remember(self, path: Path, category: str, known_by: Likeness) -> None:
        self._known.add(known_by, path)
        self._category_of[path] = category

    def _named(self, path: Path, category: str) -> str:
        other = self._category_of[path]
        return str(path) if other == category else f"{path}, which shows {other!r}"


def clean(name: str) -> str:
    """A category's name as it is stored: composed, without underscores and what cannot be printed,
    single spaces, no slash and no dot at its ends."""
    composed = unicodedata.normalize("NFKC", name)
    plain = "".join(c if c.isprintable() and c not in "_/\\" else " " for c in composed)
    return " ".join(plain.split()).strip(". ")


def decode(data: bytes) -> tuple[Image.Image, str]:
    """A whole picture as RGB, and its format by content. Raises :class:`Rejected`."""
    try:
        image = pictures.read(data, "it")
        with Image.open(BytesIO(data), formats=pictures.FORMATS) as again:
            kind = str(again.format)
            again.verify()  # the checksums and the end of a PNG
    except EidolonError as error:
        big = str(pictures.MAX_PIXELS) in str(error)
        raise Rejected("too many pixels" if big else "not decoded", str(error)) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise Rejected("not decoded", f"it is damaged ({error})") from None
    if kind == "JPEG" and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        raise Rejected("not decoded", "it is truncated: its end marker is missing")
    return image, kind


def _bytes(path: Path) -> bytes:
    if path.is_symlink():
        raise Rejected("link", "is a link")
    try:
        if not path.is_file():
            raise Rejected("missing", "is no file")
        if path.stat().st_size > MAX_FILE:
            raise Rejected("too big", f"has more than {MAX_FILE} bytes")
        return path.read_bytes()
    except OSError as error:
        raise Rejected("missing", f"cannot be read ({error.strerror})") from None


def _write(place: Path, data: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_name(f".{place.name}.part")
    aside.write_bytes(data)
    aside.replace(place)


def _put_aside(refused: list[tuple[Candidate, Rejected]], quarantine: Path) -> Path:
    """Copies of what was refused, and reasons.csv. Of a duplicate there is no copy: its picture is
    here already."""
    target = quarantine / datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    rows: list[Sequence[object]] = [REASONS]
    with folder_aside(target) as aside:
        for i, (candidate, reason) in enumerate(refused):
            copy = ""
            if reason.kind != "duplicate" and not candidate.path.is_symlink():
                name = re.sub(r"[^\w.-]", "_", candidate.path.name)[-100:]
                copy = f"{i:05d}-{name}"
                try:
                    shutil.copyfile(candidate.path, aside / copy)
                except OSError:
                    copy = ""  # it is gone, or nobody may read it: the reason says so
            rows.append((str(candidate.path), candidate.category, reason.kind, str(reason), copy))
        with (aside / "reasons.csv").open("w", newline="", errors="backslashreplace") as file:
            csv.writer(file).writerows(rows)
    return target


@contextmanager
def _candidates(source: Path, params: config.Ingest) -> Iterator[list[Candidate]]:
    """The files of a source; those of an archive while the block lasts."""
    source = source.absolute()
    if source.is_dir():
        yield _of_folder(source, params)
    elif archives.is_archive(source):
        HOME.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=HOME, prefix="unpacked-") as place:
            caps = archives.Caps(params.max_files, params.max_bytes, params.max_ratio)
            archives.extract(source, Path(place), caps)
            yield _of_folder(Path(place), params, named=False)
    elif source.suffix.lower() in LISTS and source.is_file():
        yield _of_list(source, params)
    else:
        raise EidolonError(
            f"{source} is neither a folder nor a zip or tar archive nor a list ({', '.join(LISTS)})"
        )


def _of_folder(root: Path, params: config.Ingest, *, named: bool = True) -> list[Candidate]:
    """Every file below ``root`` but hidden ones; links are not followed. ``named``: the name of
    ``root`` itself is the category of the files in it."""
    found: list[Candidate] = []
    total = 0
    for place, folders, files in os.walk(root, onerror=_unreadable):
        folders[:] = sorted(f for f in folders if not _hidden(f))
        links = [f for f in folders if (Path(place) / f).is_symlink()]
        category = Path(place).name if named or Path(place) != root else None
        for name in [*links, *sorted(f for f in files if not _hidden(f))]:
            path = Path(place) / name
            found.append(Candidate(path, category))
            total += path.lstat().st_size
            _within(root, len(found), total, params)
    return found


def _unreadable(error: OSError) -> None:
    raise EidolonError(f"{error.filename} cannot be read ({error.strerror}): nothing was taken")


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in _JUNK


def _of_list(path: Path, params: config.Ingest) -> list[Candidate]:
    """A line is a file, or a file and its category; relative files are beside the list."""
    found: list[Candidate] = []
    total = 0
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            for row in csv.reader(lines, strict=True):
                if not row or row[0] == "path":
                    continue
                if len(row) > 2 or not row[0]:
                    raise EidolonError(f"{path}: {','.join(row)!r} is not PATH or PATH,CATEGORY")
                file = path.parent / row[0]
                found.append(Candidate(file, row[1] if len(row) == 2 else file.parent.name))
                total += file.lstat().st_size if file.exists() else 0
                _within(path, len(found), total, params)
    except (csv.Error, UnicodeDecodeError, OSError, ValueError) as error:
        raise EidolonError(f"{path} is no list of files ({error})") from None
    return found


def _within(source: Path, count: int, total: int, params: config.Ingest) -> None:
    if count > params.max_files or total > params.max_bytes:
        raise EidolonError(
            f"{source} has more than {params.max_files} files or {params.max_bytes} bytes:"
            " split it, or raise ingest.max_files and ingest.max_bytes in params.yaml"
        )
