"""Where a service listens, and how its processes talk: in pickles, from their own user only."""

from __future__ import annotations

import inspect
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from bento import release

if TYPE_CHECKING:
    from tests.serving import Served

pytest_plugins = ["tests.serving"]


def test_the_service_listens_on_the_loopback_address_unless_told_otherwise() -> None:
    assert inspect.signature(release.serve).parameters["host"].default == "127.0.0.1"


@pytest.mark.slow
def test_services_talk_in_a_folder_that_nobody_else_may_enter(served: Served) -> None:
    port = int(served.url.rpartition(":")[2])
    listening = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    pids = {c.pid for c in listening if c.laddr.port == port and c.pid}
    assert pids
    sockets = {
        Path(c.laddr)
        for pid in pids
        for c in psutil.Process(pid).net_connections("unix")
        if c.laddr.endswith(".sock")
    }
    assert len({path.parent for path in sockets}) == 1
    for path in sockets:
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
