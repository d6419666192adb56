"""What only the server engine does: uploads by content, versions side by side, and a server that
does not answer. tests/test_index_engines.py holds its answers."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from components import config
from components.arrays import mapped
from components.errors import EidolonError
from components.index import engines, qdrant, server
from components.index.gallery import Gallery
from components.index.levels import LEVELS, Least, levels_of
from components.index.points import Points
from components.index.qdrant import NoIndexError
from components.index.server import Server
from tests.test_index_engines import check, gallery, hubness_of, queries, truth


@pytest.fixture(autouse=True)
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets the address of the server, which is one within this process at first."""

    def to(url: str) -> None:
        monkeypatch.setenv(qdrant.URL, url)
        qdrant.connect.cache_clear()

    to(":memory:")
    yield to
    qdrant.connect.cache_clear()


def of(rows: tuple[np.ndarray, np.ndarray], collection: str, seed: int = 0) -> Server:
    return Server.of(*rows, collection, hubness_of(len(rows[0]), seed), 0.3)


def answers_rightly(engine: Server, rows: tuple[np.ndarray, np.ndarray], seed: int = 0) -> None:
    asked, hubness = queries(3, 1), hubness_of(len(rows[0]), seed)
    true = truth(rows, asked, hubness)
    for query, found in enumerate(engine.search(asked, 10, None, hubness)):
        check(found, query, true, 10, np.arange(len(rows[0])))


def test_a_further_version_uploads_what_is_new_and_both_are_searched() -> None:
    clip, vision = gallery(60, 0)
    old, new = (clip[:50], vision[:50]), (clip[5:], vision[5:])
    collection = f"test-{uuid4()}"
    first, second = of(old, collection), of(new, collection)
    assert first.publish() == 50 and second.publish() == 10
    assert first.publish() == 0 and second.publish() == 0
    assert qdrant.connect().count(collection).count == 60
    for engine, rows in ((first, old), (second, new), (first, old)):
        answers_rightly(engine, rows)


def test_a_version_that_is_withdrawn_takes_only_its_own_points() -> None:
    clip, vision = gallery(60, 0)
    old, new = (clip[:50], vision[:50]), (clip[5:], vision[5:])
    collection = f"test-{uuid4()}"
    first, second = of(old, collection), of(new, collection)
    first.publish()
    second.publish()
    for _ in range(2):  # once more does no harm
        first.version.withdraw()
        assert qdrant.connect().count(collection).count == 55
    assert not first.version.is_whole()
    answers_rightly(second, new)
    assert first.publish() == 5
    answers_rightly(first, old)
    answers_rightly(second, new)


def test_a_new_correction_for_hubness_uploads_no_picture() -> None:
    rows, collection = gallery(50, 0), f"test-{uuid4()}"
    assert of(rows, collection).publish() == 50
    later = of(rows, collection, seed=1)
    assert later.publish() == 0
    answers_rightly(later, rows, seed=1)
    answers_rightly(of(rows, collection), rows)


def test_the_same_pictures_in_another_order_are_the_same_points() -> None:
    clip, vision = gallery(40, 0, copies=0.3)
    order = np.random.default_rng(0).permutation(40)
    one, other = Points.of(clip, vision), Points.of(clip[order], vision[order])
    marks = np.zeros(40, dtype=np.uint8)
    assert one.version(marks) == other.version(marks)
    assert len(set(one.uuids(np.arange(40)))) == 40
    np.testing.assert_array_equal(one.rows(one.uuids(order)), order)


def test_an_upload_that_was_killed_is_completed_and_not_searched_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, collection = gallery(50, 0), f"test-{uuid4()}"
    engine = of(rows, collection)
    monkeypatch.setattr(qdrant, "_POINTS", 20)
    upload, calls = qdrant.Version._upload, []

    def dies(version: qdrant.Version, *given: np.ndarray) -> None:
        if calls:
            raise KeyboardInterrupt
        calls.append(1)
        upload(version, *given)

    monkeypatch.setattr(qdrant.Version, "_upload", dies)
    with pytest.raises(KeyboardInterrupt):
        engine.publish()
    assert not engine.version.is_whole()
    monkeypatch.setattr(server, "is_embedded", lambda: False)
    with pytest.raises(NoIndexError, match="deploy the version again"):
        engine.search(queries(1, 0), 5)
    monkeypatch.setattr(qdrant.Version, "_upload", upload)
    assert engine.publish() == 30
    answers_rightly(engine, rows)


