"""The endpoint of `make up` alone, proxy and places, in a clone with Bentos of the toy project."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.standing import UP, logs_in, pointer_in
from tests.clones import Clone, free_ports
from tests.serving import Built


class Endpoint(Clone):
    """A clone whose endpoint runs, with the Bentos of ``built`` by version in ``tags``."""

    def __init__(self, root: Path, built: Built, tags: dict[str, str]) -> None:
        super().__init__(root)
        self.env |= {"EIDOLON_PORT": str(free_ports(1)[0]), "OMP_NUM_THREADS": "1"}
        self.url = f"http://127.0.0.1:{self.env['EIDOLON_PORT']}"
        self.home, self.tags = root / ".eidolon", tags
        self.home.mkdir(exist_ok=True)
        (self.home / "bentoml").symlink_to(built.home / "bentoml")

    def python(self, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run code here."""
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=self.root,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )

    def up(self) -> None:
        """Start the endpoint."""
        done = self.python(UP)
        assert done.returncode == 0, done.stderr

    def call(self, code: str) -> Any:
        """The value of an expression over `swap`, as JSON."""
        program = f"import json\nfrom ops import swap\nprint(json.dumps({code}))"
        done = self.python(program)
        assert done.returncode == 0, done.stdout + done.stderr + self.logs()
        return json.loads(done.stdout.splitlines()[-1])

    def deploy(self, version: str) -> dict[str, Any]:
        """Deploy a version, which must succeed."""
        pointer: dict[str, Any] = self.call(deploying(self.tags[version], version))
        return pointer

    def start_deploying(self, version: str) -> subprocess.Popen[str]:
        """Begin to deploy a version, in a process of its own."""
        code = f"from ops import swap\n{deploying(self.tags[version], version)}"
        return subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=self.root,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def pointer(self) -> dict[str, Any]:
        """The pointer now."""
        return pointer_in(self.home)

    def version(self) -> int | None:
        """The version that the endpoint serves now."""
        with suppress(httpx.TransportError):
            reply = httpx.get(f"{self.url}/health", timeout=30, trust_env=False)
            if reply.status_code == 200:
                return int(reply.json()["bundle"]["version"])
        return None

    def wait_for(self, version: str, seconds: float = 60) -> None:
        """Wait until the endpoint serves ``version``."""
        deadline = time.monotonic() + seconds
        while self.version() != int(version):
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.1)

    def logs(self) -> str:
        """The ends of all logs."""
        return logs_in(self.home)


def deploying(tag: str, version: str) -> str:
    """The call that deploys ``tag``."""
    return f"swap.deploy({tag!r}, {version!r}, print)"


@pytest.fixture(scope="session")
def tags(built: Built) -> dict[str, str]:
    """Bentos of the same bundle, by version."""
    more = {
        version: built.answer("build", "--bundle", "artifacts/bundle", "--version", version)["tag"]
        for version in ("4", "5")
    }
    return {"3": built.tag} | more


@pytest.fixture
def endpoint(built: Built, tags: dict[str, str], tmp_path: Path) -> Iterator[Endpoint]:
    """An endpoint that serves version 3."""
    endpoint = Endpoint(tmp_path, built, tags)
    done = endpoint.shell(
        sys.executable, "-m", "bento.release", "deploy", "--tag", tags["3"], "--version", "3"
    )
    assert done.returncode == 0, done.stderr
    try:
        endpoint.up()
        endpoint.wait_for("3")
        yield endpoint
    finally:
        endpoint.ops("down")
