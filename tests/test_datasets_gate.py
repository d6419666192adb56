"""The split `gate`: which unseen categories it takes, and what is left of them elsewhere."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from components import config
from components.config import profiles
from components.datasets.adapter import Category
from components.datasets.dataset import dataset
from components.datasets.kept_for_gate import kept_for_gate
from components.paths import CONFIDENCE, EVALUATION, FEATURES
from tests.toy import ROOT
from tests.trees import params

SIZES = {"gallery_per_category": 1, "training_per_category": 1}


def unseen(*names: str) -> list[Category]:
    return [Category(name, "unseen", [Path("a.png")], []) for name in names]


def kept(categories: list[Category], share: float = 0.5) -> set[str]:
    """The names that are kept for the gate."""
    found = kept_for_gate(categories, params("emblems", None, gate_share=share, **SIZES))
    assert [c.name for c in found] == [c.name for c in categories]
    return {c.name for c in found if c.split == "gate"}


def test_a_share_of_the_unseen_categories_is_kept_for_the_gate() -> None:
    others = [Category(s, s, [Path("a.png")], [Path("b.png")]) for s in ("train", "validation")]
    many = unseen(*(f"category {i}" for i in range(1000)))
    assert len(kept([*others, *many])) == pytest.approx(500, abs=50)
    assert not kept([*others, *many], 0.0) and not kept(others, 1.0)
    assert len(kept([*others, *many], 1.0)) == 999  # one stays, so that there is one to report
    assert not kept(unseen("alone"), 1.0)


def test_a_category_keeps_its_place_when_others_come_and_go() -> None:
    names = [f"category {i}" for i in range(200)]
    first = kept(unseen(*names))
    assert kept(unseen(*names[:100])) == first & set(names[:100])
    assert kept(unseen(*reversed(names), "red fox", "wolf")) - {"red fox", "wolf"} == first
    assert kept(unseen(*map(str.upper, names))) == {name.upper() for name in first}
    other = params("emblems", None, seed=1, gate_share=0.5, **SIZES)
    found = kept_for_gate(unseen(*names), other)
    assert {c.name for c in found if c.split == "gate"} != first


def test_the_emblems_have_46_categories_for_the_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = config.load(ROOT / "profiles" / "embedded.yaml").dataset
    frame = dataset(chosen.model_copy(update=SIZES), tmp_path / "out").drop_duplicates("category")
    counts = {"train": 200, "gate": 46, "validation": 40, "unseen": 34}
    assert frame["split"].value_counts().to_dict() == counts


@pytest.mark.parametrize("profile", ["cub200-sdxl-turbo", "oxford102-sdxl-turbo"])
def test_the_official_unseen_categories_stay_complete(
    profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert profiles.load(profile).dataset.gate_share == 0


def test_no_reported_figure_counts_the_gate(in_toy: Path) -> None:
    splits = pd.read_csv(FEATURES / "categories.csv").set_index("category")["split"]
    (name,) = splits.index[splits == "gate"]
    assert name in set(pd.read_csv(FEATURES / "gallery.csv")["category"])  # it is searched
    assert name not in set(pd.read_csv(FEATURES / "training.csv")["category"])
    reported = pd.read_csv(EVALUATION / "per_category.csv")
    assert set(reported["category"]) == set(splits.index) - {name}
    for table in ("fitted.csv", "measured.csv"):
        words = pd.read_csv(CONFIDENCE / table, keep_default_na=False)["words"]
        assert name not in set(words)
