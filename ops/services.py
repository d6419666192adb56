"""The services of `make up`: what they are, and asking supervisord about them.

supervisord starts `python -m ops.start NAME`, which becomes the service. So supervisord's
configuration holds no address, and each service gets only the variables that it needs.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

import httpx
import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from components.processes import environment_of
from components.variables import of_endpoint, without_airflow
from ops.environment import HOME, ROOT, Ports, environment, ports
from ops.places import MARK as PLACE
from ops.places import NAMES, folder_of, program
from ops.sockets import socket_file

CONFIG = HOME / "supervisor.conf"
LOGS = HOME / "logs"
MARK = "EIDOLON_UP"  # an environment variable that every process of `make up` inherits
API, SCHEDULER, ENDPOINT = "airflow-api", "airflow-scheduler", "endpoint"
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


def services(env: dict[str, str], at: Ports) -> list[Service]:
    """All that `make up` starts. MLflow is left out when MLFLOW_TRACKING_URI names a server."""
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
    uri = env["MLFLOW_TRACKING_URI"]
    if not uri.startswith("http"):
        host = ["--host", "127.0.0.1", "--port", str(at.mlflow), "--workers", "1"]
        store = {  # not as arguments, which every user of this machine can see
            "MLFLOW_BACKEND_STORE_URI": uri,
            "MLFLOW_ARTIFACTS_DESTINATION": env["EIDOLON_ARTIFACTS"],
        }
        listed.append(
            Service(
                "mlflow",
                [sys.executable, "-m", "mlflow", "server", *host],
                at.mlflow,
                "EIDOLON_MLFLOW_PORT",
                f"http://127.0.0.1:{at.mlflow}/health",
                without_airflow(env) | store,
            )
        )
    return [*listed, *_serving(of_endpoint(env), at.endpoint)]


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


def configuration(listed: list[Service], live: str | None = None) -> str:
    """supervisord's configuration. The place ``live`` starts with it. The scheduler starts after
    the API server, which its tasks need."""
    places = {"home": _escape(str(HOME)), "root": _escape(str(ROOT)), "logs": _escape(str(LOGS))}
    programs = [
        _PROGRAM.format(
            name=service.name,
            command=_escape(shlex.join([sys.executable, "-m", "ops.start", service.name])),
            autostart=str(service.autostart or service.name == live).lower(),
            startsecs=service.startsecs,
            stopwaitsecs=service.stopwaitsecs,
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
