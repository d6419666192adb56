"""A gallery on a Qdrant server: what is uploaded, when a version is whole, and how it is asked.

All versions with the same encoders share one collection. Each picture is one point, named by its
content. What a version has is marked on the points: a number under the version's name. So a further
version uploads only the pictures that are new, and both can be searched side by side. An alias with
the version's name is made once all its points are there. It is made in one step, and searches go
through it: they see the whole version or none of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from components.errors import EidolonError, TransientError
from components.index.blocks import blocks
from components.index.engine import Rows
from components.index.points import Points
from components.vectors import Array

if TYPE_CHECKING:
    from qdrant_client import QdrantClient
    from qdrant_client.models import Condition, Filter

URL, KEY = "EIDOLON_INDEX_URL", "EIDOLON_INDEX_KEY"
_EMBEDDED = ":memory:"
_ALIAS = "eidolon-"
_SECONDS = 10  # that a call may take
_POINTS = 256  # in one upload
_NAMES = 1000  # in other calls


class NoIndexError(TransientError):
    """The server does not answer, or does not have the version. No search can be answered now."""


class Question(NamedTuple):
    """The ``limit`` points that score best for ``vector`` (d,), among those that are marked with
    ``mark``, or all of the version, and that are named in ``names``, or all."""

    vector: Array
    limit: int
    mark: int | None
    names: Sequence[str] | None


class Answer(NamedTuple):
    """Names and scores of the points, best first."""

    names: list[str]
    scores: list[float]


def is_embedded() -> bool:
    """Whether the server is one within this process, which is empty when the process starts."""
    return os.environ.get(URL) == _EMBEDDED


@cache
def connect() -> QdrantClient:
    """The server that `EIDOLON_INDEX_URL` names, or one within this process for `:memory:`.

    Nothing is sent yet. Raises :class:`EidolonError` without an address, and without the client.
    """
    url = os.environ.get(URL, "")
    if not is_embedded() and not url.startswith(("http://", "https://")):
        raise EidolonError(
            f"index.engine is server: set {URL} to the server's address, such as"
            " http://127.0.0.1:6333"
        )
    try:
        from qdrant_client import QdrantClient
    except ImportError:
        raise EidolonError(
            "index.engine is server: install its client, qdrant-client, the extra `server`"
        ) from None
    if is_embedded():
        return QdrantClient(_EMBEDDED)
    key = os.environ.get(KEY) or None
    return QdrantClient(url=url, api_key=key, timeout=_SECONDS, check_compatibility=False)


class Version:
    """One version of a gallery in the ``collection`` of a server: its points, each with one of
    ``marks`` (N,)."""

    def __init__(self, collection: str, points: Points, marks: npt.NDArray[np.uint8]) -> None:
        self.collection, self.points, self.marks = collection, points, marks
        self.name = points.version(marks)
        self._alias = _ALIAS + self.name

    def is_whole(self) -> bool:
        """Whether the server has all of it. Raises :class:`NoIndexError`."""
        with _answering():
            return any(a.alias_name == self._alias for a in connect().get_aliases().aliases)

    def publish(self, vectors: Callable[[Rows], Array]) -> int:
        """Upload the points that the server lacks, mark all, and make the alias. Returns how many
        were uploaded. A publication that was killed can be repeated.

        ``vectors`` gives the vectors (n, d) of some rows. Raises :class:`NoIndexError`.
        """
        if self.is_whole():
            return 0
        every, uploaded = np.arange(len(self.points)), 0
        with _answering():
            self._prepare(vectors(every[:1]).shape[1])
            for some in blocks(len(every), 1, _NAMES):
                absent = self._absent(every[some])
                for few in blocks(len(absent), 1, _POINTS):
                    self._upload(absent[few], vectors(absent[few]))
                uploaded += len(absent)
                self._mark(np.setdiff1d(every[some], absent))
            self._finish(len(every))
        return uploaded

    def withdraw(self) -> None:
        """Remove the version: its alias first, then the points that no other whole version has,
        then the marks. Does nothing where it is gone already. Raises :class:`NoIndexError`."""
        from qdrant_client import models

        client, marked = connect(), self._marked(None)
        with _answering():
            if not client.collection_exists(self.collection):
                return
            alias = models.DeleteAlias(alias_name=self._alias)
            client.update_collection_aliases([models.DeleteAliasOperation(delete_alias=alias)])
            others = client.get_collection_aliases(self.collection).aliases
            kept = [_marked(one.alias_name.removeprefix(_ALIAS), None) for one in others]
            alone = models.Filter(must=[marked], must_not=kept)
            client.delete(self.collection, models.FilterSelector(filter=alone))
            mine = models.Filter(must=[marked])
            client.delete_payload(self.collection, [self.name], points=mine)

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """The answers in the same order, by full sums over all points that may be found.

        Raises :class:`NoIndexError`.
        """
        from qdrant_client import models

        requests = [
            models.QueryRequest(
                query=one.vector.tolist(),
                limit=one.limit,
                filter=self._filter(one),
                params=models.SearchParams(exact=True),
            )
            for one in questions
        ]
        with _answering():
            found = connect().query_batch_points(self._alias, requests)
        return [
            Answer([str(p.id) for p in one.points], [p.score for p in one.points]) for one in found
        ]

    def _filter(self, one: Question) -> Filter:
        from qdrant_client import models

        wanted: list[Condition] = [self._marked(one.mark)]
        if one.names is not None:
            wanted.append(models.HasIdCondition(has_id=list(one.names)))
        return models.Filter(must=wanted)

    def _marked(self, mark: int | None) -> Condition:
        return _marked(self.name, mark)

    def _prepare(self, dimensions: int) -> None:
        """Make the collection, without a graph: searches are exact, and never use one."""
        from qdrant_client import models

        client = connect()
        if not client.collection_exists(self.collection):
            client.create_collection(
                self.collection,
                vectors_config=models.VectorParams(size=dimensions, distance=models.Distance.DOT),
                hnsw_config=models.HnswConfigDiff(m=0),
            )
        if not is_embedded():
            client.create_payload_index(
                self.collection, self.name, models.PayloadSchemaType.INTEGER
            )

    def _absent(self, rows: Rows) -> Rows:
        """Those of ``rows`` whose points the server lacks."""
        names = self.points.uuids(rows)
        there = connect().retrieve(self.collection, names, with_payload=False)
        known = {str(point.id) for point in there}
        return rows[[name not in known for name in names]]

    def _upload(self, rows: Rows, vectors: Array) -> None:
        from qdrant_client import models

        connect().upsert(
            self.collection,
            models.Batch(
                ids=list(self.points.uuids(rows)),
                vectors=vectors.tolist(),
                payloads=[{self.name: int(mark)} for mark in self.marks[rows]],
            ),
        )

    def _mark(self, rows: Rows) -> None:
        for mark in np.unique(self.marks[rows]).tolist():
            names = self.points.uuids(rows[self.marks[rows] == mark])
            connect().set_payload(self.collection, {self.name: mark}, points=list(names))

    def _finish(self, count: int) -> None:
        from qdrant_client import models

        marked = models.Filter(must=[self._marked(None)])
        found = connect().count(self.collection, count_filter=marked, exact=True).count
        if found != count:
            raise NoIndexError(
                f"the index server has {found:,} of {count:,} pictures after the upload: repeat it"
            )
        alias = models.CreateAlias(collection_name=self.collection, alias_name=self._alias)
        connect().update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])


def _marked(name: str, mark: int | None) -> Condition:
    """The points of the version ``name``, all or those with this ``mark``."""
    from qdrant_client import models

    if mark is None:
        return models.FieldCondition(key=name, range=models.Range(gte=0))
    return models.FieldCondition(key=name, match=models.MatchValue(value=mark))


@contextmanager
def _answering() -> Iterator[None]:
    """Turn errors of the client into sentences."""
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    try:
        yield
    except ResponseHandlingException:
        raise NoIndexError("the index server does not answer: try again in a moment") from None
    except UnexpectedResponse as error:
        if error.status_code in (401, 403):
            raise EidolonError(f"the index server refuses the key: set {KEY}") from None
        raise NoIndexError(
            f"the index server answered with status {error.status_code}: look at its log"
        ) from None
