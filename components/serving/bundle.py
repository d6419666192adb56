"""The stage `bundle`: writes the folder that is registered, promoted, deployed and rolled back.

    bundle.json               what everything was made from, and the hash of every other file
    aggregator.safetensors    the aggregator network and λ
    gallery.safetensors       clip (N, d), vision (N, d), clip_hubness (N,), vision_hubness (N,)
    index.safetensors         what the engine of a large gallery needs beside its rows
    queries.safetensors       of the known categories: text (C, d), aggregated (C, d), and imagined
                              (C, K, d) with accepted (C, K); where there are descriptions, the
                              same of these as description_text and so on
    gallery.csv               path, category, source, split and dhash of each gallery row, and any
                              other column of the dataset's manifest
    categories.csv            category, split, and of its imagined pictures, in the same order:
                              pictures (paths in pictures.zip), seeds, addresses, agreements
    descriptions.csv          the same of the descriptions, for each category, and their texts, as
                              a JSON list
    pictures.zip              thumbnails of gallery and imagined pictures, to show with results; or
    pictures.csv              with bundle.pictures `store`: path and key of each thumbnail in the
                              store (:mod:`components.serving.thumbnails`)
    originals.zip             the gallery's own files, if bundle.originals asks for them
    confidence.json           when to say that nothing in the gallery fits

Loading checks every hash. The bundle contains no pickle.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from safetensors.numpy import save_file

from components import config, descriptions, manifest, tables
from components.confidence.confidence import Confidence
from components.features.features import Features
from components.features.queries import to_arrays
from components.files import folder_aside, read_json, sha256, write_json
from components.images.content import ContentClassifier
from components.images.decoding import decode
from components.index import engines
from components.index.build import build_index
from components.index.engine import Asked
from components.kinds import CLASS, DESCRIPTION, Kind
from components.learning.aggregator import Aggregator, aggregate
from components.paths import (
    ACCEPTED,
    AGGREGATOR,
    BUNDLE,
    CONFIDENCE,
    DATASET,
    EVALUATION,
    FEATURES,
    VALIDATION,
)
from components.progress import note, track
from components.serving.integrity import FORMAT
from components.serving.made_with import made_with
from components.serving.thumbnails import Thumbnails, key
from components.versioning.lock import dataset_hash


def bundle(params: config.Params, out: Path = BUNDLE) -> dict[str, Any]:
    """Collect the outputs of the other stages in the folder ``out``.

    Returns the content of ``bundle.json``. Raises :class:`EidolonError` when a file is missing or
    damaged, and with pictures in a shared store what :class:`Objects` raises.
    """
    features = Features.load(FEATURES)
    weights = AGGREGATOR / "aggregator.safetensors"
    model = Aggregator.load(weights)
    drawn: pd.DataFrame = manifest.read(ACCEPTED, manifest.ACCEPTED_COLUMNS, "dvc repro validate")
    threshold = params.bundle.content_threshold if params.bundle.check_content else None
    if threshold is not None:
        features, drawn = _decent(features, drawn, threshold)
    models = made_with(params)
    with folder_aside(out) as aside:
        (aside / "aggregator.safetensors").write_bytes(weights.read_bytes())
        aggregated = aggregate(model, features)
        gallery = build_index(features, aggregated, params.index.hubness_temperature)
        save_file(vars(gallery), aside / "gallery.safetensors")
        asked = Asked(features.text, aggregated, model.fusion_weight)
        encoders = f"{models['clip']} {models['vision']}"
        index = engines.build(gallery, params.index, asked, encoders)
        index.save(aside / engines.FILE)
        queries = {
            "text": features.text,
            "aggregated": aggregated,
            "imagined": features.imagined,
            "accepted": features.accepted,
        }
        queries |= to_arrays(features.described)
        if features.described is not None:
            tables.write(aside / "descriptions.csv", _descriptions(features, drawn))
        save_file(queries, aside / "queries.safetensors")
        tables.write(aside / "gallery.csv", _gallery(features))
        tables.write(aside / "categories.csv", _categories(features, drawn, CLASS))
        Confidence.load(CONFIDENCE / "confidence.json").save(aside / "confidence.json")
        _pack(aside, list(features.gallery["path"]), drawn, params.bundle)
        info = {
            "format": FORMAT,
            "profile": params.profile,
            "dataset": {"dvc": dataset_hash(), "pictures": len(features.gallery)},
            "models": models,
            "generator": params.generator.model_dump(mode="json"),
            "encoders": params.encoders.model_dump(mode="json"),
            "index": params.index.model_dump(mode="json") | {"searched": index.described()},
            "validate": params.validation.model_dump(mode="json"),
            "ingest": {
                "max_hamming": params.ingest.max_hamming,
                "near_duplicate_distance": params.ingest.near_duplicate_distance,
            },
            "content_threshold": threshold,
            "lambda": model.fusion_weight,
            "metrics": read_json(EVALUATION / "metrics.json", "run `dvc repro evaluate`"),
            "validation": read_json(VALIDATION / "report.json", "run `dvc repro validate`"),
            "files": {p.name: sha256(p) for p in sorted(aside.iterdir())},
        }
        write_json(aside / "bundle.json", info)
    return info


def _pack(folder: Path, gallery: Sequence[str], drawn: pd.DataFrame, params: config.Bundle) -> None:
    """Write pictures.zip, or else pictures.csv, into ``folder``, and originals.zip if it is asked
    for. Only thumbnails that the store lacks are made, and uploaded where machines share one."""
    known = manifest.read(DATASET, manifest.DATASET_COLUMNS, "dvc repro dataset")
    hashes = dict(zip(known["path"], known["sha256"], strict=True))
    files = [(path, DATASET / path, hashes[path]) for path in gallery]
    imagined = zip(drawn["path"], drawn["sha256"], strict=True)
    files += [(f"imagined/{path}", ACCEPTED / path, digest) for path, digest in imagined]
    side, store = params.thumbnail_pixels, Thumbnails()
    with store.writing():
        if params.pictures == "bundled":
            made = (
                (name, store.of(file, digest, side))
                for name, file, digest in track(files, "thumbnails", "pictures")
            )
            _zip(folder / "pictures.zip", made)
        else:
            named = [(name, key(digest, side)) for name, _, digest in files]
            tables.write(folder / "pictures.csv", pd.DataFrame(named, columns=["path", "key"]))
            store.keep([(file, digest) for _, file, digest in files], side)
    uploaded = f", {store.uploaded:,} uploaded" if store.uploaded else ""
    note(f"bundle: {store.made:,} of {len(files):,} thumbnails made{uploaded}")
    if params.originals:
        originals = ((path, (DATASET / path).read_bytes()) for path in gallery)
        _zip(folder / "originals.zip", originals)


def _zip(file: Path, members: Iterable[tuple[str, bytes]]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members:
            # the date is fixed, so equal pictures give an equal archive
            archive.writestr(zipfile.ZipInfo(name), data)


def _decent(
    features: Features, drawn: pd.DataFrame, threshold: float
) -> tuple[Features, pd.DataFrame]:
    """``features`` and ``drawn`` without the pictures that the content classifier scores at
    ``threshold`` or more."""
    classifier = ContentClassifier()

    def fine(files: Sequence[Path], what: str) -> npt.NDArray[np.bool_]:
        images = (decode(file) for file in track(files, what, "pictures"))
        return np.array(classifier.judge(images)) < threshold

    shown = fine([DATASET / path for path in features.gallery["path"]], "check gallery")
    kept = fine([ACCEPTED / path for path in drawn["path"]], "check imagined")
    accepted, described = features.accepted.copy(), features.described
    if described is not None:
        described = replace(described, accepted=described.accepted.copy())
    row = pd.Index(features.categories["category"]).get_indexer(pd.Index(drawn["category"]))
    place = drawn.groupby(["category", "kind"]).cumcount().to_numpy()
    named = (drawn["kind"] == CLASS).to_numpy()
    accepted[row[named], place[named]] = kept[named]
    if described is not None:
        described.accepted[row[~named], place[~named]] = kept[~named]
    decent = replace(
        features,
        described=described,
        gallery=features.gallery[shown].reset_index(drop=True),
        gallery_clip=features.gallery_clip[shown],
        gallery_vision=features.gallery_vision[shown],
        accepted=accepted,
    )
    return decent, drawn[kept]


def _gallery(features: Features) -> pd.DataFrame:
    """The rows of the gallery, in their order, with what the dataset's manifest says of each."""
    known = manifest.read(DATASET, manifest.DATASET_COLUMNS, "dvc repro dataset")
    rows = features.gallery.merge(known.drop(columns=["category", "source"]), on="path", how="left")
    return rows.drop(columns=["subset", "sha256", "pixels"])


