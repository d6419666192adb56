"""Golden queries: a Bento is deployed only when it answers as its bundle does offline."""

from __future__ import annotations

import math
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import bentoml
import httpx
import numpy as np

from bento.keys import VARIABLE as KEYS
from bento.live import CheckError, through_models
from bento.server import served
from bento.store import find, pins_of
from components.files import sha256
from components.index.gallery import top
from components.serving.loading import Bundle, load

K = 20
ROUNDING = 1e-5  # equal products differ by up to this between processes
PATIENCE = 60.0  # seconds for one answer


def check(tag: str, queries: int, timeout: float) -> dict[str, Any]:
    """Serve ``tag`` on a port of its own, and compare its answers with those of its bundle: for
    ``queries`` known categories, and through the live models (:mod:`bento.live`). Returns the tag,
    the number of queries, the seconds until the server was ready, the median time of an answer to a
    known category in milliseconds, and how well the models agree with the bundle.

    Raises :class:`CheckError` for a wrong answer, ``NotServedError`` when the server does not
    become ready.
    """
    bundle = load(Path(bentoml.models.get(pins_of(find(tag)).bundle).path))
    rows = np.unique(np.linspace(0, len(bundle.categories) - 1, queries).astype(int)).tolist()
    took = []
    with tempfile.TemporaryDirectory(prefix="eidolon-check-") as place:
        began = time.monotonic()
        with (
            served(tag, Path(place), timeout) as url,
            httpx.Client(base_url=url, timeout=timeout, trust_env=False) as client,
        ):
            ready = time.monotonic() - began
            for row in rows:
                query = str(bundle.categories["category"][row])
                asked = time.monotonic()
                response = client.post("/search", json={"query": query, "k": K, "mode": "fused"})
                took.append(time.monotonic() - asked)
                _compare(bundle, query, row, response)

            def ask(body: dict[str, Any]) -> Mapping[str, Any]:
                return _answer(str(body["query"]), client.post("/search", json=body))

            agreement = through_models(bundle, ask, lambda path: client.get(f"/{path}").content)
    return {
        "tag": tag,
        "queries": len(took),
        "seconds_to_ready": round(ready, 2),
        "p50_ms": round(1000 * statistics.median(took), 1),
        "agreement": agreement.rounded(),
    }


def verified(tag: str, version: int, url: str) -> str:
    """Ask the ready server at ``url`` whether it is ``tag``: by the bundle that it names, and by
    one known category. Returns the digest of the bundle.

    With keys in the environment the first of them is sent. Where this process has none and the
    server wants one, the bundle's name alone decides. Raises :class:`CheckError`.
    """
    bundle = load(Path(bentoml.models.get(pins_of(find(tag)).bundle).path))
    expected = {"version": version, "digest": sha256(bundle.folder / "bundle.json")[:12]}
    row = len(bundle.categories) // 2
    query = str(bundle.categories["category"][row])
    key = os.environ.get(KEYS, "").partition(",")[0].strip().partition(":")[2]
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False, headers=headers) as client:
        named = client.get("/health").json()["bundle"]
        if named != expected:
            raise CheckError(f"it serves the bundle {named}, not {expected}")
        response = client.post("/search", json={"query": query, "k": K, "mode": "fused"})
        if response.status_code != 401 or key:
            _compare(bundle, query, row, response)
    return str(expected["digest"])


def _answer(query: str, response: httpx.Response) -> dict[str, Any]:
    if response.status_code != 200:
        raise CheckError(f"{query!r}: status {response.status_code}, {response.text[:200]}")
    answer: dict[str, Any] = response.json()
    return answer


def _compare(bundle: Bundle, query: str, row: int, response: httpx.Response) -> None:
    hits = _answer(query, response)["hits"]
    expected = min(K, len(bundle.pictures))
    if len(hits) != expected:
        raise CheckError(f"{query!r}: {len(hits)} hits, not {expected}")
    scores = [hit["score"] for hit in hits]
    if not all(isinstance(s, float) and math.isfinite(s) for s in scores):
        raise CheckError(f"{query!r}: a score is not a finite number")
    if scores != sorted(scores, reverse=True):
        raise CheckError(f"{query!r}: the scores are not sorted")
    if not as_offline(bundle, row, hits):
        raise CheckError(
            f"{query!r}: the pictures or scores differ from those that the bundle gives offline"
        )


def as_offline(bundle: Bundle, row: int, hits: Sequence[Mapping[str, Any]]) -> bool:
    """Whether ``hits`` are the best that ``bundle`` gives for the known category in ``row``.

    Scores are compared, not pictures: pictures with equal scores may change places.
    """
    fused = bundle.gallery.score(
        bundle.text[row][None], bundle.aggregated[row][None], bundle.aggregator.fusion_weight
    ).fused[0]
    best = fused[top(fused, len(hits))]
    offline = dict(zip(bundle.pictures["path"], fused.tolist(), strict=True))
    found = [offline.get(hit["id"], math.nan) for hit in hits]
    scores = [hit["score"] for hit in hits]
    return np.allclose(found, best, atol=ROUNDING) and np.allclose(scores, best, atol=ROUNDING)
