"""How the versions rank the pictures that people marked, which a verdict shows beside its figures.

It decides nothing. People mark what the live version showed them, so the marks favour it: a picture
that only the challenger would have found has no mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components import names
from components.errors import EidolonError
from components.files import sha256
from components.lifecycle.contenders import Prepared, Today
from components.monitoring import feedback
from components.monitoring.agreement import Ranker, agreement, remembered_for
from components.vectors import Array


def compare(
    prepared: Mapping[str, Prepared],
    today: Today,
    dataset: pd.DataFrame,
    kept: Path,
    texts: Path,
) -> dict[str, Any]:
    """What the versions ``prepared``, by role, make of the marks in the table ``kept``.

    All are scored on the same marks: those of queries with right and wrong pictures in today's
    gallery, which is found by ``pixels`` in the rows of the ``dataset``. ``texts`` is the file of
    the pictures that the service remembers. The result is as in verdict.json: ``kept`` marks, of
    which ``gone`` are of no picture in the gallery and ``unknown`` of a category that a version
    cannot be scored on; ``marks`` of ``queries`` count, ``text_alone`` of these queries without
    imagined pictures. ``versions`` and ``differences`` have an interval for each role. Where
    something is missing, ``problem`` says what, and nothing is raised: marks stop no verdict.
    """
    try:
        marks = feedback.read(kept)
        if marks.empty:
            return {"kept": 0}
        pixels = dict(zip(dataset["path"], dataset["pixels"], strict=True))
        told = {"kept": len(marks), "sha256": sha256(kept)}
        return told | _compared(prepared, today, pixels, marks, texts)
    except EidolonError as error:
        return {"problem": str(error)}


def figures(told: Mapping[str, Any]) -> dict[str, float]:
    """The result of :func:`compare` as figures for the version's run, by name."""
    found = {name: float(told[name]) for name in ("marks", "queries") if name in told}
    for group, prefix in (("versions", ""), ("differences", "minus_")):
        for role, estimate in told.get(group, {}).items():
            found |= {f"{prefix}{role}.{bound}": value for bound, value in estimate.items()}
    return {f"marked.{name}": value for name, value in found.items()}


def _compared(
    prepared: Mapping[str, Prepared],
    today: Today,
    pixels: Mapping[str, str],
    marks: pd.DataFrame,
    texts: Path,
) -> dict[str, Any]:
    here = marks["pixels"].isin({pixels.get(path) for path in today.features.gallery["path"]})
    category = marks["query"].map(names.fold)
    unknown = here & category.isin(_unknown(prepared.values(), today))
    some = marks[here & ~unknown]
    some = some[some.groupby("query")["right"].transform("nunique") == 2].reset_index(drop=True)
    told: dict[str, Any] = {
        "gone": int((~here).sum()),
        "unknown": int(unknown.sum()),
        "marks": len(some),
        "queries": int(some["query"].nunique()),
    }
    if some.empty:
        return told
    known = set(today.features.categories["category"].map(names.fold))
    free = [query for query in some["query"].unique() if names.fold(query) not in known]
    imagined = {role: _imagined(one, free, today, texts) for role, one in prepared.items()}
    shared = set(free).intersection(*imagined.values())
    rules, estimates = today.params.evaluate, {}
    for role, one in prepared.items():
        pictured = {query: imagined[role][query] for query in shared}
        scores = _ranker(one, today, pixels, free, pictured).scores(some)
        found = agreement(some, scores, rules.bootstrap, rules.seed, rules.min_categories)
        estimates[role] = found.pairs
    ours = estimates["challenger"]
    return told | {
        "text_alone": len(free) - len(shared),
        "versions": {role: one.figures() for role, one in estimates.items()},
        "differences": {
            role: (ours - one).figures() for role, one in estimates.items() if role != "challenger"
        },
    }


def _ranker(
    one: Prepared,
    today: Today,
    pixels: Mapping[str, str],
    free: list[str],
    pictured: Mapping[str, Array],
) -> Ranker:
    """What scores as the version does. ``free`` are the queries that are no category, ``pictured``
    the aggregated embeddings of some of them."""
    vectors = dict(zip(free, one.embed(free, today), strict=True)) if free else {}

    def embed(asked: Sequence[str]) -> Array:
        return np.stack([vectors[query] for query in asked])

    return one.ranker(pixels, embed, pictured.get, today.params)


def _unknown(versions: Iterable[Prepared], today: Today) -> set[str]:
    """The folded names of the categories that not every version can be scored on."""
    known = np.logical_and.reduce([one.known for one in versions])
    return set(today.features.categories["category"][~known].map(names.fold))


def _imagined(one: Prepared, queries: list[str], today: Today, texts: Path) -> dict[str, Array]:
    """The aggregated embeddings of those of ``queries`` that the service has pictures of, as it
    drew them for this version. There are none when its generator is not here."""
    try:
        find = remembered_for(one.bundle, texts, today.params.serve.remembered_bytes)
    except EidolonError:
        return {}
    found = {query: find(query) for query in queries}
    return {query: vector for query, vector in found.items() if vector is not None}
