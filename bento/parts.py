"""What a Bento is made of, as its workers load it: the bundle's description and the models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bentoml

from bento.pins import Pins
from components import config
from components.files import read_json


@dataclass(frozen=True)
class Parts:
    """The release, the folder of its bundle, what bundle.json says, and the models' parameters,
    which name their folders in BentoML's store."""

    pins: Pins
    bundle: Path
    info: dict[str, Any]
    generator: config.Generator
    encoders: config.Encoders

    @property
    def models(self) -> str:
        """The fingerprints of all models that the bundle was made with, as one text."""
        return all_of(self.info["models"])


def all_of(models: Mapping[str, str]) -> str:
    """The fingerprints of a bundle's ``models``, as one text."""
    return " ".join(f"{part} {models[part]}" for part in sorted(models))


def parts() -> Parts:
    """The parts of the Bento that this code lies in.

    Raises :class:`EidolonError` outside a Bento, and ``bentoml.exceptions.NotFound`` when the store
    lacks a model.
    """
    pins = Pins.load()
    folders = {part: bentoml.models.get(tag).path for part, tag in pins.models.items()}
    bundle = Path(folders["bundle"])
    info = read_json(bundle / "bundle.json", "build the Bento again")
    generator = {"model": folders["generator"], "revision": None}
    encoders = {
        "clip": folders["clip"],
        "clip_revision": None,
        "vision": folders["vision"],
        "vision_revision": None,
    }
    return Parts(
        pins,
        bundle,
        info,
        config.Generator.model_validate(info["generator"] | generator),
        config.Encoders.model_validate(info["encoders"] | encoders),
    )
