"""The stage `bundle`: writes the folder that is registered, promoted, deployed and rolled back.

    bundle.json               what everything was made from, and the hash of every other file
    aggregator.safetensors    the aggregator network and λ
    gallery.safetensors       clip (N, d), vision (N, d), clip_hubness (N,), vision_hubness (N,)
    queries.safetensors       text (C, d), aggregated (C, d): the known categories' embeddings
    gallery.csv               path, category, source of each gallery row
    categories.csv            category, split, pictures (the imagined ones: paths in pictures.zip),
                              seeds (of these pictures, in the same order)
    pictures.zip              thumbnails of gallery and imagined pictures, to show with results

Loading checks every hash. The bundle contains no pickle.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file

from components import config, manifest, tables
from components.features.features import Features
from components.files import folder_aside, read_json, sha256, write_json
from components.images.encoding import encode
from components.images.thumbnails import thumbnail
from components.index.build import build_index
from components.learning.aggregator import Aggregator, aggregate
from components.models.checkpoints import fingerprint
from components.paths import (
    ACCEPTED,
    AGGREGATOR,
    BUNDLE,
    DATASET,
    EVALUATION,
    FEATURES,
    VALIDATION,
)
from components.serving.integrity import FORMAT
from components.versioning.lock import dataset_hash


def bundle(params: config.Params, out: Path = BUNDLE) -> dict[str, Any]:
    """Collect the outputs of the other stages in the folder ``out``.

    Returns the content of ``bundle.json``. Raises :class:`EidolonError` when a file is missing or
    damaged.
    """
    features = Features.load(FEATURES)
    weights = AGGREGATOR / "aggregator.safetensors"
    model = Aggregator.load(weights)
    drawn = manifest.read(ACCEPTED, manifest.ACCEPTED_COLUMNS, "dvc repro validate")
    with folder_aside(out) as aside:
        (aside / "aggregator.safetensors").write_bytes(weights.read_bytes())
        aggregated = aggregate(model, features)
        gallery = build_index(features, aggregated, params.index.hubness_temperature)
        save_file(vars(gallery), aside / "gallery.safetensors")
        save_file({"text": features.text, "aggregated": aggregated}, aside / "queries.safetensors")
        tables.write(aside / "gallery.csv", features.gallery)
        of = drawn.groupby("category")
        shown = of["path"].agg(lambda p: " ".join("imagined/" + p))
        seeds = of["seed"].agg(lambda s: " ".join(map(str, s)))
        names = features.categories["category"]
        categories = features.categories.assign(
            pictures=names.map(shown).fillna(""), seeds=names.map(seeds).fillna("")
        )
        tables.write(aside / "categories.csv", categories)
        side = params.bundle.thumbnail_pixels
        with zipfile.ZipFile(aside / "pictures.zip", "w", zipfile.ZIP_STORED) as archive:
            for path in features.gallery["path"]:
                _add(archive, path, DATASET / path, side)
            for path in drawn["path"]:
                _add(archive, f"imagined/{path}", ACCEPTED / path, side)
        generator, encoders = params.generator, params.encoders
        info = {
            "format": FORMAT,
            "profile": params.profile,
            "dataset": {"dvc": dataset_hash(), "pictures": len(features.gallery)},
            "models": {
                "generator": fingerprint(generator.model, generator.revision),
                "clip": fingerprint(encoders.clip, encoders.clip_revision),
                "vision": fingerprint(encoders.vision, encoders.vision_revision),
            },
            "generator": generator.model_dump(mode="json"),
            "encoders": encoders.model_dump(mode="json"),
            "lambda": model.fusion_weight,
            "metrics": read_json(EVALUATION / "metrics.json", "run `dvc repro evaluate`"),
            "validation": read_json(VALIDATION / "report.json", "run `dvc repro validate`"),
            "files": {p.name: sha256(p) for p in sorted(aside.iterdir())},
        }
        write_json(aside / "bundle.json", info)
    return info


def _add(archive: zipfile.ZipFile, name: str, path: Path, side: int) -> None:
    image = thumbnail(path, side)
    data = encode(image, "PNG" if max(image.size) <= 64 else "JPEG")
    # the date is fixed, so equal pictures give an equal archive
    archive.writestr(zipfile.ZipInfo(name), data)
