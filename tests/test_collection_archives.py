"""An archive gives what its folder would give; an unsafe or truncated one is refused as a whole."""

from __future__ import annotations

import io
import os
import shutil
import stat
import struct
import subprocess
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from components.collection import archives, catalog
from components.errors import EidolonError
from components.paths import (
    COLLECTED,
    COLLECTION,
    HOME,
)
from tests.ingesting import KNOWN, NEW, photo, png, reasons, take, tree, zipped


@pytest.mark.parametrize("name", ["new.zip", "new.tar", "new.tar.gz", "new.tar.xz", "no-suffix"])
def test_an_archive_is_as_good_as_its_folder(project: Path, name: str) -> None:
    source = tree(project / "new", {NEW: 3, KNOWN: 2})
    (source / "loose.png").write_bytes(png(photo(NEW, 50)))
    path = project / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for file in source.rglob("*"):
                packed.write(file, Path("wrapped") / file.relative_to(source))
    else:
        mode = {".gz": "w:gz", ".xz": "w:xz"}.get(path.suffix, "w")
        with tarfile.open(path, mode) as packed_tar:  # type: ignore[call-overload]
            packed_tar.add(source, "wrapped")
    outcome = take(path)
    assert (outcome.files, outcome.added) == (6, 6)
    names = {NEW: 3, KNOWN: 2, "wrapped": 1}
    assert catalog.read()["category"].value_counts().to_dict() == names
    assert not list(HOME.glob("unpacked-*"))


@pytest.mark.parametrize("kind", ["gnu", "v7", "ustar", "posix"])
def test_archives_of_a_folder_as_tar_makes_them(project: Path, kind: str) -> None:
    source = tree(project / "new", {NEW: 2})
    (source / "a:b").mkdir()
    (source / "a:b" / "bad.png").write_bytes(b"none")
    path = project / "dots.tar"
    tar = ["tar", f"--format={kind}", "-cf", str(path), "-C", str(source)]
    subprocess.run([*tar, "."], check=True)
    outcome = take(path)
    assert (outcome.files, outcome.added) == (3, 2)
    assert reasons(outcome)["file"].tolist() == [str(path / "a:b" / "bad.png")]
    subprocess.run([*tar, "-T", "/dev/null"], check=True)
    assert take(path).files == 0


def test_a_file_at_an_archives_root_has_no_category(project: Path) -> None:
    with zipfile.ZipFile(project / "new.zip", "w") as packed:
        packed.writestr("loose.png", png(photo()))
        packed.writestr("a:b/", b"")
    outcome = take(project / "new.zip")
    assert (outcome.added, outcome.rejected) == (0, {"no category": 1})


def tarred(path: Path, name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> None:
    with tarfile.open(path, "w:gz") as packed:
        good = tarfile.TarInfo("good/0.png")
        good.size = len(png(photo()))
        packed.addfile(good, io.BytesIO(png(photo())))
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        packed.addfile(info)


def two(path: Path) -> None:
    with tarfile.open(path, "w") as packed:
        for content in (b"one", b"other"):
            info = tarfile.TarInfo("a/0.png")
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))


def many(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as packed:
        for i in range(51):
            packed.writestr(f"a/{i}.png", b"")


def long_header(path: Path) -> None:
    """A tar whose extended header alone would take 40 MB of memory."""
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as packed:
        info = tarfile.TarInfo("a/0.png")
        info.pax_headers = {"comment": "x" * 40_000_000}
        packed.addfile(info)


def lying(path: Path) -> None:
    """A zip whose directory says that its 3 MB are 10 bytes."""
    zipped(path, "a/0.png", b"\0" * 3_000_000)
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<I", 3_000_000), struct.pack("<I", 10)))


def locked(path: Path) -> None:
    zipped(path, "a/0.png")
    data = bytearray(path.read_bytes())
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.rindex(magic) + at] |= 1  # "encrypted"
    path.write_bytes(data)


class Unflagged(zipfile.ZipInfo):
    """A member whose name is stored as raw bytes, without a flag for its encoding."""

    def __init__(self, raw: bytes, extra: bytes = b"") -> None:
        super().__init__("x")
        self.filename, self.raw, self.extra = raw.decode("latin-1"), raw, extra

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - zipfile's name
        return self.raw, self.flag_bits & ~0x800


