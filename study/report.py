"""docs/results.md, written from the figures of the study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from components import config
from components.files import write_text
from components.threads import cpus
from study import drawings, report_ceiling, report_ideas
from study.banks import BANKS, SHIPPED
from study.covering import TEXTS
from study.drawings import LOWEST
from study.figures import (
    CORRECTED,
    DEFAULT,
    FAIREST,
    PAPER,
    SIMPLEST,
    Figures,
    Sweep,
    interval,
    percent,
    pm,
    signed,
    strong,
    table,
)
from study.methods import BASELINES, DEFAULTS, OFFSET, SHIFTED

GROUPS = ("seen", "unseen", "unseen_only", "harmonic")
PAGE, IMAGES = Path("docs/results.md"), Path("docs/images")


def write(
    params: config.Params,
    frame: pd.DataFrame,
    swept: pd.DataFrame,
    seconds: Mapping[int, float],
) -> None:
    """Write the page and its two pictures."""
    figures, sweep = Figures(frame), Sweep(swept)
    drawings.effects(figures, IMAGES / "ablation.png")
    drawings.sweeps(params, sweep, seconds, IMAGES / "sweeps.png")
    parts = [
        _head(params, figures),
        _baselines(figures),
        _lead(figures),
        _banks(figures),
        _offsets(figures),
        _covering(figures),
        report_ideas.without(figures),
        report_ideas.ideas(figures),
        report_ideas.on_default(figures),
        report_ceiling.ceiling(params, figures),
        _pictures_and_steps(params, figures, sweep, seconds),
    ]
    write_text(PAGE, "\n\n".join(parts) + "\n")


def _head(params: config.Params, figures: Figures) -> str:
    gains = [
        f"{name} by {signed(figures.between(DEFAULT, other, 'unseen'))}"
        for name, other in (
            ("text alone", "text alone"),
            ("text alone with the same correction", "text alone, corrected"),
            ("the paper's aggregator", PAPER),
        )
    ]
    same = signed(figures.between(DEFAULT, CORRECTED, "unseen"))
    return f"""# Results: what each part is worth

