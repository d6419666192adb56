"""The part of docs/results.md about single ideas and parts of the default."""

from __future__ import annotations

from study.figures import DEFAULT, SIMPLEST, Figures, percent, pm, signed, table, verdict
from study.methods import (
    CHOSEN_AGAIN,
    IDEAS,
    KEPT,
    ON,
    ON_DEFAULT,
    SHIFTED,
    WITHOUT,
)

MEAN = "imagined, mean, λ chosen again"
_COLUMNS = (
    "unseen | of the way | validation | validation alone | unseen, difference |"
    " unseen only, difference | with the constant | by validation |"
)


def without(figures: Figures) -> str:
    rows = [
        f"| {name} | {signed(figures.between(DEFAULT, name, 'chosen_by'))} |"
        f" {signed(figures.between(DEFAULT, name, 'unseen'))} | {percent(figures.share(name))} |"
        f" {verdict(figures.between(DEFAULT, name, 'chosen_by'))} |"
        for name in WITHOUT
    ]
    return (
        "## What each part of the default is worth\n"
        "The default minus the default without one part. Both have the learning rate and"
        " temperature of params.yaml. A part of\nthe training is compared with the best of four"
        " pairs for each seed too, which the default does not get.\n\n"
        + table("| without it | validation | unseen | without it, of the way | the part |", rows)
    )


def ideas(figures: Figures) -> str:
    rows = [
        f"{_row(figures, name, SIMPLEST)} {'**kept**' if name in KEPT else 'left out'} |"
        for name in IDEAS
    ]
    return (
        "## Each idea by itself\n"
        "The difference to the simplest fusion: the mean of the imagined pictures, with the best"
        ' fixed λ by validation.\n"Validation alone" ranks the pictures of validation categories'
        ' alone, as "unseen only" does those of unseen ones. "With\nthe constant" is the difference'
        " on unseen categories once both have the constant of the control above: what remains\nof a"
        " gain there does not come from lowering the scores of seen pictures.\n\n"
        + table(f"| idea | {_COLUMNS} |", rows)
        + "\n\nAn idea that helps is left out where the default has its gain already, or where it"
        " costs more than it gives: query\nexpansion searches the gallery twice"
        f" ({signed(figures.between('the default, with query expansion', DEFAULT, 'unseen'))} on"
        " the default).\n\n![difference of each idea to the simplest fusion](images/ablation.png)"
    )


def on_default(figures: Figures) -> str:
    bases = dict.fromkeys(ON_DEFAULT, CHOSEN_AGAIN) | {CHOSEN_AGAIN: DEFAULT}
    rows = [_row(figures, name, base) for name, base in bases.items()]
    helping = [
        f"*{name}*"
        for name, base in bases.items()
        if not name.startswith(f"{ON}control")
        and all(
            verdict(figures.between(name, base, column)) == "helps"
            for column in ("chosen_by", "chosen_alone")
        )
    ]
    plain = (
        signed(figures.between(MEAN, CHOSEN_AGAIN, group)) for group in ("chosen_by", "unseen")
    )
    return f"""## Ideas on top of the default
Each idea is added to the default's network and correction, and the network is not trained again. λ
is chosen again, with the correction; the default's own is chosen without it. So the first row is
compared with the default, and each other row with the first.

{table(f"| | {_COLUMNS}", rows)}

Both on validation categories among all training pictures and on those alone, **{
        ", ".join(helping) or "none of them"
    }** is shown to help. The control with λ by labels knows the answer: no gate that weighs these
two streams can do better. The mean of the pictures instead of the network, with λ chosen in the
same way, minus the first row: {next(plain)} on validation, {next(plain)} on unseen categories."""


def _row(figures: Figures, name: str, base: str) -> str:
    """What ``name`` gains over ``base``, in the columns of :data:`_COLUMNS`."""
    parts = [
        name,
        pm(figures.of(name, "unseen")),
        percent(figures.share(name)),
        *(
            signed(figures.between(name, base, group))
            for group in ("chosen_by", "chosen_alone", "unseen", "unseen_only")
        ),
        signed(figures.between(name + SHIFTED, base + SHIFTED, "unseen")),
        verdict(figures.between(name, base, "chosen_by")),
    ]
    return "| " + " | ".join(parts) + " |"
