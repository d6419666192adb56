"""The imagined pictures of an answer: which are new, and what is said of those that are missing.

And a known category waits for nothing."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from bentoml.exceptions import BentoMLException, ServiceUnavailable

from bento.imaginer import Delivered
from bento.worker import Beside
from components import config
from components.paths import BUNDLE
from tests.searching import Searching
from tests.toy import NAMES

KNOWN = NAMES[0]


@pytest.fixture
def search(built_toy: Path) -> Searching:
    return Searching(built_toy / BUNDLE, config.load(built_toy / "params.yaml"))


class Spoils:
    """Makes the first ``many`` pictures unfit. The pictures drawn in their places are fit, or with
    ``then`` cannot be had."""

    def __init__(self, many: int, then: Exception | None = None) -> None:
        self._many, self._then, self._calls = many, then, 0

    def __call__(self, found: list[Delivered]) -> list[Delivered]:
        self._calls += 1
        if self._calls > 1:
            if self._then is not None:
                raise self._then
            return found
        for one in found[: self._many]:
            one.vision = np.full(len(one.vision) // 4, np.nan, dtype=np.float32).tobytes()
        return found


def fails(_: list[Delivered]) -> list[Delivered]:
    raise BentoMLException("broken")


def asked(search: Searching, query: str, **options: Any) -> dict[str, Any]:
    return search(query, **{"mode": "fused"} | options)


def test_one_more_is_new_where_validation_left_one_out(search: Searching) -> None:
    bundle = search.worker.bundle
    bundle.accepted[0, 0] = False
    for column in ("addresses", "pictures", "seeds", "agreements"):
        first, *others = bundle.categories[column].tolist()
        bundle.categories[column] = [first.partition(" ")[2], *others]
    for images in (2, 3):
        answer = asked(search, KNOWN, images=images)
        assert len({one["id"] for one in answer["imagined"]}) == images
        assert len({*answer["seeds"]}) == images
        assert (answer["degraded"], answer["missing"]) == (None, None)


def test_one_more_that_cannot_be_had_is_told(search: Searching) -> None:
    search.remote.spoils = fails
    answer = asked(search, KNOWN, images=3)
    assert len(answer["imagined"]) == 2 and answer["mode"] == "fused"
    assert answer["degraded"] is None
    assert answer["missing"] == {"count": 1, "why": "failed"}
    whole = asked(search, KNOWN)
    assert whole["missing"] is None


def test_none_at_all_are_told_as_missing_too(search: Searching) -> None:
    search.remote.spoils = fails
    answer = asked(search, "an unheard of thing", images=3)
    assert (answer["mode"], answer["imagined"], answer["degraded"]) == ("text", [], "failed")
    assert answer["missing"] == {"count": 3, "why": "failed"}


def test_an_unfit_picture_is_drawn_again(search: Searching) -> None:
    search.remote.spoils = Spoils(2)
    answer = asked(search, "a thing drawn twice", images=6)
    assert len(answer["imagined"]) == 6 and all(one["kept"] for one in answer["imagined"])
    assert answer["missing"] is None


def test_an_unfit_picture_that_cannot_be_drawn_again_stays_and_is_told(search: Searching) -> None:
    search.remote.spoils = Spoils(2, ServiceUnavailable("full"))
    answer = asked(search, "a thing drawn once", images=6)
    whys = [one["why"] for one in answer["imagined"]]
    assert whys == ["cannot be encoded", "cannot be encoded", None, None, None, None]
    assert (answer["mode"], answer["degraded"]) == ("fused", None)
    assert answer["missing"] == {"count": 2, "why": "saturated"}


def test_one_that_was_dropped_does_not_hide_that_the_others_are_unfit(search: Searching) -> None:
    text = "a thing partly dropped"
    search.remote.spoils = lambda found: Spoils(1)(found)  # those drawn again as well
    first = asked(search, text, images=2)
    assert [one["why"] for one in first["imagined"]] == ["cannot be encoded", None]
    ids = [one["id"] for one in first["imagined"]]
    answer = asked(search, text, images=2, drop=ids[1:])
    assert (answer["mode"], answer["degraded"], answer["missing"]) == ("text", "unfit", None)
    nothing = asked(search, text, images=2, drop=ids)
    assert nothing["mode"] == "text" and nothing["degraded"] is None


def test_a_category_does_not_wait_for_what_is_encoded(built_toy: Path) -> None:
    params, encoding = config.load(built_toy / "params.yaml"), Beside("encode")
    search, gate = Searching(built_toy / BUNDLE, params, encoding), Event()
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(asyncio.run, encoding(gate.wait))
        try:
            assert asked(search, KNOWN)["known"]
            assert not busy.done()
        finally:
            gate.set()
        busy.result()
    assert not asked(search, "no category", mode="text")["known"]
