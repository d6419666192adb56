"""What a bundle is made with: the models, by the hashes of their content."""

from __future__ import annotations

from components import config
from components.models.fingerprints import fingerprint


def made_with(params: config.Params) -> dict[str, str]:
    """The fingerprints of the models in ``params``: ``generator``, ``clip`` and ``vision``.

    Raises :class:`EidolonError` when one of them is gone.
    """
    generator, encoders = params.generator, params.encoders
    return {
        "generator": fingerprint(generator.model, generator.revision),
        "clip": fingerprint(encoders.clip, encoders.clip_revision),
        "vision": fingerprint(encoders.vision, encoders.vision_revision),
    }
