"""The part of docs/results.md about real pictures as the query."""

from __future__ import annotations

from components import config
from study.figures import DEFAULT, REAL, Figures, percent, pm, signed, table
from study.world import PHOTOS

WAYS = {
    "alone": (
        "mean of the imagined pictures alone, corrected",
        "studio pictures alone, corrected",
        "real photos alone, corrected",
        "many real photos alone, corrected",
    ),
    "with text, their mean": (
        "the mean of the pictures instead of a network",
        "mean of studio pictures",
        "mean of real photos",
        "mean of many real photos",
    ),
    "with text, the default's network and λ": (
        DEFAULT,
        "studio pictures, the default's network",
        REAL,
        "many real photos, the default's network",
    ),
}
"""The methods that query with the pictures of :data:`_PICTURES`, by the way these are used."""

_PICTURES = ("imagined", "studio", "real photos", f"{PHOTOS} real photos")
_GROUPS = ("seen", "unseen", "unseen_only", "harmonic")


def ceiling(params: config.Params, figures: Figures) -> str:
    rows = [
        f"| {pictures} | {way} |"
        + "".join(f" {pm(figures.of(name, group))} |" for group in _GROUPS)
        + f" {percent(figures.share(name))} |"
        for way, names in WAYS.items()
        for pictures, name in zip(_PICTURES, names, strict=True)
    ]
    head = "| pictures | used | seen | unseen | unseen only | harmonic | of the way |"
    return f"""## Real pictures as the query
{params.generator.images_per_category} real photos of each category take the place of its imagined
pictures. They are drawn for this alone, and are in no other part of the world: a query that is
among the ranked pictures would find itself. Studio pictures show the right category too, but clean:
one object on a plain ground, like the pictures that the generator learned from. The default's
network and λ are fitted to imagined pictures, and are not fitted again. All rows are corrected for
hubness.

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
        "generation: studio − imagined": (1, 0),
        "domain: real photos − studio": (2, 1),
        "both: real photos − imagined": (2, 0),
        f"number: {PHOTOS} real photos − as many as imagined": (3, 2),
    }
    rows = [
        f"| {what} |"
        + "".join(
            f" {signed(figures.between(names[better], names[worse], group))} |"
            for group in ("unseen", "unseen_only")
            for names in WAYS.values()
        )
        for what, (better, worse) in steps.items()
    ]
    alone, _, network = WAYS.values()
    for pictures, single, fused in zip(_PICTURES, alone, network, strict=True):
        gains = (signed(figures.between(fused, single, g)) for g in ("unseen", "unseen_only"))
        rows.append(f"| fusion: text added to {pictures} | | | {next(gains)} | | | {next(gains)} |")
    groups = ("unseen", "unseen only")
    head = "| |" + "".join(f" {group}, {way} |" for group in groups for way in WAYS)
    return table(head, rows)
