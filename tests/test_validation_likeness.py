"""The nearest better picture is the same whatever was compared before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.features.segments import Keys
from components.features.store import FeatureStore, of_texts
from components.validation import likeness
from components.validation.appearance import Views
from components.validation.likeness import Likeness, view_distances
from components.vectors import Array, normalized

pytestmark = pytest.mark.numeric

FILE = "alike.safetensors"
CLOSEST = 0.1
WORLD = 90  # contents


def world(seed: int, *, crowded: bool) -> tuple[Keys, Array]:
    """Keys and views of contents, among which some are copies of others."""
    rng = np.random.default_rng(seed)
    made = rng.standard_normal((WORLD, 3, 8))
    if crowded:  # so that many have the same nearest ones
        made[: WORLD // 2] = made[0] + 0.2 * rng.standard_normal((WORLD // 2, 3, 8))
    made[5::9] = made[4::9] * 1.7
    return of_texts([f"{seed} {i}" for i in range(WORLD)]), normalized(made.astype(np.float32))


def plainly(keys: Keys, views: Array) -> tuple[list[float], list[int]]:
    """The nearest better one of each picture, by comparing all with all."""
    nearest, of, kept = [float("nan")], [0], [0]
    exact = views.astype(np.float64)
    for row in range(1, len(views)):
        apart = np.round(view_distances(exact[row : row + 1], exact[kept])[0], 6)
        nearest.append(apart.min())
        of.append(kept[int(apart.argmin())])
        if not nearest[-1] < CLOSEST:
            kept.append(row)
    return nearest, of


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 5), st.booleans(), st.data())
def test_what_was_compared_before_changes_nothing(
    seed: int, crowded: bool, data: st.DataObject
) -> None:
    keys, views = world(seed, crowded=crowded)
    found = Likeness()
    for _ in range(3):
        chosen = data.draw(st.lists(st.integers(0, WORLD - 1), min_size=1, max_size=WORLD))
        nearest, of = found.nearest_better(keys[chosen], views[chosen], CLOSEST)
        expected, its = plainly(keys[chosen], views[chosen])
        np.testing.assert_array_equal(nearest, expected)
        assert of.tolist() == its


def stored(folder: Path, keys: Keys, views: Array) -> FeatureStore:
    store = FeatureStore(folder)
    shelf = store.pictures(Views(), None)
    shelf.add(keys, views)
    shelf.flush()
    return store


def test_only_what_is_new_is_compared(tmp_path: Path) -> None:
    keys, views = world(0, crowded=True)
    store, some = stored(tmp_path / "features", keys, views), slice(0, WORLD - 7)
    first = Likeness.kept(store, tmp_path / FILE)
    first.nearest_better(keys[some], views[some], CLOSEST)
    first.save(tmp_path / FILE)
    again = Likeness.kept(store, tmp_path / FILE)
    order = np.random.default_rng(1).permutation(WORLD)  # another category changes the margins
    nearest, of = again.nearest_better(keys[order], views[order], CLOSEST)
    assert (first.compared, again.compared) == (WORLD - 7, 7)
    expected, its = plainly(keys[order], views[order])
    np.testing.assert_array_equal(nearest, expected)
    assert of.tolist() == its


def test_what_is_gone_is_forgotten(tmp_path: Path) -> None:
    keys, views = world(0, crowded=True)
    store, later = stored(tmp_path / "features", keys[10:], views[10:]), slice(30, WORLD)
    first = Likeness()
    first.nearest_better(keys, views, CLOSEST)
    first.save(tmp_path / FILE)
    second = Likeness.kept(store, tmp_path / FILE)  # the store lacks ten
    nearest, _ = second.nearest_better(keys[later], views[later], CLOSEST)
    np.testing.assert_array_equal(nearest, plainly(keys[later], views[later])[0])
    second.save(tmp_path / FILE)
    third = Likeness.kept(store, tmp_path / FILE)
    nearest, of = third.nearest_better(keys, views, CLOSEST)
    assert (second.compared, third.compared) == (0, 30)
    expected, its = plainly(keys, views)
    np.testing.assert_array_equal(nearest, expected)
    assert of.tolist() == its


@pytest.mark.parametrize("damage", ["missing", "cut", "another"])
def test_a_file_that_cannot_be_used_costs_time_only(
    tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, views = world(0, crowded=False)
    store, first = stored(tmp_path / "features", keys, views), Likeness()
    first.nearest_better(keys, views, CLOSEST)
    first.save(tmp_path / FILE)
    file = tmp_path / FILE
    data = file.read_bytes()
    match damage:
        case "missing":
            file.unlink()
        case "cut":
            file.write_bytes(data[:-40] + bytes(40))
        case _:
            monkeypatch.setattr(likeness, "_made_by", lambda: "other code")
    again = Likeness.kept(store, tmp_path / FILE)
    nearest, _ = again.nearest_better(keys, views, CLOSEST)
    assert again.compared == WORLD
    np.testing.assert_array_equal(nearest, plainly(keys, views)[0])
