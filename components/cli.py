"""The door: `eidolon VERB`, one verb per stage, plus the registry and search."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from components import config
from components.authors.choices import Method, TextModel, VisionModel
from components.errors import EidolonError, TransientError, one_sentence
from components.files import write_json

STAGES, DATA, MODELS, AUTHORS = "Stages, in their order", "Data", "Models", "The authors' files"
app = typer.Typer(
    help="Text-to-image search through imagined pictures.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command(rich_help_panel=STAGES)
def source() -> None:
    """Before them: note what lies in dataset.source, so that `dataset` sees a change."""
    from components.datasets.fingerprint import KEEP, note
    from components.paths import SOURCE

    if not (os.environ.get(KEEP) and SOURCE.is_file()):
        print(f"source: {note(config.load().dataset)}")


@app.command(rich_help_panel=STAGES)
def dataset() -> None:
    """Stage 1: write the dataset to data/dataset."""
    from components.data import collection
    from components.datasets.build import build

    with collection.locked():
        frame = build(config.load().dataset)
    counts = frame.groupby("subset").size().to_dict()
    print(f"dataset: {frame['category'].nunique()} categories, {counts} pictures")


@app.command(rich_help_panel=DATA)
def inspect() -> None:
    """Look at the dataset as a whole, and compare it with the champion's."""
    from components.lifecycle.admission import admit
    from components.paths import INSPECTION

    report, compared = admit(config.load())
    for warning in report["warnings"]:
        print(f"warning: {warning}")
    print(
        f"inspect: {report['categories']} categories, {report['pictures']} pictures, {compared}:"
        f" see {INSPECTION}/index.html"
    )


@app.command(rich_help_panel=STAGES)
def plan() -> None:
    """Stage 2: list the pictures to imagine, shard by shard, to data/plan."""
    from components.imagining.shards import plan as stage

    params = config.load().generator
    print(f"plan: {len(stage(params))} pictures in {len(params.shards)} shards")


@app.command(rich_help_panel=STAGES)
def imagine(shard: Annotated[int, typer.Argument(help="one of generator.shards")]) -> None:
    """Stage 3: imagine the pictures of one shard, to data/shards."""
    from components.imagining.shards import imagine as stage

    print(f"imagine@{shard}: {len(stage(shard, config.load().generator))} pictures")


@app.command(rich_help_panel=STAGES)
def generate() -> None:
    """Stage 4: gather the pictures of all shards, to data/imagined."""
    from components.imagining.shards import generate as stage

    frame = stage(config.load().generator)
    print(f"generate: {len(frame)} pictures of {frame['category'].nunique()} categories")


@app.command(rich_help_panel=STAGES)
def validate() -> None:
    """Stage 5: judge the imagined pictures and draw wrong ones anew, to data/accepted."""
    from components.paths import VALIDATION
    from components.validation.heal import validate as stage

    report = stage(config.load())
    for warning in report["warnings"]:
        print(f"warning: {warning}")
    print(
        f"validate: {report['accepted']} of {report['pictures']} pictures accepted,"
        f" {report['redrawn']} redrawn, {sum(report['quarantined'].values())} quarantined,"
        f" {len(report['text_only'])} categories left to text: see {VALIDATION}/index.html"
    )


@app.command(rich_help_panel=DATA)
def thresholds(
    cut: Annotated[
        float, typer.Option(min=0, max=0.5, help="share of the pictures that a bound should cut")
    ] = 0.005,
    out: Annotated[Path, typer.Option(help="the picture")] = Path("reports/thresholds.png"),
) -> None:
    """Plot what the limits of `validation` and `inspection` cut, to set them from data."""
    from components.validation import thresholds as stage

    found = stage.distributions(config.load())
    stage.plot(found, out)
    table = Table(title=f"limits of validation; the last column cuts {cut:.2%} at each bound")
    for column in (
        "measure",
        "limit",
        "cut of pictures",
        "of wrong ones",
        "to cut so many",
    ):
        table.add_column(column)
    for item in found:
        bounds = (_bounds(item.limit.low, item.limit.high), _bounds(*item.cutting(cut)))
        wrong = f"{item.beyond(item.wrong):.2%}" if item.wrong.size else ""
        cuts = f"{item.beyond(item.pictures):.2%}"
        table.add_row(item.limit.column, bounds[0], cuts, wrong, bounds[1])
    Console().print(table)
    print(f"thresholds: see {out}")


def _bounds(low: float | None, high: float | None) -> str:
    """As they would stand in params.yaml, digit for digit."""
    return f"{'' if low is None else f'{low:.12g}'} … {'' if high is None else f'{high:.12g}'}"


