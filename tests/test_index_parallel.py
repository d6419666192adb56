"""Sharing out the work on a gallery among threads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.index.parallel import each, shares


@given(st.integers(0, 10_000), st.integers(1, 500), st.integers(1, 5))
def test_shares_are_even_and_as_many_for_each_thread(rows: int, most: int, threads: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", str(threads))
        found = shares(rows, most)
    assert [row for one in found for row in range(one.start, one.stop)] == list(range(rows))
    sizes = {one.stop - one.start for one in found}
    assert not sizes or (max(sizes) <= most and max(sizes) - min(sizes) <= 1)
    assert len(found) % threads == 0 or len(found) == rows


def test_an_error_in_a_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")

    def work(rows: slice) -> None:
        if rows.start == 2:
            raise ValueError("of the third")

    with pytest.raises(ValueError, match="of the third"):
        each(work, shares(4, 1))