def test_a_filter_of_many_pictures_is_right_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than the server is told by name: other pictures are returned as well."""
    rows = gallery(120, 3, copies=0.3)
    engine, asked, hubness = of(rows, f"test-{uuid4()}"), queries(4, 3), hubness_of(120, 3)
    monkeypatch.setattr(server, "_NAMED", 10)
    true = truth(rows, asked, hubness)
    for among in (np.arange(0, 120, 3), np.arange(7), np.arange(60, 120)):
        for query, found in enumerate(engine.search(asked, 30, among, hubness)):
            check(found, query, true, 30, among)


def test_levels_keep_what_is_asked_for_small(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, asked = gallery(2000, 5), queries(2, 5)
    hubness, returned = hubness_of(2000, 5), []
    ask = qdrant.Version.ask

    def counted(version: qdrant.Version, questions: list[qdrant.Question]) -> list[qdrant.Answer]:
        answers = ask(version, questions)
        returned.extend(len(one.names) for one in answers)
        return answers

    monkeypatch.setattr(qdrant.Version, "ask", counted)
    for engine in (of(rows, f"test-{uuid4()}", 5), Server.of(*rows, f"test-{uuid4()}")):
        engine.search(asked, 10, None, hubness)
    with_levels, without = sum(returned[: 2 * LEVELS]), sum(returned[2 * LEVELS :])
    assert with_levels < without


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.52, 1.0])
def test_no_picture_has_less_hubness_than_its_level(weight: float) -> None:
    hubness = hubness_of(500, 0)
    levels = levels_of(hubness, 0.3)
    least = Least(hubness, levels).at(weight)
    each = (1 - weight) * hubness.clip + weight * hubness.vision
    assert (each >= [least[level] - 1e-6 for level in levels.tolist()]).all()


def test_a_bundle_names_its_place_and_is_published_from_its_folder(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    rows = gallery(30, 0)
    found = Gallery(*rows, *hubness_of(30, 0))
    params = config.Index(hubness_temperature=0.25, engine="server")
    engine = engines.build(found, params, queries(3, 0), "toy")
    engine.save(tmp_path / engines.FILE)
    save_file(vars(found), tmp_path / "gallery.safetensors")
    assert engines.publish(tmp_path) == 30
    assert engines.publish(tmp_path) == 0
    described = engines.load(tmp_path, *rows).described()
    assert described == engine.described()
    assert described["engine"] == "server"
    others = [
        engines.build(found, params, queries(3, 0), name) for name in ("toy", "hub/a", "hub/b")
    ]
    collections = [other.described()["collection"] for other in others]
    assert described["collection"] == collections[0] and len(set(collections)) == 3
    assert all(re.fullmatch("eidolon-[0-9a-f]{16}", name) for name in collections)
    engines.withdraw([tmp_path], [tmp_path])  # another bundle of the same version is kept
    assert engine.version.is_whole()
    engines.withdraw([tmp_path], [])
    assert not engine.version.is_whole()
    assert mapped(tmp_path / engines.FILE)["points"].shape == (30, 16)


def test_no_server_is_one_sentence_and_soon(
    address: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qdrant, "_SECONDS", 1)
    engine = of(gallery(5, 0), f"test-{uuid4()}")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address(f"http://127.0.0.1:{silent.getsockname()[1]}")  # nobody listens
        with pytest.raises(NoIndexError, match="does not answer: try again"):
            engine.search(queries(1, 0), 5)
        silent.listen()  # it accepts, and says nothing
        began = time.monotonic()
        with pytest.raises(NoIndexError, match="does not answer: try again"):
            engine.search(queries(1, 0), 5)
        assert time.monotonic() - began < 5
    for url in ("", "127.0.0.1:6333"):
        address(url)
        with pytest.raises(EidolonError, match="set EIDOLON_INDEX_URL"):
            engine.search(queries(1, 0), 5)
