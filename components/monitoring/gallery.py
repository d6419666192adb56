"""The figures of today's gallery against the champion's, and of their ages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from components import config
from components.monitoring import drift
from components.monitoring.figures import Figure
from components.monitoring.seen import Seen

MOST = 2000  # pictures of each gallery that are compared


def of_gallery(limits: config.Monitor, seen: Seen) -> Iterator[Figure]:
    """How far today's gallery is from the champion's, in both spaces and in its categories."""
    today, before = seen.features, seen.bundle
    for space in ("clip", "vision"):
        found, note = None, "there are no features of today's gallery"
        if today is not None:
            old, new = getattr(before.gallery, space), getattr(today, f"gallery_{space}")
            note = "the encoder is another one than the champion's"
            if space in seen.same:
                found, note = drift.moved(old, new, MOST, limits.seed), ""
        yield Figure(
            f"gallery_{space}_auc",
            f"the AUC of a classifier of today's gallery against the champion's ({space})",
            None if found is None else found.auc,
            "monitor.max_gallery_auc",
            limits.max_gallery_auc,
            kind="number",
            remedy="retrain, so that the model knows the new pictures",
            retrain=True,
            note=note,
        )
        yield Figure(
            f"gallery_{space}_distance",
            f"the distance of the galleries' means in standard deviations ({space})",
            None if found is None else found.distance,
            kind="number",
            note=note,
        )
    known = set(before.categories["category"])
    now = set() if today is None else set(today.categories["category"])
    changed = None if today is None else len(known ^ now) / max(len(known), 1)
    yield Figure(
        "categories",
        "the share of categories that are new or gone since the champion",
        changed,
        "monitor.max_category_change",
        limits.max_category_change,
        retrain=True,
        remedy=f"{len(now - known)} are new and {len(known - now)} are gone: retrain, so that they"
        " are searched",
    )


def ages(limits: config.Monitor, seen: Seen) -> Iterator[Figure]:
    def days(then: datetime | None) -> float | None:
        return None if then is None else (seen.now - then).total_seconds() / 86_400

    yield Figure(
        "champion_days",
        "the age of the champion",
        days(seen.made),
        "monitor.max_champion_days",
        limits.max_champion_days,
        kind="days",
        remedy="retrain with new pictures or other parameters, or raise the limit: the same data"
        " gives the same version",
    )
    yield Figure(
        "data_days",
        "the age of the newest pictures",
        days(seen.newest),
        "monitor.max_data_days",
        limits.max_data_days,
        kind="days",
        remedy="add new pictures to the inbox, or raise the limit if there are none",
    )
