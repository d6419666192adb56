"""The reference at `/docs`, in a real browser, behind a proxy that takes a prefix away."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import uvicorn
from bentoml._internal import server
from playwright.sync_api import Browser
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from bento.web import Web
from components import config
from components.api.messages import BundleName
from tests.pages import opened

pytest_plugins = ["tests.pages"]
pytestmark = pytest.mark.slow


@pytest.fixture
def url() -> Iterator[str]:
    """Where the routes of the service are, below a path that they do not see."""
    name = BundleName(version=1, digest="d")
    web = Web(config.Serve())
    worker = SimpleNamespace(
        bundle=SimpleNamespace(pictures=pd.DataFrame({"path": ["a.png"]})),
        served=SimpleNamespace(bundle=name),
        imagination=SimpleNamespace(up=True),
    )
    web.show(worker)  # type: ignore[arg-type]
    files = StaticFiles(directory=Path(server.__file__).parent / "static_content")
    inside = [Mount("/static_content", files), Mount("/", web.app)]
    app = Starlette(routes=[Mount("/some/where", routes=inside)])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        running = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()
        while not running.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/some/where"
        running.should_exit = True
        thread.join()


def test_a_request_of_the_reference_stays_below_the_prefix(
    browser: Browser, url: str, complaints: list[str]
) -> None:
    with opened(browser, url, complaints, "docs") as page:
        operation = page.locator(".opblock", has_text="/health")
        operation.click()
        operation.get_by_role("button", name="Try it out").click()
        with page.expect_response("**/health") as answer:
            operation.get_by_role("button", name="Execute").click()
        assert answer.value.status == 200
        assert answer.value.url == f"{url}/health"
    assert complaints == []
