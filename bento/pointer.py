"""What is deployed. The file `deployed.json` says so, and is replaced in one step.

Where `EIDOLON_OBJECTS` is set, an object of that name says so to every machine. The file then tells
only the proxy of its own machine, which has no keys of S3. The object is replaced first: whoever is
killed between the two finds the endpoint behind the object, and deploys again.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bento.homes import eidolon_home
from components.errors import EidolonError
from components.files import read_json, write_json
from components.objects import shared

KEY = "deployed.json"
_DAMAGED = "`eidolon deploy` writes a new one"


def place(home: Path | None = None) -> Path:
    """The path of the pointer, in ``home`` or else in $EIDOLON_HOME."""
    return (home or eidolon_home()) / "deployed.json"


def deployed(home: Path | None = None) -> dict[str, Any] | None:
    """The pointer; None when nothing has been deployed. Raises :class:`EidolonError` when it is
    damaged, and what :class:`Objects` raises when it lies there."""
    value: dict[str, Any]
    if (objects := shared()) is not None:
        if (data := objects.read(KEY)) is None:
            return None
        try:
            value = json.loads(data)
        except ValueError:
            raise EidolonError(f"{objects.url}/{KEY} is damaged: {_DAMAGED}") from None
        return value
    if not place(home).exists():
        return None
    value = read_json(place(home), _DAMAGED)
    return value


def current(home: Path | None = None) -> dict[str, Any]:
    """The pointer. Raises :class:`EidolonError` when nothing has been deployed."""
    value = deployed(home)
    if value is None:
        raise EidolonError(
            "nothing is deployed yet; `make run` deploys a version that passes the gate, `eidolon"
            " promote N --reason TEXT` any version"
        )
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
    before = deployed(home) or {"bento": None, "previous": None}
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
    _write(value, home)
    return value


def put_back(before: dict[str, Any], home: Path | None = None) -> None:
    """Point to what :func:`current` returned ``before``."""
    _write(before, home)


def _write(value: dict[str, Any], home: Path | None) -> None:
    if (objects := shared()) is not None:
        objects.write(KEY, json.dumps(value, indent=2).encode())
    write_json(place(home), value)
