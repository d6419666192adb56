"""What people marked, beside the verdict: shown for each version, and deciding nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from components.learning.aggregator import aggregate
from components.lifecycle import contenders, marked
from components.lifecycle.contenders import Contender
from components.serving.loading import Bundle
from components.vectors import Array
from tests import contending
from tests.contending import WORSE, World, version

pytest_plugins = ["tests.contending"]


def marks(queries: int, prefix: str = "") -> list[tuple[str, str, bool]]:
    """For each of so many categories, two of its pictures are right, and two of the next wrong."""
    return [
        (f"{prefix}category {i}", f"category {i + (not right)}/{picture}.png", right)
        for i in range(queries)
        for right in (True, False)
        for picture in range(2)
    ]


def test_marks_are_shown_for_each_version_and_decide_nothing(made: World) -> None:
    challenger, champion, best = version(made, 3), version(made, 1, WORSE), version(made, 2, WORSE)
    before = made.judge(challenger, champion, best)
    assert made.told()["marked"] == {"kept": 0} and "There are no marks." in made.page()
    gone = [("category 0", "gone", True)]
    contending.marked(made, [*marks(12), *gone, ("category 20", "category 20/0.png", True)])
    verdict = made.judge(challenger, champion, best)
    found = made.told()["marked"]
    assert (found["kept"], found["marks"], found["queries"]) == (50, 48, 12)
    assert (found["gone"], found["unknown"], found["text_alone"]) == (1, 0, 0)
    means = {role: one["mean"] for role, one in found["versions"].items()}
    assert means["challenger"] > max(means["champion"], means["best"])
    for role in ("champion", "best"):
        one = found["differences"][role]
        assert 0 <= one["low"] <= one["mean"] <= one["high"]
        assert one["mean"] == pytest.approx(means["challenger"] - means[role], abs=2e-4)
        assert verdict.figures[f"marked.minus_{role}.mean"] == one["mean"]
    assert verdict.figures["marked.queries"] == 12
    for part in ("48 of 50 marks", "version 3 minus version 1", "decides nothing", "favour it"):
        assert part in made.page(), part
    assert (verdict.passed, verdict.reason) == (before.passed, before.reason)
    assert before.figures.items() <= verdict.figures.items()
    contending.marked(made, [(query, pixels, not right) for query, pixels, right in marks(12)])
    assert made.judge(challenger, champion, best).passed == before.passed
    mirrored = made.told()["marked"]["differences"]["champion"]["mean"]
    assert mirrored == pytest.approx(-found["differences"]["champion"]["mean"], abs=2e-4)


def test_marks_that_cannot_be_compared_say_why_and_stop_nothing(made: World) -> None:
    challenger, champion = version(made, 2), version(made, 1)
    contending.marked(made, [("category 0", "gone", True), ("category 0", "gone too", False)])
    assert made.judge(challenger, champion).passed
    assert "0 of 2 marks" in made.page() and "2 are of pictures that are not" in made.page()
    contending.marked(made, marks(3, "picture of "))  # the models of this world cannot be loaded
    assert made.judge(challenger, champion).passed
    assert "The marks could not be compared: " in made.page()
    (made.folder / "collection" / "feedback.csv").write_text("query\n")
    assert made.judge(challenger, champion).passed
    assert "feedback.csv" in made.told()["marked"]["problem"]


def test_a_marked_text_that_is_no_category_is_embedded_by_each_versions_encoder(
    made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def describe(_: object, texts: Sequence[str], __: Sequence[str]) -> Array:
        """Knows what `picture of` a category is."""
        return made.features.text[[int(text.split()[-1]) for text in texts]]

    monkeypatch.setattr(contenders, "describe", describe)
    contending.marked(made, marks(12, "picture of "))
    made.judge(version(made, 2), version(made, 1, WORSE))
    found = made.told()["marked"]
    assert (found["queries"], found["text_alone"]) == (12, 12)
    assert found["versions"]["challenger"] == found["versions"]["champion"]  # by text alone
    assert found["versions"]["challenger"]["mean"] > 0.5
    assert "12 of the queries are ranked by text alone" in made.page()

    def pictures(bundle: Bundle, *_: object) -> Callable[[str], Array]:
        queries = aggregate(bundle.aggregator, made.features)
        return lambda query: queries[int(query.split()[-1])]

    monkeypatch.setattr(marked, "remembered_for", pictures)
    made.judge(Contender("version 2", made.folder / "bundle-2"), version(made, 3, WORSE))
    found = made.told()["marked"]
    assert found["text_alone"] == 0
    assert found["differences"]["champion"]["mean"] > 0
