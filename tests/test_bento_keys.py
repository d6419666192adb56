"""API keys: what they protect, how they are given, and how often a caller may ask."""

from __future__ import annotations

import hmac
import math
import re
from pathlib import Path
from typing import Any

import pytest
from bentoml._internal import server
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from bento import keys as module
from bento import logs
from bento.front import REFERENCE
from bento.guard import OneMessage
from bento.keys import VARIABLE, Allowance, Keys, keys_in
from bento.logs import RequestLog, noted
from bento.web import FOR_EVER, PAGE
from components.errors import EidolonError
from components.variables import of_endpoint

ALICE, BOB = "alice-0123456789abcdef", "bob:0123456789/+=abc~"
GIVEN = {VARIABLE: f"alice:{ALICE}, bob:{BOB}"}
PUBLIC = ("/", "/page.css", "/livez", "/readyz", "/docs")
PROTECTED = ("/search", "/search/stream", "/similar", "/feedback", "/metrics", "/images/x.png")
PROTECTED += ("/bundle", "/categories", "/schema.json", "/nothing", "/docs/", "/livez/x")


async def who(request: Request) -> Response:
    """Who asks, as the log sees it."""
    kept = FOR_EVER if request.url.path == "/images/x.png" else {}
    return JSONResponse({"caller": noted().key}, headers=kept)


class Counts:
    """Takes the place of the metrics, which need a worker of BentoML."""

    def answered(self, route: str, status: int) -> None:
        pass


@pytest.fixture(autouse=True)
def counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "metrics", Counts)


def client(
    environment: dict[str, str] = GIVEN, per_minute: float | None = None, address: str = "10.0.0.1"
) -> TestClient:
    app = Starlette(routes=[Route("/{rest:path}", who, methods=["GET", "POST"])])
    keys = Keys(app, keys=keys_in(environment), public=PUBLIC, per_minute=per_minute)
    return TestClient(RequestLog(OneMessage(keys), PROTECTED), client=(address, 50000))


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "DELETE"])
@pytest.mark.parametrize("path", PROTECTED)
def test_with_keys_everything_needs_one(path: str, method: str) -> None:
    refused = client().request(method, path)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == 'Bearer realm="eidolon"'
    answered = client().request(method, path, headers={"X-API-Key": ALICE})
    assert answered.status_code in (200, 405)


@pytest.mark.parametrize("path", PUBLIC)
def test_what_a_page_needs_to_ask_for_a_key_needs_none(path: str) -> None:
    assert client().get(path).status_code == 200
    assert client().head(path).status_code != 401
    assert client().post(path).status_code == 401


def test_what_the_reference_loads_needs_no_key() -> None:
    loaded = re.findall(r'(?:href|src)="(static_content/[^"]+)"', (PAGE / "docs.html").read_text())
    assert {f"/{address}" for address in loaded} | {"/docs.json"} == set(REFERENCE)
    assert all((Path(server.__file__).parent / address).is_file() for address in loaded)


@pytest.mark.parametrize("path", PROTECTED)
def test_what_needs_a_key_is_kept_by_no_cache_for_others(path: str) -> None:
    answer = client().get(path, headers={"X-API-Key": ALICE})
    kept = answer.headers["cache-control"].split(", ")
    assert kept[0] == "private" and "public" not in kept
    assert ("immutable" in kept) == (path == "/images/x.png")
    for open_to_all in (client().get("/"), client({}).get(path)):
        assert "private" not in open_to_all.headers.get("cache-control", "")


def test_without_keys_nothing_needs_one() -> None:
    assert client({}).post("/search").json() == {"caller": None}
    assert client({}).get("/metrics").status_code == 200


@pytest.mark.parametrize(
    ("headers", "caller"),
    [
        ({"Authorization": f"Bearer {ALICE}"}, "alice"),
        ({"Authorization": f"bearer   {BOB} "}, "bob"),
        ({"X-API-Key": BOB}, "bob"),
        ({"Authorization": "Basic YTpi", "X-API-Key": ALICE}, "alice"),
        ({"Authorization": f"Bearer {ALICE}", "X-API-Key": BOB}, "alice"),
    ],
)
def test_a_key_in_either_header_names_the_caller(headers: dict[str, str], caller: str) -> None:
    assert client().post("/search", headers=headers).json() == {"caller": caller}


