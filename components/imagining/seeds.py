"""The seed of each imagined picture: derived from what it shows, so that no picture's seed depends
on how many others are drawn, or where."""

from __future__ import annotations

import hashlib


def seed_of(prompt: str, k: int, base: int, attempt: int = 0) -> int:
    """The seed of the ``k``-th picture of ``prompt``: 31 bits of a hash.

    ``attempt`` n > 0 gives the n-th replacement of a picture that was found wrong.
    """
    place = f"{k}.{attempt}" if attempt else f"{k}"
    digest = hashlib.sha256(f"{base}/{place}/{prompt}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
