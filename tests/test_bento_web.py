"""The routes beside the searches, in this process: the kinds of pictures, and feedback."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from bento.journal import Journal
from bento.media import KINDS, kind_of
from bento.web import Web
from components import config
from components.images.decoding import FORMATS
from components.paths import BUNDLE
from components.serving import loading
from components.serving.thumbnails import VARIABLE


def saved(form: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), 90).save(file, form)
    return file.getvalue()


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"  # its start: no package here writes one
PICTURES = {form: HEIC if form == "HEIF" else saved(form) for form in FORMATS}
TYPES = {form: "image/heic" if form == "HEIF" else Image.MIME[form] for form in FORMATS}


async def beside(work: Callable[..., Any], *arguments: Any) -> Any:
    return work(*arguments)


@pytest.fixture(scope="module")
def bundle(built_toy: Path, tmp_path_factory: pytest.TempPathFactory) -> loading.Bundle:
    """The toy's bundle, with originals of each format under the names of its thumbnails."""
    packed = loading.load(built_toy / BUNDLE)
    folder = tmp_path_factory.mktemp("bundle")
    with zipfile.ZipFile(folder / "originals.zip", "w") as originals:
        for path, data in zip(packed.pictures["path"], PICTURES.values(), strict=False):
            originals.writestr(path, data)
    files = packed.info["files"] | {"originals.zip": ""}
    return replace(packed, folder=folder, info=packed.info | {"files": files})


def client(bundle: loading.Bundle, journal: Journal) -> TestClient:
    web = Web(config.Serve())
    served = SimpleNamespace(bundle=SimpleNamespace(digest="d", version=1))
    worker = SimpleNamespace(bundle=bundle, served=served, reading=beside, journal=journal)
    web.show(worker)  # type: ignore[arg-type]
    return TestClient(web.app)


def test_an_original_has_the_media_type_of_its_content(
    bundle: loading.Bundle, tmp_path: Path
) -> None:
    web = client(bundle, Journal(tmp_path, 0))
    for path, form in zip(bundle.pictures["path"], FORMATS, strict=False):
        answer = web.get(f"/images/{path}?original=1&v=d")
        assert answer.content == PICTURES[form]
        assert answer.headers["content-type"] == TYPES[form], form
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "immutable" in answer.headers["cache-control"]
    assert web.get("/images/nothing?original=1").status_code == 404
    without = replace(bundle, info=bundle.info | {"files": {}})
    path = bundle.pictures["path"].iloc[0]
    refused = client(without, Journal(tmp_path, 0)).get(f"/images/{path}?original=1")
    assert refused.status_code == 404


def test_a_store_of_pictures_that_is_away_is_told_without_its_address(
    bundle: loading.Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pictures.csv").write_text("path,key\na.png,ab-256-1\n")
    light = replace(bundle, folder=tmp_path, info={"files": {"pictures.csv": ""}})
    given = {"EIDOLON_HOME": str(tmp_path), VARIABLE: "s3://bucket/thumbnails"}
    given |= {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}  # where nobody answers
    given |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    web = client(light, Journal(tmp_path, 0))
    refused = web.get("/images/a.png")
    assert refused.status_code == 503
    assert refused.json()["error"] == "the store of pictures cannot be read now: try again"
    assert web.get("/images/b.png").status_code == 404


def test_each_format_has_its_media_type() -> None:
    assert {form: kind_of(data) for form, data in PICTURES.items()} == TYPES
    assert set(TYPES.values()) == set(KINDS)
    assert kind_of(b"") == kind_of(b"<svg>") == "application/octet-stream"


def test_feedback_is_refused_where_there_is_no_log(bundle: loading.Bundle, tmp_path: Path) -> None:
    mark = {"request": "a", "id": bundle.pictures["path"].iloc[0], "right": True}
    refused = client(bundle, Journal(tmp_path, 0)).post("/feedback", json=mark)
    assert refused.status_code == 404
    assert refused.json()["error"].startswith("feedback is off")
    assert not list(tmp_path.iterdir())
