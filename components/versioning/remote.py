"""Whether this clone shares what DVC keeps. Light: tasks of a DAG ask it again and again."""

from __future__ import annotations

import configparser
from pathlib import Path


def has_remote(root: Path = Path()) -> bool:
    """Whether the clone in ``root`` has a default remote of DVC, to push to and pull from."""
    settings = configparser.ConfigParser()
    settings.read([root / ".dvc" / "config", root / ".dvc" / "config.local"])
    return settings.has_option("core", "remote")
