"""The environment and the command `python -m ops`: what each process gets, and what is refused."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from components.errors import EidolonError
from components.files import write_json
from components.versioning.up_to_date import stage_names
from ops.environment import environment, ports
from ops.services import MARK, configuration, services
from tests.clones import clean_environment
from tests.toy import ROOT


def test_the_environment_keeps_state_in_one_folder(tmp_path: Path) -> None:
    env = environment({"PATH": "/usr/bin", "PYTHONDONTWRITEBYTECODE": "1"}, tmp_path)
    for name in ("EIDOLON_HOME", "AIRFLOW_HOME", "MLFLOW_TRACKING_URI", "BENTOML_HOME"):
        assert str(tmp_path) in env[name]
    assert env["PATH"].split(os.pathsep) == [str(Path(sys.executable).parent), "/usr/bin"]
    assert "PYTHONDONTWRITEBYTECODE" not in env


def test_settings_for_airflow_and_mlflow_win(tmp_path: Path) -> None:
    given = {"MLFLOW_TRACKING_URI": "http://elsewhere", "AIRFLOW__CORE__PARALLELISM": "32"}
    env = environment(given, tmp_path)
    assert env.items() >= given.items()
    names = {service.name for service in services(env, ports(env))}
    assert "mlflow" not in names and "endpoint" in names


def test_airflow_s_keys_are_made_once_and_are_private(tmp_path: Path) -> None:
    """They are in no environment: Airflow reads each one by a command from its own file."""
    home = tmp_path / "it's here"
    write_json(home / "secrets.json", {"AIRFLOW__API__SECRET_KEY": "made before"})
    env = environment({}, home)
    keys = {file.name: file.read_text() for file in (home / "keys").iterdir()}
    assert set(keys) == {"jwt_secret", "secret_key", "fernet_key"}
    assert keys["secret_key"] == "made before" and not (home / "secrets.json").exists()
    assert not [name for name in env if any(key in env[name] for key in keys.values())]
    assert environment({}, home) == env
    assert {file.name: file.read_text() for file in (home / "keys").iterdir()} == keys
    assert {stat.S_IMODE(file.stat().st_mode) for file in (home / "keys").iterdir()} == {0o600}
    code = (
        "from airflow.configuration import conf; from airflow.sdk.configuration import conf as sdk;"
        "print(*(c.get(s, k) for c in (conf, sdk)"
        " for s, k in (('api_auth', 'jwt_secret'), ('api', 'secret_key'), ('core', 'fernet_key'))))"
    )
    asked = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    names = ("jwt_secret", "secret_key", "fernet_key")
    assert asked.stdout.split("\n")[-2] == " ".join(keys[name] for name in names * 2)
    own = {"AIRFLOW__CORE__FERNET_KEY": "mine"}
    assert "AIRFLOW__CORE__FERNET_KEY_CMD" not in environment(own, home)


def test_the_folder_of_the_keys_is_private_but_its_home_is_not(tmp_path: Path) -> None:
    """PostgreSQL's user passes through the home to its data."""
    home, usual = tmp_path / "home", tmp_path / "usual"
    environment({}, home)
    usual.mkdir()
    modes = [stat.S_IMODE(folder.stat().st_mode) for folder in (home, home / "keys")]
    assert modes == [stat.S_IMODE(usual.stat().st_mode), 0o700]


SECRETS = {
    "AIRFLOW__CORE__FERNET_KEY": "s3cr3t-1",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://me:s3cr3t-2@db/airflow",
    "MLFLOW_TRACKING_URI": "postgresql://me:s3cr3t-3@db/mlflow",
    "MLFLOW_TRACKING_PASSWORD": "s3cr3t-4",
    "AWS_SECRET_ACCESS_KEY": "s3cr3t-5",
    "HF_TOKEN": "s3cr3t-6",
    "GITHUB_TOKEN": "s3cr3t-7",
}


def known_to(env: Mapping[str, str]) -> str:
    """The numbers of the secrets in ``env``."""
    return "".join(sorted(re.findall(r"s3cr3t-(\d)", " ".join(env.values()))))


