"""Operating: the environment, the ports, what a run reports, and whole runs of a toy clone."""

from __future__ import annotations

import configparser
import fcntl
import os
import re
import runpy
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from rich.console import Console

from components.errors import EidolonError, TransientError, told
from components.files import write_json
from components.paths import (
    BUNDLE,
    COLLECTION,
    DATASET,
    DEPLOYED,
    INBOX,
    INGESTED,
    OUTBOX,
    QUARANTINE,
)
from components.variables import masked
from components.versioning.remote import has_remote
from ops import record
from ops.accelerators import VARIABLE, accelerators, one_of
from ops.environment import environment, ports
from ops.progress import Board
from ops.record import Event
from ops.run import explained, stage_names
from ops.services import MARK, Service, configuration, marked, services
from ops.summary import facts, figures, outcome, refusal, summarise
from ops.up import addresses, check_ports
from tests.clones import clean_environment, free_ports
from tests.toy import ROOT

STAGES = ["dataset", "train"]


def test_the_environment_keeps_state_in_one_folder(tmp_path: Path) -> None:
    env = environment({"PATH": "/usr/bin", "PYTHONDONTWRITEBYTECODE": "1"}, tmp_path)
    for name in ("EIDOLON_HOME", "AIRFLOW_HOME", "MLFLOW_TRACKING_URI", "BENTOML_HOME"):
        assert str(tmp_path) in env[name]
    assert env["PATH"].split(os.pathsep) == [str(Path(sys.executable).parent), "/usr/bin"]
    assert "PYTHONDONTWRITEBYTECODE" not in env


def test_what_is_set_for_airflow_and_mlflow_wins(tmp_path: Path) -> None:
    given = {"MLFLOW_TRACKING_URI": "http://elsewhere", "AIRFLOW__CORE__PARALLELISM": "32"}
    env = environment(given, tmp_path)
    assert env.items() >= given.items()
    names = {service.name for service in services(env, ports(env))}
    assert "mlflow" not in names and "endpoint" in names


def test_airflow_s_keys_are_made_once_and_are_private(tmp_path: Path) -> None:
    """No environment holds them: Airflow reads each by a command, from a file of its own."""
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


def test_each_service_gets_what_it_needs(tmp_path: Path) -> None:
    env = environment({"PATH": os.defpath, MARK: "here", **SECRETS}, tmp_path)
    listed = services(env, ports(env))
    known = {service.name: known_to(service.env) for service in listed}
    airflow = dict.fromkeys((n for n in known if n.startswith("airflow-")), "1234567")
    assert known == {**airflow, "mlflow": "334567", "endpoint": ""}
    assert all(service.env[MARK] == "here" for service in listed)
    assert not known_to({"": configuration(listed, deployed=True)})
    assert not known_to({"": " ".join(" ".join(service.command) for service in listed)})


def test_the_address_of_the_registry_is_shown_without_its_password(tmp_path: Path) -> None:
    env = environment({"MLFLOW_TRACKING_URI": "http://me:s3cr3t@elsewhere"}, tmp_path)
    assert "MLflow    http://me:***@elsewhere" in addresses(env, deployed=False)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg2://me:a/b:c@h:5432/db", "postgresql+psycopg2://me:***@h:5432/db"),
        ("at https://me:p@ss@h/x: no", "at https://me:***@h/x: no"),
        ("redis://:secret@h", "redis://:***@h"),
        ("postgresql:///db?user=me&password=x&a=1", "postgresql:///db?user=me&password=***&a=1"),
        ("http://127.0.0.1:5000/#/runs/1", "http://127.0.0.1:5000/#/runs/1"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("mail me@work: now", "mail me@work: now"),
    ],
)
def test_a_password_in_an_address_is_not_shown(text: str, shown: str) -> None:
    assert masked(text) == str(EidolonError(text)) == str(TransientError(text)) == shown
    assert masked(shown) == shown


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", ""])
def test_a_port_that_is_none_is_named(port: str) -> None:
    with pytest.raises(EidolonError, match=r"EIDOLON_PORT .*1 to 65535"):
        ports({"EIDOLON_PORT": port})


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
    text = configuration([*services(env, ports(env)), odd], deployed=False)
    config = configparser.RawConfigParser()
    config.read_string(text)
    assert "inet_http_server" not in config
    assert config["program:endpoint"]["autostart"] == "false"
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


@pytest.mark.parametrize(
    ("lines", "status", "kind", "sentence"),
    [
        (["error: m is gone", "ERROR: failed to run: x, exited with 2"], 2, EidolonError, "m is g"),
        (["error: the hub is out of reach"], 75, TransientError, "the hub is out of reach"),
        (["Traceback", "KeyError: 'a'"], 1, TransientError, "KeyError: 'a'"),
        (["Killed"], -9, TransientError, "Killed"),
        ([], -9, TransientError, "no output"),
    ],
)
def test_only_bad_input_is_not_tried_again(
    lines: list[str], status: int, kind: type[Exception], sentence: str
) -> None:
    error = told(lines, status)
    assert type(error) is kind
    assert sentence in str(error)


