"""Logs of a service as people might have used it: made up, but in the form of real ones.

A normal log asks popular categories far more often than others, in many forms, and has some
nonsense. A drifted one asks for other subjects. Each is a pure function of its seed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

from components.confidence import texts
from components.monitoring.journal import HITS, Name, file_name

NONSENSE = 0.08  # share of the queries of a normal log
_POPULAR = 1.05  # exponent of Zipf's law
_FORMS = ("{}", "{}", "{}", "a {}", "A photo of {}s", "picture of a {}", "{}!", " {} ")
_KINDS = ("wooden", "golden", "old", "tiny", "fast", "wet", "rusty", "modern", "sleeping", "cheap")
_THINGS = (
    *("chair", "dog", "kitchen", "truck", "laptop", "bridge", "horse", "guitar", "mountain"),
    *("bottle", "shoe", "cake", "airplane", "sofa", "parrot", "bicycle", "lighthouse", "teapot"),
)


def normal(categories: Sequence[str], count: int, seed: int, odd: float = NONSENSE) -> list[str]:
    """``count`` queries for ``categories``, of which the share ``odd`` is nonsense."""
    rng = random.Random(seed)
    order = rng.sample(categories, len(categories))
    weights = list(accumulate(1 / rank**_POPULAR for rank in range(1, len(order) + 1)))
    nonsense = [text.words for text in texts.foreign(categories)]
    nonsense += [text.words for text in texts.letters(categories, 100, rng)]
    return [
        rng.choice(nonsense)
        if rng.random() < odd
        else _asked(rng.choices(order, cum_weights=weights)[0], rng)
        for _ in range(count)
    ]


def drifted(categories: Sequence[str], count: int, seed: int, share: float) -> list[str]:
    """A normal log in which ``share`` of the queries is for other subjects."""
    rng = random.Random(seed + 1_000_000)
    before = normal(categories, count, seed)
    return [_other(rng) if rng.random() < share else query for query in before]


def write(
    folder: Path, queries: Sequence[str], until: date, days: int = 7, **changes: Any
) -> list[str]:
    """Write ``queries`` as the log of the ``days`` days up to ``until``, and return the ids of the
    requests. ``changes`` are fields that differ in all lines; a function gets the line's number."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = []
    for day in range(days):
        on = until - timedelta(days=days - 1 - day)
        with _file(folder, "queries", on).open("a") as file:
            for number in range(day, len(queries), days):
                record = _record(number, queries[number], on) | {
                    key: value(number) if callable(value) else value
                    for key, value in changes.items()
                }
                ids.append(str(record["request"]))
                file.write(json.dumps(record) + "\n")
    return ids


def _asked(category: str, rng: random.Random) -> str:
    """One way in which a person asks for ``category``."""
    words, kind = category.split(), rng.random()
    if kind < 0.15 and len(words) > 1:  # some words of the name
        return " ".join(words[i] for i in sorted({rng.randrange(len(words)), len(words) - 1}))
    if kind < 0.25 and len(words) > 1:  # in another order
        return f"{words[-1]} with {' '.join(words[:-1])} pattern"
    if kind < 0.3 and len(category) > 3:  # with a typing error
        at = rng.randrange(len(category))
        return category[:at] + category[at + 1 :]
    text = rng.choice(_FORMS).format(category)
    return rng.choice((text, text, text.upper(), text.title(), text.replace(" ", "_")))


def _other(rng: random.Random) -> str:
    thing = rng.choice(_THINGS)
    return thing if rng.random() < 0.4 else f"{rng.choice(_KINDS)} {thing}"


def _record(number: int, query: str, on: date) -> dict[str, Any]:
    rng = random.Random(number)
    return {
        "time": _time(on, number),
        "request": f"r{on:%m%d}-{number}",
        "query": query,
        "known": rng.random() < 0.4,
        "mode": "fused",
        "degraded": None,
        "confidence": round(rng.betavariate(6, 2), 4),
        "relevant": rng.random() < 0.92,
        "unknown_words": int(rng.random() < 0.05),
        "truncated": False,
        "hits": [f"gallery/hit/{i:04}.png" for i in range(HITS)],
        "ms": round(rng.lognormvariate(4, 1), 1),
        "bundle": 1,
    }


def _file(folder: Path, name: Name, on: date) -> Path:
    return folder / file_name(name, on)


def _time(on: date, number: int) -> str:
    second = timedelta(seconds=number % 86_400)
    return (datetime.combine(on, time(), UTC) + second).isoformat(timespec="milliseconds")
