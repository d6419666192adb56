"""docs/results.md and its pictures, from the figures of the study."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator, NullLocator
from scipy import stats

from components import config
from components.files import write_text
from study.methods import BASELINES, DEFAULTS, IDEAS, KEPT, WITHOUT

mpl.use("Agg")

from matplotlib import pyplot as plt

PAGE, IMAGES = Path("docs/results.md"), Path("docs/images")
PAPER, SIMPLEST, DEFAULT = "the paper's aggregator", "best fixed λ by validation", "the default"
FAIREST = "the paper's aggregator, λ by validation"
LOWEST = 0.6  # mAP that is still drawn
Interval = tuple[float, float]  # mean, and half the width of its 95 % interval


def interval(values: np.ndarray) -> Interval:
    """Mean of ``values`` (seeds,) and half the width of its 95 % interval (Student's t)."""
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return float(np.mean(values)), float(half)


class Figures:
    """mAP of every method and seed, from the table (seed, method, seen, unseen, chosen_by)."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self.seeds = frame["seed"].nunique()

    def of(self, method: str, group: str) -> Interval:
        return interval(self._values(method, group))

    def between(self, method: str, other: str, group: str) -> Interval:
        """``method`` less ``other``, seed by seed."""
        return interval(self._values(method, group) - self._values(other, group))

    def _values(self, method: str, group: str) -> np.ndarray:
        chosen = self._frame[self._frame["method"] == method].sort_values("seed")
        return chosen[group].to_numpy()


def write(
    params: config.Params,
    frame: pd.DataFrame,
    sweep: pd.DataFrame,
    seconds: Mapping[int, float],
) -> None:
    """Write the page and its two pictures."""
    figures = Figures(frame)
    _effects(figures, IMAGES / "ablation.png")
    _sweeps(params, sweep, seconds, IMAGES / "sweeps.png")
    parts = [
        _head(params, figures),
        _baselines(figures),
        _without(figures),
        _ideas(figures),
        _pictures_and_steps(params, sweep, seconds),
    ]
    write_text(PAGE, "\n\n".join(parts) + "\n")


def _head(params: config.Params, figures: Figures) -> str:
    gains = [
        f"{name} by {_signed(figures.between(DEFAULT, other, 'unseen'))}"
        for name, other in (
            ("text alone", "text alone"),
            ("the paper's aggregator", PAPER),
            ("the same with λ chosen as ours", FAIREST),
        )
    ]
    return f"""# Results: what each part is worth

Written by `make ablation` (profile {params.profile}, {figures.seeds} seeds, {_cores()} CPU
cores). A seed changes the gallery's photos, the imagined pictures and the training; the models of
the zoo and the split of the categories stay, and the intervals say nothing of those. Figures are
mAP over the whole gallery, mean ± half a 95 % interval (Student's t over seeds); differences are
paired by seed.

λ, strengths, epochs, learning rates and temperatures are chosen on *validation* categories over
the training pictures, and so is which idea is kept: by the column "validation". Unseen categories
are there to report. Each idea has one interval of its own: among so many, one may seem to help by
chance.

**On unseen categories the default is ahead of {gains[0]}, {gains[1]}, and {gains[2]}.**"""


def _baselines(figures: Figures) -> str:
    rows = [
        f"| {_strong(name)} | {_pm(figures.of(name, 'seen'))} | {_pm(figures.of(name, 'unseen'))} |"
        f" {_against(figures, name, 'text alone')} | {_against(figures, DEFAULT, name)} |"
        for name in (*BASELINES, *DEFAULTS)
    ]
    return _table("| | seen | unseen | unseen − text | default − this, unseen |", rows) + (
        """

The paper publishes neither loss nor training set. Its aggregator is trained here as a reader
would: from the published initialisation, by in-batch contrast as CLIP is, with a learned λ; then
also with λ chosen on validation categories. It gets the best of four pairs of learning rate and
temperature for each seed; the default has the pair of params.yaml."""
    )


def _without(figures: Figures) -> str:
    rows = [
        f"| {name} | {_signed(figures.between(DEFAULT, name, 'chosen_by'))} |"
        f" {_signed(figures.between(DEFAULT, name, 'unseen'))} |"
        f" {_verdict(figures.between(DEFAULT, name, 'chosen_by'))} |"
        for name in WITHOUT
    ]
    return (
        "## What each part of the default is worth\n"
        "The default less the same without one part: with the learning rate and temperature of"
        " params.yaml, and where the part\nis in the training, with the best of four pairs for each"
        " seed, which the default does not get.\n\n"
        + _table("| without it | validation | unseen | the part |", rows)
    )


def _ideas(figures: Figures) -> str:
    rows = [
        f"| {name} | {_pm(figures.of(name, 'unseen'))} |"
        f" {_signed(figures.between(name, SIMPLEST, 'chosen_by'))} |"
        f" {_signed(figures.between(name, SIMPLEST, 'unseen'))} |"
        f" {_verdict(figures.between(name, SIMPLEST, 'chosen_by'))} |"
        f" {'**kept**' if name in KEPT else 'left out'} |"
        for name in IDEAS
    ]
    return (
        "## Each idea by itself\n"
        "Less the simplest fusion: the mean of the imagined pictures, with the best fixed λ by"
        " validation.\n\n"
        + _table("| idea | unseen | validation | unseen, difference | by validation | |", rows)
        + "\n\nAn idea that helps is left out where the default has its gain already, or where it"
        " costs more than it gives: query\nexpansion asks the gallery twice"
        f" ({_signed(figures.between('the default, with query expansion', DEFAULT, 'unseen'))} on"
        " the default).\n\n![difference of each idea to the simplest fusion](images/ablation.png)"
    )


def _pictures_and_steps(
    params: config.Params, sweep: pd.DataFrame, seconds: Mapping[int, float]
) -> str:
    many, steps = params.generator.images_per_category, params.generator.steps
    by_pictures = [
        f"| {n} | {_pm(_of(sweep, 'pictures', n))} | {_less(sweep, 'pictures', n, many)} |"
        f" {n * seconds[steps]:.2f} |"
        for n in _values(sweep, "pictures")
    ]
    by_steps = [
        f"| {n} | {_pm(_of(sweep, 'steps', n))} | {_less(sweep, 'steps', n, steps)} |"
        f" {seconds[n]:.3f} |"
        for n in _values(sweep, "steps")
    ]
    return (
        "## More pictures, more steps\n"
        f"Unseen categories. The network and λ are the default's, fitted with {many} pictures of"
        f" {steps} steps, and stay: other values\nare what one gets by turning the knob, not the"
        " best that they could give. Pictures are taken as drawn, without\nvalidation. A picture's"
        " time is measured in full batches; a category's is K times that.\n\n"
        + _table(
            "| imagined pictures, K | unseen | less the default's K | seconds a category |",
            by_pictures,
        )
        + "\n\n"
        + _table(
            "| steps of the sampler | unseen | less the default's | seconds a picture |", by_steps
        )
        + "\n\n![mAP against time](images/sweeps.png)\n\n"
        f"Points below {LOWEST} are in the tables alone."
    )


def _table(head: str, rows: Sequence[str]) -> str:
    return "\n".join([head, "|---" * (head.count("|") - 1) + "|", *rows])


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _strong(name: str) -> str:
    return f"**{name}**" if name == DEFAULT else name


def _against(figures: Figures, name: str, other: str) -> str:
    return "" if name == other else _signed(figures.between(name, other, "unseen"))


def _pm(value: Interval) -> str:
    return f"{value[0]:.3f} ± {value[1]:.3f}"


def _signed(value: Interval) -> str:
    return f"{value[0]:+.3f} ± {value[1]:.3f}"


def _verdict(value: Interval) -> str:
    mean, half = value
    return "helps" if mean > half else "hurts" if mean < -half else "no difference shown"


def _values(sweep: pd.DataFrame, what: str) -> list[int]:
    return sorted(sweep.loc[sweep["what"] == what, "value"].unique().tolist())


def _seeds(sweep: pd.DataFrame, what: str, value: int) -> np.ndarray:
    chosen = sweep[(sweep["what"] == what) & (sweep["value"] == value)]
    return chosen.sort_values("seed")["unseen"].to_numpy()


def _of(sweep: pd.DataFrame, what: str, value: int) -> Interval:
    return interval(_seeds(sweep, what, value))


def _less(sweep: pd.DataFrame, what: str, value: int, usual: int) -> str:
    if value == usual or usual not in _values(sweep, what):
        return ""
    return _signed(interval(_seeds(sweep, what, value) - _seeds(sweep, what, usual)))


def _effects(figures: Figures, path: Path) -> None:
    names = (*IDEAS, PAPER, DEFAULT)
    found = {name: figures.between(name, SIMPLEST, "unseen") for name in names}
    ordered = sorted(found, key=lambda name: found[name][0])
    figure, axes = plt.subplots(figsize=(8, 4.8), layout="constrained")
    for place, name in enumerate(ordered):
        mean, half = found[name]
        kept = name in (*KEPT, DEFAULT)
        axes.errorbar(
            mean,
            place,
            xerr=half,
            fmt="s" if kept else "o",
            color="#2c6e8f" if kept else "#7a8794",
            capsize=3,
        )
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(ordered)), ordered)
    axes.set(
        xlabel="mAP on unseen categories − simplest fusion, with 95 % intervals over seeds",
        title="Each idea by itself (squares: kept), and the default",
    )
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)


def _sweeps(
    params: config.Params, sweep: pd.DataFrame, seconds: Mapping[int, float], path: Path
) -> None:
    many, steps = params.generator.images_per_category, params.generator.steps
    time = {
        "pictures": lambda n: n * seconds[steps],
        "steps": lambda n: many * seconds[n],
    }
    label = {
        "pictures": f"K pictures of {steps} steps",
        "steps": f"{many} pictures of so many steps",
    }
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for what, mark, colour in (("pictures", "o-", "#2c6e8f"), ("steps", "s--", "#d98f2b")):
        values = [n for n in _values(sweep, what) if _of(sweep, what, n)[0] > LOWEST]
        means, halves = zip(*(_of(sweep, what, n) for n in values), strict=True)
        at = [time[what](n) for n in values]
        axes.errorbar(at, means, yerr=halves, fmt=mark, color=colour, capsize=3, label=label[what])
        for x, y, n in zip(at, means, values, strict=True):
            below = -14 if what == "steps" else 8
            axes.annotate(str(n), (x, y), (4, below), textcoords="offset points", color=colour)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(
        xlabel="seconds to imagine a category",
        ylabel="fused mAP, unseen",
        title="What time for imagining buys",
    )
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)
