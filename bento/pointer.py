"""What is deployed. The file `deployed.json` says so, and is replaced in one step."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bento.homes import eidolon_home
from components.files import read_json, write_json


def place(home: Path | None = None) -> Path:
    """The path of the pointer, in ``home`` or else in $EIDOLON_HOME."""
    return (home or eidolon_home()) / "deployed.json"


def current(home: Path | None = None) -> dict[str, Any]:
    """The pointer. Raises :class:`EidolonError` when nothing has been deployed."""
    remedy = (
        "nothing is deployed yet; `make run` deploys a version that passes the gate, `eidolon"
        " promote N --reason TEXT` any version"
    )
    value: dict[str, Any] = read_json(place(home), remedy)
    return value


def deploy(
    tag: str,
    version: int,
    at: str | None = None,
    port: int | None = None,
    home: Path | None = None,
) -> dict[str, Any]:
    """Point to ``tag``, and name the Bento that was deployed before as ``previous``.

    ``at`` is the place of `make up` that serves it on ``port``, if one does.
    """
    before = current(home) if place(home).exists() else {"bento": None, "previous": None}
    again = before["bento"] == tag
    now = datetime.now(UTC).isoformat(timespec="seconds")
    value = {
        "bento": tag,
        "version": version,
        "previous": before["previous"] if again else before["bento"],
        "deployed_at": before["deployed_at"] if again else now,
        "place": at,
        "port": port,
    }
    write_json(place(home), value)
    return value


def put_back(before: dict[str, Any], home: Path | None = None) -> None:
    """Point to what :func:`current` returned ``before``."""
    write_json(place(home), before)
