"""Whether a picture that was imagined for a text is fit to search with.

The limits are those by which the pipeline validates the pictures of categories, as far as one
picture alone can meet them.
"""

from __future__ import annotations

import numpy as np

from components import config
from components.imagining.memory import Seen
from components.validation.judge import limits
from components.validation.limit import Limit
from components.validation.measure import agreement
from components.vectors import Array, normalized


class Fitness:
    """Judges pictures of texts, one by one, by the limits of `validate` in the bundle."""

    def __init__(self, params: config.Validate, size: int, known: Array) -> None:
        """``known`` (C, d_clip) are the text embeddings of all categories, of any length."""
        quality = [one for one in limits(params, size) if one.column in ("contrast", "sharpness")]
        fits = Limit("agreement", params.min_agreement, None, "does not show the text")
        self._limits = (*quality, fits)
        self._known = normalized(known)

    def agreement(self, seen: Seen, text: Array) -> float:
        """How much nearer the picture is to ``text`` (d_clip,) than to the categories' names:
        :func:`components.validation.measure.agreement`."""
        return float(agreement(seen.clip[None], normalized(text)[None], self._known)[0])

    def objection(self, seen: Seen, agreement: float) -> str:
        """Why the picture must not be used, such as "is blank"; empty when it is fit."""
        if seen.refused:
            return seen.refused
        measured = {
            "contrast": seen.contrast,
            "sharpness": seen.sharpness,
            "agreement": agreement,
        }
        numbers = np.concatenate([seen.vision, seen.clip, [*measured.values()]])
        if not np.isfinite(numbers).all():
            return "cannot be encoded"
        for limit in self._limits:
            if limit.excludes(measured[limit.column]):
                return limit.reason
        return ""
