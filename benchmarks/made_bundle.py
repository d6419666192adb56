"""A bundle of made features for models with random weights: what the service needs to run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from benchmarks.made import centres, near
from components import config, tables
from components.confidence.confidence import FEATURES, OF_TEXT, Confidence, Logistic
from components.files import sha256, write_json
from components.index import engines
from components.index.engine import Asked
from components.index.gallery import Gallery
from components.learning.aggregator import Aggregator
from components.serving.integrity import FORMAT
from components.serving.made_with import made_with
from components.vectors import Array

CATEGORIES = 1000
_AT_ONCE = 2**14
_NOISE = 1.5  # of a picture, in lengths of its category's centre


def make(folder: Path, params: config.Params, rows: int, dims: tuple[int, int]) -> None:
    """Write a bundle of ``rows`` pictures to the existing ``folder``. ``dims`` are the lengths of
    CLIP's vectors and of the vision encoder's.

    Every imagined picture counts as fit, because models with random weights draw noise.
    """
    rng, count = np.random.default_rng(0), min(CATEGORIES, rows)
    of = np.arange(rows) % count
    text, vision = (centres(rng, count, dim) for dim in dims)
    model = Aggregator(dims[1])
    model.start_at_mean()
    model.save(folder / "aggregator.safetensors")
    clip, pictures = (_pictures(rng, of, middle) for middle in (text, vision))
    hubness = np.zeros((2, rows), dtype=np.float32)
    gallery = Gallery(clip, pictures, *hubness)
    save_file(vars(gallery), folder / "gallery.safetensors")
    asked = Asked(text, vision, model.fusion_weight)
    index = engines.build(gallery, params.index, asked, "made")
    index.save(folder / engines.FILE)
    kept = {"imagined": vision[:, None], "accepted": np.ones((count, 1), dtype=bool)}
    save_file({"text": text, "aggregated": vision} | kept, folder / "queries.safetensors")
    names = np.array([f"category {number}" for number in range(count)])
    tables.write(folder / "gallery.csv", _gallery(names[of]))
    tables.write(folder / "categories.csv", _categories(names))
    tables.write(folder / "pictures.csv", pd.DataFrame(columns=["path", "key"]))
    Confidence(_even(OF_TEXT), _even(len(FEATURES))).save(folder / "confidence.json")
    lenient = {"min_contrast": 0.0, "min_sharpness": 0.0, "max_sharpness": 100.0}
    info = {
        "format": FORMAT,
        "profile": params.profile,
        "dataset": {"dvc": None, "pictures": rows},
        "models": made_with(params),
        "generator": params.generator.model_dump(mode="json"),
        "encoders": params.encoders.model_dump(mode="json"),
        "index": params.index.model_dump(mode="json") | {"searched": index.described()},
        "validate": params.validation.model_dump(mode="json") | lenient | {"min_agreement": -100.0},
        "ingest": params.ingest.model_dump(mode="json"),
        "content_threshold": None,
        "lambda": model.fusion_weight,
        "metrics": {},
        "validation": {},
        "files": {path.name: sha256(path) for path in sorted(folder.iterdir())},
    }
    write_json(folder / "bundle.json", info)


def _pictures(rng: np.random.Generator, of: np.ndarray, middle: Array) -> Array:
    """A row for each picture (N, d), near its category, by the rows ``of`` (N,) of ``middle``."""
    found = np.empty((len(of), middle.shape[1]), dtype=np.float32)
    for first in range(0, len(of), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        found[some] = near(middle[of[some]], _NOISE, rng)
    return found


def _gallery(categories: np.ndarray) -> pd.DataFrame:
    paths = [f"gallery/{row:07}.png" for row in range(len(categories))]
    same = {"source": "", "split": "train", "dhash": "0" * 16}
    return pd.DataFrame({"path": paths, "category": categories}).assign(**same)


def _categories(names: np.ndarray) -> pd.DataFrame:
    empty = dict.fromkeys(("pictures", "seeds", "addresses", "agreements"), "")
    return pd.DataFrame({"category": names, "split": "train"}).assign(**empty)


def _even(features: int) -> Logistic:
    """A confidence of one half, whatever the features."""
    terms = features + features * (features + 1) // 2
    return Logistic((0.0,) * features, (1.0,) * features, (0.0,) * terms, 0.0, 0.5)
