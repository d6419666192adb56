"""What does it cost to search a large gallery? `python -m benchmarks.search --rows 50000,200000`.

All ways are asked in turn, several times, so other work on the machine disturbs all of them alike.
Ratios are medians of the ratios within one turn. Processor time is that of all threads, those that
only wait for others among them, and it grows too when other work takes the caches. The exact
answers come from sums in float64. FAISS is measured where it is installed (`pip install
faiss-cpu`); it knows neither hubness nor what the confidence needs, and is spared both.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.made_gallery import CLIP, VISION, Made
from components.confidence.confidence import BEST
from components.errors import one_sentence
from components.index import engines
from components.index.approximate import Approximate
from components.index.engine import Asked, Engine, Found
from components.index.exact import Exact
from components.index.gallery import Hubness
from components.index.quantised import Quantised
from components.index.scan import Scan
from components.progress import note
from components.vectors import Array

DEFAULT = "50000,200000"
TURNS = 15
ONCE = "reading float32 once"
K, TOGETHER, CHANGED = 20, 32, 1000
WEIGHT = 0.3  # λ
JUDGED = 96  # queries that the recall is measured on
PEERS_UP_TO = 300_000  # rows: FAISS keeps its own copy of them in memory
_REST = 0.25  # seconds; the threads of BLAS and OpenMP go on spinning for a while
_BLOCK = 20_000  # rows that FAISS takes at once

Way = Callable[[], object]


def main(
    rows: Annotated[str, typer.Option(help="Sizes of the gallery, separated by commas.")] = DEFAULT,
) -> None:
    """Measure the engines of the index on made galleries (docs/benchmarks.md)."""
    for count in map(int, rows.split(",")):
        with tempfile.TemporaryDirectory(prefix="eidolon-search-", dir=Path.cwd()) as folder:
            Console(width=130).print(measured(count, Path(folder)))


def measured(count: int, folder: Path) -> Table:
    """All figures of one size."""
    made = Made(count)
    more = made.gallery(count + CHANGED, folder / "gallery.safetensors")
    clip, vision = (rows[:count] for rows in more)
    asked, hubness = made.queries(JUDGED, WEIGHT), made.hubness(count)
    table = Table(title=f"{count:,} x {CLIP + VISION}, λ {WEIGHT}, the best {K}")
    for column in ("what", "", f"against {ONCE}", "in processor time"):
        table.add_column(column, justify="left" if column == "what" else "right")
    exact = Exact(clip, vision)
    quantised = _built(table, "quantised", lambda: Quantised.of(clip, vision), folder)
    _changes(table, quantised, *more)
    samples = made.queries(JUDGED, WEIGHT)
    grouped = _built(
        table, "approximate", lambda: Approximate.grouped(quantised, 0.99, samples, 0), folder
    )
    with_peers = bool(find_spec("faiss")) and count <= PEERS_UP_TO
    faiss = dict(_peers(clip, vision)) if with_peers else {}
    if not with_peers:
        note(f"FAISS is left out: it is not installed, or has over {PEERS_UP_TO:,} rows to copy")
    for queries in (1, TOGETHER):
        some = asked.part(slice(0, queries))
        ours = {"numpy, float32": exact, "quantised": quantised, "approximate": grouped}
        _asked(table, _ways(ours, faiss, some, hubness), queries, clip, vision)
    _judged(table, clip, vision, asked, hubness, quantised, grouped)
    return table


def _built(table: Table, name: str, make: Callable[[], Any], folder: Path) -> Any:
    """The index that ``make`` builds, as a service has it: saved, and mapped into memory."""
    note(f"build {name}")
    began = time.perf_counter()
    found: Engine = make()
    table.add_row(f"{name}: built in", f"{time.perf_counter() - began:.1f} s")
    place = folder / name
    place.mkdir()
    found.save(place / engines.FILE)
    size = (place / engines.FILE).stat().st_size
    share = size / (4 * len(found) * (CLIP + VISION))
    table.add_row(f"{name}: bytes beside the rows", f"{size / 2**20:,.0f} MiB", f"{share:.2f}")
    return engines.load(place, found.clip, found.vision)


def _changes(table: Table, index: Quantised, clip: Array, vision: Array) -> None:
    """The seconds to follow a gallery with some rows more, ``clip`` and ``vision``, or less."""
    note("add and remove")
    was = np.arange(len(clip))
    was[len(index) :] = -1
    less = np.arange(CHANGED, len(index))
    changes = {
        "added": (clip, vision, was),
        "removed": (index.clip[CHANGED:], index.vision[CHANGED:], less),
    }
    for what, change in changes.items():
        began = time.perf_counter()
        index.updated(*change)
        took = time.perf_counter() - began
        table.add_row(f"quantised: {CHANGED:,} rows {what}", f"{took:.2f} s")


def _peers(clip: Array, vision: Array) -> list[tuple[str, Any]]:
    """FAISS's flat indices over both spaces together, which need one λ for good."""
    faiss = import_module("faiss")
    dim, product = CLIP + VISION, faiss.METRIC_INNER_PRODUCT
    kinds = {"SQ8": faiss.ScalarQuantizer.QT_8bit, "fp16": faiss.ScalarQuantizer.QT_fp16}
    found = {
        f"FAISS {name}": faiss.IndexScalarQuantizer(dim, kind, product)
        for name, kind in kinds.items()
    }
    found["FAISS flat"] = faiss.IndexFlatIP(dim)
    for name, index in found.items():
        note(f"build {name}")
        for first in range(0, len(clip), _BLOCK):
            some = slice(first, first + _BLOCK)
            both = np.concatenate([clip[some], vision[some]], axis=1)
            if not index.is_trained:
                index.train(both)
            index.add(both)
    return list(found.items())


