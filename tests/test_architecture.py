"""Dependencies point one way, and each heavy library has one home."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.toy import ROOT

HOMES = {
    "diffusers": {"components/generate.py"},
    "transformers": {"components/encoders.py"},
    "huggingface_hub": {"components/checkpoints.py"},
    "great_expectations": {"components/validation/suites.py"},
    "mlflow": {"components/registry.py"},
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


def test_floor_zero_needs_no_heavy_library() -> None:
    light = (
        "archives",
        "collection",
        "config",
        "errors",
        "files",
        "gate",
        "manifest",
        "metrics",
        "paths",
        "search",
        "workspace",
        "progress",
    )
    heavy = {"torch", "transformers", "diffusers", "mlflow", "great_expectations"}
    files = modules("components")
    assert not any(files[f"components/{name}.py"] & heavy for name in light)
