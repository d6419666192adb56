"""Sixteen bits: as weights on disk, and as what an accelerator computes in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from components.imagining import generator
from components.imagining.generator import Generator
from components.models import checkpoints, encoders
from components.models.encoders import ClipEncoder, VisionEncoder
from tests.checkpoints import PROMPTS, TEXTS, as_variant, copied, parameters


@pytest.mark.numeric
def test_weights_of_sixteen_bits_are_taken_where_there_are_no_others(
    family_models: Path, pipelines: Path, five_pictures: list[Image.Image], tmp_path: Path
) -> None:
    clip = copied(family_models / "clip", tmp_path / "clip")
    as_variant(clip)
    plain = ClipEncoder(str(family_models / "clip")).images(five_pictures)
    np.testing.assert_array_equal(ClipEncoder(str(clip)).images(five_pictures), plain)
    folder = copied(pipelines / "xl", tmp_path / "xl")
    as_variant(folder)
    drawn, wanted = (
        Generator(parameters(place)).draw(["a star"], [5])[0]
        for place in (folder, pipelines / "xl")
    )
    np.testing.assert_array_equal(np.asarray(drawn), np.asarray(wanted))


@pytest.mark.numeric
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bits_change_little(
    dtype: torch.dtype,
    family_models: Path,
    pipelines: Path,
    five_pictures: list[Image.Image],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folders = [str(family_models / family) for family in ("clip", "siglip2-naflex", "dinov3-vit")]
    prompts, seeds = PROMPTS[:2], [1, 2]

    def results() -> list[np.ndarray]:
        clip, siglip = ClipEncoder(folders[0]), ClipEncoder(folders[1])
        drawn = Generator(parameters(pipelines / "xl")).draw(prompts, seeds)
        return [
            clip.images(five_pictures),
            clip.texts(TEXTS),
            siglip.images(five_pictures),
            VisionEncoder(folders[2]).images(five_pictures),
            np.stack([np.float32(p) / 255 for p in drawn]),
        ]

    exact = results()
    for module in (checkpoints, encoders, generator):
        monkeypatch.setattr(module, "precision", lambda: dtype)
    for wanted, found in zip(exact, results(), strict=True):
        assert found.dtype == np.float32
        assert 0 < np.abs(found - wanted).max() < 0.06