def test_accelerators_are_those_that_cuda_may_use(tmp_path: Path) -> None:
    assert accelerators({}, tmp_path) == []
    for name in ("nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert accelerators({}, tmp_path) == ["2", "10"]
    assert accelerators({"CUDA_VISIBLE_DEVICES": "1, 3"}, tmp_path) == ["1", "3"]
    assert accelerators({"CUDA_VISIBLE_DEVICES": ""}, tmp_path) == []


def test_each_task_that_draws_has_an_accelerator_of_its_own(tmp_path: Path) -> None:
    with one_of(["0"], tmp_path) as alone:
        assert alone == {}
    waited: list[dict[str, str]] = []

    def third() -> None:
        with one_of(["0", "1"], tmp_path) as chosen:
            waited.append(chosen)

    with one_of(["0", "1"], tmp_path) as first:
        with one_of(["0", "1"], tmp_path) as second:
            assert [first, second] == [{VARIABLE: "0"}, {VARIABLE: "1"}]
            thread = Thread(target=third)
            thread.start()
            thread.join(timeout=0.5)
            assert thread.is_alive() and not waited
        thread.join(timeout=30)
        assert waited == [{VARIABLE: "1"}]


def test_a_stage_for_each_shard_has_as_many_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names = stage_names()
    assert names[:4] == ["dataset", "plan", "imagine@0", "generate"]


def test_a_default_remote_is_noticed(tmp_path: Path) -> None:
    assert not has_remote(tmp_path)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    assert not has_remote(tmp_path)
    (tmp_path / ".dvc" / "config.local").write_text("[core]\n    remote = storage\n")
    assert has_remote(tmp_path)


def test_a_record_gives_whole_lines_only(tmp_path: Path) -> None:
    file = record.path(tmp_path, "manual__2026-01-01T00:00:00+00:00")
    assert list(record.follow(file)) == []
    record.append(file, Event("train", "line", "λ = 0.5"))
    with file.open("a") as out:
        out.write('{"task": "tra')
    (event, offset), *rest = record.follow(file)
    assert event.text == "λ = 0.5" and not rest
    assert list(record.follow(file, offset)) == []


def events() -> list[Event]:
    """A run whose first attempt at `train` failed."""
    run = {"run_id": "abc", "model": "eidolon", "version": "3", "created": True}
    return [
        Event("dataset", "started"),
        Event("dataset", "done", result={"stage": "dataset", "seconds": 1.5, "cached": True}),
        Event("train", "started"),
        Event("train", "failed", "no memory"),
        Event("train", "started"),
        Event("train", "line", "train: 3/60 epochs"),
        Event("train", "done", result={"stage": "train", "seconds": 9.0, "cached": False}),
        Event("register", "done", result=run),
        Event("gate", "skipped", "worse"),
    ]


def metrics() -> dict[str, Any]:
    value = {"mean": 0.5, "low": 0.25, "high": 0.75}
    groups = dict.fromkeys(("seen", "validation", "unseen", "unseen_only", "harmonic"), value)
    return {
        "map": dict.fromkeys(("text", "image", "fused"), groups),
        "gain": groups,
        "categories": {"seen": 40, "validation": 12, "unseen": 12},
        "text_only": 0,
        "lambda": 0.4,
    }


def printed(value: dict[str, Any]) -> str:
    console = Console(width=80, record=True, file=Path(os.devnull).open("w"))  # noqa: SIM115
    console.print(figures(value))
    return console.export_text()


def test_the_table_says_what_has_no_interval_and_no_image_figure() -> None:
    few = metrics()
    few["map"] = {kind: dict(groups) for kind, groups in few["map"].items()}
    few["gain"] = dict(few["gain"])
    for groups in (*few["map"].values(), few["gain"]):
        groups["unseen"], groups["unseen_only"] = {"mean": 0.625}, {}
    few |= {"categories": few["categories"] | {"unseen": 2}, "text_only": 3}
    text = " ".join(printed(few).split())
    assert "0.625" in text
    assert "too few categories for an interval: unseen (2)" in text
    assert "searched by text alone, so without an image figure: 3 categories" in text
    for word in ("unseen only", "harmonic"):
        assert word in text
    assert "too few" not in printed(metrics())
    summary = summarise(events(), few, {}, STAGES, None)
    assert summary["gain"]["unseen"] == {"mean": 0.625, "low": None, "high": None}
    assert summary["map"]["fused"]["unseen_only"] is None


def test_the_summary_has_what_is_promised() -> None:
    scores = {0.9: "red star", 0.8: "red star", 0.7: "red ring", 0.6: "red star"}
    query = {"text": "red star", "hits": [{"category": c, "score": s} for s, c in scores.items()]}
    summary = summarise(events(), metrics(), query, STAGES, "eidolon:v3")
    assert summary == {
        "map": {
            kind: dict.fromkeys(("seen", "unseen", "unseen_only", "harmonic"), 0.5)
            for kind in ("text", "image", "fused")
        },
        "gain": {"unseen": {"mean": 0.5, "low": 0.25, "high": 0.75}},
        "lambda": 0.4,
        "mlflow": {"run_id": "abc", "model": "eidolon", "version": "3"},
        "bento": {"tag": "eidolon:v3"},
        "stages": {
            "dataset": {"seconds": 1.5, "cached": True},
            "train": {"seconds": 9.0, "cached": False},
        },
        "query": query,
    }
    console = Console(width=80, record=True, file=Path(os.devnull).open("w"))  # noqa: SIM115
    console.print(figures(metrics()), facts(summary, 75, "make serve"))
    text = console.export_text()
    for part in (
        "unseen",
        "0.250…0.750",
        "+0.500",
        "eidolon version 3",
        "eidolon:v3",
        "“red star” → red star 0.90 0.80 0.60, red ring 0.70",
        "reports/*.png",
        "artifacts/validation/index.html",
        "1 min 15 s",
        "make serve",
    ):
        assert part in text


def test_a_refused_version_is_told_with_the_way_to_overrule_it() -> None:
    reason = "version 3 is not promoted: gain over text is at least -0.0300, not above 0.0"
    before = [event for event in events() if event.task != "gate"]
    told = refusal([*before, Event("gate", "started"), Event("gate", "skipped", reason)])
    assert told is not None
    assert told.splitlines()[0] == reason
    assert [line.strip() for line in told.splitlines()[-2:]] == [
        "eidolon promote 3",
        "python -m ops deploy",
    ]
    assert refusal([*before, Event("gate", "done")]) is None
    assert refusal(before) is None


def test_a_task_without_a_result_is_named() -> None:
    with pytest.raises(EidolonError, match="register"):
        summarise(events()[:7], metrics(), {}, STAGES, None)
    assert outcome(events(), "nothing") is None


def test_the_board_follows_a_run() -> None:
    board = Board([*STAGES, "register", "gate"], STAGES)
    lines = [board.take(event) for event in events()]
    assert [row.state for row in board.rows.values()] == ["cached", "done", "done", "skipped"]
    assert any("train: 3/60 epochs" in line for line in lines)
    assert board.take(Event("train", "line", "Updating lock file 'dvc.lock'")) == ""
    assert any("failed" in line and "no memory" in line for line in lines)


@pytest.mark.parametrize(
    ("last", "moved"),
    [
        ([], False),
        ([Event("promote", "started")], False),
        ([Event("promote", "failed", "no disk")], False),
        ([Event("promote", "skipped")], False),
        ([Event("promote", "done")], True),
        ([Event("promote", "done"), Event("deploy", "failed", "no disk")], True),
    ],
)
def test_a_failure_says_whether_the_champion_stayed(last: list[Event], moved: bool) -> None:
    told = explained(EidolonError("no disk"), Path("a.log"), [*events(), *last])
    assert told.startswith("no disk\nthe log: a.log")
    assert ("the champion is what it was" in told) != moved


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `python -m ops` needs to begin, where a shell would stumble over its path."""
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
    assert refused.stderr == "error: params.yaml: nonsense: Extra inputs are not permitted\n"
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


def test_what_runs_beside_airflow_does_not_see_its_keys(checkout: Path) -> None:
    """A stage, DVC and the Bento's builder, as a task of Airflow starts them."""
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


def test_clean_leaves_what_was_given(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    given = [INBOX / "a.zip", INGESTED / "1" / "b.zip", QUARANTINE / "1" / "c.png", OUTBOX]
    given += [COLLECTION / "manifest.csv", Path(".eidolon/remote/d"), Path(".dvc/cache/e")]
    made = [DEPLOYED, DATASET / "f", BUNDLE / "g", Path(".eidolon/.h/i"), Path("reports/j.png")]
    for path in (*given, *made):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    for _ in range(2):  # and there is nothing to do a second time
        subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
        found = {p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file()}
        assert found == {Path("Makefile"), *given}


@pytest.mark.parametrize("module", ["benchmarks", "benchmarks.validation"])
def test_a_benchmark_before_the_first_run_names_it(
    tmp_path: Path,
    module: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [module])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    assert ended.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ") and last.endswith("run `make run`")


def test_an_unknown_verb_is_refused() -> None:
    done = ops(ROOT, "nonsense")
    assert done.returncode == 2
    assert "No such command" in done.stderr


def test_up_refuses_a_port_that_is_none() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ops", "up"],
        cwd=ROOT,
        env=clean_environment() | {"EIDOLON_MLFLOW_PORT": "mlflow"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: EIDOLON_MLFLOW_PORT")
