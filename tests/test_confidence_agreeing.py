"""The limit on agreement is chosen where text alone ranks better, and only where that is shown."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import config
from components.confidence import agreeing
from components.index.gallery import Gallery
from components.vectors import normalized

RULES = config.Evaluate(bootstrap=500, min_categories=5, seed=0)


def texts(poor: int, good: int, loss: float = 0.3, noise: float = 0.05) -> pd.DataFrame:
    """Texts whose pictures agree little and make the ranking worse by ``loss``, and good ones."""
    rng = np.random.default_rng(0)
    agreement = np.concatenate([rng.uniform(0, 2, poor), rng.uniform(2.5, 4, good)])
    gain = np.concatenate([np.full(poor, -loss), np.full(good, 0.1)])
    text = rng.uniform(0.4, 0.6, poor + good)
    fused = text + gain + noise * rng.normal(size=poor + good)
    return pd.DataFrame({"agreement": agreement, "text": text, "fused": fused})


def test_the_limit_lies_between_poor_and_good_pictures() -> None:
    found = texts(20, 20)
    least = agreeing.limit(found)
    assert least is not None and 1.5 < least < 2.6
    told = agreeing.summary(found, least, RULES)
    assert (told["texts"], told["by_text"]) == (40, 20)
    assert told["chosen"] > max(told["text"], told["fused"])
    assert told["gain"]["low"] > 0 and told["over_text"]["low"] > 0


@pytest.mark.parametrize(
    "found",
    [texts(0, 30), texts(20, 20, loss=-0.1), texts(2, 30, loss=0.01, noise=0.2), texts(4, 4)],
    ids=["all good", "no loss", "not shown", "too few"],
)
def test_without_a_gain_that_is_shown_there_is_no_limit(found: pd.DataFrame) -> None:
    assert agreeing.limit(found) is None
    told = agreeing.summary(found, None, RULES)
    assert told["by_text"] == 0 and told["chosen"] == told["fused"]


def test_agreement_that_says_nothing_hardly_ever_gives_a_limit() -> None:
    found, rng = texts(20, 20, loss=0.05), np.random.default_rng(3)
    lots = [found.assign(agreement=rng.permutation(found["agreement"])) for _ in range(40)]
    assert sum(agreeing.limit(one) is not None for one in lots) <= 12


@given(values=st.lists(st.tuples(*[st.integers(0, 100)] * 3), max_size=30))
def test_a_limit_never_makes_the_texts_worse_that_it_was_chosen_on(
    values: list[tuple[int, int, int]],
) -> None:
    distinct = {agreement: (text, fused) for agreement, text, fused in values}
    rows = [(agreement, *aps) for agreement, aps in distinct.items()]
    found = pd.DataFrame(rows, columns=["agreement", "text", "fused"], dtype=np.float64) / 100
    least = agreeing.limit(found)
    if least is not None:
        told = agreeing.summary(found, least, RULES)
        assert told["chosen"] > told["fused"] and told["by_text"] > 0


def test_texts_without_a_fit_picture_or_a_right_one_are_left_out() -> None:
    rng = np.random.default_rng(0)
    vectors = normalized(rng.normal(size=(8, 4))).astype(np.float32)
    gallery, labels = Gallery(vectors, vectors), np.array([0, 0, 1, 1, 1, 2, 2, 2])
    pictures = gallery, labels, np.ones(8, dtype=bool)
    agreements = [1.0, 2.0, float("nan")]
    found = agreeing.ranked(*pictures, [(0,), (), (2,)], vectors[:3], vectors[:3], agreements, 0.5)
    assert found["agreement"].tolist() == [1.0] and found["text"].between(0, 1).all()
    none = agreeing.ranked(*pictures, [], vectors[:0], vectors[:0], [], 0.5)
    assert none.empty and agreeing.limit(none) is None
    assert agreeing.summary(none, None, RULES) == {"least": None, "texts": 0}
