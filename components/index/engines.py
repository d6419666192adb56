"""Which engine a gallery is searched by, and where a bundle keeps what it needs."""

from __future__ import annotations

from pathlib import Path

from components import config
from components.arrays import mapped
from components.index.approximate import Approximate
from components.index.engine import Asked, Engine
from components.index.exact import Exact
from components.index.quantised import Quantised
from components.vectors import Array

FILE = "index.safetensors"
"""What an engine computed from a gallery, beside it in the bundle. The exact engine has none."""

_SEED = 0


def build(clip: Array, vision: Array, params: config.Index, samples: Asked) -> Engine:
    """The index of a gallery, ``clip`` (N, d_clip) and ``vision`` (N, d_vision), by its size.

    ``samples`` are queries such as will be asked; the approximate engine measures its recall on
    them.
    """
    kind = params.engine_for(len(clip))
    if kind == "exact":
        return Exact(clip, vision)
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
    engine = Approximate if "centroids" in arrays else Quantised
    return engine.loaded(clip, vision, arrays)