@app.command(rich_help_panel=STAGES)
def embed() -> None:
    """Stage 6: encode pictures and names, to artifacts/features."""
    from components.retrieval.embed import embed as stage

    features = stage(config.load().encoders)
    print(f"embed: gallery {features.gallery_clip.shape}, imagined {features.imagined.shape}")


@app.command(rich_help_panel=STAGES)
def train() -> None:
    """Stage 7: fit the aggregator and λ, to artifacts/aggregator."""
    from components.retrieval.train import train as stage

    history = stage(config.load().train)
    best = history.iloc[int(history["validation_map"].argmax())]
    print(f"train: validation mAP {best['validation_map']:.4f} at λ = {best['lambda']:.3f}")


@app.command(rich_help_panel=STAGES)
def evaluate() -> None:
    """Stage 8: mAP of text, image and fused ranking, to artifacts/evaluation."""
    from components.retrieval.evaluate import evaluate as stage

    metrics = stage(config.load())
    for group in metrics["gain"]:
        values = "  ".join(
            f"{kind} {groups[group].get('mean', float('nan')):.4f}"
            for kind, groups in metrics["map"].items()
        )
        print(f"evaluate: {group:<11} {values}")


@app.command(rich_help_panel=STAGES)
def bundle() -> None:
    """Stage 9: gather what is registered and served, to artifacts/bundle."""
    from components.retrieval.bundle import pack

    info = pack(config.load())
    print(f"bundle: {len(info['files'])} files, dataset {info['dataset']['dvc'][:12]}")


@app.command(rich_help_panel=DATA)
def ingest(
    source: Annotated[
        Path, typer.Argument(help="a folder of categories, a zip or tar, or a list (.csv, .txt)")
    ],
    keep_near: Annotated[
        bool, typer.Option("--keep-near", help="add near-duplicates of known pictures too")
    ] = False,
) -> None:
    """Check new pictures and add those that are fit to the dataset, as a new version of it."""
    from components.data import workspace
    from components.data.ingest import ingest as add

    params = config.load().ingest
    workspace.prepare(print)
    outcome = add(source, params, keep_near=keep_near)
    if outcome.unfit:
        raise EidolonError(f"nothing in {source} is fit: {outcome.sentence()}")
    print(f"ingest: {outcome.sentence()}")
    saved = workspace.save_collection(print)
    if not outcome.added:
        print("nothing new: the dataset stays as it is")
    if saved is not None:
        print(f"version {saved.hash} of the collection: {saved.pictures} pictures ingested so far,")
        print(
            f"{saved.added} of them still to be announced: the DAG `ingest` does it within 15"
            " minutes of `make up`"
        )


