"""Exchanging the Bento behind the endpoint: nothing is lost, and whatever is killed is repaired."""

from __future__ import annotations

import asyncio
import json
import math
import os
import shutil
import signal
import time
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from benchmarks.callers import Callers, until_all
from tests.swapping import deploying
from tests.toy import NAMES

if TYPE_CHECKING:
    from tests.serving import Built
    from tests.swapping import Endpoint

pytest_plugins = ["tests.serving", "tests.swapping"]
pytestmark = pytest.mark.slow


def pid_of(endpoint: Endpoint, program: str) -> int:
    return int(
        endpoint.call(
            f"next(p['pid'] for p in swap.Supervisor()._calls().getAllProcessInfo()"
            f" if p['name'] == {program!r})"
        )
    )


def state_of(endpoint: Endpoint, place: str) -> Any:
    return endpoint.call(f"swap.Supervisor().states()['bento-{place}']")


def test_a_deployment_exchanges_the_bento_and_going_back_takes_a_second(
    endpoint: Endpoint,
) -> None:
    first = endpoint.pointer
    assert (first["place"], endpoint.call("swap.live()")["version"]) == ("a", 3)
    second = endpoint.deploy("4")
    assert second["place"] == "b" and second["previous"] == endpoint.tags["3"]
    assert endpoint.version() == 4
    assert state_of(endpoint, "a") == "RUNNING"  # still loaded
    assert endpoint.call(f"swap.is_live({endpoint.tags['4']!r}, '4')") is True
    assert endpoint.call(f"swap.is_live({endpoint.tags['3']!r}, '3')") is False

    loading = "import sys; from ops import swap; assert swap.go_back('3'); print('mlflow' in "
    began = time.monotonic()
    back = endpoint.python(f"{loading}sys.modules)")
    assert time.monotonic() - began < 10
    assert (back.returncode, back.stdout.splitlines()[-1]) == (0, "False"), back.stderr
    assert endpoint.version() == 3
    assert endpoint.call("swap.go_back('5')") is False
    assert endpoint.version() == 3

    third = endpoint.deploy("5")
    assert (third["place"], third["previous"]) == ("b", endpoint.tags["3"])
    assert endpoint.version() == 5
    lines = endpoint.call("swap.describe()")
    assert [line.split()[0] for line in lines] == ["warm", "live"]


def test_exchanges_under_load_lose_and_mix_nothing(endpoint: Endpoint) -> None:
    """The small form of `python -m benchmarks.swaps`: four exchanges, streams among the calls."""
    callers = Callers(endpoint.url, NAMES, 4)
    moves = []

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        async with callers.asking():
            for version in ("4", "3", "4", "5"):
                back = f"swap.go_back({version!r})"
                deploy = deploying(endpoint.tags[version], version)
                code = f"{back} or {deploy}"
                await loop.run_in_executor(None, endpoint.call, code)
                moves.append((int(version), (endpoint.home / "deployed.json").stat().st_mtime))
                await asyncio.sleep(2)

    asyncio.run(scene())
    assert [one for one in callers.answers if one.wrong] == []
    assert {one.version for one in callers.answers} == {3, 4, 5}
    ends = [moved for _, moved in moves[1:]] + [math.inf]
    for (version, moved), end in zip(moves, ends, strict=True):
        assert until_all(callers.answers, moved, version, end) < 5


def test_a_stream_outlives_the_exchange(endpoint: Endpoint) -> None:
    with httpx.stream(
        "POST",
        f"{endpoint.url}/search/stream",
        json={"query": "nobody asked for this yet"},
        timeout=120,
        trust_env=False,
    ) as stream:
        lines = stream.iter_lines()
        first = next(lines)
        endpoint.deploy("4")
        rest = list(lines)
    assert first == "event: text" and rest[-3] == "event: done"
    assert all('"version":3' in line for line in rest if line.startswith('data: {"request"'))
    assert endpoint.version() == 4


def test_the_metrics_of_the_live_one_outlive_a_start_beside_it(endpoint: Endpoint) -> None:
    for _ in range(3):
        httpx.post(f"{endpoint.url}/search", json={"query": NAMES[0]}, trust_env=False)
    endpoint.deploy("4")
    assert endpoint.call("swap.go_back('3')")
    told = httpx.get(f"{endpoint.url}/metrics", trust_env=False).text
    assert 'route="/search"' in told


def test_without_keep_warm_the_old_one_is_stopped_and_leaves_nothing(endpoint: Endpoint) -> None:
    params = endpoint.root / "params.yaml"
    params.write_text(params.read_text().replace("keep_warm: true", "keep_warm: false"))
    endpoint.deploy("4")
    assert state_of(endpoint, "a") == "STOPPED"
    assert not (endpoint.home / "places" / "a.json").exists()
    mark = f"EIDOLON_PLACE={endpoint.home / 'places' / 'a'}"
    for process in psutil.process_iter():
        try:
            assert mark not in [f"{k}={v}" for k, v in process.environ().items()]
        except psutil.Error:
            continue


