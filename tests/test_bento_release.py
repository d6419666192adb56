"""Releases: a Bento is built, checked, deployed and served by `python -m bento.release`."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest
import yaml

from bento import server
from tests.toy import NAMES

if TYPE_CHECKING:
    from tests.serving import Built

pytest_plugins = ["tests.serving"]
pytestmark = pytest.mark.slow


def test_bento_records_its_models(built: Built) -> None:
    version = built.tag.partition(":")[2]
    folder = built.home / "bentoml" / "bentos" / "eidolon" / version
    recorded = {m["tag"] for m in yaml.safe_load((folder / "bento.yaml").read_text())["models"]}
    pins = json.loads((folder / "src" / "bento" / "release.json").read_text())
    assert recorded == {pins[part] for part in ("bundle", "generator", "clip", "vision")}
    assert not list(folder.rglob("__pycache__/*.pkl"))


def test_second_build_reuses_the_first(built: Built) -> None:
    again = built.answer("build", "--bundle", "artifacts/bundle", "--version", "3")
    assert (again["built"], again["tag"]) == (False, built.tag)


def test_check_passes_and_leaves_no_process(built: Built) -> None:
    before = serving(built.tag)
    report = built.answer("check", "--tag", built.tag, "--queries", "2")
    assert report["queries"] == 2
    assert min(report["agreement"][part] for part in ("text", "phrase")) > 0.8
    assert report["agreement"]["image"] > 0.999
    assert report["agreement"]["picture"] > 0.999
    assert report["agreement"]["clip"] < 0.01
    record = built.home / "checked" / f"{built.tag.replace(':', '-')}.json"
    assert json.loads(record.read_text()) == report
    assert report["p50_ms"] > 0
    assert report["seconds_to_ready"] > 0
    assert serving(built.tag) == before


def serving(tag: str) -> set[int]:
    processes = psutil.process_iter(["cmdline"])
    return {p.pid for p in processes if tag in (p.info["cmdline"] or [])}


def test_deploy_moves_the_pointer(built: Built) -> None:
    nothing = built.release("current")
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert "make run" in nothing.stderr
    first = built.answer("deploy", "--tag", built.tag, "--version", "3")
    assert (first["bento"], first["version"], first["previous"]) == (built.tag, 3, None)
    assert built.answer("current") == first
    other = built.answer("build", "--bundle", "artifacts/bundle", "--version", "4")["tag"]
    second = built.answer("deploy", "--tag", other, "--version", "4")
    again = built.answer("deploy", "--tag", other, "--version", "4")
    assert second["previous"] == again["previous"] == built.tag


def test_unknown_tags_are_one_error(built: Built) -> None:
    for verb, tag in (
        (["check", "--queries", "1"], "eidolon:nothing"),
        (["deploy", "--version", "1"], "eidolon:latest"),
        (["deploy", "--version", "1"], "no tag at all"),
    ):
        done = built.release(*verb, "--tag", tag)
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("error: ")
        assert "Traceback" not in done.stderr


def test_damaged_bundle_is_not_built(built: Built, tmp_path: Path) -> None:
    shutil.copytree(built.project / "artifacts" / "bundle", tmp_path / "bundle")
    with (tmp_path / "bundle" / "gallery.safetensors").open("ab") as file:
        file.write(b"x")
    for folder in (tmp_path / "bundle", tmp_path / "nothing"):
        done = built.release("build", "--bundle", str(folder), "--version", "5")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: ")


def test_a_model_that_was_replaced_is_taken_from_the_store(built: Built, tmp_path: Path) -> None:
    """So a version of before can be gone back to, and compared with."""
    model = built.project / "models" / "dino"
    model.rename(tmp_path / "dino")
    try:
        again = built.answer("build", "--bundle", "artifacts/bundle", "--version", "3")
        assert (again["built"], again["tag"]) == (False, built.tag)
        found = built.answer("models", "--bundle", "artifacts/bundle")
        assert set(found) == {"generator", "clip", "vision"}
        assert all(Path(folder).is_dir() for folder in found.values())
        empty = replace(built, home=tmp_path / "empty")
        assert empty.answer("models", "--bundle", "artifacts/bundle") == {}
        done = empty.release("build", "--bundle", "artifacts/bundle", "--version", "3")
        assert done.returncode == 2 and "is neither a folder here" in done.stderr
    finally:
        (tmp_path / "dino").rename(model)


def test_check_fails_a_bento_that_cannot_start(built: Built, tmp_path: Path) -> None:
    other = replace(built, home=tmp_path)
    broken = other.answer("build", "--bundle", "artifacts/bundle", "--version", "6")
    (weights,) = (tmp_path / "bentoml" / "models" / "eidolon-clip").rglob("model.safetensors")
    weights.write_bytes(weights.read_bytes()[:1000])
    done = other.release("check", "--tag", broken["tag"], "--queries", "1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot load" in done.stderr
    assert serving(broken["tag"]) == set()


def test_serve_needs_something_deployed_and_a_free_port(built: Built, tmp_path: Path) -> None:
    built.answer("deploy", "--tag", built.tag, "--version", "3")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = built.release("serve", "--port", str(port))
    assert taken.returncode == 2
    assert f"127.0.0.1:{port}" in taken.stderr
    assert "--port" in taken.stderr
    nowhere = replace(built, home=tmp_path)
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


def test_serve_serves_what_is_deployed_and_has_no_keys(built: Built) -> None:
    built.answer("deploy", "--tag", built.tag, "--version", "3")
    port = server.free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "bento.release", "serve", "--port", str(port)],
        cwd=built.project,
        env=built.environment | dict.fromkeys(PRIVATE, "s3cr3t"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        transport = httpx.HTTPTransport(retries=8)  # waits twice as long after each refusal
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", transport=transport) as client:
            answer = client.post("/search", json={"query": NAMES[0], "k": 1}, timeout=120)
        assert answer.status_code == 200
        assert answer.json()["bundle"]["version"] == 3
        started = psutil.Process(process.pid)
        for one in (started, *started.children(recursive=True)):
            env = Path(f"/proc/{one.pid}/environ").read_bytes()
            assert b"BENTOML_HOME=" in env and b"s3cr3t" not in env, one.cmdline()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
