"""One search in a large gallery: by the index room on the processor, and by a plain product on the
accelerator, which is no part of the service, to tell whether it should be."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.timing import median_seconds
from components.index.engine import Asked, Engine, Rows
from components.index.exact import Exact
from components.index.quantised import Quantised
from components.models.checkpoints import device

BEST, AGAIN = 20, 200
WEIGHT = 0.5  # λ
_CATEGORY, _NOISE = 100, 1.5  # pictures of a category; how far they lie from its centre
_AT_ONCE = 2**16
_REPEATS = 5


@dataclass(frozen=True)
class Large:
    """Seconds to build the index of ``rows`` pictures, and milliseconds of one search: by the exact
    engine, by the quantised one, and by the product on the accelerator, whose best pictures are
    scored again. ``recall`` is that of the product; the two engines are exact."""

    rows: int
    built: float
    exact: float
    quantised: float
    product: float
    recall: float


@torch.inference_mode()
def search(rows: int, dims: tuple[int, int]) -> Large:
    """Make a gallery of ``rows`` pictures and search it. ``dims`` are the lengths of CLIP's vectors
    and of the vision encoder's."""
    torch.manual_seed(0)
    centres = [_unit(max(1, rows // _CATEGORY), dim) for dim in dims]
    halves = [_pictures(middle, rows) for middle in centres]
    clip, vision = (half.cpu().numpy() for half in halves)
    number = torch.arange(_REPEATS + 1) % len(centres[0])
    queries = [_near(middle[number.to(middle.device)]).cpu().numpy() for middle in centres]
    began = time.perf_counter()
    quantised = Quantised.of(clip, vision)
    built = time.perf_counter() - began
    exact = Exact(clip, vision)
    on_card = [half.to(torch.float16 if half.is_cuda else torch.float32) for half in halves]

    def engine(one: Engine, repeat: int) -> Rows:
        row = slice(repeat + 1, repeat + 2)
        return one.search(Asked(queries[0][row], queries[1][row], WEIGHT), BEST)[0].rows

    def product(repeat: int) -> Rows:
        q = [torch.from_numpy(query[repeat + 1]).to(on_card[0]) for query in queries]
        scores = (1 - WEIGHT) * (on_card[0] @ q[0]) + WEIGHT * (on_card[1] @ q[1])
        near = torch.topk(scores, min(AGAIN, rows)).indices.cpu().numpy()
        again = (1 - WEIGHT) * (clip[near] @ queries[0][repeat + 1])
        again += WEIGHT * (vision[near] @ queries[1][repeat + 1])
        return near[np.argsort(-again)[:BEST]]

    times = {
        "exact": median_seconds(lambda i: engine(exact, i), _REPEATS),
        "quantised": median_seconds(lambda i: engine(quantised, i), _REPEATS),
        "product": median_seconds(product, _REPEATS),
    }
    milliseconds = {name: 1000 * seconds for name, seconds in times.items()}
    same = [np.isin(product(i), engine(exact, i)).mean() for i in range(_REPEATS)]
    return Large(rows, built, **milliseconds, recall=float(np.mean(same)))


def _unit(rows: int, dim: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(rows, dim, device=device()), dim=1)


def _near(centres: torch.Tensor) -> torch.Tensor:
    moved = centres + _NOISE * _unit(*centres.shape)
    return torch.nn.functional.normalize(moved, dim=1)


def _pictures(centres: torch.Tensor, rows: int) -> torch.Tensor:
    of = torch.arange(rows, device=centres.device) % len(centres)
    found = torch.empty(rows, centres.shape[1], device=centres.device)
    for some in torch.split(torch.arange(rows, device=centres.device), _AT_ONCE):
        found[some] = _near(centres[of[some]])
    return found
