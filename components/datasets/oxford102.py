"""Adapter for Oxford-102 flowers in its official layout: 102 categories, 8,189 photos.

Nilsback and Zisserman, "Automated Flower Classification over a Large Number of Classes", ICVGIP
2008. The authors' page has all parts of the layout:

    jpg/image_00001.jpg ...    from 102flowers.tgz
    imagelabels.mat            labels: the category of each image, 1 to 102
    setid.mat                  trnid, valid, tstid: the ids of the train, validation and test images

Here the official train and validation images (10 each per category) are both training pictures,
because validation uses categories of its own.

Split of the categories: 71 train, 15 validation and 16 unseen. This is the few-shot split of VGG
Flower in Meta-Dataset (Triantafillou et al., ICLR 2020), used here as a zero-shot split. Its list
is dataset_conversion/splits/vgg_flower_splits.json of google-research/meta-dataset;
vision/datasets/vgg_flowers.py of learnables/learn2learn has the same. Reed et al. publish zero-shot
lists with their data, 82 categories for train and validation and 20 unseen;
:mod:`components.datasets.splits` reads them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components.datasets import matlab, official, splits
from components.datasets.adapter import Category, Split
from components.datasets.layout import Layout
from components.datasets.oxford102_names import NAMES
from components.errors import EidolonError

_LABELS, _TRAIN_TEST = "imagelabels.mat", "setid.mat"

LAYOUT = Layout(
    files=(_LABELS, _TRAIN_TEST),
    folder="jpg",
    pattern="image_*.jpg",
    remedy="put imagelabels.mat and setid.mat into one folder, unpack 102flowers.tgz there to jpg/,"
    " and set dataset.source to that folder",
)

_VALIDATION = frozenset({10, 16, 17, 23, 26, 47, 53, 56, 57, 62, 82, 83, 86, 97, 102})
_UNSEEN = frozenset({5, 9, 15, 19, 35, 40, 41, 42, 45, 46, 65, 85, 89, 94, 96, 98})


def categories(
    folder: Path, lists: Path | None, gallery: int | float | None, training: int | float | None
) -> list[Category]:
    """The 102 categories in the official order.

    ``lists`` is a folder with class lists that replace the default split. ``gallery`` and
    ``training`` are amounts, as in :func:`components.datasets.adapter.number_of`.

    Raises :class:`EidolonError` for an incomplete download, before any picture is decoded.
    """
    LAYOUT.check(folder)
    labels = matlab.read_vectors(folder / _LABELS, ("labels",), LAYOUT.remedy)["labels"]
    if set(labels.tolist()) != set(_ids()):
        raise EidolonError(
            f"the labels in {folder / _LABELS} are not 1 to {len(NAMES)}: {LAYOUT.remedy}"
        )
    ids_of = matlab.read_vectors(folder / _TRAIN_TEST, ("trnid", "valid", "tstid"), LAYOUT.remedy)
    ids = np.sort(np.concatenate(list(ids_of.values())))
    if not np.array_equal(ids, np.arange(1, len(labels) + 1)):
        raise EidolonError(
            f"{folder / _TRAIN_TEST} does not name each of the {len(labels)} images of {_LABELS}"
            f" once: {LAYOUT.remedy}"
        )
    paths = [folder / "jpg" / f"image_{i:05d}.jpg" for i in range(1, len(labels) + 1)]
    LAYOUT.check_pictures(folder, paths, _LABELS)

    test = np.isin(np.arange(1, len(labels) + 1), ids_of["tstid"])
    split_of = splits.read(lists, [key(c) for c in _ids()]) if lists else {}
    return [
        official.category(
            NAMES[c - 1],
            split_of.get(key(c), _split(c)),
            [paths[i] for i in np.flatnonzero((labels == c) & ~test)],
            [paths[i] for i in np.flatnonzero((labels == c) & test)],
            gallery,
            training,
            folder / _TRAIN_TEST,
        )
        for c in _ids()
    ]


def key(category: int) -> str:
    """The category's name in the class lists of Reed et al.: ``class_00001``."""
    return f"class_{category:05d}"


def _ids() -> range:
    return range(1, len(NAMES) + 1)


def _split(category: int) -> Split:
    if category in _UNSEEN:
        return "unseen"
    return "validation" if category in _VALIDATION else "train"
