"""Answers a query step by step: text first, then each imagined picture, then both together."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import quote

import numpy as np

from bento.candidates import DROPPED, Candidate, Candidates, MissingError
from bento.imagination import Compute, Imagination
from bento.journal import Journal
from bento.logs import noted
from bento.metrics import metrics
from bento.tracing import open_span, span
from components import config
from components.api import messages
from components.api.messages import (
    Answer,
    BundleName,
    Degraded,
    Imagined,
    Missing,
    Query,
    Timings,
)
from components.serving.retriever import Asked, How, Ranking, Retriever, ScoredPicture

DISAGREES = "shows the text too poorly, as do the others"
Step = tuple[Literal["text", "imagined", "fused"], Answer | Imagined]


@dataclass
class Clock:
    """Milliseconds of the steps of one answer."""

    spent: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time of this block to the step ``name``."""
        since = time.perf_counter()
        try:
            yield
        finally:
            took = 1000 * (time.perf_counter() - since)
            self.spent[name] = self.spent.get(name, 0) + took

    def timings(self) -> Timings:
        """What was spent so far, in milliseconds."""
        total = 1000 * (time.perf_counter() - self.began)
        return Timings(**{k: round(v, 2) for k, v in (self.spent | {"total": total}).items()})


@dataclass(frozen=True)
class Served:
    """What every answer names: the bundle, and the models that made it."""

    bundle: BundleName
    models: dict[str, str]

    def picture(self, path: str) -> str:
        """The address of one of the bundle's pictures, relative to the page. It holds the digest,
        so it can be cached for ever."""
        return f"images/{quote(path)}?v={self.bundle.digest}"

    def hits(self, found: Sequence[ScoredPicture]) -> list[messages.Hit]:
        """The pictures of a ranking, with their addresses."""
        return [messages.Hit(**vars(hit), picture=self.picture(hit.id)) for hit in found]


