"""The gate: decides by evidence whether a challenger may become the champion.

All versions are scored on the same pictures, so what is compared is a difference category by
category, never the mAP of two galleries. The categories are resampled (a paired bootstrap), which
gives one-sided 95 % bounds of the mean difference. Four rules decide:

1. On new categories the challenger is better than text alone.
2. It is no worse than the champion: the lower bound of the difference in mAP is above -margin. This
   is the usual test of non-inferiority (Piaggio et al., "Reporting of Noninferiority and
   Equivalence Randomized Trials", JAMA 2012).
3. No slice of the categories or queries is worse: its lower bound is above -slice_margin, or its
   upper bound is not below 0. Where bounds are at most slice_margin apart, this is the same test of
   non-inferiority. Where they are wider, equal versions would fail that test by chance, so only a
   loss that is shown counts.
4. Rules 2 and 3 also hold against the best version so far. Otherwise each promotion could lose a
   margin, and the losses would add up.

Categories are seen in training or new, and queries are named or free text. In the overall figure
each of the four counts the same, however many categories there are of each. Queries by description,
and by both name and description, are slices of their own, where both versions can answer them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from components import config
from components.learning.intervals import Estimate, average, bootstrap

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Outcome = Literal["better", "no worse", "inconclusive", "worse", "too few"]

KINDS = ("named", "free text")
"""How a query is served: as the name of a known category, which is corrected for hubness, or as any
other text, which is not."""

LEVEL = 0.95
"""The confidence of each bound by itself."""


@dataclass(frozen=True)
class Deciding:
    """The C categories that decide. A category is ``new`` (C,), or else seen in training; and it
    has ``ingested`` (C,) pictures, or else those of the dataset alone."""

    new: Bools
    ingested: Bools


@dataclass(frozen=True)
class Precisions:
    """The average precision of one version on the C categories that decide.

    ``fused`` (C, 2) ranks what is served, and ``text`` (C, 2) by text alone, for each of
    :data:`KINDS`. ``described`` has what is served, (C,), for the query kinds that need a
    description; NaN for a category without one.
    """

    fused: Floats
    text: Floats
    described: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class Rival:
    """A version that the challenger is compared with, and what sentences call it."""

    name: str
    precisions: Precisions


@dataclass(frozen=True)
class Difference:
    """The mean of a difference in average precision over some ``categories``, and its one-sided
    bounds ``low`` and ``high``, which are None for too few. ``least`` is what ``low`` must be
    above."""

    name: str
    categories: int
    mean: float
    low: float | None
    high: float | None
    least: float

    @property
    def outcome(self) -> Outcome:
        """What the bounds say."""
        if self.low is None or self.high is None:
            return "too few"
        if self.low > max(self.least, 0):
            return "better"
        if self.low > self.least:
            return "no worse"
        return "worse" if self.high < 0 else "inconclusive"

    def __str__(self) -> str:
        """The mean and its bounds, as words for people."""
        if self.low is None or self.high is None:
            return f"{self.mean:+.4f}"
        return f"{self.mean:+.4f} (between {self.low:+.4f} and {self.high:+.4f})"


@dataclass(frozen=True)
class Comparison:
    """The challenger minus the version ``against``: all in all, and by slice."""

    against: str
    overall: Difference
    slices: tuple[Difference, ...]

    def objections(self) -> Iterator[str]:
        """Why the challenger may not pass, as far as this comparison says."""
        whole, loss = self.overall, f"a loss of {-self.overall.least:g} cannot be ruled out"
        if whole.outcome == "worse":
            yield f"worse than {self.against}: mAP changes by {whole}, so {loss}"
        if whole.outcome == "inconclusive":
            yield (
                f"not shown to be as good as {self.against}: mAP changes by {whole}, so {loss};"
                " more categories make this more precise"
            )
        for part in self.slices:
            if part.outcome == "worse":
                yield f"worse than {self.against} in the slice “{part.name}”: mAP changes by {part}"


@dataclass(frozen=True)
class Decision:
    """Whether the challenger passes, and a sentence that says why. ``gain`` is over text alone, on
    new categories. ``objections`` are all the reasons against it; the sentence has the first."""

    passed: bool
    reason: str
    objections: tuple[str, ...]
    gain: Difference
    comparisons: tuple[Comparison, ...]

    @property
    def leads(self) -> bool:
        """Whether the challenger scores above every version that it was compared with."""
        return all(one.overall.mean > 0 for one in self.comparisons)


def decide(
    deciding: Deciding,
    challenger: Precisions,
    champion: Rival | None,
    best: Rival | None,
    params: config.Params,
) -> Decision:
    """Judge ``challenger`` by the four rules above.

    Without a ``champion``, the gain over text alone decides; without ``best``, no version was
    better than the champion. With fewer than ``evaluate.min_categories`` seen or new categories
    there are no bounds, nothing can be concluded, and the challenger does not pass.
    """
    gains = (challenger.fused - challenger.text).mean(axis=1)
    gain = _difference(
        "gain over text alone, new categories",
        _part(gains, deciding.new, params.evaluate, 1),
        params.gate.min_gain,
    )
    comparisons = tuple(
        _compare(deciding, challenger, rival, params)
        for rival in (champion, best)
        if rival is not None
    )
    objections = [*_too_few(deciding, champion, params.evaluate), *_no_gain(gain)]
    objections += [said for one in comparisons for said in one.objections()]
    reason = objections[0] if objections else _praise(gain, comparisons)
    return Decision(not objections, reason, tuple(objections), gain, comparisons)


def _too_few(deciding: Deciding, champion: Rival | None, rules: config.Evaluate) -> Iterator[str]:
    counts = {"new": int(deciding.new.sum())}
    if champion is not None:
        counts["seen"] = int((~deciding.new).sum())
    for group, count in counts.items():
        if count < rules.min_categories:
            yield (
                f"no conclusion from so few {group} categories: {count}, and an interval needs"
                f" {rules.min_categories} (evaluate.min_categories); add categories to the dataset"
            )


def _no_gain(gain: Difference) -> Iterator[str]:
    if gain.low is not None and gain.low <= gain.least:
        yield (
            f"not better than text alone on new categories: mAP gains {gain}, and it must be at"
            f" least above {gain.least:g}"
        )


def _praise(gain: Difference, comparisons: tuple[Comparison, ...]) -> str:
    if not comparisons:
        return f"first champion: better than text alone on new categories: mAP gains {gain}"
    first = comparisons[0]
    return f"{first.overall.outcome} than {first.against}: mAP changes by {first.overall}"


def _compare(
    deciding: Deciding, challenger: Precisions, rival: Rival, params: config.Params
) -> Comparison:
    found = _parts(challenger.fused - rival.precisions.fused, deciding, params.evaluate)
    found |= _described(challenger, rival.precisions, deciding, params.evaluate)
    margin = params.gate.slice_margin
    return Comparison(
        rival.name,
        _difference("overall", found.pop("overall"), -params.gate.margin),
        tuple(_difference(name, part, -margin) for name, part in found.items()),
    )


@dataclass(frozen=True)
class _Part:
    """A mean over ``categories`` categories."""

    categories: int
    estimate: Estimate


def _part(values: Floats, rows: Bools, rules: config.Evaluate, seed: int) -> _Part:
    """The mean of ``values`` (C,) over ``rows``. Equal seeds draw the same categories, so the query
    kinds of one category stay together."""
    least, samples = rules.min_categories, rules.bootstrap
    found = bootstrap(values[rows], samples=samples, seed=[rules.seed, seed], least=least)
    return _Part(int(rows.sum()), found)


def _balanced(seen: _Part, new: _Part) -> _Part:
    return _Part(seen.categories + new.categories, average(seen.estimate, new.estimate))


def _parts(values: Floats, deciding: Deciding, rules: config.Evaluate) -> dict[str, _Part]:
    """The mean of ``values`` (C, 2) overall and in each slice, by name. Seen and new categories are
    resampled apart."""
    both = values.mean(axis=1)
    seen, new = (
        [_part(of, rows, rules, seed) for of in (both, *values.T)]
        for seed, rows in enumerate((~deciding.new, deciding.new))
    )
    whole, *kinds = map(_balanced, seen, new)
    found = {"overall": whole, "seen": seen[0], "new": new[0]}
    found |= dict(zip(KINDS, kinds, strict=True))
    if deciding.ingested.any() and not deciding.ingested.all():
        found["without ingested pictures"] = _part(both, ~deciding.ingested, rules, 2)
        found["with ingested pictures"] = _part(both, deciding.ingested, rules, 3)
    return found


def _described(
    one: Precisions, other: Precisions, deciding: Deciding, rules: config.Evaluate
) -> dict[str, _Part]:
    """The mean difference of each kind of query that needs a description, by its name."""
    found = {}
    for name in one.described.keys() & other.described.keys():
        values = one.described[name] - other.described[name]
        asked = np.isfinite(values)
        seen, new = (
            _part(values, rows & asked, rules, seed)
            for seed, rows in enumerate((~deciding.new, deciding.new))
        )
        found[f"by {name}"] = _balanced(seen, new)
    return dict(sorted(found.items(), reverse=True))


def _difference(name: str, part: _Part, least: float) -> Difference:
    low, high = part.estimate.interval(2 * LEVEL - 1) or (None, None)
    return Difference(name, part.categories, part.estimate.mean, low, high, least)
