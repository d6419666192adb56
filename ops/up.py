"""`make up`: start the services under supervisord, and wait until they are ready."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from rich.console import Console

from components.errors import EidolonError
from components.files import write_text
from components.ports import obstacle
from components.variables import masked
from ops import canary, release, swap
from ops.airflow import Airflow
from ops.cluster import stores
from ops.cluster.settings import rehearsed
from ops.cluster.workers import names_of_workers
from ops.environment import HOME, ROOT, environment, ports
from ops.lock import foreground_run
from ops.run import prepare_airflow
from ops.services import (
    API,
    CONFIG,
    ENDPOINT,
    LOGS,
    MARK,
    SCHEDULER,
    STORES,
    Service,
    Supervisor,
    answers,
    configuration,
    healthy,
    marked,
    services,
)

PATIENCE = 300.0  # seconds until all services must be ready


class UpError(Exception):
    """A service did not start. The sentence names it and its log."""


def up(console: Console) -> None:
    """Start the services unless they run, wait until all are ready, and print their addresses.

    Raises :class:`EidolonError` for ports that are taken, and :class:`UpError` for a service that
    does not start.
    """
    env, cluster = environment(), rehearsed(HOME) is not None
    listed = services(env, ports(env))
    workers = names_of_workers(HOME)
    states = Supervisor().states()
    if states == {}:
        raise UpError("the services are starting or stopping now: try again in a minute")
    if states is None:
        with foreground_run():
            check_ports(listed)
            LOGS.mkdir(parents=True, exist_ok=True)
            if cluster:
                _start_stores(listed, env)
            with console.status("preparing Airflow"):
                prepare_airflow(LOGS / "prepare.log")
            live = swap.prepare()
            if cluster:
                _start_others(listed, live)
            else:
                _start(configuration(listed, live), env)
    else:
        console.print("already up", highlight=False)
    deployed = release.deployed() is not None
    api = next(service for service in listed if service.name == API)
    awaited = [s for s in listed if s.health and (s.name != ENDPOINT or deployed)]
    with console.status("starting") as status:
        _wait([api], answers, status.update)
        for name, state in (Supervisor().states() or {}).items():
            if state == "STOPPED" and (name == SCHEDULER or name in workers):
                Supervisor().start(name)
        _wait(awaited, healthy, status.update)
        status.update("waiting for the DAGs")
        airflow, deadline = Airflow(), time.monotonic() + PATIENCE
        while not airflow.knows("retrain"):
            if time.monotonic() > deadline:
                log = LOGS / "airflow-dag-processor.log"
                raise UpError(f"Airflow does not read the DAG retrain: see {log}")
            time.sleep(1)
    canary.keep(lambda line: console.print(line, highlight=False))  # of a trial before
    console.print("\n".join(addresses(env, deployed)), highlight=False)


def addresses(env: dict[str, str], deployed: bool) -> list[str]:
    """The addresses of the services and the folder of the logs, as lines for a person."""
    at = ports(env)
    uri = env["MLFLOW_TRACKING_URI"]
    mlflow = masked(uri) if uri.startswith("http") else f"http://127.0.0.1:{at.mlflow}"
    endpoint = f"http://127.0.0.1:{at.endpoint}"
    password = Path(env["AIRFLOW_HOME"]) / "simple_auth_manager_passwords.json.generated"
    return [
        f"Airflow   http://127.0.0.1:{at.airflow}  user admin, password in {password}",
        f"MLflow    {mlflow}",
        f"endpoint  {endpoint}" if deployed else f"endpoint  {endpoint}, nothing is deployed yet",
        f"logs      {LOGS}",
    ]


def check_ports(listed: list[Service]) -> None:
    """Raise an :class:`EidolonError` that names every port on which nothing can listen."""
    wrong = []
    wanted: dict[int, str] = {}
    for service in listed:
        if service.port is None:
            continue
        if service.port in wanted:
            wrong.append(f"{service.port} is for both {wanted[service.port]} and {service.name}")
        wanted[service.port] = service.name
        if obstacle("127.0.0.1", service.port) is not None:
            wrong.append(
                f"{service.port} for {service.name} is taken{_listener(service.port)}: "
                f"stop that, or set {service.variable}"
            )
    if wrong:
        left = " (`make down` ends what an earlier `make up` left here)" if marked() else ""
        raise EidolonError("ports: " + "; ".join(wrong) + left)


def _listener(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN
            if listens and connection.laddr.port == port and connection.pid:
                name = psutil.Process(connection.pid).name()
                return f" by {name} (process {connection.pid})"
    except psutil.Error:
        return ""  # the processes of other users cannot be seen
    return ""


def _start_stores(listed: list[Service], env: dict[str, str]) -> None:
    """Start supervisord with the stores of a cluster, and wait until the others can use them."""
    _start(configuration(listed, first=STORES), env)
    stores.make_databases(HOME, ports(env).postgres)
    stores.await_objects()


def _start_others(listed: list[Service], live: str | None) -> None:
    """Start what begins by itself and does not run yet, and the place ``live``."""
    for service in listed:
        if service.autostart or service.name == live:
            Supervisor().start(service.name)


def _start(text: str, env: dict[str, str]) -> None:
    write_text(CONFIG, text)
    started = subprocess.run(
        [sys.executable, "-m", "supervisor.supervisord", "-c", str(CONFIG)],
        cwd=ROOT,
        env={**env, MARK: str(HOME)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if started.returncode != 0:
        raise UpError(f"supervisord did not start: {started.stderr.strip()}")


def _wait(
    awaited: list[Service], well: Callable[[Service], bool], say: Callable[[str], None]
) -> None:
    deadline = time.monotonic() + PATIENCE
    left = list(awaited)
    while left:
        states = Supervisor().states() or {}
        for name in (*(service.name for service in left), swap.live_program()):
            if states.get(name) == "FATAL":
                raise UpError(f"{name} does not start: see {LOGS / name}.log")
        left = [service for service in left if not well(service)]
        if left and time.monotonic() > deadline:
            names = ", ".join(service.name for service in left)
            raise UpError(f"not ready after {PATIENCE:.0f} s: {names}; the logs are in {LOGS}")
        if left:
            say("waiting for " + ", ".join(service.name for service in left))
            time.sleep(1)
