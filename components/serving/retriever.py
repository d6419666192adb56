"""Ranks the gallery for queries, with what a bundle holds and a text encoder. It draws nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from components import config, names
from components.confidence.confidence import BEST, Known, features_of
from components.errors import QueryError
from components.features.queries import mean_text
from components.index import engines
from components.index.engine import Asked as Questions
from components.index.engine import Found
from components.index.gallery import Hubness
from components.kinds import BOTH, CLASS, Kind
from components.models.encoders import ClipEncoder
from components.models.vocabulary import Vocabulary
from components.serving.exclusion import STRENGTH, beyond
from components.serving.filters import Filter, Filters
from components.serving.known import known_query, texts_of
from components.serving.loading import Bundle
from components.serving.near_duplicates import DEEPEST, Group, NearDuplicates
from components.serving.spelling import Spelling
from components.serving.words import split, words_of
from components.vectors import Array

DIGITS = 6  # decimals of a score in an answer
_SHOWN = ("path", "category", "split", "source")


@dataclass(frozen=True)
class Asked:
    """A text that can be searched with.

    ``words`` is what the models get. ``row`` is that of the known category it names, if any.
    ``vector`` (d_clip,) is its text embedding. ``unknown`` are the words that the text encoder was
    not trained on, and ``truncated`` says that it did not read the end.

    ``kind`` says by what a category is asked for. ``descriptions`` are the texts that describe what
    is asked for: those of the category, or the one that came with the query (``own``). ``excluded``
    is what the pictures must not show, as the query itself says. ``suggestion`` is what was perhaps
    meant (:mod:`components.serving.spelling`).
    """

    query: str
    words: str
    row: int | None
    vector: Array
    unknown: tuple[str, ...]
    truncated: bool
    kind: Kind = "class"
    descriptions: tuple[str, ...] = ()
    own: bool = False
    excluded: str | None = None
    suggestion: str | None = None


@dataclass(frozen=True)
class How:
    """How to rank: which of the best pictures to give, and among which.

    ``excluded`` (d_clip,) is the text embedding of what the pictures must not show.
    """

    k: int = 20
    offset: int = 0
    fusion_weight: float | None = None
    filter: Filter = field(default_factory=dict)
    group: bool = False
    excluded: Array | None = None


@dataclass(frozen=True)
class ScoredPicture:
    """One gallery picture in an answer.

    ``score`` fuses ``text_score`` and ``image_score``, minus ``hubness``
    (:mod:`components.index.gallery`), which is 0 unless the query is a known category. Numbers have
    :data:`DIGITS` decimals. ``source`` is the owner's name for the picture, empty for a picture
    that was drawn. ``count`` is the number of near-duplicates that it stands for.
    """

    rank: int
    id: str
    category: str
    split: str
    source: str
    metadata: dict[str, str]
    score: float
    text_score: float
    image_score: float
    hubness: float
    count: int


@dataclass(frozen=True)
class Ranking:
    """The pictures of one page. ``total`` counts those of all pages. ``confidence`` is how likely
    it is that the gallery, whatever the filter, has what was asked for, and ``relevant`` whether
    that is likely enough."""

    fusion_weight: float
    hits: list[ScoredPicture]
    total: int
    confidence: float
    relevant: bool


class Retriever:
    """Searches a bundle, with the text encoder that it was made with.

    One thread may use the text encoder (where :meth:`embeds` says so, and :meth:`exclusion`) while
    another does all else.
    """

    def __init__(self, bundle: Bundle, encoders: config.Encoders) -> None:
        self.bundle = bundle
        self._templates = encoders.text_templates
        self._of_descriptions = encoders.description_templates
        self._clip = ClipEncoder(encoders.clip, encoders.clip_revision, share=encoders.memory_share)
        words = Path(encoders.clip) / "tokenizer.json"
        self._vocabulary = Vocabulary(words) if words.is_file() else None
        known = bundle.categories["category"]
        self._spelling = Spelling(known)
        self._known = {names.fold(name): row for row, name in enumerate(known)}
        texts = [names.query_text(name) for name in known]
        self._too_long = [self._truncates(text, self._templates) for text in texts]
        self._rows = {path: row for row, path in enumerate(bundle.pictures["path"])}
        self._categories = Known(bundle.text, bundle.aggregated)
        self._index = engines.load(bundle.folder, bundle.gallery.clip, bundle.gallery.vision)
        self._hubness = bundle.gallery.hubness
        self._near_duplicates = NearDuplicates(bundle)
        table = bundle.pictures
        self._filters = Filters(table, known, self._known)
        self.columns = self._filters.columns
        self._values = {str(column): table[column].to_numpy(dtype=object) for column in table}
        self._extra = [column for column in self.columns if column not in _SHOWN]

    def ask(self, query: str) -> Asked:
        """``query`` in the form that can be searched with.

        Raises :class:`QueryError` for a text that is empty or too long.
        """
        words = words_of(query, "query")
        row = self._known.get(names.fold(query))
        return Asked(
            query=query,
            words=words,
            row=row,
            vector=self._vector(words, row),
            unknown=self._unknown(words) if row is None else (),
            truncated=self._truncates(words, self._templates)
            if row is None
            else self._too_long[row],
            suggestion=None if row is not None else self._spelling.suggest(words),
        )

    def ask_by(self, query: str, kind: Kind, description: str | None) -> Asked:
        """``query`` asked by one ``kind``: of a known category, by the bundle's descriptions; or
        by both the query and a ``description`` of its own. What ``query`` says that it excludes is
        taken out of it, unless it is the name of a category.

        Raises :class:`QueryError` for a text that is empty or too long, and where there is no
        description.
        """
        words_of(query, "query")
        wanted, excluded = split(query, self._known)
        asked = replace(self.ask(wanted), query=query, excluded=excluded)
        if excluded is not None and asked.suggestion is not None:
            asked = replace(asked, suggestion=f"{asked.suggestion} without {excluded}")
        if description is not None:
            return self._with(asked, description)
        if kind == CLASS:
            return asked
        known = None if asked.row is None else known_query(self.bundle, asked.row, kind)
        if asked.row is None or known is None:
            raise QueryError(
                f"the bundle has no description of {query[:100]!r}: give one as `description`"
            )
        texts = tuple(texts_of(self.bundle, asked.row))
        return replace(asked, vector=known.text, kind=kind, descriptions=texts)

    def embeds(self, query: str, description: str | None) -> bool:
        """Whether :meth:`ask_by` needs the text encoder: not for the mere name of a category."""
        return (
            description is not None or names.fold(split(query, self._known)[0]) not in self._known
        )

    def exclusion(self, texts: Sequence[str]) -> Array:
        """The text embedding (d_clip,) of what the pictures must not show. Raises
        :class:`QueryError` for a text that is empty or too long."""
        words = " ".join(words_of(text, "text to `exclude`") for text in texts)
        return self._vector(words, self._known.get(names.fold(words)))

    def _vector(self, words: str, row: int | None) -> Array:
        """The text embedding (d_clip,): that of the category ``row``, if the words name one."""
        return self.embed(words) if row is None else self.bundle.text[row]

    def _with(self, asked: Asked, description: str) -> Asked:
        """``asked`` together with a ``description`` of what is meant."""
        words = words_of(description, "description")
        vector = self._clip.describe([words], self._of_descriptions)[0]
        return replace(
            asked,
            vector=mean_text(asked.vector, vector),
            unknown=(*asked.unknown, *self._unknown(words)),
            truncated=asked.truncated or self._truncates(words, self._of_descriptions),
            kind=BOTH,
            descriptions=(words,),
            own=True,
        )

    def _unknown(self, words: str) -> tuple[str, ...]:
        return tuple(self._vocabulary.unknown(words)) if self._vocabulary else ()

    def _truncates(self, words: str, templates: Sequence[str]) -> bool:
        return self._clip.truncates(names.fill(max(templates, key=len), words))

    def embed(self, words: str) -> Array:
        """The text embedding (d_clip,) of ``words``."""
        vector: Array = self._clip.describe([words], self._templates)[0]
        return vector

    def aggregate(self, vision: Array) -> tuple[Array, list[float]]:
        """The aggregated embedding (d_vision,) of K imagined pictures, and the share of each.

        ``vision`` (K, d_vision) has rows of length one; K is at least 1.
        """
        features = torch.from_numpy(vision)
        model = self.bundle.aggregator
        with torch.inference_mode():
            aggregated: Array = model(features[None])[0].numpy()
        return aggregated, [round(float(s), DIGITS) for s in model.shares(features)]

    def rank(self, asked: Asked, aggregated: Array | None, how: How) -> Ranking:
        """The best pictures for a text. Without ``aggregated`` (d_vision,) they are ranked by text
        alone. Raises :class:`QueryError` for a filter or a page that there is not.
        """
        gallery = self.bundle.gallery
        if aggregated is None:
            aggregated = np.zeros(gallery.vision.shape[1], dtype=np.float32)
        weight = self.bundle.aggregator.fusion_weight
        weight = weight if how.fusion_weight is None else how.fusion_weight
        excluded = None if how.excluded is None else beyond(how.excluded, asked.vector)[None]
        questions = Questions(asked.vector[None], aggregated[None], weight, excluded, STRENGTH)
        hubness = self._hubness if asked.row is not None else None
        hits, total, found = self._page(questions, how, hubness=hubness, streams=BEST)
        assert found.streams is not None
        measured = features_of(asked.vector, found.streams, gallery, self._categories, asked.row)
        confidence, relevant = self.bundle.confidence(measured)
        return Ranking(weight, hits, total, confidence, relevant)

    def similar(
        self, vector: Array, how: How, but: int | None = None
    ) -> tuple[list[ScoredPicture], int]:
        """The pictures most similar to ``vector`` (d_vision,), without that of the row ``but``, and
        how many all pages have."""
        nothing = np.zeros((1, self.bundle.gallery.clip.shape[1]), dtype=np.float32)
        hits, total, _ = self._page(Questions(nothing, vector[None], 1.0), how, but)
        return hits, total

    def row_of(self, path: str) -> int:
        """The row of a picture of the gallery. Raises :class:`QueryError` if there is none."""
        if path not in self._rows:
            raise QueryError(f"the gallery has no picture {path[:100]!r}: give the id of a hit")
        return self._rows[path]

    def _page(
        self,
        asked: Questions,
        how: How,
        but: int | None = None,
        hubness: Hubness | None = None,
        streams: int = 0,
    ) -> tuple[list[ScoredPicture], int, Found]:
        """One page of one query, how many hits all pages have, and what was found. These are the
        pictures that pass the filter, or the groups among the best of them."""
        among = self._filters.rows(how.filter, but)
        last = how.offset + how.k
        if how.group and how.offset >= DEEPEST:
            raise QueryError(f"with group, offset is less than {DEEPEST}, not {how.offset}")
        deep = DEEPEST if how.group else last
        (found,) = self._index.search(asked, deep, among, hubness, streams)
        rows = found.rows.tolist()
        if how.group:
            groups = self._near_duplicates.groups(rows)
            total = len(groups)
        else:
            groups = [Group(row, 1) for row in rows]
            total = len(self.bundle.pictures) if among is None else len(among)
        place = {row: index for index, row in enumerate(rows)}
        page = list(enumerate(groups, 1))[how.offset : last]
        hits = [self._hit(rank, group, found, place[group.row]) for rank, group in page]
        return hits, total, found

    def _hit(self, rank: int, group: Group, found: Found, index: int) -> ScoredPicture:
        row, values = group.row, self._values
        parts = (found.fused, found.text, found.image, found.hubness)
        score, text_score, image_score, hubness = (_clean(part[index]) for part in parts)
        return ScoredPicture(
            rank=rank,
            id=values["path"][row],
            category=values["category"][row],
            split=values["split"][row],
            source=values["source"][row],
            metadata={column: values[column][row] for column in self._extra},
            score=score,
            text_score=text_score,
            image_score=image_score,
            hubness=hubness,
            count=group.count,
        )


def _clean(score: np.floating) -> float:
    """The score with the digits that float32 holds: 0.6 instead of 0.6000000238418579."""
    return round(float(score), DIGITS)
