"""The seed of each imagined picture, derived from its prompt and number.

So a seed does not depend on which other pictures are drawn, nor on which machine.
"""

from __future__ import annotations

import hashlib


def seed_of(prompt: str, k: int, base: int, attempt: int = 0) -> int:
    """The seed of the ``k``-th picture of ``prompt``: 31 bits of a hash.

    ``base`` is the seed of the configuration. An ``attempt`` n > 0 gives the seed of the n-th
    replacement of a rejected picture.
    """
    place = f"{k}.{attempt}" if attempt else f"{k}"
    digest = hashlib.sha256(f"{base}/{place}/{prompt}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
