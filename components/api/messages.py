"""Requests and answers of the search API. The service, its OpenAPI text and the client share them.

Their types validate what comes in and document what goes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from components.kinds import Kind
from components.names import MAX_TEXT

MAX_HITS = 1000
MAX_OFFSET = 100_000
MAX_IMAGES = 16
MAX_VALUES = 100  # values of one filter, and pictures to drop
MAX_LISTED = 2000  # characters of a name, an id or a filter's value

Text = Annotated[
    str, Field(strict=True, max_length=10_000, json_schema_extra={"maxLength": MAX_TEXT})
]
Listed = Annotated[str, Field(strict=True, min_length=1, max_length=MAX_LISTED)]
Count = Annotated[
    int, Field(strict=True, ge=1, le=MAX_HITS, description="how many pictures to return")
]
Offset = Annotated[
    int,
    Field(
        strict=True,
        ge=0,
        le=MAX_OFFSET,
        description="how many of the best pictures to pass over; the order is stable",
    ),
]
Filter = Annotated[
    dict[Listed, Listed | Annotated[list[Listed], Field(min_length=1, max_length=MAX_VALUES)]],
    Field(
        max_length=10,
        description="only pictures whose column has this value, or one of these: `category`,"
        " `split`, `source` or any other column of `/bundle`'s `columns`",
    ),
]
TOTAL = (
    "how many hits there are over all pages: the pictures that pass the filter, or with `group`,"
    " the groups among the best 2,000 of them"
)
Mode = Literal["auto", "text", "image", "fused"]
Degraded = Literal["saturated", "slow", "unavailable", "failed", "unfit", "disagreeing"]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Query(_Message):
    """A search by text."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"query": "red striped star", "k": 20}}
    )

    query: Annotated[
        Text, Field(description="any text; a category of the bundle is answered at once")
    ]
    kind: Kind = Field(
        default="class",
        description="how a category of the bundle is asked for: by its name, by the bundle's"
        " descriptions of it, or by both",
    )
    description: Text | None = Field(
        default=None,
        description="what is meant, in other words: the query and this are searched for together",
    )
    k: Count = 20
    offset: Offset = 0
    mode: Mode = Field(
        default="auto",
        description="`fused`: by text and imagined pictures; `text`: by text alone, nothing is"
        " imagined; `image`: by imagined pictures alone; `auto`: `fused`, or `text` for a text"
        " of which the text encoder knows no word",
    )
    weight: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="λ, the imagined pictures' share; the bundle's unless given"
    )
    images: Annotated[int, Field(strict=True, ge=1, le=MAX_IMAGES)] | None = Field(
        default=None, description="how many pictures to imagine; as many as for a category"
    )
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**31)] | None = Field(
        default=None, description="another seed gives other imagined pictures"
    )
    drop: Annotated[list[Listed], Field(max_length=MAX_VALUES)] = Field(
        default=[], description="ids of imagined pictures not to use"
    )
    exclude: Text | None = Field(
        default=None, description="what the pictures must not show: a text that is subtracted"
    )
    filter: Filter = {}
    group: bool = Field(
        default=False, description="show near-duplicates as one hit, with their count"
    )


class Similar(_Message):
    """A search by one of the gallery's pictures."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"id": "gallery/red_striped_star/0004.png", "k": 20}},
    )

    id: Listed = Field(description="a hit's id")
    k: Count = 20
    offset: Offset = 0
    filter: Filter = {}
    group: bool = False


class Feedback(_Message):
    """What a person says of one picture in an answer."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "request": "5f0c4cf0e5f14e6f",
                "id": "gallery/red_striped_star/0004.png",
                "right": True,
            }
        },
    )

    request: Annotated[str, Field(pattern="^[A-Za-z0-9._-]{1,64}$")] = Field(
        description="the answer's `request`"
    )
    id: Listed = Field(description="the id of a hit or of an imagined picture in that answer")
    right: bool = Field(strict=True, description="whether the picture is what was asked for")