def test_the_log_has_the_name_and_never_the_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "bentoml.eidolon")
    for key in (ALICE, f"{BOB}x"):
        client().post(f"/search?key={key}", headers={"X-API-Key": key})
    ours = [record for record in caplog.records if record.name == "bentoml.eidolon"]
    fields = [vars(record)["fields"] for record in ours]
    assert [(one["key"], one["status"]) for one in fields] == [("alice", 200), (None, 401)]
    assert not [one for one in fields if ALICE in str(one) or BOB in str(one)]


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {ALICE}x"},
        {"Authorization": f"Bearer {ALICE[:-1]}"},
        {"Authorization": f"Bearer {ALICE.upper()}"},
        {"Authorization": f"Bearer alice:{ALICE}"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {ALICE}x", "X-API-Key": ALICE},
        {"X-API-Key": ""},
    ],
)
def test_another_key_is_refused_and_not_repeated(headers: dict[str, str]) -> None:
    refused = client().post("/search", headers=headers)
    assert refused.status_code == 401
    assert "invalid_token" in refused.headers["www-authenticate"]
    assert ALICE[:-1].lower() not in refused.text.lower()


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=80))
def test_any_credentials_are_answered_or_refused(text: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError

    keys = Keys(app, keys=keys_in(GIVEN), public=(), per_minute=None)
    for header in ("authorization", "x-api-key"):
        for value in (text, f"Bearer {text}"):
            headers = [(header.encode(), value.encode("latin-1"))]
            response = TestClient(keys).get("/", headers=headers)
            assert response.status_code == 401


def test_a_key_is_compared_with_all_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hashes of one length, and without stopping at the one that fits."""
    compared: list[tuple[bytes, bytes]] = []

    real = hmac.compare_digest

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for key in (ALICE, BOB, "x"):
        compared.clear()
        client().post("/search", headers={"X-API-Key": key})
        assert len(compared) == 2
        assert {len(one) for pair in compared for one in pair} == {32}


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        ALICE,
        "alice:short",
        "alice:0123456789abcde",
        f"alice:{ALICE},",
        f":{ALICE}",
        f"al ice:{ALICE}",
        f"alice: {ALICE}",
        f"alice:{ALICE},alice:{BOB}",
        f"alice:{ALICE},bob:{ALICE}",
        f"alice:{ALICE}é",
        f"alice:{ALICE}\udcff",
        f"alice:{'x' * 300}",
        f"alice:{ALICE} {BOB}",
    ],
)
def test_malformed_keys_are_one_sentence_without_the_key(value: str) -> None:
    with pytest.raises(EidolonError) as caught:
        keys_in({VARIABLE: value})
    message = str(caught.value)
    assert re.match(r"entry \d of EIDOLON_API_KEYS ", message)
    assert "unset it" in message and "\n" not in message
    for secret in (ALICE, BOB, "0123456789abcde"):
        assert secret not in message


def test_only_hashes_of_keys_are_kept() -> None:
    kept = keys_in(GIVEN)
    assert list(kept) == ["alice", "bob"]
    assert {len(digest) for digest in kept.values()} == {32}
    assert not [key for key in (ALICE, BOB) for digest in kept.values() if key.encode() in digest]


def test_the_endpoint_gets_the_keys_and_no_other_secret() -> None:
    assert of_endpoint(GIVEN | {"HF_TOKEN": "x", "MLFLOW_TRACKING_PASSWORD": "x"}) == GIVEN


def test_each_key_has_its_own_limit() -> None:
    limited = client(per_minute=3)
    first = [limited.post("/search", headers={"X-API-Key": ALICE}) for _ in range(4)]
    assert [answer.status_code for answer in first] == [200, 200, 200, 429]
    assert 1 <= int(first[-1].headers["retry-after"]) <= 20
    assert "at most 3 in a minute" in first[-1].json()["error"]
    assert limited.post("/search", headers={"X-API-Key": BOB}).status_code == 200


def test_reading_is_not_limited() -> None:
    limited = client(per_minute=1)
    answers = [limited.get("/images/x.png", headers={"X-API-Key": ALICE}) for _ in range(9)]
    assert {answer.status_code for answer in answers} == {200}


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::2:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("", "", True),
    ],
)
def test_without_keys_each_address_has_its_own_limit(
    first: str, second: str, together: bool
) -> None:
    limited = client({}, per_minute=1, address=first)
    other = TestClient(limited.app, client=(second, 50001))
    assert limited.post("/search").status_code == 200
    assert other.post("/search").status_code == (429 if together else 200)


def test_a_forwarded_address_is_not_believed() -> None:
    limited = client({}, per_minute=1)
    answers = [
        limited.post("/search", headers={"X-Forwarded-For": f"10.9.9.{i}"}) for i in range(3)
    ]
    assert [answer.status_code for answer in answers] == [200, 429, 429]


@given(
    per_minute=st.floats(0.1, 1000),
    pauses=st.lists(st.floats(0, 100), min_size=1, max_size=60),
)
def test_no_more_is_allowed_than_a_minute_s_worth_and_the_refill(
    per_minute: float, pauses: list[float]
) -> None:
    allowance, now, taken = Allowance(per_minute), 0.0, 0
    for pause in pauses:
        now += pause
        wait = allowance.take("a", now)
        taken += wait == 0
        assert 0 <= wait <= 60 / per_minute + 1e-6
        assert taken <= max(1, per_minute) + now * per_minute / 60 + 1e-6


def test_whoever_waits_as_told_is_served() -> None:
    allowance = Allowance(2)
    waits = [allowance.take("a", 100.0) for _ in range(3)]
    assert waits == [0, 0, 30]
    assert allowance.take("a", 100.0 + math.ceil(waits[-1])) == 0


def test_only_the_latest_callers_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 2)
    allowance = Allowance(1)
    assert [allowance.take(who, 0.0) for who in "abc"] == [0, 0, 0]
    assert [allowance.take(who, 0.0) > 0 for who in "cba"] == [True, True, False]
