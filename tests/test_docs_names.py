"""Parameters, files and tests that the documents name exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest
import yaml

from components import config, paths
from tests import documents
from tests.documents import codes
from tests.toy import ROOT

SOURCES = ("components", "ops", "bento", "dags", "zoo", "benchmarks", "study")
SUFFIXES = {"csv", "html", "json", "md", "png", "py", "safetensors", "yaml"}
MADE = ("data/", "artifacts/", "reports/", ".eidolon/", ".dvc/", "inbox/", "outbox/", "collection/")
"""Folders that runs and people fill: their files are not in git."""

ELSEWHERE = {
    "data/CUB/": "in the archive of Xian et al.",
    ".dvc/cache": "DVC makes it",
}
"""Paths that look like this project's own, and why they are not."""

_PATH = re.compile(
    r"(?<![\w./<~-])"
    rf"(?:(?:{'|'.join((*SOURCES, 'tests', 'docs', 'profiles'))})/|"
    rf"{'|'.join(re.escape(place) for place in MADE)})"
    r"[\w./*-]*"
)


def fields() -> dict[str, frozenset[str]]:
    """The fields of each section of params.yaml."""
    return {
        (field.alias or name): frozenset(
            below.alias or key for key, below in field.annotation.model_fields.items()
        )
        for name, field in config.Params.model_fields.items()
        if hasattr(field.annotation, "model_fields")
    }


@pytest.mark.parametrize("name", documents.names())
def test_parameters_that_a_document_names_exist(name: str) -> None:
    known, document = fields(), documents.read(name)
    former = {code for row in document.tables.get("Upgrading", []) for code in codes(row[0])}
    wrong = []
    for span in document.spans:
        if span in former:
            continue
        for section, key in re.findall(r"(?<![\w./-])([a-z]+)\.([a-z_]+)\b(?![(/.])", span):
            if section in known and key not in known[section] | SUFFIXES:
                wrong.append(f"`{span}`: {section} of params.yaml has no field {key}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", documents.names())
def test_paths_that_a_document_names_exist(name: str) -> None:
    document = documents.read(name)
    text = "\n".join([document.prose, *(b.text for b in document.blocks if b.language != "diff")])
    text = re.sub(r"\]\([^)]*\)", "]", text)  # links have a test of their own
    wrong = [path for path in dict.fromkeys(_PATH.findall(text)) if not exists(path)]
    assert not wrong, f"{name} names paths that are not there: {wrong}"


@pytest.mark.parametrize("name", documents.names())
def test_tests_that_a_document_names_exist(name: str) -> None:
    wrong = [s for s in documents.read(name).spans if s.startswith("test_") and s not in defined()]
    assert not wrong, f"{name} names tests that are not there: {wrong}"


def exists(path: str) -> bool:
    """Whether a path is in git, or is made by a run. A `*` and names in capitals stand for any
    name."""
    path = path.rstrip(".")
    if path in ELSEWHERE or path.rstrip("/") in documents.tracked():
        return True
    general = re.sub(r"\b[A-Z]{4,}\b", "*", path)
    if "*" in general:
        pattern = re.compile(re.escape(general.rstrip("/")).replace(r"\*", "[^/]+"))
        if any(pattern.fullmatch(name) for name in documents.tracked()):
            return True
    if not path.startswith(MADE):
        return False
    below = path.rstrip("/").split("/")[1:]
    if path.startswith(("data/", "artifacts/")) and below:
        place = next((p for p in outputs() if f"{path.rstrip('/')}/".startswith(f"{p}/")), None)
        if place is None:
            return False
    fixed = [
        part for part in below if not re.fullmatch(r"[A-Z]+(\.\w+)?|.*\*.*|\d+\..*|\w*_\w+", part)
    ]
    return all(part in written() for part in fixed)


@cache
def outputs() -> frozenset[str]:
    """What the stages of dvc.yaml and the constants of components.paths say is written."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()
    found = {
        path if isinstance(path, str) else next(iter(path))
        for stage in stages
        for kind in ("outs", "metrics", "plots")
        for path in stage.get(kind, [])
    }
    found |= {str(value) for name, value in vars(paths).items() if name.isupper()}
    return frozenset(path.split("/${")[0] for path in found)


@cache
def written() -> frozenset[str]:
    """The parts of all paths in string literals of the code, and in dvc.yaml."""
    found = {part for path in outputs() for part in path.split("/")}
    for literal in literals():
        found |= set(re.split(r"[/\s{}]", literal))
    return frozenset(found)


def literals() -> Iterator[str]:
    for folder in SOURCES:
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


@cache
def defined() -> frozenset[str]:
    """The names of all tests."""
    text = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("*.py"))
    return frozenset(re.findall(r"^def (test_\w+)", text, re.M))
