"""`POST /feedback`: what people say of the pictures in an answer, appended to a log."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from bento.bodies import json_body
from bento.guard import refusal
from bento.metrics import metrics
from bento.worker import Worker
from components.api.messages import Feedback
from components.imagining.recipes import is_address


async def feedback(request: Request, worker: Worker) -> Response:
    """Take one mark, where there is a log for it. Raises :class:`QueryError` for one of no
    picture."""
    mark = await json_body(request, Feedback)
    if not worker.journal.on:
        return refusal(404, "feedback is off: this service keeps no log (serve.journal_days is 0)")
    imagined = is_address(mark.id)
    if not imagined:
        worker.retriever.row_of(mark.id)
    await worker.beside(worker.journal.judged, mark, worker.served.bundle.version)
    metrics().feedback("imagined" if imagined else "hit", mark.right)
    return Response(status_code=204)
