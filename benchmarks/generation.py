"""Generation of the embedded world: batches, and one more category."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pandas as pd
from diffusers import DiffusionPipeline

from benchmarks.timing import median_seconds
from components import config, manifest
from components.imagining import generate, imagine, plan
from components.imagining.generator import Generator
from components.imagining.recipes import wanted
from components.imagining.store import Store
from components.models.checkpoints import device, precision

ADDED = "olive wavy spiral"

Row = tuple[str, str, str, str]
"""What was measured, the baseline, the figure, and their ratio."""


def batches(params: config.Generator, names: list[str]) -> Row:
    """Pictures per second against the plain pipeline of diffusers, one prompt at a time."""
    generator = Generator(params)
    orders = wanted(params, names)[: generator.batch]
    prompts, count = [w.prompt for w in orders], len(orders)
    pipe = DiffusionPipeline.from_pretrained(params.model, dtype=precision()).to(device())
    pipe.set_progress_bar_config(disable=True)

    def plain(_: int) -> None:
        for prompt in prompts:
            pipe(
                prompt,
                num_inference_steps=params.steps,
                guidance_scale=params.guidance,
                height=params.size,
                width=params.size,
            )

    loop = median_seconds(plain)
    batch = median_seconds(lambda _: generator.draw(prompts, [w.seed for w in orders]))
    what = f"pictures per second: batches of {count} against one prompt at a time"
    return what, f"{count / loop:.1f}", f"{count / batch:.1f}", f"{loop / batch:.1f}x"


def one_more(params: config.Generator, names: list[str]) -> Row:
    """Seconds of plan, imagine and generate for one added category, and for all categories.

    Each is measured once, without the start of Python but with the loading of the model.
    """
    alone = params.model_copy(update={"shards": (0,)})
    with tempfile.TemporaryDirectory(prefix="eidolon-generation-") as folder:
        root = Path(folder)

        def seconds(categories: list[str]) -> float:
            row = dict.fromkeys(manifest.DATASET_COLUMNS, "-")
            manifest.write(root, pd.DataFrame([row | {"category": n} for n in categories]))
            began = time.perf_counter()
            plan.plan(alone, root, root / "plan")
            imagine.imagine(
                0, alone, root / "plan", root / "imagined", root / "shards", Store(root / "store")
            )
            generate.generate(alone, root / "plan", root / "shards", root / "imagined")
            return time.perf_counter() - began

        def stored() -> int:
            return len(list((root / "store").glob("*/*.png")))

        every, before = seconds(names), stored()
        more, added = seconds([*names, ADDED]), stored() - before
    what = f"generation: one added category ({added} pictures) against all {len(names)} ({before})"
    return what, f"{every:.1f} s", f"{more:.1f} s", f"{every / more:.0f}x"
