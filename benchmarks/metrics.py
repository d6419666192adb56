"""mAP: its speed compared with the usual loops, and its memory for a gallery of a million rows.

Two loops are the baselines. One is the definition, word for word. The other is the shortcut of the
revisited Oxford evaluation and of the method's authors: a Python loop over the hits alone.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from benchmarks.peak import peak
from benchmarks.timing import timed
from components.index.blocks import blocks
from components.learning.metrics import Bools, Floats, average_precisions
from components.vectors import normalized

SMALL = (50_000, 200)
LARGE = (1_000_000, 1_000)
DIM = 32

Row = tuple[str, str, str, str]
Loop = Callable[[Floats, Bools], Floats]


def world(gallery: int, queries: int) -> tuple[Floats, Floats, np.ndarray]:
    """Features of a gallery and of one query per class (float32), and the gallery's classes.

    They are as hard as the paper's sets: mAP is about 0.6.
    """
    rng = np.random.default_rng(0)
    classes = rng.integers(queries, size=gallery)
    centres = rng.normal(size=(queries, DIM)).astype(np.float32)
    rows = rng.normal(scale=1.75, size=(gallery, DIM)).astype(np.float32)
    for first in range(0, gallery, 2**16):
        part = slice(first, first + 2**16)
        rows[part] += centres[classes[part]]
        rows[part] = normalized(rows[part])
    return rows, normalized(centres), classes


def step(earlier: int, rank: int) -> float:
    """The share of average precision that the hit at zero-based ``rank`` adds after ``earlier``
    hits."""
    before = 1.0 if rank == 0 else earlier / rank
    return (before + (earlier + 1) / (rank + 1)) / 2


def definition(scores: Floats, positive: Bools) -> Floats:
    """Average precision by walking down each ranking; ``scores`` and ``positive`` are (Q, N)."""
    found = []
    for row, is_hit in zip(scores, positive, strict=True):
        hits, total = 0, 0.0
        for rank, picture in enumerate(np.argsort(-row, kind="stable")):
            if is_hit[picture]:
                total += step(hits, rank)
                hits += 1
        found.append(total / hits)
    return np.array(found)


def authors(scores: Floats, positive: Bools) -> Floats:
    """Average precision as the authors compute it: sort ``scores`` (N, Q), then walk each query's
    hits.

    Their sort is not stable, so equal scores may swap places.
    """
    ranks = np.argsort(-scores, axis=0)
    found = []
    for query, row in enumerate(positive):
        hits = np.flatnonzero(np.isin(ranks[:, query], np.flatnonzero(row)))
        found.append(sum(step(j, int(rank)) for j, rank in enumerate(hits)) / len(hits))
    return np.array(found)


def million() -> None:
    """Print the seconds and the peak memory in GiB of :data:`LARGE`, from features to mAP."""
    rows, texts, classes = world(*LARGE)
    began = time.perf_counter()
    for part in blocks(len(texts), len(rows)):
        positive = classes == np.arange(len(texts))[part, None]
        average_precisions(texts[part] @ rows.T, positive)
    took = time.perf_counter() - began
    print(took, peak() / 2**10)


def rows() -> list[Row]:
    """The table's rows: what, baseline, measured, ratio."""
    gallery, texts, classes = world(*SMALL)
    scores, positive = texts @ gallery.T, classes == np.arange(len(texts))[:, None]
    found, fast = timed(lambda _: average_precisions(scores, positive))
    table = []
    for name, loop, given in (
        ("the definition", definition, scores),
        ("the authors' loop over hits", authors, np.ascontiguousarray(scores.T)),
    ):

        def work(_: int, loop: Loop = loop, given: Floats = given) -> Floats:
            return loop(given, positive)

        baseline, slow = timed(work, 1)
        what = f"mAP of {SMALL[0]:,} x {SMALL[1]} against {name}: equal within"
        difference = f"{np.abs(found - baseline).max():.0e}"
        times = (f"{slow:.2f} s", f"{fast:.3f} s", f"{slow / fast:.0f}x")
        table.append((f"{what} {difference}", *times))
    command = [sys.executable, "-c", "from benchmarks.metrics import million; million()"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    took, peak = map(float, done.stdout.split())
    return [
        *table,
        (
            f"mAP of {LARGE[0]:,} x {LARGE[1]:,} from features: peak memory of 4 GiB allowed",
            "4 GiB",
            f"{peak:.2f} GiB, {took:.0f} s",
            f"{4 / peak:.1f}x",
        ),
    ]
