"""The door: `eidolon VERB`, one verb per stage, plus the registry and search."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from components import config
from components.errors import EXIT_CODE, one_sentence

app = typer.Typer(
    help="Text-to-image search through imagined pictures.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def dataset() -> None:
    """Stage 1: write the dataset to data/dataset."""
    from components.datasets.build import build

    frame = build(config.load().dataset)
    counts = frame.groupby("subset").size().to_dict()
    print(f"dataset: {frame['category'].nunique()} categories, {counts} pictures")


@app.command()
def generate() -> None:
    """Stage 2: imagine pictures of every category, to data/imagined."""
    from components.generate import generate as stage

    frame = stage(config.load().generator)
    print(f"generate: {len(frame)} pictures of {frame['category'].nunique()} categories")


@app.command()
def validate() -> None:
    """Stage 3: let Great Expectations judge the imagined pictures."""
    from components.validate import validate as stage

    params = config.load()
    report = stage(params.validation, params.generator.size)
    print(f"validate: {report['accepted']} of {report['pictures']} pictures accepted")


@app.command()
def embed() -> None:
    """Stage 4: encode pictures and names, to artifacts/features."""
    from components.embed import embed as stage

    features = stage(config.load().encoders)
    print(f"embed: gallery {features.gallery_clip.shape}, imagined {features.imagined.shape}")


@app.command()
def train() -> None:
    """Stage 5: fit the aggregator and λ, to artifacts/aggregator."""
    from components.train import train as stage

    history = stage(config.load().train)
    best = history.iloc[int(history["validation_map"].argmax())]
    print(f"train: validation mAP {best['validation_map']:.4f} at λ = {best['lambda']:.3f}")


@app.command()
def evaluate() -> None:
    """Stage 6: mAP of text, image and fused ranking, to artifacts/evaluation."""
    from components.evaluate import GROUPS
    from components.evaluate import evaluate as stage

    metrics = stage(config.load().evaluate)
    for group in GROUPS:
        values = "  ".join(
            f"{kind} {metrics['map'][kind][group]['mean']:.4f}" for kind in metrics["map"]
        )
        print(f"evaluate: {group:<10} {values}")


@app.command()
def bundle() -> None:
    """Stage 7: gather what is registered and served, to artifacts/bundle."""
    from components.bundle import pack

    info = pack(config.load())
    print(f"bundle: {len(info['files'])} files, dataset {info['dataset']['dvc'][:12]}")


@app.command()
def use(profile: Annotated[str, typer.Argument(help="a file of profiles/, without .yaml")]) -> None:
    """Replace params.yaml by a profile."""
    print(f"params.yaml is now the profile {config.use(profile).profile}")


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="a version of the model `eidolon`")],
) -> None:
    """Make a registered version the champion (and so roll back, with an older one)."""
    from components import registry

    registry.promote_by_hand(version)
    print(f"version {version} is now the champion")


@app.command()
def search(
    query: Annotated[str, typer.Argument(help='what to look for, such as "red striped star"')],
    k: Annotated[int, typer.Option(help="how many pictures")] = 5,
    bundle: Annotated[Path, typer.Option(help="the bundle to search")] = Path("artifacts/bundle"),
) -> None:
    """Search a bundle from the terminal."""
    from components.bundle import load
    from components.retrieve import Retriever

    params = config.load()
    answer = Retriever(load(bundle), params.generator, params.encoders).search(query, k)
    how = "known category" if answer.known else f"imagined {len(answer.imagined)} pictures"
    table = Table(title=f"{query}  ({how}, λ = {answer.weight:.2f})")
    for column in ("rank", "category", "score", "text", "image", "picture"):
        table.add_column(column)
    for hit in answer.hits:
        scores = (f"{s:.3f}" for s in (hit.score, hit.text_score, hit.image_score))
        table.add_row(str(hit.rank), hit.category, *scores, hit.id)
    Console().print(table)


def main() -> None:
    """Run the command line; bad input is one sentence on stderr and exit status 2."""
    try:
        with one_sentence():
            app()
    except OSError as error:  # a full disk, a folder that may not be written
        where = f" {error.filename}" if error.filename else ""
        print(f"error: {error.strerror or error}{where}", file=sys.stderr)
        sys.exit(EXIT_CODE)


if __name__ == "__main__":
    main()
