"""Which imagined pictures are rejected, and why: applies the limits of params.yaml."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from components import config
from components.features.store import keys
from components.kinds import CLASS, DESCRIPTION, Kind
from components.validation.likeness import Likeness
from components.validation.limit import Limit, mark
from components.validation.measure import Measured
from components.vectors import Array


def limits(params: config.Validate, size: int) -> tuple[Limit, ...]:
    """All limits of an imagined picture, in the order in which they are applied.

    ``size`` is the length of its side in pixels.
    """
    return (
        Limit("decodes", 1, None, "does not decode"),
        Limit("intact", 1, None, "differs from its manifest"),
        Limit("width", size, size, "has the wrong size"),
        Limit("height", size, size, "has the wrong size"),
        Limit("contrast", params.min_contrast, None, "is blank"),
        Limit("sharpness", params.min_sharpness, params.max_sharpness, "is blurred or noise"),
        Limit("clip_margin", params.min_clip_margin, None, "shows another category"),
        Limit("view_distance", params.min_view_distance, None, "is a copy"),
        Limit(
            "category_similarity", params.min_category_similarity, None, "does not fit its siblings"
        ),
    )


def judge(
    measured: Measured, params: config.Validate, size: int, likeness: Likeness
) -> pd.DataFrame:
    """The rows of ``measured``, with the columns ``view_distance``, ``copy_of``,
    ``category_similarity`` and ``reason``.

    ``reason`` is why a picture is rejected, and empty for one that passes. A picture is compared
    only with pictures that passed all earlier limits, so that a bad one cannot reject a good one.
    To find copies, it is compared with the pictures of any category that have a higher CLIP margin.
    Then it is compared with the others of its category. ``likeness`` has what was compared before.
    """
    rows = measured.rows.assign(
        view_distance=np.nan, copy_of="", category_similarity=np.nan, reason=""
    )
    *alone, copies, category_similarity = limits(params, size)
    for limit in alone:
        mark(rows, limit)
    fine = np.flatnonzero(rows["reason"] == "")
    fine = fine[np.argsort(-rows["clip_margin"].to_numpy(dtype=np.float64)[fine], kind="stable")]
    contents = keys(rows["sha256"].to_numpy()[fine])
    nearest, of = likeness.nearest_better(contents, measured.views[fine], params.min_view_distance)
    paths = rows["path"].to_numpy(dtype=object)
    rows.loc[fine, "view_distance"] = nearest
    rows.loc[fine, "copy_of"] = np.where(nearest < params.min_view_distance, paths[fine][of], "")
    mark(rows, copies)
    fine = fine[rows["reason"].to_numpy()[fine] == ""]
    for _, members in pd.Series(fine).groupby(rows["category"].to_numpy()[fine]):
        group = members.to_numpy()
        found = leave_one_out(measured.vision[group], params.min_category_similarity)
        rows.loc[group, "category_similarity"] = found
    mark(rows, category_similarity)
    return rows


def leave_one_out(vectors: Array, lowest: float) -> npt.NDArray[np.float64]:
    """The cosine of each unit vector of ``vectors`` (N, d) to the mean of the others: (N,).

    While the lowest cosine is below ``lowest``, its vector keeps that value and is taken out of the
    group, and the others are compared again. So several outliers do not support each other. Of two
    equally low vectors the last is taken out. NaN for a vector that remains alone.
    """
    result = np.full(len(vectors), np.nan)
    left = np.arange(len(vectors))
    while left.size > 1:
        company = vectors[left]
        others = company.sum(axis=0) - company
        lengths = np.maximum(np.linalg.norm(others, axis=1), 1e-12)
        found = (others * company).sum(axis=1) / lengths
        result[left] = found
        worst = int(np.flatnonzero(found <= found.min() + 1e-6)[-1])  # equal up to rounding
        if found[worst] >= lowest:
            return result
        left = np.delete(left, worst)
    result[left] = np.nan
    return result


def asked(categories: Sequence[str], rows: pd.DataFrame) -> list[tuple[str, Kind]]:
    """What pictures were imagined for: the name of each of ``categories``, and the descriptions of
    those that have some. ``rows`` are the pictures."""
    described = set(rows.loc[rows["kind"] == DESCRIPTION, "category"])
    named: list[tuple[str, Kind]] = [(name, CLASS) for name in categories]
    return named + [(name, DESCRIPTION) for name in categories if name in described]


def diversity(
    queries: Sequence[tuple[str, Kind]], rows: pd.DataFrame, measured: Measured
) -> pd.DataFrame:
    """A row for each of ``queries``, a category and the kind of query: the number of ``accepted``
    pictures, and ``diversity``. The column ``query`` names both.

    Diversity is the mean cosine distance between two accepted pictures in the vision encoder's
    space, and NaN for fewer than two. ``rows`` are the judged rows of ``measured``.
    """
    found = []
    sound = (rows["reason"] == "").to_numpy()
    groups = rows[sound].groupby(["category", "kind"]).indices
    fine = measured.vision[sound]
    for name, kind in queries:
        vectors = fine[groups.get((name, kind), np.empty(0, dtype=int))]
        count = len(vectors)
        # of unit vectors, the cosines of all ordered pairs sum to |Σv|² - n
        together = (vectors.sum(axis=0) ** 2).sum() - count
        apart = 1 - together / (count * (count - 1)) if count > 1 else np.nan
        query = name if kind == CLASS else f"{name} ({kind})"
        found.append((query, name, kind, count, apart))
    return pd.DataFrame(found, columns=["query", "category", "kind", "accepted", "diversity"])
