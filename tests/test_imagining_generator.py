"""The generator: a picture depends on its prompt and seed alone; a damaged pipeline is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from components.errors import EidolonError
from components.imagining.generator import Generator
from components.imagining.identity import identity
from tests import families
from tests.checkpoints import COMMIT, PROMPTS, change, copied, parameters, refused


@pytest.mark.numeric
@pytest.mark.parametrize(
    ("model", "changes"),
    [("xl", {}), ("toy/generator", {"steps": 3, "guidance": 3.0})],
    ids=["StableDiffusionXLPipeline", "StableDiffusionPipeline"],
)
def test_a_picture_depends_on_its_prompt_and_seed_alone(
    model: str, changes: dict[str, Any], pipelines: Path
) -> None:
    from diffusers import DiffusionPipeline

    params = parameters(pipelines / model, **changes)
    seeds = [1, 2, 3, 1]
    drawn = [np.asarray(p, dtype=int) for p in Generator(params).draw(PROMPTS, seeds)]
    assert all(p.shape == (families.SIZE, families.SIZE, 3) for p in drawn)
    pipe = DiffusionPipeline.from_pretrained(params.model, use_safetensors=True)
    pipe.set_progress_bar_config(disable=True)
    for prompt, seed, picture in zip(PROMPTS, seeds, drawn, strict=True):
        (alone,) = pipe(
            prompt,
            num_inference_steps=params.steps,
            guidance_scale=params.guidance,
            height=params.size,
            width=params.size,
            generator=torch.Generator().manual_seed(seed),
        ).images
        assert np.abs(picture - np.asarray(alone, dtype=int)).max() <= 1
    assert np.abs(drawn[0] - drawn[2]).mean() > 1  # another seed
    assert np.abs(drawn[0] - drawn[3]).mean() > 0.1  # another prompt


def test_the_identity_of_a_generator_is_known_without_loading_it(pipelines: Path) -> None:
    params = parameters(pipelines / "xl")
    before = identity(params)
    assert before["model"].startswith("xl@")
    assert {k: before[k] for k in ("steps", "guidance", "size", "dtype")} == {
        "steps": 1,
        "guidance": 0.0,
        "size": families.SIZE,
        "dtype": "float32",
    }
    scheduler = pipelines / "xl" / "scheduler" / "scheduler_config.json"
    text = scheduler.read_text()
    try:
        scheduler.write_text(text.replace("0.012", "0.013"))
        assert identity(params)["model"] != before["model"]
    finally:
        scheduler.write_text(text)
    of_hub = parameters(Path("org/name"), revision=COMMIT)
    assert identity(of_hub)["model"] == f"org/name@{COMMIT}"


def test_a_pipeline_with_pickled_weights_is_refused(pipelines: Path, tmp_path: Path) -> None:
    folder = copied(pipelines / "xl", tmp_path / "pickled")
    for weights in folder.rglob("*.safetensors"):
        torch.save(load_file(weights), weights.with_suffix(".bin"))
        weights.unlink()
    with pytest.raises(EidolonError, match=r"no safetensors weights.*pickled.*never opened"):
        Generator(parameters(folder))


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "text_encoder_2"])
def test_a_pipeline_without_some_weights_is_refused(
    part: str, pipelines: Path, tmp_path: Path
) -> None:
    folder = copied(pipelines / "xl", tmp_path / "partial")
    (file,) = (folder / part).glob("*.safetensors")
    weights = load_file(file)
    gone = sorted(weights)[len(weights) // 2]
    del weights[gone]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(EidolonError, match=rf"partial/{part} lacks weights \({re.escape(gone)}\)"):
        Generator(parameters(folder))


@pytest.mark.parametrize("gone", ["tokenizer", "tokenizer_2"])
def test_a_pipeline_with_a_tokenizer_that_knows_no_word_is_refused(
    gone: str, pipelines: Path, tmp_path: Path
) -> None:
    folder = copied(pipelines / "xl", tmp_path / "mute")
    (folder / gone / "tokenizer.json").unlink()
    with pytest.raises(EidolonError, match=rf"the tokenizer of \S+mute/{gone} knows no word"):
        Generator(parameters(folder))


@pytest.mark.parametrize(
    ("file", "entries", "reason"),
    [
        ("model_index.json", [], r"model_index\.json is damaged"),
        ("model_index.json", {"unet": 5}, "int"),
        ("unet/config.json", [], r"unet/config\.json is damaged"),
        ("unet/config.json", {"block_out_channels": "x"}, "block_out_channels"),
        ("text_encoder/config.json", {"hidden_size": "x"}, "hidden_size"),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": "x"}, "linspace"),
    ],
)
def test_a_damaged_pipeline_is_one_sentence(
    file: str, entries: Any, reason: str, pipelines: Path, tmp_path: Path
) -> None:
    folder = copied(pipelines / "xl", tmp_path / "damaged")
    change(folder / file, entries)
    refused(lambda: Generator(parameters(folder)), reason)


@pytest.mark.parametrize(("size", "batch"), [(32, 32), (512, 4), (2048, 1)])
def test_a_cpu_draws_a_million_pixels_at_once(size: int, batch: int, pipelines: Path) -> None:
    chosen = parameters(pipelines / "xl", batch=None, size=size)
    assert Generator(chosen).batch == batch
