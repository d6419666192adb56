"""Made features in the authors' file layout, with the shapes of the sets that they publish.

The layout is written out here again, and not taken from components/authors/layout.py, so that the
check of `python -m benchmarks.authors` also covers the names of files and keys.

Vectors are centres of classes with noise around them. What the definition must not depend on is
varied on purpose: lengths are not one, one class has no picture in the gallery, a class's text is a
single vector or one per prompt, and the dictionaries of texts and images have different orders.
"""

from __future__ import annotations

import json
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from components.authors.choices import Method

TEXT, VISION = 768, 1024
"""Numbers in a feature of CLIP ViT-L/14 and DINOv2 ViT-L/14."""
PICTURES = 10
"""Imagined pictures of a class. The authors' code takes any number and states none."""

Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


class Shape(NamedTuple):
    """The size of a set."""

    classes: int
    gallery: int
    """Pictures that are searched."""


MILLION = "million"
SHAPES = {  # classes and pictures
    "imagenet": (1000, 50_000),  # ILSVRC 2012, validation (Russakovsky et al., IJCV 2015)
    "dtd": (47, 1_880),  # test of the first split (Cimpoi et al., CVPR 2014)
    "cars": (196, 8_041),  # test (Krause et al., 3dRR 2013)
    "sun": (397, 19_850),  # SUN397, test of a split: 50 a class (Xiao et al., CVPR 2010)
    "food": (101, 25_250),  # test (Bossard et al., ECCV 2014)
    "fgvc": (100, 3_333),  # test, by variant (Maji et al., arXiv 1306.5151)
    "pets": (37, 3_669),  # test (Parkhi et al., CVPR 2012)
    "caltech": (102, 6_085),  # what 30 a class leave (Radford et al., ICML 2021, table 9)
    "flowers": (102, 6_149),  # test (Nilsback and Zisserman, ICVGIP 2008)
    "ucf": (101, 3_783),  # videos of testlist01 (Soomro et al., arXiv 1212.0402)
    "k700": (700, 35_000),  # validation: 50 videos a class (Carreira et al., arXiv 1907.06987)
    "r45": (45, 25_200),  # test, 80 % (Cheng et al., 2017; Radford et al., table 9)
    "cifar10": (10, 10_000),  # test (Krizhevsky, 2009)
    "cifar100": (100, 10_000),  # test (Krizhevsky, 2009)
    "places": (365, 36_500),  # Places365, validation: 100 a class (Zhou et al., TPAMI 2018)
    MILLION: (1000, 1_000_000),  # ImageNet's names, and a gallery of its training set's order
}
"""The official evaluation split of each set, and last a case of ours. The authors state no size."""

_SUFFIX = {Method.CLASS: "", Method.DESCRIPTION: "_dbr", Method.BOTH: "_classdbr"}
_PROMPTS = {Method.CLASS: 7, Method.DESCRIPTION: 1, Method.BOTH: 3}
_NOISE = {Method.CLASS: (2.0, 4.0), Method.DESCRIPTION: (1.0, 5.0), Method.BOTH: (1.2, 3.5)}
"""Standard deviations of a prompt and of an imagined picture around their class, whose own is 1."""
_GALLERY_NOISE = (8.0, 9.0)  # by text feature and by vision feature: text alone ranks better
_WITHOUT = 2  # the class that has no picture
_ROWS = 2**14  # gallery rows that are made at once
_IMAGENET = Path(__file__).parents[1] / "components" / "authors" / "imagenet.txt"


@dataclass(frozen=True)
class Queries:
    """The queries of one kind."""

    texts: dict[str, Vectors]
    """For each class (768,), or (prompts, 768)."""
    images: dict[str, Vectors]
    """For each class (K, 1024)."""


@dataclass(frozen=True)
class Made:
    """One set of made features. The gallery lies in its files only, as it may be large."""

    names: list[str]
    """The class of each query. Two of ImageNet's names stand for two classes each."""
    labels: Labels
    """(N,): the query that each gallery picture answers."""
    gallery_text: Path
    """A `.npy`, (N, 768)."""
    gallery_vision: Path
    """A `.npy`, (N, 1024)."""
    queries: dict[Method, Queries]


def file_name(name: str) -> str:
    """The set's name in the layout. The million pictures are filed as ImageNet."""
    return "imagenet" if name == MILLION else name


def size(shape: Shape) -> int:
    """The bytes of a gallery on the disk."""
    return shape.gallery * (TEXT + VISION) * 4


