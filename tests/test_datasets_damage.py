"""Incomplete downloads: one sentence each, at once, that names the file and the remedy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.io import savemat

from components import config
from components.datasets import folder
from components.datasets.dataset import dataset
from components.errors import EidolonError
from components.images import decoding
from tests import trees
from tests.trees import lists, params, tree

Damage = Callable[[Path], Path | None]
"""Damages the dataset in the given folder; the folder that ``dataset.source`` then names."""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known of pictures is kept outside the checkout."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("intact")
    return {"cub200": trees.cub200(place), "oxford102": trees.oxford102(place)}


def refused(adapter: str, source: Path, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Building must fail for ``reason``, decode nothing and write nothing."""
    decoded: list[Path] = []
    monkeypatch.setattr(decoding, "decode", lambda path: decoded.append(path))
    monkeypatch.chdir(source.parent)
    out = source.parent / "out"
    with pytest.raises(EidolonError, match=reason) as caught:
        dataset(params(adapter, source), out)
    assert "\n" not in str(caught.value)
    assert not decoded and not out.exists() and not list(source.parent.glob("*.part"))


def edit(file: str, old: str, new: str) -> Damage:
    def damage(root: Path) -> None:
        text = (root / file).read_text()
        assert old in text
        (root / file).write_text(text.replace(old, new, 1))

    return damage


def cut(file: str, share: float = 0.5) -> Damage:
    def damage(root: Path) -> None:
        data = (root / file).read_bytes()
        (root / file).write_bytes(data[: int(len(data) * share)])

    return damage


def remove(name: str) -> Damage:
    def damage(root: Path) -> None:
        path = root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

    return damage


def write(file: str, data: bytes) -> Damage:
    def damage(root: Path) -> None:
        (root / file).write_bytes(data)

    return damage


def store(file: str, **variables: object) -> Damage:
    return lambda root: savemat(root / file, variables)


def name(place: str) -> Damage:
    """No damage, but ``dataset.source`` names another place, as seen from the right one."""
    return lambda root: Path(os.path.normpath(root / place))


def only_the_archive(root: Path) -> Path:
    place = root.parent.parent / "downloads"
    place.mkdir()
    (place / "data.tgz").write_bytes(b"\x1f\x8b")
    return place


def the_archive(root: Path) -> Path:
    return only_the_archive(root) / "data.tgz"


def segmentations(root: Path) -> Path:
    """What segmentations.tgz unpacks to, which has folders of the same names."""
    place = root.parent / "segmentations"
    (place / "001.Black_footed_Albatross").mkdir(parents=True)
    return place


def all_train(root: Path) -> None:
    """No test picture of the first category."""
    path = root / "train_test_split.txt"
    path.write_text("1 1\n2 1\n3 1\n" + "".join(path.read_text().splitlines(True)[3:]))


def the_lists(keep: Callable[[list[str]], list[str]]) -> Damage:
    """Cut all three lists of images in one place."""

    def damage(root: Path) -> None:
        for file in ("images.txt", "image_class_labels.txt", "train_test_split.txt"):
            lines = (root / file).read_text().splitlines(True)
            (root / file).write_text("".join(keep(lines)))

    return damage


ALBATROSS = "001.Black_footed_Albatross/Black_footed_Albatross_0001_2.jpg"
LABELS = np.tile(np.arange(102, 0, -1), 3)
IDS = np.arange(1, 307).reshape(3, 1, 102)

