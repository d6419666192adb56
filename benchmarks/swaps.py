"""Does an exchange of the Bento lose a request? `python -m benchmarks.swaps --swaps 20`.

Callers ask an endpoint of two API workers steadily, on kept and on fresh connections and by
streams, while other Bentos are deployed and gone back from, by the command `eidolon rollback`. Two
of the Bentos have another backbone. Every answer is judged.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file, save_file

from benchmarks.callers import Answered, Callers, until_all, until_first
from benchmarks.standing import Standing
from components import config
from components.errors import EidolonError, one_sentence
from components.models.fingerprints import fingerprint
from components.paths import BUNDLE

WORKERS = 2
SETTLE = 2.0  # seconds of calls between two exchanges
COMPARED = 400  # requests, each with and without the proxy


def another_backbone(model: str, folder: Path, seed: int) -> Path:
    """A copy of a local ``model`` in ``folder`` with slightly other weights."""
    shutil.copytree(model, folder)
    noise = torch.Generator().manual_seed(seed)
    for file in folder.rglob("*.safetensors"):
        weights = load_file(file)
        for name, old in weights.items():
            if old.is_floating_point():
                weights[name] = old + 1e-4 * torch.randn(old.shape, generator=noise).to(old.dtype)
        save_file(weights, file, metadata={"format": "pt"})
    return folder


def bundles(folder: Path) -> list[Path]:
    """Four bundles that differ in name, the last two of them in a model too: one in the vision
    encoder, one in the generator."""
    made = []
    for number, (section, part) in enumerate(
        (("", ""), ("", ""), ("encoders", "vision"), ("generator", "model")), 1
    ):
        place = folder / f"bundle-{number}"
        shutil.copytree(BUNDLE, place)
        info = json.loads((place / "bundle.json").read_text())
        info["profile"] = f"exchange {number}"
        if section:
            model = another_backbone(info[section][part], folder / f"model-{number}", number)
            info[section][part] = str(model)
            named = "generator" if section == "generator" else part
            info["models"][named] = fingerprint(str(model), None)
        (place / "bundle.json").write_text(json.dumps(info))
        made.append(place)
    return made


async def exchanged(
    standing: Standing, tags: Sequence[str], swaps: int, callers: Callers, table: Table
) -> None:
    """Exchange the Bento ``swaps`` times under load, and add what was seen to ``table``: a new one
    is deployed, gone back from, and gone back to."""
    moves: list[tuple[str, int, float, float]] = []  # what, version, command began, pointer moved
    loop = asyncio.get_running_loop()
    async with callers.asking():
        before = live = 1
        for number in range(swaps):
            await asyncio.sleep(SETTLE)
            began = time.time()
            if number % 3 == 0:
                before, live = live, live % len(tags) + 1
                await loop.run_in_executor(None, standing.deploy, tags[live - 1], live)
                await loop.run_in_executor(None, standing.promote, live)
            else:  # back, and forth again, so that every bundle gets its turn
                before, live = live, before
                await loop.run_in_executor(None, standing.roll_back, live)
            moves.append(("back" if number % 3 else "deploy", live, began, standing.moved))
        await asyncio.sleep(SETTLE)
    report(callers.answers, moves, table)


def report(
    answers: Sequence[Answered], moves: Sequence[tuple[str, int, float, float]], table: Table
) -> None:
    """Add the counts and times to ``table``."""
    wrong = [one for one in answers if one.wrong]
    ends = [began for _, _, began, _ in moves[1:]] + [float("inf")]
    late = [
        until_all(answers, moved, version, end)
        for (_, version, _, moved), end in zip(moves, ends, strict=True)
    ]
    back = [
        until_first(answers, began, version) for what, version, began, _ in moves if what == "back"
    ]
    table.add_row("requests", str(len(answers)))
    table.add_row("exchanges, of these back", f"{len(moves)}, {len(back)}")
    table.add_row("failed requests", str(sum(one.wrong != "bundles are mixed" for one in wrong)))
    mixed = sum(one.wrong == "bundles are mixed" for one in wrong)
    table.add_row("answers that mix bundles", str(mixed))
    table.add_row("until every request is answered by the new one, at most", f"{max(late):.3f} s")
    table.add_row(
        "`eidolon rollback`, from the command to the first answer: median, at most",
        f"{np.median(back):.2f} s, {max(back):.2f} s",
    )
    for one in wrong[:5]:
        table.add_row("wrong", one.wrong)


def compared(standing: Standing, name: str, table: Table) -> None:
    """Time the same known query with and without the proxy, in turn."""
    direct = f"http://127.0.0.1:{standing.pointer['port']}"
    took: dict[str, list[float]] = {direct: [], standing.url: []}
    body: dict[str, Any] = {"query": name, "k": 20}
    with httpx.Client(timeout=60, trust_env=False) as client:
        for _ in range(COMPARED):
            for url, times in took.items():
                began = time.perf_counter()
                client.post(f"{url}/search", json=body).raise_for_status()
                times.append(1000 * (time.perf_counter() - began))
    for what, url in (("without", direct), ("with", standing.url)):
        p50, p95 = np.percentile(took[url][20:], [50, 95])
        table.add_row(f"a known query {what} the proxy: p50, p95", f"{p50:.1f}, {p95:.1f} ms")


def main(
    swaps: Annotated[int, typer.Option(min=1, help="how often the Bento is exchanged")] = 20,
) -> None:
    """Exchange Bentos of the bundle that `make run` left, under load (docs/benchmarks.md)."""
    if not BUNDLE.is_dir():
        raise EidolonError(f"{BUNDLE} is missing: run `make run`")
    table = Table("what", "measured", title="exchanging the Bento under load")
    with tempfile.TemporaryDirectory(prefix="eidolon-swaps-") as place:
        standing = Standing.copy(Path(place) / "checkout", config.load(), WORKERS)
        made = bundles(Path(place))
        built = [
            standing.release("build", "--bundle", str(bundle), "--version", str(number))["tag"]
            for number, bundle in enumerate(made, 1)
        ]
        standing.release("deploy", "--tag", built[0], "--version", "1")
        try:
            standing.register(len(made))
            standing.promote(1)
            standing.up()
            listed = httpx.get(f"{standing.url}/categories", trust_env=False).json()["categories"]
            names = [row["category"] for row in listed]
            compared(standing, names[0], table)
            callers = Callers(standing.url, names)
            asyncio.run(exchanged(standing, built, swaps, callers, table))
        finally:
            standing.down()
    Console(width=110).print(table)


if __name__ == "__main__":
    with one_sentence():
        typer.run(main)
