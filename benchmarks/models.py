"""Full-size models with random weights on an accelerator: `python -m benchmarks.models`.

One script for the few minutes in which a card is at hand: how fast the models draw and encode, how
long a new text takes through the real service, what a large gallery adds, and whether 16 bits, or
training there, change the results. With `--toy` every line of it runs on a CPU.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks import full_size, large, precisions, rates, training
from benchmarks.fresh import Fresh, fresh
from components import config
from components.config import profiles
from components.errors import EidolonError, one_sentence
from components.files import write_json
from components.models.checkpoints import device, precision
from components.progress import note

PICTURES = 4  # imagined of a text
IDLE = 6.0  # seconds until idle models leave the card
ENCODERS = Path("zoo/models")

Out = Annotated[Path | None, typer.Option(help="a JSON file for all figures")]
Toy = Annotated[bool, typer.Option("--toy", help="small models and numbers, to try the script")]


def main(toy: Toy = False, out: Out = None) -> None:
    """Measure full-size models with random weights, on an accelerator (docs/benchmarks.md)."""
    if device().type == "cpu" and not toy:
        raise EidolonError(
            "there is no accelerator here, and a CPU takes hours for this: `make bench` measures"
            " the embedded models, and --toy tries this script"
        )
    sizes = full_size.toy() if toy else full_size.full()
    dims = sizes.clip_text["projection_dim"], sizes.dinov2["hidden_size"]
    with tempfile.TemporaryDirectory(prefix="eidolon-models-") as place:
        folder, began = Path(place), time.monotonic()
        found: dict[str, Any] = {"card": _card(), "precision": str(precision())}

        def done(what: str) -> None:
            note(f"{what}: {time.monotonic() - began:.0f} s since the start")
            if out is not None:
                write_json(out, found)

        full_size.save_models(folder, sizes)
        _forget()
        done("models saved")
        params = _params(folder, sizes.side)
        measured = rates.measure(folder, params.generator, items=8 if toy else 256)
        found["rates"] = [asdict(rate) for rate in measured]
        _show_rates(measured)
        done("rates")
        found["changes"] = precisions.changes(ENCODERS, categories=20 if toy else 200)
        _show_changes(found["changes"])
        _forget()
        done("changes")
        found["large"] = asdict(large.search(2_000 if toy else 1_000_000, dims))
        _show("one search in a large gallery (ms; built in s)", found["large"])
        _forget()
        done("large gallery")
        size = (300, 40, 16) if toy else (50_000, 500, 1024)
        epochs = params.train.model_copy(update={"epochs": 2 if toy else 10})
        trained = training.compare(folder / "made", epochs, *size)
        found["training"] = {name: asdict(one) for name, one in trained.items()}
        _show_trained(trained)
        _forget()
        done("training")
        rows, each = (2_000, 2) if toy else (100_000, 16)
        asked = fresh(folder / "bundle", params, rows, dims, each)
        found["fresh"] = asdict(asked) | {"callers": _plain(asked)}
        _show_fresh(asked)
        done("service")
    worst = max(changes["product"] for changes in found["changes"].values())
    if worst > precisions.MOST_CHANGED:
        raise EidolonError(
            f"16 bits and batches change {worst:.1%} of the best places, and"
            f" {precisions.MOST_CHANGED:.0%} may change: compute in float32 on this card"
        )
    if (apart := training.apart(trained)) > training.TOLERANCE:
        raise EidolonError(
            f"training here gives a validation mAP that is {apart:.4f} from the CPU's, and"
            f" {training.TOLERANCE} is allowed: leave train.accelerator false on this card"
        )


def _params(folder: Path, side: int) -> config.Params:
    """The profile for full-size models, with those in ``folder``."""
    params = profiles.load("cub200-sdxl-turbo")
    generator = {"model": f"{folder}/sdxl", "revision": None, "size": side}
    revisions = {"clip_revision": None, "vision_revision": None}
    encoders = {"clip": f"{folder}/clip", "vision": f"{folder}/dinov2", **revisions}
    changed = {
        "generator": params.generator.model_copy(
            update=generator | {"images_per_category": PICTURES}
        ),
        "encoders": params.encoders.model_copy(update=encoders),
        "serve": params.serve.model_copy(
            update={"idle_seconds": IDLE, "accelerators": device().type != "cpu"}
        ),
    }
    return params.model_copy(update=changed)


def _card() -> str:
    return "a CPU" if device().type == "cpu" else torch.cuda.get_device_name()


def _forget() -> None:
    if device().type == "cuda":
        torch.cuda.empty_cache()


def _plain(found: Fresh) -> dict[str, dict[str, float]]:
    return {str(count): took._asdict() for count, took in found.callers.items()}


def _show_rates(found: list[rates.Rate]) -> None:
    table = Table(title=f"full-size architectures, random weights, {_card()}, {precision()}")
    for column in ("per second", "one at a time", "batched", "batch", "ratio", "peak GiB"):
        table.add_column(column)
    for rate in found:
        table.add_row(
            rate.what,
            f"{rate.alone:.1f}",
            f"{rate.batched:.1f}",
            str(rate.batch),
            f"{rate.batched / rate.alone:.1f}x",
            f"{rate.peak:.1f}",
        )
    Console(width=120).print(table)


def _show_changes(found: dict[str, dict[str, float]]) -> None:
    best = precisions.BEST
    table = Table(title=f"share of the best {best} that differ from float32, one at a time")
    for column in ("encoder", "float32 in batches", f"{precision()} in batches"):
        table.add_column(column)
    for name, changes in found.items():
        table.add_row(name, f"{changes['batches']:.2%}", f"{changes['product']:.2%}")
    Console(width=120).print(table)


def _show_trained(found: dict[str, training.Trained]) -> None:
    table = Table(title="training on made features")
    for column in ("on", "seconds an epoch", "best validation mAP", "λ"):
        table.add_column(column)
    for name, one in found.items():
        table.add_row(name, f"{one.seconds:.2f}", f"{one.map:.4f}", f"{one.fusion_weight:.3f}")
    Console(width=120).print(table)


def _show(title: str, figures: dict[str, Any]) -> None:
    table = Table(title=title)
    for name in figures:
        table.add_column(name)
    table.add_row(*(f"{value:,.4g}" for value in figures.values()))
    Console(width=120).print(table)


def _show_fresh(found: Fresh) -> None:
    _show("seconds of a request", {"the first": found.first, "after a rest": found.woken})
    _show("a new text, one caller: milliseconds of its steps", found.steps)
    _show("GiB of the accelerator's memory in use", found.memory)
    table = Table("callers", "p50 / p95 / p99, requests per second", "without pictures")
    for count, took in found.callers.items():
        table.add_row(str(count), str(took), str(took.refused))
    Console(width=120).print(table)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with one_sentence():
        typer.run(main)