@app.command(rich_help_panel=MODELS)
def lineage(
    subject: Annotated[
        str,
        typer.Argument(
            help="a version or its alias, a file with an answer of POST /search, or - for stdin"
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Trace an answer or a version back to run, data, models, prompts, seeds and code."""
    from components.lifecycle.lineage import tables, trace

    found = trace(subject)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for table in tables(found):
        Console().print(table)


data = typer.Typer(help="Versions of the dataset.", no_args_is_help=True)
app.add_typer(data, name="data", rich_help_panel=DATA)


@data.command()
def log() -> None:
    """List the versions that registered models were trained on."""
    from components.lifecycle import registry

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))  # 80 columns
    for column in (
        "version",
        "alias",
        "registered",
        "dataset",
        "collection",
        "pictures",
        "categories",
        "code",
    ):
        table.add_column(column, no_wrap=True)
    for version in registry.versions():
        tags = version.tags
        table.add_row(
            version.version,
            "\n".join(version.aliases),
            f"{version.created:%Y-%m-%d}",
            tags.get("dataset", "")[:10],
            tags.get("collection", "")[:10],
            tags.get("pictures", ""),
            tags.get("categories", ""),
            tags.get("commit", "")[:7] + ("+" if tags.get("dirty") == "true" else ""),
        )
    Console().print(table)


@data.command()
def diff(
    a: Annotated[str, typer.Argument(help="a registered version, its alias, or `working`")],
    b: Annotated[
        str, typer.Argument(help="a registered version, its alias, or `working`")
    ] = "working",
) -> None:
    """Show what B's dataset has and A's has not, and the other way round."""
    from components.lifecycle.versions import diff as compare

    for line in compare(a, b).lines():
        print(line)


@data.command()
def restore(
    version: Annotated[str, typer.Argument(help="a registered version, or its alias")],
    force: Annotated[bool, typer.Option(help="even if unversioned changes are lost")] = False,
) -> None:
    """Bring back the dataset and the collection that a version was trained on."""
    from components.lifecycle.versions import restore as bring_back

    print(f"data/dataset is {bring_back(version, print, force=force)}, that of version {version}")


@app.command(rich_help_panel=MODELS)
def use(
    profile: Annotated[str, typer.Argument(help="a file of profiles/, without .yaml")],
    force: Annotated[bool, typer.Option(help="even if edits of params.yaml are lost")] = False,
) -> None:
    """Replace params.yaml by a profile."""
    from components import profiles
    from components.data import workspace

    committed = workspace.committed(config.PARAMS)
    chosen = profiles.use(profile, committed=committed, force=force)
    print(f"params.yaml is now the profile {chosen.profile}")


@app.command(rich_help_panel=MODELS)
def promote(
    version: Annotated[str, typer.Argument(help="a version of the model `eidolon`")],
) -> None:
    """Make a registered version the champion (and so roll back, with an older one)."""
    from components.lifecycle import registry

    registry.promote_by_hand(version)
    print(f"version {version} is now the champion")


@app.command(rich_help_panel=AUTHORS)
def import_checkpoint(
    file: Annotated[Path, typer.Argument(help="the authors' aggregator, a .pth")],
    out: Annotated[Path, typer.Argument(help="where to write it, as .safetensors")],
) -> None:
    """Turn an authors' checkpoint into our safetensors, running nothing of it."""
    from components.authors.checkpoint import import_checkpoint as turn

    model = turn(file, out)
    print(f"{out}: aggregator of {model.dim} dimensions, λ = {model.fusion_weight:.4f}")


@app.command(rich_help_panel=AUTHORS)
def evaluate_features(
    root: Annotated[Path, typer.Argument(help="the folder that holds aggregator/")],
    model: Annotated[TextModel, typer.Option(help="the text encoder")] = TextModel.CLIP,
    v_model: Annotated[VisionModel, typer.Option(help="the vision encoder")] = VisionModel.DINO,
    method: Annotated[Method, typer.Option(help="what a query says of a class")] = Method.CLASS,
    checkpoint: Annotated[
        Path | None, typer.Option(help="an authors' .pth or our .safetensors: adds `aggregated`")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", dir_okay=False, help="write the numbers there, too")
    ] = None,
) -> None:
    """Repeat the authors' evaluation on features in their layout: mAP by set and on average."""
    from components.authors.checkpoint import load
    from components.authors.evaluation import evaluate

    aggregator = None if checkpoint is None else load(checkpoint)
    report = evaluate(root, model, v_model, method, aggregator)
    table = Table(title=f"mAP, {model} and {v_model}, queries by {method}", box=SIMPLE_HEAD)
    table.add_column("set")
    for kind in report.average:
        table.add_column(kind, justify="right")
    for name, row in report.sets.items():
        table.add_row(name, *(f"{value:.4f}" for value in row.values()))
    table.add_section()
    table.add_row("average", *(f"{value:.4f}" for value in report.average.values()))
    Console().print(table)
    for name, why in report.skipped.items():
        print(f"skipped {name}: {why}")
    if json_file is not None:
        asked: dict[str, Any] = {"model": model, "v_model": v_model, "method": method}
        if aggregator is not None:
            asked |= {"checkpoint": str(checkpoint), "lambda": aggregator.fusion_weight}
        write_json(json_file, asked | report.as_dict())


@app.command(rich_help_panel=MODELS)
def search(
    query: Annotated[str, typer.Argument(help='what to look for, such as "red striped star"')],
    k: Annotated[int, typer.Option(help="how many pictures")] = 5,
    bundle: Annotated[Path, typer.Option(help="the bundle to search")] = Path("artifacts/bundle"),
) -> None:
    """Search a bundle from the terminal."""
    from components.retrieval.bundle import load
    from components.retrieval.retrieve import Retriever

    params = config.load()
    answer = Retriever(load(bundle), params.generator, params.encoders).search(query, k)
    how = "known category" if answer.known else f"imagined {len(answer.imagined)} pictures"
    # as text: rich takes [brackets] in a plain string for its markup
    title = Text(f"{query}  ({how}, λ = {answer.weight:.2f})", style="table.title")
    table = Table(title=title, box=SIMPLE_HEAD)
    for column in ("category", "score", "text", "image", "hubness"):
        table.add_column(column)
    table.add_column("picture", overflow="fold")
    for hit in answer.hits:
        parts = (hit.score, hit.text_score, hit.image_score, hit.hubness)
        scores = (f"{part:.2f}" for part in parts)
        table.add_row(Text(hit.category), *scores, Text(hit.source or hit.id))
    Console().print(table)


def main() -> None:
    """Run the command line. Bad input is one sentence on stderr and exit status 2; what another
    attempt may cure, such as a full disk, one with exit status 75."""
    with one_sentence():
        try:
            app()
        except OSError as error:
            where = f" {error.filename}" if error.filename else ""
            kind = EidolonError if isinstance(error, _WRONG_PATH) else TransientError
            raise kind(f"{error.strerror or error}{where}") from None


_WRONG_PATH = (
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)


if __name__ == "__main__":
    main()
