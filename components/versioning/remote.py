"""Checks for a DVC remote without loading DVC, because the tasks of a DAG ask often."""

from __future__ import annotations

import configparser
from pathlib import Path

SETTINGS = (Path(".dvc/config"), Path(".dvc/config.local"))
"""Where DVC keeps the settings of a clone."""


def has_remote(root: Path = Path()) -> bool:
    """Whether DVC in the clone ``root`` has a default remote to push to and pull from."""
    settings = configparser.ConfigParser()
    settings.read([root / path for path in SETTINGS])
    return settings.has_option("core", "remote")
