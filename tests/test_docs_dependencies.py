"""Each dependency has a reason in docs/dependencies.md and a pin in constraints.txt."""

from __future__ import annotations

import re
import tomllib

from tests import documents
from tests.toy import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def declared() -> set[str]:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return {re.split(r"[<>=!~\[ ]", line)[0].lower() for group in groups for line in group}


def test_every_dependency_has_a_reason() -> None:
    rows = documents.section("docs/dependencies.md", "Dependencies")[1:]
    shown = {name.strip().lower() for row in rows for name in row[0].split(",")}
    assert shown == declared(), (
        "the table of docs/dependencies.md and pyproject.toml differ in"
        f" {sorted(shown ^ declared())}"
    )
    assert all(row[1] for row in rows)


def test_every_dependency_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.+-]+", line) for line in lines)
    assert lines == sorted(lines), "constraints.txt is not sorted: run `LC_ALL=C sort`"
    missing = declared() - {line.split("==")[0].lower() for line in lines}
    assert not missing, f"pin these in constraints.txt: {sorted(missing)}"
