"""Tables: reading gives back what was written, and a damaged table is reported as such."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components import tables
from components.errors import EidolonError
from tests.toy import ROOT

ODD = ("007", "1e5", "NA", "null", "nan", "True", "", " padded ", "a,b", 'say "x"', "two\nlines")
MORE = ("#", "-1", "'", "\ufeffx", "\x1c", "\u2028", "漢字", "😀", "1_000", "0x1f", "inf", "\t")
CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=12)


@given(st.lists(st.tuples(CELL, CELL, st.integers(-(2**63), 2**63 - 1)), max_size=6))
@example([(text, text, i) for i, text in enumerate((*ODD, *MORE))])
@example([("", "", 0)])
def test_text_stays_text_and_numbers_numbers(rows: list[tuple[str, str, int]]) -> None:
    frame = pd.DataFrame(rows, columns=["category", "0", "seed"])
    frame = frame.astype({"category": str, "0": str, "seed": "int64"})
    again = tables.parse(tables.text(frame), ("category",), "it", "", ("seed", "attempt"))
    pd.testing.assert_frame_equal(again, frame)


@given(st.lists(st.lists(CELL, min_size=2, max_size=2), max_size=9), st.integers(1, 9))
def test_a_table_is_the_same_whatever_is_read_at_once(rows: list[list[str]], count: int) -> None:
    written = tables.text(pd.DataFrame(rows, columns=["a", "b"], dtype=str))
    whole = tables.parse(written, (), "it", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_AT_ONCE", count)
        pd.testing.assert_frame_equal(tables.parse(written, (), "it", ""), whole)
        with pytest.raises(EidolonError, match=r"\['x'\] has 1 values for 2 columns"):
            tables.parse(written + "x\n", (), "it", "")


@pytest.mark.parametrize("text", ODD)
def test_a_table_of_one_column_keeps_every_row(tmp_path: Path, text: str) -> None:
    frame = pd.DataFrame({"a": [text, "x", text]}, dtype=str)
    tables.write(tmp_path / "a.csv", frame)
    pd.testing.assert_frame_equal(tables.read(tmp_path / "a.csv", "a", "mend it"), frame)


@pytest.mark.parametrize("text", ["carriage\rreturn", "nul\0"])
def test_values_that_no_table_can_hold_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(EidolonError, match="has a control character"):
        tables.write(tmp_path / "a.csv", pd.DataFrame({"n": [1], "a": [text]}))
    assert not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "it is empty"),
        ("path,seed\na,1\nb", "has 1 values for 2 columns"),  # cut off
        ("path,seed\n<<<<<<< HEAD\na,1\n", "has 1 values"),  # a conflict of git
        ("path,seed\na,1,2\n", "has 3 values"),  # pandas would take the first column as an index
        ("path,seed\na,x\n", "invalid literal"),
        ("path,seed\na,1" + "0" * 30, "too large"),
        ('path,seed\n"a,1\n', "unexpected end"),
        ("seed\n1\n", "lacks the columns"),
    ],
)
def test_a_damaged_table_is_reported_with_its_remedy(
    tmp_path: Path, content: str, said: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(EidolonError, match=rf"a\.csv is damaged \(.*{said}.*: mend it"):
        tables.read(path, ("path",), "mend it", ("seed",))


def test_a_missing_table_and_one_that_is_not_text_are_reported(tmp_path: Path) -> None:
    with pytest.raises(EidolonError, match=r"a\.csv is missing: mend it"):
        tables.read(tmp_path / "a.csv", (), "mend it")
    (tmp_path / "a.csv").write_bytes(b"a\n\xff\n")
    with pytest.raises(EidolonError, match=r"a\.csv is damaged .*: mend it"):
        tables.read(tmp_path / "a.csv", (), "mend it")


def test_every_table_goes_through_one_module() -> None:
    """pandas guesses the type of a column, and each direct call of it would guess again."""
    parts = ("components", "ops", "bento", "dags", "study", "benchmarks", "zoo")
    users = {
        path.relative_to(ROOT).as_posix()
        for part in parts
        for path in (ROOT / part).rglob("*.py")
        if ".read_csv(" in (text := path.read_text()) or ".to_csv(" in text
    }
    assert users == {"components/tables.py"}
