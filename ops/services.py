"""The services of `make up`: what they are, and asking supervisord about them.

supervisord starts `python -m ops.start NAME`, which becomes the service. So supervisord's
configuration holds no address, and each service gets only the variables that it needs.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

import httpx
import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from components.processes import environment_of
from components.variables import of_endpoint, without_airflow
from ops.cluster import stores
from ops.cluster.settings import of_mlflow, rehearsed
from ops.cluster.workers import command as worker_command
from ops.cluster.workers import environment_of as environment_of_worker
from ops.cluster.workers import name_of, place_of
from ops.environment import HOME, ROOT, Ports, environment, ports
from ops.places import MARK as PLACE
from ops.places import NAMES, folder_of, program
from ops.sockets import socket_file

CONFIG = HOME / "supervisor.conf"
LOGS = HOME / "logs"
MARK = "EIDOLON_UP"  # an environment variable that every process of `make up` inherits
API, SCHEDULER, ENDPOINT = "airflow-api", "airflow-scheduler", "endpoint"
STORES = ("postgres", "s3")
BENTO_STOP_SECONDS = 130  # longer than a request may take
_AIRFLOW_PARTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")

_TEMPLATE = """\
; written by `make up`
[unix_http_server]
file={socket}
chmod=0700
[supervisord]
logfile={logs}/supervisord.log
pidfile={home}/supervisord.pid
directory={root}
umask=077
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
{programs}"""

_PROGRAM = """\
[program:{name}]
command={command}
directory={root}
autostart={autostart}
startsecs={startsecs}
autorestart=true
stopasgroup=true
killasgroup=true
stopwaitsecs={stopwaitsecs}
stopsignal={stopsignal}
startretries={startretries}
redirect_stderr=true
stdout_logfile={logs}/{name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=2
"""


@dataclass(frozen=True)
class Service:
    """A program of `make up`. It answers at ``health`` once it is ready; ``env`` is its
    environment, and ``variable`` sets its ``port``."""

    name: str
    command: list[str]
    port: int | None = None
    variable: str = ""
    health: str = ""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    autostart: bool = True
    startsecs: int = 5
    stopwaitsecs: int = 15
    stopsignal: str = "TERM"
    startretries: int = 3
    folder: Path = ROOT


def services(env: dict[str, str], at: Ports) -> list[Service]:
    """All that `make up` or `make cluster` starts. MLflow is left out when MLFLOW_TRACKING_URI
    names a server of others."""
    airflow = [sys.executable, "-m", "airflow"]
    listed = [
        Service(
            API,
            [*airflow, "api-server"],
            at.airflow,
            "EIDOLON_AIRFLOW_PORT",
            f"http://127.0.0.1:{at.airflow}/api/v2/monitor/health",
            env,
        ),
        # the web page reads task logs from files, so no log server needs to listen to the network
        Service(SCHEDULER, [*airflow, "scheduler", "--skip-serve-logs"], env=env, autostart=False),
        Service("airflow-dag-processor", [*airflow, "dag-processor"], env=env),
        Service("airflow-triggerer", [*airflow, "triggerer", "--skip-serve-logs"], env=env),
    ]
    cluster = rehearsed(HOME) is not None
    uri = env["MLFLOW_TRACKING_URI"]
    if cluster:
        listed.append(_mlflow(env | of_mlflow(HOME), at.mlflow))
    elif not uri.startswith("http"):
        store = {  # not as arguments, which every user of this machine can see
            "MLFLOW_BACKEND_STORE_URI": uri,
            "MLFLOW_ARTIFACTS_DESTINATION": env["EIDOLON_ARTIFACTS"],
        }
        listed.append(_mlflow(env | store, at.mlflow))
    listed += _serving(of_endpoint(env), at.endpoint)
    return [*stores_of(env, at), *listed, *_workers(env)] if cluster else listed


def _mlflow(env: dict[str, str], port: int) -> Service:
    host = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    return Service(
        "mlflow",
        [sys.executable, "-m", "mlflow", "server", *host],
        port,
        "EIDOLON_MLFLOW_PORT",
        f"http://127.0.0.1:{port}/health",
        without_airflow(env),
    )


def stores_of(env: dict[str, str], at: Ports) -> list[Service]:
    """What the other services of `make cluster` need before they can start."""
    plain = {"PATH": env["PATH"]}
    return [
        Service(
            "postgres",
            stores.postgres_command(HOME, at.postgres),
            at.postgres,
            "EIDOLON_POSTGRES_PORT",
            env=plain,
            startsecs=1,
            stopsignal="INT",  # it ends its connections, and does not wait for them
        ),
        Service(
            "s3",
            stores.s3_command(HOME, at.s3),
            at.s3,
            "EIDOLON_S3_PORT",
            f"http://127.0.0.1:{at.s3}/healthz",
            plain,
            startsecs=1,
        ),
    ]


def _workers(env: dict[str, str]) -> list[Service]:
    """The workers of `make cluster`. One that was killed is refused by the head until the head has
    noticed, so it tries often."""
    settings = rehearsed(HOME)
    assert settings is not None
    return [
        Service(
            name_of(number),
            worker_command(),
            env=environment_of_worker(env, HOME, number),
            autostart=False,
            stopwaitsecs=5,
            startretries=50,
            folder=place_of(HOME, number),
        )
        for number in range(1, settings["workers"] + 1)
    ]


def _serving(env: dict[str, str], port: int) -> list[Service]:
    """The proxy, and the places of the Bentos behind it. The proxy asks nobody for a key."""
    proxy = Service(
        ENDPOINT,
        [sys.executable, "-m", "ops.proxy"],
        port,
        "EIDOLON_PORT",
        f"http://127.0.0.1:{port}/readyz",
        {k: v for k, v in env.items() if k != "EIDOLON_API_KEYS"},
        startsecs=1,
    )
    serve = [sys.executable, "-m", "bento.release", "serve", "--place"]
    bentos = [
        Service(
            program(name),
            [*serve, str(folder_of(name))],
            env=env | {PLACE: str(folder_of(name))},
            autostart=False,
            stopwaitsecs=BENTO_STOP_SECONDS,
        )
        for name in NAMES
    ]
    return [proxy, *bentos]


def logs_of_requests() -> list[Path]:
    """The logs that have a line for each request of the endpoint, rotated ones too: the Bentos',
    and the proxy's for what it refused itself."""
    names = (ENDPOINT, *map(program, NAMES))
    return sorted(file for name in names for file in LOGS.glob(f"{name}.log*"))


def configuration(
    listed: list[Service], live: str | None = None, first: Collection[str] | None = None
) -> str:
    """supervisord's configuration. The place ``live`` starts with it, and so do the services that
    start by themselves, or only those named in ``first``. The scheduler and the workers start after
    the API server, which their tasks need."""
    if first is not None:
        listed = [replace(service, autostart=service.name in first) for service in listed]
    places = {"home": _escape(str(HOME)), "root": _escape(str(ROOT)), "logs": _escape(str(LOGS))}
    programs = [
        _PROGRAM.format(
            name=service.name,
            command=_escape(shlex.join([sys.executable, "-m", "ops.start", service.name])),
            autostart=str(service.autostart or service.name == live).lower(),
            startsecs=service.startsecs,
            stopwaitsecs=service.stopwaitsecs,
            stopsignal=service.stopsignal,
            startretries=service.startretries,
            **places,
        )
        for service in listed
    ]
    return _TEMPLATE.format(
        socket=_escape(str(socket_file("supervisor"))), programs="".join(programs), **places
    )


class Supervisor:
    """supervisord of this checkout, reached by its socket."""

    def states(self) -> dict[str, str] | None:
        """The state of each program, such as RUNNING. Empty while supervisord starts or stops;
        ``None`` when it does not run."""
        try:
            return {p["name"]: p["statename"] for p in self._calls().getAllProcessInfo()}
        except Fault:
            return {}
        except (OSError, HTTPException):
            return None

    def stop(self, name: str) -> None:
        """Stop the program ``name`` if it runs, and wait until it has ended."""
        try:
            self._calls().stopProcess(name)
        except Fault as fault:
            if fault.faultCode != Faults.NOT_RUNNING:
                raise

    def start(self, name: str) -> None:
        """Start the program ``name`` unless it runs."""
        try:
            self._calls().startProcess(name, False)
        except Fault as fault:
            if fault.faultCode != Faults.ALREADY_STARTED:
                raise

    def shutdown(self) -> None:
        """Ask supervisord to stop everything and end."""
        if self.states():
            self._calls().shutdown()

    def _calls(self) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{socket_file('supervisor')}")
        return ServerProxy("http://127.0.0.1", transport=transport).supervisor


def healthy(service: Service) -> bool:
    """Whether ``service`` answers that it is ready; for Airflow, whether all four parts are."""
    reply = _ask(service)
    if reply is None or service.name != API:
        return reply is not None
    parts = reply.json()
    return all(parts[part]["status"] == "healthy" for part in _AIRFLOW_PARTS)


def answers(service: Service) -> bool:
    """Whether ``service`` answers, ready or not."""
    return _ask(service) is not None


def _ask(service: Service) -> httpx.Response | None:
    try:
        reply = httpx.get(service.health, timeout=10, trust_env=False)
    except httpx.TransportError:
        return None
    return reply if reply.status_code == 200 else None


def marked(home: Path = HOME) -> list[psutil.Process]:
    """The processes that `make up` of this checkout started, and their descendants, even those
    whose parent has ended.

    A process may write its title over its environment, and the mark with it. So every process in
    the session of a marked one counts too: `make up` began that session.
    """
    sessions: dict[int, list[psutil.Process]] = {}
    ours = set()
    for process in psutil.process_iter():
        try:
            session = os.getsid(process.pid)
            sessions.setdefault(session, []).append(process)
            if f"{MARK}={home}" in environment_of(process):
                ours.add(session)
        except (psutil.Error, OSError):
            continue  # it has ended meanwhile, or belongs to another user
    return [process for session in ours for process in sessions[session]]


def current() -> dict[str, Service]:
    """The services by name, according to the present environment."""
    env = environment()
    return {service.name: service for service in services(env, ports(env))}


def _escape(text: str) -> str:
    return text.replace("%", "%%")
