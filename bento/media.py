"""Tells the kind of a picture by its first bytes, as HTTP names it.

A browser believes what it is told (`nosniff`), and the owner's files have any allowed format.
"""

from __future__ import annotations

_STARTS = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"BM": "image/bmp",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
    b"II+\0": "image/tiff",
    b"MM\0+": "image/tiff",
}
KINDS = (
    *("image/png", "image/jpeg", "image/gif", "image/bmp", "image/tiff"),
    *("image/webp", "image/avif", "image/heic"),
)
"""The kinds of the formats in :mod:`components.images.decoding`."""


def kind_of(picture: bytes) -> str:
    """One of :data:`KINDS`, or that of any bytes."""
    if picture[8:12] == b"WEBP":
        return "image/webp"
    if picture[4:8] == b"ftyp":
        return "image/avif" if picture[8:12] in (b"avif", b"avis") else "image/heic"
    found = (kind for start, kind in _STARTS.items() if picture.startswith(start))
    return next(found, "application/octet-stream")
