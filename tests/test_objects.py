"""Objects in a folder and in a bucket of a real S3-compatible server: one behaviour."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import EidolonError, TransientError
from components.objects import Objects, opened, shared
from tests.buckets import BUCKET, Server, server
from tests.toy import ROOT

Place = Callable[[], Objects]


@pytest.fixture(scope="module", params=["folder", "s3"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """Makes empty places."""
    if request.param == "folder":
        folder = tmp_path_factory.mktemp("objects")
        yield lambda: opened((folder / uuid.uuid4().hex).as_uri())
        return
    one: Server = request.getfixturevalue("s3_server")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in one.variables.items():
            patch.setenv(name, value)
        yield lambda: opened(f"s3://{BUCKET}/{uuid.uuid4().hex}")


_PARTS = st.text("abAB01-_ é+%", min_size=1, max_size=3).filter(lambda part: part.strip() == part)
_FILES = st.builds("/".join, st.lists(_PARTS, min_size=1, max_size=2)).map("{}.x".format)
_CALLS = st.lists(
    st.tuples(
        st.sampled_from(["write", "write_once", "read", "exists", "delete", "keys"]),
        _FILES,
        st.binary(max_size=4),
    ),
    max_size=8,
)


@settings(max_examples=15)
@given(calls=_CALLS)
def test_a_place_behaves_like_a_dictionary(
    place: Place, calls: list[tuple[str, str, bytes]]
) -> None:
    objects, expected = place(), dict[str, bytes]()
    for name, key, data in calls:
        if name == "write":
            objects.write(key, data)
            expected[key] = data
        elif name == "write_once":
            assert objects.write_once(key, data) == (expected.setdefault(key, data) == data)
        elif name == "read":
            assert objects.read(key) == expected.get(key)
        elif name == "exists":
            assert objects.exists(key) == (key in expected)
        elif name == "delete":
            objects.delete(key)
            expected.pop(key, None)
        elif name == "keys":
            prefix = key[: len(key) // 2]
            alike = sorted(k for k in expected if k.startswith(prefix))
            assert objects.keys(prefix) == alike
            assert objects.keys(prefix, after=key) == [k for k in alike if k > key]
    assert objects.keys() == sorted(expected)
    assert {key: objects.read(key) for key in expected} == expected


def test_one_of_many_writers_wins(place: Place) -> None:
    objects = place()
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda i: objects.write_once("claim", b"%d" % i), range(24)))
    assert won.count(True) == 1
    assert objects.read("claim") == b"%d" % won.index(True)


def test_more_keys_than_a_page_of_s3(place: Place) -> None:
    objects = place()
    wanted = [f"many/{i:04d}" for i in range(1002)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: objects.write(key, b""), wanted))
    assert objects.keys("many/") == wanted
    assert objects.keys("many/", after=wanted[999]) == wanted[1000:]


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", ".", "a/../b", ".hidden", "a/.b"])
def test_what_is_no_key(place: Place, key: str) -> None:
    with pytest.raises(ValueError, match="no key"):
        place().write(key, b"")


@pytest.mark.parametrize("url", ["http://host/a", "s3://", "s3://A b/c", "file://host/a", ""])
def test_what_is_no_place(url: str) -> None:
    with pytest.raises(EidolonError, match="EIDOLON_OBJECTS"):
        opened(url)


def test_a_killed_server_has_lost_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server(tmp_path / "s3") as one:
        for name, value in one.variables.items():
            monkeypatch.setenv(name, value)
        objects = opened(f"s3://{BUCKET}")
        for i in range(20):
            objects.write(f"a/{i}", b"%d" % i)
        one.kill()
        for ask in (
            lambda: objects.read("a/1"),
            lambda: objects.write("a/1", b""),
            lambda: objects.write_once("a/1", b""),
            lambda: objects.exists("a/1"),
            objects.keys,
            lambda: objects.delete("a/1"),
        ):
            with pytest.raises(TransientError, match=r"cannot be reached .* AWS_ENDPOINT_URL_S3"):
                ask()
        one.start()
        assert [asked(objects, f"a/{i}") for i in range(20)] == [b"%d" % i for i in range(20)]


def asked(objects: Objects, key: str) -> bytes | None:
    """Read ``key``, again while a server that has just started says to try again."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return objects.read(key)
        except TransientError:
            assert time.monotonic() < deadline
            time.sleep(0.5)


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_keys(s3_server: Server, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for variable, value in (s3_server.variables | {name: "wrong"}).items():
        monkeypatch.setenv(variable, value)
    objects = opened(f"s3://{BUCKET}")
    for ask in (
        lambda: objects.read("a"),
        lambda: objects.write("a", b""),
        lambda: objects.write_once("a", b""),
        lambda: objects.exists("a"),
        objects.keys,
        lambda: objects.delete("a"),
    ):
        with pytest.raises(EidolonError, match="AWS_ACCESS_KEY_ID and AWS_SECRET") as error:
            ask()
        assert s3_server.secret not in str(error.value)


def test_no_keys_and_no_bucket(s3_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in s3_server.variables.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(EidolonError, match="create the bucket absent"):
        opened("s3://absent/a").read("a")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/absent")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(EidolonError, match="set AWS_ACCESS_KEY_ID"):
        opened(f"s3://{BUCKET}").read("a")


def test_where_nothing_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EIDOLON_OBJECTS", raising=False)
    assert shared() is None
    asked = "import sys; from components import objects; objects.opened('/a'); print('boto3' in {})"
    done = subprocess.run(
        [sys.executable, "-c", asked.format("sys.modules")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert done.stdout == "False\n"
