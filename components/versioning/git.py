"""What git knows of this checkout, asked through its command line."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from components.paths import COLLECTION, LOCK

_PINNED = (LOCK, Path("params.yaml"), COLLECTION)  # kept with each version, so no part of its code


@dataclass(frozen=True)
class Code:
    """The commit of this checkout; ``dirty``: its files differ from it. Both are ``unknown`` for a
    checkout without git."""

    commit: str
    dirty: str


def code() -> Code:
    """The code that is here now. dvc.lock, params.yaml and the collection do not count."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return Code("unknown", "unknown")
    others = [f":(exclude){path}" for path in _PINNED]
    changed = _git("status", "--porcelain", "--", ".", *others)
    return Code(commit.strip(), "unknown" if changed is None else str(bool(changed)).lower())


def committed(path: Path) -> str | None:
    """The text of ``path`` in git's HEAD, or nothing."""
    return _git("show", f"HEAD:./{path.as_posix()}")


def _git(*arguments: str) -> str | None:
    """What git prints here, or nothing where there is no git, no repository or no such thing."""
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, errors="replace", check=False
        )
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
