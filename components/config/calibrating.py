"""The section of params.yaml about confidence: when to say that nothing in the gallery fits."""

from __future__ import annotations

from pydantic import Field

from components.config.fields import PartialShare, Section, Seed


class Calibrate(Section):
    """The section `calibrate`."""

    texts: int = Field(
        ge=2,
        le=10_000,
        description="Texts of each of four kinds that are imagined to calibrate the confidence, at"
        " most; half of them fit it, half measure it.",
    )
    recall: PartialShare = Field(
        description="Share of the texts that the gallery has pictures of, of each kind, that must"
        " be called relevant; more of it lets more nonsense pass."
    )
    seed: Seed = Field(description="Seed of the texts, and of the halves that they are put in.")