SERVING = ("endpoint", "bento-a", "bento-b")


def test_each_service_gets_what_it_needs(tmp_path: Path) -> None:
    env = environment({"PATH": os.defpath, MARK: "here", **SECRETS}, tmp_path)
    listed = services(env, ports(env))
    known = {service.name: known_to(service.env) for service in listed}
    airflow = dict.fromkeys((n for n in known if n.startswith("airflow-")), "1234567")
    assert known == {**airflow, "mlflow": "334567", **dict.fromkeys(SERVING, "")}
    assert all(service.env[MARK] == "here" for service in listed)
    assert not known_to({"": configuration(listed)})
    assert not known_to({"": " ".join(" ".join(service.command) for service in listed)})


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", ""])
def test_an_invalid_port_is_named(port: str) -> None:
    with pytest.raises(EidolonError, match=r"EIDOLON_PORT .*1 to 65535"):
        ports({"EIDOLON_PORT": port})


def test_a_stage_for_each_shard_has_a_name_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names = stage_names()
    assert names[:4] == ["dataset", "plan", "imagine@0", "generate"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that `python -m ops` needs, in a folder whose path needs quoting in a shell."""
    root = tmp_path / "it's $HOME; here"
    for folder in ("ops", "components"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / file, root)
    return root


def ops(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m ops` in the checkout ``root``."""
    command = [sys.executable, "-m", "ops", *arguments]
    return subprocess.run(
        command, cwd=root, env=clean_environment(), capture_output=True, text=True
    )


def test_a_run_that_does_not_begin_names_no_log(checkout: Path) -> None:
    params = checkout / "params.yaml"
    good = params.read_text()
    params.write_text(good + "nonsense: 1\n")
    refused = ops(checkout, "run")
    assert refused.returncode == 2
    assert refused.stderr == (
        "error: params.yaml: nonsense: is unknown, `eidolon params` lists what there is\n"
    )
    params.write_text(good)
    log = checkout / ".eidolon" / "logs" / "run.log"
    log.parent.mkdir(parents=True)
    log.write_text("of another run")
    with (checkout / ".eidolon" / "run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = ops(checkout, "run")
    assert refused.returncode == 2
    assert "in progress here" in refused.stderr and len(refused.stderr.splitlines()) == 1
    assert log.read_text() == "of another run"


_BESIDE = """
import sys
from ops.processes import lines_of, running
printed = "import os; print({k: v for k, v in os.environ.items() if 'AIRFLOW_' in k}, 'none')"
for command in ([sys.executable, "-c", printed], ["echo", sys.argv[1]]):
    with running(command) as process:
        print(*lines_of(process))
"""


def test_processes_beside_airflow_do_not_see_its_keys(checkout: Path) -> None:
    """A stage, DVC and the builder of the Bento, started as a task of Airflow starts them."""
    done = subprocess.run(
        [sys.executable, "-c", _BESIDE, SECRETS["MLFLOW_TRACKING_URI"]],
        cwd=checkout,
        env=clean_environment() | SECRETS,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == ["{} none", "postgresql://me:***@db/mlflow"], done.stderr


def test_a_bare_shell_takes_the_environment_over(checkout: Path) -> None:
    shell = (
        'eval "$("$0" -m ops env)"; printf "%s\\n" "$EIDOLON_HOME" "$MLFLOW_TRACKING_URI" "$PATH"'
    )
    done = subprocess.run(
        ["sh", "-c", shell, sys.executable], cwd=checkout, env={}, capture_output=True, text=True
    )
    home, uri, path = done.stdout.splitlines()
    assert done.stderr == ""
    assert home == str(checkout / ".eidolon") and uri == f"sqlite:///{home}/mlflow.db"
    assert path.split(os.pathsep)[0] == str(Path(sys.executable).parent)


def test_an_unknown_command_is_refused() -> None:
    done = ops(ROOT, "nonsense")
    assert done.returncode == 2
    assert "No such command" in done.stderr
