"""Where machines share a place for objects: records of runs, their snapshots, and the pointer."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bento import pointer
from components.errors import EidolonError, TransientError
from components.lifecycle import snapshot
from components.objects import Objects
from components.paths import SOURCE
from components.variables import of_endpoint
from ops import record, release
from ops.record import Event
from tests.buckets import BUCKET, Server

RUN = "manual__2026-11-27T10:00:00+00:00"


def test_events_of_all_machines_are_followed_and_none_is_lost(
    objects: Objects, tmp_path: Path
) -> None:
    head = record.path(tmp_path / "head", RUN)
    assert list(record.follow(head)) == []
    record.append(head, Event("dataset", "started"))
    ((first, offset),) = record.follow(head)
    assert first == Event("dataset", "started")

    def work(number: int) -> None:
        file = record.path(tmp_path / f"worker {number}", RUN)
        for _ in range(5):  # the same event counts each time
            record.append(file, Event(f"imagine@{number}", "line", "λ = 0.5", {"seconds": 1.5}))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    seen, behind = zip(*record.follow(head, offset), strict=True)
    assert sorted(event.task for event in seen) == sorted(f"imagine@{i % 4}" for i in range(20))
    assert {(event.text, event.result["seconds"]) for event in seen} == {("λ = 0.5", 1.5)}
    assert list(record.follow(head, behind[-1])) == []
    assert list(record.follow(record.path(tmp_path, "another run"))) == []
    assert not head.exists()


def test_every_machine_knows_what_is_deployed(objects: Objects, tmp_path: Path) -> None:
    head, worker = tmp_path / "head", tmp_path / "worker"
    for home in (head, worker):
        home.mkdir()
        assert pointer.deployed(home) is None
    with pytest.raises(EidolonError, match="nothing is deployed yet"):
        pointer.current(worker)
    pointer.deploy("eidolon:v1", 1, "a", 20_000, head)
    pointer.deploy("eidolon:v2", 2, "b", 20_001, head)
    found = pointer.current(worker)
    assert (found["bento"], found["previous"], found["port"]) == (
        "eidolon:v2",
        "eidolon:v1",
        20_001,
    )
    assert release.deployed() == found
    assert json.loads(pointer.place(head).read_text()) == found  # the proxy reads it
    pointer.put_back(found | {"bento": "eidolon:v1"}, head)
    assert pointer.current(worker)["bento"] == "eidolon:v1"
    objects.write("deployed.json", b"{")
    with pytest.raises(EidolonError, match="eidolon deploy"):
        pointer.current(worker)


def test_a_deployment_that_was_killed_before_the_proxy_s_file_is_repeated(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pointer.deploy("eidolon:v1", 1, "a", 20_000, tmp_path)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pointer, "write_json", _killed)
        pointer.deploy("eidolon:v2", 2, "b", 20_001, tmp_path)
    assert pointer.current(tmp_path)["bento"] == "eidolon:v2"
    assert json.loads(pointer.place(tmp_path).read_text())["bento"] == "eidolon:v1"
    pointer.deploy("eidolon:v2", 2, "b", 20_001, tmp_path)
    assert json.loads(pointer.place(tmp_path).read_text()) == pointer.current(tmp_path)
    assert pointer.current(tmp_path)["previous"] == "eidolon:v1"


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_worker_reads_what_a_run_is_of(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, worker = tmp_path / "head", tmp_path / "worker"
    for clone in (head, worker):
        (clone / "collection").mkdir(parents=True)
        (clone / "params.yaml").write_text("train: {seed: 1}\n")
        (clone / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(head)
    (head / "dvc.lock").write_text("stages: {dataset: {outs: [{md5: a.dir}]}}\n")
    text = json.dumps({"collection": {"pictures": 0, "sha256": ""}})
    SOURCE.write_text(text)
    monkeypatch.setattr(snapshot, "was_read", lambda *_: True)
    monkeypatch.setattr("components.collection.catalog.unannounced", list)
    taken = snapshot.take(RUN, snapshot.begin())
    assert taken is not None and taken == snapshot.of(RUN) and taken.here

    monkeypatch.chdir(worker)
    for _ in range(2):
        found = snapshot.of(RUN)
        assert found is not None and not found.here
        assert (found.code, found.dataset) == (taken.code, taken.dataset)
        assert found.files()["source.json"].read_text() == text
        assert not found.files()["feedback.csv"].exists()
        found.check()
    assert snapshot.of("another run") is None
    (worker / "params.yaml").write_text("train: {seed: 2}\n")
    with pytest.raises(EidolonError, match=r"params.yaml has changed .*train"):
        found.check()
    (worker / "params.yaml").write_text("train: {seed: 1}\n")
    (worker / "dvc.yaml").write_text("stages: {a: {}}\n")
    with pytest.raises(EidolonError, match="the code has changed"):
        found.check()
    objects.write(f"snapshots/{snapshot._place(RUN).name}.json", b"[")
    with pytest.raises(EidolonError, match="damaged"):
        snapshot.of(RUN)


def test_a_server_that_is_gone_and_one_that_refuses(
    tmp_path: Path, s3_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EIDOLON_OBJECTS", f"s3://{BUCKET}/a")
    asked = [
        lambda: record.append(record.path(tmp_path, RUN), Event("a", "started")),
        lambda: list(record.follow(record.path(tmp_path, RUN))),
        lambda: pointer.current(tmp_path),
        lambda: pointer.deploy("eidolon:v1", 1, home=tmp_path),
        lambda: snapshot.of(RUN),
    ]
    for wrong, kind in (
        ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}, TransientError),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, EidolonError),
    ):
        for name, value in (s3_server.variables | wrong).items():
            monkeypatch.setenv(name, value)
        for ask in asked:
            with pytest.raises(kind, match="AWS_"):
                ask()
    assert not pointer.place(tmp_path).exists()


def test_the_endpoint_gets_no_place_without_its_keys() -> None:
    given = {"EIDOLON_OBJECTS": "s3://a", "AWS_SECRET_ACCESS_KEY": "b", "EIDOLON_PORT": "1"}
    assert of_endpoint(given) == {"EIDOLON_PORT": "1"}


def test_the_endpoint_gets_only_the_keys_that_are_meant_for_it() -> None:
    given = {"EIDOLON_THUMBNAILS": "s3://a", "AWS_REGION": "b", "EIDOLON_THUMBNAILS_KEYS": "/c"}
    private = {"AWS_ACCESS_KEY_ID": "d", "AWS_SHARED_CREDENTIALS_FILE": "/e", "AWS_PROFILE": "f"}
    got = of_endpoint(given | private)
    assert got == given | {"AWS_SHARED_CREDENTIALS_FILE": "/c"}
    assert of_endpoint(got) == got
