"""`POST /feedback`: what people say of the pictures in an answer, appended to a log."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response

from bento.bodies import json_body
from bento.metrics import metrics
from bento.worker import Worker
from components.api.messages import Feedback

ADDRESS = re.compile("[0-9a-f]{64}")
"""The id of an imagined picture."""


class Marks:
    """Answers the route for one worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def __call__(self, request: Request) -> Response:
        """Take one mark. Raises :class:`QueryError` for one of no picture."""
        mark = await json_body(request, Feedback)
        imagined = ADDRESS.fullmatch(mark.id) is not None
        if not imagined:
            self._worker.retriever.row_of(mark.id)
        version = self._worker.served.bundle.version
        await self._worker.beside(self._worker.journal.judged, mark, version)
        metrics().feedback("imagined" if imagined else "hit", mark.right)
        return Response(status_code=204)
