"""A model's fingerprint follows its files, also where the hash of a large one is remembered."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from components import file_hashes
from components.code_versions import libraries
from components.models import fingerprints
from components.models.fingerprints import arithmetic, fingerprint, number_type
from components.paths import HOME, KNOWN


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The weights of a model, which are large and old enough for their hash to be remembered."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fingerprints, "_LARGE", 100)
    monkeypatch.setattr(file_hashes, "_SETTLED", 0)
    HOME.mkdir()
    Path("model").mkdir()
    file = Path("model/model.safetensors")
    file.write_bytes(bytes(1000))
    return file


def test_a_large_file_is_hashed_once(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fingerprint("model", None)
    with monkeypatch.context() as patch:
        patch.setattr(file_hashes, "sha256", None)
        assert fingerprint("model", None) == first
    KNOWN.unlink()
    assert fingerprint("model", None) == first


def test_a_changed_file_is_hashed_again_even_if_its_times_are_kept(weights: Path) -> None:
    first, before = fingerprint("model", None), weights.stat()
    weights.write_bytes(b"x" * 1000)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert fingerprint("model", None) != first


def test_outside_a_project_nothing_is_remembered(weights: Path) -> None:
    HOME.rmdir()
    fingerprint("model", None)
    assert not HOME.exists()


def test_how_models_compute_here_is_what_pytorch_says() -> None:
    from components.models.checkpoints import device, precision

    assert arithmetic() == f"{device().type} {number_type()}"
    assert str(precision()) == f"torch.{number_type()}"
    assert libraries("numpy").startswith("numpy ")
    assert "+" not in libraries("torch")
