"""Profiles: a whole params.yaml for each kind of machine and dataset, of which one is in use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from components.config import PARAMS, Params, load
from components.errors import EidolonError
from components.files import write_text
from components.nested import flat

PROFILES = Path("profiles")


def use(
    profile: str, path: Path = PARAMS, *, committed: str | None = None, force: bool = False
) -> Params:
    """Make ``profile`` the current params.yaml, after checking it.

    Raises :class:`EidolonError` when that would lose an edited params.yaml, one that is neither a
    profile as it is nor ``committed``, what git has of it; unless ``force`` is set.
    """
    chosen = PROFILES / f"{profile}.yaml"
    profiles = {p.stem: p.read_text() for p in sorted(PROFILES.glob("*.yaml"))}
    if profile not in profiles:
        raise EidolonError(f"unknown profile {profile!r}; profiles/ has: {', '.join(profiles)}")
    params = load(chosen)
    here = path.read_text() if path.is_file() else None
    if not (force or here is None or here in (committed, *profiles.values())):
        raise EidolonError(
            f"{path} has been edited, and {_edits(here, profiles)} would be lost: keep them with"
            f" `cp {path} {PROFILES}/NAME.yaml`, or give --force"
        )
    write_text(path, profiles[profile])
    return params


def _edits(text: str, profiles: Mapping[str, str]) -> str:
    """What sets ``text`` apart from the profile that is nearest to it."""
    try:
        here = flat(yaml.safe_load(text))
        changed = []
        for name, other in profiles.items():
            there = flat(yaml.safe_load(other))
            keys = [k for k in {**there, **here} if here.get(k, ...) != there.get(k, ...)]
            changed.append((len(keys), keys, name))
    except yaml.YAMLError:
        return "its changes"
    count, keys, name = min(changed)
    shown = ", ".join(keys[:10]) + (", …" if count > 10 else "")
    return f"what differs from profiles/{name}.yaml ({shown or 'comments or layout'})"
