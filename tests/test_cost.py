"""The count of operations is of the models that the profile names."""

from __future__ import annotations

import torch

from benchmarks.cost import operations, parts


def test_the_architectures_have_the_published_sizes() -> None:
    with torch.device("meta"):
        found = parts(512)
        millions = [round(sum(p.numel() for p in m.parameters()) / 1e6) for m, _ in found.values()]
        counted = {what: operations(model, work) / 1e9 for what, (model, work) in found.items()}
    assert millions == [340, 866, 84, 151, 22]
    drawing = [count for what, count in counted.items() if what.startswith("SD-Turbo")]
    assert round(sum(drawing)) == 3364
