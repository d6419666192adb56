"""Whether a checkout is unchanged: its files as git sees them, and its bytecode."""

from __future__ import annotations

import marshal
import subprocess
from pathlib import Path

_CACHES = ("__pycache__", ".pytest_cache", ".hypothesis", ".mypy_cache", ".ruff_cache", ".egg-info")


def state(root: Path) -> set[str]:
    """The files that are not as they were committed, by git status. Ignored files count, caches and
    the virtual environment do not. Empty outside a clone."""
    listed = subprocess.run(
        ["git", "status", "--porcelain", "--ignored", "--untracked-files=all", "-z"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split("\0")
    return {line for line in listed if not any(part in line for part in (*_CACHES, ".venv"))}


def broken_bytecode(root: Path) -> list[str]:
    """Half-written .pyc files: from now on Python would fail on them."""
    broken = []
    for file in sorted(root.glob("[!.]*/**/*.pyc")):
        try:
            marshal.loads(file.read_bytes()[16:])  # after the header
        except (EOFError, ValueError, TypeError):
            broken.append(file.relative_to(root).as_posix())
    return broken
