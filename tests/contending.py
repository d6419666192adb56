"""Today's data and versions of a planted world, for tests of the verdict: real files, and models
that are never loaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from components import config, manifest, names
from components.confidence.confidence import FEATURES, OF_TEXT, Confidence, Logistic
from components.features.features import Features
from components.files import sha256, write_json
from components.index.build import build_index
from components.learning.aggregator import Aggregator, aggregate
from components.lifecycle.contenders import Contender
from components.lifecycle.judging import Verdict, judge
from components.models.fingerprints import fingerprint
from components.monitoring import feedback
from components.serving.integrity import FORMAT
from tests import planted
from tests.toy import ROOT

WORSE = 2.0  # damage to the weights of an aggregator
SPLITS = ("train",) * 12 + ("validation",) * 4 + ("unseen",) * 4 + ("gate",) * 10


@dataclass(frozen=True)
class World:
    """A folder with today's features and pictures, its parameters, and its models' folders."""

    folder: Path
    params: config.Params
    features: Features

    def judge(
        self,
        challenger: Contender,
        champion: Contender | None = None,
        best: Contender | None = None,
        params: config.Params | None = None,
    ) -> Verdict:
        """The verdict, which is written to the folder ``verdict``."""
        return judge(
            challenger,
            champion,
            best,
            params or self.params,
            self.folder / "verdict",
            features=self.folder / "features",
            dataset=self.folder / "dataset",
            accepted=self.folder / "accepted",
            collection=self.folder / "collection",
            texts=self.folder / "texts.sqlite",
        )

    def told(self) -> dict[str, Any]:
        """The last verdict as JSON."""
        found: dict[str, Any] = json.loads((self.folder / "verdict" / "verdict.json").read_text())
        return found

    def page(self) -> str:
        """The page of the last verdict."""
        return (self.folder / "verdict" / "index.html").read_text()


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A planted world, with a store of features of its own."""
    monkeypatch.setenv("EIDOLON_FEATURES", str(tmp_path / "store"))
    return world(tmp_path)


def world(folder: Path, features: Features | None = None) -> World:
    """Write today's data to ``folder``; ``features`` are by default those of a planted world."""
    features = planted.features(SPLITS) if features is None else features
    for part in ("clip", "vision", "generator"):
        (folder / "models" / part).mkdir(parents=True, exist_ok=True)
        (folder / "models" / part / "config.json").write_text(f'{{"is": "{part}"}}')
    params = config.load(ROOT / "profiles" / "embedded.yaml")
    models = folder / "models"
    update: dict[str, Any] = {
        "generator": params.generator.model_copy(update={"model": str(models / "generator")}),
        "encoders": params.encoders.model_copy(
            update={"clip": str(models / "clip"), "vision": str(models / "vision")}
        ),
        "evaluate": params.evaluate.model_copy(update={"bootstrap": 300}),
    }
    made = World(folder, params.model_copy(update=update), features)
    today(made, features)
    return made


def today(made: World, features: Features) -> World:
    """The same world with ``features`` as today's, and one red picture for each row."""
    for name in ("features", "dataset"):
        shutil.rmtree(made.folder / name, ignore_errors=True)
        (made.folder / name).mkdir()
    features.save(made.folder / "features")
    rows = features.gallery.assign(subset="gallery", pixels=features.gallery["path"])
    rows["split"] = rows["category"].map(features.categories.set_index("category")["split"])
    rows = rows.reindex(columns=manifest.DATASET_COLUMNS, fill_value="")
    rows.to_csv(made.folder / "dataset" / "manifest.csv", index=False)
    for path in rows["path"]:
        (made.folder / "dataset" / path).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), "red").save(made.folder / "dataset" / path)
    return World(made.folder, made.params, features)


def model(damage: float = 0.0) -> Aggregator:
    """An aggregator that averages, with noise of the size ``damage`` on its weights."""
    torch.manual_seed(0)
    made = Aggregator(planted.DIM)
    made.start_at_mean()
    with torch.no_grad():
        for weights in made.self_attn.parameters():
            weights += damage * torch.randn_like(weights)
    return made.eval()


def version(
    made: World, number: int, damage: float = 0.0, without: str = "", **changes: Any
) -> Contender:
    """A version with the bundle of the world's features. ``changes`` replace parts of bundle.json,
    and ``without`` is left out of it."""
    folder, found, network = made.folder / f"bundle-{number}", made.features, model(damage)
    folder.mkdir()
    aggregated = aggregate(network, found)
    network.save(folder / "aggregator.safetensors")
    gallery = build_index(found, aggregated, made.params.index.hubness_temperature)
    save_file(vars(gallery), folder / "gallery.safetensors")
    queries = {"text": found.text, "aggregated": aggregated}
    queries |= {"imagined": found.imagined, "accepted": found.accepted}
    save_file(queries, folder / "queries.safetensors")
    _columns(found.gallery, "source", "split", "dhash").to_csv(folder / "gallery.csv", index=False)
    columns = ("pictures", "seeds", "addresses", "agreements")
    _columns(found.categories, *columns).to_csv(folder / "categories.csv", index=False)
    parts = (_logistic(count) for count in (OF_TEXT, len(FEATURES)))
    Confidence(*parts).save(folder / "confidence.json")
    generator, encoders = made.params.generator, made.params.encoders
    info: dict[str, Any] = {
        "format": FORMAT,
        "models": {
            "generator": fingerprint(generator.model, None),
            "clip": fingerprint(encoders.clip, None),
            "vision": fingerprint(encoders.vision, None),
        },
        "generator": generator.model_dump(mode="json"),
        "encoders": encoders.model_dump(mode="json"),
        "index": made.params.index.model_dump(mode="json"),
        "files": {path.name: sha256(path) for path in sorted(folder.iterdir())},
    }
    info |= {
        name: info[name] | part if isinstance(part, dict) else part
        for name, part in changes.items()
    }
    write_json(folder / "bundle.json", {k: v for k, v in info.items() if k != without})
    return Contender(f"version {number}", folder)


def ingested(made: World, *categories: str) -> None:
    """As if the first picture of each of ``categories`` had come with an ingestion."""
    rows = [
        (f"{i}.png", name, "", f"{names.fold(name)}/0.png", "", 1, "given", "0.png")
        for i, name in enumerate(categories)
    ]
    columns = ["path", "category", "sha256", "pixels", "dhash", "bytes", "source", "file"]
    (made.folder / "collection").mkdir()
    frame = pd.DataFrame(rows, columns=columns)
    frame.to_csv(made.folder / "collection" / "manifest.csv", index=False)


def marked(made: World, marks: Iterable[tuple[str, str, bool]]) -> None:
    """As if people had marked pictures: the query, the hash of the pixels, and whether it is
    right."""
    rows = [(*one[:2], str(int(one[2])), "2026-03-09T12:00:00+00:00") for one in marks]
    (made.folder / "collection").mkdir(exist_ok=True)
    frame = pd.DataFrame(rows, columns=list(feedback.COLUMNS))
    frame.to_csv(made.folder / "collection" / "feedback.csv", index=False)


def _columns(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return frame.assign(**{name: "" for name in columns if name not in frame})


def _logistic(count: int) -> Logistic:
    many = count + count * (count + 1) // 2
    return Logistic((0.0,) * count, (1.0,) * count, tuple(np.zeros(many)), 0.0, 0.5)
