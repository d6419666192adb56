"""docs/security.md: each promise names a test that holds it, and that test exists and runs."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache

from tests import documents
from tests.documents import codes
from tests.toy import ROOT

PAGE = "docs/security.md"


@cache
def defined() -> dict[str, ast.FunctionDef]:
    """All tests by their names, each of which is the name of one test only."""
    found = [
        node
        for file in (ROOT / "tests").glob("test_*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    counts = Counter(node.name for node in found)
    return {node.name: node for node in found if counts[node.name] == 1}


def test_every_promise_names_the_test_that_holds_it() -> None:
    header, *rows = documents.section(PAGE, "Promises")
    assert header == ["promise", "how", "held by"]
    promises = [row for row in rows if row[1] or row[2]]
    assert len(promises) > 20
    for promise, how, held in promises:
        assert promise and how, (promise, how)
        assert codes(held), f"no test holds this promise: {promise}"
        for name in codes(held):
            assert name in defined(), f"{name} is not the name of one test: {promise}"


def test_no_test_that_holds_a_promise_is_left_out() -> None:
    """A test that may be skipped holds nothing."""
    for _, _, held in documents.section(PAGE, "Promises")[1:]:
        for name in codes(held):
            marks = [ast.unparse(mark) for mark in defined()[name].decorator_list]
            assert not [mark for mark in marks if "skip" in mark or "xfail" in mark], name
