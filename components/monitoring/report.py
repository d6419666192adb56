"""What the monitor found: the figures, the days behind them, and the sentences for people."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

from components.monitoring.figures import Figure
from components.monitoring.tally import Day


@dataclass(frozen=True)
class Report:
    """The result of one look at the service.

    ``days`` has each day of the window, with or without queries. ``nothing`` are the most frequent
    queries that found nothing relevant, with how often. ``strangers`` are queries that are unlike
    every training text, the most frequent first. ``nearest`` is a histogram of the queries over
    their similarity to the nearest training text, as (lower edge, share), and ``cut`` the value
    below which a query is a stranger. ``strange_by_day`` is the strangers' share of each day.
    """

    time: datetime
    since: date
    champion: str
    figures: Sequence[Figure]
    days: dict[date, Day]
    nothing: Sequence[tuple[str, int]] = ()
    strangers: Sequence[tuple[str, int]] = ()
    nearest: Sequence[tuple[float, float]] = ()
    cut: float | None = None
    strange_by_day: Mapping[date, float] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def alarms(self) -> list[str]:
        """A sentence for each figure that is beyond its limit."""
        return [figure.sentence for figure in self.figures if figure.alarming]

    def changes(self, before: Collection[str]) -> dict[str, list[str]]:
        """A sentence for each alarm beside ``before``, the names of the figures that alarmed at the
        last look: those that are ``new``, that still ``stand``, and that are ``resolved``."""
        now = [figure for figure in self.figures if figure.alarming]
        gone = [one for one in self.figures if one.name in before and not one.alarming]
        return {
            "new": [one.sentence for one in now if one.name not in before],
            "standing": [one.sentence for one in now if one.name in before],
            "resolved": [one.relief for one in gone],
        }

    @property
    def retrain(self) -> bool:
        """Whether an alarm asks for a retraining."""
        return any(figure.alarming and figure.retrain for figure in self.figures)

    @property
    def summary(self) -> str:
        """The result in one sentence."""
        if not self.alarms:
            open_ones = sum(figure.state == "open" for figure in self.figures)
            more = f"; nothing can be concluded on {open_ones} figures" if open_ones else ""
            return f"no alarm{more}"
        count = len(self.alarms)
        return f"{count} alarm{'s' if count > 1 else ''}" + (
            ", and a retraining is asked for" if self.retrain else ""
        )

    def metrics(self) -> dict[str, float]:
        """The figures that have a value, and the number of alarms, for MLflow."""
        found = {one.name: float(one.value) for one in self.figures if one.value is not None}
        return found | {"alarms": float(len(self.alarms))}

    def as_json(self) -> dict[str, Any]:
        """Everything but the texts of queries, which only the page has."""
        return {
            "time": self.time.isoformat(timespec="seconds"),
            "since": str(self.since),
            "champion": self.champion,
            "summary": self.summary,
            "alarms": self.alarms,
            "retrain": self.retrain,
            "notes": list(self.notes),
            "figures": [
                asdict(one) | {"state": one.state, "concluded": one.concluded}
                for one in self.figures
            ],
            "days": {str(day): one.as_json() for day, one in self.days.items()},
            "strangers": {str(day): share for day, share in self.strange_by_day.items()},
        }
