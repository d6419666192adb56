"""What is deployed. The file `deployed.json` says so, and is replaced in one step."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bento.homes import eidolon_home
from components.files import read_json, write_json


def place() -> Path:
    """The path of the pointer."""
    return eidolon_home() / "deployed.json"


def current() -> dict[str, Any]:
    """The pointer. Raises :class:`EidolonError` when nothing has been deployed."""
    remedy = (
        "nothing is deployed yet; `make run` deploys a version that passes the gate, `eidolon"
        " promote N` and then `python -m ops deploy` any version"
    )
    value: dict[str, Any] = read_json(place(), remedy)
    return value


def deploy(tag: str, version: int) -> dict[str, Any]:
    """Point to ``tag``, and name the Bento that was deployed before as ``previous``."""
    before = current() if place().exists() else {"bento": None, "previous": None}
    again = before["bento"] == tag
    value = {
        "bento": tag,
        "version": version,
        "previous": before["previous"] if again else before["bento"],
        "deployed_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(place(), value)
    return value
