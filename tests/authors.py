"""Features in the authors' layout, and their figures by the definition in float64."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from components.authors.choices import TextModel, VisionModel
from components.learning.aggregator import Aggregator
from tests.definitions import independent, slow

TEXT, VISION, GALLERY = 6, 8, 90
SUFFIX = {"class": "", "description": "_dbr", "both": "_classdbr"}
World = dict[str, Any]


def features(names: list[str], *, seed: int = 0) -> World:
    """Random features of one set: class 2 has no picture, class 1 a vector for its text."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(names), TEXT)), rng.normal(size=(len(names), VISION))
    label = rng.choice([i for i in range(len(names)) if i != 2], size=GALLERY)

    def near(centre: np.ndarray, spread: float) -> np.ndarray:
        found = centre + rng.normal(scale=spread, size=centre.shape)
        return (found / np.linalg.norm(found, axis=-1, keepdims=True)).astype(np.float32)

    text = {name: near(np.tile(centres[0][i], (3, 1)), 1.5) for i, name in enumerate(names)}
    text[names[1]] = text[names[1]][0]
    return {
        "text": dict(reversed(text.items())),  # only the order of the images counts
        "images": {
            name: near(np.tile(centres[1][i], (2 + i % 3, 1)), 1.0).T[None]
            for i, name in enumerate(names)
        },
        "gallery_text": near(centres[0][label], 1.2),
        "gallery_vision": near(centres[1][label], 1.2),
        "truth": {str(i): {"ok": np.flatnonzero(label == i).tolist()} for i in range(len(names))},
    }


def write(root: Path, name: str, world: World, *, method: str = "class", protocol: int = 4) -> None:
    """The set in the authors' layout, for CLIP and DINOv2."""
    folder, suffix = root / "aggregator", SUFFIX[method]
    for model in ("clip", "dino"):
        (folder / model).mkdir(parents=True, exist_ok=True)
    for path, value in (
        (folder / "clip" / f"{name}_clip_q_text{suffix}.pkl", world["text"]),
        (folder / "dino" / f"{name}_dino_q_img{suffix}.pkl", world["images"]),
    ):
        path.write_bytes(pickle.dumps(value, protocol))
    np.save(folder / "clip" / f"{name}_val_clip_db.npy", world["gallery_text"])
    np.save(folder / "dino" / f"{name}_val_dino_db.npy", world["gallery_vision"])
    (folder / f"{name}_val_cfg.json").write_text(json.dumps(world["truth"]))


def by_definition(world: World, names: list[str], model: Aggregator) -> dict[str, float]:
    """mAP of each kind, one query at a time in float64. Only the weights of ``model`` are ours."""
    gallery = [world[key].astype(np.float64) for key in ("gallery_text", "gallery_vision")]
    found: dict[str, list[float]] = {}
    for query, name in enumerate(names):
        text = world["text"][name].astype(np.float64)
        images = world["images"][name][0].astype(np.float64).T
        mean = images.mean(axis=0) / np.linalg.norm(images.mean(axis=0))
        weight = 1 / (1 + np.exp(-float(model.lamda.detach())))
        by_text = gallery[0] @ (text if text.ndim == 1 else text.mean(axis=0))
        by_image = gallery[1] @ mean
        learned = gallery[1] @ independent(model, images)
        truth = world["truth"].get(str(query), {"ok": []})
        positive, junk = np.zeros(GALLERY, dtype=bool), np.zeros(GALLERY, dtype=bool)
        positive[truth["ok"]] = True
        junk[truth.get("junk") or []] = True
        for kind, scores in {
            "text": by_text,
            "image": by_image,
            "joint": by_text + by_image,
            "0.1": 0.9 * by_text + 0.1 * by_image,
            "aggregated": (1 - weight) * by_text + weight * learned,
        }.items():
            found.setdefault(kind, []).append(slow(scores, positive, junk))
    return {kind: float(np.nanmean(values)) for kind, values in found.items()}


NAMES = ["b", "a", "none", "d", "c"]
ASKED = (TextModel.CLIP, VisionModel.DINO)
