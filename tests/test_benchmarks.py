"""Benchmarks: the sizes of their models, a run at toy size, and the error before the first run."""

from __future__ import annotations

import runpy
import shutil
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.cost import operations, parts
from components.models import batches
from tests.checkpoints import copied, parameters
from tests.toy import ROOT


def test_the_architectures_have_the_published_sizes() -> None:
    with torch.device("meta"):
        found = parts(512)
        millions = [round(sum(p.numel() for p in m.parameters()) / 1e6) for m, _ in found.values()]
        counted = {what: operations(model, work) / 1e9 for what, (model, work) in found.items()}
    assert millions == [340, 866, 84, 151, 22]
    drawing = [count for what, count in counted.items() if what.startswith("SD-Turbo")]
    assert round(sum(drawing)) == 3364


def test_the_benchmarked_architectures_have_the_published_sizes() -> None:
    from benchmarks.models import ARCHITECTURES, parameters

    assert {part: parameters(part) for part in ARCHITECTURES} == {
        "clip": 427_616_513,  # openai/clip-vit-large-patch14
        "dinov2": 304_368_640,  # facebook/dinov2-large
        "unet": 2_567_463_684,  # SDXL
        "vae": 83_653_863,
        "text_encoder": 123_060_480,
        "text_encoder_2": 694_659_840,
    }


def test_the_benchmark_runs_at_toy_size(
    family_models: Path, pipelines: Path, tmp_path: Path
) -> None:
    from benchmarks.models import measure

    copied(family_models / "clip", tmp_path / "clip")
    copied(family_models / "dinov2", tmp_path / "dinov2")
    rates = measure(tmp_path, parameters(pipelines / "xl"), items=2)
    assert [rate.batch for rate in rates] == [3, batches.ON_CPU, batches.ON_CPU]
    assert all(rate.alone > 0 and rate.batched > 0 for rate in rates)


@pytest.mark.parametrize("module", ["benchmarks", "benchmarks.validation"])
def test_a_benchmark_before_the_first_run_names_it(
    tmp_path: Path,
    module: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [module])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    assert ended.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ") and last.endswith("run `make run`")
