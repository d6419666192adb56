"""What a failed search tells its caller: the status, the sentence, and when to ask again."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from bentoml.exceptions import BentoMLException
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bento.guard import OneMessage
from bento.refusals import refusals
from components import config
from components.errors import EidolonError, NoRoomError, QueryError, TransientError
from components.index.qdrant import NoIndexError
from tests.toy import ROOT


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (QueryError("a query has 1 to 300 characters"), 400, "a query has 1 to 300 characters"),
        (NoRoomError("the accelerator's memory is full"), 503, "no room for this search now"),
        (TransientError("the accelerator's memory is full"), 503, "no room for this search now"),
        (NoIndexError("the index server does not answer"), 503, "index server does not answer"),
        (MemoryError(), 503, "no room for this search now"),
        (EidolonError("/srv/models/clip is damaged"), 500, "the log of the service says why"),
    ],
)
def test_a_fault_of_the_service_is_not_the_callers(
    error: Exception, status: int, sentence: str
) -> None:
    with pytest.raises(BentoMLException, match=sentence) as refused, refusals():
        raise error
    assert refused.value.error_code == status


def test_only_temporary_errors_say_when_to_ask_again() -> None:
    def answer(request: Request) -> JSONResponse:
        return JSONResponse({"error": "no"}, status_code=request.path_params["status"])

    app = OneMessage(Starlette(routes=[Route("/{status:int}", answer)]))

    async def ask(status: int) -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get(f"/{status}")

    found = {status: asyncio.run(ask(status)) for status in (200, 400, 429, 500, 503)}
    assert {s for s, reply in found.items() if "retry-after" in reply.headers} == {429, 503}
    assert all(int(found[s].headers["retry-after"]) > 0 for s in (429, 503))
    assert found[503].json() == {"error": "no"}


def test_the_reference_and_the_docs_name_the_status() -> None:
    from bento.reference import openapi

    assert "503" in openapi(1, config.Serve(), "x.png")["paths"]["/search"]["post"]["responses"]
    assert "\n| 503 |" in (ROOT / "docs" / "api.md").read_text()
