"""Texts that are no category, on a really served Bento: imagined, shared, streamed."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.toy import NAMES

if TYPE_CHECKING:
    from tests.serving import Served

pytest_plugins = ["tests.serving"]
pytestmark = pytest.mark.slow

KNOWN = NAMES[0]


def search(client: httpx.Client, **body: Any) -> dict[str, Any]:
    response = client.post("/search", json={"mode": "fused"} | body)
    assert response.status_code == 200, response.text
    value: dict[str, Any] = response.json()
    return value


def metric(client: httpx.Client, name: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def streamed(client: httpx.Client, **body: Any) -> list[tuple[str, dict[str, Any]]]:
    found = []
    with client.stream("POST", "/search/stream", json={"mode": "fused"} | body) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        for block in "".join(response.iter_text()).strip().split("\n\n"):
            event, data = block.split("\n")
            found.append((event.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_equal_texts_share_one_generation(client: httpx.Client) -> None:
    before = metric(client, "eidolon_batch_pictures_sum")

    def ask(_: int) -> dict[str, Any]:
        return search(client, query="a purple {curious} <b>creature</b> é", k=3)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert answers[0]["known"] is False and answers[0]["degraded"] is None
    assert len(answers[0]["imagined"]) == 2
    assert len({answer["request"] for answer in answers}) == 8
    for answer in answers:
        assert answer["hits"] == answers[0]["hits"]
        assert answer["imagined"] == answers[0]["imagined"]
    assert metric(client, "eidolon_batch_pictures_sum") == before + 2
    picture = client.get(answers[0]["imagined"][0]["picture"])
    assert picture.status_code == 200 and picture.content.startswith(b"\x89PNG")
    assert "immutable" in picture.headers["cache-control"]


def test_other_writings_of_a_text_are_the_same_text(client: httpx.Client) -> None:
    first = search(client, query="an odd  little Thing")
    again = search(client, query=" AN\u200b odd little thing ")
    assert [one["id"] for one in first["imagined"]] == [one["id"] for one in again["imagined"]]
    assert client.post("/search", json={"query": "\u200b\u2060"}).status_code == 400


def test_a_stream_ends_in_what_search_answers(client: httpx.Client) -> None:
    events = streamed(client, query="a thing that streams", k=4)
    names = [name for name, _ in events]
    assert names == ["text", "imagined", "imagined", "fused", "done"]
    text, *pictures, fused = (data for _, data in events[:-1])
    assert text["mode"] == "text" and text["imagined"] == [] and len(text["hits"]) == 4
    assert {one["id"] for one in pictures} == {one["id"] for one in fused["imagined"]}
    plain = search(client, query="a thing that streams", k=4)
    assert plain["hits"] == fused["hits"] and plain["imagined"] == fused["imagined"]


def test_a_stream_of_text_alone_draws_nothing(client: httpx.Client) -> None:
    before = metric(client, "eidolon_batch_pictures_sum")
    events = streamed(client, query="a thing that nobody draws", mode="text")
    assert [name for name, _ in events] == ["text", "fused", "done"]
    assert events[0][1]["hits"] == events[1][1]["hits"]
    assert metric(client, "eidolon_batch_pictures_sum") == before


def test_a_bad_query_is_no_stream(client: httpx.Client) -> None:
    response = client.post("/search/stream", json={"query": " "})
    assert response.status_code == 400
    assert response.json() == {"error": "a query has 1 to 300 characters"}


@pytest.mark.parametrize("query", [KNOWN, "a thing to drop pictures of"])
def test_a_dropped_picture_is_not_used(client: httpx.Client, query: str) -> None:
    whole = search(client, query=query)
    first, second = whole["imagined"]
    less = search(client, query=query, drop=[first["id"]])
    dropped, kept = less["imagined"]
    assert (dropped["kept"], dropped["why"], dropped["weight"]) == (False, "was dropped", None)
    assert kept["id"] == second["id"] and kept["weight"] == 1
    assert [hit["image_score"] for hit in less["hits"]] != [
        hit["image_score"] for hit in whole["hits"]
    ]
    nothing = search(client, query=query, drop=[first["id"], second["id"]])
    assert nothing["mode"] == "text" and nothing["degraded"] is None


def test_one_more_picture_draws_that_one_alone(client: httpx.Client) -> None:
    whole = search(client, query=KNOWN)
    before = metric(client, "eidolon_batch_pictures_sum")
    more = search(client, query=KNOWN, images=3)
    assert [one["id"] for one in more["imagined"][:2]] == [one["id"] for one in whole["imagined"]]
    assert len(more["imagined"]) == 3
    assert metric(client, "eidolon_batch_pictures_sum") == before + 1


def test_another_seed_gives_other_pictures(client: httpx.Client) -> None:
    one, other = (search(client, query="a thing with seeds", seed=seed) for seed in (1, 2))
    assert not {p["id"] for p in one["imagined"]} & {p["id"] for p in other["imagined"]}


def test_modes_and_weight_choose_the_ranking(client: httpx.Client) -> None:
    for query in (KNOWN, "a thing to weigh"):
        text, image, half = (
            search(client, query=query, mode=mode, weight=weight, k=1000)["hits"]
            for mode, weight in (("text", None), ("image", None), ("fused", 0.5))
        )
        assert [h["id"] for h in text] != [h["id"] for h in image]
        for hits, share in ((text, 0), (image, 1), (half, 0.5)):
            for hit in hits:
                parts = (1 - share) * hit["text_score"] + share * hit["image_score"]
                assert hit["score"] == pytest.approx(parts - hit["hubness"], abs=1e-5)


def test_pages_follow_each_other(client: httpx.Client) -> None:
    whole = search(client, query=KNOWN, k=20)["hits"]
    pages = [search(client, query=KNOWN, k=7, offset=offset)["hits"] for offset in (0, 7, 14)]
    assert [hit for page in pages for hit in page][:20] == whole
    assert search(client, query=KNOWN, offset=1000)["hits"] == []


def test_a_filter_comes_before_the_best_k(client: httpx.Client) -> None:
    hits = search(client, query=KNOWN, filter={"category": f" {NAMES[3].upper()} "}, k=20)["hits"]
    assert [hit["category"] for hit in hits] == [NAMES[3]] * 4
    two = search(client, query=KNOWN, filter={"category": [NAMES[1], NAMES[2]]}, k=20)
    assert two["total"] == 8 and {h["category"] for h in two["hits"]} == {NAMES[1], NAMES[2]}
    split = search(client, query=KNOWN, filter={"split": "train"}, k=1000)["hits"]
    assert {hit["split"] for hit in split} == {"train"} and split[0]["rank"] == 1


def test_an_excluded_text_lowers_its_pictures(client: httpx.Client) -> None:
    plain = {h["id"]: h for h in search(client, query=KNOWN, k=1000)["hits"]}
    without = search(client, query=KNOWN, exclude=NAMES[4], k=1000)["hits"]
    lost = {h["id"]: plain[h["id"]]["score"] - h["score"] for h in without}
    by_text = {h["id"]: h for h in search(client, query=NAMES[4], mode="text", k=1000)["hits"]}
    near = [lost[i] for i, hit in by_text.items() if hit["rank"] <= 4]
    far = [lost[i] for i, hit in by_text.items() if hit["rank"] > 28]
    assert sum(near) > sum(far)
    itself = search(client, query=KNOWN, exclude=KNOWN, k=1000)["hits"]
    assert [h["id"] for h in itself] == list(plain)


def test_words_that_are_unknown_are_named_and_not_drawn(client: httpx.Client) -> None:
    for query in ("asdfgh", "红色条纹星", "🟥⭐"):
        response = client.post("/search", json={"query": query})
        answer = response.json()
        assert answer["unknown_words"] == [query]
        assert answer["mode"] == "text" and answer["imagined"] == []
    assert search(client, query="red star", mode="text")["unknown_words"] == []


def test_a_text_that_is_too_long_for_the_encoder_says_so(client: httpx.Client) -> None:
    long = " ".join(["red striped star"] * 17)
    assert search(client, query=long, mode="text")["truncated"] is True
    assert search(client, query="red star", mode="text")["truncated"] is False


def test_similar_pictures_of_a_hit_and_of_an_upload(client: httpx.Client) -> None:
    hit = search(client, query=KNOWN, k=1)["hits"][0]
    body = {"id": hit["id"], "k": 5}
    similar = client.post("/similar", json=body).json()
    assert len(similar["hits"]) == 5
    assert hit["id"] not in {one["id"] for one in similar["hits"]}
    picture = client.get(hit["picture"]).content
    form = {"files": {"image": ("x.png", picture, "image/png")}, "data": {"k": "5"}}
    uploaded = client.post("/similar", **form)
    assert uploaded.status_code == 200, uploaded.text
    first = uploaded.json()["hits"][0]
    assert first["id"] == hit["id"] and first["score"] == pytest.approx(1, abs=1e-3)
    rest = [one["id"] for one in uploaded.json()["hits"][1:]]
    assert rest == [one["id"] for one in similar["hits"][:4]]
    assert client.post("/similar", json={"id": "nothing"}).status_code == 400
    bad = client.post("/similar", files={"image": ("x.png", b"no picture", "image/png")})
    assert bad.status_code == 400 and list(bad.json()) == ["error"]


def test_feedback_is_recorded_beside_the_queries(served: Served, client: httpx.Client) -> None:
    answer = search(client, query=KNOWN, k=1)
    for picture, right in ((answer["hits"][0], True), (answer["imagined"][0], False)):
        mark = {"request": answer["request"], "id": picture["id"], "right": right}
        assert client.post("/feedback", json=mark).status_code == 204
    unknown = {"request": answer["request"], "id": "nothing", "right": True}
    assert client.post("/feedback", json=unknown).status_code == 400
    folder = served.log.parent / "journal"
    records = [json.loads(line) for f in folder.iterdir() for line in f.read_text().splitlines()]
    of_this = [record for record in records if record["request"] == answer["request"]]
    assert sorted(record.get("right", "query") for record in of_this if "right" in record) == [
        False,
        True,
    ]
    (query,) = (record for record in of_this if "query" in record)
    assert query["query"] == KNOWN and query["hits"] == [answer["hits"][0]["id"]]


def test_an_answer_and_its_log_have_the_callers_request_id(
    served: Served, client: httpx.Client
) -> None:
    response = client.post("/search", json={"query": KNOWN}, headers={"X-Request-ID": "mine.42"})
    assert response.headers["x-request-id"] == response.json()["request"] == "mine.42"
    (line,) = logged(served, "mine.42")
    assert (line["route"], line["status"]) == ("/search", 200)
    assert KNOWN not in json.dumps(line)


def logged(served: Served, request: str) -> list[dict[str, Any]]:
    """The lines of a request, which are written after its answer."""
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + 10
    while not found and time.monotonic() < deadline:
        time.sleep(0.05)
        lines = [json.loads(x) for x in served.log.read_text().splitlines() if x.startswith("{")]
        found = [line for line in lines if line.get("request") == request]
    return found
