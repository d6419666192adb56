"""Which version and which models a Bento was built with: the file `release.json` inside it.

It exists only in a Bento, never in a checkout. The service takes its models by these explicit
tags, so a newer model in the store changes nothing for a Bento that was built before.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from components.errors import EidolonError
from components.files import read_json, write_json

PLACE = Path(__file__).with_name("release.json")


@dataclass(frozen=True)
class Pins:
    """The registry's ``version`` and the Bento models' tags."""

    version: int
    bundle: str
    generator: str
    clip: str
    vision: str

    @property
    def models(self) -> dict[str, str]:
        """The tags by part."""
        return {k: v for k, v in asdict(self).items() if k != "version"}

    def save(self, path: Path) -> None:
        """Write the pins as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path = PLACE) -> Pins:
        """Raises :class:`EidolonError` when the file is missing, damaged or incomplete."""
        remedy = "build a Bento with `python -m bento.release build` and serve that"
        try:
            return cls(**read_json(path, remedy))
        except TypeError as error:
            raise EidolonError(f"{path} is no release ({error}): {remedy}") from None
