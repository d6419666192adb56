"""Adapter for CUB-200-2011 in its official layout: 200 bird species, 11,788 photos.

Wah et al., "The Caltech-UCSD Birds-200-2011 Dataset", CNS-TR-2011-001. Its layout, by its README:

    classes.txt              <class id> <class name>, such as "1 001.Black_footed_Albatross"
    images.txt               <image id> <path under images/>
    image_class_labels.txt   <image id> <class id>
    train_test_split.txt     <image id> <1 for train, 0 for test>
    images/<class name>/     the photos

Split of the categories: count the classes in the official order from 0. Class i is train for even
i, validation for i = 1 mod 4 and unseen for i = 3 mod 4: 100, 50 and 50 classes. This is the
few-shot split of Chen et al., "A Closer Look at Few-shot Classification", ICLR 2019, used here as a
zero-shot split. Its rule is in their code (wyharveychen/CloserLookFewShot,
filelists/CUB/write_CUB_filelist.py). Reed et al. and Xian et al. publish zero-shot lists of the
same sizes with their data; :mod:`components.datasets.splits` reads them.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from components.datasets import official, splits
from components.datasets.adapter import Category, Split
from components.datasets.layout import Layout
from components.errors import EidolonError

CLASSES = 200
_NAMES, _IMAGES = "classes.txt", "images.txt"
_LABELS, _TRAIN_TEST = "image_class_labels.txt", "train_test_split.txt"

LAYOUT = Layout(
    files=(_NAMES, _IMAGES, _LABELS, _TRAIN_TEST),
    folder="images",
    pattern="[!.]*/[!.]*.jpg",
    remedy="unpack CUB_200_2011.tgz and set dataset.source to the folder CUB_200_2011 in it",
)


def categories(
    folder: Path, lists: Path | None, gallery: int | float | None, training: int | float | None
) -> list[Category]:
    """The 200 categories in the official order.

    ``lists`` is a folder with class lists that replace the default split. ``gallery`` and
    ``training`` are amounts, as in :func:`components.datasets.adapter.number_of`.

    Raises :class:`EidolonError` for an incomplete download, before any picture is decoded.
    """
    LAYOUT.check(folder)
    classes = _read(folder / _NAMES)
    numbered = [c for c, name in classes.items() if name.startswith(f"{c:03d}.")]
    if numbered != list(range(1, CLASSES + 1)):
        raise EidolonError(
            f"{folder / _NAMES} does not have the classes 001 to {CLASSES}: {LAYOUT.remedy}"
        )
    images = _read(folder / _IMAGES)
    labels = _numbers(folder / _LABELS, images, (1, CLASSES))
    sides = _numbers(folder / _TRAIN_TEST, images, (0, 1))

    paths: dict[int, tuple[list[Path], list[Path]]] = {c: ([], []) for c in classes}
    for image, name in images.items():
        label = labels[image]
        place, _, file = name.partition("/")
        if place != classes[label] or "/" in file or not file:
            raise EidolonError(
                f"{folder / _IMAGES} has {name!r} for image {image}, but {_LABELS} says"
                f" {classes[label]!r}, so the files are from different downloads: {LAYOUT.remedy}"
            )
        paths[label][0 if sides[image] else 1].append(folder / "images" / place / file)
    ((often, count),) = Counter(images.values()).most_common(1)
    if count > 1:
        raise EidolonError(f"{folder / _IMAGES} lists {often!r} twice: {LAYOUT.remedy}")
    listed = [p for both in paths.values() for side in both for p in side]
    LAYOUT.check_pictures(folder, listed, _IMAGES)

    split_of = splits.read(lists, classes.values()) if lists else {}
    return [
        official.category(
            readable(name),
            split_of.get(name, _split(c - 1)),
            *paths[c],
            gallery,
            training,
            folder / _TRAIN_TEST,
        )
        for c, name in classes.items()
    ]


def readable(name: str) -> str:
    """The name of a class as people write it in a prompt.

    ``"001.Black_footed_Albatross"`` becomes ``"black footed albatross"``. CLIP's own list of bird
    names also has spaces instead of hyphens and no apostrophes, and its tokenizer lowers the case.
    """
    return name.partition(".")[2].replace("_", " ").lower()


def _split(position: int) -> Split:
    return "train" if position % 2 == 0 else "validation" if position % 4 == 1 else "unseen"


def _read(path: Path) -> dict[int, str]:
    """Read a file of lines ``<id> <value>``."""
    found: dict[int, str] = {}
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EidolonError(f"{path} cannot be read ({error}): {LAYOUT.remedy}") from None
    for number, line in enumerate(lines, 1):
        match line.split():
            case [key, value] if _is_number(key) and int(key) not in found and value.isprintable():
                found[int(key)] = value
            case _:
                raise EidolonError(
                    f"{path} is damaged in line {number}, {line[:60]!r}: it must be a new id and"
                    f" one value; {LAYOUT.remedy}"
                )
    if not found:
        raise EidolonError(f"{path} is empty: {LAYOUT.remedy}")
    return found


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) < 10


def _numbers(path: Path, images: dict[int, str], between: tuple[int, int]) -> dict[int, int]:
    """Read a file of lines ``<image id> <number>``, one for each of ``images``."""
    found = _read(path)
    odd = found.keys() ^ images.keys()
    if odd:
        raise EidolonError(
            f"{path} and {_IMAGES} do not list the same images ({len(odd)} differ, the first is"
            f" {min(odd)}): {LAYOUT.remedy}"
        )
    low, high = between
    for image, value in found.items():
        if not (_is_number(value) and low <= int(value) <= high):
            raise EidolonError(
                f"{path} has {value!r} for image {image}, not a number from {low} to {high}:"
                f" {LAYOUT.remedy}"
            )
    return {image: int(value) for image, value in found.items()}
