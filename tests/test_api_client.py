"""The client against a small server that answers as the contract of the service says."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from components.api.client import Client, Options
from components.api.messages import Answer, Query
from components.errors import EidolonError, TransientError
from tests.answering import HIT, IMAGINED, PICTURE, Fake, answer, event, fake, server

__all__ = ["fake", "server"]  # fixtures


@pytest.fixture
def client(fake: Fake) -> Iterator[Client]:
    with Client(fake.url, timeout=20) as client:
        yield client


def test_a_search_is_sent_and_read(fake: Fake, client: Client) -> None:
    found = client.search("red star", k=3, filter={"split": ["unseen", "train"]})
    assert found == Answer.model_validate(answer("red star"))
    ((path, headers, body),) = fake.asked
    assert path == "search" and "authorization" not in headers
    assert body == Query(query="red star", k=3, filter={"split": ["unseen", "train"]}).model_dump(
        exclude_none=True
    )


def test_the_options_are_the_fields_of_a_query() -> None:
    assert set(get_type_hints(Options)) == set(Query.model_fields) - {"query"}


def test_a_key_is_sent(fake: Fake) -> None:
    with Client(fake.url + "/", "secret") as client:
        client.bundle()
    assert fake.asked[0][1]["authorization"] == "Bearer secret"


def test_a_stream_gives_each_event(client: Client) -> None:
    events = list(client.stream("red star"))
    assert [one.event for one in events] == ["text", "imagined", "fused"]
    assert events[1].data["id"] == IMAGINED["id"]
    assert Answer.model_validate(events[2].data) == client.search("red star")


def test_events_arrive_while_the_stream_goes_on(fake: Fake, client: Client) -> None:
    fake.stream = [event("imagined", IMAGINED), "break"]
    stream = client.stream("red star")
    assert next(stream).event == "imagined"
    with pytest.raises(TransientError, match="broke off"):
        next(stream)


@pytest.mark.parametrize(
    "parts",
    [[], [event("text", {"hits": []})], [event("fused", {}), "event: done\ndata: {}\n"]],
    ids=["empty", "text only", "cut in the last event"],
)
def test_a_stream_without_its_end_is_an_error(fake: Fake, client: Client, parts: list[str]) -> None:
    fake.stream = parts
    with pytest.raises(TransientError, match="broke off: try again"):
        list(client.stream("red star"))


def test_an_error_within_a_stream_is_its_sentence(fake: Fake, client: Client) -> None:
    fake.stream = [event("error", {"error": "the search failed"}), event("done", {})]
    with pytest.raises(EidolonError, match=r"^the search failed$"):
        list(client.stream("red star"))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_event_may_have_lines_of_data_and_unknown_fields(
    fake: Fake, client: Client, end: str
) -> None:
    text = 'id: 1\nevent:fused\ndata: {"a":\ndata: 1}\nretry: 5\n\nevent: done\ndata: {}\n\n'
    fake.stream = [text.replace("\n", end)]
    assert [one.data for one in client.stream("red star")] == [{"a": 1}]


ODD = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1eh ★"  # characters that str.splitlines splits at


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_text_of_a_stream_may_hold_any_character(fake: Fake, client: Client, size: int) -> None:
    text = json.dumps({"query": ODD}, ensure_ascii=False)
    whole = f"event: fused\ndata: {text}\n\nevent: done\ndata: {{}}\n\n".encode()
    fake.stream = [whole[at : at + size] for at in range(0, len(whole), size)]
    assert [one.data for one in client.stream("red star")] == [{"query": ODD}]


def test_similar_by_an_id(fake: Fake, client: Client) -> None:
    found = client.similar("gallery/red_star/0001.png", k=3, group=True)
    assert found.hits[0].id == HIT["id"]
    assert fake.asked[0][2] == {
        "id": "gallery/red_star/0001.png",
        "k": 3,
        "offset": 0,
        "filter": {},
        "group": True,
    }


def test_similar_by_a_file(fake: Fake, client: Client, tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(PICTURE)
    found = client.similar(picture=tmp_path / "mine.png", k=3, filter={"split": "unseen"})
    assert found.total == 12
    assert fake.asked[0][2] == {
        "image": PICTURE,
        "k": "3",
        "offset": "0",
        "filter": '{"split": "unseen"}',
        "group": "false",
    }


def test_the_other_requests(fake: Fake, client: Client) -> None:
    client.feedback("5f0c4cf0e5f14e6f", HIT["id"], right=True)
    assert fake.asked[-1][2] == {"request": "5f0c4cf0e5f14e6f", "id": HIT["id"], "right": True}
    assert client.bundle()["version"] == 3
    assert client.categories()[0]["category"] == "red star"
    assert client.picture(HIT["picture"]) == PICTURE
    assert fake.asked[-1][0] == "images/gallery/red_star/0001.png"


@pytest.mark.parametrize("address", ["http://elsewhere.test/a.png", "https://127.0.0.1/a.png"])
def test_a_key_does_not_go_to_another_server(client: Client, address: str) -> None:
    with pytest.raises(EidolonError, match="is no picture of"):
        client.picture(address)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"k": 0}, "k: Input should be greater than or equal to 1"),
        ({"mode": "magic"}, "mode: Input should be 'auto', 'text', 'image' or 'fused'"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_option_is_a_sentence_and_not_sent(
    fake: Fake, client: Client, options: Any, why: str
) -> None:
    with pytest.raises(EidolonError, match=f"^{why}$"):
        client.search("red star", **options)
    assert not fake.asked


def test_a_search_by_a_picture_needs_one(client: Client, tmp_path: Path) -> None:
    for wrong in ({}, {"id": "a", "picture": tmp_path}):
        with pytest.raises(EidolonError):
            client.similar(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "headers", "kind", "shown"),
    [
        (400, {}, EidolonError, "no such column"),
        (401, {}, EidolonError, "no such column"),
        (429, {"Retry-After": "7"}, TransientError, "no such column (try again in 7 seconds)"),
        (503, {}, TransientError, "no such column (try again later)"),
        (504, {}, TransientError, "no such column (try again later)"),
        (500, {}, EidolonError, "no such column"),
    ],
)
def test_an_error_of_the_service_is_its_sentence(
    fake: Fake,
    client: Client,
    stream: bool,
    status: int,
    headers: dict[str, str],
    kind: type[Exception],
    shown: str,
) -> None:
    fake.fails = JSONResponse({"error": "no such column"}, status, headers)
    with pytest.raises(kind) as raised:
        list(client.stream("red star")) if stream else client.search("red star")
    assert str(raised.value) == shown


@pytest.mark.parametrize(
    "response",
    [
        PlainTextResponse("not found", 404),
        JSONResponse(["no"], 400),
        JSONResponse({"error": 3}, 400),
        PlainTextResponse("", 307, {"Location": "/elsewhere"}),
    ],
)
def test_a_server_of_another_kind_is_told(fake: Fake, client: Client, response: Response) -> None:
    fake.fails = response
    with pytest.raises(EidolonError, match=r"answered with status \d+: is it the search service"):
        client.bundle()


@pytest.mark.parametrize("text", ["<html>", "[]", '{"hits": 3}'])
def test_an_answer_of_another_version_is_told(fake: Fake, client: Client, text: str) -> None:
    fake.fails = PlainTextResponse(text)
    with pytest.raises(EidolonError, match="does not answer as this version of Eidolon"):
        client.search("red star")


def test_a_server_that_is_not_there_is_told_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with (
        Client(f"http://127.0.0.1:{port}") as client,
        pytest.raises(EidolonError, match=r"nothing answers .* `make serve`"),
    ):
        client.search("red star")


def test_a_server_that_says_nothing_is_told() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        Client(f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=0.2) as client,
        pytest.raises(TransientError, match=r"gave no answer for 0\.2 seconds"),
    ):
        client.search("red star")


@pytest.mark.parametrize("url", ["127.0.0.1:3000", "localhost", "ftp://x", "http://a:b", ""])
def test_an_address_that_is_none_is_told(url: str) -> None:
    with pytest.raises(EidolonError, match="is no address"), Client(url) as client:
        client.bundle()


def test_a_proxy_in_the_environment_is_not_used(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert client.bundle()["version"] == 3
