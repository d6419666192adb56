"""The adapters: what each reads from its official layout, or from a folder per category."""

from __future__ import annotations

import filecmp
import shutil
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from pydantic import ValidationError

from components import manifest
from components.datasets import cub200, folder, oxford102
from components.datasets.adapter import Category
from components.datasets.dataset import dataset
from components.datasets.left_out import LeftOut
from components.errors import EidolonError
from tests import trees
from tests.trees import lists, params, tree


@pytest.fixture(scope="module")
def birds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trees.cub200(tmp_path_factory.mktemp("birds"))


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trees.oxford102(tmp_path_factory.mktemp("flowers"))


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """A tree of five categories with 1 to 5 pictures, in several formats, and other files."""
    root = tmp_path / "animals"
    for count, name in enumerate(("Red_Fox", "sea__otter", "wolf", "lynx", "Ibex"), 2):
        for i in range(count):
            suffix = (".JPG", ".png", ".webp")[i % 3]
            (root / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 9), (40 * count, 30 * i, 7)).save(root / name / f"{i}{suffix}")
        (root / name / "notes.txt").write_text("no picture")
        (root / name / ".hidden.png").write_bytes(b"no picture")
    (root / ".cache").mkdir()
    (root / "README").write_text("no category")
    return root


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Datasets are built in a folder in which nothing was ever ingested."""
    monkeypatch.chdir(tmp_path)


def of_split(categories: list[Category], split: str) -> list[str]:
    return [c.name for c in categories if c.split == split]


def names(paths: object) -> list[str]:
    assert isinstance(paths, list) and all(isinstance(p, Path) for p in paths)
    return [p.name for p in paths]


def test_cub200_has_readable_names_and_100_50_50_categories(birds: Path) -> None:
    categories = cub200.categories(birds, None, None, None)
    assert [c.name for c in categories[:5]] == [
        "black footed albatross",
        "laysan albatross",
        "sooty albatross",
        "groove billed ani",
        "bird of place 5",
    ]
    assert len({c.name for c in categories}) == 200
    assert Counter(c.split for c in categories) == {"train": 100, "validation": 50, "unseen": 50}
    # Chen et al.: i % 2 == 0 base, i % 4 == 1 validation, i % 4 == 3 novel
    assert [c.split for c in categories[:5]] == ["train", "validation", "train", "unseen", "train"]


def test_cub200_searches_official_test_and_trains_on_official_train_pictures(birds: Path) -> None:
    for number, category in enumerate(cub200.categories(birds, None, None, None), 1):
        stem, first = trees.bird(number)[4:], 3 * number - 2
        tested = [f"{stem}_{i:04d}_{first + i}.jpg" for i in (0, 2)]
        trained = [f"{stem}_0001_{first + 1}.jpg"]
        assert names(category.gallery) == tested
        assert names(category.training) == ([] if category.split == "unseen" else trained)
    capped = cub200.categories(birds, None, 1, 1)
    assert {len(c.gallery) for c in capped} == {1}
    assert names(capped[0].gallery) == ["Black_footed_Albatross_0000_1.jpg"]


def test_oxford102_has_the_published_names_and_71_15_16_categories(flowers: Path) -> None:
    categories = oxford102.categories(flowers, None, None, None)
    assert len({c.name for c in categories}) == 102
    assert [categories[i].name for i in (0, 10, 51, 76, 101)] == [
        "pink primrose",
        "snapdragon",
        "wild pansy",
        "passion flower",
        "blackberry lily",
    ]
    assert Counter(c.split for c in categories) == {"train": 71, "validation": 15, "unseen": 16}
    assert of_split(categories, "unseen")[:3] == ["english marigold", "monkshood", "yellow iris"]
    assert of_split(categories, "validation")[-1] == "blackberry lily"


def test_oxford102_trains_on_both_official_sides_that_are_no_test(flowers: Path) -> None:
    for number, category in enumerate(oxford102.categories(flowers, None, None, None), 1):
        train, validation, test = (f"image_{103 - number + k:05d}.jpg" for k in (0, 102, 204))
        assert names(category.gallery) == [test]
        trained = [] if category.split == "unseen" else [train, validation]
        assert names(category.training) == trained
    assert {len(c.training) for c in oxford102.categories(flowers, None, 1, 1)} == {0, 1}


@pytest.mark.parametrize("adapter", ["cub200", "oxford102"])
def test_published_class_lists_replace_the_split(
    adapter: str, birds: Path, flowers: Path, tmp_path: Path
) -> None:
    if adapter == "cub200":
        root, classes = birds, [trees.bird(c) for c in range(1, 201)]
    else:
        root, classes = flowers, [oxford102.key(c) for c in range(1, 103)]
    given = lists(tmp_path / "lists", classes[30:], classes[:20], classes[20:30])
    dataset(params(adapter, root, splits=given), tmp_path / "out")
    rows = pd.read_csv(tmp_path / "out" / "manifest.csv").drop_duplicates("category")
    order = ["validation"] * 20 + ["unseen"] * 10 + ["train"] * (len(classes) - 30)
    assert rows["split"].tolist() == order


def test_a_tree_gives_each_category_its_folder_s_name_and_all_splits(animals: Path) -> None:
    categories = folder.categories(tree(animals, 10, 10))
    assert [c.name for c in categories] == ["Ibex", "Red Fox", "lynx", "sea otter", "wolf"]
    assert {c.split for c in categories} == {"train", "validation", "unseen"}
    for category in categories:
        shown, trained = names(category.gallery), names(category.training)
        assert shown and not set(shown) & set(trained)
        assert bool(trained) == (category.split != "unseen")
        assert shown + trained == sorted(shown + trained)
    given = lists(animals / ".lists", ["wolf", "lynx"], ["Ibex"], ["Red_Fox", "sea__otter"])
    categories = folder.categories(tree(animals, 2, 1, splits=given))
    assert of_split(categories, "unseen") == ["Red Fox", "sea otter"]
    assert [(len(c.gallery), len(c.training)) for c in categories] == [
        (2, 1),
        (2, 0),
        (2, 1),
        (2, 0),
        (2, 1),
    ]


@pytest.mark.parametrize(
    ("gallery", "training", "counts"),
    [
        # of 6, 2, 5, 3 and, unseen, 4 pictures
        (0.6, 0.4, [(4, 2), (1, 1), (3, 2), (2, 1), (2, 0)]),
        (0.1, 0.1, [(1, 1), (1, 1), (1, 1), (1, 1), (1, 0)]),
        (0.9, 0.1, [(5, 1), (1, 1), (4, 1), (2, 1), (4, 0)]),
        (2, 0.5, [(2, 3), (1, 1), (2, 2), (2, 1), (2, 0)]),
    ],
)
def test_a_tree_is_split_by_shares(
    animals: Path, gallery: float, training: float, counts: list[tuple[int, int]]
) -> None:
    given = lists(animals / ".lists", ["Ibex", "Red_Fox", "lynx"], ["sea__otter"], ["wolf"])
    categories = folder.categories(tree(animals, gallery, training, splits=given))
    assert [(len(c.gallery), len(c.training)) for c in categories] == counts


def test_shares_of_more_than_all_are_refused(animals: Path) -> None:
    with pytest.raises(ValidationError, match="shares add up to 1 at most"):
        params("folder", animals, gallery_per_category=0.7, training_per_category=0.4)


@pytest.mark.parametrize("adapter", ["cub200", "oxford102", "folder"])
def test_a_dataset_holds_the_original_files(
    adapter: str, birds: Path, flowers: Path, animals: Path, tmp_path: Path
) -> None:
    root = {"cub200": birds, "oxford102": flowers, "folder": animals}[adapter]
    more = {"gallery_per_category": 9, "training_per_category": 9} if adapter == "folder" else {}
    chosen = params(adapter, root, **more)
    frame = dataset(chosen, tmp_path / "one")
    assert tuple(frame.columns) == manifest.DATASET_COLUMNS
    assert frame["path"].is_unique and (frame.groupby("category")["split"].nunique() == 1).all()
    never = frame["split"].isin(["unseen", "gate"])
    assert set(frame.loc[~never, "split"]) == {"train", "validation"} and never.any()
    assert "training" not in set(frame.loc[never, "subset"])
    counts = {
        "cub200": {"gallery": 400, "training": 150},
        "oxford102": {"gallery": 102, "training": 2 * 86},
        "folder": Counter(frame["subset"]),
    }
    assert Counter(frame["subset"]) == counts[adapter]
    originals = {p.read_bytes() for p in root.rglob("*") if p.is_file()}
    for path in frame["path"]:
        stored = tmp_path / "one" / path
        assert stored.read_bytes() in originals
        assert stored.suffix == stored.suffix.lower()
        Image.open(stored).load()
    dataset(chosen, tmp_path / "two")
    same, different, odd = filecmp.cmpfiles(
        tmp_path / "one", tmp_path / "two", ["manifest.csv", *frame["path"]], shallow=False
    )
    assert (len(same), different, odd) == (len(frame) + 1, [], [])


def test_a_missing_source_or_picture_is_named(animals: Path, tmp_path: Path) -> None:
    numbers = {"gallery_per_category": 9, "training_per_category": 9}
    with pytest.raises(EidolonError, match=r"dataset\.source /nowhere does not exist: give a"):
        dataset(params("folder", Path("/nowhere"), **numbers), tmp_path / "out")
    (animals / "wolf" / "1.png").unlink()
    (animals / "wolf" / "1.png").symlink_to("gone.png")
    with pytest.raises(EidolonError, match=r"is a link to gone\.png, which does not exist: remove"):
        dataset(params("folder", animals, **numbers), tmp_path / "out")


def test_drawn_pictures_are_written_as_png_and_the_same_each_time(tmp_path: Path) -> None:
    chosen = params("emblems", None, gallery_per_category=1, training_per_category=1)
    frame = dataset(chosen, tmp_path / "one")
    assert len(frame) == 320 + 240
    assert set(frame["path"].str[-4:]) == {".png"}
    assert dataset(chosen, tmp_path / "two").equals(frame)


def test_a_photo_that_does_not_decode_leaves_the_dataset_as_it_was(
    animals: Path, tmp_path: Path
) -> None:
    chosen = params("folder", animals, gallery_per_category=9, training_per_category=9)
    dataset(chosen, tmp_path / "out")
    before = (tmp_path / "out" / "manifest.csv").read_bytes()
    broken = animals / "wolf" / "0.JPG"
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(EidolonError, match=r"wolf/0\.JPG cannot be decoded"):
        dataset(chosen, tmp_path / "out")
    assert (tmp_path / "out" / "manifest.csv").read_bytes() == before
    assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob(".*.part"))


def test_all_unreadable_pictures_are_named_in_one_error(animals: Path, tmp_path: Path) -> None:
    chosen = params("folder", animals, gallery_per_category=2, training_per_category=2)
    wolf = animals / "wolf"
    (wolf / "0.JPG").write_bytes((wolf / "0.JPG").read_bytes()[:-30])
    (wolf / "9.heic").write_bytes(b"\0\0\0\x18ftypheic")  # after those that would be taken
    (wolf / "a.jpg").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    (animals / "lynx" / "b.png").write_bytes(b"")
    with pytest.raises(EidolonError, match=r"4 of the pictures cannot.*leave_out_unreadable") as e:
        dataset(chosen, tmp_path / "out")
    assert "\n" not in str(e.value) and not (tmp_path / "out").exists()
    table = pd.read_csv(tmp_path / "left_out.csv")
    bad = table[table["kind"] == "unreadable"].set_index("file")["reason"]
    assert sorted(Path(file).name for file in bad.index) == ["0.JPG", "9.heic", "a.jpg", "b.png"]
    assert "git lfs pull" in bad[str(wolf / "a.jpg")]

    going_on = chosen.model_copy(update={"leave_out_unreadable": True})
    frame = dataset(going_on, tmp_path / "out")
    assert set(table["file"]) == set(pd.read_csv(tmp_path / "left_out.csv")["file"])
    for name, count in (("wolf", 3), ("lynx", 4)):  # the next ones take their places
        rows = frame[frame["category"] == name]
        assert len(rows) == (2 if set(rows["split"]) == {"unseen"} else count)


def test_left_out_pictures_are_counted(
    animals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (animals / "wolf" / "old").mkdir()
    trees.photo(animals / "wolf" / "old" / "0.jpg", 1)
    dataset(
        params("folder", animals, gallery_per_category=9, training_per_category=9), tmp_path / "out"
    )
    said = capsys.readouterr().err
    assert "5 no picture (5 .txt)" in said and "1 in a sub-folder (1 .jpg)" in said
    assert "1 in no category (1 no suffix)" in said and "left_out.csv" in said
    (animals / "loose.jpg").touch()
    left = LeftOut(tmp_path / "table.csv")
    folder.categories(tree(animals, 9, 9), left)
    assert "2 in no category (1 no suffix, 1 .jpg)" in left.sentence()


def test_pictures_of_a_tree_are_recognised_by_their_content(animals: Path, tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 9), (1, 2, 3))
    for name, kind in (("a.jfif", "JPEG"), ("b.gif", "GIF"), ("c.jpg", "PNG"), ("d", "AVIF")):
        image.save(animals / "wolf" / name, kind)
    (wolf,) = (c for c in folder.categories(tree(animals, 99, 1)) if c.name == "wolf")
    shown = {*names(wolf.gallery), *names(wolf.training)}
    assert {"a.jfif", "b.gif", "c.jpg", "d"} <= shown


def test_folders_that_are_splits_get_a_hint(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        for category in ("fox", "wolf", "lynx", "hare"):
            trees.photo(tmp_path / "tree" / split / category / "0.jpg", 1)
    with pytest.raises(EidolonError, match=r"are splits and not categories: set .*tree/test, or"):
        folder.categories(tree(tmp_path / "tree", 1, 1))
    for category in ("fox", "wolf", "lynx", "hare"):
        trees.photo(tmp_path / "deep" / category / "images" / "0.jpg", 1)
    with pytest.raises(EidolonError, match=r"deep/fox has no pictures \(.*images is a folder"):
        folder.categories(tree(tmp_path / "deep", 1, 1))


def test_all_unreadable_photos_of_a_benchmark_are_named(flowers: Path, tmp_path: Path) -> None:
    root = shutil.copytree(flowers, tmp_path / "flowers-102")
    for number in (3, 250):
        path = root / "jpg" / f"image_{number:05d}.jpg"
        path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(EidolonError, match=r"2 of the pictures .*00250\.jpg .*00003\.jpg"):
        dataset(params("oxford102", root), tmp_path / "out")
    assert len(pd.read_csv(tmp_path / "left_out.csv")) == 2
    kept = dataset(params("oxford102", root, leave_out_unreadable=True), tmp_path / "out")
    assert len(kept) == len(dataset(params("oxford102", flowers), tmp_path / "all")) - 2
