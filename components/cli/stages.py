"""The stages of dvc.yaml as verbs, in their order. Each prints a line of results."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from components import config

PANEL = "Stages, in their order"
verbs = typer.Typer()


@verbs.command(rich_help_panel=PANEL)
def source() -> None:
    """Stage 0: record what is in dataset.source, so that stage 1 runs after a change."""
    from components.datasets.source import KEEP, source
    from components.paths import SOURCE

    if not (os.environ.get(KEEP) and SOURCE.is_file()):
        print(f"source: {source(config.load().dataset)}")


@verbs.command(rich_help_panel=PANEL)
def dataset() -> None:
    """Stage 1: gather the dataset that params.yaml names (data/dataset)."""
    from components.collection import catalog
    from components.datasets.dataset import make

    with catalog.locked():
        rows, new = make(config.load().dataset)
    counts = rows.groupby("subset").size().to_dict()
    count = rows["category"].nunique()
    print(f"dataset: {count} categories, {counts} pictures, {new} of them new")


@verbs.command(rich_help_panel=PANEL)
def plan() -> None:
    """Stage 2: list the pictures to imagine, shard by shard (data/plan)."""
    from components.imagining.plan import plan as stage

    params = config.load().generator
    print(f"plan: {len(stage(params))} pictures in {len(params.shards)} shards")


@verbs.command(rich_help_panel=PANEL)
def imagine(shard: Annotated[int, typer.Argument(help="one of generator.shards")]) -> None:
    """Stage 3: draw the pictures of one shard (data/shards)."""
    from components.imagining.imagine import imagine as stage

    print(f"imagine@{shard}: {len(stage(shard, config.load().generator))} pictures")


@verbs.command(rich_help_panel=PANEL)
def generate() -> None:
    """Stage 4: gather the pictures of all shards (data/imagined)."""
    from components.imagining.generate import generate as stage

    frame = stage(config.load().generator)
    print(f"generate: {len(frame)} pictures of {frame['category'].nunique()} categories")


@verbs.command(rich_help_panel=PANEL)
def encode(shard: Annotated[int, typer.Argument(help="one of generator.shards")]) -> None:
    """Before stages 5 and 6, if accelerators share their work: encode the pictures of a shard."""
    from components.validation.ahead import encode as ahead

    encoded, pictures = ahead(shard, config.load())
    print(f"encode@{shard}: {encoded:,} of {pictures:,} pictures encoded")


@verbs.command(rich_help_panel=PANEL)
def validate() -> None:
    """Stage 5: judge the imagined pictures, and regenerate rejected ones (data/accepted)."""
    from components.paths import VALIDATION
    from components.validation.validate import validate as stage

    report = stage(config.load())
    for warning in report["warnings"]:
        print(f"warning: {warning}")
    print(
        f"validate: {report['accepted']} of {report['pictures']} pictures accepted,"
        f" {report['redrawn']} regenerated, {sum(report['quarantined'].values())} quarantined,"
        f" {len(report['text_only'])} categories left to text: see {VALIDATION}/index.html"
    )


@verbs.command(rich_help_panel=PANEL)
def embed() -> None:
    """Stage 6: encode pictures and names (artifacts/features)."""
    from components.features.embed import embed as stage

    features = stage(config.load().encoders)
    print(f"embed: gallery {features.gallery_clip.shape}, imagined {features.imagined.shape}")


@verbs.command(rich_help_panel=PANEL)
def train() -> None:
    """Stage 7: train the aggregator and λ (artifacts/aggregator)."""
    from components.learning.train import train as stage

    history = stage(config.load().train)
    best = history.iloc[int(history["validation_map"].argmax())]
    print(f"train: validation mAP {best['validation_map']:.4f} at λ = {best['lambda']:.3f}")


@verbs.command(rich_help_panel=PANEL)
def evaluate() -> None:
    """Stage 8: measure the mAP of text, image and fused ranking (artifacts/evaluation)."""
    from components.learning.evaluate import evaluate as stage

    metrics = stage(config.load())
    for group in metrics["gain"]:
        values = "  ".join(
            f"{kind} {groups[group].get('mean', float('nan')):.4f}"
            for kind, groups in metrics["map"].items()
        )
        print(f"evaluate: {group:<11} {values}")
    for kind, of in metrics.get("kinds", {}).items():
        values = "  ".join(
            f"{score} {groups['unseen'].get('mean', float('nan')):.4f}"
            for score, groups in of["map"].items()
        )
        print(f"evaluate: unseen, by {kind:<11} {values}")


@verbs.command(rich_help_panel=PANEL)
def calibrate() -> None:
    """Stage 9: fit when to say that nothing in the gallery fits (artifacts/confidence)."""
    from components.confidence.calibrate import calibrate as stage
    from components.confidence.report import lines

    print("\n".join(lines(stage(config.load()))))


@verbs.command(rich_help_panel=PANEL)
def bundle() -> None:
    """Stage 10: collect what is registered and served (artifacts/bundle)."""
    from components.serving.bundle import bundle

    info = bundle(config.load())
    print(f"bundle: {len(info['files'])} files, dataset {info['dataset']['dvc'][:12]}")
