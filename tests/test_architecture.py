"""Dependencies point one way, and each heavy library has one home."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

from tests.toy import ROOT

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
HOMES = {
    "diffusers": {"components/imagining/generator.py"},
    "transformers": {"components/models/encoders.py"},
    "huggingface_hub": {"components/models/checkpoints.py"},
    "pi_heif": {"components/images/decoding.py"},
    "great_expectations": {"components/validation/suites.py"},
    "mlflow": {"components/lifecycle/registry.py"},
    "airflow": set(),
    "bentoml": set(),
}


def imported(path: Path) -> set[str]:
    """Top-level names of everything that ``path`` imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


def modules(folder: str) -> dict[str, set[str]]:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files, f"{folder}/ has no modules"
    return {p.relative_to(ROOT).as_posix(): imported(p) for p in files}


@pytest.mark.parametrize("library", HOMES)
def test_a_heavy_library_has_one_home(library: str) -> None:
    users = {name for name, names in modules("components").items() if library in names}
    assert users == HOMES[library]


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("components", {"dags", "bento", "ops", "zoo", "study", "tests"}),
        ("dags", {"bento", "zoo", "torch", "bentoml", "mlflow"}),
        ("bento", {"dags", "ops", "zoo", "airflow", "mlflow"}),
        ("ops", {"dags", "bento", "zoo"}),
        ("zoo", {"dags", "bento", "ops", "study"}),
        ("study", {"dags", "bento", "ops", "zoo"}),
    ],
)
def test_imports_point_one_way(folder: str, forbidden: set[str]) -> None:
    wrong = {
        name: names & forbidden for name, names in modules(folder).items() if names & forbidden
    }
    assert not wrong


def test_what_is_light_needs_no_heavy_library() -> None:
    """The tasks of a DAG and every `--help` load these."""
    heavy = {"torch", "transformers", "diffusers", "mlflow", "great_expectations"}
    alone = {f"components/{name}.py" for name in ("lifecycle/gate", "learning/metrics")}
    for name, found in modules("components").items():
        if name.count("/") == 1 or name.startswith("components/collection/") or name in alone:
            assert not found & heavy, name


PLUMBING = {
    "components/config/__init__.py": "its values are params",
    "components/config/profiles.py": "its values are params",
    "components/errors.py": "says what went wrong",
    "components/files.py": "writes aside",
    "components/locks.py": "waits for other processes",
    "components/paths.py": "names what deps and outs name",
    "components/progress.py": "shows how far it is",
    "components/variables.py": "chooses what processes see",
    "components/collection/outbox.py": "keeps what a stage does not read",
    "components/collection/quarantine.py": "keeps what a stage does not read",
    "components/versioning/dvc.py": "asks DVC",
    "components/versioning/lock.py": "reads what DVC recorded",
}
"""What a stage may use without depending on it."""


def needed_by(module: str) -> set[str]:
    """The files of components/ that ``module`` imports, and those that they import."""
    found, left = set(), [module]
    while left:
        name = left.pop()
        if name in found or name in PLUMBING:
            continue
        found.add(name)
        for node in ast.walk(ast.parse((ROOT / name).read_text())):
            left += imported_from(node)
    return found


def imported_from(node: ast.AST) -> list[str]:
    """The files of components/ that an import names: a module, or modules of a package."""
    if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("components"):
        return []
    place = str(node.module).replace(".", "/")
    candidates = [f"{place}.py", *(f"{place}/{alias.name}.py" for alias in node.names)]
    return [name for name in candidates if (ROOT / name).is_file()]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_code_that_it_runs(stage: str) -> None:
    """So a corrected measure, say, is measured anew."""
    (verb,) = (
        node
        for node in ast.parse((ROOT / "components" / "cli" / "stages.py").read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name == stage
    )
    used = {name for node in ast.walk(verb) for name in imported_from(node)}
    assert used
    code = set().union(*(needed_by(name) for name in used)) - set(PLUMBING)
    deps = [dep for dep in STAGES[stage]["deps"] if dep.startswith("components")]
    assert not {name for name in code if not any(name.startswith(dep) for dep in deps)}
    assert all((ROOT / dep).exists() for dep in deps)