def write(root: Path, name: str, shape: Shape, kinds: list[Method], seed: int = 0) -> Made:
    """Make the set ``name`` under ``root`` for CLIP and DINOv2, with queries of each of ``kinds``.

    Takes memory for a part of the gallery only.
    """
    rng = np.random.default_rng([seed, *name.encode()])
    names = [f"class {i}" for i in range(shape.classes)]
    if file_name(name) == "imagenet" and shape.classes == SHAPES["imagenet"][0]:
        names = _IMAGENET.read_text().splitlines()
    labels = rng.integers(shape.classes, size=shape.gallery)
    labels[labels == _WITHOUT] = 0
    centres = (_normal(rng, (shape.classes, TEXT)), _normal(rng, (shape.classes, VISION)))
    folder, filed = root / "aggregator", file_name(name)
    for part in ("clip", "dino"):
        (folder / part).mkdir(parents=True)
    galleries = (
        folder / "clip" / f"{filed}_val_clip_db.npy",
        folder / "dino" / f"{filed}_val_dino_db.npy",
    )
    for path, centre, noise in zip(galleries, centres, _GALLERY_NOISE, strict=True):
        _write_gallery(path, centre, labels, noise, rng)
    order = np.argsort(labels, kind="stable")
    rows = np.split(order, np.cumsum(np.bincount(labels, minlength=shape.classes))[:-1])
    truth = {str(query): {"ok": found.tolist()} for query, found in enumerate(rows)}
    (folder / f"{filed}_val_cfg.json").write_text(json.dumps(truth))
    queries = {kind: _queries(names, centres, kind, rng) for kind in kinds}
    for kind, made in queries.items():
        _write_queries(folder, filed, kind, made)
    return Made(names, labels, *galleries, queries)


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Vectors:
    return rng.standard_normal(shape, dtype=np.float32)


def _near(centres: Vectors, noise: float, rng: np.random.Generator) -> Vectors:
    """Vectors around ``centres`` (..., d), of lengths between 0.9 and 1.1."""
    found = centres + np.float32(noise) * _normal(rng, centres.shape)
    lengths = rng.uniform(0.9, 1.1, centres.shape[:-1]).astype(np.float32)
    return found * (lengths / np.linalg.norm(found, axis=-1))[..., None]


def _write_gallery(
    path: Path, centres: Vectors, labels: Labels, noise: float, rng: np.random.Generator
) -> None:
    shape = (len(labels), centres.shape[1])
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for first in range(0, len(labels), _ROWS):
            _near(centres[labels[first : first + _ROWS]], noise, rng).tofile(file)


def _queries(
    names: list[str], centres: tuple[Vectors, Vectors], kind: Method, rng: np.random.Generator
) -> Queries:
    """Vectors around each class. A name that stands twice keeps those of its last class."""
    by_text, by_image = _NOISE[kind]
    texts, images = {}, {}
    for name, text, vision in zip(names, *centres, strict=True):
        texts[name] = _near(np.tile(text, (_PROMPTS[kind], 1)), by_text, rng)
        images[name] = _near(np.tile(vision, (PICTURES, 1)), by_image, rng)
    single = texts if _PROMPTS[kind] == 1 else {names[1]}  # these have a vector, not a matrix
    return Queries({n: t[0] if n in single else t for n, t in texts.items()}, images)


def _write_queries(folder: Path, filed: str, kind: Method, queries: Queries) -> None:
    images = {name: pictures.T[None] for name, pictures in queries.images.items()}
    for path, value in (
        (folder / "clip" / f"{filed}_clip_q_text{_SUFFIX[kind]}.pkl", dict(_turned(queries.texts))),
        (folder / "dino" / f"{filed}_dino_q_img{_SUFFIX[kind]}.pkl", images),
    ):
        path.write_bytes(pickle.dumps(value))


def _turned(values: dict[str, Vectors]) -> list[tuple[str, Vectors]]:
    return list(values.items())[::-1]


def write_checkpoint(path: Path, dim: int = VISION, seed: int = 0) -> dict[str, np.ndarray]:
    """Write a made aggregator as the authors save theirs, and return its weights by published name.

    The value and output projections are near the identity, so that its output is near the pictures,
    and those of queries and keys are large enough that the attention is far from even.
    """
    rng = np.random.default_rng([seed, dim])
    small, sharp = 0.3 / np.sqrt(dim), 1.3
    weights = {"lamda": np.array([-0.4])}
    for layer in (0, 1):
        prefix = f"self_attn.layers.{layer}."
        queries_and_keys = rng.normal(scale=sharp, size=(2 * dim, dim))
        values = np.eye(dim) + rng.normal(scale=small, size=(dim, dim))
        weights |= {
            f"{prefix}in_proj_weight": np.vstack([queries_and_keys, values]),
            f"{prefix}in_proj_bias": rng.normal(scale=small, size=3 * dim),
            f"{prefix}out_proj.weight": np.eye(dim) + rng.normal(scale=small, size=(dim, dim)),
            f"{prefix}out_proj.bias": rng.normal(scale=small, size=dim),
        }
    weights = {name: value.astype(np.float32) for name, value in weights.items()}
    unused = {"attn_layer.weight": np.ones((2, dim), dtype=np.float32)}
    state = OrderedDict(
        (f"module.{name}", torch.from_numpy(value)) for name, value in (weights | unused).items()
    )
    torch.save(state, path)
    return weights