class Search:
    """The searches of one process."""

    def __init__(
        self,
        retriever: Retriever,
        imagination: Imagination,
        generator: config.Generator,
        validate: config.Validate,
        served: Served,
        journal: Journal,
        serve: config.Serve,
        compute: Compute,
        encode: Compute,
    ) -> None:
        """``compute`` runs blocking work beside the event loop, and ``encode`` beside that what
        needs the text encoder."""
        self._retriever, self._served, self._compute = retriever, served, compute
        self._journal, self._encode = journal, encode
        self._candidates = Candidates(
            retriever.bundle, imagination, generator, validate, serve, served.picture
        )

    async def steps(self, query: Query, first: bool = True) -> AsyncIterator[Step]:
        """The steps of the answer; the last one is `fused`, whatever happens to the generator.

        Without ``first`` there is no step `text`, and nothing is ranked for it. Raises
        :class:`QueryError` for a query that must be changed.
        """
        clock = Clock()
        with span("text"), clock.step("text"):
            asked = await self._ask(query)
            how = await self._how(query, asked)
        by_text = await self._by_text(asked, how, clock) if first else None
        if by_text is not None:
            yield "text", self._answer(asked, by_text, clock)
        found: list[Candidate] = []
        missing: Missing | None = None
        if (mode := self._mode(query, asked)) != "text":
            with open_span("imagine"), clock.step("imagine"):
                try:
                    async for candidate in self._candidates.of(asked, query):
                        found.append(candidate)
                        yield "imagined", self._imagined(candidate)
                except MissingError as error:
                    missing = error.missing
        degraded: Degraded | None = missing.why if missing else None
        found.sort(key=lambda one: one.k)
        used = [one for one in found if not one.why]
        if query.mode == "auto" and self._disagree(asked, used):
            found = [replace(one, why=one.why or DISAGREES) for one in found]
            used, degraded = [], degraded or "disagreeing"
        if used:
            with span("rank"), clock.step("rank"):
                vision = np.stack([one.vision for one in used])
                aggregated, shares = await self._compute(self._retriever.aggregate, vision)
                ranking = await self._compute(self._retriever.rank, asked, aggregated, how)
            mode = "image" if mode == "image" else "fused"
            answer = self._answer(asked, ranking, clock, found, shares, mode=mode, missing=missing)
        else:
            given_up = found and all(one.why == DROPPED for one in found)  # the caller wants none
            if mode != "text" and not given_up:
                degraded = degraded or "unfit"
            ranking = by_text or await self._by_text(asked, how, clock)
            answer = self._answer(asked, ranking, clock, found, degraded=degraded, missing=missing)
        await self._note(answer)
        yield "fused", answer

    def _disagree(self, asked: Asked, used: Sequence[Candidate]) -> bool:
        """Whether the pictures of a text that is no known category show it so poorly that text
        alone ranks better."""
        agreements = [one.agreement for one in used if one.agreement is not None]
        return asked.row is None and self._retriever.bundle.confidence.disagrees(agreements)

    async def answer(self, query: Query) -> Answer:
        """The last step alone."""
        *_, (_, final) = [step async for step in self.steps(query, first=False)]
        assert isinstance(final, Answer)
        return final

    async def _by_text(self, asked: Asked, how: How, clock: Clock) -> Ranking:
        with span("rank by text"), clock.step("rank"):
            ranking: Ranking = await self._compute(
                self._retriever.rank, asked, None, replace(how, fusion_weight=0.0)
            )
        return ranking

    async def _note(self, answer: Answer) -> None:
        """Count and record the final answer."""
        notes = noted()
        notes.degraded, notes.bundle = answer.degraded, answer.bundle.version
        metrics().searched(answer)
        if not answer.known:
            metrics().judged(answer.imagined)
        await self._compute(self._journal.answered, answer)

    async def _ask(self, query: Query) -> Asked:
        text, own = query.query, query.description
        embeds = await self._compute(self._retriever.embeds, text, own)
        run = self._encode if embeds else self._compute
        asked: Asked = await run(self._retriever.ask_by, text, query.kind, own)
        return asked

    async def _how(self, query: Query, asked: Asked) -> How:
        texts = [text for text in (query.exclude, asked.excluded) if text is not None]
        excluded = None
        if texts:
            excluded = await self._encode(self._retriever.exclusion, texts)
        weight = 1.0 if query.mode == "image" else query.weight
        return How(query.k, query.offset, weight, query.filter, query.group, excluded)

    def _mode(self, query: Query, asked: Asked) -> messages.Mode:
        if query.mode != "auto":
            return query.mode
        words = " ".join([asked.words, *(asked.descriptions if asked.own else ())]).split()
        nonsense = asked.unknown and len(asked.unknown) == len(words)
        return "text" if nonsense else "fused"

    def _answer(
        self,
        asked: Asked,
        ranking: Ranking,
        clock: Clock,
        found: Sequence[Candidate] = (),
        shares: Sequence[float] = (),
        *,
        mode: messages.Mode = "text",
        degraded: Degraded | None = None,
        missing: Missing | None = None,
    ) -> Answer:
        """An answer from a ranking. ``shares`` are those of the pictures ``found`` that are used,
        in the same order."""
        weights = iter(shares)
        return Answer(
            request=noted().request,
            query=asked.query,
            known=asked.row is not None,
            kind=asked.kind,
            excluded=asked.excluded,
            mode=mode,
            fusion_weight=ranking.fusion_weight,
            hits=self._served.hits(ranking.hits),
            total=ranking.total,
            imagined=[self._imagined(one, None if one.why else next(weights)) for one in found],
            confidence=ranking.confidence,
            relevant=ranking.relevant,
            unknown_words=list(asked.unknown),
            suggestion=asked.suggestion,
            truncated=asked.truncated,
            degraded=degraded,
            missing=missing,
            timings=clock.timings(),
            bundle=self._served.bundle,
            models=self._served.models,
            seeds=[one.seed for one in found],
        )

    def _imagined(self, one: Candidate, weight: float | None = None) -> Imagined:
        return Imagined(
            id=one.address,
            picture=one.picture,
            seed=one.seed,
            weight=weight,
            agreement=one.agreement,
            kept=not one.why,
            why=one.why or None,
        )
