"""Reads the JSON body of a request whose route BentoML does not parse."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from components.errors import QueryError

M = TypeVar("M", bound=BaseModel)


async def json_body(request: Request, model: type[M]) -> M:
    """The body as a ``model``. Raises :class:`QueryError` that names what is wrong."""
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        wrong = (
            f"{'.'.join(map(str, e['loc'])) or 'the body'}: {e['msg']}" for e in error.errors()
        )
        raise QueryError("; ".join(wrong)) from None