def test_a_bento_that_fails_leaves_what_was_live(endpoint: Endpoint, built: Built) -> None:
    tag = "eidolon:broken"
    folder = built.home / "bentoml" / "bentos" / "eidolon"
    version = endpoint.tags["4"].partition(":")[2]
    shutil.copytree(folder / version, folder / "broken")
    try:
        about = folder / "broken" / "bento.yaml"
        about.write_text(about.read_text().replace(version, "broken"))
        (folder / "broken" / "src" / "bento" / "worker.py").write_text("raise SystemExit(1)")
        before = endpoint.pointer
        failed = endpoint.python(f"from ops import swap; swap.deploy({tag!r}, '4', print)")
    finally:
        shutil.rmtree(folder / "broken")
    assert failed.returncode != 0
    assert "what was live stays" in failed.stderr and "bento-b.log" in failed.stderr
    assert endpoint.pointer == before
    assert "gives up while it starts" in failed.stderr
    assert (endpoint.version(), state_of(endpoint, "b")) == (3, "STOPPED")


def test_another_version_than_the_bento_s_is_not_deployed(endpoint: Endpoint) -> None:
    before = endpoint.pointer
    failed = endpoint.python(
        f"from ops import swap; swap.deploy({endpoint.tags['4']!r}, '9', print)"
    )
    assert failed.returncode != 0 and "it serves the bundle" in failed.stderr
    assert (endpoint.pointer, endpoint.version()) == (before, 3)


def test_a_stopped_endpoint_does_not_count_as_deployed(endpoint: Endpoint) -> None:
    tag = endpoint.tags["3"]
    assert endpoint.call(f"swap.is_live({tag!r}, '3')") is True
    for program in ("'endpoint'", "swap.live_program()"):
        endpoint.call(f"swap.Supervisor().stop({program})")
        assert endpoint.call(f"swap.is_live({tag!r}, '3')") is False
        endpoint.deploy("3")
        assert endpoint.call(f"swap.is_live({tag!r}, '3')") is True


@pytest.mark.parametrize("moment", ["places/b.json", "digest", "moved"])
def test_a_deployment_that_is_killed_is_completed_by_the_next(
    endpoint: Endpoint, moment: str
) -> None:
    began = endpoint.start_deploying("4")
    file = endpoint.home / "places" / "b.json"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        held = json.loads(file.read_text()) if file.exists() else {}
        if moment == "moved" and endpoint.pointer["version"] == 4:
            break
        if moment != "moved" and held and (moment != "digest" or held["digest"]):
            break
        time.sleep(0.002)
    began.send_signal(signal.SIGKILL)
    began.wait()
    assert endpoint.version() in (3, 4)
    pointer = endpoint.deploy("4")
    assert (pointer["place"], pointer["previous"]) == ("b", endpoint.tags["3"])
    assert endpoint.version() == 4
    assert endpoint.call("swap.go_back('3')") and endpoint.version() == 3


def test_killed_processes_come_back_by_themselves(endpoint: Endpoint) -> None:
    os.kill(pid_of(endpoint, "bento-a"), signal.SIGKILL)
    time.sleep(0.5)
    answer = httpx.post(
        f"{endpoint.url}/search", json={"query": NAMES[0]}, timeout=60, trust_env=False
    )
    assert answer.status_code in (200, 502, 503)
    endpoint.wait_for("3")
    os.kill(pid_of(endpoint, "endpoint"), signal.SIGKILL)
    endpoint.wait_for("3", 20)
    endpoint.deploy("4")
    assert endpoint.version() == 4


def test_with_keys_a_deployment_asks_with_the_first(endpoint: Endpoint) -> None:
    endpoint.ops("down")
    endpoint.env["EIDOLON_API_KEYS"] = "one:0123456789abcdef,two:fedcba9876543210"
    endpoint.up()
    endpoint.wait_for("3")
    body = {"query": NAMES[0]}
    assert httpx.post(f"{endpoint.url}/search", json=body, trust_env=False).status_code == 401
    endpoint.deploy("4")
    del endpoint.env["EIDOLON_API_KEYS"]  # a shell that does not have them
    endpoint.deploy("5")
    key = {"X-API-Key": "fedcba9876543210"}
    answer = httpx.post(f"{endpoint.url}/search", json=body, headers=key, trust_env=False)
    assert answer.json()["bundle"]["version"] == 5
    assert "EIDOLON_API_KEYS" not in psutil.Process(pid_of(endpoint, "endpoint")).environ()
