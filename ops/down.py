"""`make down`: stop the services and all processes that they started."""

from __future__ import annotations

import time

from components.processes import end
from ops.cluster import rehearsal
from ops.services import Supervisor, marked

PATIENCE = 40.0  # seconds for the services to end by themselves


def down() -> int:
    """Stop all that `make up` started here. Returns how many processes there were.

    supervisord ends the process group of each service. Some children lead groups of their own:
    tasks of Airflow, workers of the endpoint. They are found by a mark in their environment, and
    ended here when they outlive their parents.
    """
    before = marked()
    supervisor = Supervisor()
    if supervisor.states() is not None:
        supervisor.shutdown()
        deadline = time.monotonic() + PATIENCE
        while supervisor.states() is not None and time.monotonic() < deadline:
            time.sleep(0.2)
    while left := marked():
        end(left)
    rehearsal.end()
    return len(before)
