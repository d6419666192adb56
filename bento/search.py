"""Answers a query step by step: text first, then each imagined picture, then both together."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import quote

import numpy as np

from bento.imagination import Compute, DegradedError, Imagination
from bento.journal import Journal
from bento.logs import noted
from bento.metrics import metrics
from bento.tracing import span
from components import config
from components.api import messages
from components.api.messages import Answer, BundleName, Degraded, Imagined, Query, Timings
from components.features.queries import of_name
from components.imagining.memory import Seen
from components.imagining.recipes import Wanted
from components.imagining.seeds import seed_of
from components.kinds import BOTH, CLASS, DESCRIPTION
from components.names import fill
from components.serving.fitness import Fitness
from components.serving.known import known_query
from components.serving.retriever import Asked, How, Ranking, Retriever, ScoredPicture
from components.vectors import Array

DROPPED = "was dropped"
DISAGREES = "shows the text too poorly, as do the others"
Step = tuple[Literal["text", "imagined", "fused"], Answer | Imagined]


@dataclass(frozen=True)
class Candidate:
    """The ``k``-th picture that was imagined for the query, and its address relative to the page.

    ``why`` says why the picture is not used, and is empty if it is.
    """

    k: int
    address: str
    picture: str
    seed: int
    vision: Array
    agreement: float | None
    why: str


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
    ) -> None:
        """``compute`` runs blocking work beside the event loop."""
        self._retriever, self._imagination = retriever, imagination
        self._generator, self._served, self._compute = generator, served, compute
        self._journal, self._patience = journal, serve.imagine_seconds
        self._fitness = Fitness(validate, generator.size, retriever.bundle.text)

    async def steps(self, query: Query, first: bool = True) -> AsyncIterator[Step]:
        """The steps of the answer; the last one is `fused`, whatever happens to the generator.

        Without ``first`` there is no step `text`, and nothing is ranked for it. Raises
        :class:`QueryError` for a query that must be changed.
        """
        clock = Clock()
        with span("text"), clock.step("text"):
            asked: Asked = await self._compute(
                self._retriever.ask_by, query.query, query.kind, query.description
            )
            how = await self._how(query, asked)
        by_text = await self._by_text(asked, how, clock) if first else None
        if by_text is not None:
            yield "text", self._answer(asked, by_text, clock)
        found: list[Candidate] = []
        degraded: Degraded | None = None
        if (mode := self._mode(query, asked)) != "text":
            with clock.step("imagine"):  # no span: a stream goes on in another task
                try:
                    async for candidate in self._candidates(asked, query):
                        found.append(candidate)
                        yield "imagined", self._imagined(candidate)
                except DegradedError as error:
                    degraded = error.why
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
            answer = self._answer(asked, ranking, clock, found, shares, mode=mode)
        else:
            if mode != "text" and not any(one.why == DROPPED for one in found):
                degraded = degraded or "unfit"
            ranking = by_text or await self._by_text(asked, how, clock)
            answer = self._answer(asked, ranking, clock, found, degraded=degraded)
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

    async def _how(self, query: Query, asked: Asked) -> How:
        texts = [text for text in (query.exclude, asked.excluded) if text is not None]
        excluded = None
        if texts:
            found: Asked = await self._compute(self._retriever.ask, " ".join(texts))
            excluded = found.vector
        weight = 1.0 if query.mode == "image" else query.weight
        return How(query.k, query.offset, weight, query.filter, query.group, excluded)

    def _mode(self, query: Query, asked: Asked) -> messages.Mode:
        if query.mode != "auto":
            return query.mode
        words = " ".join([asked.words, *(asked.descriptions if asked.own else ())]).split()
        nonsense = asked.unknown and len(asked.unknown) == len(words)
        return "text" if nonsense else "fused"

    async def _candidates(self, asked: Asked, query: Query) -> AsyncIterator[Candidate]:
        """The imagined pictures as they arrive. Raises :class:`DegradedError` when some cannot be
        had."""
        known = self._known(asked, query)
        for candidate in known:
            yield candidate
        count = query.images or self._generator.images_per_category
        if asked.row is not None and not asked.own and query.seed is None and query.images is None:
            count = len(known)  # fewer where some were not fit: validation said so
        base = self._generator.seed if query.seed is None else query.seed
        wanted = []
        for k in range(len(known), count):
            text, prompt = self._prompt(asked, k, count)
            wanted.append(Wanted(text, k, prompt, seed_of(prompt, k, base)))
        if not wanted:
            return
        again = []
        until = time.time() + self._patience
        async for group in self._imagination.pictures(wanted, until):
            for want, seen in group:
                candidate = self._judged(want, seen, asked, query)
                if candidate.why in ("", DROPPED):
                    yield candidate
                else:
                    again.append(want.again(base))
        if again:
            async for group in self._imagination.pictures(again, until):
                for want, seen in group:
                    yield self._judged(want, seen, asked, query)

    def _prompt(self, asked: Asked, k: int, count: int) -> tuple[str, str]:
        """The text that the ``k``-th of ``count`` pictures is imagined for, and its prompt: a
        description or the name, or for both, descriptions for the last half."""
        if asked.kind == DESCRIPTION or (asked.kind == BOTH and k >= of_name(count)):
            text = asked.descriptions[k % len(asked.descriptions)]
            return text, fill(self._generator.description_prompt, text)
        name = asked.words
        if asked.row is not None:
            name = self._retriever.bundle.categories["category"][asked.row]
        return name, self._generator.prompt_for(name)

    def _known(self, asked: Asked, query: Query) -> list[Candidate]:
        """The pictures of a known category, from the bundle; none if another seed is asked for."""
        if asked.row is None or query.seed is not None:
            return []
        known = known_query(self._retriever.bundle, asked.row, CLASS if asked.own else asked.kind)
        assert known is not None  # or else it could not be asked for
        count = query.images or self._generator.images_per_category
        most = of_name(count) if asked.own else query.images
        return [
            Candidate(
                k=k,
                address=one.address,
                picture=self._served.picture(one.path),
                seed=one.seed,
                vision=one.vision,
                agreement=one.agreement,
                why=DROPPED if one.address in query.drop else "",
            )
            for k, one in enumerate(known.pictures[:most])
        ]

    def _judged(self, want: Wanted, seen: Seen, asked: Asked, query: Query) -> Candidate:
        agreement = self._fitness.agreement(seen, asked.vector)
        why = self._fitness.objection(seen, agreement)
        return Candidate(
            k=want.k,
            address=seen.address,
            picture=f"images/{seen.address}",
            seed=want.seed,
            vision=seen.vision,
            agreement=agreement if np.isfinite(agreement) else None,
            why=DROPPED if seen.address in query.drop else why,
        )

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
