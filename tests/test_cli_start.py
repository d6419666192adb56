"""The command line starts without what only some verbs need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.toy import ROOT

HEAVY = (
    "bentoml",
    "diffusers",
    "great_expectations",
    "matplotlib",
    "mlflow",
    "sklearn",
    "torch",
    "transformers",
)
_LOADED = f"print(*sorted(set(sys.modules) & {set(HEAVY)!r}))"
_EVERY_HELP = """
import sys
from typer.testing import CliRunner
from components.cli.__main__ import app
from docs.commands import leaves
import typer.main
runner, group = CliRunner(), typer.main.get_command(app)
verbs = [called.split()[1:] for called, _ in leaves("eidolon", group)]
assert len(verbs) > 25
for verb in [[], *verbs]:
    assert runner.invoke(app, [*verb, "--help"]).exit_code == 0, verb
"""
_RUN = """
import sys
from components.cli.__main__ import main
try:
    main()
except SystemExit as left:
    assert not left.code
"""


def loaded(code: str, *arguments: str, folder: Path = ROOT) -> str:
    """The heavy packages that ``code`` loads."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{_LOADED}", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_no_help_loads_anything_heavy() -> None:
    assert loaded(_EVERY_HELP) == ""


@pytest.mark.parametrize("verb", ["source", "dataset", "plan"])
def test_a_stage_that_computes_little_loads_little(project: Path, verb: str) -> None:
    assert loaded(_RUN, verb, folder=project) == ""


@pytest.mark.parametrize(
    "module",
    ["dags/perform.py", "ops/steps.py", "ops/rollout.py", "components/models/checkpoints.py"],
)
def test_what_every_task_imports_is_light(module: str) -> None:
    """A model's fingerprint, which the Bento's tag needs, is among them."""
    name = Path(module).with_suffix("").as_posix().replace("/", ".")
    if name.startswith("dags."):
        name = name.removeprefix("dags.")
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'dags')!r}); import {name}"
    assert loaded(code) == ""


def test_a_champion_that_is_unchanged_is_judged_without_torch() -> None:
    code = (
        "import sys\n"
        "from components.lifecycle import promotion, registry\n"
        "from ops import rollout\n"
        "registry.version_of = lambda alias: '7'\n"
        "promotion.note_found = lambda version, before: None\n"
        "assert rollout.gate('7', print)['champion'] == '7'"
    )
    assert loaded(code, folder=ROOT) == "mlflow"
