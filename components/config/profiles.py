"""Profiles: values for a kind of machine and dataset, of which params.yaml begins as one.

profiles/embedded.yaml, the base, has all values; every other profile holds what differs from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from components import yaml_text
from components.config.listing import Entry, entries, params_text
from components.config.params import PARAMS, Params, checked, read
from components.errors import EidolonError
from components.files import write_text
from components.nested import flat

PROFILES = Path("profiles")
BASE = "embedded"


def names() -> list[str]:
    """The names of all profiles."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def values(profile: str) -> dict[str, Any]:
    """All values of ``profile``, nested as in params.yaml.

    Raises :class:`EidolonError` for an unknown profile, for one that is no YAML, and for one that
    names no sections. The values themselves are checked by :func:`load`.
    """
    if profile not in names():
        raise EidolonError(f"unknown profile {profile!r}; profiles/ has: {', '.join(names())}")
    merged = _mapping(BASE) | {"profile": profile}
    for section, over in ({} if profile == BASE else _mapping(profile)).items():
        below = merged.get(section)
        if section != "profile":
            both = isinstance(below, dict) and isinstance(over, dict)
            merged[section] = below | over if both else over
    return merged


def load(profile: str) -> Params:
    """The parameters of ``profile``. Raises :class:`EidolonError` as :func:`values` does, and one
    that names every unknown key and every wrong value."""
    return checked(values(profile), _file(profile))


def use(
    profile: str, path: Path = PARAMS, *, committed: str | None = None, force: bool = False
) -> Params:
    """Write all values of ``profile`` to params.yaml, after checking them.

    Raises :class:`EidolonError` when that would lose an edited params.yaml, one that is neither a
    profile as it is nor ``committed``, what git has of it; unless ``force`` is set.
    """
    written = values(profile)
    params = checked(written, _file(profile))
    here = path.read_text() if path.is_file() else None
    if not (force or here is None or here == committed):
        known = _readable()
        if here not in map(params_text, known.values()):
            raise EidolonError(
                f"{path} has been edited, and {_edits(here, known)} would be lost: keep them with"
                f" `cp {path} {PROFILES}/NAME.yaml`, or give --force"
            )
    write_text(path, params_text(written))
    return params


def changed(here: Mapping[str, Any]) -> list[Entry]:
    """The fields whose values in ``here``, which are nested as in params.yaml, are not those of the
    profile that it names. Raises :class:`EidolonError` when there is no such profile."""
    there = values(str(here["profile"]))
    return [one for one in entries() if one.value_in(here) != one.value_in(there)]


def _file(profile: str) -> Path:
    return PROFILES / f"{profile}.yaml"


def _mapping(profile: str) -> dict[str, Any]:
    path = _file(profile)
    try:
        found = read(path)
    except FileNotFoundError:
        raise EidolonError(f"{path} is missing: `git checkout {path}` brings it back") from None
    if not isinstance(found, dict):
        raise EidolonError(f"{path} has no sections: write the values that differ from {BASE}")
    return found


def _readable() -> dict[str, dict[str, Any]]:
    """The values of each profile; one that cannot be read does not keep another from being used."""
    found = {}
    for profile in names():
        try:
            found[profile] = values(profile)
        except EidolonError:
            continue
    return found


def _edits(text: str, profiles: Mapping[str, Mapping[str, Any]]) -> str:
    """What sets ``text`` apart from the profile that is nearest to it."""
    try:
        here = flat(yaml_text.parsed(text))
    except yaml.YAMLError:
        return "its changes"
    found = []
    for name, values_of in profiles.items():
        there = flat(values_of)
        keys = [key for key in {**there, **here} if here.get(key, ...) != there.get(key, ...)]
        found.append((len(keys), keys, name))
    count, keys, name = min(found)
    shown = ", ".join(keys[:10]) + (", …" if count > 10 else "")
    return f"what differs from the profile {name} ({shown or 'comments or layout'})"