class Hit(BaseModel):
    """One gallery picture, with its fused score and the parts of that."""

    rank: int = Field(description="from 1, over all pages")
    id: str
    category: str
    split: str
    source: str = Field(
        description="the name by which the picture's owner knows the file; empty for a drawn one"
    )
    metadata: dict[str, str] = Field(description="the other columns of the gallery")
    score: float
    text_score: float
    image_score: float
    hubness: float = Field(
        description="how near the picture is to the queries of all known categories: subtracted,"
        " and 0 where the query is not one of them"
    )
    picture: str = Field(description="the thumbnail's address, relative to the page")
    count: int = Field(description="near-duplicates that this hit stands for, itself included")


class Imagined(BaseModel):
    """One picture that the generator imagined for the query."""

    id: str
    picture: str = Field(description="the picture's address, relative to the page")
    seed: int
    weight: float | None = Field(
        description="its share in the attention of the aggregator; null if it was not used"
    )
    agreement: float | None = Field(
        description="how much nearer the picture is to its text than to the categories' names, in"
        " standard deviations, as CLIP sees it; null if the picture cannot be encoded"
    )
    kept: bool = Field(description="whether the picture was used")
    why: str | None = Field(description="why it was not used")


class Missing(BaseModel):
    """Imagined pictures that could not be had."""

    count: int = Field(description="how many of those that were asked for")
    why: Degraded


class BundleName(BaseModel):
    """The bundle that answered."""

    version: int
    digest: str


class Timings(BaseModel):
    """Milliseconds of each step; `imagine` includes waiting for the generator."""

    text: float = 0
    imagine: float = 0
    rank: float = 0
    total: float = 0


class Answer(BaseModel):
    """The ranked pictures, the imagined pictures behind them, and the models that made them."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    request: str = Field(description="the id of this answer, for feedback and logs")
    query: str
    known: bool = Field(description="whether the query is a category of the bundle")
    kind: Kind = Field(
        default="class", description="by what it was asked for; `class` for any single text"
    )
    excluded: str | None = Field(
        default=None,
        description="what the pictures must not show, as the query itself says: “star without"
        " stripes”",
    )
    mode: Mode = Field(description="how it was ranked: `text`, `image` or `fused`")
    fusion_weight: float = Field(
        validation_alias="lambda",
        serialization_alias="lambda",
        description="λ, the image score's share of the fused score",
    )
    hits: list[Hit]
    total: int = Field(description=TOTAL)
    imagined: list[Imagined]
    confidence: float = Field(description="from 0 to 1: that the gallery has what was asked for")
    relevant: bool = Field(description="false: nothing in the gallery seems to fit")
    unknown_words: list[str] = Field(description="words that the text encoder was not trained on")
    suggestion: str | None = Field(
        default=None,
        description="the query in words of the categories' names, where some of its own are nearly"
        " such words",
    )
    truncated: bool = Field(description="whether the text was too long for the text encoder")
    degraded: Degraded | None = Field(description="why it was ranked by text alone, if it was")
    missing: Missing | None = Field(
        default=None,
        description="imagined pictures that could not be had, if any: those not drawn, and those"
        " unfit and not drawn again",
    )
    timings: Timings
    bundle: BundleName
    models: dict[str, str]
    seeds: list[int]


class SimilarAnswer(BaseModel):
    """The pictures most similar to one picture, as the vision encoder sees them."""

    request: str
    hits: list[Hit]
    total: int = Field(description=TOTAL)
    bundle: BundleName
    models: dict[str, str]


class Failure(BaseModel):
    """Why there is no answer."""

    error: str = Field(description="one sentence")


class Event(BaseModel):
    """One server-sent event of a streamed search, as the client gives it."""

    event: Literal["text", "imagined", "fused"]
    data: dict[str, Any]


def what_is_wrong(errors: Iterable[Mapping[str, Any]]) -> str:
    """The errors of pydantic in one sentence: each with the place in the body that it is about."""
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the body'}: {e['msg']}" for e in errors)