Written by `make ablation` (profile {params.profile}, {figures.seeds} seeds, {cpus()} CPU
cores). A seed changes the gallery's photos, the imagined pictures and the training. The models of
the zoo and the split of the categories stay the same, so the intervals do not cover those. Figures
are mAP, mean ± half a 95 % interval (Student's t over seeds); differences are paired by seed.

λ, strengths, epochs, learning rates and temperatures are chosen on *validation* categories over
the training pictures. The same categories, in the column "validation", decide which idea is kept.
Unseen categories are only reported. Each idea has one interval of its own: among so many, one may
seem to help by chance.

**On unseen categories the default is ahead of {gains[0]}, {gains[1]}, and {gains[2]}. If the
paper's aggregator gets the same correction, and its λ is chosen the same way, the default minus it
is {same}.**"""


def _baselines(figures: Figures) -> str:
    rows = [
        f"| {strong(name)} |"
        + "".join(f" {pm(figures.of(name, group))} |" for group in GROUPS)
        + f" {percent(figures.share(name))} | {_against(figures, name, 'text alone')} |"
        f" {_against(figures, DEFAULT, name)} |"
        for name in (*BASELINES, *DEFAULTS)
    ]
    head = (
        "| | seen | unseen | unseen only | harmonic | of the way | unseen − text |"
        " default − this, unseen |"
    )
    return table(head, rows) + (
        """

Seen and unseen are measured over the whole gallery, "unseen only" over the pictures of unseen
categories alone; "harmonic" is the harmonic mean of seen and unseen, the convention of
generalised zero-shot learning. "Corrected" rows and the default subtract each picture's hubness,
measured with the names of all categories in the gallery. "Of the way" is the share of the way from
text to real pictures, for unseen categories: 0 % is text alone, and 100 % is the default's network
with real photos instead of imagined pictures, and with the λ that suits these. All tables of
methods have this column.

The paper publishes neither loss nor training set. Its aggregator is trained here as a reader
would train it: from the published initialisation, by in-batch contrast like CLIP, with a learned λ.
Further rows have λ chosen on validation categories, and our correction. It gets the best of four
pairs of learning rate and temperature for each seed; the default has the pair of params.yaml."""
    )


def _lead(figures: Figures) -> str:
    rows = [
        f"| {name} |"
        + "".join(f" {signed(figures.between(DEFAULT, name, group))} |" for group in GROUPS)
        for name in (PAPER, FAIREST, CORRECTED)
    ]
    return (
        "## What remains of the lead over the paper's aggregator\n"
        "The default minus each of these. Where the interval contains zero, no difference is"
        " shown.\n\n" + table("| minus | seen | unseen | unseen only | harmonic |", rows)
    )


def _banks(figures: Figures) -> str:
    rows = [
        f"| {f'**{name}**' if name == SHIPPED else name} |"
        + "".join(
            f" {pm(figures.of(name, column))} |"
            for column in ("chosen_alone", "chosen_by", *GROUPS, "covering")
        )
        + f" {percent(figures.share(name))} | {signed(figures.of(name, 'difference'))} |"
        for name in BANKS
    ]
    head = (
        "| bank | validation alone | validation | seen | unseen | unseen only | harmonic |"
        " broad texts | of the way | seen − unseen |"
    )
    return f"""## Which queries measure hubness
A bank of training categories contains the own query of each seen picture, and of no unseen one. It
corrects seen pictures more (last column: the difference between the mean corrections). That alone
raises unseen mAP, and "validation" shares this bias. So the bank is chosen by "validation alone":
validation categories among their own pictures, on which no model was trained. All rows have the
default's network and λ, which are chosen without a correction; the temperature is chosen for each.

{table(head, rows)}

A bank that leaves out each picture's own category needs the gallery's labels, and would treat right
and wrong pictures differently. So it is a control and cannot be shipped. The shipped bank knows the
names of the gallery's categories, but not which picture has which name. It assumes that the bundle
has names for what a gallery shows. "Broad texts" are those of the section after next. Here they are
corrected too, which hurts them, so the service does not correct them."""


def _offsets(figures: Figures) -> str:
    rows = []
    for name in OFFSET:
        shifted = name + SHIFTED
        rows.append(
            f"| {strong(name)} | {pm(figures.of(name, 'unseen'))} |"
            f" {pm(figures.of(shifted, 'unseen'))} |"
            f" {signed(figures.between(shifted, name, 'unseen'))} |"
            f" {signed(figures.between(shifted, name, 'seen'))} |"
            f" {signed(figures.between(shifted, name, 'harmonic'))} |"
        )
    head = "| | unseen | with the constant | unseen, gain | seen, gain | harmonic, gain |"
    return f"""## Control: a constant for seen pictures
A constant is subtracted from the scores of pictures of training categories (calibrated stacking,
Chao et al. 2016): the one that is best for the harmonic mean of training and validation categories.
It needs labels, so it is not a method. It shows how much is gained by lowering the scores of seen
pictures alone. A gallery of unseen pictures alone cannot gain by it.

{table(head, rows)}"""


def _covering(figures: Figures) -> str:
    rows = [
        f"| {strong(name)} | {pm(figures.of(name, 'covering'))} |"
        f" {pm(figures.of(name, 'covering_seen'))} |"
        for name in (
            "text alone",
            "mean of the imagined pictures alone",
            "joint: their plain sum",
            SIMPLEST,
            PAPER,
            FAIREST,
            DEFAULT,
        )
    ]
    truth = figures.of(DEFAULT, "covering_truth")[0]
    return f"""## Texts outside the bank
"Red star" covers four categories. {len(TEXTS)} such texts, of a colour and a shape, are drawn and
ranked like a user's query. The emblems' own attributes say which pictures are right. The default
does not correct these texts. The last column looks at the first results of each text, as many as it
has right pictures: it is the share of seen categories among the right ones there. Among all right
pictures that share is {truth:.3f}.

{table("| | mAP | seen pictures' share |", rows)}

λ is chosen for categories, not for such texts."""


def _pictures_and_steps(
    params: config.Params, figures: Figures, sweep: Sweep, seconds: Mapping[int, float]
) -> str:
    many, steps = params.generator.images_per_category, params.generator.steps
    by_pictures = [
        f"| {n} | {pm(sweep.at('pictures', n))} |"
        f" {_way(figures, sweep, 'pictures', n)} | {_change(sweep, 'pictures', n, many)} |"
        f" {n * seconds[steps]:.2f} |"
        for n in sweep.values("pictures")
    ]
    by_steps = [
        f"| {n} | {pm(sweep.at('steps', n))} |"
        f" {_way(figures, sweep, 'steps', n)} | {_change(sweep, 'steps', n, steps)} |"
        f" {seconds[n]:.3f} |"
        for n in sweep.values("steps")
    ]
    return (
        "## More pictures, more steps\n"
        f"Unseen categories. The network and λ are the default's, fitted with {many} pictures of"
        f" {steps} steps, and are not fitted\nagain. So the other values show the effect of that"
        " setting alone, not the best that is possible with it. Pictures are\ntaken as drawn,"
        " without validation. A picture's time is measured in full batches; a category's is K times"
        " that.\n\n"
        + table(
            "| imagined pictures, K | unseen | of the way | minus the default's K |"
            " seconds a category |",
            by_pictures,
        )
        + "\n\n"
        + table(
            "| steps of the sampler | unseen | of the way | minus the default's |"
            " seconds a picture |",
            by_steps,
        )
        + "\n\n![mAP against time](images/sweeps.png)\n\n"
        f"Points below {LOWEST} are only in the tables."
    )


def _against(figures: Figures, name: str, other: str) -> str:
    return "" if name == other else signed(figures.between(name, other, "unseen"))


def _change(sweep: Sweep, what: str, value: int, usual: int) -> str:
    if value == usual or usual not in sweep.values(what):
        return ""
    return signed(sweep.less(what, value, usual))


def _way(figures: Figures, sweep: Sweep, what: str, value: int) -> str:
    return percent(interval(figures.along(sweep.seeds(what, value))))