def _descriptions(features: Features, drawn: pd.DataFrame) -> pd.DataFrame:
    """The categories, each with a list of its descriptions, and as in :func:`_categories`."""
    texts, found = descriptions.load(DATASET), _categories(features, drawn, DESCRIPTION)
    listed = (json.dumps(texts.get(name, []), ensure_ascii=False) for name in found["category"])
    return found.assign(texts=list(listed))


def _categories(features: Features, drawn: pd.DataFrame, kind: Kind) -> pd.DataFrame:
    """The categories, each with lists of what is known of its imagined pictures of one ``kind``."""
    drawn = drawn[drawn["kind"] == kind]
    measured = tables.read(
        VALIDATION / "measurements.csv", ("address", "agreement"), "run `dvc repro validate`"
    ).drop_duplicates("address", keep="last")
    agreement = drawn["address"].map(measured.set_index("address")["agreement"])
    columns = {
        "pictures": "imagined/" + drawn["path"],
        "seeds": drawn["seed"].astype(str),
        "addresses": drawn["address"],
        "agreements": agreement.astype(str),
    }
    names = features.categories["category"]
    lists = {
        column: names.map(values.groupby(drawn["category"]).agg(" ".join)).fillna("")
        for column, values in columns.items()
    }
    return features.categories.assign(**lists)
