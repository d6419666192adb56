"""Reads the JSON body of a request whose route BentoML does not parse."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from components.api.messages import what_is_wrong
from components.errors import QueryError

M = TypeVar("M", bound=BaseModel)


async def json_body(request: Request, model: type[M]) -> M:
    """The body as a ``model``. Raises :class:`QueryError` that names what is wrong."""
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        raise QueryError(what_is_wrong(error.errors())) from None