CUB: dict[str, tuple[Damage, str]] = {
    "no folder": (name("nowhere"), r"nowhere does not exist: unpack CUB_200_2011"),
    "the archive": (the_archive, r"data\.tgz is a file: unpack CUB_200_2011\.tgz"),
    "not unpacked": (
        only_the_archive,
        r"lacks classes\.txt, .*, images/: unpack CUB_200_2011\.tgz",
    ),
    "the parent": (name(".."), r"not the dataset's own folder: set it to .*_2011$"),
    "the pictures' folder": (name("images"), r"set it to .*CUB_200_2011$"),
    "the segmentations": (segmentations, r"segmentations is not .* set it to .*CUB_200_2011$"),
    "no images.txt": (remove("images.txt"), r"lacks images\.txt: unpack CUB_200_2011\.tgz"),
    "no pictures": (remove("images"), r"lacks images/: unpack"),
    "a picture less": (
        remove(f"images/{ALBATROSS}"),
        r"_0001_2\.jpg is listed in images\.txt but missing or empty \(1 such pictures\): unpack",
    ),
    "an empty picture": (cut(f"images/{ALBATROSS}", 0), r"_0001_2\.jpg .* missing or empty"),
    "a class less": (remove("images/200.Bird_of_Place_200"), r"\(3 such pictures\)"),
    "images.txt cut off": (cut("images.txt"), r"images\.txt is damaged in line|not list the same"),
    "labels cut off at a line": (
        edit("image_class_labels.txt", "600 200\n", ""),
        r"image_class_labels\.txt and images\.txt do not list the same images \(1 .* 600\)",
    ),
    "sides of another download": (
        edit("train_test_split.txt", "600 0\n", "601 0\n"),
        r"train_test_split\.txt and images\.txt do not list the same images \(2 .* 600\)",
    ),
    "labels of another order": (
        edit("image_class_labels.txt", "2 1\n", "2 4\n"),
        r"'001\.Black_footed.*' for image 2, but .* says '004\.Groove_billed_Ani'",
    ),
    "a label out of range": (
        edit("image_class_labels.txt", "2 1\n", "2 201\n"),
        r"image_class_labels\.txt has '201' for image 2, not a number from 1 to 200",
    ),
    "a side that is none": (
        edit("train_test_split.txt", "2 1\n", "2 x\n"),
        r"train_test_split\.txt has 'x' for image 2, not a number from 0 to 1",
    ),
    "no test picture": (
        all_train,
        r"train_test_split\.txt has no test picture of 'black footed albatross', so it is not",
    ),
    "an id twice": (
        edit("images.txt", "2 001", "1 001"),
        r"images\.txt is damaged in line 2, '1 001.*': it must be a new id",
    ),
    "classes missing": (
        cut("classes.txt", 0.9),
        r"classes\.txt (is damaged|does not have the classes)",
    ),
    "classes of another set": (
        edit("classes.txt", "7 007.", "7 070."),
        r"classes\.txt does not have the classes 001 to 200",
    ),
    "a path that leads out": (
        edit("images.txt", ALBATROSS, "../../secret.jpg"),
        r"images\.txt has '\.\./\.\./secret\.jpg' for image 2",
    ),
    "a path with a NUL": (edit("images.txt", "_0001_2.jpg", "\0.jpg"), r"in line 2, '2 .*\\x00"),
    "an endless id": (edit("images.txt", "2 001", "2" * 5000 + " 001"), r"in line 2, '2222"),
    "an endless label": (
        edit("image_class_labels.txt", "2 1\n", f"2 {'1' * 5000}\n"),
        r"image_class_labels\.txt has '1111.*' for image 2, not a number",
    ),
    "a path twice": (edit("images.txt", "_0001_2.jpg", "_0000_1.jpg"), r"lists '001.*' twice"),
    "lists that stop early": (
        the_lists(lambda lines: lines[:-1]),
        r"images has 1 more pictures than images\.txt lists: unpack",
    ),
    "lists without the last class": (
        the_lists(lambda lines: lines[:-3]),
        r"images has 3 more pictures than images\.txt lists",
    ),
    "empty lists": (the_lists(lambda _: []), r"images\.txt is empty: unpack"),
    "no text": (write("images.txt", b"\xff\xfe\x00"), r"images\.txt cannot be read"),
}

OXFORD: dict[str, tuple[Damage, str]] = {
    "no folder": (name("nowhere"), r"nowhere does not exist: put imagelabels\.mat"),
    "not unpacked": (only_the_archive, r"lacks imagelabels\.mat, setid\.mat, jpg/: put"),
    "the parent": (name(".."), r"set it to .*flowers-102$"),
    "the pictures' folder": (name("jpg"), r"set it to .*flowers-102$"),
    "no labels": (remove("imagelabels.mat"), r"lacks imagelabels\.mat: put"),
    "labels cut off": (cut("imagelabels.mat"), r"imagelabels\.mat is damaged .*: put"),
    "labels empty": (cut("imagelabels.mat", 0), r"imagelabels\.mat is damaged"),
    "a web page": (
        write("setid.mat", b"<html>404</html>" * 40),
        r"setid\.mat is damaged or not MATLAB 5",
    ),
    "labels by another name": (
        store("imagelabels.mat", classes=LABELS),
        r"imagelabels\.mat has no variable 'labels'",
    ),
    "labels in a square": (
        store("imagelabels.mat", labels=LABELS.reshape(18, 17)),
        r"imagelabels\.mat .*labels of shape \[18, 17\] has 306 values",
    ),
    "labels that are text": (store("imagelabels.mat", labels="rose"), r"labels does not consist"),
    "labels in halves": (store("imagelabels.mat", labels=LABELS / 2), r"not integers"),
    "a label out of range": (
        store("imagelabels.mat", labels=np.where(LABELS == 102, 103, LABELS)),
        r"labels in .*imagelabels\.mat are not 1 to 102: put",
    ),
    "labels from zero": (store("imagelabels.mat", labels=LABELS - 1), r"not 1 to 102"),
    "no labels at all": (store("imagelabels.mat", labels=np.zeros((1, 0))), r"\(labels of shape"),
    "more labels than sides": (
        store("imagelabels.mat", labels=np.append(LABELS, 1)),
        r"setid\.mat does not name each of the 307 images of imagelabels\.mat once",
    ),
    "one image on two sides": (
        store("setid.mat", trnid=IDS[0], valid=IDS[0], tstid=IDS[2]),
        r"setid\.mat does not name each of the 306 images",
    ),
    "no test ids": (
        store("setid.mat", trnid=IDS[0], valid=IDS[1]),
        r"setid\.mat has no variable 'tstid'",
    ),
    "a picture less": (
        remove("jpg/image_00007.jpg"),
        r"image_00007\.jpg is listed in imagelabels\.mat but missing",
    ),
    "a picture more": (
        lambda root: trees.photo(root / "jpg" / "image_00307.jpg", 1),
        r"jpg has 1 more pictures than imagelabels\.mat lists",
    ),
    "a category without test pictures": (
        store("setid.mat", trnid=IDS[0], valid=np.append(IDS[1], 306), tstid=IDS[2][:, :-1]),
        r"setid\.mat has no test picture of 'pink primrose'",
    ),
}


