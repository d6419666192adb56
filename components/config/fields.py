"""The types of the values in params.yaml, each with its bounds, and the base of all sections."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from components import names


class Section(BaseModel):
    """A section of params.yaml: immutable, and without room for an unknown key."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True)


Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Share = Annotated[float, Field(ge=0, le=1)]
PartialShare = Annotated[float, Field(gt=0, lt=1)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]


def _check_amount(amount: int | float) -> int | float:
    number = isinstance(amount, int) and 1 <= amount <= 10_000
    if not (number or (isinstance(amount, float) and 0 < amount < 1)):
        raise ValueError(
            f"{amount} must be a number of pictures, 1 to 10000, or a share of them such as 0.6"
        )
    return amount


Amount = Annotated[
    int | float,
    AfterValidator(_check_amount),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 10_000},
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            ]
        }
    ),
]
"""A number of a category's pictures, or a share of them."""

Template = Annotated[str, Field(min_length=2, max_length=300)]


def check_template(template: str) -> str:
    """``template``, if it has exactly one place for a name. Raises ``ValueError`` otherwise."""
    if template.count(names.PLACE) != 1:
        raise ValueError(f"{template!r} must contain one {names.PLACE}, the place of the name")
    return template


def _check_revision(revision: str) -> str:
    if not re.fullmatch("[0-9a-f]{40}", revision):
        raise ValueError(
            f"{revision!r} must be a commit, 40 hex digits: branches and tags can move"
        )
    return revision


Revision = Annotated[
    str,
    AfterValidator(_check_revision),
    WithJsonSchema({"type": "string", "minLength": 40, "maxLength": 40}),
]
"""A commit of a repository on the model hub."""


def _expand(path: Path) -> Path:
    return Path(os.path.expanduser(path))  # noqa: PTH111 - an unknown user is a name like others


Folder = Annotated[Path, AfterValidator(_expand)]
"""A path that a person writes: a leading `~` is the home."""

MEMORY_SHARE = 0.8
"""The share of an accelerator's free memory that one batch may take, where nothing else is said."""

MemoryShare = Annotated[
    PositiveShare,
    Field(
        description="Share of an accelerator's free memory that one batch may take where batch is"
        " null; it changes only the speed."
    ),
]


def _check_step(step: float) -> float:
    if abs(round(1 / step) * step - 1) > 1e-9:
        raise ValueError(f"{step} must divide 1 into equal parts, as 0.05 or 0.1 does")
    return step


Step = Annotated[float, Field(gt=0, le=1), AfterValidator(_check_step)]
"""The distance between neighbours of a grid from 0 to 1."""
