"""Suites of expectations: what fails, how severely and where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.validation import suites

pytestmark = pytest.mark.numeric


def test_a_suite_says_what_fails_how_severely_and_where(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"path": list("abcd"), "fine": [True, True, True, False], "size": [1.0, 2.0, np.nan, 9.0]}
    )
    rules = [
        suites.Rule("fine", 1, None, "is not fine", "warning"),
        suites.Rule("size", None, 5, "is too large", "critical"),
    ]
    lenient = [suites.Rule("size", None, 5, "is too large", "critical", mostly=0.6)]
    found = suites.run(
        [
            suites.Suite("one", frame, "path", rules),
            suites.Suite("two", frame, "path", lenient),
        ],
        tmp_path / "docs",
    )
    assert found == [
        suites.Failure("critical", "one: 1 of 4: is too large (size should be at most 5): d"),
        suites.Failure("warning", "one: 1 of 4: is not fine (fine should be at least 1): d"),
    ]
    assert (tmp_path / "docs" / "index.html").is_file()
