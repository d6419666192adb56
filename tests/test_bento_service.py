"""The service as it is deployed: a Bento of the toy project, served from an empty folder."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

from components.index.gallery import top
from components.kinds import BOTH, CLASS, DESCRIPTION, KINDS
from components.serving.known import known_query
from components.serving.loading import load
from tests.toy import NAMES, ROOT

if TYPE_CHECKING:
    from tests.serving import Served

pytest_plugins = ["tests.serving"]
pytestmark = pytest.mark.slow


KNOWN = NAMES[0]


def search(client: httpx.Client, **body: Any) -> dict[str, Any]:
    response = client.post("/search", json=body)
    assert response.status_code == 200, response.text
    value: dict[str, Any] = response.json()
    return value


def test_known_category_gives_what_the_bundle_gives_offline(
    served: Served, client: httpx.Client
) -> None:
    answer = search(client, query=f"  {KNOWN.upper()}{' ' * 300}", k=5)
    bundle = load(served.project / "artifacts" / "bundle")
    row = list(bundle.categories["category"]).index(KNOWN)
    weight = bundle.info["lambda"]
    scores = bundle.gallery.score(bundle.text[row][None], bundle.aggregated[row][None], weight)
    best = top(scores.fused[0], 5)
    assert answer["known"] is True
    assert answer["lambda"] == pytest.approx(weight)
    assert [h["id"] for h in answer["hits"]] == [bundle.pictures["path"][i] for i in best.tolist()]
    assert [h["rank"] for h in answer["hits"]] == [1, 2, 3, 4, 5]
    for field, expected in (
        ("score", scores.fused),
        ("text_score", scores.text),
        ("image_score", scores.image),
        ("hubness", scores.hubness),
    ):
        assert np.allclose([h[field] for h in answer["hits"]], expected[0, best], atol=1e-5)


def test_a_known_category_is_asked_for_by_its_descriptions_too(
    served: Served, client: httpx.Client
) -> None:
    answers = {kind: search(client, query=KNOWN, kind=kind, k=5) for kind in KINDS}
    assert [answers[kind]["kind"] for kind in KINDS] == list(KINDS)
    drawn = {kind: [one["id"] for one in answers[kind]["imagined"]] for kind in KINDS}
    assert len(set(drawn[CLASS]) | set(drawn[DESCRIPTION])) == 4
    assert drawn[BOTH] == [drawn[CLASS][0], drawn[DESCRIPTION][0]]
    bundle = load(served.project / "artifacts" / "bundle")
    row = list(bundle.categories["category"]).index(KNOWN)
    for kind, answer in answers.items():
        known = known_query(bundle, row, kind)
        assert known is not None and answer["known"] and answer["degraded"] is None
        texts = {h["id"]: h["text_score"] for h in answer["hits"]}
        rows = [list(bundle.pictures["path"]).index(path) for path in texts]
        given = bundle.gallery.clip[rows] @ known.text
        np.testing.assert_allclose(list(texts.values()), given, atol=1e-5)
    for query, kind in ((NAMES[1], "description"), ("a purple zebra", "both")):
        refused = client.post("/search", json={"query": query, "kind": kind})
        assert refused.status_code == 400
        assert "give one as `description`" in refused.json()["error"]


@pytest.mark.parametrize("query", [KNOWN, "a purple zebra"])
def test_a_description_of_ones_own_is_imagined_beside_the_query(
    client: httpx.Client, query: str
) -> None:
    alone = search(client, query=query)
    answer = search(client, query=query, description="spotted emerald disc")
    assert answer["kind"] == "both" and answer["mode"] == "fused"
    assert answer["known"] == alone["known"] and len(answer["imagined"]) == 2
    first, second = (one["id"] for one in answer["imagined"])
    assert first == alone["imagined"][0]["id"] and second not in alone["seeds"]
    described = search(client, query="spotted emerald disc", mode="text", k=1)
    assert answer["hits"] != alone["hits"] and described["kind"] == "class"
    refused = client.post("/search", json={"query": query, "description": " "})
    assert refused.status_code == 400 and "a description has 1 to" in refused.json()["error"]


def test_words_that_exclude_are_understood_and_others_suggested(client: httpx.Client) -> None:
    answer = search(client, query="star without stripes", mode="text")
    beside = search(client, query="star", exclude="stripes", mode="text")
    assert (answer["query"], answer["excluded"]) == ("star without stripes", "stripes")
    assert [h["score"] for h in answer["hits"]] == [h["score"] for h in beside["hits"]]
    assert beside["excluded"] is None
    slip = search(client, query=KNOWN.replace("plain", "plian"), mode="text")
    assert slip["suggestion"] == KNOWN and not slip["known"]
    assert search(client, query=KNOWN)["suggestion"] is None


def test_known_category_names_its_bundle_models_seeds_and_pictures(
    served: Served, client: httpx.Client
) -> None:
    answer = search(client, query=KNOWN)
    manifest = (served.project / "data" / "imagined" / "manifest.csv").read_text()
    assert answer["bundle"]["version"] == 3
    assert set(answer["models"]) == {"generator", "clip", "vision"}
    assert answer["imagined"]
    assert answer["seeds"] == [one["seed"] for one in answer["imagined"]]
    assert all(f",{one['seed']}," in manifest for one in answer["imagined"])
    assert all(one["id"] in manifest and one["kept"] for one in answer["imagined"])
    assert sum(one["weight"] for one in answer["imagined"]) == pytest.approx(1, abs=1e-5)
    for shown in [answer["imagined"][0], answer["hits"][0]]:
        response = client.get(shown["picture"])
        assert response.status_code == 200
        assert response.headers["content-type"] == "image/png"
        assert "immutable" in response.headers["cache-control"]


@pytest.mark.parametrize(("k", "count"), [(1, 1), (7, 7), (1000, len(NAMES) * 4)])
def test_k_gives_that_many_hits_of_the_gallery(client: httpx.Client, k: int, count: int) -> None:
    answer = search(client, query=KNOWN, k=k)
    assert len(answer["hits"]) == count
    assert answer["total"] == len(NAMES) * 4


def test_k_is_20_by_default(client: httpx.Client) -> None:
    assert len(search(client, query=KNOWN)["hits"]) == 20


@pytest.mark.parametrize(
    ("body", "about"),
    [
        ({"query": KNOWN, "k": 0}, "k: "),
        ({"query": KNOWN, "k": 1001}, "k: "),
        ({"query": KNOWN, "offset": -1}, "offset: "),
        ({"query": KNOWN, "mode": "best"}, "mode: "),
        ({"query": KNOWN, "weight": 1.5}, "weight: "),
        ({"query": KNOWN, "images": 0}, "images: "),
        ({"query": KNOWN, "images": 17}, "images: "),
        ({"query": KNOWN, "seed": 2**31}, "seed: "),
        ({"query": KNOWN, "drop": "all"}, "drop: "),
        ({"query": KNOWN, "exclude": " "}, "a text to `exclude` has 1 to 300 characters"),
        ({"query": KNOWN, "filter": {"colour": "red"}}, "filter: there is no column 'colour'"),
        ({"query": KNOWN, "filter": {"category": "a fox"}}, "filter: no picture has the category"),
        ({"query": KNOWN, "group": True, "offset": 2000}, "with group"),
        ({"query": KNOWN, "k": "many"}, "k: "),
        ({"query": KNOWN, "k": True}, "k: "),
        ({"query": KNOWN, "k": 2.5}, "k: "),
        ({"query": ""}, "a query has 1 to 300 characters"),
        ({"query": " \t "}, "a query has 1 to 300 characters"),
        ({"query": "x" * 301}, "a query has 1 to 300 characters"),
        ({"query": 5}, "query: "),
        ({"query": None}, "query: "),
        ({}, "query: "),
        ({"query": KNOWN, "top": 3}, "top: "),
        ({"query": KNOWN, "y" * 60_000: 3}, "yyy"),
        ({"query": KNOWN, "k": 10**400}, "k: "),
        ({"query": KNOWN, "k": -1}, "k: "),
        ({"query": KNOWN, "k": float("nan")}, "k: "),
        ([KNOWN], "the body: "),
    ],
)
def test_bad_input_is_one_sentence(client: httpx.Client, body: Any, about: str) -> None:
    headers = {"Content-Type": "application/json"}
    response = client.post("/search", content=json.dumps(body), headers=headers)
    assert response.status_code == 400
    assert list(response.json()) == ["error"]
    assert response.json()["error"].startswith(about)
    assert len(response.json()["error"]) <= 500


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b'{"query": "\\ud800"}', b"[" * 60_000, b'{"query": 1e999']
)
def test_bytes_that_are_not_json_are_refused(client: httpx.Client, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = client.post("/search", content=content, headers=headers)
    assert response.status_code == 400
    assert list(response.json()) == ["error"]


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/vnd.bentoml+pickle",
    ],
)
def test_only_json_is_parsed(client: httpx.Client, kind: str) -> None:
    response = client.post("/search", content=b"query=x", headers={"Content-Type": kind})
    assert response.status_code == 415


@pytest.mark.parametrize("chunked", [False, True])
def test_huge_body_is_refused(client: httpx.Client, chunked: bool) -> None:
    body = json.dumps({"query": "x" * 70_000}).encode()
    content = (body[i : i + 1000] for i in range(0, len(body), 1000)) if chunked else body
    response = client.post("/search", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 413
    assert "65536 bytes" in response.json()["error"]


def test_chunked_body_within_the_limit_is_read(client: httpx.Client) -> None:
    parts = iter([b'{"query": ', json.dumps(KNOWN).encode(), b"}"])
    response = client.post("/search", content=parts, headers={"Content-Type": "application/json"})
    assert response.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "nothing.png",
        "gallery/",
        "",
        "../bundle.json",
        "..%2f..%2fbundle.json",
        "%2fetc%2fpasswd",
        "gallery/%00.png",
    ],
)
def test_unknown_pictures_and_path_traversal_are_404(served: Served, path: str) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as raw:  # httpx would tidy paths
        request = f"GET /images/{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        raw.sendall(request.encode())
        assert b" 404 " in raw.recv(1000).split(b"\r\n")[0]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/search", 405),
        ("OPTIONS", "/search", 405),
        ("PUT", "/images/gallery/x.png", 405),
        ("DELETE", "/bundle", 405),
        ("GET", "/nothing", 404),
        ("GET", "/images/nothing", 404),
        ("GET", "/images/" + "0" * 64, 404),
    ],
)
def test_every_error_has_one_shape(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert list(response.json()) == ["error"]
    assert client.head("/search").status_code == 405


def test_picture_without_its_digest_is_not_kept_for_ever(client: httpx.Client) -> None:
    plain = search(client, query=KNOWN, k=1)["hits"][0]["picture"].split("?")[0]
    assert client.get(plain).headers["cache-control"] == "no-cache"


def test_bundle_gives_the_lineage(served: Served, client: httpx.Client) -> None:
    lineage = client.get("/bundle").json()
    info = json.loads((served.project / "artifacts" / "bundle" / "bundle.json").read_text())
    assert lineage["version"] == 3
    assert "files" not in lineage
    for key in ("dataset", "models", "generator", "encoders", "metrics", "lambda"):
        assert lineage[key] == info[key]
    assert lineage["examples"][0] in NAMES
    assert lineage["examples"][-1] not in NAMES


def test_api_documents_itself(client: httpx.Client) -> None:
    spec = client.get("/docs.json").json()
    text = (ROOT / "docs" / "api.md").read_text()
    operations = [operation for path in spec["paths"].values() for operation in path.values()]
    told = {
        status: response["description"]
        for operation in operations
        for status, response in operation["responses"].items()
    }
    rows = dict(re.findall(r"^\| (\d{3}) \| (.+) \|$", text, re.MULTILINE))
    del rows["405"]  # an operation has its method
    assert told == rows | {"200": "the answer", "204": "it is noted"}
    assert (
        {"/search", "/bundle", "/images/{id}"}
        <= set(spec["paths"])
        <= set(re.findall(r"/[\w/{}]+", text))
    )
    assert spec["info"]["version"] == "3"
    assert "BentoML" not in json.dumps(spec)
    assert "googletagmanager" not in client.get("/docs").text
    assert client.get("/docs").status_code == 200


def test_code_and_models_come_from_the_bento(served: Served, client: httpx.Client) -> None:
    assert client.get("/readyz").status_code == 200
    code, library = re.findall(r"(?:code|library) (\S+\.py)", served.log.read_text())[:2]
    src = served.source(served.tag)
    assert Path(code) == src / "bento" / "worker.py"
    assert Path(library) == src / "components" / "config" / "__init__.py"
    pins = json.loads((src / "bento" / "release.json").read_text())
    assert pins["bundle"].startswith("eidolon-bundle:v3-")
    assert not (ROOT / "bento" / "release.json").exists()
