"""What a query excludes: in its own words, such as "star without stripes", or in a text beside it.

A text encoder does not understand "without": it finds what follows. So the query is split there,
and what is excluded is subtracted (`python -m benchmarks.texts` shows the gain).
"""

from __future__ import annotations

import re

import numpy as np

from components.vectors import Array

STRENGTH = 0.6
"""How much of the similarity to an excluded text is subtracted: `python -m benchmarks.exclude`."""

_NOT = re.compile(
    r"^(?P<wanted>.*\w.*?)[\s,;]+"
    r"(?:without(?:\s+any)?|with\s+no|but\s+(?:not|no)|(?:that|which)\s+(?:is|are)\s+not"
    r"|(?:that|which)\s+(?:has|have)\s+no|except(?:\s+for)?|excluding|other\s+than)"
    r"\s+(?P<excluded>.*\w.*)$",
    re.IGNORECASE | re.DOTALL,
)


_MERE_NOT = re.compile(
    r"^(?P<wanted>(?:.*[\s,;])?"
    r"(?!(?:me|or|and|if|why|whether|do|does|did|is|are|was|were|be|can|could|will|would|should|must"
    r"|may|has|have|had)\s)\S*\w)(?:\s*[,;]\s*|\s+)not\s+"
    r"(?!(?:only|just|yet|so|very|to)\b)(?!.*\bnot\b)(?P<excluded>\w\S*(?:\s+\S+){0,2})\s*$",
    re.IGNORECASE | re.DOTALL,
)
"""A mere "not" with at most three words after it, as in "a star, not red". It is left alone after
words that it belongs to, as in "forget me not", "or not", "do not"."""


def parted(query: str) -> tuple[str, str | None]:
    """What ``query`` asks for, and what it excludes; ``None`` for nothing. It knows English words.

    The time grows with the square of the length: give no text of more than a few hundred
    characters.
    """
    found = _NOT.match(query) or _MERE_NOT.match(query)
    return (found["wanted"], found["excluded"]) if found else (query, None)


def beyond(excluded: Array, query: Array) -> Array:
    """The part of ``excluded`` (d,) that has nothing of ``query`` (d,): the rest at a right angle.

    So "a striped star" can be excluded from "star" without a loss for stars. It is zero when the
    two texts are the same.
    """
    along = float(excluded @ query) / max(float(query @ query), 1e-12)
    return excluded - np.float32(along) * query
