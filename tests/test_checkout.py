"""The check that conftest makes after all tests: they left the checkout unchanged."""

from __future__ import annotations

import py_compile
import subprocess
from pathlib import Path

from tests import checkout


def test_files_that_a_test_leaves_behind_are_found(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text("/data/\n__pycache__/\n")
    (tmp_path / "data").mkdir()
    before = checkout.state(tmp_path)
    for name in ("stray", "data/ignored"):
        (tmp_path / name).touch()
    assert checkout.state(tmp_path) - before == {"?? stray", "!! data/ignored"}


def test_half_written_bytecode_is_found(tmp_path: Path) -> None:
    source = tmp_path / "package" / "module.py"
    source.parent.mkdir()
    source.write_text("NAMES = ['one', 'two']\n")
    compiled = Path(py_compile.compile(str(source), doraise=True) or "")
    assert checkout.broken_bytecode(tmp_path) == []
    compiled.write_bytes(compiled.read_bytes()[:-9])
    assert checkout.broken_bytecode(tmp_path) == [compiled.relative_to(tmp_path).as_posix()]
