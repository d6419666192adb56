"""The two services of a Bento as two servers, as ops/kubernetes runs them: each in a folder like
that of the image, with the arguments and variables of its manifest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from components.ports import free_port
from components.processes import end, family
from tests.toy import ROOT

if TYPE_CHECKING:
    from tests.serving import Built

pytest_plugins = ["tests.serving"]
pytestmark = pytest.mark.slow

IMAGE = "/home/bentoml/bento"
PICKLE = {"Content-Type": "application/vnd.bentoml+pickle"}


def container(name: str) -> dict[str, Any]:
    """The container of a manifest."""
    text = (ROOT / "ops" / "kubernetes" / "manifests" / f"{name}.yaml").read_text()
    deployment = next(iter(yaml.safe_load_all(text)))
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]
    return found


@pytest.fixture(scope="module")
def image(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like that of the image: the Bento, and its models beside its code."""
    folder = tmp_path_factory.mktemp("image") / "bento"
    shutil.copytree(built.source(built.tag).parent, folder)
    shutil.copytree(built.home / "bentoml" / "models", folder / "models")
    return folder


@contextmanager
def running(name: str, image: Path, place: Path, **more: str) -> Iterator[tuple[str, int]]:
    """Run the container of a manifest as processes of this machine. Yields its address and the id
    of its first process."""
    found, port = container(name), free_port()
    arguments = [a.replace(IMAGE, str(image)) for a in found["args"]]
    arguments = [{"0.0.0.0": "127.0.0.1", "3000": str(port)}.get(a, a) for a in arguments]
    if arguments[0] == "serve":  # as the image's entrypoint does
        arguments = ["bentoml", *arguments, str(image)]
    values = {
        e["name"]: e["value"].replace(IMAGE, str(image)) for e in found["env"] if "value" in e
    }
    state = {"EIDOLON_HOME": str(place / "state"), "TMPDIR": str(place)}
    (place / "state").mkdir(parents=True)
    passed = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")}
    url = f"http://127.0.0.1:{port}"
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=image,
            env=passed | values | state | more,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until(lambda: httpx.get(f"{url}/readyz", timeout=5).status_code == 200, place / "log")
        yield url, process.pid
    finally:
        end(family(process.pid), 20)
        process.wait()


def until(holds: Any, log: Path, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if holds():
                return
        time.sleep(0.3)
    pytest.fail(f"it did not come to that: {log.read_text(errors='replace')[-3000:]}")


def search(url: str, query: str) -> dict[str, Any]:
    response = httpx.post(f"{url}/search", json={"query": query, "k": 3}, timeout=120)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_apis_and_imaginers_are_served_apart(image: Path, tmp_path: Path) -> None:
    with running("imaginer", image, tmp_path / "imaginer") as (imaginer, first):
        refused = httpx.post(f"{imaginer}/about", content=b"cos\nsystem\n.", headers=PICKLE)
        assert refused.status_code == 415
        others = {"orders": [], "models": "clip other@1"}
        assert httpx.post(f"{imaginer}/draw", json=others).status_code == 409
        with (
            running("api", image, tmp_path / "one", EIDOLON_IMAGINER=imaginer) as (one, _),
            running("api", image, tmp_path / "two", EIDOLON_IMAGINER=imaginer) as (two, _),
        ):
            for place, url in (("one", one), ("two", two)):
                health = f"{url}/health"
                until(
                    lambda health=health: httpx.get(health).json()["imaginer"] == "up",
                    tmp_path / place / "log",
                )
                answer = search(url, f"a purple zebra {place}")
                assert answer["degraded"] != "unavailable" and answer["imagined"]
                picture = httpx.get(f"{url}/{answer['imagined'][0]['picture']}")
                assert picture.headers["content-type"] == "image/png"
            assert "eidolon_waiting" in httpx.get(f"{one}/metrics").text
            drawn = httpx.get(f"{imaginer}/metrics").text
            assert "eidolon_batch_pictures_count 2.0" in drawn
            for process in family(first):
                process.kill()
            answer = search(one, "a green unicorn")
            assert answer["degraded"] == "unavailable" and answer["hits"]
            assert httpx.get(f"{one}/readyz").status_code == 200
