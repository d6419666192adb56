"""`make cluster`: several machines, rehearsed on one."""

from __future__ import annotations

import os

from rich.console import Console

from components.errors import EidolonError
from ops.cluster import settings, stores, workers
from ops.environment import HOME, ROOT, added, ports
from ops.services import Supervisor
from ops.up import up

WORKERS = 2


def start(console: Console) -> None:
    """Start the services of a head, and two workers in clones of their own.

    Raises what :func:`ops.up.up` raises, and :class:`EidolonError` when `make up` is running.
    """
    if Supervisor().states() is None:
        at = ports(os.environ)
        chosen = {"airflow": at.airflow, "mlflow": at.mlflow, "postgres": at.postgres, "s3": at.s3}
        settings.begin(HOME, chosen | {"workers": WORKERS})
        os.environ.update(added())
        stores.prepare(HOME)
        workers.share_data(ROOT, HOME)
        for number in range(1, WORKERS + 1):
            workers.make(HOME, number)
    elif settings.rehearsed(HOME) is None:
        raise EidolonError("`make up` is running here: `make down` stops it")
    up(console)


def end() -> None:
    """Let this checkout be one machine again, after its services have stopped. What PostgreSQL and
    S3 hold stays for the next rehearsal."""
    if settings.rehearsed(HOME) is not None:
        settings.end(HOME)
        workers.share_no_data()
