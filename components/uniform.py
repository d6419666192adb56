"""A number that looks random and follows from a text, so that it is the same everywhere."""

from __future__ import annotations

import hashlib


def uniform(text: str) -> float:
    """A number from 0 to 1 that follows from ``text``; over many texts they are spread evenly."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
