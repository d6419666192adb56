"""Reads and sets the DVC remote of a clone without loading DVC, because the tasks of a DAG ask
often."""

from __future__ import annotations

import configparser
import io
from collections.abc import Mapping
from pathlib import Path

from components.files import write_text

SETTINGS = (Path(".dvc/config"), Path(".dvc/config.local"))
"""Where DVC keeps the settings of a clone."""


def has_remote(root: Path = Path()) -> bool:
    """Whether DVC in the clone ``root`` has a default remote to push to and pull from."""
    settings = configparser.ConfigParser()
    settings.read([root / path for path in SETTINGS])
    return settings.has_option("core", "remote")


def use_remote(root: Path, name: str, values: Mapping[str, str]) -> None:
    """Make ``name``, with these ``values``, the default remote of the clone ``root`` alone. Without
    any values, ``name`` is forgotten, and the default is again that of all clones."""
    file = root / SETTINGS[1]
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(file)
    section = f"'remote \"{name}\"'"
    settings.remove_section(section)
    if values:
        settings[section] = dict(values)
        if not settings.has_section("core"):
            settings.add_section("core")
        settings["core"]["remote"] = name
    elif settings.get("core", "remote", fallback=None) == name:
        settings.remove_option("core", "remote")
        if not settings.options("core"):
            settings.remove_section("core")
    text = io.StringIO()
    settings.write(text)
    write_text(file, text.getvalue())
