"""Which point to use within a budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from components.errors import EidolonError
from components.tuning.points import Point


@dataclass(frozen=True)
class Budget:
    """What may be spent: the most ``seconds`` for a query that nobody asked before, the most
    ``category_seconds`` for a category, None for no limit; and the mAP that may be lost,
    ``margin``."""

    margin: float
    seconds: float | None = None
    category_seconds: float | None = None

    def __post_init__(self) -> None:
        """Raise :class:`EidolonError` for a number that is no time or no difference in mAP."""
        for name, value in vars(self).items():
            most = 1 if name == "margin" else math.inf
            if value is not None and not (0 < value <= most):
                bound = " and at most 1" if name == "margin" else ""
                raise EidolonError(
                    f"--{name.replace('_', '-')} {value:g} must be more than 0{bound}: give another"
                    " value"
                )

    def allows(self, point: Point) -> bool:
        """Whether ``point`` costs at most this."""
        pairs = (
            (self.seconds, point.cost.query_seconds),
            (self.category_seconds, point.cost.category_seconds),
        )
        return all(most is None or cost <= most for most, cost in pairs)

    @property
    def words(self) -> str:
        """The limits in words; empty for none."""
        pairs = ((self.seconds, "query"), (self.category_seconds, "category"))
        return " and ".join(f"{most:g} s a {what}" for most, what in pairs if most is not None)


@dataclass(frozen=True)
class Choice:
    """The ``point`` to use, and the ``best`` within the budget. ``most_lost`` bounds, at 97.5 %,
    the mAP that the point may lose against the best; None if there are too few categories."""

    point: Point
    best: Point
    most_lost: float | None


def choose(points: Sequence[Point], budget: Budget, least_accepted: float) -> Choice:
    """The cheapest of those points within ``budget`` whose mAP is shown to be less than the margin
    below that of the best of them: by the upper end of the 95 % interval of the difference, paired
    by category.

    Cheapest is by the seconds of a query, then by bytes. With too few categories for an interval
    the best point is chosen. Points of which `validate` accepts less than ``least_accepted`` of the
    pictures, a share, do not count: it would stop the run.

    Raises :class:`EidolonError` when no point is left.
    """
    sound = [point for point in points if point.accepted >= least_accepted]
    if not sound:
        most = max(points, key=lambda point: point.accepted)
        raise EidolonError(
            f"`validate` accepts at most {most.accepted:.0%} of the pictures, with {most.name}, and"
            f" stops a run below {least_accepted:.0%}: give more --steps, another --guidance, or"
            " set its limits by `eidolon thresholds`"
        )
    affordable = [point for point in sound if budget.allows(point)]
    if not affordable:
        least = min(sound, key=_price)
        raise EidolonError(
            f"no point is within {budget.words}: the cheapest, {least.name}, takes"
            f" {least.cost.query_seconds:.3g} s a query and {least.cost.category_seconds:.3g} s a"
            " category: allow more, or give smaller --counts or --steps"
        )
    best = min(affordable, key=lambda point: (-point.map.mean, *_price(point)))
    equal = [point for point in affordable if _is_as_good(point, best, budget.margin)]
    point = min(equal, key=_price)
    interval = (best.map - point.map).interval()
    return Choice(point, best, None if interval is None else max(0.0, interval[1]))


def _price(point: Point) -> tuple[float, int]:
    return point.cost.query_seconds, point.cost.category_bytes


def _is_as_good(point: Point, best: Point, margin: float) -> bool:
    interval = (best.map - point.map).interval()
    if point is best or interval is None:
        return point.map.mean == best.map.mean
    return interval[1] <= margin


def sentence(choice: Choice, budget: Budget) -> str:
    """Why this point, in one sentence."""
    point, best = choice.point, choice.best
    where = f" within {budget.words}" if budget.words else ""
    cost = f"{point.cost.query_seconds:.3g} s a query"
    if choice.most_lost is None:
        return (
            f"{point.name} ({cost}) is chosen: it has the best mAP{where}, {best.map.mean:.4f}, and"
            " there are too few validation categories to compare a cheaper point with it"
        )
    shown = f"shown to be less than {budget.margin:g} below"
    if point is best:
        return (
            f"{point.name} ({cost}) is chosen: it has the best mAP{where}, {best.map.mean:.4f}, and"
            f" no cheaper point is {shown} it"
        )
    return (
        f"{point.name} ({cost}) is chosen: it is the cheapest of the points{where} whose mAP is"
        f" {shown} the best, {best.map.mean:.4f} by {best.name}"
        f" ({best.cost.query_seconds:.3g} s a query); with mAP {point.map.mean:.4f} it may lose up"
        f" to {choice.most_lost:.4f} against it"
    )
