"""The service as it is deployed: a Bento of the toy project, served from an empty folder."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import psutil
import pytest

from bento import server
from bento.guard import BodyGuard
from components.index.gallery import top
from components.serving.loading import load
from tests.toy import NAMES, ROOT

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from tests.serving import Served

pytest_plugins = ["tests.serving"]
pytestmark = pytest.mark.slow
KNOWN = NAMES[0]


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=120, trust_env=False) as client:
        yield client


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


def test_known_category_names_its_bundle_models_seeds_and_pictures(
    served: Served, client: httpx.Client
) -> None:
    answer = search(client, query=KNOWN)
    manifest = (served.project / "data" / "imagined" / "manifest.csv").read_text()
    assert answer["bundle"]["version"] == 3
    assert set(answer["models"]) == {"generator", "clip", "vision"}
    assert answer["imagined"]
    assert len(answer["seeds"]) == len(answer["imagined"])
    assert all(f",{seed}," in manifest for seed in answer["seeds"])
    for shown in [answer["imagined"][0], answer["hits"][0]]:
        response = client.get(shown["picture"])
        assert response.status_code == 200
        assert response.headers["content-type"] == "image/png"
        assert "immutable" in response.headers["cache-control"]


def test_free_phrase_is_imagined_and_equal_queries_share_one_generation(
    client: httpx.Client,
) -> None:
    def ask(_: int) -> dict[str, Any]:
        return search(client, query="a purple {curious} <b>creature</b> é", k=3)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert answers[0]["known"] is False
    assert all(one["picture"].startswith("data:image/png;") for one in answers[0]["imagined"])
    assert len(answers[0]["seeds"]) == len(answers[0]["imagined"]) == 2
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize(("k", "count"), [(1, 1), (7, 7), (100, len(NAMES) * 4)])
def test_k_gives_that_many_hits_of_the_gallery(client: httpx.Client, k: int, count: int) -> None:
    assert len(search(client, query=KNOWN, k=k)["hits"]) == count


def test_k_is_20_by_default(client: httpx.Client) -> None:
    assert len(search(client, query=KNOWN)["hits"]) == 20


@pytest.mark.parametrize(
    ("body", "about"),
    [
        ({"query": KNOWN, "k": 0}, "k: "),
        ({"query": KNOWN, "k": 101}, "k: "),
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
def test_bytes_that_are_no_json_are_refused(client: httpx.Client, content: bytes) -> None:
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


def test_body_that_breaks_off_is_not_handled() -> None:
    handled: list[str] = []
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        handled.append(scope["path"])

    async def send(message: Message) -> None:
        sent.append(message)

    async def ask(*messages: Message) -> None:
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/search",
            "headers": [(b"content-type", b"application/json"), (b"content-length", b"100")],
        }
        coming = iter(messages)

        async def receive() -> Message:
            return next(coming)

        await BodyGuard(app)(scope, receive, send)

    part = {"type": "http.request", "body": b'{"query": "x"}'}
    asyncio.run(ask(part | {"more_body": True}, {"type": "http.disconnect"}))
    assert (handled, sent) == ([], [])
    asyncio.run(ask(part))
    assert handled == ["/search"]


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
        request = f"GET /picture/{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        raw.sendall(request.encode())
        assert b" 404 " in raw.recv(1000).split(b"\r\n")[0]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/search", 405),
        ("OPTIONS", "/search", 405),
        ("PUT", "/picture/gallery/x.png", 405),
        ("DELETE", "/bundle", 405),
        ("GET", "/nothing", 404),
        ("GET", "/picture/nothing", 404),
    ],
)
def test_every_error_has_one_shape(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert list(response.json()) == ["error"]
    assert client.head("/search").status_code == 405


def test_more_or_longer_than_the_limits_is_refused(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # nothing is drawn in a millisecond; who asks meanwhile is one too many
    limits = "services.eidolon.traffic.max_concurrency=1 services.eidolon.traffic.timeout=0.001"
    monkeypatch.setenv("BENTOML_CONFIG_OPTIONS", limits)
    empty = tmp_path / "empty"
    empty.mkdir()
    with server.served(served.tag, empty, tmp_path / "log", timeout=300) as url:

        def ask(number: int) -> httpx.Response:
            body = {"query": f"a slow thing, number {number}"}
            return httpx.post(f"{url}/search", json=body, timeout=60, trust_env=False)

        answers: list[httpx.Response] = []
        with ThreadPoolExecutor(8) as pool:
            while {answer.status_code for answer in answers} < {429, 504}:
                answers += pool.map(ask, range(len(answers), len(answers) + 8))
    assert {answer.status_code for answer in answers} == {429, 504}
    assert all(list(answer.json()) == ["error"] for answer in answers)


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
    assert told == rows | {"200": "the answer"}
    assert (
        {"/search", "/bundle", "/picture/{id}"}
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
    src = served.home / "bentoml" / "bentos" / "eidolon" / served.tag.partition(":")[2] / "src"
    assert Path(code) == src / "bento" / "service.py"
    assert Path(library) == src / "components" / "config.py"
    pins = json.loads((src / "bento" / "release.json").read_text())
    assert pins["bundle"].startswith("eidolon-bundle:v3-")
    assert not (ROOT / "bento" / "release.json").exists()


def test_bento_records_its_models(served: Served) -> None:
    import yaml

    version = served.tag.partition(":")[2]
    folder = served.home / "bentoml" / "bentos" / "eidolon" / version
    recorded = {m["tag"] for m in yaml.safe_load((folder / "bento.yaml").read_text())["models"]}
    pins = json.loads((folder / "src" / "bento" / "release.json").read_text())
    assert recorded == {pins[part] for part in ("bundle", "generator", "clip", "vision")}
    assert not list(folder.rglob("__pycache__/*.pkl"))


def test_second_build_reuses_the_first(served: Served) -> None:
    again = served.answer("build", "--bundle", "artifacts/bundle", "--version", "3")
    assert (again["built"], again["tag"]) == (False, served.tag)


def test_check_passes_and_leaves_no_process(served: Served) -> None:
    before = serving(served.tag)
    report = served.answer("check", "--tag", served.tag, "--queries", "2")
    assert report["queries"] == 3
    assert report["p50_ms"] > 0
    assert report["seconds_to_ready"] > 0
    assert serving(served.tag) == before


def serving(tag: str) -> set[int]:
    processes = psutil.process_iter(["cmdline"])
    return {p.pid for p in processes if tag in (p.info["cmdline"] or [])}


def test_deploy_moves_the_pointer(served: Served) -> None:
    nothing = served.release("current")
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert "make run" in nothing.stderr
    first = served.answer("deploy", "--tag", served.tag, "--version", "3")
    assert (first["bento"], first["version"], first["previous"]) == (served.tag, 3, None)
    assert served.answer("current") == first
    other = served.answer("build", "--bundle", "artifacts/bundle", "--version", "4")["tag"]
    second = served.answer("deploy", "--tag", other, "--version", "4")
    again = served.answer("deploy", "--tag", other, "--version", "4")
    assert second["previous"] == again["previous"] == served.tag


def test_unknown_tags_are_one_error(served: Served) -> None:
    for verb, tag in (
        (["check", "--queries", "1"], "eidolon:nothing"),
        (["deploy", "--version", "1"], "eidolon:latest"),
        (["deploy", "--version", "1"], "no tag at all"),
    ):
        done = served.release(*verb, "--tag", tag)
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("error: ")
        assert "Traceback" not in done.stderr


def test_damaged_bundle_is_not_built(served: Served, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(served.project / "artifacts" / "bundle", tmp_path / "bundle")
    with (tmp_path / "bundle" / "gallery.safetensors").open("ab") as file:
        file.write(b"x")
    for folder in (tmp_path / "bundle", tmp_path / "nothing"):
        done = served.release("build", "--bundle", str(folder), "--version", "5")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: ")


def test_check_fails_a_bento_that_cannot_start(served: Served, tmp_path: Path) -> None:
    other = replace(served, home=tmp_path)
    built = other.answer("build", "--bundle", "artifacts/bundle", "--version", "6")
    (weights,) = (tmp_path / "bentoml" / "models" / "eidolon-clip").rglob("model.safetensors")
    weights.write_bytes(weights.read_bytes()[:1000])
    done = other.release("check", "--tag", built["tag"], "--queries", "1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot load" in done.stderr
    assert serving(built["tag"]) == set()


def test_serve_needs_something_deployed_and_a_free_port(served: Served, tmp_path: Path) -> None:
    served.answer("deploy", "--tag", served.tag, "--version", "3")
    port = served.url.rpartition(":")[2]
    taken = served.release("serve", "--port", port)
    assert taken.returncode == 2
    assert f"127.0.0.1:{port}" in taken.stderr
    assert "--port" in taken.stderr
    nowhere = replace(served, home=tmp_path)
    nothing = nowhere.release("serve")
    assert nothing.returncode == 2
    assert "make run" in nothing.stderr


PRIVATE = (
    "AIRFLOW__CORE__FERNET_KEY",
    "AIRFLOW__API_AUTH__JWT_SECRET",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_PASSWORD",
    "AWS_SECRET_ACCESS_KEY",
    "HF_TOKEN",
    "GITHUB_TOKEN",
)


def test_serve_serves_what_is_deployed_and_has_no_keys(served: Served) -> None:
    served.answer("deploy", "--tag", served.tag, "--version", "3")
    port = server.free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "bento.release", "serve", "--port", str(port)],
        cwd=served.project,
        env=served.environment | dict.fromkeys(PRIVATE, "s3cr3t"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        transport = httpx.HTTPTransport(retries=8)  # waits twice as long after each refusal
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", transport=transport) as client:
            answer = client.post("/search", json={"query": KNOWN, "k": 1}, timeout=120)
        assert answer.status_code == 200
        assert answer.json()["bundle"]["version"] == 3
        started = psutil.Process(process.pid)
        for one in (started, *started.children(recursive=True)):
            env = Path(f"/proc/{one.pid}/environ").read_bytes()
            assert b"BENTOML_HOME=" in env and b"s3cr3t" not in env, one.cmdline()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
