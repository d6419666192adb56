"""The DVC remote: whether one is set."""

from __future__ import annotations

from pathlib import Path

from components.versioning.remote import has_remote


def test_a_default_remote_is_noticed(tmp_path: Path) -> None:
    assert not has_remote(tmp_path)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    assert not has_remote(tmp_path)
    (tmp_path / ".dvc" / "config.local").write_text("[core]\n    remote = storage\n")
    assert has_remote(tmp_path)
