"""A picture is drawn once: recipes, addresses and the store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components import config
from components.imagining.drawing import LazyGenerator, draw
from components.imagining.recipes import Wanted, address_of, recipe_of, wanted
from components.imagining.seeds import seed_of
from components.imagining.store import Store
from tests import toy
from tests.imagining import drawn, pixels

IDENTITY = {"model": "m@1", "steps": 2, "guidance": 3.0, "size": 32, "dtype": "float32"}


@pytest.fixture(scope="module")
def params(toy_models: Path) -> config.Generator:
    return config.Params.model_validate(toy.params(toy_models, toy_models)).generator


def test_an_address_depends_on_each_part_of_the_recipe() -> None:
    base = recipe_of("a star", 7, IDENTITY)
    assert recipe_of("a star", 7, dict(reversed(IDENTITY.items()))) == base
    others = [recipe_of("a ring", 7, IDENTITY), recipe_of("a star", 8, IDENTITY)]
    others += [recipe_of("a star", 7, IDENTITY | {part: 99}) for part in IDENTITY]
    assert len({address_of(r) for r in (base, *others)}) == 1 + 2 + len(IDENTITY)


def test_seeds_are_those_of_earlier_versions_and_differ_by_attempt() -> None:
    assert seed_of("a photo of a red plain star", 3, 0) == 878176310
    first = Wanted("star", 3, "a star", seed_of("a star", 3, 0))
    tries = [first, first.again(0), first.again(0).again(0)]
    assert [w.attempt for w in tries] == [0, 1, 2]
    assert len({w.seed for w in tries}) == 3
    others = {seed_of("a star", k, base) for k in range(64) for base in range(4)}
    assert not {w.seed for w in tries[1:]} & others


def test_a_batch_mixes_categories(params: config.Generator) -> None:
    names = [w.category for w in wanted(params, toy.NAMES)]
    for i in range(0, len(names), len(toy.NAMES)):
        assert sorted(names[i : i + len(toy.NAMES)]) == sorted(toy.NAMES)


@pytest.mark.numeric
def test_pictures_do_not_depend_on_what_is_drawn_beside_them(
    params: config.Generator, tmp_path: Path
) -> None:
    pictures = wanted(params, toy.NAMES)
    one, other = Store(tmp_path / "one"), Store(tmp_path / "other")
    alone = params.model_copy(update={"batch": 1, "shards": (0, 1)})
    addresses = draw(pictures, LazyGenerator(params), one)
    assert draw(pictures[::-1], LazyGenerator(alone), other) == addresses
    for at in addresses.values():
        assert np.abs(pixels(one.path(at)) - pixels(other.path(at))).max() <= 1
    assert len(set(addresses.values())) == len(pictures)


def test_only_what_is_new_is_drawn(
    params: config.Generator, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store, first = Store(tmp_path), toy.NAMES[:4]

    def count(settings: config.Generator, *names: str) -> int:
        draw(wanted(settings, names), LazyGenerator(settings), store)
        return drawn(capfd.readouterr().err)

    many = params.images_per_category
    assert count(params, *first) == 4 * many
    assert count(params, *first) == 0
    assert count(params, *first, "pink dotted arrow") == many
    assert count(params.model_copy(update={"images_per_category": many + 1}), *first) == 4
    own = params.model_copy(
        update={"category_prompts": {first[0]: "a drawing of a {}", first[1]: "a ring"}}
    )
    assert count(own, *first) == 2 * many
    assert count(params.model_copy(update={"steps": 1}), *first) == 4 * many
    assert count(params.model_copy(update={"batch": 3, "category_prompts": {}}), *first[::-1]) == 0
    again = [w.again(params.seed) for w in wanted(params, first)]
    draw(again[:3], LazyGenerator(params), store)
    assert drawn(capfd.readouterr().err) == 3
    draw(again[:4], LazyGenerator(params), store)
    assert drawn(capfd.readouterr().err) == 1


def test_categories_with_one_prompt_share_their_pictures(
    params: config.Generator, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    same = params.model_copy(update={"category_prompts": {"a": "a red ring", "b": "a red ring"}})
    addresses = draw(wanted(same, ["a", "b"]), LazyGenerator(same), Store(tmp_path))
    assert len(addresses) == 2 * len(set(addresses.values()))
    assert drawn(capfd.readouterr().err) == params.images_per_category


def _truncate(path: Path, _: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _empty(path: Path, _: Path) -> None:
    path.write_bytes(b"")


def _flip(path: Path, _: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-30] ^= 1
    path.write_bytes(data)


def _swap(path: Path, other: Path) -> None:
    path.write_bytes(other.read_bytes())


def _replace(path: Path, _: Path) -> None:
    Image.new("RGB", (32, 32), "red").save(path)


@pytest.mark.parametrize("damage", [_truncate, _empty, _flip, _swap, _replace])
def test_a_damaged_picture_is_drawn_again(
    params: config.Generator,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    damage: Callable[[Path, Path], None],
) -> None:
    store, pictures = Store(tmp_path), wanted(params, toy.NAMES[:2])
    first, second, *_ = draw(pictures, LazyGenerator(params), store).values()
    before = pixels(store.path(first))
    damage(store.path(first), store.path(second))
    assert store.get(first) is None
    capfd.readouterr()
    draw(pictures, LazyGenerator(params), store)
    assert drawn(capfd.readouterr().err) == 1
    assert np.abs(pixels(store.path(first)) - before).max() <= 1


def test_an_empty_store_adopts_the_pictures_of_an_earlier_run(
    params: config.Generator, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pictures = wanted(params, toy.NAMES[:3])
    old, new = Store(tmp_path / "old"), Store(tmp_path / "new")
    addresses = draw(pictures, LazyGenerator(params), old)
    earlier = {at: old.path(at) for at in addresses.values()}
    torn, gone, *whole = earlier
    earlier[torn].write_bytes(earlier[torn].read_bytes()[:50])
    earlier[gone].unlink()
    capfd.readouterr()
    draw(pictures, LazyGenerator(params), new, earlier)
    assert drawn(capfd.readouterr().err) == 2
    assert all(new.get(at) == old.get(at) for at in whole)


def test_leftovers_of_killed_writers_are_removed_and_current_files_stay(tmp_path: Path) -> None:
    left = tmp_path / f".{'0' * 32}.part"
    left.mkdir()
    (left / ".lock").touch()
    (left / "0123").write_bytes(b"half a pict")
    with Store(tmp_path).writing():
        assert not left.exists()
        (being_written,) = tmp_path.iterdir()
        with Store(tmp_path).writing():
            assert being_written.exists()
    assert not list(tmp_path.iterdir())
