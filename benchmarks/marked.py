"""The marks that people gave as a benchmark: their texts, and what they called right and wrong.

Most pictures have no mark, so a missing mark is no fault. mAP and nDCG are of the marked pictures
alone, in the order of the ranking ("condensed lists": Sakai, "Alternatives to Bpref", SIGIR 2007).
They need a right and a wrong mark for the same text. Recall is of the pictures marked right, in the
whole ranking.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from benchmarks.rankings import MEASURES, Figures, Measured, figures, measured
from components.api.client import Client
from components.api.messages import Hit
from components.progress import track

NAME, OTHER = "marked: names of categories", "marked: other texts"


@dataclass(frozen=True)
class Judged:
    """A text, and whether each marked picture of the gallery is right, by its id."""

    text: str
    right: Mapping[str, bool]


def judged(marks: pd.DataFrame, paths: Mapping[str, str]) -> list[Judged]:
    """The texts of ``marks`` (:mod:`components.monitoring.feedback`) that have a picture marked
    right. ``paths`` are the ids of the gallery's pictures by the hash of their pixels; marks of
    other pictures are left out."""
    here = marks[marks["pixels"].isin(paths.keys())]
    found = []
    for text, rows in here.groupby("query"):
        pairs = zip(rows["pixels"], rows["right"], strict=True)
        right = {paths[pixels]: value == "1" for pixels, value in pairs}
        if any(right.values()):
            found.append(Judged(str(text), right))
    return found


def marked(client: Client, texts: Sequence[Judged]) -> Iterator[Measured]:
    """Ask the service for each text."""
    for one in track(texts, "marked texts", "texts"):

        def enough(hits: Sequence[Hit], one: Judged = one) -> bool:
            return one.right.keys() <= {hit.id for hit in hits}

        def judge(hits: Sequence[Hit], total: int, one: Judged = one) -> Figures:
            return condensed([one.right.get(hit.id) for hit in hits], total)

        found = measured(client, OTHER, one.text, enough, judge)
        yield replace(found, kind=NAME) if found.known else found


def condensed(marks: Sequence[bool | None], total: int) -> Figures:
    """The :data:`MEASURES` of a ranking of ``total`` pictures. ``marks`` are those of its first
    pictures, ``None`` where there is none; no later picture has one."""
    told = [mark for mark in marks if mark is not None]
    both = True in told and False in told
    of_marked = figures(told, len(told)) if both else dict.fromkeys(MEASURES, math.nan)
    recall = MEASURES[-1]
    return of_marked | {recall: figures([mark is True for mark in marks], total)[recall]}