def unicode_path(raw: bytes, name: str) -> bytes:
    """Info-ZIP's Unicode Path field, for a member called ``raw``."""
    content = struct.pack("<BL", 1, zlib.crc32(raw)) + name.encode()
    return struct.pack("<HH", 0x7075, len(content)) + content


@pytest.mark.parametrize(
    ("info", "category"),
    [
        (Unflagged("Früchte/1.png".encode()), "Früchte"),  # a Mac's Finder
        (Unflagged(unicodedata.normalize("NFD", "Früchte/1.png").encode()), "Früchte"),
        (Unflagged("果物/ü.png".encode()), "果物"),
        (zipfile.ZipInfo("Früchte/1.png"), "Früchte"),  # Python, 7-Zip: it says UTF-8
        (
            Unflagged(b"Fr\x81chte/1.png", unicode_path(b"Fr\x81chte/1.png", "Früchte/1.png")),
            "Früchte",
        ),
        (Unflagged(b"fruit/Fr\x81chte.png"), "fruit"),  # a file's name names no category
    ],
)
def test_a_zip_gives_the_names_that_were_put_in(
    project: Path, info: zipfile.ZipInfo, category: str
) -> None:
    with zipfile.ZipFile(project / "new.zip", "w") as packed:
        packed.writestr(info, png(photo()))
    assert take(project / "new.zip").new_categories == [category]


@pytest.mark.parametrize(
    "info",
    [
        Unflagged("Früchte/1.png".encode("cp850")),  # a German Windows
        Unflagged("果物/1.png".encode("shift_jis")),
        Unflagged(b"Fr\x81chte/1.png", unicode_path(b"another name", "Früchte/1.png")),
    ],
)
def test_a_name_in_an_unknown_encoding_is_not_guessed(project: Path, info: Unflagged) -> None:
    with zipfile.ZipFile(project / "new.zip", "w") as packed:
        packed.writestr(info, png(photo()))
    with pytest.raises(EidolonError, match=r"is not UTF-8, .*`unzip -O cp850`") as error:
        take(project / "new.zip")
    assert repr(info.raw.rpartition(b"/")[0]) in str(error.value)
    with tarfile.open(project / "new.tar", "w", format=tarfile.GNU_FORMAT) as packed_tar:
        member = tarfile.TarInfo(os.fsdecode(info.raw))
        member.size = len(png(photo()))
        packed_tar.addfile(member, io.BytesIO(png(photo())))
    with pytest.raises(EidolonError, match="is not UTF-8"):
        take(project / "new.tar")
    place = project / "new" / os.fsdecode(info.raw.rpartition(b"/")[0])
    place.mkdir(parents=True)
    photo().save(place / "0.png")
    outcome = take(project / "new")
    assert outcome.rejected == {"no category": 1}
    assert "is not UTF-8: rename the folder" in reasons(outcome)["reason"][0]


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_truncated_archive_is_reported_as_such(project: Path, kind: str) -> None:
    source = tree(project / "new", {NEW: 4})
    made_by = {"tar.gz": "gztar", "tar.bz2": "bztar", "tar.xz": "xztar"}.get(kind, kind)
    name = shutil.make_archive(str(project / "all"), made_by, source)
    whole = Path(name).read_bytes()
    ends = len(whole) if kind != "tar" else whole.rindex(png(photo(NEW, 3))[-9:]) + 512
    cut = Path(name)
    for share in (0.2, 0.5, 0.8, 1 - 40 / ends):
        cut.write_bytes(whole[: int(share * ends)])
        with pytest.raises(EidolonError, match=r"was cut \(.*\): copy or download it again"):
            take(cut)
    if kind == "tar":  # between two members, where tar itself would not notice
        header = whole.index(b"ustar") - 257
        second = whole.index(b"ustar", header + 600) - 257
        third = whole.index(b"ustar", second + 600) - 257
        for end in (third, third + 100):
            cut.write_bytes(whole[:end])
            with pytest.raises(EidolonError, match="was cut"):
                take(cut)
        damaged = bytearray(whole)
        damaged[third + 10] ^= 1
        cut.write_bytes(damaged)
        with pytest.raises(EidolonError, match="a header is damaged"):
            take(cut)
    cut.write_bytes(whole)
    assert take(cut).added == 4


