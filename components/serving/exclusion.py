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


def parted(query: str) -> tuple[str, str | None]:
    """What ``query`` asks for, and what it excludes; ``None`` for nothing.

    It knows English words, and not a mere "not", which is in names such as "forget me not".
    """
    found = _NOT.match(query)
    return (found["wanted"], found["excluded"]) if found else (query, None)


def beyond(excluded: Array, query: Array) -> Array:
    """The part of ``excluded`` (d,) that has nothing of ``query`` (d,): the rest at a right angle.

    So "a striped star" can be excluded from "star" without a loss for stars. It is zero when the
    two texts are the same.
    """
    along = float(excluded @ query) / max(float(query @ query), 1e-12)
    return excluded - np.float32(along) * query
