"""Small trees in the official formats of CUB-200-2011 and Oxford-102: every file that the real
ones have and every category, with three tiny photos each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from components import config

BIRDS = ("Black_footed_Albatross", "Laysan_Albatross", "Sooty_Albatross", "Groove_billed_Ani")
OFFICIAL = ("test", "train", "test")
"""The official side of the three photos of a bird."""


def bird(category: int) -> str:
    """The class name of category 1 to 200: the first four are the real ones."""
    name = BIRDS[category - 1] if category <= len(BIRDS) else f"Bird_of_Place_{category}"
    return f"{category:03d}.{name}"


def photo(path: Path, number: int) -> None:
    """A JPEG whose colour tells its number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = (number % 251, number // 251 * 40 % 251, number * 7 % 251)
    Image.new("RGB", (9, 8), colour).save(path, "JPEG")


def cub200(folder: Path) -> Path:
    """What CUB_200_2011.tgz unpacks to, under ``folder``."""
    root = folder / "CUB_200_2011"
    images, labels, sides = [], [], []
    for category in range(1, 201):
        for i, side in enumerate(OFFICIAL):
            number = len(images) + 1
            path = f"{bird(category)}/{bird(category)[4:]}_{i:04d}_{number}.jpg"
            photo(root / "images" / path, number)
            images.append(f"{number} {path}\n")
            labels.append(f"{number} {category}\n")
            sides.append(f"{number} {int(side == 'train')}\n")
    (root / "images.txt").write_text("".join(images))
    (root / "image_class_labels.txt").write_text("".join(labels))
    (root / "train_test_split.txt").write_text("".join(sides))
    (root / "classes.txt").write_text("".join(f"{c} {bird(c)}\n" for c in range(1, 201)))
    return root


def oxford102(folder: Path) -> Path:
    """imagelabels.mat, setid.mat and jpg/, under ``folder``: of three photos of a category the
    first is official train, the second validation, the third test. Images are not in the order of
    their categories, as in the real set."""
    root = folder / "flowers-102"
    labels = np.tile(np.arange(102, 0, -1, dtype=np.uint8), 3)
    for number in range(1, len(labels) + 1):
        photo(root / "jpg" / f"image_{number:05d}.jpg", number)
    ids = np.arange(1, len(labels) + 1, dtype=np.uint16).reshape(3, 1, 102)
    savemat(root / "imagelabels.mat", {"labels": labels[None]}, do_compression=True)
    sides = {"trnid": ids[0], "valid": ids[1], "tstid": ids[2]}
    savemat(root / "setid.mat", sides, do_compression=True)
    return root


def params(adapter: str, source: Path | None, **more: object) -> config.Dataset:
    counts = {"gallery_per_category": None, "training_per_category": None, "min_pictures": 1}
    shares = {"unseen_share": 0.25, "gate_share": 0.0, "validation_share": 0.15}
    return config.Dataset.model_validate(
        {"adapter": adapter, "source": source, "seed": 0, **counts, **shares, **more}
    )


def tree(source: Path, gallery: float, training: float, **more: object) -> config.Dataset:
    counts = {"gallery_per_category": gallery, "training_per_category": training}
    return params("folder", source, **counts, **more)


def lists(root: Path, train: list[str], validation: list[str], unseen: list[str]) -> Path:
    """Class lists as Reed et al. and Xian et al. publish them."""
    root.mkdir()
    for file, classes in (("train", train), ("val", validation), ("test", unseen)):
        (root / f"{file}classes.txt").write_text("".join(f"{c}\n" for c in classes))
    return root
