"""`make down`: stop the services and everything that they started."""

from __future__ import annotations

import time

from components.processes import end
from ops.services import Supervisor, marked

PATIENCE = 40.0  # seconds for a service to end by itself


def down() -> int:
    """Stop everything that `make up` started here; the number of processes that were running.

    supervisord ends each service's process group. Some children lead groups of their own (tasks
    of Airflow, workers of the endpoint); they carry a mark in their environment and are ended by
    that, when they have not followed their parents.
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
    return len(before)
