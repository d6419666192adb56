"""Benchmarks: the sizes of their models, a run at toy size, and the error before the first run."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.cost import operations, parts
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
    from benchmarks.full_size import architectures, full, parameters

    assert {part: parameters(part) for part in architectures(full())} == {
        "clip": 427_616_513,  # openai/clip-vit-large-patch14
        "dinov2": 304_368_640,  # facebook/dinov2-large
        "unet": 2_567_463_684,  # SDXL
        "vae": 83_653_863,
        "text_encoder": 123_060_480,
        "text_encoder_2": 694_659_840,
    }


@pytest.mark.slow
def test_the_benchmark_for_an_accelerator_runs_at_toy_size(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.models", "--toy", "--out", "figures.json"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    for folder in ("zoo", "profiles"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    subprocess.run(command, cwd=tmp_path, env=env, check=True)
    found = json.loads((tmp_path / "figures.json").read_text())
    assert all(rate["alone"] > 0 and rate["batched"] > 0 for rate in found["rates"])
    assert all(one["product"] < 0.01 for one in found["changes"].values())
    assert found["large"]["recall"] == 1
    cpu, other = found["training"].values()  # the CPU too, if there is no accelerator
    assert cpu["map"] == pytest.approx(other["map"], abs=0.005) and cpu["map"] > 0.1
    assert found["fresh"]["steps"]["imagine"] > 0
    assert [one["refused"] for one in found["fresh"]["callers"].values()] == [0, 0, 0, 0]


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