UNSAFE: dict[str, tuple[str, Callable[[Path], None]]] = {
    "zip parent": ("leads outside", lambda p: zipped(p, "a/../../evil.png")),
    "zip absolute": ("leads outside", lambda p: zipped(p, "/tmp/evil.png")),
    "zip windows": ("leads outside", lambda p: zipped(p, "..\\evil.png")),
    "zip drive": ("leads outside", lambda p: zipped(p, "C:/evil.png")),
    "zip link": ("link or a device", lambda p: zipped(p, "a/l", b"/etc", stat.S_IFLNK | 0o777)),
    "zip bomb": ("unpacks to more than", lambda p: zipped(p, "a/0.png", b"\0" * 5_000_000)),
    "zip lies": ("cannot be unpacked|wrong sizes", lying),
    "zip locked": ("cannot be unpacked", locked),
    "zip many": ("more than 50 files", many),
    "tar parent": ("leads outside", lambda p: tarred(p, "../evil.png")),
    "tar absolute": ("leads outside", lambda p: tarred(p, "/tmp/evil.png")),
    "tar link": ("link or a device", lambda p: tarred(p, "a/l", tarfile.SYMTYPE, "/etc/passwd")),
    "tar hard link": (
        "link or a device",
        lambda p: tarred(p, "a/l", tarfile.LNKTYPE, "good/0.png"),
    ),
    "tar device": ("link or a device", lambda p: tarred(p, "a/l", tarfile.CHRTYPE)),
    "tar fifo": ("link or a device", lambda p: tarred(p, "a/l", tarfile.FIFOTYPE)),
    "tar twice": ("has a name twice", two),
    "tar header": ("header is too long", long_header),
}


@pytest.mark.parametrize("what", UNSAFE)
def test_an_unsafe_archive_is_refused_as_a_whole(project: Path, what: str) -> None:
    sentence, make = UNSAFE[what]
    make(project / "archive")
    outside = {p for p in project.rglob("*") if COLLECTION.name not in p.parts}
    with pytest.raises(EidolonError, match=sentence):
        take(project / "archive", max_files=50)
    assert not COLLECTED.exists()
    left = {p for p in project.rglob("*") if p.is_file()} - outside
    assert {p.name for p in left} <= {"ingest.lock"}


def test_a_tar_bomb_is_stopped_by_its_header(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bomb", "w:gz") as packed:
        info = tarfile.TarInfo("a/0.png")
        info.size = 30_000_000
        packed.addfile(info, io.BytesIO(b"\0" * info.size))
    (tmp_path / "out").mkdir()
    caps = archives.Caps(9, 10**9, 200)
    refused = pytest.raises(EidolonError, match="unpacks to more than")
    with (tmp_path / "bomb").open("rb") as raw, refused:
        archives.extract(tmp_path / "bomb", raw, tmp_path / "out", caps)
    assert not list((tmp_path / "out").rglob("*.png"))


def test_a_truncated_archive_and_an_unusable_source_are_named(project: Path) -> None:
    tarred(project / "a.tar.gz", "a/0.png")
    whole = (project / "a.tar.gz").read_bytes()
    (project / "a.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EidolonError, match=r"a\.tar\.gz was cut .*: copy or download it again"):
        take(project / "a.tar.gz")
    (project / "dangling").symlink_to("gone")
    for name, sentence in {
        "nothing": r"/nothing does not exist: name a folder",
        "params.yaml/x": "params.yaml/x does not exist",
        "dangling": r"/dangling is a link to gone, which does not exist",
        "params.yaml": "is not a source of pictures",
    }.items():
        with pytest.raises(EidolonError, match=sentence):
            take(project / name)
    with pytest.raises(EidolonError, match="has more than 2 files"):
        take(tree(project / "new", {NEW: 3}), max_files=2)
    with pytest.raises(EidolonError, match="or 100 bytes"):
        take(project / "new", max_bytes=100)
