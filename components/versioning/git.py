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
    _must("clone", "--quiet", "--local", "--no-checkout", str(source), str(place))


def move(place: Path, commit: str) -> None:
    """Fetch from where the clone ``place`` comes from, and check ``commit`` out there. Edits of
    files that git knows are lost. Raises :class:`EidolonError` when git cannot."""
    _must("fetch", "--quiet", "origin", at=place)
    _must("checkout", "--quiet", "--force", "--detach", commit, at=place)


def _must(*arguments: str, at: Path = Path()) -> None:
    """Run git in the folder ``at``. Raises :class:`EidolonError` if it fails or there is none."""
    done = _done(*arguments, at=at)
    if done is None or done.returncode != 0:
        why = "there is no git here" if done is None else done.stderr.strip()
        raise EidolonError(f"`git {arguments[0]}` failed: {why}")


def _git(*arguments: str) -> str | None:
    """The output of git here, or ``None`` if it fails or there is no git."""
    done = _done(*arguments)
    return None if done is None or done.returncode != 0 else done.stdout


def _done(*arguments: str, at: Path = Path()) -> subprocess.CompletedProcess[str] | None:
    """What became of git in the folder ``at``, or ``None`` if there is no git."""
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=at,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        return None
