"""The settings to compare: what `eidolon tune` is asked for, checked like params.yaml."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from components import config
from components.errors import EidolonError

T = TypeVar("T", int, float)

_MOST = 1000  # points of a grid; more would be a slip of the hand


@dataclass(frozen=True)
class Grid:
    """Every combination of these is a point. Each is ascending, without repetitions."""

    counts: tuple[int, ...]
    steps: tuple[int, ...]
    guidance: tuple[float, ...]

    def settings(self, params: config.Generator) -> list[config.Generator]:
        """``params`` with each pair of steps and guidance, and with the largest K: the pictures of
        a smaller K are the first of these."""
        return [
            params.model_copy(
                update={
                    "images_per_category": max(self.counts),
                    "steps": steps,
                    "guidance": guidance,
                }
            )
            for steps in self.steps
            for guidance in self.guidance
        ]


def asked(
    params: config.Params,
    counts: str | None = None,
    steps: str | None = None,
    guidance: str | None = None,
) -> Grid:
    """The grid of three lists such as "2,4,8".

    A list that is not given is made from params.yaml: a quarter, a half, once and twice its K and
    its steps; no guidance, its guidance and twice that. What is in params.yaml is always a point of
    it. Raises :class:`EidolonError` for a value that params.yaml could not have.
    """
    now, least = params.generator, params.validation.min_accepted
    grid = Grid(
        _values("counts", "images_per_category", int, counts, params)
        or _around(now.images_per_category, least, 64),
        _values("steps", "steps", int, steps, params) or _around(now.steps, 1, 200),
        _values("guidance", "guidance", float, guidance, params)
        or tuple(sorted({0.0, now.guidance, min(2 * now.guidance, 50.0)})),
    )
    if grid.counts[0] < least:
        raise EidolonError(
            f"--counts {grid.counts[0]} is less than validate.min_accepted {least}, so every"
            " category would be left to text alone: give larger counts"
        )
    points = len(grid.counts) * len(grid.steps) * len(grid.guidance)
    if points > _MOST:
        raise EidolonError(f"{points} points are more than {_MOST}: give shorter lists")
    return grid


def _around(value: int, least: int, most: int) -> tuple[int, ...]:
    near = (value // 4, value // 2, value, 2 * value)
    return tuple(sorted({min(max(one, least), most) for one in near}))


def _values(
    option: str, field: str, kind: Callable[[str], T], given: str | None, params: config.Params
) -> tuple[T, ...]:
    """The values of a list, or none where nothing is ``given``."""
    if given is None:
        return ()
    found = []
    for text in given.split(","):
        try:
            value = kind(text)
        except ValueError:
            raise EidolonError(
                f"--{option} {given!r} is no list of numbers: write it like 2,4,8"
            ) from None
        _check(option, field, value, params.generator)
        found.append(value)
    return tuple(sorted(set(found)))


def _check(option: str, field: str, value: float, params: config.Generator) -> None:
    try:
        config.Generator.model_validate(params.model_dump() | {field: value})
    except ValidationError as error:
        why = error.errors()[0]["msg"].removeprefix("Input should be ")
        raise EidolonError(f"--{option} {value:g} must be {why}: give another value") from None


def of(values: Sequence[float]) -> str:
    """A list as it is given on the command line."""
    return ",".join(f"{value:g}" for value in values)
