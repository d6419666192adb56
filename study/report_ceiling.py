"""The part of docs/results.md about real pictures as the query."""

from __future__ import annotations

from collections.abc import Sequence

from components import config
from study.ceiling import PICTURES, WAYS
from study.figures import Figures, percent, pm, signed, table
from study.world import PHOTOS

_GROUPS = ("seen", "unseen", "unseen_only", "harmonic")


def ceiling(params: config.Params, figures: Figures) -> str:
    rows = [
        f"| {pictures} | {way} |"
        + "".join(f" {pm(figures.of(f'{pictures}, {way}', group))} |" for group in _GROUPS)
        + f" {percent(figures.share(f'{pictures}, {way}'))} |"
        for way in WAYS
        for pictures in PICTURES
    ]
    head = "| pictures | used | seen | unseen | unseen only | harmonic | of the way |"
    return f"""## Real pictures as the query
{params.generator.images_per_category} real photos of each category take the place of its imagined
pictures. They are drawn for this alone, and are in no other part of the world: a query that is
among the ranked pictures would find itself. Studio pictures show the right category too, but clean:
one object on a plain ground, like the pictures that the generator learned from. The network is the
default's, fitted to imagined pictures, and is not fitted again. Where λ is chosen again, it is the
best by validation with the correction. All rows are corrected for hubness.

{table(head, rows)}

Real photos are no strict bound: they have the clutter and noise of the gallery, and a few of them
do not average it out. More than 100 % of the way means that imagined pictures are the better query.
{PHOTOS} photos show what remains to the encoders alone.

Where the loss comes from, in mAP:

{_losses(figures)}

Generation is what wrong or odd pictures cost, and domain what clean pictures cost against photos
like those of the gallery. A negative figure is no loss but a gain."""


def _losses(figures: Figures) -> str:
    steps = {
        "generation: studio − imagined": ("studio", "imagined"),
        "domain: real photos − studio": ("real photos", "studio"),
        "both: real photos − imagined": ("real photos", "imagined"),
        f"number: {PHOTOS} real photos − as many as imagined": (
            f"{PHOTOS} real photos",
            "real photos",
        ),
    }

    def cells(pairs: Sequence[tuple[str, str]]) -> str:
        return "".join(
            f" {signed(figures.between(one, other, group))} |"
            for group in ("unseen", "unseen_only")
            for one, other in pairs
        )

    ways = ("alone", "mean, λ chosen again", "network, λ chosen again")
    rows = [
        f"| {what} |{cells([(f'{one}, {way}', f'{other}, {way}') for way in ways])}"
        for what, (one, other) in steps.items()
    ]
    groups = ("unseen", "unseen only")
    lost = table("| |" + "".join(f" {group}, {way} |" for group in groups for way in ways), rows)
    rows = [
        f"| {asked} |{cells([(f'{asked}, {way}', f'{asked}, alone') for way in ways[1:]])}"
        for asked in PICTURES
    ]
    head = "| text added to |" + "".join(
        f" {group}, {way} |" for group in groups for way in ways[1:]
    )
    return f"{lost}\n\nWhat fusion adds, over the pictures alone:\n\n{table(head, rows)}"