@pytest.mark.parametrize("damage", CUB)
def test_an_incomplete_cub200_is_named(
    damage: str, intact: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shutil.copytree(intact["cub200"], tmp_path / "x" / "CUB_200_2011")
    spoil, reason = CUB[damage]
    refused("cub200", spoil(root) or root, reason, monkeypatch)


@pytest.mark.parametrize("damage", OXFORD)
def test_an_incomplete_oxford102_is_named(
    damage: str, intact: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shutil.copytree(intact["oxford102"], tmp_path / "x" / "flowers-102")
    spoil, reason = OXFORD[damage]
    refused("oxford102", spoil(root) or root, reason, monkeypatch)


@pytest.mark.parametrize(
    ("train", "unseen", "reason"),
    [
        (["fox", "wolf"], ["lynx"], r"lists has no split for 'ibex'"),
        (["fox", "wolf", "ibex", "ibis"], ["lynx"], r"trainclasses\.txt lists 'ibis', which"),
        (["fox", "wolf", "ibex"], ["lynx", "fox"], r"testclasses\.txt lists 'fox' a second time"),
        (["fox", "wolf", "ibex", "lynx"], [], r"testclasses\.txt lists no class"),
    ],
)
def test_class_lists_that_do_not_fit_are_named(
    train: list[str], unseen: list[str], reason: str, tmp_path: Path
) -> None:
    for category in ("fox", "wolf", "ibex", "lynx", "hare"):
        for i in range(2):
            trees.photo(tmp_path / "tree" / category / f"{i}.jpg", i)
    given = lists(tmp_path / "lists", train, ["hare"], unseen)
    with pytest.raises(EidolonError, match=reason):
        folder.categories(tree(tmp_path / "tree", 1, 1, splits=given))
    (given / "trainclasses.txt").unlink()
    with pytest.raises(EidolonError, match=r"trainclasses\.txt cannot be read"):
        folder.categories(tree(tmp_path / "tree", 1, 1, splits=given))


def test_categories_that_have_one_name_are_refused(tmp_path: Path) -> None:
    for category in ("Red fox", "red_fox", "wolf", "lynx"):
        for i in range(2):
            trees.photo(tmp_path / "tree" / category / f"{i}.jpg", i)
    chosen = tree(tmp_path / "tree", 1, 1)
    with pytest.raises(EidolonError, match=r"'Red fox' and 'red fox' have the same name"):
        dataset(chosen, tmp_path / "out")


def test_a_folder_without_a_name_is_refused(tmp_path: Path) -> None:
    for category in ("fox", "wolf", "lynx", "___"):
        for i in range(2):
            trees.photo(tmp_path / "tree" / category / f"{i}.jpg", i)
    with pytest.raises(EidolonError, match=r"tree/___ has no name: rename"):
        folder.categories(tree(tmp_path / "tree", 1, 1))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"adapter": "emblems", "gallery_per_category": None}, "emblems needs numbers"),
        ({"adapter": "folder", "training_per_category": None}, "folder needs numbers or shares"),
        ({"adapter": "emblems", "gallery_per_category": 0.5}, "emblems are drawn: .* numbers"),
        ({"adapter": "cub200", "source": None}, "cub200 needs a source"),
        ({"adapter": "emblems", "splits": "lists"}, "emblems have a split of their own"),
        ({"adapter": "folder", "unseen_share": 0.9}, "leave no category to train on"),
    ],
)
def test_params_that_an_adapter_cannot_use_are_refused(
    change: dict[str, object], reason: str
) -> None:
    value = tree(Path("somewhere"), 1, 1).model_dump()
    with pytest.raises(ValidationError, match=reason):
        config.Dataset.model_validate(value | change)
