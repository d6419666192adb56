"""The golden check fails a Bento whose models or bundle are not the ones that it was built with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from tests.serving import Built

pytest_plugins = ["tests.serving"]
pytestmark = pytest.mark.slow


@pytest.fixture
def damaged(built: Built, tmp_path: Path) -> Iterator[Built]:
    """A copy of the store, to be damaged."""
    shutil.copytree(built.home / "bentoml", tmp_path / "bentoml", symlinks=True)
    yield replace(built, home=tmp_path)
    shutil.rmtree(tmp_path / "bentoml")


def randomise(built: Built, part: str, names: str = "") -> None:
    """Give the matrices of a model random values with the same mean and spread. Only those whose
    names contain ``names``."""
    generator = torch.Generator().manual_seed(1)
    for file in (built.home / "bentoml" / "models" / f"eidolon-{part}").rglob("*.safetensors"):
        weights = load_file(file)
        for name, old in weights.items():
            if old.is_floating_point() and old.dim() > 1 and names in name:
                new = torch.randn(old.shape, generator=generator)
                weights[name] = (new * old.float().std() + old.float().mean()).to(old.dtype)
        save_file(weights, file, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("part", "names", "why"),
    [
        ("clip", "text_model", "the text encoder is not the one"),
        ("clip", "vision_model", "CLIP's picture encoder is not the one"),
        ("vision", "", "the vision encoder is not the one"),
        ("generator", "", "the generator is not the one"),
    ],
)
def test_a_model_with_other_weights_fails_the_check(
    damaged: Built, part: str, names: str, why: str
) -> None:
    randomise(damaged, part, names)
    done = damaged.release("check", "--tag", damaged.tag, "--queries", "1")
    assert (done.returncode, done.stdout) == (1, "")
    assert why in done.stderr
    assert not (damaged.home / "checked").exists()


def test_one_changed_byte_of_the_bundle_fails_the_check(damaged: Built) -> None:
    (file,) = (damaged.home / "bentoml" / "models").rglob("v3-*/gallery.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    done = damaged.release("check", "--tag", damaged.tag, "--queries", "1")
    assert done.returncode == 2
    assert "gallery.safetensors" in done.stderr
