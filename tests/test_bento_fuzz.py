"""Requests that nobody should send, to a really served Bento: each is refused in one form, and
nothing of it stays."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from benchmarks import bad, faults
from benchmarks.sending import Reply, objection, send
from tests.toy import NAMES

if TYPE_CHECKING:
    from tests.serving import Served

pytest_plugins = ["tests.serving"]
pytestmark = pytest.mark.slow

GROWTH = 64.0  # MiB that each kind of the server's processes may grow by
ROUNDS = 30  # of 16 requests at once, for each kind
SLOW = ("slow bodies", "no HTTP")  # of which there are 3 rounds
DRAWN = settings(
    max_examples=150,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # a server has a past, so shrinking misleads
    suppress_health_check=list(HealthCheck),
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=400)
    | st.sampled_from(["text", "category", *NAMES]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=20,
)
FIELDS = ("query", "k", "offset", "weight", "images", "seed", "drop", "exclude", "filter", "group")


def port_of(served: Served) -> int:
    return int(served.url.rpartition(":")[2])


async def at_once(port: int, asked: list[bad.Bad]) -> list[Reply | None]:
    return list(await asyncio.gather(*(send(port, one) for one in asked)))


@pytest.fixture(scope="module", autouse=True)
def nothing_stays(served: Served) -> Iterator[None]:
    """After all tests of this file the service answers as before, and is hardly larger."""
    assert_well(served)
    rng = Random(0)
    asyncio.run(at_once(port_of(served), [make(rng) for make in bad.KINDS.values()] * 10))
    before = faults.resident(faults.server_at(port_of(served)))
    yield
    assert_well(served)
    after = faults.resident(faults.server_at(port_of(served)))
    assert before.keys() == after.keys()
    assert {kind for kind in before if after[kind] - before[kind] > GROWTH} == set(), (
        before,
        after,
    )


def assert_well(served: Served) -> None:
    for query in (NAMES[0], "a thing that is well"):
        body = {"query": query, "mode": "fused"}
        answer = httpx.post(f"{served.url}/search", json=body, timeout=60, trust_env=False)
        assert answer.status_code == 200
        assert (answer.json()["mode"], answer.json()["degraded"]) == ("fused", None)


@pytest.mark.parametrize("kind", bad.KINDS)
def test_a_bad_request_is_refused_in_one_form(served: Served, kind: str) -> None:
    port = port_of(served)
    for seed in range(3 if kind in SLOW else ROUNDS):
        rng = Random(seed)
        asked = [bad.KINDS[kind](rng) for _ in range(16)]
        replies = asyncio.run(at_once(port, asked))
        for one, reply in zip(asked, replies, strict=True):
            assert not (why := objection(one, reply)), (why, one.pieces[0][:500])


@DRAWN
@given(
    path=st.sampled_from(["/search", "/search/stream"]), field=st.sampled_from(FIELDS), value=JSON
)
def test_any_json_in_a_field_is_answered_or_refused(
    served: Served, path: str, field: str, value: Any
) -> None:
    body = {"query": NAMES[0], "mode": "text"} | {field: value}
    one = bad.Bad((bad.posted(path, body),), (200, 400))
    (reply,) = asyncio.run(at_once(port_of(served), [one]))
    assert not objection(one, reply)


@DRAWN
@given(data=st.binary(max_size=300), path=st.text(max_size=60))
def test_any_bytes_as_a_file_and_any_address_are_answered(
    served: Served, data: bytes, path: str
) -> None:
    quoted = json.dumps(path, ensure_ascii=True)[1:-1].replace(" ", "%20")
    asked = [
        bad.Bad((bad.file(data),), (400,)),
        bad.Bad((bad.request("GET", f"/images/{quoted}"),), (404,)),
    ]
    for one, reply in zip(asked, asyncio.run(at_once(port_of(served), asked)), strict=True):
        assert not objection(one, reply)
