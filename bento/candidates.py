"""The imagined pictures of a query: those that the bundle has, and new ones, each judged."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass

import numpy as np

from bento.imagination import DegradedError, Imagination
from components import config
from components.api.messages import Missing, Query
from components.features.queries import of_name
from components.imagining.memory import Seen
from components.imagining.recipes import Wanted
from components.imagining.seeds import seed_of
from components.kinds import BOTH, CLASS, DESCRIPTION
from components.names import fill
from components.serving.fitness import Fitness
from components.serving.known import known_query
from components.serving.loading import Bundle
from components.serving.retriever import Asked
from components.vectors import Array

DROPPED = "was dropped"


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


class MissingError(Exception):
    """Some pictures could not be had. ``missing`` says how many, and why."""

    def __init__(self, missing: Missing) -> None:
        super().__init__(missing)
        self.missing = missing


class Candidates:
    """The imagined pictures of all queries for one bundle."""

    def __init__(
        self,
        bundle: Bundle,
        imagination: Imagination,
        generator: config.Generator,
        validate: config.Validate,
        serve: config.Serve,
        picture: Callable[[str], str],
    ) -> None:
        """``picture`` gives the address of one of the bundle's pictures, relative to the page."""
        self._bundle, self._imagination, self._generator = bundle, imagination, generator
        self._fitness = Fitness(validate, generator.size, bundle.text)
        self._patience, self._picture = serve.imagine_seconds, picture

    async def of(self, asked: Asked, query: Query) -> AsyncIterator[Candidate]:
        """The imagined pictures as they arrive; of an unfit one, that which replaces it, if it can
        be had. Raises :class:`MissingError` when some cannot."""
        known = self._known(asked, query)
        for candidate in known:
            yield candidate
        base = self._generator.seed if query.seed is None else query.seed
        wanted = self._wanted(asked, query, base, [one.seed for one in known])
        if not wanted:
            return
        lacking = {want.k for want in wanted}
        unfit: dict[int, Candidate] = {}
        until = time.time() + self._patience
        try:
            async for group in self._imagination.pictures(wanted, until):
                for want, seen in group:
                    candidate = self._judged(want, seen, asked, query)
                    if candidate.why in ("", DROPPED):
                        lacking.remove(want.k)
                        yield candidate
                    else:
                        unfit[want.k] = candidate
            again = [want.again(base) for want in wanted if want.k in unfit]
            if again:
                async for group in self._imagination.pictures(again, until):
                    for want, seen in group:
                        lacking.remove(want.k)
                        yield self._judged(want, seen, asked, query)
        except DegradedError as error:
            for k in lacking & unfit.keys():
                yield unfit[k]
            raise MissingError(Missing(count=len(lacking), why=error.why)) from None

    def _wanted(
        self, asked: Asked, query: Query, base: int, known: Collection[int]
    ) -> list[Wanted]:
        """The pictures to imagine beside those with the ``known`` seeds. They are numbered from the
        number of these on, without the numbers that these have."""
        count = query.images or self._generator.images_per_category
        if asked.row is not None and not asked.own and query.seed is None and query.images is None:
            return []  # fewer where some were not fit: validation said so
        found: list[Wanted] = []
        for k in itertools.count(len(known)):
            if len(known) + len(found) >= count:
                return found
            text, prompt = self._prompt(asked, k, count)
            want = Wanted(text, k, prompt, seed_of(prompt, k, base))
            if not {want.seed, want.again(base).seed} & {*known}:
                found.append(want)
        raise AssertionError("there is always another number")

    def _prompt(self, asked: Asked, k: int, count: int) -> tuple[str, str]:
        """The text that the ``k``-th of ``count`` pictures is imagined for, and its prompt: a
        description or the name, or for both, descriptions for the last half."""
        if asked.kind == DESCRIPTION or (asked.kind == BOTH and k >= of_name(count)):
            text = asked.descriptions[k % len(asked.descriptions)]
            return text, fill(self._generator.description_prompt, text)
        name = asked.words
        if asked.row is not None:
            name = self._bundle.categories["category"][asked.row]
        return name, self._generator.prompt_for(name)

    def _known(self, asked: Asked, query: Query) -> list[Candidate]:
        """The pictures of a known category, from the bundle; none if another seed is asked for."""
        if asked.row is None or query.seed is not None:
            return []
        known = known_query(self._bundle, asked.row, CLASS if asked.own else asked.kind)
        assert known is not None  # or else it could not be asked for
        count = query.images or self._generator.images_per_category
        most = of_name(count) if asked.own else query.images
        return [
            Candidate(
                k=k,
                address=one.address,
                picture=self._picture(one.path),
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
