"""docs/results.md, from the figures of the study."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from components import config
from components.files import write_text
from study import drawings
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
    pm,
    signed,
    verdict,
)
from study.methods import BASELINES, DEFAULTS, IDEAS, KEPT, OFFSET, SHIFTED, WITHOUT

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
        _without(figures),
        _ideas(figures),
        _pictures_and_steps(params, sweep, seconds),
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

Written by `make ablation` (profile {params.profile}, {figures.seeds} seeds, {_cores()} CPU
cores). A seed changes the gallery's photos, the imagined pictures and the training; the models of
the zoo and the split of the categories stay, and the intervals say nothing of those. Figures are
mAP, mean ± half a 95 % interval (Student's t over seeds); differences are paired by seed.

λ, strengths, epochs, learning rates and temperatures are chosen on *validation* categories over
the training pictures, and so is which idea is kept: by the column "validation". Unseen categories
are there to report. Each idea has one interval of its own: among so many, one may seem to help by
chance.

**On unseen categories the default is ahead of {gains[0]}, {gains[1]}, and {gains[2]}. Where the
paper's aggregator gets the same correction, and its λ chosen the same way, the default less it is
{same}.**"""


def _baselines(figures: Figures) -> str:
    rows = [
        f"| {_strong(name)} |"
        + "".join(f" {pm(figures.of(name, group))} |" for group in GROUPS)
        + f" {_against(figures, name, 'text alone')} | {_against(figures, DEFAULT, name)} |"
        for name in (*BASELINES, *DEFAULTS)
    ]
    head = "| | seen | unseen | unseen only | harmonic | unseen − text | default − this, unseen |"
    return _table(head, rows) + (
        """

Seen and unseen are measured over the whole gallery, "unseen only" over the pictures of unseen
categories alone; "harmonic" is the harmonic mean of seen and unseen, the convention of
generalised zero-shot learning. "Corrected" rows and the default subtract each picture's hubness,
measured by the names of all categories in the gallery.

The paper publishes neither loss nor training set. Its aggregator is trained here as a reader
would: from the published initialisation, by in-batch contrast as CLIP is, with a learned λ; then
also with λ chosen on validation categories, and with our correction. It gets the best of four pairs
of learning rate and temperature for each seed; the default has the pair of params.yaml."""
    )


def _lead(figures: Figures) -> str:
    rows = [
        f"| {name} |"
        + "".join(f" {signed(figures.between(DEFAULT, name, group))} |" for group in GROUPS)
        for name in (PAPER, FAIREST, CORRECTED)
    ]
    return (
        "## What remains of the lead over the paper's aggregator\n"
        "The default less each of these. Where the interval holds zero, no difference is shown.\n\n"
        + _table("| less | seen | unseen | unseen only | harmonic |", rows)
    )


def _banks(figures: Figures) -> str:
    rows = [
        f"| {f'**{name}**' if name == SHIPPED else name} |"
        + "".join(
            f" {pm(figures.of(name, column))} |"
            for column in ("chosen_alone", "chosen_by", *GROUPS, "covering")
        )
        + f" {signed(figures.of(name, 'difference'))} |"
        for name in BANKS
    ]
    head = (
        "| bank | validation alone | validation | seen | unseen | unseen only | harmonic |"
        " broad texts | seen − unseen |"
    )
    return f"""## Which queries measure hubness
A bank of training categories holds each seen picture's own query, and no unseen one's. It corrects
seen pictures more (last column: the difference of the mean corrections), and so raises unseen mAP
by itself; "validation" shares that bias. So the bank is chosen by "validation alone": validation
categories among their own pictures, none of which any model was trained on. All rows have the
default's network and λ, which are chosen without a correction; the temperature is chosen for each.

{_table(head, rows)}

A bank that leaves out each picture's own category needs the gallery's labels, and would treat right
and wrong pictures differently: it is a control and cannot be shipped. The shipped bank knows the
names of the gallery's categories, not which picture bears which. It assumes that a gallery shows
what the bundle has names for. "Broad texts" are those of the section after next; here they are
corrected too, which hurts them, so the service does not correct them."""


def _offsets(figures: Figures) -> str:
    rows = []
    for name in OFFSET:
        shifted = name + SHIFTED
        rows.append(
            f"| {_strong(name)} | {pm(figures.of(name, 'unseen'))} |"
            f" {pm(figures.of(shifted, 'unseen'))} |"
            f" {signed(figures.between(shifted, name, 'unseen'))} |"
            f" {signed(figures.between(shifted, name, 'seen'))} |"
            f" {signed(figures.between(shifted, name, 'harmonic'))} |"
        )
    head = "| | unseen | with the constant | unseen, gain | seen, gain | harmonic, gain |"
    return f"""## Control: a constant for seen pictures
A constant is subtracted from the scores of pictures of training categories (calibrated stacking,
Chao et al. 2016): the one that is best for the harmonic mean of training and validation categories.
It needs labels, so it is no method. It shows how far pushing down what was seen goes by itself. A
gallery of unseen pictures alone cannot gain by it.

{_table(head, rows)}"""


def _covering(figures: Figures) -> str:
    rows = [
        f"| {_strong(name)} | {pm(figures.of(name, 'covering'))} |"
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
ranked as a person's would be; the emblems' own attributes say what is right. The default does not
correct them. The last column is the share of seen categories among the right pictures that are
found in the first places, as many as there are right ones; the truth is {truth:.3f}.

{_table("| | mAP | seen pictures' share |", rows)}

λ is chosen for categories, not for such texts."""


def _without(figures: Figures) -> str:
    rows = [
        f"| {name} | {signed(figures.between(DEFAULT, name, 'chosen_by'))} |"
        f" {signed(figures.between(DEFAULT, name, 'unseen'))} |"
        f" {verdict(figures.between(DEFAULT, name, 'chosen_by'))} |"
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
        f"| {name} | {pm(figures.of(name, 'unseen'))} |"
        f" {signed(figures.between(name, SIMPLEST, 'chosen_by'))} |"
        f" {signed(figures.between(name, SIMPLEST, 'unseen'))} |"
        f" {verdict(figures.between(name, SIMPLEST, 'chosen_by'))} |"
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
        f" ({signed(figures.between('the default, with query expansion', DEFAULT, 'unseen'))} on"
        " the default).\n\n![difference of each idea to the simplest fusion](images/ablation.png)"
    )


def _pictures_and_steps(params: config.Params, sweep: Sweep, seconds: Mapping[int, float]) -> str:
    many, steps = params.generator.images_per_category, params.generator.steps
    by_pictures = [
        f"| {n} | {pm(sweep.at('pictures', n))} | {_change(sweep, 'pictures', n, many)} |"
        f" {n * seconds[steps]:.2f} |"
        for n in sweep.values("pictures")
    ]
    by_steps = [
        f"| {n} | {pm(sweep.at('steps', n))} | {_change(sweep, 'steps', n, steps)} |"
        f" {seconds[n]:.3f} |"
        for n in sweep.values("steps")
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
    return "" if name == other else signed(figures.between(name, other, "unseen"))


def _change(sweep: Sweep, what: str, value: int, usual: int) -> str:
    if value == usual or usual not in sweep.values(what):
        return ""
    return signed(sweep.less(what, value, usual))
