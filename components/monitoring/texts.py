"""The embeddings of texts by the text encoder that a bundle was made with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from components import config
from components.errors import EidolonError
from components.models.encoders import ClipEncoder
from components.models.fingerprints import fingerprint
from components.serving.loading import Bundle
from components.vectors import Array

Embed = Callable[[Sequence[str]], Array]
"""N texts, as models read them, to (N, d_clip)."""


def same_encoders(encoders: config.Encoders, bundle: Bundle) -> frozenset[str]:
    """The spaces, `clip` and `vision`, whose encoder in ``encoders`` is that of ``bundle``. An
    encoder that is not here is none of them."""
    here = {
        "clip": (encoders.clip, encoders.clip_revision),
        "vision": (encoders.vision, encoders.vision_revision),
    }
    found = set()
    for space, model in here.items():
        with suppress(EidolonError):
            if fingerprint(*model) == bundle.info["models"][space]:
                found.add(space)
    return frozenset(found)


def embedder(bundle: Bundle) -> Embed:
    """The text encoder of ``bundle``.

    Raises :class:`EidolonError` when it is not here, or is another one than the bundle's: its
    vectors could not be compared.
    """
    encoders = config.Encoders.model_validate(bundle.info["encoders"])
    here, there = fingerprint(encoders.clip, encoders.clip_revision), bundle.info["models"]["clip"]
    if here != there:
        raise EidolonError(
            f"the text encoder here is {here}, and the champion's is {there}: restore that"
            " model, or retrain"
        )
    clip = ClipEncoder(encoders.clip, encoders.clip_revision, encoders.batch, encoders.memory_share)
    return lambda texts: clip.describe(list(texts), encoders.text_templates)