def _ways(
    ours: Mapping[str, Engine], faiss: Mapping[str, Any], asked: Asked, hubness: Hubness
) -> dict[str, Way]:
    both = np.concatenate([(1 - WEIGHT) * asked.text, WEIGHT * asked.aggregated], axis=1)
    both = both.astype(np.float32)
    ways: dict[str, Way] = {}
    for name, engine in ours.items():
        ways[name] = partial(engine.search, asked, K, None, hubness)
        needed = partial(engine.search, asked, K, None, hubness, BEST)
        ways[f"{name}, and what the confidence needs"] = needed
    for name, index in faiss.items():
        ways[name] = partial(index.search, both, K)
    return ways


def _asked(table: Table, ways: dict[str, Way], queries: int, clip: Array, vision: Array) -> None:
    """Ask ``ways`` in turn, after a warm-up, beside reading all rows once."""
    numbers = clip.view(np.int64), vision.view(np.int64)  # the sum is as fast as the memory
    ways = {ONCE: lambda: [part.sum() for part in numbers], **ways}
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(-1, TURNS if queries == 1 else TURNS // 3):
        for name, work in ways.items():
            time.sleep(_REST)
            began, worked = time.perf_counter(), time.process_time()
            work()
            if turn >= 0:
                took[name].append((time.perf_counter() - began, time.process_time() - worked))
    once = np.array(took[ONCE])
    for name, seconds in took.items():
        if name == ONCE and queries > 1:
            continue
        whole, processor = np.median(np.array(seconds) / once, axis=0)
        median = 1000 * statistics.median(wall for wall, _ in seconds)
        what = name if name == ONCE else f"{queries} at once: {name}"
        table.add_row(what, f"{median:.1f} ms", f"{whole:.2f}", f"{processor:.2f}")


def _judged(
    table: Table,
    clip: Array,
    vision: Array,
    asked: Asked,
    hubness: Hubness,
    quantised: Quantised,
    grouped: Approximate,
) -> None:
    """The recall against float64, and how many rows are scored again."""
    note("judge")
    true = _truth(clip, vision, asked, hubness)
    for name, engine in {"quantised": quantised, "approximate": grouped}.items():
        found = engine.search(asked, K, None, hubness)
        table.add_row(f"{name}: recall@{K} against float64", f"{_recall(found, true):.4f}")
    groups = f"{grouped.reads} of {len(np.asarray(grouped.arrays()['centroids']))}"
    table.add_row("approximate: groups read for each way to rank", groups)
    again = []
    for first in range(0, JUDGED, TOGETHER):
        part = asked.part(slice(first, first + TOGETHER))
        scan = Scan(quantised.codes, None, part, K, None, hubness, 0)
        for start in range(0, len(quantised), _BLOCK):
            scan.read(slice(start, min(start + _BLOCK, len(quantised))))
        again += [len(lists.fused.rows()) for lists in scan.lists]
    shown = f"{statistics.median(again):.0f}, at most {max(again)}"
    table.add_row("quantised: rows scored again", shown)


def _truth(clip: Array, vision: Array, asked: Asked, hubness: Hubness) -> np.ndarray:
    """The best rows (Q, k) by sums in float64."""
    fused = np.empty((len(asked.text), len(clip)))
    text, image = asked.text.astype(np.float64), asked.aggregated.astype(np.float64)
    for first in range(0, len(clip), _BLOCK):
        some = slice(first, first + _BLOCK)
        by_text = text @ clip[some].astype(np.float64).T - hubness.clip[some]
        by_image = image @ vision[some].astype(np.float64).T - hubness.vision[some]
        fused[:, some] = (1 - WEIGHT) * by_text + WEIGHT * by_image
    return np.argpartition(-fused, K, axis=1)[:, :K]


def _recall(found: list[Found], true: np.ndarray) -> float:
    shares = [
        np.isin(one.rows, best).sum() / len(best) for one, best in zip(found, true, strict=True)
    ]
    return float(np.mean(shares))


if __name__ == "__main__":
    with one_sentence():
        typer.run(main)
