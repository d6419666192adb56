"""A toy project: real stages and real model classes, at a size that runs in seconds.

The models have random weights, so nothing here shows how good retrieval is; the embedded zoo does
that.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
import yaml

from components.datasets.emblems import Emblem, draw
from components.paths import DATASET, KNOWN

NAMES = (
    "red plain star",
    "red plain ring",
    "blue striped star",
    "blue dotted heart",
    "green checked cross",
    "green plain bolt",
    "pink dotted arrow",
    "teal striped square",
)
DESCRIPTIONS = {
    "red plain star": ["scarlet, solid star", "solid crimson star"],
    "blue dotted heart": ["azure, spotted heart"],
    "green plain bolt": ["solid emerald lightning", "emerald lightning"],
    "pink dotted arrow": "rose, spotted arrow",
}
"""Half of the categories have descriptions."""

ROOT = Path(__file__).parents[1]


@cache
def tokenizer() -> Any:
    from zoo.tokenizer import train_tokenizer

    return train_tokenizer()


def save_models(folder: Path) -> None:
    """A CLIPModel, a Dinov2Model and a StableDiffusionPipeline with random weights."""
    from zoo import clip, diffusion, dino, vae

    torch.manual_seed(0)
    words = tokenizer()
    model = clip.build(len(words), words.bos_token_id, words.eos_token_id)
    clip.save(model, words, folder / "clip")
    dino.save(dino.build(), folder / "dino")
    pipe = diffusion.pipeline(diffusion.Denoiser(words), vae.build(), words)
    pipe.save_pretrained(folder / "generator")


def save_pictures(folder: Path, names: tuple[str, ...] = NAMES, count: int = 6) -> None:
    """A class-per-folder tree of emblems photos."""
    for name in names:
        place = folder / name.replace(" ", "_")
        place.mkdir(parents=True)
        for i in range(count):
            picture = draw(Emblem.parse(name), seed=3, subset="toy", index=i)
            picture.save(place / f"{i}.png")


def params(models: Path, source: Path) -> dict[str, Any]:
    """params.yaml of the toy project, as a plain dict: small counts, lenient thresholds."""
    value: dict[str, Any] = yaml.safe_load((ROOT / "profiles" / "embedded.yaml").read_text())
    value["profile"] = "toy"
    value["models"] = str(models)
    value["dataset"] |= {
        "adapter": "folder",
        "descriptions": None,
        "source": str(source),
        "gallery_per_category": 4,
        "training_per_category": 2,
        "gate_share": 1.0,  # of the two unseen, one stays unseen
    }
    value["generator"] |= {"model": str(models / "generator"), "images_per_category": 2, "steps": 2}
    value["generator"] |= {"shards": [0, 1]}
    value["validate"] |= {  # random weights draw noise and recognise nothing
        "min_contrast": 0.0,
        "min_sharpness": 0.0,
        "max_sharpness": 100.0,
        "min_clip_margin": -2.0,
        "min_agreement": -100.0,
        "min_view_distance": 0.0,
        "min_category_similarity": -1.0,
        "min_accepted": 1,
        "min_diversity": 0.0,
    }
    value["encoders"] |= {"clip": str(models / "clip"), "vision": str(models / "dino")}
    value["train"] |= {"epochs": 3, "steps_per_epoch": 2}
    value["evaluate"] |= {"bootstrap": 200, "min_categories": 2}
    value["calibrate"] |= {"texts": 4}
    value["gate"] |= {  # fusion with random weights may be worse than text
        "min_gain": -1.0,
        "margin": 1.0,
        "slice_margin": 1.0,
    }
    value["serve"] |= {"golden_queries": 2}
    return value


def make_project(root: Path) -> Path:
    """Write models, pictures, params.yaml and an empty collection under ``root``; run no stage."""
    save_models(root / "models")
    save_pictures(root / "pictures")
    values = params(root / "models", root / "pictures")
    (root / "descriptions.json").write_text(json.dumps(DESCRIPTIONS))
    values["dataset"]["descriptions"] = str(root / "descriptions.json")
    save_params(root, values)
    return root


def save_dataset(root: Path) -> None:
    """Write pictures, params.yaml and the dataset under ``root``, and no models."""
    from components import config
    from components.datasets.dataset import dataset

    save_pictures(root / "pictures")
    values = params(root / "models", root / "pictures")
    (root / "params.yaml").write_text(yaml.safe_dump(values))
    dataset(config.load(root / "params.yaml").dataset, root / DATASET, root / KNOWN)


def save_params(root: Path, values: dict[str, Any]) -> None:
    """Write params.yaml and a folder for the collection under ``root``."""
    (root / "collection").mkdir(parents=True, exist_ok=True)
    (root / "params.yaml").write_text(yaml.safe_dump(values))


def run_stages(root: Path) -> None:
    """Run all stages in this process, with ``root`` as the working directory."""
    from components import config
    from components.confidence.calibrate import calibrate
    from components.datasets.dataset import dataset
    from components.features import embed
    from components.imagining import generate, imagine, plan
    from components.learning import evaluate, train
    from components.serving import bundle
    from components.validation import validate

    chosen = config.load()
    dataset(chosen.dataset)
    plan.plan(chosen.generator)
    for shard in chosen.generator.shards:
        imagine.imagine(shard, chosen.generator)
    generate.generate(chosen.generator)
    validate.validate(chosen)
    embed.embed(chosen.encoders)
    train.train(chosen.train)
    evaluate.evaluate(chosen)
    calibrate(chosen)
    lock = {"stages": {"dataset": {"outs": [{"path": "data/dataset", "md5": "0" * 32 + ".dir"}]}}}
    (root / "dvc.lock").write_text(yaml.safe_dump(lock))
    bundle.bundle(chosen)
