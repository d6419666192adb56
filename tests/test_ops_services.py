"""Services: their ports, their supervisor, and how their processes are found."""

from __future__ import annotations

import configparser
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.errors import EidolonError
from ops.environment import environment, ports
from ops.services import MARK, Service, configuration, marked, services
from ops.up import addresses, check_ports
from tests.clones import clean_environment, free_ports
from tests.toy import ROOT


def test_the_address_of_the_registry_is_shown_without_its_password(tmp_path: Path) -> None:
    env = environment({"MLFLOW_TRACKING_URI": "http://me:s3cr3t@elsewhere"}, tmp_path)
    assert "MLflow    http://me:***@elsewhere" in addresses(env, deployed=False)


def test_all_taken_ports_are_named_with_the_remedy() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        taken = [one.getsockname()[1], two.getsockname()[1]]
        listed = [Service(f"s{i}", [], port, f"PORT_{i}") for i, port in enumerate(taken)]
        with pytest.raises(EidolonError) as error:
            check_ports(listed)
    for i, port in enumerate(taken):
        assert f"{port} for s{i} is taken" in str(error.value)
        assert f"set PORT_{i}" in str(error.value)
    check_ports(listed)


def test_one_port_for_two_services_is_refused() -> None:
    port = free_ports(1)[0]
    with pytest.raises(EidolonError, match="for both a and b"):
        check_ports([Service("a", [], port, "A"), Service("b", [], port, "B")])


def test_supervisord_listens_on_a_socket_only(tmp_path: Path) -> None:
    env = environment({}, tmp_path)
    odd = Service("100%", [])
    text = configuration([*services(env, ports(env)), odd], live="bento-b")
    config = configparser.RawConfigParser()
    config.read_string(text)
    assert "inet_http_server" not in config
    starting = {n for n in config if config[n].get("autostart") == "true"}
    assert {"program:endpoint", "program:bento-b"} <= starting
    assert not {"program:bento-a", "program:airflow-scheduler"} & starting
    assert config["program:mlflow"]["command"].endswith("-m ops.start mlflow")
    assert config["program:100%"]["command"].endswith("100%%")
    for name in config.sections():
        if name.startswith("program:"):
            assert config[name]["stopasgroup"] == config[name]["killasgroup"] == "true"


def test_processes_are_found_though_they_hide_their_environment(tmp_path: Path) -> None:
    with subprocess.Popen(
        ["sh", "-c", f"env -u {MARK} sleep 60 & wait"],
        env={"PATH": os.defpath, MARK: str(tmp_path)},
        start_new_session=True,
    ) as shell:
        try:
            names: list[str] = []
            deadline = time.monotonic() + 30
            while names != ["sh", "sleep"] and time.monotonic() < deadline:
                names = sorted(process.name() for process in marked(tmp_path))
        finally:
            os.killpg(shell.pid, signal.SIGKILL)
    assert names == ["sh", "sleep"]
    assert marked(tmp_path) == []


def test_up_refuses_an_invalid_port() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ops", "up"],
        cwd=ROOT,
        env=clean_environment() | {"EIDOLON_MLFLOW_PORT": "mlflow"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: EIDOLON_MLFLOW_PORT")
