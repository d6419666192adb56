"""DVC's remote in S3: clones that share nothing else, wrong keys, and a server that is gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from components.errors import EXIT_CODE, TRY_AGAIN
from tests.buckets import BUCKET, Server
from tests.clones import clean_environment
from tests.toy import ROOT

STAGES = """
stages:
  a:
    cmd: cp given made
    deps: [given]
    outs: [made]
"""


def run(folder: Path, variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess:
    """Run DVC in ``folder`` as our tasks do."""
    env = clean_environment() | variables | {"PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "true"}
    command = [sys.executable, "-m", "components.versioning.dvc_command", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def clone(folder: Path, prefix: str) -> Path:
    folder.mkdir()
    (folder / "dvc.yaml").write_text(STAGES)
    (folder / "given").write_text("what is made of this is the same everywhere")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    for arguments in (["init", "-q"], ["remote", "add", "-d", "s", f"s3://{BUCKET}/{prefix}"]):
        done = run(folder, {}, *arguments)
        assert done.returncode == 0, done.stderr
    return folder


def test_two_clones_share_what_either_has_computed(s3_server: Server, tmp_path: Path) -> None:
    one, other = clone(tmp_path / "one", "two"), clone(tmp_path / "other", "two")
    assert "Running stage 'a'" in run(one, s3_server.variables, "repro").stdout
    done = run(one, s3_server.variables, "push", "--run-cache")
    assert done.returncode == 0, done.stderr
    done = run(other, s3_server.variables, "repro", "--pull")
    assert done.returncode == 0, done.stderr
    assert "Running stage 'a'" not in done.stdout
    assert (other / "made").read_text() == (one / "given").read_text()


@pytest.mark.parametrize("what", ["push", "pull"])
@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "none"])
def test_wrong_keys(s3_server: Server, tmp_path: Path, what: str, name: str) -> None:
    one = clone(tmp_path / "one", "wrong")
    run(one, {}, "repro")
    if what == "pull":
        (one / "made").unlink()
        subprocess.run(["rm", "-rf", ".dvc/cache"], cwd=one, check=True)
    wrong = s3_server.variables | {name: "wrong"}
    if name == "none":
        del wrong["AWS_ACCESS_KEY_ID"], wrong["AWS_SECRET_ACCESS_KEY"]
        wrong |= {"HOME": str(tmp_path)}
    done = run(one, wrong, what)
    said = done.stderr.strip().splitlines()[-1]
    assert done.returncode == EXIT_CODE, done.stderr
    assert said.startswith(f"error: `dvc {what}` failed: ")
    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in said
    assert s3_server.secret not in done.stdout + done.stderr


@pytest.mark.parametrize("what", ["push", "pull"])
def test_a_server_that_is_gone(s3_server: Server, tmp_path: Path, what: str) -> None:
    one = clone(tmp_path / "one", "gone")
    run(one, {}, "repro")
    if what == "pull":
        (one / "made").unlink()
        subprocess.run(["rm", "-rf", ".dvc/cache"], cwd=one, check=True)
    gone = s3_server.variables | {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}
    done = run(one, gone, what)
    assert done.returncode == TRY_AGAIN, done.stderr
    assert "AWS_ENDPOINT_URL_S3" in done.stderr.strip().splitlines()[-1]
