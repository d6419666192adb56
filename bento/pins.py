"""What a Bento was built with, version, models and settings: the file `release.json` inside it.

The file exists in a Bento, never in a checkout. The service loads its models by these exact tags,
so a newer model in the store changes nothing for an older Bento.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from components import config
from components.errors import EidolonError
from components.files import read_json, write_json

_OF_OPERATION = {"golden_queries", "keep_warm"}  # settings that a Bento itself does not use
PLACE = Path(__file__).with_name("release.json")


@dataclass(frozen=True)
class Pins:
    """The ``version`` in the registry, the tags of the models in BentoML's store, and the settings
    ``serve`` of the service."""

    version: int
    bundle: str
    generator: str
    clip: str
    vision: str
    serve: config.Serve = field(default_factory=config.Serve)

    @property
    def models(self) -> dict[str, str]:
        """The tag of each part."""
        return {k: v for k, v in asdict(self).items() if k not in ("version", "serve")}

    @property
    def settings(self) -> dict[str, Any]:
        """The settings in ``serve`` that the service itself uses."""
        return self.serve.model_dump(mode="json", exclude=_OF_OPERATION)

    def save(self, path: Path) -> None:
        """Write the pins as JSON."""
        write_json(path, asdict(self) | {"serve": self.settings})

    @classmethod
    def load(cls, path: Path = PLACE) -> Pins:
        """Read the pins. Raises :class:`EidolonError` when the file is missing, damaged or
        incomplete."""
        remedy = "build a Bento with `python -m bento.release build` and serve that"
        try:
            found = read_json(path, remedy)
            return cls(**found | {"serve": config.Serve.model_validate(found.get("serve", {}))})
        except (TypeError, ValidationError) as error:
            raise EidolonError(f"{path} does not describe a release ({error}): {remedy}") from None


def settings() -> config.Serve:
    """The service's settings: those of its Bento, or the defaults outside a Bento. Raises
    :class:`EidolonError` as :meth:`Pins.load` does."""
    return Pins.load().serve if PLACE.is_file() else config.Serve()
