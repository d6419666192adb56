"""The outbox: pictures that joined the collection but were not yet announced to Airflow."""

from __future__ import annotations

from collections.abc import Iterable

from components.files import write_text
from components.paths import OUTBOX


def listed() -> list[str]:
    """The paths of these pictures, oldest first."""
    return OUTBOX.read_text().splitlines() if OUTBOX.exists() else []


def put(paths: Iterable[str]) -> None:
    """Add ``paths`` at the end."""
    _write([*listed(), *paths])


def remove_up_to(last: str) -> None:
    """Remove ``last`` and everything before it. Does nothing if it is not listed."""
    paths = listed()
    if last in paths:
        _write(paths[paths.index(last) + 1 :])


def forget(paths: Iterable[str]) -> None:
    """Remove ``paths``, wherever they are."""
    gone = set(paths)
    if gone & set(listed()):
        _write(path for path in listed() if path not in gone)


def _write(paths: Iterable[str]) -> None:
    write_text(OUTBOX, "".join(f"{path}\n" for path in paths))
