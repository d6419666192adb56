"""Asks git's command line about this checkout, and moves clones to a commit."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from components.errors import EidolonError
from components.paths import COLLECTION, LOCK

_PINNED = (LOCK, Path("params.yaml"), COLLECTION)  # each version records these itself


@dataclass(frozen=True)
class Code:
    """The commit of this checkout. ``dirty`` is ``true`` if files differ from it, or ``false``.

    Both are ``unknown`` without git.
    """

    commit: str
    dirty: str


def code() -> Code:
    """The code in this checkout. dvc.lock, params.yaml and the collection do not count."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return Code("unknown", "unknown")
    others = [f":(exclude){path}" for path in _PINNED]
    changed = _git("status", "--porcelain", "--", ".", *others)
    return Code(commit.strip(), "unknown" if changed is None else str(bool(changed)).lower())


def committed(path: Path) -> str | None:
    """The text of ``path`` in git's HEAD, or ``None`` if it is not there."""
    return _git("show", f"HEAD:./{path.as_posix()}")


def all_versions(path: Path) -> list[str]:
    """The texts of ``path`` in all commits of all branches that changed it."""
    commits = (_git("log", "--all", "--format=%H", "--", path.as_posix()) or "").split()
    texts = (_git("show", f"{commit}:./{path.as_posix()}") for commit in commits)
    return [text for text in texts if text]


def clone(source: Path, place: Path) -> None:
    """Clone ``source`` into ``place``, without any files yet. Raises :class:`EidolonError` when git
    cannot."""
    _run("clone", "--quiet", "--local", "--no-checkout", str(source), str(place))


def move(place: Path, commit: str) -> None:
    """Fetch from where the clone ``place`` comes from, and check ``commit`` out there. Edits of
    files that git knows are lost. Raises :class:`EidolonError` when git cannot."""
    _run("-C", str(place), "fetch", "--quiet", "origin")
    _run("-C", str(place), "checkout", "--quiet", "--force", "--detach", commit)


def _run(*arguments: str) -> None:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise EidolonError(f"`git {arguments[0]}` failed: {done.stderr.strip()}")


def _git(*arguments: str) -> str | None:
    """The output of git here, or ``None`` if it fails or there is no git."""
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, errors="replace", check=False
        )
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
