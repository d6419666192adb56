"""docs/operations.md lists every environment variable and every exit status of the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from components import errors
from tests import documents
from tests.toy import ROOT

FOLDERS = ("components", "ops", "bento", "dags", "zoo", "benchmarks", "study")
PAGE = "docs/operations.md"
VARIABLE = re.compile(
    r"(?:EIDOLON|MLFLOW|BENTOML|AIRFLOW|HF|DVC|GX|OMP|CUDA)_[A-Z0-9_]*[A-Z0-9]|PYTHON[A-Z]+"
)


def nodes() -> Iterator[ast.AST]:
    for folder in FOLDERS:
        for file in (ROOT / folder).rglob("*.py"):
            yield from ast.walk(ast.parse(file.read_text()))


def test_every_environment_variable_is_documented() -> None:
    used = {
        node.value
        for node in nodes()
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and VARIABLE.fullmatch(node.value)
    }
    rows = documents.section(PAGE, "Environment variables")
    shown = {name for row in rows for name in documents.codes(row[0])}
    assert not used - shown, (
        f"add these to the table “Environment variables” of {PAGE}: {sorted(used - shown)}"
    )
    assert not shown - used, (
        f"the table “Environment variables” of {PAGE} has variables that no code uses:"
        f" {sorted(shown - used)}"
    )


def test_every_exit_status_is_documented() -> None:
    used = {0, errors.EXIT_CODE, errors.TRY_AGAIN}
    for node in nodes():
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "sys.exit":
            used |= {a.value for a in node.args if isinstance(a, ast.Constant)}
    rows = documents.section(PAGE, "Exit statuses")
    shown = {int(row[0]) for row in rows if row[0].isdecimal()}
    assert used == shown, f"the table “Exit statuses” of {PAGE} must list {sorted(used)}"
