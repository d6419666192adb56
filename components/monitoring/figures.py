"""A watched figure with its limit, and the sentence that tells somebody when it is beyond."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["share", "seconds", "days", "number"]


@dataclass(frozen=True)
class Figure:
    """What was measured, and what is allowed.

    ``label`` is what the figure is, in words that continue a sentence. ``setting`` is the key of
    ``limit`` in params.yaml. ``low`` and ``high`` are a 95 % interval, where there is one.
    ``count`` is how many cases the figure comes from: with fewer than ``least`` nothing is
    concluded. ``remedy`` says what to do, and ``retrain`` whether retraining is a part of that.
    ``note`` says why there is no ``value``.
    """

    name: str
    label: str
    value: float | None
    setting: str = ""
    limit: float | None = None
    worse: Literal["above", "below"] = "above"
    kind: Kind = "share"
    low: float | None = None
    high: float | None = None
    count: int | None = None
    least: int = 0
    remedy: str = ""
    retrain: bool = False
    note: str = ""

    @property
    def concluded(self) -> bool:
        """Whether there is enough to judge the figure by."""
        return self.value is not None and (self.count is None or self.count >= self.least)

    @property
    def alarming(self) -> bool:
        """Whether the figure is beyond its limit, and its whole interval too."""
        if self.value is None or self.limit is None or not self.concluded:
            return False
        if self.worse == "above":
            return min(self.value, self.value if self.low is None else self.low) > self.limit
        return max(self.value, self.value if self.high is None else self.high) < self.limit

    @property
    def state(self) -> Literal["alarm", "fine", "shown", "open"]:
        """``open``: nothing can be concluded; ``shown``: the figure has no limit."""
        if not self.concluded:
            return "open"
        if self.limit is None:
            return "shown"
        return "alarm" if self.alarming else "fine"

    def written(self, value: float | None) -> str:
        """A value of this figure, for people."""
        if value is None:
            return "–"
        match self.kind:
            case "share":
                return f"{100 * value:.1f} %"
            case "seconds":
                return f"{value:.2f} s"
            case "days":
                return f"{value:.0f} days"
            case _:
                return f"{value:,.0f}" if float(value).is_integer() else f"{value:.2f}"

    @property
    def interval(self) -> str:
        """The interval, for people; empty without one."""
        if self.low is None or self.high is None:
            return ""
        return f"{self.written(self.low)} to {self.written(self.high)}"

    @property
    def title(self) -> str:
        """The label as the beginning of a sentence."""
        return self.label[0].upper() + self.label[1:]

    @property
    def sentence(self) -> str:
        """The alarm: the figure, its limit, and what to do."""
        return (
            f"{self._measured}, {self.worse} the limit of {self.written(self.limit)}"
            f" (`{self.setting}`): {self.remedy}."
        )

    @property
    def relief(self) -> str:
        """What to say of a figure that alarmed before, and no longer does."""
        if not self.concluded:
            return f"{self.title}: nothing can be concluded now (`{self.setting}`)."
        return f"{self._measured}, and the limit is {self.written(self.limit)} (`{self.setting}`)."

    @property
    def _measured(self) -> str:
        interval = f" ({self.interval})" if self.interval else ""
        return f"{self.title} is {self.written(self.value)}{interval}"
