"""Requests and answers of the API. Their types validate them and document them."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from components.serving.retriever import Answer

MAX_HITS = 100


class Query(BaseModel):
    """A search: a text, and how many pictures to return."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"query": "red striped star", "k": 20}}
    )

    query: Annotated[
        str,
        Field(
            strict=True,
            description="any text; a category of the bundle is answered at once",
        ),
    ]
    k: Annotated[
        int, Field(strict=True, ge=1, le=MAX_HITS, description="how many pictures to return")
    ] = 20


class Hit(BaseModel):
    """One gallery picture, with its fused score and the parts of that."""

    rank: int
    id: str
    category: str
    source: str = Field(
        default="",
        description="the name by which the picture's owner knows the file; empty for a drawn one",
    )
    score: float
    text_score: float
    image_score: float
    hubness: float = Field(
        description="how near the picture is to the queries of all known categories: subtracted,"
        " and 0 where the query is not one of them"
    )
    picture: str = Field(description="where the picture is, relative to this server")


class Imagined(BaseModel):
    """One picture that the generator imagined for the query."""

    picture: str = Field(description="a path on this server, or a data URI for new text")


class BundleName(BaseModel):
    """The bundle that answered."""

    version: int
    digest: str


class Result(BaseModel):
    """The ranked pictures, the imagined pictures behind them, and the models that made them."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    query: str
    known: bool = Field(description="whether the query is a category of the bundle")
    fusion_weight: float = Field(
        validation_alias="lambda",
        serialization_alias="lambda",
        description="the image score's share of the fused score",
    )
    bundle: BundleName
    models: dict[str, str]
    seeds: list[int]
    hits: list[Hit]
    imagined: list[Imagined]


class Failure(BaseModel):
    """Why there is no answer."""

    error: str = Field(description="one sentence")


def picture_url(path: str, digest: str) -> str:
    """The address of one of the bundle's pictures. It holds the digest, so it can be cached for
    ever."""
    return f"/picture/{quote(path)}?v={digest}"


def result(answer: Answer, bundle: BundleName, models: dict[str, str]) -> Result:
    """``answer`` in the form of the API."""
    return Result(
        query=answer.query,
        known=answer.known,
        fusion_weight=answer.fusion_weight,
        bundle=bundle,
        models=models,
        seeds=answer.seeds,
        hits=[
            Hit(**asdict(hit), picture=picture_url(hit.id, bundle.digest)) for hit in answer.hits
        ],
        imagined=[
            Imagined(
                picture=picture_url(p, bundle.digest)
                if isinstance(p, str)
                else f"data:image/png;base64,{base64.b64encode(p).decode()}"
            )
            for p in answer.imagined
        ],
    )
