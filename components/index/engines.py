"""Which engine a gallery is searched by, and where a bundle keeps what it needs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from components import config
from components.arrays import mapped
from components.index.approximate import Approximate
from components.index.engine import Asked, Engine
from components.index.exact import Exact
from components.index.gallery import Gallery
from components.index.quantised import Quantised
from components.index.server import Server
from components.vectors import Array

FILE = "index.safetensors"
"""What an engine computed from a gallery, beside it in the bundle. The exact engine has none."""

_SEED = 0


def build(gallery: Gallery, params: config.Index, samples: Asked, encoders: str) -> Engine:
    """The index of a gallery of N pictures, by the parameters and N.

    ``samples`` are queries such as will be asked; the approximate engine measures its recall on
    them. ``encoders`` are the fingerprints of what encoded the pictures: all galleries of the same
    ones share a collection on the server, whose name is their hash.
    """
    clip, vision = gallery.clip, gallery.vision
    kind = params.engine_for(len(clip))
    if kind == "exact":
        return Exact(clip, vision)
    if kind == "server":
        weight = float(np.max(samples.fusion_weight))
        collection = f"eidolon-{hashlib.sha256(encoders.encode()).hexdigest()[:16]}"
        return Server.of(clip, vision, collection, gallery.hubness, weight)
    quantised = Quantised.of(clip, vision)
    if kind == "quantised":
        return quantised
    return Approximate.grouped(quantised, params.recall, samples, _SEED)


def load(folder: Path, clip: Array, vision: Array) -> Engine:
    """The index in ``folder``, mapped into memory, for the rows of its gallery.

    Raises :class:`EidolonError` when the file is damaged.
    """
    file = folder / FILE
    if not file.is_file():
        return Exact(clip, vision)
    arrays = mapped(file)
    if "points" in arrays:
        return Server.loaded(clip, vision, arrays)
    engine = Approximate if "centroids" in arrays else Quantised
    return engine.loaded(clip, vision, arrays)


def publish(folder: Path) -> int:
    """Upload what the index server lacks of the bundle in ``folder``, and return how many pictures
    that were: none with an engine that needs no server.

    Raises :class:`components.index.qdrant.NoIndexError` when the server does not answer.
    """
    engine = _on_server(folder)
    return 0 if engine is None else engine.publish()


def withdraw(gone: Iterable[Path], kept: Iterable[Path]) -> None:
    """Remove the bundles in the folders ``gone`` from the index server, unless one of those that
    are ``kept`` is of the same version there. Raises as :func:`publish` does."""
    going = [one for one in map(_on_server, gone) if one is not None]
    if not going:
        return
    needed = {one.version.name for one in map(_on_server, kept) if one is not None}
    for engine in going:
        if engine.version.name not in needed:
            engine.version.withdraw()


def _on_server(folder: Path) -> Server | None:
    """The engine of a bundle that a server searches, and None for any other bundle."""
    file = folder / FILE
    if not file.is_file() or "points" not in (arrays := mapped(file)):
        return None
    rows = mapped(folder / "gallery.safetensors")
    return Server.loaded(np.asarray(rows["clip"]), np.asarray(rows["vision"]), arrays)
