"""The quarantine: which files are put aside, and for which reason."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from components.errors import EidolonError
from components.paths import (
    COLLECTION,
    QUARANTINE,
    REASONS,
)
from tests.ingesting import KNOWN, NEW, photo, png, reasons, take, tree


def test_damaged_reasons_are_reported(project: Path) -> None:
    (project / "reasons.csv").write_bytes(",".join(REASONS).encode() + b'\na,b,c,d,"e')
    with pytest.raises(EidolonError, match=r"reasons\.csv is damaged"):
        take(project / "reasons.csv")


def bomb_png(side: int) -> bytes:
    """A valid PNG of ``side`` x ``side`` grey pixels, a few KiB long for each thousand pixels of a
    side."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = b"\0" * (1 + side // 8)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


BAD: dict[str, tuple[str, Callable[[], bytes]]] = {
    "empty.png": ("not decoded", lambda: b""),
    "text.png": ("not decoded", lambda: b"path,category\n" * 50),
    "svg.png": ("not decoded", lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    "truncated.png": ("not decoded", lambda: png(photo())[:-300]),
    "no-end.png": ("not decoded", lambda: png(photo())[:-12]),
    "flipped.png": ("not decoded", lambda: png(photo())[:200] + b"xyz" + png(photo())[203:]),
    "truncated.jpg": ("not decoded", lambda: png(photo(), "JPEG")[:-200]),
    "no-end.jpg": ("not decoded", lambda: png(photo(), "JPEG")[:-2]),
    "truncated.webp": ("not decoded", lambda: png(photo(), "WEBP")[:-100]),
    "truncated.bmp": ("not decoded", lambda: png(photo(), "BMP")[:-100]),
    "bomb.png": ("too many pixels", lambda: bomb_png(12_000)),
    "16-bit.png": ("not decoded", lambda: png(Image.new("I;16", (32, 32), 9000))),
    "float.tiff": ("not decoded", lambda: png(Image.new("F", (32, 32), 0.5), "TIFF")),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_put_aside_with_a_reason(project: Path, name: str) -> None:
    kind, content = BAD[name]
    place = tree(project / "new", {NEW: 2}) / NEW.replace(" ", "_")
    (place / name).write_bytes(content())
    outcome = take(project / "new")
    assert (outcome.added, outcome.rejected) == (2, {kind: 1})
    (row,) = reasons(outcome).to_dict("records")
    assert row["file"].endswith(name) and row["kind"] == kind
    assert row["reason"] and "object at" not in row["reason"]
    assert outcome.quarantine is not None
    assert (outcome.quarantine / row["copy"]).read_bytes() == content()


@pytest.mark.parametrize("source", ["collection", "collection/pictures/mine", "."])
def test_files_in_the_collection_are_never_lost(project: Path, source: str) -> None:
    place = COLLECTION / "pictures" / "mine"
    place.mkdir(parents=True)
    (place / "a.png").write_bytes(png(photo()))
    with pytest.raises(EidolonError, match="is or contains the collection itself"):
        take(Path(source))
    assert (place / "a.png").is_file()
    take(tree(project / "new", {KNOWN: 1}))
    (kept,) = QUARANTINE.glob("*/*a.png")
    assert kept.read_bytes() == png(photo()) and not (place / "a.png").exists()
    (row,) = pd.read_csv(kept.parent / "reasons.csv").to_dict("records")
    assert (row["kind"], row["copy"]) == ("stray", kept.name)
