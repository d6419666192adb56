"""A generator that draws black, draws nothing, fails, sleeps or is killed: the answer is by text.

The faults are planted in the code inside the Bento, after it was built. Nothing in the code of the
service knows of them.
"""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from playwright.sync_api import Browser, expect

from benchmarks import bad, faults
from bento import search as search_module
from bento import server
from components.files import sha256, write_json
from tests.pages import answered, opened
from tests.pages import search as search_on
from tests.serving import Built
from tests.toy import NAMES

pytest_plugins = ["tests.pages"]
pytestmark = pytest.mark.slow

KNOWN = NAMES[0]
PATIENCE = 25.0  # seconds for pictures
ASLEEP = 35.0  # seconds of the planted delay
PLACES = 3  # texts that may wait
AT_ONCE = 64  # requests that are answered at once


@pytest.fixture(scope="module")
def faulty(built_toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the toy's Bento with little patience, which leaves blank pictures out, ranks no
    text by its pictures unless it is told to, and whose generator has faults."""
    project = tmp_path_factory.mktemp("faulty")
    shutil.copytree(built_toy, project, dirs_exist_ok=True)
    values = yaml.safe_load((project / "params.yaml").read_text())
    values["serve"] |= {"imagine_seconds": PATIENCE, "waiting_texts": PLACES}
    values["serve"] |= {"concurrent_requests": AT_ONCE}
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    file = project / "artifacts" / "bundle" / "bundle.json"
    info = json.loads(file.read_text())
    info["validate"]["min_contrast"] = 0.05  # as with real models
    confidence = file.with_name("confidence.json")
    write_json(confidence, json.loads(confidence.read_text()) | {"least_agreement": 1000.0})
    info["files"]["confidence.json"] = sha256(confidence)
    file.write_text(json.dumps(info))
    empty = Built(tmp_path_factory.mktemp("home"), project, "")
    tag = empty.answer("build", "--bundle", "artifacts/bundle", "--version", "1")["tag"]
    faults.plant(empty.source(tag), ASLEEP, share=0)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in empty.environment.items():
            patch.setenv(name, value)
        with server.served(tag, tmp_path_factory.mktemp("served"), timeout=300) as url:
            yield url


@pytest.fixture
def client(faulty: str) -> Iterator[httpx.Client]:
    """A client of a service that has nothing to do."""
    with httpx.Client(base_url=faulty, timeout=60, trust_env=False) as client:
        assert _within(60, lambda: search(client, query="a thing at rest")["mode"] == "fused")
        yield client


def search(client: httpx.Client, **body: Any) -> dict[str, Any]:
    """An answer, which must be one, without numbers that are none."""
    response = client.post("/search", json={"mode": "fused", "images": 6} | body)
    assert response.status_code == 200, response.text
    value: dict[str, Any] = json.loads(response.text, parse_constant=pytest.fail)
    return value


def by_text(client: httpx.Client, query: str) -> list[dict[str, Any]]:
    hits: list[dict[str, Any]] = search(client, query=query, mode="text")["hits"]
    return hits


def away(client: httpx.Client) -> bool:
    health: dict[str, str] = client.get("/health").json()
    return health["imaginer"] == "away"


def test_black_pictures_are_dropped_and_the_others_used(client: httpx.Client) -> None:
    answer = search(client, query="a partly black thing")
    whys = [one["why"] for one in answer["imagined"]]
    assert whys == ["is blank", "is blank", None, None, None, None]
    assert [one["weight"] is None for one in answer["imagined"]] == [True, True, *[False] * 4]
    assert (answer["mode"], answer["degraded"]) == ("fused", None)
    assert search(client, query="a partly black thing")["hits"] == answer["hits"]


def test_black_pictures_alone_leave_the_text(client: httpx.Client) -> None:
    answer = search(client, query="a pitch black thing")
    assert {one["why"] for one in answer["imagined"]} == {"is blank"}
    assert (answer["mode"], answer["degraded"]) == ("text", "unfit")
    assert answer["hits"] == by_text(client, "a pitch black thing")


def test_the_page_says_that_no_picture_was_fit(
    browser: Browser, faulty: str, client: httpx.Client, complaints: list[str]
) -> None:
    asked = "a pitch black thing, on the page"
    with opened(browser, faulty, complaints) as page:
        search_on(page, asked)
        answered(page, asked)
        expect(page.locator("#notices")).to_contain_text("No imagined picture was fit to use")
        expect(page.locator("#imagined .left-out").first).to_contain_text("is blank")
        expect(page.locator("#hits > li")).to_have_count(24)
    assert complaints == []


def test_pictures_that_show_a_text_poorly_leave_the_text(client: httpx.Client) -> None:
    asked = "a thing shown poorly"
    answer = search(client, query=asked, mode="auto")
    assert (answer["mode"], answer["degraded"]) == ("text", "disagreeing")
    assert answer["hits"] == by_text(client, asked)
    assert not any(one["kept"] for one in answer["imagined"])
    assert {one["why"] for one in answer["imagined"]} == {search_module.DISAGREES}
    fused = search(client, query=asked, mode="fused")
    assert (fused["mode"], fused["degraded"]) == ("fused", None)
    known = search(client, query=KNOWN, mode="auto", images=None)
    assert (known["mode"], known["degraded"]) == ("fused", None)


@pytest.mark.parametrize("images", [1, 6])
def test_vectors_that_are_not_numbers_leave_the_text(client: httpx.Client, images: int) -> None:
    query = f"not a number {images}"
    for _ in range(2):  # drawn, and remembered
        answer = search(client, query=query, images=images)
        assert [one["why"] for one in answer["imagined"]] == ["cannot be encoded"] * images
        assert {one["agreement"] for one in answer["imagined"]} == {None}
        assert (answer["mode"], answer["degraded"]) == ("text", "unfit")
        assert answer["hits"] == by_text(client, query)
    body = {"query": query, "mode": "fused", "images": images}
    stream = client.post("/search/stream", json=body).text
    data = [line[6:] for line in stream.splitlines() if line.startswith("data: ")]
    assert len([json.loads(one, parse_constant=pytest.fail) for one in data]) == images + 3


def test_a_generator_that_fails_leaves_the_text(client: httpx.Client) -> None:
    for i in range(6):  # each error is one of three kinds
        answer = search(client, query=f"a failing thing {i}")
        assert (answer["mode"], answer["degraded"]) == ("text", "failed")
        assert answer["imagined"] == [] and len(answer["hits"]) == 20
    assert not away(client)


def test_a_generator_that_is_slow_leaves_the_text(client: httpx.Client) -> None:
    began = time.monotonic()
    answer = search(client, query="a thing asleep")
    assert PATIENCE <= time.monotonic() - began < ASLEEP
    assert (answer["mode"], answer["degraded"]) == ("text", "slow")
    assert not away(client)


def test_more_texts_than_there_are_places_are_answered_by_text(client: httpx.Client) -> None:
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(search, client, query=f"thing {i}, asleep") for i in range(4 * PLACES)]
        time.sleep(0.5)
        took = []
        for name in NAMES:
            began = time.monotonic()
            known = search(client, query=name, images=None)
            took.append(time.monotonic() - began)
            assert (known["mode"], known["degraded"]) == ("fused", None)
        assert not all(one.done() for one in asked)
        reasons = [one.result()["degraded"] for one in asked]
    assert max(took) < 10  # seconds, on any machine
    assert reasons.count("saturated") == 3 * PLACES and reasons.count("slow") == PLACES


def test_a_killed_imaginer_leaves_the_text_until_it_is_back(
    faulty: str, client: httpx.Client
) -> None:
    processes = faults.server_at(int(faulty.rpartition(":")[2]))
    (victim,) = faults.imaginers(processes)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(search, client, query="a thing asleep in flight")
        time.sleep(1)
        victim.kill()
        psutil.wait_procs([victim], timeout=10)
        began = time.monotonic()
        assert waiting.result()["degraded"] == "unavailable"
    answer = search(client, query="a thing after that")
    assert answer["degraded"] == "unavailable" and answer["hits"]
    assert time.monotonic() - began < 2
    assert away(client)
    known = search(client, query=KNOWN, images=None)
    assert (known["mode"], known["degraded"]) == ("fused", None)
    assert _within(60, lambda: not away(client))
    assert search(client, query="a thing after that")["mode"] == "fused"


def test_callers_that_break_off_hold_no_place(faulty: str, client: httpx.Client) -> None:
    address = ("127.0.0.1", int(faulty.rpartition(":")[2]))
    begun = bad.posted("/search", {"query": KNOWN})[:-5]
    for _ in range(2 * AT_ONCE):
        with socket.create_connection(address) as caller:
            caller.sendall(begun)
            time.sleep(0.02)
    time.sleep(1)
    assert client.post("/search", json={"query": KNOWN}).status_code == 200


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.5)
    return False
