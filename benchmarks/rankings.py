"""How good the service's rankings of a text are, one by one: what it answers is what is measured.

It is asked as a user asks it, page after page, until every picture that counts was seen. Nothing is
computed from its scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from components.api.client import Client
from components.api.messages import MAX_HITS, Answer, Hit
from components.learning.first_k import ndcg, recalls
from components.learning.metrics import average_precision

Mode = Literal["text", "image", "fused", "auto"]
MODES: tuple[Mode, ...] = ("text", "image", "fused", "auto")
"""The ways to rank; `auto` is what a user gets who chooses none."""

DEEP, FIRST = 10, 20
MEASURES = ("mAP", f"nDCG@{DEEP}", f"recall@{FIRST}")

Figures = dict[str, float]
"""The value of each of :data:`MEASURES`, NaN where there is none."""


@dataclass(frozen=True)
class Measured:
    """A text, the figures of each of :data:`MODES`, and what the service says of its answer.

    ``mode`` is how the default answer was ranked. ``relevant``, ``unknown``, ``suggestion`` and
    ``degraded`` are its fields.
    """

    kind: str
    text: str
    figures: dict[Mode, Figures]
    mode: str
    known: bool
    relevant: bool
    unknown: tuple[str, ...]
    suggestion: str | None = None
    degraded: str | None = None

    @property
    def said(self) -> bool:
        """Whether a person is told that the text was not understood: nothing seems to fit, there
        are unknown words, another text is suggested, or the imagined pictures show it poorly."""
        understood = self.relevant and not self.unknown and self.degraded != "disagreeing"
        return not understood or self.suggestion is not None

    @property
    def gain(self) -> Figures:
        """What fused has more than text."""
        fused, text = self.figures["fused"], self.figures["text"]
        return {measure: fused[measure] - text[measure] for measure in MEASURES}


def measured(
    client: Client,
    kind: str,
    text: str,
    enough: Callable[[Sequence[Hit]], bool],
    judge: Callable[[Sequence[Hit], int], Figures],
    exclude: str | None = None,
) -> Measured:
    """The figures of ``text``. ``enough`` says of the first hits whether more are needed. ``judge``
    gives the figures of these hits in a gallery of so many pictures."""

    def asked(mode: Mode) -> tuple[Answer, Figures]:
        answer = first = client.search(text, k=MAX_HITS, mode=mode, exclude=exclude)
        hits = list(first.hits)
        while not enough(hits) and answer.hits:
            answer = client.search(text, k=MAX_HITS, mode=mode, exclude=exclude, offset=len(hits))
            hits += answer.hits
        return first, judge(hits, first.total)

    answers = {mode: asked(mode) for mode in MODES}
    served = answers["auto"][0]
    return Measured(
        kind=kind,
        text=text,
        figures={mode: figures for mode, (_, figures) in answers.items()},
        mode=served.mode,
        known=served.known,
        relevant=served.relevant,
        unknown=tuple(served.unknown_words),
        suggestion=served.suggestion,
        degraded=served.degraded,
    )


def figures(right: Sequence[bool], total: int) -> Figures:
    """The :data:`MEASURES` of a ranking of ``total`` pictures. ``right`` says of the first which
    are right; no later one is."""
    positive: npt.NDArray[np.bool_] = np.zeros(total, dtype=np.bool_)
    positive[: len(right)] = right
    scores = -np.arange(total, dtype=np.float64)
    found = (
        average_precision(scores, positive),
        ndcg(scores[None], positive[None], DEEP)[0],
        recalls(scores[None], positive[None], FIRST)[0],
    )
    return {measure: float(value) for measure, value in zip(MEASURES, found, strict=True)}
