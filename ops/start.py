"""`python -m ops.start NAME`: become a service of `make up`, with only the variables it needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress

import psutil

from components.errors import one_sentence
from components.processes import end
from ops.places import places, program
from ops.services import current


def main() -> None:
    """Replace this process by the service that the command line names."""
    with one_sentence():
        service = current()[sys.argv[1]]
        end(list(leftovers()))
        for place in places():
            if program(place.name) == service.name:
                place.end_leftovers()  # of a server that was killed
    os.chdir(service.folder)
    os.execve(service.command[0], service.command, dict(service.env))


def leftovers() -> Iterator[psutil.Process]:
    """What services left that were killed: a child of MLflow would keep the port, and Airflow's
    workers would wait for ever for a scheduler that has ended.

    supervisord makes each service the leader of a process group in its own session. So a group
    there without its leader is what a service left. Nothing is, unless supervisord is our parent.
    """
    session = os.getsid(0)
    if session != os.getppid():
        return
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            group = os.getpgid(process.pid)
            if os.getsid(process.pid) == session and not _leads(group):
                yield process


def _leads(pid: int) -> bool:
    """Whether ``pid`` runs; one that has ended and was not yet waited for does not."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


if __name__ == "__main__":
    main()
