"""Checkpoints: a damaged, unsafe or too large one is refused with one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from components.errors import EidolonError
from components.models import checkpoints
from components.models.encoders import ClipEncoder, VisionEncoder
from tests import families
from tests.checkpoints import change, copied, refused


def test_pickled_weights_are_not_opened(family_models: Path, tmp_path: Path) -> None:
    folder = copied(family_models / "dinov2", tmp_path / "pickled")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(EidolonError, match=r"no safetensors weights.*pickled.*never opened"):
        VisionEncoder(str(folder))


def test_a_checkpoint_without_some_weights_is_refused(family_models: Path, tmp_path: Path) -> None:
    folder = copied(family_models / "dinov2", tmp_path / "partial")
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.mlp.fc1.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EidolonError, match=r"lacks weights \(encoder\.layer\.1\.mlp\.fc1\.weight"):
        VisionEncoder(str(folder))


@pytest.mark.parametrize("family", families.TWO_SIDED)
def test_a_tokenizer_without_its_vocabulary_is_refused(
    family: str, family_models: Path, tmp_path: Path
) -> None:
    folder = copied(family_models / family, tmp_path / family)
    vocabulary = "spiece.model" if family == "siglip" else "tokenizer.json"
    (folder / vocabulary).unlink()
    with pytest.raises(
        EidolonError, match=r"the tokenizer of .* knows no word: .*|cannot load .*model_file"
    ):
        ClipEncoder(str(folder))


def test_weights_of_another_size_are_refused(family_models: Path, tmp_path: Path) -> None:
    folder = copied(family_models / "dinov2", tmp_path / "other")
    change(folder / "config.json", {"hidden_size": 64})
    with pytest.raises(EidolonError, match=r"do not fit its config \(\S+: \[32.*\], not \[64"):
        VisionEncoder(str(folder))


@pytest.mark.parametrize(
    ("file", "entries", "reason"),
    [
        ("config.json", None, r"config\.json is damaged"),
        ("config.json", {"hidden_size": "x"}, "hidden_size"),
        ("config.json", {"num_attention_heads": 0}, "zero"),
        ("preprocessor_config.json", [], r"preprocessor_config\.json is damaged"),
        ("preprocessor_config.json", {"image_processor_type": 5}, "int"),
    ],
)
def test_a_damaged_config_is_one_sentence(
    file: str, entries: Any, reason: str, family_models: Path, tmp_path: Path
) -> None:
    folder = copied(family_models / "dinov2", tmp_path / "damaged")
    change(folder / file, entries)
    refused(lambda: VisionEncoder(str(folder)), reason)


def test_a_model_that_brings_its_own_code_is_refused(family_models: Path, tmp_path: Path) -> None:
    folder = copied(family_models / "dinov2", tmp_path / "code")
    settings = json.loads((folder / "config.json").read_text())
    settings |= {"model_type": "own", "auto_map": {"AutoConfig": "own.C", "AutoModel": "own.M"}}
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass C: ...\n")
    with pytest.raises(EidolonError, match=r"cannot load .*code"):
        VisionEncoder(str(folder))
    assert not (tmp_path / "ran").exists()


def test_only_memory_that_others_hold_may_become_free() -> None:
    gib = 2**30
    assert not checkpoints.crowded(free=2 * gib, total=80 * gib, ours=77 * gib)
    assert checkpoints.crowded(free=2 * gib, total=80 * gib, ours=40 * gib)
    assert checkpoints.crowded(free=0, total=80 * gib, ours=0)


def test_a_model_that_does_not_fit_is_one_sentence() -> None:
    class Large:
        def to(self, _: torch.device) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(EidolonError, match=r"memory does not hold the model .*: stop what else"):
        checkpoints.placed(Large())
