"""Bentos of versions that are not kept, and the bundles and models that no kept Bento has."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bentoml
import psutil

from bento import homes
from bento.store import building, noted, remove_half
from components.index.engines import withdraw
from components.pruning.garbage import below, size

PREFIX = "eidolon-"
"""How the names of the Bentos' models begin."""

BUNDLES = f"{PREFIX}bundle:"
"""How the tags of bundles begin."""

_TAG = re.compile(r"^eidolon:v([0-9]+)-[0-9a-f]{8}$")


@dataclass(frozen=True)
class Unused:
    """The tags of Bentos and of models, and the bytes that they take."""

    bentos: list[str]
    models: list[str]
    bytes: int

    def as_dict(self) -> dict[str, Any]:
        """This as JSON."""
        return {"bentos": self.bentos, "models": self.models, "bytes": self.bytes}


def unused(tags: Collection[str], versions: Collection[int]) -> Unused:
    """What the store has beside the Bentos ``tags``, those that a process serves, the newest Bento
    of each of ``versions``, and their bundles and models.

    Older Bentos of these versions have other code or settings, so no deployment uses them again.
    """
    found = sorted(
        (one for one in bentoml.bentos.list() if _TAG.match(str(one.tag))),
        key=lambda one: one.info.creation_time,
    )
    newest = {int(_TAG.sub(r"\1", str(one.tag))): str(one.tag) for one in found}
    wanted = {*tags, *_served(), *(tag for n, tag in newest.items() if n in versions)}
    kept = [one for one in found if str(one.tag) in wanted]
    needed = {str(model.tag) for one in kept for model in one.info.all_models}
    bentos = [one for one in found if one not in kept]
    models = [
        one
        for one in bentoml.models.list()
        if one.tag.name.startswith(PREFIX) and str(one.tag) not in needed
    ]
    folders = [Path(one.path) for one in (*bentos, *models)]
    return Unused(
        sorted(str(one.tag) for one in bentos),
        sorted(str(one.tag) for one in models),
        sum(size(below(folder)) for folder in folders),
    )


def remove(found: Unused) -> None:
    """Remove them from the store, Bentos first. One that was being removed when this was killed is
    removed by the next build or prune."""
    with building():
        remove_half()
        _withdraw(found)
        for tag in found.bentos:
            with noted("bentos", tag), suppress(bentoml.exceptions.NotFound):
                bentoml.bentos.delete(tag)
            homes.checked(tag).unlink(missing_ok=True)
        for tag in found.models:
            with noted("models", tag), suppress(bentoml.exceptions.NotFound):
                bentoml.models.delete(tag)


def _withdraw(found: Unused) -> None:
    """Take bundles that go from the index server, before they go from the store."""
    every = {str(one.tag): Path(one.path) for one in bentoml.models.list()}
    bundles = {tag: path for tag, path in every.items() if tag.startswith(BUNDLES)}
    gone = [path for tag, path in bundles.items() if tag in found.models]
    withdraw(gone, [path for tag, path in bundles.items() if tag not in found.models])


def _served() -> set[str]:
    """The tags of Bentos that processes of this machine serve."""
    lines: Iterable[list[str]] = (p.info["cmdline"] or [] for p in psutil.process_iter(["cmdline"]))
    return {word for line in lines for word in line if _TAG.match(word)}
